//! Which messages of a conversation a member may see: those of its spans that it has not hidden.
//!
//! History, catching up and "the newest message" all read through here, so that they cannot disagree. Who joins a public
//! room may look up what was there before, but it does not come to its devices as news: see [`Reach`].

use std::ops::ControlFlow;

use crate::{
    hidden::Hidden,
    ids::{AccountId, ConversationId, EventId},
    key::{Key, Range, last_id},
    record::MembershipRecord,
    scan,
    store::{Direction, Read, StoreError},
};

/// A member's view of a conversation.
pub(crate) struct View<'a> {
    pub(crate) store: &'a dyn Read,
    pub(crate) reader: AccountId,
    pub(crate) conversation: ConversationId,
    pub(crate) membership: &'a MembershipRecord,
    pub(crate) reach: Reach,
}

/// How much of a conversation is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What may be read.
    Readable,
    /// What happened while the reader was in.
    Attended,
}

/// Event ids, both ends included; empty where `first` is beyond `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Ids {
    /// Every id there can be.
    pub(crate) const ALL: Self = Self { first: 0, last: u64::MAX };

    fn is_empty(self) -> bool {
        self.first > self.last
    }

    fn intersection(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), last: self.last.min(other.last) }
    }
}

/// Called with each event and its stored record.
pub(crate) type VisitEvent<'a> = dyn FnMut(EventId, &[u8]) -> Result<ControlFlow<()>, StoreError> + 'a;

