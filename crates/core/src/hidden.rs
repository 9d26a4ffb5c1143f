//! Messages that an account has deleted for itself only.
//!
//! Neighbouring hidden messages are one record, a run. So a reader steps over any number of them with one
//! read, and a page of history costs about what it shows, whatever was hidden. Neighbours are told by the
//! numbers of messages; readers need only their ids.

use crate::{
    ids::{AccountId, ConversationId, EventId},
    key::{Key, Range},
    record::HiddenRecord,
    scan,
    store::{Direction, Read, StoreError, Write},
};

/// A run of hidden messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: EventId,
    pub(crate) last: EventId,
    first_number: u64,
    last_number: u64,
}

/// The runs of one account in one conversation.
#[derive(Clone, Copy)]
pub(crate) struct Hidden {
    pub(crate) account: AccountId,
    pub(crate) conversation: ConversationId,
}

impl Hidden {
    /// The last run that starts at or before `event`: the one that holds it, if any does.
    pub(crate) fn starting_up_to(self, store: &dyn Read, event: EventId) -> Result<Option<Run>, StoreError> {
        let range = Range::inclusive(self.key(EventId(0)), self.key(event));
        Ok(scan::first(store, &range, Direction::Descending)?.map(run))
    }

    /// The first run that starts after `event`.
    pub(crate) fn starting_after(self, store: &dyn Read, event: EventId) -> Result<Option<Run>, StoreError> {
        let range = Range::inclusive(self.key(EventId(0)), self.key(EventId(u64::MAX))).after(self.key(event));
        Ok(scan::first(store, &range, Direction::Ascending)?.map(run))
    }

    /// Whether that message is hidden.
    pub(crate) fn holds(self, store: &dyn Read, event: EventId) -> Result<bool, StoreError> {
        Ok(self.starting_up_to(store, event)?.is_some_and(|run| event <= run.last))
    }

    /// Hides a message that is not hidden yet, the `number`th of its conversation.
    pub(crate) fn hide(self, store: &mut dyn Write, event: EventId, number: u64) -> Result<(), StoreError> {
        let mut hidden = Run { first: event, last: event, first_number: number, last_number: number };
        if let Some(before) = self.starting_up_to(store, event)?
            && before.last_number.checked_add(1) == Some(number)
        {
            // Its record lies under its first message and is overwritten below.
            hidden = Run { first: before.first, first_number: before.first_number, ..hidden };
        }
        if let Some(after) = self.starting_after(store, event)?
            && number.checked_add(1) == Some(after.first_number)
        {
            hidden = Run { last: after.last, last_number: after.last_number, ..hidden };
            store.delete(self.key(after.first).bytes());
        }
        let Run { first, last, first_number, last_number } = hidden;
        let record = HiddenRecord { last, first_number, last_number };
        store.put(self.key(first).bytes(), crate::record::encode(&record));
        Ok(())
    }

    fn key(self, first: EventId) -> Key<'static> {
        Key::Hidden(self.account, self.conversation, first)
    }
}

fn run((first, record): (u64, HiddenRecord)) -> Run {
    let HiddenRecord { last, first_number, last_number } = record;
    Run { first: EventId(first), last, first_number, last_number }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::store::MemoryStore;

    fn event(number: u64) -> EventId {
        EventId(number * 10)
    }

    proptest! {
        /// Whatever the order, exactly the hidden are hidden, in as few records as there are gaps.
        #[test]
        fn runs_are_a_set(numbers in proptest::collection::vec(1u64..40, 0..40)) {
            let hidden = Hidden { account: AccountId(1), conversation: ConversationId(2) };
            let mut store = MemoryStore::default();
            let mut model = BTreeSet::new();
            for number in numbers {
                prop_assert_eq!(hidden.holds(&store, event(number)).unwrap(), model.contains(&number));
                if model.insert(number) {
                    hidden.hide(&mut store, event(number), number).unwrap();
                }
            }
            for number in 0..42 {
                prop_assert_eq!(hidden.holds(&store, event(number)).unwrap(), model.contains(&number));
            }
            let runs = model.iter().filter(|number| !model.contains(&(**number - 1))).count();
            prop_assert_eq!(store.entries.len(), runs);
        }
    }
}
