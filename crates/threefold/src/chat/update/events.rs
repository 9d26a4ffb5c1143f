//! What the cluster tells of: messages, edits, reactions, deletions, markers, rooms.

use threefold_client::chat::{
    self, MemberJoined, Message, MessageEdited, Person, Reaction, ReactionChanged, Role, RoomName, event::Body,
};

use super::outbox;
use crate::{
    chat::{
        conversation::{Conversation, Item, Kind},
        model::{Bell, Effect, Handle, Model},
        text::one_line,
    },
    commands::render::role_name,
};

/// Between two rings of the bell.
const RING_EVERY_MS: u64 = 1_000;

/// Takes an event in.
pub fn take(model: &mut Model, event: chat::Event) {
    let (id, time_ms) = (event.id, event.time_ms);
    match event.body {
        Some(Body::Message(message)) => message_came(model, message),
        Some(Body::MessageEdited(edited)) => message_edited(model, edited, time_ms),
        Some(Body::ReactionChanged(changed)) => reaction_changed(model, &changed),
        Some(Body::MessagesDeleted(deleted)) => {
            for id in &deleted.messages {
                quoted(model, *id, |message| {
                    message.deleted = true;
                    message.body.clear();
                });
            }
            with(model, deleted.conversation, |one| {
                for id in &deleted.messages {
                    if let Some(message) = one.message_mut(*id) {
                        message.deleted = true;
                        message.body.clear();
                        message.attachments.clear();
                        message.reactions.clear();
                    }
                }
            });
        }
        Some(Body::MessagesHidden(hidden)) => {
            for id in &hidden.messages {
                quoted(model, *id, |_| {});
                if let Some(hidden) = model.quoted.get_mut(id) {
                    *hidden = None;
                }
            }
            with(model, hidden.conversation, |one| one.items.retain(|id, _| !hidden.messages.contains(id)));
        }
        Some(Body::ReadMarkerMoved(moved)) => {
            with(model, moved.conversation, |one| {
                // What this screen has read since counts more.
                if moved.up_to >= one.read_up_to {
                    (one.read_up_to, one.unread) = (moved.up_to, moved.unread);
                    one.mentions = one.mentions.min(moved.unread);
                }
            });
        }
        Some(Body::PeerRead(read)) => {
            let account = model.account;
            with(model, read.conversation, |one| {
                if read.by != account {
                    one.peer_read_up_to = one.peer_read_up_to.max(read.up_to);
                }
            });
        }
        Some(Body::SessionOpened(opened)) => {
            model.say(format!("this account logged in on another device: {}", one_line(&opened.device)));
        }
        Some(Body::PasswordReset(_)) => model.complain("an administrator gave this account another password"),
        Some(Body::SessionEnded(_) | Body::PasswordChanged(_)) | None => {}
        Some(body) => room_event(model, id, time_ms, body),
    }
}

/// Changes an answered message that is not here but for its being answered.
fn quoted(model: &mut Model, id: u64, change: impl FnOnce(&mut Message)) {
    match model.quoted.get_mut(&id) {
        Some(Some(message)) => change(message),
        // Perhaps it is on its way, as it was.
        None if model.asked.contains(&id) => {
            model.quotes_changed.insert(id);
        }
        Some(None) | None => {}
    }
}

fn with(model: &mut Model, conversation: u64, change: impl FnOnce(&mut Conversation)) {
    if let Some(one) = model.handle_of(conversation).and_then(|handle| model.conversations.get_mut(&handle)) {
        change(one);
    }
}

/// Where a message belongs; the place is made if this is the first one.
fn place(model: &mut Model, message: &Message) -> Handle {
    if let Some(handle) = model.handle_of(message.conversation) {
        return handle;
    }
    let kind = if message.room_name.is_empty() {
        Kind::Direct(message.peer_name.clone())
    } else {
        let (conversation, name) = (message.conversation, message.room_name.clone());
        Kind::Room(chat::Room { conversation, name, role: Role::Member.into(), ..chat::Room::default() })
    };
    // One that was opened here before anybody had written.
    let title = Conversation::new(kind.clone()).title();
    let known = model
        .handle_called(&title)
        .filter(|handle| model.conversations.get(handle).is_some_and(|one| one.id.is_none()));
    let handle = known.unwrap_or_else(|| model.add(Conversation::new(kind)));
    if let Some(one) = model.conversations.get_mut(&handle) {
        one.becomes(message.conversation);
    }
    handle
}

