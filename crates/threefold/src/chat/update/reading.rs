//! What is read without anybody's asking for it: the list, the pages that come into sight, what they quote, who is in a room. And what
//! counts as seen: only what was read.
//!
//! Nothing is read before it is known from where on everything is told: between the two, something would be missing for good.
//! What could not be had is asked for again after a while, by the ticks. When the session is over, nothing is asked.

use threefold_client::{Page, To};

use super::open;
use crate::chat::{
    conversation::{Asked, Bottom, Conversation},
    layout::Areas,
    model::{Effect, Handle, Model},
    request::Again,
    transcript::{Transcript, unknown_quotes},
};

/// Of all the conversations a screen keeps open, those read beyond this many are read again when wanted.
const READ: usize = 50;
/// Messages that are asked for by their ids at once, at most.
const QUOTES: usize = 100;

/// After whatever happened: reads on where something is missing, and notes what was seen.
pub fn look_around(model: &mut Model) {
    if model.over.is_some() || !model.has_begun {
        return;
    }
    ask_list(model);
    arrive(model);
    let Some(handle) = model.open else { return };
    ask_page(model, handle);
    ask_quotes(model, handle);
    ask_members(model, handle);
    note_seen(model, handle);
}

/// A server answers again: what could not be had meanwhile is asked for at once.
pub fn ask_soon(model: &mut Model) {
    (model.list_again, model.quotes_again) = (Again::default(), Again::default());
    for one in model.conversations.values_mut() {
        (one.again, one.members_again) = (Again::default(), Again::default());
    }
}

/// Asks for the list of conversations, if it is wanted.
fn ask_list(model: &mut Model) {
    if model.list_wanted && model.list_again.is_due(model.now_ms) {
        model.list_wanted = false;
        let request = model.request();
        model.list_asked = Some(request);
        model.effect(Effect::LoadAll(request));
    }
}

/// Shows the room that was joined, once it is here: unless something else is being written meanwhile.
fn arrive(model: &mut Model) {
    let arrived = model.arriving.as_ref().and_then(|to| match to {
        To::Room(name) => model.handle_called(&format!("#{name}")),
        To::Conversation(id) => model.handle_of(*id),
        To::User(_) => None,
    });
    if let Some(handle) = arrived.filter(|handle| model.conversations.get(handle).is_some_and(Conversation::is_in)) {
        model.arriving = None;
        if model.is_idle() {
            open(model, handle);
        }
    }
}

fn ask_page(model: &mut Model, handle: Handle) {
    let Some(current) = model.conversations.get(&handle) else { return };
    if current.asked.is_some() || !current.again.is_due(model.now_ms) {
        return;
    }
    if current.id.is_some() && !current.is_read {
        ask(model, handle, Page::Before(0));
    } else if current.has_newer && current.bottom == Bottom::Newest {
        let newest = current.last().unwrap_or(0);
        ask(model, handle, Page::After(newest));
    } else if let Some(oldest) = current.items.keys().next().copied().filter(|_| current.has_older) {
        let areas = Areas::of(model);
        let height = usize::from(areas.messages.height);
        if Transcript::new(model, handle, areas.messages.width).is_some_and(|shown| shown.is_near_top(height)) {
            ask(model, handle, Page::Before(oldest));
        }
    }
}

/// Asks for a page, whatever else is on its way.
pub fn ask(model: &mut Model, handle: Handle, page: Page) {
    let request = model.request();
    let Some(conversation) = model.conversations.get_mut(&handle) else { return };
    conversation.asked = Some(Asked { request, page });
    let of = conversation.to();
    model.effect(Effect::LoadHistory { request, handle, of, page });
}

fn ask_quotes(model: &mut Model, handle: Handle) {
    if !model.quotes_again.is_due(model.now_ms) {
        return;
    }
    let wanted = unknown_quotes(model, handle);
    let Some(conversation) = model.conversations.get(&handle).and_then(|current| current.id) else { return };
    model.asked.extend(&wanted);
    for messages in wanted.chunks(QUOTES) {
        model.effects.push(Effect::LoadQuoted { conversation, messages: messages.to_vec() });
    }
}

fn ask_members(model: &mut Model, handle: Handle) {
    let now_ms = model.now_ms;
    let is_wanted = |current: &&Conversation| {
        current.is_room() && current.is_in() && current.members_asked.is_none() && current.members_again.is_due(now_ms)
    };
    if model.conversations.get(&handle).filter(is_wanted).is_some() {
        load_members(model, handle);
    }
}

/// Asks who is in a room; with which request.
pub fn load_members(model: &mut Model, handle: Handle) -> u64 {
    let request = model.request();
    if let Some(room) = model.conversations.get_mut(&handle) {
        room.members_asked = Some(request);
        let of = room.to();
        model.effect(Effect::LoadMembers { request, handle, of });
    }
    request
}

/// What is in sight has been seen: where it was read, and somebody looks.
fn note_seen(model: &mut Model, handle: Handle) {
    let is_looked_at = model.focused && model.overlay.is_none();
    let Some(current) = model.conversations.get_mut(&handle) else { return };
    if is_looked_at && current.unread > 0 && current.is_seen_to_the_end() {
        (current.unread, current.mentions) = (0, 0);
        current.read_up_to = current.told;
        current.mark_due = Some(current.told).filter(|told| *told > 0);
    }
}

/// What was read of conversations that nobody has looked at for long is forgotten.
pub fn forget_some(model: &mut Model) {
    if model.conversations.values().filter(|one| one.is_read).count() <= READ {
        return;
    }
    let open = model.open;
    let idle = model.listed().into_iter().rev().find(|handle| {
        Some(*handle) != open && model.conversations.get(handle).is_some_and(|one| one.is_read && one.id.is_some())
    });
    if let Some(one) = idle.and_then(|handle| model.conversations.get_mut(&handle)) {
        one.restart();
    }
}
