//! What an event changes. Pure: what is to be done outside is handed back as effects.

mod commands;
mod complete;
mod events;
mod keys;
mod mouse;
mod news;
mod outbox;
mod overlays;
mod people;
mod reading;
mod sending;
mod unsent;

pub use commands::{COMMANDS, expanded};
pub use outbox::{drawn, is_unseen};
pub use overlays::candidates;
#[cfg(test)]
pub use reading::ask;
use threefold_client::To;

use super::{
    conversation::{Bottom, Conversation, Kind},
    layout::Areas,
    model::{Composing, Effect, Event, Handle, Model, Write},
    transcript::Transcript,
};

/// Between two looks at who is online.
const ONLINE_EVERY_MS: u64 = 10_000;

/// Takes one event in.
pub fn update(model: &mut Model, event: Event) -> Vec<Effect> {
    match event {
        Event::Tick(now_ms) => tick(model, now_ms),
        Event::News(news) => news::take(model, *news),
        Event::Terminal(event) => terminal(model, event),
    }
    reading::look_around(model);
    let mut effects = std::mem::take(&mut model.effects);
    if model.over.is_some() {
        // Nobody would answer: the session is over. What is given up is struck from disk all the same.
        effects.retain(|effect| effect.is_of_the_terminal() || matches!(effect, Effect::Forget(_)));
    }
    effects
}

fn terminal(model: &mut Model, event: crossterm::event::Event) {
    use crossterm::event::{Event as Input, KeyEventKind};
    match event {
        Input::Key(key) if key.kind != KeyEventKind::Release => keys::press(model, key),
        Input::Key(_) => {}
        Input::Mouse(mouse) => mouse::take(model, mouse),
        Input::Paste(text) => keys::paste(model, &text),
        Input::Resize(width, height) => model.size = (width, height),
        Input::FocusGained => model.focused = true,
        Input::FocusLost => {
            model.focused = false;
            // What comes now is new when one looks again.
            if let Some(current) = model.current_mut() {
                current.divider = None;
            }
        }
    }
}

fn tick(model: &mut Model, now_ms: u64) {
    model.now_ms = now_ms;
    if model.flash.as_ref().is_some_and(|flash| flash.until_ms <= now_ms) {
        model.flash = None;
    }
    model.typists.retain(|typist| typist.until_ms > now_ms);
    if model.is_loaded && now_ms.saturating_sub(model.looked_online_ms) >= ONLINE_EVERY_MS {
        model.looked_online_ms = now_ms;
        model.effect(Effect::LoadOnline);
    }
    mark(model);
}

/// Says what was read and what was delivered: now and then, for each time is an entry in the cluster's log.
pub fn mark(model: &mut Model) {
    let due: Vec<(u64, u64)> =
        model.conversations.values_mut().filter_map(|one| Some((one.id?, one.mark_due.take()?))).collect();
    for (conversation, up_to) in due {
        model.write(Write::MarkRead { conversation, up_to }, "");
    }
    if model.delivered > model.marked_delivered {
        model.marked_delivered = model.delivered;
        model.write(Write::MarkDelivered(model.delivered), "");
    }
}

/// Shows a conversation.
pub fn open(model: &mut Model, handle: Handle) {
    model.overlay = None;
    model.completion = None;
    if model.open == Some(handle) || !model.conversations.contains_key(&handle) {
        return;
    }
    leave(model);
    model.open = Some(handle);
    if let Some(current) = model.conversations.get_mut(&handle) {
        current.divider = (current.unread > 0 && current.read_up_to > 0).then_some(current.read_up_to);
        let (draft, composing) = std::mem::take(&mut current.draft);
        if model.editor.is_empty() {
            (model.editor, model.composing) = (draft, composing);
        } else {
            // Written while nothing was open: it was begun for here.
            model.history.add(draft.text());
        }
    }
    show_in_list(model);
    reading::forget_some(model);
}

/// Puts away what is open; then nothing is.
pub fn leave(model: &mut Model) {
    let Some(handle) = model.open.take() else { return };
    let is_begun = model.outbox.iter().any(|pending| pending.handle == handle);
    let Some(current) = model.conversations.get_mut(&handle) else { return };
    if current.id.is_none() && !current.is_room() && !is_begun && model.editor.is_empty() {
        // A name that was looked at: nobody has written there.
        model.composing = Composing::Message;
        model.conversations.remove(&handle);
        return;
    }
    current.draft = (std::mem::take(&mut model.editor), std::mem::take(&mut model.composing));
    current.divider = None;
    current.selected = None;
    current.bottom = Bottom::Newest;
    if current.has_newer {
        // It was at a place long ago; the next time it begins at the end again.
        current.restart();
    }
}

