//! Catching up: everything a reader may see after a position. The one way events reach devices; live delivery
//! is the same, woken early.
//!
//! The events of many conversations are merged by keeping, of all that was found so far, only the oldest few that
//! can still be part of the answer: each conversation is read up to the newest of those and no further. So memory
//! is bounded by the limit, and the more conversations were read, the less is read of the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use super::{CatchUp, current::Current, each_membership};
use crate::{
    bounds::EVENTS_BYTES,
    event::{Event, EventBody, Scope},
    ids::{AccountId, ConversationId, EventId, Position},
    key::{Key, Range},
    record::{self, ConversationRecord, EventRecord, MembershipRecord},
    store::{Direction, Read, StoreError},
    visible::{Ids, Reach, View, scan_events},
};

/// Everything `reader` may see after `after` and not beyond `up_to`, at most about `limit` events: events of
/// each of its conversations while it was in, and its mailbox. With `only`, just of those scopes
/// (the caller knows that nothing else happened). Messages hidden by the reader are left out.
///
/// An edit is shown with the text that the message has now; edits of and reactions to a message that was deleted or
/// hidden are left out too, so that there may be less than the limit although there is more.
///
/// Where the limit cuts it short, or [`EVENTS_BYTES`] does, `reached` is the position of the last event found. Scopes in `only` that the reader is
/// not in are passed over. If `after` is already beyond `up_to`, that is as far as it reaches.
///
/// # Errors
/// When the store cannot be read.
pub fn events_after(
    store: &dyn Read,
    reader: AccountId,
    after: Position,
    up_to: Position,
    only: Option<&BTreeSet<Scope>>,
    limit: usize,
) -> Result<CatchUp, StoreError> {
    if up_to <= after {
        return Ok(CatchUp { events: Vec::new(), reached: after });
    }
    let limit = limit.max(1);
    let mut gathering = Gathering { store, reader, after, up_to, limit, found: BTreeMap::new(), bytes: 0 };
    match only {
        None => {
            gathering.mailbox()?;
            each_membership(store, reader, None, |id, membership| {
                gathering.conversation(id, &membership)?;
                // A conversation opened later than all that is wanted, and so are those that follow.
                Ok(id.0 <= gathering.wanted().last)
            })?;
        }
        Some(scopes) => {
            for scope in scopes {
                match *scope {
                    Scope::Mailbox(account) if account == reader => gathering.mailbox()?,
                    Scope::Mailbox(_) => {}
                    Scope::Conversation(id) => {
                        if let Some(membership) = record::get(store, Key::Membership(reader, id))? {
                            gathering.conversation(id, &membership)?;
                        }
                    }
                }
            }
        }
    }
    gathering.finish()
}

/// What happened in a conversation after `after` and not beyond `up_to`, as it is stored: the events that show edits have no
/// text, and what a member has hidden is there. For whoever serves many members at once, and knows that they were
/// in all the time, and what looks the same to them. At most about `limit` events.
///
/// # Errors
/// When the store cannot be read.
pub fn conversation_events(
    store: &dyn Read,
    conversation: ConversationId,
    after: Position,
    up_to: Position,
    limit: usize,
) -> Result<CatchUp, StoreError> {
    if up_to <= after {
        return Ok(CatchUp { events: Vec::new(), reached: after });
    }
    // Nobody: no account is registered at the log's very beginning.
    let (reader, limit) = (AccountId(0), limit.max(1));
    let mut gathering = Gathering { store, reader, after, up_to, limit, found: BTreeMap::new(), bytes: 0 };
    gathering.conversation(conversation, &MembershipRecord::since(Position(0)))?;
    gathering.into_stored()
}

struct Gathering<'a> {
    store: &'a dyn Read,
    reader: AccountId,
    after: Position,
    up_to: Position,
    limit: usize,
    /// The oldest events found, at most one more than the limit: that one tells that there are more.
    found: BTreeMap<EventId, (Scope, Vec<u8>)>,
    /// Of all that.
    bytes: usize,
}

