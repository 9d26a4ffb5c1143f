//! Places for what takes long: so many in all, and so many of them for one account, so that nobody takes them all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use threefold_core::AccountId;

/// Places of one kind.
pub(super) struct Places {
    in_all: usize,
    of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    /// By those who have any.
    by: BTreeMap<AccountId, usize>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    account: AccountId,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All are taken.
    InAll,
    /// The account has as many as it may.
    OfOne(usize),
}

impl Places {
    pub(super) fn new(in_all: usize, of_one: usize) -> Arc<Self> {
        Arc::new(Self { in_all, of_one, taken: Mutex::default() })
    }

    /// One for this account, if there is one.
    pub(super) fn take(self: &Arc<Self>, account: AccountId) -> Result<Place, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by.get(&account).copied().unwrap_or_default();
        if own >= self.of_one {
            return Err(Full::OfOne(self.of_one));
        }
        if taken.in_all >= self.in_all {
            return Err(Full::InAll);
        }
        taken.in_all += 1;
        taken.by.insert(account, own + 1);
        Ok(Place { places: Arc::clone(self), account })
    }

    /// How many are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().unwrap().in_all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.in_all = taken.in_all.saturating_sub(1);
        if let Some(own) = taken.by.get_mut(&self.account) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by.remove(&self.account);
            }
        }
    }
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
