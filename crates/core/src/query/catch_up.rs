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

use super::{CatchUp, each_membership};
use crate::{
    event::Scope,
    ids::{AccountId, ConversationId, EventId, Position},
    key::{Key, Range},
    record::{self, ConversationRecord, EventRecord, MembershipRecord},
    store::{Direction, Read, StoreError},
    visible::{Ids, View, scan_events},
};

/// Everything `reader` may see after `after` and not beyond `up_to`, at most about `limit` events: events of
/// each of its conversations during its membership, and its mailbox. With `only`, just of those scopes
/// (the caller knows that nothing else happened). Messages hidden by the reader are left out.
///
/// Where the limit cuts it short, `reached` is the last event's own position. Scopes in `only` that the reader is
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
    let mut gathering = Gathering { store, reader, after, up_to, limit, found: BTreeMap::new() };
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

struct Gathering<'a> {
    store: &'a dyn Read,
    reader: AccountId,
    after: Position,
    up_to: Position,
    limit: usize,
    /// The oldest events found, at most one more than the limit: that one tells that there are more.
    found: BTreeMap<EventId, (Scope, Vec<u8>)>,
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
        let view = View { store: self.store, reader: self.reader, conversation: id, membership };
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
        if self.found.len() > self.limit + 1 {
            self.found.pop_last();
        }
        if event.0 >= self.wanted().last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn finish(mut self) -> Result<CatchUp, StoreError> {
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
