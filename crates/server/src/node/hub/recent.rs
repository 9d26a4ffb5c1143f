//! The newest events of rooms that many follow here, read from the state once for all of them.
//!
//! Promises: a follower is given here exactly what it would have read itself, or nothing, and then reads for itself. So only events
//! are kept that look the same to every member, and they are given only to one who was in the room all the time that they
//! are of (the hub knows). What is kept is bounded by [`ROOMS`], [`EVENTS`] and [`BYTES`], and may be forgotten at any time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use threefold_core::{ConversationId, Event, EventBody, Position};

use super::seen::Common;

/// Followers of a room from which on reading it once for all is worth the trouble. (In tests always.)
pub(super) const SHARED_FROM: usize = if cfg!(test) { 1 } else { 8 };
/// Rooms kept. With the two others: at most 64 MiB.
const ROOMS: usize = 256;
/// Events of a room: a burst and those who are a little late.
pub(super) const EVENTS: usize = 128;
/// Bytes of a room's events, with what gateways make of them.
const BYTES: usize = 256 * 1024;

/// An event is kept as it is, as the message that is sent, as protobuf, and as JSON, which may take six bytes for one.
const AS_KEPT: usize = 9;
/// What a file takes beside its names, and a mention with its name.
const PART_BYTES: usize = 128;

/// The newest events of some rooms.
#[derive(Default)]
pub(super) struct Recent {
    rooms: BTreeMap<ConversationId, Room>,
}

/// What happened in a room after `from`, as far as it was read.
struct Room {
    /// Nothing before this is here.
    from: Position,
    /// The newest event there is.
    newest: Position,
    events: VecDeque<Arc<Common>>,
    bytes: usize,
}

/// What there is for a follower.
#[derive(Debug)]
pub(super) enum Found {
    /// All that happened.
    Events(Vec<Arc<Common>>),
    /// To be read first: what happened after this.
    Missing(Position),
    /// It must read for itself.
    Nothing,
}

impl Recent {
    /// Something happened in a room that many follow.
    pub(super) fn note(&mut self, room: ConversationId, position: Position) {
        if let Some(known) = self.rooms.get_mut(&room) {
            known.newest = position;
            return;
        }
        if self.rooms.len() >= ROOMS {
            self.rooms.pop_first();
        }
        let from = Position(position.0.saturating_sub(1));
        self.rooms.insert(room, Room { from, newest: position, events: VecDeque::new(), bytes: 0 });
    }

    /// Not so many follow it any more, or it cannot be relied on.
    pub(super) fn forget(&mut self, room: ConversationId) {
        self.rooms.remove(&room);
    }

    /// Everything.
    pub(super) fn forget_all(&mut self) {
        self.rooms.clear();
    }

    /// What happened in a room after one position up to another, which is the newest of the hub.
    pub(super) fn find(&self, room: ConversationId, after: Position, up_to: Position) -> Found {
        let Some(room) = self.rooms.get(&room).filter(|room| room.from <= after) else { return Found::Nothing };
        let read = room.events.back().map_or(room.from, |event| event.id.position());
        if read < room.newest {
            return Found::Missing(read);
        }
        let wanted = room.events.iter().rev().take_while(|event| event.id.position() > after);
        let mut events: Vec<_> = wanted.filter(|event| event.id.position() <= up_to).cloned().collect();
        events.reverse();
        Found::Events(events)
    }

    /// What was read of a room: all that happened after `after`, up to the last of these events.
    pub(super) fn add(&mut self, id: ConversationId, after: Position, events: Vec<Event>) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        for event in events {
            let read = room.events.back().map_or(room.from, |event| event.id.position());
            // Read by another follower meanwhile; or not all that lies between is known.
            if event.id.position() <= read || read < after {
                continue;
            }
            if !looks_the_same(&event.body) {
                room.begin_after(event.id.position());
                continue;
            }
            room.bytes += bytes(&event);
            room.events.push_back(Arc::new(Common::new(event)));
            while room.events.len() > EVENTS || room.bytes > BYTES {
                let Some(oldest) = room.events.pop_front() else { break };
                room.bytes -= bytes(&oldest);
                room.from = oldest.id.position();
            }
        }
    }
}

impl Room {
    /// Forgets what was up to a position.
    fn begin_after(&mut self, position: Position) {
        self.from = position;
        self.events.clear();
        self.bytes = 0;
    }
}

