//! What derived data is made of: every change of a message's text between two positions, conversation by conversation.
//!
//! A search index, or whatever else can be made anew from the state, keeps a position and reads from here what came
//! after it. There is no second log for that: messages lie in the order of their ids, and what is done to one later
//! leaves a notice in its conversation.
//!
//! Promises: a bounded number of records at a time, each chunk good on a view of its own; all chunks together tell of
//! every message written, rewritten or deleted for everyone after the one position and not beyond the other, with the
//! text it has *now*. Left out on purpose: whose. Nothing from here may be shown to anybody; that is what
//! [`crate::query`] is for.

use std::ops::ControlFlow;

use crate::{
    event::EventBody,
    ids::{AccountId, ConversationId, EventId, Position},
    key::{Key, Range},
    record::{self, ConversationRecord, EventRecord},
    scan,
    store::{Direction, Read, StoreError},
    visible::scan_events,
};

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was written, and nothing is known of it from before.
    Written(Text),
    /// It has another text than it had.
    Rewritten(Text),
    /// It was deleted for everyone.
    Gone(EventId),
}

/// A message's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Which message.
    pub message: EventId,
    /// By whom.
    pub author: AccountId,
    /// As it is now.
    pub body: String,
}

/// How far a conversation's changes have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// Its messages up to here. They come first.
    Messages(Position),
    /// Its messages, and its notices up to here.
    Notices(Position),
}

/// Some changes in their order, and where to go on; none: that was all.
pub type Chunk = (Vec<Change>, Option<Cursor>);

/// The conversations in which something happened after `since`, in the order of their ids, of the next `limit` after
/// `after`; and the last one looked at, if there may be more behind it.
///
/// # Errors
/// When the store cannot be read.
pub fn conversations(
    store: &dyn Read,
    since: Position,
    after: Option<ConversationId>,
    limit: usize,
) -> Result<(Vec<ConversationId>, Option<ConversationId>), StoreError> {
    let range = Range::conversations();
    let range = match after {
        Some(after) => range.after(Key::Conversation(after)),
        None => range,
    };
    let chunk = scan::collect::<ConversationRecord>(store, &range, limit)?;
    let last = chunk.last().map(|(id, _)| ConversationId(*id)).filter(|_| chunk.len() == limit);
    let changed =
        chunk.into_iter().filter(|(_, one)| one.last_message.position() > since || one.last_notice.position() > since);
    Ok((changed.map(|(id, _)| ConversationId(id)).collect(), last))
}

/// The next changes in a conversation, after `cursor` and not beyond `up_to`: of at most `limit` events. Begins with
/// [`Cursor::Messages`] at `since`, to which the notices return when the messages are through.
///
/// # Errors
/// When the store cannot be read.
pub fn of_conversation(
    store: &dyn Read,
    conversation: ConversationId,
    since: Position,
    cursor: Cursor,
    up_to: Position,
    limit: usize,
) -> Result<Chunk, StoreError> {
    match cursor {
        Cursor::Messages(after) => {
            let (changes, reached) = messages(store, conversation, after, up_to, limit)?;
            Ok((changes, Some(reached.map_or(Cursor::Notices(since), Cursor::Messages))))
        }
        Cursor::Notices(after) => {
            let (changes, reached) = notices(store, conversation, after, up_to, limit)?;
            Ok((changes, reached.map(Cursor::Notices)))
        }
    }
}

fn messages(
    store: &dyn Read,
    conversation: ConversationId,
    after: Position,
    up_to: Position,
    limit: usize,
) -> Result<(Vec<Change>, Option<Position>), StoreError> {
    let key = |id| Key::Message(conversation, EventId(id));
    let (mut changes, mut seen, mut reached) = (Vec::new(), 0, None);
    if after >= up_to {
        return Ok((changes, None));
    }
    let range = Range::inclusive(key(after.0.saturating_add(1)), key(up_to.0));
    let _ = scan_events(store, &range, Direction::Ascending, &mut |message, value| {
        changes.extend(text_of(message, record::decode(value)?).map(Change::Written));
        seen += 1;
        if seen < limit {
            return Ok(ControlFlow::Continue(()));
        }
        reached = Some(message.position());
        Ok(ControlFlow::Break(()))
    })?;
    Ok((changes, reached))
}

