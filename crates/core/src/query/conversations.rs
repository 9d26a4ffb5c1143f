//! Conversations as their members see them.

use super::{ConversationInfo, Paged, account_by_name, each_membership, history, rooms};
use crate::{
    bounds::{PAGE, TYPING_MEMBERS},
    ids::{AccountId, ConversationId, EventId, Position},
    key::Key,
    record::{self, Attendance, ConversationKind, ConversationRecord, DirectRecord, MembershipRecord, RoomRecord},
    reply::Rejection,
    store::{Read, StoreError},
    text,
    visible::{Reach, View},
};

/// The direct conversation of `reader` with the person of that name. The outer rejection: no such user.
///
/// # Errors
/// When the store cannot be read.
pub fn direct_conversation(
    store: &dyn Read,
    reader: AccountId,
    peer_name: &str,
) -> Result<Result<Option<ConversationId>, Rejection>, StoreError> {
    let Some(peer) = account_by_name(store, peer_name)? else {
        return Ok(Err(Rejection::UnknownUser(text::quoted_name(peer_name))));
    };
    let key = Key::Direct(reader.min(peer.account), reader.max(peer.account));
    Ok(Ok(record::get::<DirectRecord>(store, key)?.map(|direct| direct.conversation)))
}

/// One conversation as `reader` sees it.
///
/// # Errors
/// When the store cannot be read.
pub fn conversation(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
) -> Result<Result<ConversationInfo, Rejection>, StoreError> {
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(reader, conversation))? else {
        return Ok(Err(Rejection::UnknownConversation));
    };
    let record: ConversationRecord = record::require(store, Key::Conversation(conversation))?;
    Ok(Ok(info(store, reader, conversation, &membership, &record)?))
}

/// The conversation an event belongs to, if `reader` may see it there.
///
/// No record leads from a message to its conversation (it would double what a message costs), so this looks
/// into the reader's conversations, one read each; only those older than the message.
///
/// # Errors
/// When the store cannot be read.
pub fn conversation_of_message(
    store: &dyn Read,
    reader: AccountId,
    message: EventId,
) -> Result<Option<ConversationId>, StoreError> {
    let mut found = None;
    each_membership(store, reader, None, |id, membership| {
        if id.0 > message.0 {
            return Ok(false);
        }
        if membership.covers(message)
            && (store.get(&Key::Message(id, message).bytes())?.is_some()
                || store.get(&Key::Notice(id, message).bytes())?.is_some())
        {
            found = Some(id);
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// What a conversation is called: by the person it is with, or as a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A direct conversation with this account (or of the reader with itself).
    With(AccountId),
    /// The room of this name; for one who has left it, as it was called then.
    Room(String),
}

/// What a conversation is called, for one who is or was in it: less work than [`conversation`].
///
/// # Errors
/// When the store cannot be read.
pub fn place(store: &dyn Read, reader: AccountId, conversation: ConversationId) -> Result<Option<Place>, StoreError> {
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(reader, conversation))? else {
        return Ok(None);
    };
    if let Some(name) = rooms::name(store, conversation, &membership)? {
        return Ok(Some(Place::Room(name)));
    }
    let record: ConversationRecord = record::require(store, Key::Conversation(conversation))?;
    Ok(record.peer_of(reader).map(Place::With))
}

/// Who is shown that somebody types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    /// The other one of a direct conversation (oneself, where one talks to oneself).
    Peer(AccountId),
    /// All who are in the room.
    Members,
    /// Nobody: the room has more than [`TYPING_MEMBERS`].
    Nobody,
}

/// Who is shown that `account` types in a conversation. Rejected for who is not in it.
///
/// # Errors
/// When the store cannot be read.
pub fn watching(
    store: &dyn Read,
    account: AccountId,
    conversation: ConversationId,
) -> Result<Result<Watching, Rejection>, StoreError> {
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(account, conversation))? else {
        return Ok(Err(Rejection::UnknownConversation));
    };
    match membership.attendance {
        Some(Attendance::In) => {
            let room: RoomRecord = record::require(store, Key::Room(conversation))?;
            Ok(Ok(if room.members > TYPING_MEMBERS { Watching::Nobody } else { Watching::Members }))
        }
        Some(Attendance::Left { name, .. }) => Ok(Err(Rejection::NotInRoom(format!("you are not in #{name}")))),
        None => {
            let record: ConversationRecord = record::require(store, Key::Conversation(conversation))?;
            Ok(Ok(record.peer_of(account).map_or(Watching::Nobody, Watching::Peer)))
        }
    }
}

