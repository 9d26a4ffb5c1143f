//! What an event changes. Pure: what is to be done outside is handed back as effects.

mod commands;
mod complete;
mod events;
mod keys;
mod mouse;
mod news;
mod overlays;
mod sending;

pub use commands::{COMMANDS, expanded};
pub use overlays::candidates;
use threefold_client::{Page, To};

use super::{
    conversation::{Bottom, Conversation, Kind, Loading},
    layout::Areas,
    model::{Composing, Effect, Event, Handle, Model, Write},
    transcript::{Transcript, unknown_quotes},
};

/// Between two looks at who is online.
const ONLINE_EVERY_MS: u64 = 10_000;
/// Of all the conversations a screen keeps open, those loaded beyond this many are read again when wanted.
const LOADED: usize = 50;

/// Takes one event in.
pub fn update(model: &mut Model, event: Event) -> Vec<Effect> {
    match event {
        Event::Tick(now_ms) => tick(model, now_ms),
        Event::News(news) => news::take(model, *news),
        Event::Terminal(event) => terminal(model, event),
    }
    look_around(model);
    std::mem::take(&mut model.effects)
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

/// After whatever happened: reads on where something is missing, and notes what was seen.
fn look_around(model: &mut Model) {
    let arrived = model.arriving.as_ref().and_then(|to| match to {
        To::Room(name) => model.handle_called(&format!("#{name}")),
        To::Conversation(id) => model.handle_of(*id),
        To::User(_) => None,
    });
    if let Some(handle) = arrived.filter(|handle| model.conversations.get(handle).is_some_and(Conversation::is_in)) {
        model.arriving = None;
        open(model, handle);
    }
    let Some(handle) = model.open else { return };
    let areas = Areas::of(model);
    let height = usize::from(areas.messages.height);
    let Some(current) = model.conversations.get(&handle) else { return };
    let (to, loading) = (current.to(), current.loading);
    if current.id.is_some() && loading == Loading::Never {
        load(model, handle, Page::Before(0));
    } else if loading == Loading::Done && current.has_older && !current.items.is_empty() {
        let oldest = current.items.keys().next().copied().unwrap_or(0);
        if Transcript::new(model, handle, areas.messages.width).is_some_and(|shown| shown.is_near_top(height)) {
            load(model, handle, Page::Before(oldest));
        }
    } else if loading == Loading::Done && current.has_newer && current.bottom == Bottom::Newest {
        let newest = current.last().unwrap_or(0);
        load(model, handle, Page::After(newest));
    }
    let wanted = unknown_quotes(model, handle);
    let Some(current) = model.conversations.get_mut(&handle) else { return };
    if let (false, Some(conversation)) = (wanted.is_empty(), current.id) {
        model.asked.extend(&wanted);
        for messages in wanted.chunks(100) {
            model.effects.push(Effect::LoadQuoted { conversation, messages: messages.to_vec() });
        }
    }
    let Some(current) = model.conversations.get_mut(&handle) else { return };
    if current.is_room() && !current.members_known && current.is_in() {
        current.members_known = true;
        model.effects.push(Effect::LoadMembers { handle, of: to });
    }
    let is_seen = model.focused && model.overlay.is_none() && current.is_at_bottom();
    if is_seen && current.unread > 0 && current.loading == Loading::Done {
        (current.unread, current.mentions) = (0, 0);
        current.read_up_to = current.told;
        current.mark_due = Some(current.told).filter(|told| *told > 0);
    }
}

/// Asks for a page, unless one is on its way.
pub fn load(model: &mut Model, handle: Handle, page: Page) {
    let Some(conversation) = model.conversations.get_mut(&handle) else { return };
    if conversation.loading == Loading::Asked {
        return;
    }
    conversation.loading = Loading::Asked;
    let of = conversation.to();
    model.effect(Effect::LoadHistory { handle, of, page });
}

/// Shows a conversation.
pub fn open(model: &mut Model, handle: Handle) {
    model.overlay = None;
    model.completion = None;
    if model.open == Some(handle) || !model.conversations.contains_key(&handle) {
        return;
    }
    leave_open(model);
    model.open = Some(handle);
    if let Some(current) = model.conversations.get_mut(&handle) {
        current.divider = (current.unread > 0 && current.read_up_to > 0).then_some(current.read_up_to);
        model.editor = std::mem::take(&mut current.draft);
    }
    forget_some(model);
}

/// Puts away the one that was open.
fn leave_open(model: &mut Model) {
    model.composing = Composing::Message;
    let editor = std::mem::take(&mut model.editor);
    if let Some(current) = model.current_mut() {
        current.draft = editor;
        current.divider = None;
        current.selected = None;
        current.bottom = Bottom::Newest;
        if current.has_newer {
            // It was at a place long ago; the next time it begins at the end again.
            current.items.clear();
            current.loading = Loading::Never;
            (current.has_older, current.has_newer) = (false, false);
        }
    }
}

/// What was read of conversations that nobody has looked at for long is forgotten.
fn forget_some(model: &mut Model) {
    let is_loaded = |one: &&Conversation| one.loading == Loading::Done;
    if model.conversations.values().filter(is_loaded).count() <= LOADED {
        return;
    }
    let open = model.open;
    let idle = model.listed().into_iter().rev().find(|handle| {
        Some(*handle) != open && model.conversations.get(handle).is_some_and(|one| one.loading == Loading::Done)
    });
    if let Some(one) = idle.and_then(|handle| model.conversations.get_mut(&handle)) {
        one.items.clear();
        one.loading = Loading::Never;
        (one.has_older, one.has_newer) = (false, false);
    }
}

/// Shows the direct conversation with somebody, which may be the first.
pub fn open_direct(model: &mut Model, name: &str) -> Handle {
    let handle = model.handle_called(name).unwrap_or_else(|| {
        let mut conversation = Conversation::new(Kind::Direct(name.to_owned()));
        conversation.active_ms = model.now_ms;
        conversation.loading = Loading::Done;
        model.add(conversation)
    });
    open(model, handle);
    handle
}

/// Shows the conversation with this person, or the room, which is joined if need be.
pub fn go_to(model: &mut Model, name: &str) {
    match name.strip_prefix('#') {
        None => {
            open_direct(model, name);
        }
        Some(room) => match model.handle_called(name) {
            Some(handle) if model.conversations.get(&handle).is_some_and(Conversation::is_in) => open(model, handle),
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
    let Some(handle) = model.open else { return };
    let Some(current) = model.conversations.get_mut(&handle) else { return };
    current.bottom = Bottom::Newest;
    current.selected = None;
    if current.has_newer {
        current.loading = Loading::Never;
        load(model, handle, Page::Before(0));
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