fn notices(
    store: &dyn Read,
    conversation: ConversationId,
    after: Position,
    up_to: Position,
    limit: usize,
) -> Result<(Vec<Change>, Option<Position>), StoreError> {
    let key = |id| Key::Notice(conversation, EventId(id));
    let (mut touched, mut seen, mut reached) = (Vec::new(), 0, None);
    if after >= up_to {
        return Ok((Vec::new(), None));
    }
    let range = Range::inclusive(key(after.0.saturating_add(1)), key(up_to.0));
    let _ = scan_events(store, &range, Direction::Ascending, &mut |notice, value| {
        touched.extend(retold(&record::decode::<EventRecord>(value)?.body));
        seen += 1;
        if seen < limit {
            return Ok(ControlFlow::Continue(()));
        }
        reached = Some(notice.position());
        Ok(ControlFlow::Break(()))
    })?;
    let mut changes = Vec::with_capacity(touched.len());
    for message in touched {
        let record: Option<EventRecord> = record::get(store, Key::Message(conversation, message))?;
        let text = record.and_then(|record| text_of(message, record));
        changes.push(text.map_or(Change::Gone(message), Change::Rewritten));
    }
    Ok((changes, reached))
}

/// The messages whose text an event of a conversation changed or took away.
pub(crate) fn retold(body: &EventBody) -> Vec<EventId> {
    match body {
        EventBody::MessagesDeleted { messages, .. } => messages.clone(),
        EventBody::MessageEdited { message, .. } => vec![*message],
        EventBody::MessageSent { .. }
        | EventBody::ReadMarkerMoved { .. }
        | EventBody::MessagesHidden { .. }
        | EventBody::SessionOpened { .. }
        | EventBody::SessionEnded { .. }
        | EventBody::PasswordChanged { .. }
        | EventBody::PasswordReset { .. }
        | EventBody::ReactionChanged { .. }
        | EventBody::PeerRead { .. }
        | EventBody::RoomOpened { .. }
        | EventBody::MemberJoined { .. }
        | EventBody::MemberLeft { .. }
        | EventBody::MemberRemoved { .. }
        | EventBody::RoleChanged { .. }
        | EventBody::RoomChanged { .. }
        | EventBody::Invited { .. }
        | EventBody::InvitationEnded { .. } => Vec::new(),
    }
}

/// The text of a message; none of a tombstone, or of what is no message.
fn text_of(message: EventId, record: EventRecord) -> Option<Text> {
    let EventBody::MessageSent { author, body, deleted: false, .. } = record.body else { return None };
    Some(Text { message, author, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DeleteScope::{Everyone, Me},
        Operation,
        world::World,
    };

    const END: Position = Position(u64::MAX);

    /// All changes after a position, in chunks of `limit`.
    fn all(world: &World, since: Position, limit: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut after = None;
        loop {
            let (found, last) = conversations(&world.store, since, after, limit).unwrap();
            for conversation in found {
                let mut next = Some(Cursor::Messages(since));
                while let Some(cursor) = next {
                    let (chunk, further) =
                        of_conversation(&world.store, conversation, since, cursor, END, limit).unwrap();
                    assert!(chunk.len() <= limit.max(crate::bounds::DELETE_IDS));
                    changes.extend(chunk);
                    next = further;
                }
            }
            match last {
                Some(last) => after = Some(last),
                None => return changes,
            }
        }
    }

    #[test]
    fn everything_that_happened_to_texts_is_told_in_chunks_of_any_size() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "one");
        let (_, two) = world.send(&mut bob, "ann", "two");
        let (_, three) = world.send(&mut ann, "ann", "three");
        let text = |message, author, body: &str| Text { message, author, body: body.to_owned() };
        let written = [
            Change::Written(text(one, ann.account, "one")),
            Change::Written(text(two, bob.account, "two")),
            Change::Written(text(three, ann.account, "three")),
        ];
        for limit in 1..6 {
            assert_eq!(all(&world, Position(0), limit), written);
            assert_eq!(all(&world, two.position(), limit), written[2..]);
        }
        let before = three.position();
        world.delete(&mut ann, conversation, &[one, two], Me);
        assert_eq!(all(&world, before, 3), [], "what one reader hides changes no text");
        world.delete(&mut ann, conversation, &[one], Everyone);
        for body in ["two, edited", "two, edited again"] {
            let edit = Operation::EditMessage { conversation, message: two, body: body.to_owned() };
            world.write(&mut bob, edit);
        }
        let edited = text(two, bob.account, "two, edited again");
        let later = [Change::Gone(one), Change::Rewritten(edited.clone())];
        for limit in 1..4 {
            assert_eq!(all(&world, before, limit), later, "one notice a message, with the newest text");
            let first = [Change::Written(edited.clone())];
            assert_eq!(all(&world, Position(0), limit), [&first, &later[..], &written[2..]].concat());
        }
    }

    #[test]
    fn nothing_beyond_the_end_is_told() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let (conversation, one) = world.send(&mut ann, "ann", "one");
        let (_, two) = world.send(&mut ann, "ann", "two");
        let read = |since: Position, up_to: EventId| {
            let cursor = Cursor::Messages(since);
            of_conversation(&world.store, conversation, since, cursor, up_to.position(), 9).unwrap().0.len()
        };
        assert_eq!((read(Position(0), one), read(Position(0), two), read(two.position(), one)), (1, 2, 0));
    }
}
