//! Names of people and rooms, remembered for a moment: every delivered message bears two of them, and reading an
//! account costs more than all the rest of delivering one.
//!
//! Promises: a deleted account's name, and the old name of a room, are no longer shown one second after this server
//! knows of the change. Deleted accounts are never remembered. Who a direct conversation is with never changes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use threefold_core::{
    AccountId, ConversationId,
    query::{self, Place},
};
use threefold_proto::convert::{Names, PlaceName};
use tokio::time::Instant;

use super::door::Door;

/// A name is looked up again after this. A frame that many are told lives as long (`stream/told.rs`): both together are the longest that a deleted
/// account's name is still shown.
pub(super) const NAME_LIFE: Duration = Duration::from_millis(500);
/// Names and peers kept, each: about 2 MiB; enough for everybody talking within the same second.
const ENTRIES: usize = 10_000;

/// How an account is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    name: String,
    display_name: String,
}

/// Remembers names.
#[derive(Default)]
pub struct Directory {
    names: Mutex<BTreeMap<AccountId, (Shown, Instant)>>,
    peers: Mutex<BTreeMap<(AccountId, ConversationId), AccountId>>,
    rooms: Mutex<BTreeMap<(AccountId, ConversationId), (String, Instant)>>,
}

impl Directory {
    /// Names as `reader` sees them.
    pub fn of<'a, D: Door>(&'a self, door: &'a D, reader: AccountId) -> View<'a, D> {
        View { directory: self, door, reader }
    }

    /// A part of how the account is shown; empty where it is deleted.
    fn shown(
        &self,
        account: AccountId,
        part: impl FnOnce(&Shown) -> &String,
        look_up: impl FnOnce() -> Option<Shown>,
    ) -> String {
        let now = Instant::now();
        if let Some((shown, until)) = lock(&self.names).get(&account)
            && now < *until
        {
            return part(shown).clone();
        }
        // Not under the lock: the store may block.
        let Some(shown) = look_up() else {
            lock(&self.names).remove(&account);
            return String::new();
        };
        let wanted = part(&shown).clone();
        let mut names = lock(&self.names);
        if names.len() >= ENTRIES {
            names.retain(|_, (_, until)| now < *until);
        }
        if names.len() < ENTRIES {
            names.insert(account, (shown, now + NAME_LIFE));
        }
        wanted
    }

    fn place(
        &self,
        reader: AccountId,
        conversation: ConversationId,
        look_up: impl FnOnce() -> Option<Place>,
    ) -> Option<Place> {
        let key = (reader, conversation);
        if let Some(peer) = lock(&self.peers).get(&key) {
            return Some(Place::With(*peer));
        }
        let now = Instant::now();
        if let Some((name, until)) = lock(&self.rooms).get(&key)
            && now < *until
        {
            return Some(Place::Room(name.clone()));
        }
        let place = look_up()?;
        match &place {
            Place::With(peer) => remember(&mut lock(&self.peers), key, *peer),
            Place::Room(name) => remember(&mut lock(&self.rooms), key, (name.clone(), now + NAME_LIFE)),
        }
        Some(place)
    }
}

fn remember<T>(map: &mut BTreeMap<(AccountId, ConversationId), T>, key: (AccountId, ConversationId), value: T) {
    if map.len() >= ENTRIES {
        // Nothing tells which are still wanted; they come back at the price of one read each.
        map.clear();
    }
    map.insert(key, value);
}

/// The maps hold no invariant that a panic elsewhere could have broken.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names as one reader sees them.
pub struct View<'a, D> {
    directory: &'a Directory,
    door: &'a D,
    reader: AccountId,
}

impl<D: Door> View<'_, D> {
    fn look_up(&self, account: AccountId) -> Option<Shown> {
        let info = self.door.read(|store| query::account(store, account))?;
        Some(Shown { name: info.name?, display_name: info.display_name })
    }
}

impl<D: Door> Names for View<'_, D> {
    fn account(&mut self, account: AccountId) -> String {
        self.directory.shown(account, |shown| &shown.name, || self.look_up(account))
    }

    fn display_name(&mut self, account: AccountId) -> String {
        self.directory.shown(account, |shown| &shown.display_name, || self.look_up(account))
    }

    fn place(&mut self, conversation: ConversationId) -> PlaceName {
        let look_up = || self.door.read(|store| query::place(store, self.reader, conversation));
        match self.directory.place(self.reader, conversation, look_up) {
            Some(Place::With(peer)) => PlaceName::Peer(self.account(peer)),
            Some(Place::Room(name)) => PlaceName::Room(name),
            None => PlaceName::Peer(String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Option<Shown> {
        Some(Shown { name: "Ann".into(), display_name: "Ann Ö.".into() })
    }

    fn name(directory: &Directory, account: u64, look_up: impl FnOnce() -> Option<Shown>) -> String {
        directory.shown(AccountId(account), |shown| &shown.name, look_up)
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_once_a_second() {
        let directory = Directory::default();
        assert_eq!(name(&directory, 1, ann), "Ann");
        assert_eq!(name(&directory, 1, || unreachable!("remembered")), "Ann");
        let display_name = directory.shown(AccountId(1), |shown| &shown.display_name, || unreachable!("remembered"));
        assert_eq!(display_name, "Ann Ö.");
        tokio::time::advance(NAME_LIFE).await;
        assert_eq!(name(&directory, 1, || None), "", "deleted meanwhile");
        assert_eq!(name(&directory, 1, ann), "Ann", "a deleted account is not remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let directory = Directory::default();
        for id in 0..ENTRIES as u64 + 10 {
            name(&directory, id, ann);
            directory.place(AccountId(1), ConversationId(id), || Some(Place::With(AccountId(2))));
        }
        assert_eq!(lock(&directory.names).len(), ENTRIES);
        assert!(lock(&directory.peers).len() <= ENTRIES);
        tokio::time::advance(NAME_LIFE).await;
        name(&directory, u64::MAX, ann);
        assert_eq!(lock(&directory.names).len(), 1, "the old ones went");
    }

    #[test]
    fn an_unknown_peer_is_not_remembered() {
        let directory = Directory::default();
        let with = || Some(Place::With(AccountId(2)));
        assert_eq!(directory.place(AccountId(1), ConversationId(1), || None), None);
        assert_eq!(directory.place(AccountId(1), ConversationId(1), with), with());
        assert_eq!(directory.place(AccountId(1), ConversationId(1), || unreachable!("remembered")), with());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rooms_new_name_is_seen_within_a_second() {
        let directory = Directory::default();
        let place = |look_up: fn() -> Option<Place>| directory.place(AccountId(1), ConversationId(1), look_up);
        let (old, new) = (|| Some(Place::Room("tea".into())), || Some(Place::Room("coffee".into())));
        assert_eq!((place(old), place(new)), (old(), old()));
        tokio::time::advance(NAME_LIFE).await;
        assert_eq!(place(new), new());
    }
}
