//! What becomes of the line one types.

use std::path::PathBuf;

use super::{commands, to_bottom};
use crate::chat::{
    conversation::Bottom,
    model::{Composing, Effect, Handle, Left, Model, Pending, PendingState, Unsent, Write},
};

/// A message's text is bounded; so what is typed is.
pub const MOST_BYTES: usize = 16 * 1024;

/// The line is finished.
pub fn submit(model: &mut Model) {
    model.completion = None;
    let text = model.editor.text().trim_end().to_owned();
    let again = match model.composing {
        Composing::Again(kept_as) => model.unsent.iter().find(|one| one.kept_as == kept_as).cloned(),
        _ => None,
    };
    let files = again.as_ref().map_or(0, Unsent::file_count);
    if text.trim().is_empty() && files == 0 {
        model.editor.take();
        if let Composing::Again(_) = model.composing {
            // Its text was cleared: what comes next is none of it.
            model.composing = Composing::Message;
        }
        return;
    }
    if let Composing::React(message) = model.composing {
        if react(model, message, &text) {
            model.editor.take();
        }
        return;
    }
    // Two of them: a message that begins with one.
    if let Some(command) = text.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
        model.history.add(&text);
        model.editor.take();
        if let Composing::Edit(_) | Composing::Again(_) = model.composing {
            // The text that was being changed is gone from the line: what comes next is none of it.
            model.composing = Composing::Message;
        }
        commands::run(model, command);
        return;
    }
    let body = text.strip_prefix('/').unwrap_or(&text).to_owned();
    if body.len() > MOST_BYTES {
        model.complain(format!("a message has at most {MOST_BYTES} bytes; this one has {}", body.len()));
        return;
    }
    match model.composing {
        Composing::Edit(message) => {
            model.write(Write::Edit { message, body }, "");
            model.composing = Composing::Message;
        }
        Composing::Reply(message) => {
            if !send(model, body, message, Vec::new()) {
                return;
            }
            model.composing = Composing::Message;
        }
        Composing::Again(_) => {
            if !send_left(model, body, again) {
                return;
            }
            model.composing = Composing::Message;
        }
        Composing::Message | Composing::React(_) => {
            if !send(model, body, 0, Vec::new()) {
                return;
            }
        }
    }
    model.history.add(&text);
    model.editor.take();
    if let Some(current) = model.current_mut() {
        current.selected = None;
    }
}

/// Whether that was rather meant as a message, or as the name of an emoji.
fn is_word(text: &str) -> bool {
    text.contains(char::is_whitespace) || text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Sends a message to the open conversation. False where there is none.
pub fn send(model: &mut Model, body: String, reply_to: u64, files: Vec<PathBuf>) -> bool {
    let Some(handle) = opened(model) else { return false };
    send_again(model, Pending::new(handle, body, reply_to, files));
    true
}

fn opened(model: &mut Model) -> Option<Handle> {
    if model.open.is_none() {
        model.complain("no conversation is open: /msg NAME, or /join #room");
    }
    model.open
}

/// Sends what an earlier chat left to the open conversation, with this text: as the answer that it was, with the files that it had. It stays on disk until what
/// takes its place is there.
fn send_left(model: &mut Model, body: String, left: Option<Unsent>) -> bool {
    let Some(handle) = opened(model) else { return false };
    let mut message = Pending::new(handle, body, 0, Vec::new());
    if let Some(Unsent { kept_as, what: Left::Message { reply_to, attachments, files, .. }, .. }) = left {
        (message.again, message.reply_to) = (Some(kept_as), reply_to);
        (message.uploaded, message.files) = (attachments, files);
    }
    send_again(model, message);
    true
}

/// Sends this to the open conversation, as something new.
pub fn send_again(model: &mut Model, message: Pending) {
    to_bottom(model);
    let (local, time_ms, is_loaded) = (model.next_local, model.now_ms, model.is_loaded);
    let Some(current) = model.current_mut() else { return };
    (current.divider, current.bottom) = (None, Bottom::Newest);
    current.active_ms = current.active_ms.max(time_ms);
    // Before the conversations were read, nobody here knows what was there.
    let after = if is_loaded || current.newest > 0 { current.newest } else { u64::MAX };
    let to = current.to();
    model.next_local += 1;
    let state = PendingState::Waiting;
    let (kept_as, draft, was_seen, seen_as) = (None, None, false, None);
    let pending = Pending { local, time_ms, after, state, kept_as, draft, was_seen, seen_as, ..message };
    let Pending { body, reply_to, files, uploaded, .. } = pending.clone();
    model.outbox.push(pending);
    model.effect(Effect::Send { local, to, body, reply_to, files, uploaded });
}

/// Reacts to a message, or takes it back. False: that is no reaction.
pub fn react(model: &mut Model, message: u64, text: &str) -> bool {
    let called = super::complete::emoji_called(text);
    if called.is_none() && is_word(text) {
        model.complain("that is no emoji: paste one, or type the name of one (heart, tada, +1)");
        return false;
    }
    model.composing = Composing::Message;
    let emoji = called.unwrap_or(text).to_owned();
    let Some((_, known)) = model.message(message) else {
        model.complain("that message is not here any more");
        return true;
    };
    let add = !known.reactions.iter().any(|reaction| reaction.own && reaction.emoji == emoji);
    model.write(Write::React { message, emoji, add }, "");
    true
}