/// Whether it looks the same to every member, and changes nothing that was told before it.
fn looks_the_same(body: &EventBody) -> bool {
    match body {
        EventBody::MessageSent { deleted, .. } => !deleted,
        EventBody::RoomOpened { .. }
        | EventBody::MemberJoined { .. }
        | EventBody::MemberLeft { .. }
        | EventBody::MemberRemoved { .. }
        | EventBody::RoleChanged { .. }
        | EventBody::RoomChanged { .. } => true,
        // An edit has its text from the message, and neither it nor a reaction is shown where the message is hidden.
        EventBody::MessageEdited { .. }
        | EventBody::ReactionChanged { .. }
        | EventBody::PeerRead { .. }
        | EventBody::MessagesDeleted { .. }
        | EventBody::ReadMarkerMoved { .. }
        | EventBody::MessagesHidden { .. }
        | EventBody::SessionOpened { .. }
        | EventBody::SessionEnded { .. }
        | EventBody::PasswordChanged { .. }
        | EventBody::PasswordReset { .. }
        | EventBody::Invited { .. }
        | EventBody::InvitationEnded { .. } => false,
    }
}

fn bytes(event: &Event) -> usize {
    let text = match &event.body {
        EventBody::MessageSent { body, mentions, attachments, .. } => {
            let files = attachments.iter().flatten().map(|file| PART_BYTES + file.name.len() + file.content_type.len());
            body.len() + files.sum::<usize>() + mentions.len() * PART_BYTES
        }
        _ => 0,
    };
    AS_KEPT * (size_of::<Event>() + text)
}

#[cfg(test)]
mod tests {
    use threefold_core::{AccountId, EventId, Scope};

    use super::*;

    const ROOM: ConversationId = ConversationId(1);

    fn event(id: u64, body: EventBody) -> Event {
        Event { id: EventId(id), time_ms: 1, scope: Scope::Conversation(ROOM), body }
    }

    fn left(id: u64) -> Event {
        event(id, EventBody::MemberLeft { account: AccountId(id) })
    }

    fn ids(found: &Found) -> Vec<u64> {
        match found {
            Found::Events(events) => events.iter().map(|event| event.id.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_one_has_read_serves_all_who_were_told_before() {
        let mut recent = Recent::default();
        assert!(matches!(recent.find(ROOM, Position(9), Position(10)), Found::Nothing));
        recent.note(ROOM, Position(10));
        recent.note(ROOM, Position(12));
        assert!(matches!(recent.find(ROOM, Position(9), Position(12)), Found::Missing(Position(9))));
        recent.add(ROOM, Position(9), vec![left(10)]);
        assert!(matches!(recent.find(ROOM, Position(9), Position(12)), Found::Missing(Position(10))));
        recent.add(ROOM, Position(10), vec![left(12)]);
        // Two may read the same.
        recent.add(ROOM, Position(9), vec![left(10), left(12)]);
        assert_eq!(ids(&recent.find(ROOM, Position(9), Position(12))), [10, 12]);
        assert_eq!(ids(&recent.find(ROOM, Position(10), Position(12))), [12]);
        assert_eq!(ids(&recent.find(ROOM, Position(9), Position(11))), [10]);
        assert!(matches!(recent.find(ROOM, Position(8), Position(12)), Found::Nothing), "an earlier one is not here");
        recent.forget(ROOM);
        assert!(matches!(recent.find(ROOM, Position(9), Position(12)), Found::Nothing));
    }

    #[test]
    fn what_does_not_look_the_same_to_all_is_read_by_each() {
        let mut recent = Recent::default();
        recent.note(ROOM, Position(10));
        recent.note(ROOM, Position(12));
        let deleted = EventBody::MessagesDeleted { by: AccountId(1), messages: vec![EventId(10)] };
        recent.add(ROOM, Position(9), vec![left(10), event(11, deleted), left(12)]);
        assert!(matches!(recent.find(ROOM, Position(9), Position(12)), Found::Nothing));
        assert!(matches!(recent.find(ROOM, Position(10), Position(12)), Found::Nothing));
        assert_eq!(ids(&recent.find(ROOM, Position(11), Position(12))), [12]);
    }

    #[test]
    fn a_gap_is_not_bridged() {
        let mut recent = Recent::default();
        recent.note(ROOM, Position(10));
        recent.note(ROOM, Position(20));
        // It was read after another event than the last that is here.
        recent.add(ROOM, Position(15), vec![left(20)]);
        assert!(matches!(recent.find(ROOM, Position(9), Position(20)), Found::Missing(Position(9))));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut recent = Recent::default();
        for room in 0..ROOMS as u64 + 10 {
            recent.note(ConversationId(room), Position(10));
        }
        assert_eq!(recent.rooms.len(), ROOMS);
        let room = ConversationId(ROOMS as u64);
        let many = EVENTS as u64 + 10;
        recent.note(room, Position(9 + many));
        recent.add(room, Position(9), (10..10 + many).map(left).collect());
        assert_eq!(recent.rooms[&room].events.len(), EVENTS);
        assert!(matches!(recent.find(room, Position(9), Position(9 + many)), Found::Nothing));
        assert_eq!(ids(&recent.find(room, Position(19), Position(9 + many))).len(), EVENTS);
    }
}