impl View<'_> {
    /// Visits the messages the reader may see. The visitor must not read the store.
    pub(crate) fn messages(
        &self,
        ids: Ids,
        direction: Direction,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), StoreError> {
        self.spans(ids, direction, &mut |span| match (self.membership.hides, direction) {
            (false, _) => self.scan_messages(span, direction, visit),
            (true, Direction::Ascending) => self.ascend(span, visit),
            (true, Direction::Descending) => self.descend(span, visit),
        })
    }

    /// Whether the reader may see that message, if there is one.
    pub(crate) fn shows(&self, message: EventId) -> Result<bool, StoreError> {
        let hidden = Hidden { account: self.reader, conversation: self.conversation };
        let covered = self.membership.covers(message);
        Ok(covered && !(self.membership.hides && hidden.holds(self.store, message)?))
    }

    /// Visits the other events of the conversation, oldest first. The visitor must not read the store.
    pub(crate) fn notices(&self, ids: Ids, visit: &mut VisitEvent<'_>) -> Result<(), StoreError> {
        self.spans(ids, Direction::Ascending, &mut |span| {
            let key = |id| Key::Notice(self.conversation, EventId(id));
            scan_events(self.store, &Range::inclusive(key(span.first), key(span.last)), Direction::Ascending, visit)
        })
    }

    /// Calls `each` with the parts of `ids` that lie in the reader's spans.
    fn spans(
        &self,
        ids: Ids,
        direction: Direction,
        each: &mut dyn FnMut(Ids) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let whole = self.membership.spans.iter().map(|span| {
            let first = match self.reach {
                Reach::Readable => span.reads_from(),
                Reach::Attended => span.from,
            };
            Ids { first: first.0, last: span.until.map_or(u64::MAX, |until| until.0) }
        });
        let mut parts: Vec<Ids> = Vec::with_capacity(self.membership.spans.len());
        for mut part in whole {
            // What may be read begins before one was in, perhaps before or within earlier spans.
            while let Some(before) = parts.pop_if(|before| part.first <= before.last) {
                part = Ids { first: before.first.min(part.first), last: before.last.max(part.last) };
            }
            parts.push(part);
        }
        let mut parts: Vec<Ids> =
            parts.into_iter().map(|part| ids.intersection(part)).filter(|part| !part.is_empty()).collect();
        if direction == Direction::Descending {
            parts.reverse();
        }
        for part in parts {
            if each(part)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// From the oldest on, stepping over hidden runs.
    fn ascend(&self, mut ids: Ids, visit: &mut VisitEvent<'_>) -> Result<ControlFlow<()>, StoreError> {
        let hidden = Hidden { account: self.reader, conversation: self.conversation };
        if let Some(run) = hidden.starting_up_to(self.store, EventId(ids.first))? {
            ids.first = ids.first.max(run.last.0.saturating_add(1));
        }
        while !ids.is_empty() {
            let Some(run) = hidden.starting_after(self.store, EventId(ids.first))? else {
                return self.scan_messages(ids, Direction::Ascending, visit);
            };
            let part = Ids { first: ids.first, last: ids.last.min(run.first.0.saturating_sub(1)) };
            if self.scan_messages(part, Direction::Ascending, visit)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            ids.first = run.last.0.saturating_add(1);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// From the newest on, stepping over hidden runs.
    fn descend(&self, mut ids: Ids, visit: &mut VisitEvent<'_>) -> Result<ControlFlow<()>, StoreError> {
        let hidden = Hidden { account: self.reader, conversation: self.conversation };
        while !ids.is_empty() {
            let Some(run) = hidden.starting_up_to(self.store, EventId(ids.last))? else {
                return self.scan_messages(ids, Direction::Descending, visit);
            };
            let part = Ids { first: ids.first.max(run.last.0.saturating_add(1)), last: ids.last };
            if self.scan_messages(part, Direction::Descending, visit)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            match run.first.0.checked_sub(1) {
                Some(last) => ids.last = last,
                None => break,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn scan_messages(
        &self,
        ids: Ids,
        direction: Direction,
        visit: &mut VisitEvent<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        if ids.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let key = |id| Key::Message(self.conversation, EventId(id));
        scan_events(self.store, &Range::inclusive(key(ids.first), key(ids.last)), direction, visit)
    }
}

/// Visits a range of events.
pub(crate) fn scan_events(
    store: &dyn Read,
    range: &Range,
    direction: Direction,
    visit: &mut VisitEvent<'_>,
) -> Result<ControlFlow<()>, StoreError> {
    let mut flow = ControlFlow::Continue(());
    scan::scan(store, range, direction, |key, value| {
        flow = visit(EventId(last_id(key)?), value)?;
        Ok(flow)
    })?;
    Ok(flow)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        Position,
        record::Span,
        store::{MemoryStore, Write},
    };

    const READER: AccountId = AccountId(1);
    const CONVERSATION: ConversationId = ConversationId(2);

    proptest! {
        /// Against a list of all messages, filtered: spans, hidden runs, ids and either order.
        #[test]
        fn a_view_is_a_filter(
            messages in 0u64..30,
            hidden in vec(1u64..30, 0..15),
            spans in vec(0u64..70, 0..6),
            looks_back in vec(proptest::option::of(0u64..50), 0..4),
            first in 0u64..70,
            last in 0u64..70,
            limit in 1usize..40,
        ) {
            let mut store = MemoryStore::default();
            // Every second id, so that there is room for ids that are none.
            let event = |number: u64| EventId(number * 2);
            for number in 1..=messages {
                store.put(Key::Message(CONVERSATION, event(number)).bytes(), Vec::new());
            }
            let hidden: BTreeSet<u64> = hidden.into_iter().filter(|number| *number <= messages).collect();
            for number in &hidden {
                Hidden { account: READER, conversation: CONVERSATION }.hide(&mut store, event(*number), *number).unwrap();
            }
            let mut ends: Vec<u64> = spans.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            let open = if ends.len() % 2 == 1 { ends.pop() } else { None };
            let mut looks_back = looks_back.into_iter().chain(std::iter::repeat(None));
            let mut span = |from: u64, until: Option<u64>| {
                let reads_from = looks_back.next().flatten().map(|back| Position(from.saturating_sub(back)));
                Span { from: Position(from), until: until.map(Position), reads_from }
            };
            let mut spans: Vec<Span> = ends.chunks_exact(2).map(|ends| span(ends[0], Some(ends[1]))).collect();
            spans.extend(open.map(|from| span(from, None)));
            let membership = MembershipRecord { spans, hides: true, ..MembershipRecord::since(Position(0)) };
            let within = |event: EventId, reach| match reach {
                Reach::Readable => membership.covers(event),
                Reach::Attended => membership.spans.iter().any(|span| {
                    span.from <= event.position() && span.until.is_none_or(|until| event.position() <= until)
                }),
            };
            let ways = [Direction::Ascending, Direction::Descending];
            for (direction, reach) in ways.into_iter().flat_map(|way| [(way, Reach::Readable), (way, Reach::Attended)]) {
                let view =
                    View { store: &store, reader: READER, conversation: CONVERSATION, membership: &membership, reach };
                for number in 1..=messages {
                    let shown = membership.covers(event(number)) && !hidden.contains(&number);
                    prop_assert_eq!(view.shows(event(number)).unwrap(), shown);
                }
                let mut found = Vec::new();
                view.messages(Ids { first, last }, direction, &mut |event, _| {
                    found.push(event);
                    Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
                }).unwrap();
                let shown = (1..=messages).filter(|number| !hidden.contains(number)).map(event);
                let mut expected: Vec<_> =
                    shown.filter(|event| (first..=last).contains(&event.0) && within(*event, reach)).collect();
                if direction == Direction::Descending {
                    expected.reverse();
                }
                expected.truncate(limit);
                prop_assert_eq!(found, expected);
            }
        }
    }
}
