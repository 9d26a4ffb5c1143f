//! What becomes of the line one types.

use std::path::PathBuf;

use super::{commands, to_bottom};
use crate::chat::{
    model::{Composing, Effect, Model, Pending, PendingState, Write},
    text::one_line,
};

/// A message's text is bounded; so what is typed is.
pub const MOST_BYTES: usize = 16 * 1024;

/// The line is finished.
pub fn submit(model: &mut Model) {
    model.completion = None;
    let text = model.editor.text().trim_end().to_owned();
    if text.trim().is_empty() {
        model.editor.take();
        return;
    }
    if let Composing::React(message) = model.composing {
        model.editor.take();
        react(model, message, &text);
        return;
    }
    // Two of them: a message that begins with one.
    let command = text.strip_prefix('/').filter(|rest| !rest.starts_with('/'));
    if let (Some(command), Composing::Message) = (command, &model.composing) {
        let command = command.to_owned();
        model.history.add(&text);
        model.editor.take();
        commands::run(model, &command);
        return;
    }
    let body = if text.starts_with("//") { text[1..].to_owned() } else { text.clone() };
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

/// Sends a message to the open conversation. False where there is none.
pub fn send(model: &mut Model, body: String, reply_to: u64, files: Vec<PathBuf>) -> bool {
    let Some(handle) = model.open else {
        model.complain("no conversation is open: /msg NAME, or /join #room");
        return false;
    };
    if model.current().is_some_and(|current| current.has_newer) {
        to_bottom(model);
    }
    let Some(current) = model.conversations.get_mut(&handle) else { return false };
    current.divider = None;
    current.bottom = crate::chat::conversation::Bottom::Newest;
    current.active_ms = current.active_ms.max(model.now_ms);
    let (to, after, local) = (current.to(), current.newest, model.next_local);
    model.next_local += 1;
    let time_ms = model.now_ms;
    model.outbox.push(Pending {
        local,
        handle,
        body: body.clone(),
        reply_to,
        files: files.clone(),
        time_ms,
        state: PendingState::Waiting,
        seen_as: None,
        after,
    });
    model.effect(Effect::Send { local, to, body, reply_to, files });
    true
}

/// Reacts to a message, or takes it back.
pub fn react(model: &mut Model, message: u64, text: &str) {
    model.composing = Composing::Message;
    let emoji = super::complete::emoji_called(text).unwrap_or(text).to_owned();
    let Some((_, known)) = model.message(message) else {
        model.complain("that message is not here any more");
        return;
    };
    let add = !known.reactions.iter().any(|reaction| reaction.own && reaction.emoji == emoji);
    model.write(Write::React { message, emoji, add }, "");
}

/// Sends again what failed in the open conversation.
pub fn retry(model: &mut Model) {
    let failed: Vec<Pending> = take_failed(model);
    if failed.is_empty() {
        model.say("nothing here has failed");
    }
    for pending in failed {
        send(model, pending.body, pending.reply_to, pending.files);
    }
}

/// Gives up what failed in the open conversation; the last text can be typed anew.
pub fn discard(model: &mut Model) {
    let failed = take_failed(model);
    match failed.last() {
        None => model.say("nothing here has failed"),
        Some(last) => {
            model.history.add(&last.body);
            model.say(format!("discarded: {}", one_line(&last.body)));
        }
    }
}

fn take_failed(model: &mut Model) -> Vec<Pending> {
    let Some(open) = model.open else { return Vec::new() };
    let is_it = |one: &Pending| one.handle == open && matches!(one.state, PendingState::Failed(_));
    let (failed, others) = std::mem::take(&mut model.outbox).into_iter().partition(is_it);
    model.outbox = others;
    failed
}