impl Gathering<'_> {
    /// The ids that can still be part of the answer.
    fn wanted(&self) -> Ids {
        let newest = self.found.last_key_value().filter(|_| self.found.len() > self.limit);
        Ids { first: self.after.0.saturating_add(1), last: newest.map_or(self.up_to.0, |(event, _)| event.0) }
    }

    fn mailbox(&mut self) -> Result<(), StoreError> {
        let scope = Scope::Mailbox(self.reader);
        let key = |id| Key::Mailbox(self.reader, EventId(id));
        let wanted = self.wanted();
        let range = Range::inclusive(key(wanted.first), key(wanted.last));
        let store = self.store;
        let mut visit = |event, value: &[u8]| Ok(self.keep(scope, event, value));
        scan_events(store, &range, Direction::Ascending, &mut visit).map(drop)
    }

    fn conversation(&mut self, id: ConversationId, membership: &MembershipRecord) -> Result<(), StoreError> {
        let conversation: ConversationRecord = record::require(self.store, Key::Conversation(id))?;
        let scope = Scope::Conversation(id);
        let reach = Reach::Attended;
        let view = View { store: self.store, reader: self.reader, conversation: id, membership, reach };
        if conversation.last_message.position() > self.after {
            view.messages(self.wanted(), Direction::Ascending, &mut |event, value| Ok(self.keep(scope, event, value)))?;
        }
        if conversation.last_notice.position() > self.after {
            view.notices(self.wanted(), &mut |event, value| Ok(self.keep(scope, event, value)))?;
        }
        Ok(())
    }

    /// Takes an event in, and the newest one out if there are enough; breaks when no later one is wanted.
    fn keep(&mut self, scope: Scope, event: EventId, value: &[u8]) -> ControlFlow<()> {
        if event.0 > self.wanted().last {
            return ControlFlow::Break(());
        }
        self.found.insert(event, (scope, value.to_vec()));
        self.bytes += value.len();
        if self.found.len() > self.limit + 1 {
            self.drop_newest();
        }
        // Large ones: fewer are enough. One is always given.
        while self.bytes > EVENTS_BYTES && self.found.len() > 2 {
            self.drop_newest();
            self.limit = self.found.len() - 1;
        }
        if event.0 >= self.wanted().last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn drop_newest(&mut self) {
        if let Some((_, (_, value))) = self.found.pop_last() {
            self.bytes -= value.len();
        }
    }

    /// The events as the reader is shown them.
    fn finish(self) -> Result<CatchUp, StoreError> {
        let mut current = Current::new(self.store, self.reader);
        let stored = self.into_stored()?;
        let (mut events, mut bytes) = (Vec::with_capacity(stored.events.len()), 0);
        let mut left = stored.events.into_iter().peekable();
        while let Some(event) = left.next() {
            let reached = event.id.position();
            let shown = current.show(event)?;
            // An edit is stored without its text.
            if let Some(Event { body: EventBody::MessageEdited { body, .. }, .. }) = &shown {
                bytes += body.len();
            }
            events.extend(shown);
            if bytes > EVENTS_BYTES && left.peek().is_some() {
                return Ok(CatchUp { events, reached });
            }
        }
        Ok(CatchUp { events, reached: stored.reached })
    }

    fn into_stored(mut self) -> Result<CatchUp, StoreError> {
        let cut = self.found.len() > self.limit;
        if cut {
            self.found.pop_last();
        }
        let reached = match self.found.last_key_value() {
            Some((event, _)) if cut => event.position(),
            _ => self.up_to,
        };
        let decode = |(event, (scope, value)): (EventId, (Scope, Vec<u8>))| {
            Ok(record::decode::<EventRecord>(&value)?.into_event(event, scope))
        };
        let events = self.found.into_iter().map(decode).collect::<Result<_, StoreError>>()?;
        Ok(CatchUp { events, reached })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::events_after;
    use crate::{
        AccountId, Command, Event, EventBody, Operation, Position, Scope,
        bounds::{BODY_BYTES, EVENTS_BYTES},
        world::{Device, World, send_to},
    };

    /// A person who wrote to ten others within one entry, and has heard from them in the opposite order.
    fn busy() -> (World, Device) {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let mut others: Vec<_> = (0..10).map(|number| world.register(&format!("other{number}"))).collect();
        let opening: Vec<Command> =
            (0..10).map(|number| ann.next(send_to(&format!("other{number}"), "hello"))).collect();
        world.apply(&opening);
        let answers: Vec<Command> = others.iter_mut().rev().map(|other| other.next(send_to("ann", "hi"))).collect();
        world.apply(&answers);
        (world, ann)
    }

    fn in_pages(world: &World, reader: AccountId, limit: usize) -> Vec<Event> {
        let (mut events, mut reached) = (Vec::new(), Position(0));
        while reached < world.position() {
            let page = world.catch_up(reader, reached, limit);
            assert!(page.events.len() <= limit);
            events.extend(page.events);
            reached = page.reached;
        }
        events
    }

    #[test]
    fn many_conversations_of_one_entry_come_in_order_whatever_the_page() {
        let (world, ann) = busy();
        let whole = world.everything(ann.account);
        assert_eq!(whole.len(), 21);
        for limit in 1..25 {
            assert_eq!(in_pages(&world, ann.account, limit), whole, "in pages of {limit}");
        }
    }

    /// So a device that reads slowly holds no more than that, whatever it has to read.
    #[test]
    fn large_messages_come_in_smaller_pages_and_none_is_lost() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let large = "x".repeat(BODY_BYTES);
        for round in 0..40 {
            let to_bob = if round % 3 == 0 { "short" } else { &large };
            world.write(&mut ann, send_to("bob", to_bob));
            world.write(&mut bob, send_to("bob", &large));
        }
        let text_bytes = |event: &Event| match &event.body {
            EventBody::MessageSent { body, .. } => body.len(),
            _ => 0,
        };
        let (mut seen, mut reached, mut pages) = (Vec::new(), Position(0), 0);
        while reached < world.position() {
            let page = world.catch_up(bob.account, reached, 256);
            assert!(page.events.iter().map(text_bytes).sum::<usize>() <= EVENTS_BYTES);
            assert!(page.reached > reached);
            seen.extend(page.events);
            (reached, pages) = (page.reached, pages + 1);
        }
        // With the session that was opened.
        assert_eq!(seen.len(), 81);
        assert!(seen.is_sorted_by(|one, next| one.id < next.id));
        assert_eq!(seen.iter().map(text_bytes).sum::<usize>(), 66 * BODY_BYTES + 14 * "short".len());
        assert!((5..=8).contains(&pages), "{pages} pages: about as large as they may be");
    }

    #[test]
    fn edits_of_large_messages_come_in_smaller_pages_too() {
        let mut world = World::new();
        let (mut ann, bob) = (world.register("ann"), world.register("bob"));
        let large = "x".repeat(BODY_BYTES - 1);
        let sent: Vec<_> = (0..40).map(|_| world.send(&mut ann, "bob", &large)).collect();
        let before = world.position();
        for (conversation, message) in &sent {
            let (conversation, message, body) = (*conversation, *message, format!("{large}y"));
            world.write(&mut ann, Operation::EditMessage { conversation, message, body });
        }
        let (mut edited, mut reached, mut pages) = (Vec::new(), before, 0);
        while reached < world.position() {
            let page = world.catch_up(bob.account, reached, 256);
            assert!(page.events.len() <= EVENTS_BYTES / BODY_BYTES + 1 && page.reached > reached);
            edited.extend(page.events.iter().map(|event| match &event.body {
                EventBody::MessageEdited { message, body, .. } if body.len() == BODY_BYTES => *message,
                other => panic!("{other:?}"),
            }));
            (reached, pages) = (page.reached, pages + 1);
        }
        assert!(edited.into_iter().eq(sent.into_iter().map(|(_, message)| message)));
        assert_eq!(pages, 3);
    }

    #[test]
    fn a_page_that_is_just_full_reaches_the_end() {
        let (world, ann) = busy();
        let page = world.catch_up(ann.account, Position(0), 21);
        assert_eq!((page.events.len(), page.reached), (21, world.position()));
        let page = world.catch_up(ann.account, Position(0), 20);
        assert_eq!(page.reached, page.events[19].id.position());
        let none = world.catch_up(ann.account, world.position(), 20);
        assert_eq!((none.events.len(), none.reached), (0, world.position()));
    }

    #[test]
    fn a_position_beyond_the_end_is_not_taken_back() {
        let (world, ann) = busy();
        let ahead = Position(world.position().0 + 1);
        let page = events_after(&world.store, ann.account, ahead, world.position(), None, 9).unwrap();
        assert_eq!((page.events.len(), page.reached), (0, ahead));
        let page = events_after(&world.store, ann.account, Position(u64::MAX), Position(u64::MAX), None, 9).unwrap();
        assert!(page.events.is_empty());
    }

    #[test]
    fn scopes_of_others_are_passed_over() {
        let (world, ann) = busy();
        let eve = AccountId(1);
        let scopes: BTreeSet<Scope> = world.everything(ann.account).iter().map(|event| event.scope).collect();
        let page = events_after(&world.store, eve, Position(0), world.position(), Some(&scopes), 9).unwrap();
        assert_eq!((page.events.len(), page.reached), (0, world.position()));
    }
}
