//! Which messages of a conversation a member may see: those of its spans that it has not hidden.
//!
//! History, catching up and "the newest message" all read through here, so that they cannot disagree.

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
        let parts = self.membership.spans.iter().map(|span| {
            ids.intersection(Ids { first: span.from.0, last: span.until.map_or(u64::MAX, |until| until.0) })
        });
        let mut parts: Vec<Ids> = parts.filter(|part| !part.is_empty()).collect();
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
