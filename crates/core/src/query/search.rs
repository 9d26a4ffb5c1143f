//! What a search in messages reads: what a reader may see of what an index proposes, and what no index holds yet.
//!
//! An index knows nothing of readers. So whatever it proposes passes [`visible_message`], which reads what stands in
//! the state now and whether this reader may see it; and what happened after its position comes from
//! [`recent_messages`]. A search is never more than these two.

use std::ops::ControlFlow;

use super::{Shown, each_membership, reactions};
use crate::{
    changes::retold,
    event::{Event, EventBody, Scope},
    ids::{AccountId, ConversationId, EventId, Position},
    key::{Key, Range, last_id},
    record::{self, ConversationRecord, EventRecord, MembershipRecord},
    scan,
    store::{Direction, Read, StoreError},
    visible::{Ids, Reach, View},
};

/// What happened since a position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// Messages written, or rewritten, since; each once, newest first.
    pub messages: Vec<Event>,
    /// These are all of them: the limit cut nothing off.
    pub all: bool,
}

/// The conversations the reader is or was in: ids only, so that many of them are cheap. All of them.
///
/// # Errors
/// When the store cannot be read.
pub fn conversation_ids(store: &dyn Read, reader: AccountId) -> Result<Vec<ConversationId>, StoreError> {
    let mut ids = Vec::new();
    scan::scan(store, &Range::memberships(reader), Direction::Ascending, |key, _| {
        ids.push(ConversationId(last_id(key)?));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(ids)
}

/// A message with its text, if the reader may see it now: it was in the conversation then, has not hidden it, and it
/// was not deleted.
///
/// # Errors
/// When the store cannot be read.
pub fn visible_message(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
    message: EventId,
) -> Result<Option<Event>, StoreError> {
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(reader, conversation))? else {
        return Ok(None);
    };
    seen_in(&View { store, reader, conversation, membership: &membership, reach: Reach::Readable }, message)
}

fn seen_in(view: &View<'_>, message: EventId) -> Result<Option<Event>, StoreError> {
    if !view.shows(message)? {
        return Ok(None);
    }
    let record: Option<EventRecord> = record::get(view.store, Key::Message(view.conversation, message))?;
    let event = record.map(|record| record.into_event(message, Scope::Conversation(view.conversation)));
    Ok(event.filter(has_text))
}

/// A message that was found, with the reactions to it.
///
/// # Errors
/// When the store cannot be read.
pub fn with_reactions(store: &dyn Read, reader: AccountId, event: Event) -> Result<Shown, StoreError> {
    let bare = |event| Shown { event, reactions: Vec::new() };
    let Scope::Conversation(conversation) = event.scope else { return Ok(bare(event)) };
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(reader, conversation))? else {
        return Ok(bare(event));
    };
    let view = View { store, reader, conversation, membership: &membership, reach: Reach::Readable };
    Ok(reactions::shown(&view, vec![event.clone()])?.pop().unwrap_or_else(|| bare(event)))
}

fn has_text(event: &Event) -> bool {
    matches!(event.body, EventBody::MessageSent { deleted: false, .. })
}

/// The messages that were written or rewritten after `after` and that the reader may see, older than `before`, in one
/// conversation or all. At most about `limit` are looked at, and of every conversation in which something happened one
/// at least.
///
/// # Errors
/// When the store cannot be read.
pub fn recent_messages(
    store: &dyn Read,
    reader: AccountId,
    only: Option<ConversationId>,
    after: Position,
    before: Option<EventId>,
    limit: usize,
) -> Result<Recent, StoreError> {
    let mut gathering = Gathering { store, reader, after, before, left: limit, cut: false, found: Vec::new() };
    match only {
        Some(id) => {
            if let Some(membership) = record::get(store, Key::Membership(reader, id))? {
                gathering.conversation(id, &membership)?;
            }
        }
        None => each_membership(store, reader, None, |id, membership| {
            gathering.conversation(id, &membership)?;
            Ok(!gathering.cut)
        })?,
    }
    let Gathering { mut found, cut, .. } = gathering;
    found.sort_by_key(|event| std::cmp::Reverse(event.id));
    found.dedup_by_key(|event| event.id);
    Ok(Recent { messages: found, all: !cut })
}

struct Gathering<'a> {
    store: &'a dyn Read,
    reader: AccountId,
    after: Position,
    before: Option<EventId>,
    /// Events that may still be looked at.
    left: usize,
    /// There were more.
    cut: bool,
    found: Vec<Event>,
}