/// Moves the list so that what is open is in it.
fn show_in_list(model: &mut Model) {
    let listed = model.listed();
    let Some(place) = model.open.and_then(|open| listed.iter().position(|handle| *handle == open)) else { return };
    // One row says who one is, and one perhaps how many more there are.
    let rows = Areas::of(model).list.map_or(0, |list| usize::from(list.height).saturating_sub(2)).max(1);
    model.list_from = model.list_from.clamp((place + 1).saturating_sub(rows), place);
}

/// Shows the direct conversation with somebody, which may be the first.
pub fn open_direct(model: &mut Model, name: &str) -> Handle {
    let handle = model.handle_called(name).unwrap_or_else(|| {
        let mut conversation = Conversation::new(Kind::Direct(name.to_owned()));
        conversation.active_ms = model.now_ms;
        // As far as is known, nobody has written yet.
        conversation.is_read = true;
        model.add(conversation)
    });
    open(model, handle);
    handle
}

/// Shows the conversation with this person, or the room, which is joined if need be.
pub fn go_to(model: &mut Model, name: &str) {
    match name.strip_prefix('#') {
        None => {
            let before = model.open;
            let handle = open_direct(model, name);
            people::doubt(model, handle, before);
        }
        Some(room) => match model.handle_called(name) {
            Some(handle) if model.conversations.get(&handle).is_some_and(Conversation::is_in) => open(model, handle),
            // Whether this account is in it, the list says.
            _ if !model.is_loaded => {
                model.overlay = None;
                model.arriving = Some(To::Room(room.to_owned()));
            }
            _ => {
                model.overlay = None;
                model.write(Write::JoinRoom(To::Room(room.to_owned())), format!("joined {name}"));
            }
        },
    }
}

/// The conversation so many places further down the list.
pub fn step(model: &mut Model, by: isize) {
    let listed = model.listed();
    if listed.is_empty() {
        return;
    }
    let at = model.open.and_then(|open| listed.iter().position(|handle| *handle == open));
    let next = match at {
        Some(at) => at.saturating_add_signed(by).min(listed.len() - 1),
        None => 0,
    };
    open(model, listed[next]);
}

/// The next conversation with something unread, mentions first.
pub fn next_unread(model: &mut Model) {
    let listed = model.listed();
    let with = |wanted: fn(&Conversation) -> bool| {
        let mut all = listed.iter();
        all.find(|handle| Some(**handle) != model.open && model.conversations.get(*handle).is_some_and(wanted)).copied()
    };
    match with(|one| one.mentions > 0).or_else(|| with(|one| one.unread > 0)) {
        Some(handle) => open(model, handle),
        None => model.say("nothing else is unread"),
    }
}

/// Scrolls the open conversation up (or down) by so many rows.
pub fn scroll(model: &mut Model, up: isize) {
    let areas = Areas::of(model);
    let Some(handle) = model.open else { return };
    let height = usize::from(areas.messages.height);
    let Some(bottom) = Transcript::new(model, handle, areas.messages.width).map(|shown| shown.scrolled(up, height))
    else {
        return;
    };
    if let Some(current) = model.current_mut() {
        current.bottom = bottom;
    }
}

/// Back to the newest.
pub fn to_bottom(model: &mut Model) {
    let Some(current) = model.current_mut() else { return };
    current.bottom = Bottom::Newest;
    current.selected = None;
    if current.has_newer {
        current.restart();
    }
}

/// Makes sure that the selected message is in sight.
pub fn show_selected(model: &mut Model) {
    let areas = Areas::of(model);
    let Some(handle) = model.open else { return };
    let Some(selected) = model.current().and_then(|current| current.selected) else { return };
    let height = usize::from(areas.messages.height);
    let bottom = Transcript::new(model, handle, areas.messages.width).map(|shown| shown.showing(selected, height));
    if let (Some(bottom), Some(current)) = (bottom, model.current_mut()) {
        current.bottom = bottom;
    }
}