fn message_came(model: &mut Model, message: Message) {
    let handle = place(model, &message);
    model.delivered = model.delivered.max(message.id);
    model.people.saw_as(&message.author_name, &message.author_display_name);
    let is_own = message.author == model.account;
    let (conversation, author) = (message.conversation, message.author);
    model.typists.retain(|typist| typist.conversation != conversation || typist.account != author);
    if is_own {
        outbox::seen(model, handle, &message);
    }
    let mentions_me = message.mentions.iter().any(|mention| mention.account == model.account);
    let is_open = model.open == Some(handle);
    let is_elsewhere = !is_open || !model.focused;
    let Some(one) = model.conversations.get_mut(&handle) else { return };
    if message.id <= one.counted && !one.items.contains_key(&message.id) && !one.is_read {
        // It was counted when the conversations were read.
        return;
    }
    let is_news = message.id > one.counted;
    one.counted = one.counted.max(message.id);
    one.was_told(message.id);
    one.active_ms = one.active_ms.max(message.time_ms);
    if is_news && is_own && one.is_room() {
        (one.unread, one.mentions) = (0, 0);
        one.read_up_to = message.id;
    } else if is_news && !is_own {
        if one.unread == 0 && one.divider.is_none() && is_elsewhere {
            one.divider = Some(message.id - 1);
        }
        one.unread += 1;
        one.mentions += u64::from(mentions_me);
    }
    let is_direct = !one.is_room();
    // Where it is looked at, the page with what was before is asked for, if it is not here.
    if one.is_open_ended() || (is_open && !one.has_newer) {
        one.put(message.id, Item::Message(message));
    }
    if is_news && !is_own && (mentions_me || is_direct) {
        ring(model, is_elsewhere);
    }
}

/// Rings, if it is wanted: once for what comes at about the same time, such as all that was missed.
fn ring(model: &mut Model, is_elsewhere: bool) {
    let is_wanted = match model.bell {
        Bell::Never => false,
        Bell::Away => is_elsewhere,
        Bell::Always => true,
    };
    if is_wanted && model.now_ms.saturating_sub(model.rang_ms) >= RING_EVERY_MS {
        model.rang_ms = model.now_ms;
        model.effect(Effect::Bell);
    }
}

fn message_edited(model: &mut Model, edited: MessageEdited, time_ms: u64) {
    quoted(model, edited.message, |message| message.body.clone_from(&edited.body));
    with(model, edited.conversation, |one| {
        if let Some(message) = one.message_mut(edited.message) {
            message.body = edited.body;
            message.mentions = edited.mentions;
            message.edited_at_ms = time_ms;
        }
    });
}

fn reaction_changed(model: &mut Model, changed: &ReactionChanged) {
    let account = model.account;
    with(model, changed.conversation, |one| {
        let Some(message) = one.message_mut(changed.message) else { return };
        let own = |before: bool| if changed.account == account { changed.added } else { before };
        match message.reactions.iter_mut().find(|reaction| reaction.emoji == changed.emoji) {
            Some(reaction) => {
                reaction.count = changed.count;
                reaction.own = own(reaction.own);
            }
            None => {
                message.reactions.push(Reaction { emoji: changed.emoji.clone(), count: changed.count, own: own(false) })
            }
        }
        message.reactions.retain(|reaction| reaction.count > 0);
    });
}