/// The reader's conversations in the order of their ids, after `after`; no rooms that the reader has left. At most [`PAGE`]
/// of them. With `unread_only`, all of them may have to be looked at.
///
/// # Errors
/// When the store cannot be read.
pub fn conversations(
    store: &dyn Read,
    reader: AccountId,
    unread_only: bool,
    after: Option<ConversationId>,
    limit: usize,
) -> Result<Paged<ConversationInfo>, StoreError> {
    let limit = limit.clamp(1, PAGE);
    let mut items = Vec::new();
    let mut more = false;
    each_membership(store, reader, after, |id, membership| {
        if matches!(membership.attendance, Some(Attendance::Left { .. })) {
            return Ok(true);
        }
        let record: ConversationRecord = record::require(store, Key::Conversation(id))?;
        if unread_only && record.unread(reader, &membership) == 0 {
            return Ok(true);
        }
        more = items.len() == limit;
        if !more {
            items.push(info(store, reader, id, &membership, &record)?);
        }
        Ok(!more)
    })?;
    Ok(Paged { items, more })
}

fn info(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
    membership: &MembershipRecord,
    record: &ConversationRecord,
) -> Result<ConversationInfo, StoreError> {
    let stranger =
        || StoreError::Corrupt(format!("account {reader} has a membership of {conversation} without being in it"));
    let (peer, room) = match record.kind {
        ConversationKind::Direct { .. } => (Some(record.peer_of(reader).ok_or_else(stranger)?), None),
        ConversationKind::Room => (None, Some(rooms::info(store, reader, conversation, Some(membership))?)),
    };
    let peer_read_up_to = match peer.filter(|peer| *peer != reader) {
        Some(peer) => read_up_to(record::get(store, Key::Membership(peer, conversation))?.as_ref()),
        None => Position::default(),
    };
    Ok(ConversationInfo {
        conversation,
        peer,
        room,
        unread: record.unread(reader, membership),
        unread_mentions: membership.mentions.len() as u64,
        read_up_to: read_up_to(Some(membership)),
        peer_read_up_to,
        messages: membership.messages_of(record),
        last: history::newest(&View { store, reader, conversation, membership, reach: Reach::Readable })?,
    })
}

/// How far a member has read. Who is deleted has not, as far as anybody knows.
fn read_up_to(membership: Option<&MembershipRecord>) -> Position {
    let marker = membership.and_then(|membership| membership.marker);
    marker.map_or(Position::default(), |marker| marker.message.position())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bounds::MEMBERSHIP_CHUNK,
        world::{Device, World, send_to},
    };

    /// A person in more conversations than are read at once.
    fn sociable() -> (World, Device, Vec<ConversationId>) {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let ids = (0..MEMBERSHIP_CHUNK + 5).map(|number| {
            world.register(&format!("other{number}"));
            world.send(&mut ann, &format!("other{number}"), "hello").0
        });
        let ids = ids.collect();
        (world, ann, ids)
    }

    #[test]
    fn pages_hold_every_conversation_once() {
        let (world, ann, ids) = sociable();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = conversations(&world.store, ann.account, false, after, 60).unwrap();
            assert!(page.items.len() <= 60);
            found.extend(page.items.iter().map(|info| info.conversation));
            after = found.last().copied();
            if !page.more {
                break;
            }
        }
        assert_eq!(found, ids);
        let exactly = conversations(&world.store, ann.account, false, Some(ids[ids.len() - 4]), 3).unwrap();
        assert_eq!((exactly.items.len(), exactly.more), (3, false));
    }

    #[test]
    fn unread_ones_are_found_behind_many_that_are_not() {
        let (mut world, ann, ids) = sociable();
        assert_eq!(conversations(&world.store, ann.account, true, None, 10).unwrap().items, []);
        let last = account_by_name(&world.store, &format!("other{}", ids.len() - 1)).unwrap().unwrap();
        let mut last = world.log_in(last.account, "phone");
        let (conversation, event) = world.send(&mut last, "ann", "anybody there?");
        let unread = conversations(&world.store, ann.account, true, None, 1).unwrap();
        assert_eq!((unread.items.len(), unread.more), (1, false));
        assert_eq!((unread.items[0].conversation, unread.items[0].unread), (conversation, 1));
        let found = conversation_of_message(&world.store, ann.account, event).unwrap();
        assert_eq!(found, Some(conversation));
    }

    #[test]
    fn direct_conversations_are_found_by_name() {
        let (mut world, mut ann, ids) = sociable();
        let direct = |world: &World, name: &str| direct_conversation(&world.store, ann.account, name).unwrap();
        assert_eq!(direct(&world, "OTHER0"), Ok(Some(ids[0])));
        assert_eq!(direct(&world, "ann"), Ok(None));
        assert_eq!(direct(&world, "nobody"), Err(Rejection::UnknownUser("nobody".to_owned())));
        world.write(&mut ann, send_to("ann", "note"));
        assert!(direct_conversation(&world.store, ann.account, "ann").unwrap().unwrap().is_some());
    }
}