impl Gathering<'_> {
    fn conversation(&mut self, id: ConversationId, membership: &MembershipRecord) -> Result<(), StoreError> {
        let conversation: ConversationRecord = record::require(self.store, Key::Conversation(id))?;
        let view =
            View { store: self.store, reader: self.reader, conversation: id, membership, reach: Reach::Readable };
        if conversation.last_message.position() > self.after {
            self.written(&view)?;
        }
        if conversation.last_notice.position() > self.after {
            self.rewritten(&view)?;
        }
        Ok(())
    }

    fn written(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        let last = match self.before {
            Some(before) => before.0.saturating_sub(1),
            None => u64::MAX,
        };
        let ids = Ids { first: self.after.0.saturating_add(1), last };
        view.messages(ids, Direction::Descending, &mut |message, value| {
            if self.look().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let record: EventRecord = record::decode(value)?;
            let event = record.into_event(message, Scope::Conversation(view.conversation));
            self.found.extend(Some(event).filter(has_text));
            Ok(ControlFlow::Continue(()))
        })
    }

    fn rewritten(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        let mut touched = Vec::new();
        let ids = Ids { first: self.after.0.saturating_add(1), last: u64::MAX };
        view.notices(ids, &mut |_, value| {
            if self.look().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            touched.extend(retold(&record::decode::<EventRecord>(value)?.body));
            Ok(ControlFlow::Continue(()))
        })?;
        for message in touched {
            // Those after the position were found as they were written.
            let is_wanted = message.position() <= self.after && self.before.is_none_or(|before| message < before);
            if is_wanted {
                self.found.extend(seen_in(view, message)?);
            }
        }
        Ok(())
    }

    /// One more event is looked at; breaks when there are too many.
    fn look(&mut self) -> ControlFlow<()> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                ControlFlow::Continue(())
            }
            None => {
                self.cut = true;
                ControlFlow::Break(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DeleteScope::{Everyone, Me},
        store::Write as _,
        world::{World, text},
    };

    #[test]
    fn nobody_sees_a_strangers_a_hidden_or_a_deleted_message() {
        let mut world = World::new();
        let (mut ann, mut bob, eve) = (world.register("ann"), world.register("bob"), world.register("eve"));
        let (conversation, one) = world.send(&mut ann, "bob", "one");
        let (_, two) = world.send(&mut bob, "ann", "two");
        let seen = |world: &World, reader: AccountId, message| {
            let found = visible_message(&world.store, reader, conversation, message).unwrap();
            let recent = recent_messages(&world.store, reader, None, Position(0), None, 9).unwrap();
            assert!(recent.all);
            assert_eq!(recent.messages.iter().any(|event| event.id == message), found.is_some());
            found.as_ref().map(text)
        };
        assert_eq!(seen(&world, ann.account, one), Some("one".to_owned()));
        assert_eq!(seen(&world, eve.account, one), None);
        world.delete(&mut bob, conversation, &[one], Me);
        assert_eq!(seen(&world, bob.account, one), None);
        assert_eq!(seen(&world, ann.account, one), Some("one".to_owned()), "hidden by another");
        world.delete(&mut bob, conversation, &[two], Everyone);
        assert_eq!(seen(&world, ann.account, two), None);
        assert_eq!(seen(&world, ann.account, EventId(one.0 + 1)), None);
        assert_eq!(conversation_ids(&world.store, ann.account).unwrap(), [conversation]);
        assert_eq!(conversation_ids(&world.store, eve.account).unwrap(), []);
    }

    #[test]
    fn nobody_sees_what_was_before_or_after_their_time() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let sent = ["one", "two", "three"].map(|body| world.send(&mut ann, "ann", body));
        let conversation = sent[0].0;
        let span = record::Span { from: sent[1].1.position(), until: Some(sent[1].1.position()), reads_from: None };
        let membership = MembershipRecord { spans: vec![span], ..MembershipRecord::since(Position(0)) };
        world.store.put(Key::Membership(ann.account, conversation).bytes(), record::encode(&membership));
        let seen = sent.map(|(_, id)| visible_message(&world.store, ann.account, conversation, id).unwrap().is_some());
        assert_eq!(seen, [false, true, false]);
        let recent = recent_messages(&world.store, ann.account, None, Position(0), None, 9).unwrap();
        assert_eq!(recent.messages.iter().map(text).collect::<Vec<_>>(), ["two"]);
    }

    #[test]
    fn recent_messages_are_the_newest_first_and_bounded() {
        let mut world = World::new();
        let (mut ann, _bob) = (world.register("ann"), world.register("bob"));
        let (notes, one) = world.send(&mut ann, "ann", "one");
        let (_, two) = world.send(&mut ann, "bob", "two");
        world.send(&mut ann, "ann", "three");
        let recent = |only, after, before, limit| {
            let recent = recent_messages(&world.store, ann.account, only, after, before, limit).unwrap();
            (recent.messages.iter().map(text).collect::<Vec<_>>().join(" "), recent.all)
        };
        assert_eq!(recent(None, Position(0), None, 9), ("three two one".to_owned(), true));
        assert_eq!(recent(None, one.position(), None, 9), ("three two".to_owned(), true));
        assert_eq!(recent(Some(notes), Position(0), None, 9), ("three one".to_owned(), true));
        assert_eq!(recent(None, Position(0), Some(two), 9), ("one".to_owned(), true));
        assert_eq!(recent(None, Position(0), None, 3), ("three two one".to_owned(), true));
        assert!(!recent(None, Position(0), None, 2).1);
        assert_eq!(recent(Some(ConversationId(1)), Position(0), None, 9), (String::new(), true));
    }
}
