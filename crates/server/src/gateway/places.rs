//! Places for what takes long: so many in all, and so many of them for one account (or whoever else is told apart), so that nobody takes
//! them all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use threefold_core::AccountId;
use threefold_proto::convert::Refusal;

/// Places of one kind.
pub(super) struct Places<K: Ord = AccountId> {
    in_all: usize,
    of_one: usize,
    taken: Mutex<Taken<K>>,
}

struct Taken<K> {
    in_all: usize,
    /// By those who have any.
    by: BTreeMap<K, usize>,
}

/// A place, until it is dropped.
pub(super) struct Place<K: Ord = AccountId> {
    places: Arc<Places<K>>,
    whose: K,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All are taken.
    InAll,
    /// The account has as many as it may.
    OfOne(usize),
}

impl<K: Ord + Copy> Places<K> {
    pub(super) fn new(in_all: usize, of_one: usize) -> Arc<Self> {
        let taken = Taken { in_all: 0, by: BTreeMap::new() };
        Arc::new(Self { in_all, of_one, taken: Mutex::new(taken) })
    }

    /// One for this account, if there is one.
    pub(super) fn take(self: &Arc<Self>, whose: K) -> Result<Place<K>, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by.get(&whose).copied().unwrap_or_default();
        if own >= self.of_one {
            return Err(Full::OfOne(self.of_one));
        }
        if taken.in_all >= self.in_all {
            return Err(Full::InAll);
        }
        taken.in_all += 1;
        taken.by.insert(whose, own + 1);
        Ok(Place { places: Arc::clone(self), whose })
    }

    /// How many are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().unwrap().in_all
    }
}

impl<K: Ord> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.in_all = taken.in_all.saturating_sub(1);
        if let Some(own) = taken.by.get_mut(&self.whose) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by.remove(&self.whose);
            }
        }
    }
}

/// A place for one of these, of that account.
pub(super) fn place(places: &Arc<Places>, account: AccountId, what: &str) -> Result<Place, Refusal> {
    places.take(account).map_err(|full| {
        Refusal::Overloaded(match full {
            Full::InAll => format!("too many {what} at once: try again soon"),
            Full::OfOne(bound) => format!("one account has at most {bound} {what} at once: wait for one of them"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_and_what_is_given_back_can_be_taken_again() {
        let places = Places::new(3, 2);
        let of = |account| places.take(AccountId(account));
        let (first, _second) = (of(1).ok().unwrap(), of(1).ok().unwrap());
        assert_eq!(of(1).err(), Some(Full::OfOne(2)));
        let third = of(2).ok().unwrap();
        assert_eq!(of(3).err(), Some(Full::InAll));
        drop(first);
        let _fourth = of(1).ok().unwrap();
        drop(third);
        assert_eq!(places.taken.lock().unwrap().by, BTreeMap::from([(AccountId(1), 2)]), "who has none is forgotten");
    }
}