/// What happens in rooms is told among their messages.
fn room_event(model: &mut Model, id: u64, time_ms: u64, body: Body) {
    let name = |person: &Option<Person>| {
        let name = person.as_ref().map_or("", |person| person.name.as_str());
        if name.is_empty() { "(deleted user)".to_owned() } else { one_line(name) }
    };
    let is_me =
        |person: &Option<Person>, model: &Model| person.as_ref().is_some_and(|one| one.account == model.account);
    match body {
        Body::RoomOpened(opened) => {
            let own = is_me(&opened.by, model);
            let Some(handle) = room(model, opened.room.as_ref()) else { return };
            if let Some(room) = model.conversations.get_mut(&handle).and_then(Conversation::room_mut) {
                room.topic.clone_from(&opened.topic);
                room.public = opened.public;
                room.created_at_ms = time_ms;
                if own {
                    room.set_role(Role::Owner);
                    room.members = room.members.max(1);
                }
            }
            notice(model, handle, id, time_ms, format!("{} made this room", name(&opened.by)));
        }
        Body::MemberJoined(joined) => member_joined(model, id, time_ms, &joined, &name(&joined.member)),
        Body::MemberLeft(left) => {
            let own = is_me(&left.member, model);
            gone(model, id, time_ms, left.room.as_ref(), own, format!("{} left", name(&left.member)));
        }
        Body::MemberRemoved(removed) => {
            let own = is_me(&removed.member, model);
            let text = format!("{} was removed by {}", name(&removed.member), name(&removed.by));
            if own && let Some(room) = &removed.room {
                model.complain(format!("{} removed you from #{}", name(&removed.by), one_line(&room.name)));
            }
            gone(model, id, time_ms, removed.room.as_ref(), own, text);
        }
        Body::RoleChanged(changed) => {
            let own = is_me(&changed.member, model);
            let Some(handle) = room(model, changed.room.as_ref()) else { return };
            if let Some(one) = model.conversations.get_mut(&handle) {
                one.members_asked = None;
                if let Some(room) = one.room_mut().filter(|_| own) {
                    room.set_role(changed.role());
                }
            }
            let text = format!("{} is {} now", name(&changed.member), role_name(changed.role()));
            notice(model, handle, id, time_ms, text);
        }
        Body::RoomChanged(changed) => {
            let Some(handle) = room(model, changed.room.as_ref()) else { return };
            let mut told = Vec::new();
            if let Some(room) = model.conversations.get_mut(&handle).and_then(Conversation::room_mut) {
                if let Some(name) = &changed.name {
                    room.name.clone_from(name);
                    told.push(format!("it is called #{} now", one_line(name)));
                }
                if let Some(topic) = &changed.topic {
                    room.topic.clone_from(topic);
                    told.push(format!("the topic is: {}", one_line(topic)));
                }
                if let Some(public) = changed.public {
                    room.public = public;
                    told.push(format!("it is {} now", if public { "public" } else { "private" }));
                }
            }
            notice(model, handle, id, time_ms, format!("{}: {}", name(&changed.by), told.join("; ")));
        }
        Body::Invited(invited) => {
            if let Some(room) = &invited.room {
                model.say(format!("{} invites you to #{}: /invitations", name(&invited.by), one_line(&room.name)));
            }
            model.effect(Effect::ListInvitations);
        }
        Body::InvitationEnded(ended) => {
            model.invitations.retain(|invitation| invitation.conversation != ended.conversation);
        }
        _ => {}
    }
}

fn member_joined(model: &mut Model, id: u64, time_ms: u64, joined: &MemberJoined, name: &str) {
    let is_me = joined.member.as_ref().is_some_and(|one| one.account == model.account);
    let Some(handle) = room(model, joined.room.as_ref()) else { return };
    if let Some(one) = model.conversations.get_mut(&handle) {
        one.members_asked = None;
        if let Some(room) = one.room_mut() {
            room.members += 1;
            if is_me && room.role() == Role::Unspecified {
                room.set_role(Role::Member);
            }
        }
        if is_me {
            // What the room is about, and how many are in it, only the cluster knows.
            one.active_ms = time_ms;
            one.restart();
            model.list_wanted = true;
        }
    }
    notice(model, handle, id, time_ms, format!("{name} joined"));
}

fn gone(model: &mut Model, id: u64, time_ms: u64, at: Option<&RoomName>, own: bool, text: String) {
    let Some(handle) = room(model, at) else { return };
    if let Some(one) = model.conversations.get_mut(&handle) {
        one.members_asked = None;
        if let Some(room) = one.room_mut() {
            room.members = room.members.saturating_sub(1);
            if own {
                room.set_role(Role::Unspecified);
            }
        }
        if own {
            (one.unread, one.mentions) = (0, 0);
        }
    }
    if own && model.open == Some(handle) {
        // What was being written was meant for there.
        model.history.add(model.editor.text());
        super::leave(model);
    }
    notice(model, handle, id, time_ms, text);
}

/// The room of an event; made if it is new here.
fn room(model: &mut Model, named: Option<&RoomName>) -> Option<Handle> {
    let named = named?;
    if let Some(handle) = model.handle_of(named.conversation) {
        return Some(handle);
    }
    let mut one = Conversation::new(Kind::Room(chat::Room {
        conversation: named.conversation,
        name: named.name.clone(),
        ..chat::Room::default()
    }));
    one.becomes(named.conversation);
    Some(model.add(one))
}

fn notice(model: &mut Model, handle: Handle, id: u64, time_ms: u64, text: String) {
    if let Some(one) = model.conversations.get_mut(&handle).filter(|one| one.is_open_ended()) {
        one.put(id, Item::Notice { time_ms, text });
    }
}
