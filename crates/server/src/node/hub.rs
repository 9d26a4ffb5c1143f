//! Who follows what: wakes exactly the followers that an event concerns.
//!
//! Nothing is queued here for a client. A follower keeps one number, its place in everything it may see, and is
//! told which conversations to look into; what it has not read yet stays in the state. A burst costs it one wake-up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use threefold_core::{AccountId, Event, Position, Scope, apply::Happened, query};
use tokio::sync::{Notify, watch};

use crate::{raft::machine::Observer, storage::StateStore};

/// Events read at once for one follower: bounds its memory and the time others wait for the store.
const EVENTS_AT_ONCE: usize = 256;

/// All followers of this server.
pub struct Hub {
    state: Arc<dyn StateStore>,
    position: watch::Sender<Position>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    position: Position,
    next_id: u64,
    followers: BTreeMap<AccountId, BTreeMap<u64, Concern>>,
}

/// What one follower has to look into.
struct Concern {
    scopes: BTreeSet<Scope>,
    /// Anything may have changed: look into everything.
    everything: bool,
    wake: Arc<Notify>,
}

impl Hub {
    /// Over `state`, which is at `position`.
    pub fn new(state: Arc<dyn StateStore>, position: Position) -> Arc<Self> {
        let inner = Inner { position, ..Inner::default() };
        Arc::new(Self { state, position: watch::Sender::new(position), inner: Mutex::new(inner) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the visible state is; changes are seen.
    pub fn position(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// Follows everything `account` may see after `after`.
    pub fn follow(self: &Arc<Self>, account: AccountId, after: Position) -> Follower {
        let wake = Arc::new(Notify::new());
        let concern = Concern { scopes: BTreeSet::new(), everything: true, wake: wake.clone() };
        let mut inner = self.lock();
        inner.next_id += 1;
        let id = inner.next_id;
        inner.followers.entry(account).or_default().insert(id, concern);
        drop(inner);
        Follower { hub: self.clone(), account, id, wake, cursor: after, unread: None }
    }

    fn publish(&self, position: Position, mark: impl FnOnce(&mut Inner) -> Vec<Arc<Notify>>) {
        let mut inner = self.lock();
        let woken = mark(&mut inner);
        inner.position = position;
        drop(inner);
        self.position.send_replace(position);
        for wake in woken {
            wake.notify_one();
        }
    }
}

impl Observer for Hub {
    fn applied(&self, position: Position, happened: &[Happened]) {
        self.publish(position, |inner| {
            let mut woken = Vec::new();
            for event in happened {
                for account in &event.audience {
                    for concern in inner.followers.get_mut(account).into_iter().flat_map(BTreeMap::values_mut) {
                        if concern.scopes.is_empty() && !concern.everything {
                            woken.push(concern.wake.clone());
                        }
                        concern.scopes.insert(event.scope);
                    }
                }
            }
            woken
        });
    }

    fn replaced(&self, position: Position) {
        self.publish(position, |inner| {
            let mut woken = Vec::new();
            for concern in inner.followers.values_mut().flat_map(BTreeMap::values_mut) {
                concern.everything = true;
                woken.push(concern.wake.clone());
            }
            woken
        });
    }
}

/// What a follower has been told of and not read to its end.
struct Unread {
    up_to: Position,
    /// None: look into everything.
    only: Option<BTreeSet<Scope>>,
}

/// A reader's place in everything it may see.
pub struct Follower {
    hub: Arc<Hub>,
    account: AccountId,
    id: u64,
    wake: Arc<Notify>,
    cursor: Position,
    unread: Option<Unread>,
}

/// Some events in order, and how far they reach.
#[derive(Debug, Default)]
pub struct Followed {
    /// In the order of their ids; may be empty.
    pub events: Vec<Event>,
    /// Everything the reader may see up to here has been given.
    pub up_to: Position,
}

impl Follower {
    /// Waits for the next events. Cancel safe.
    pub async fn next(&mut self) -> Followed {
        loop {
            if self.unread.is_none() {
                self.unread = self.take_unread();
            }
            if let Some(unread) = self.unread.take() {
                return self.read(unread);
            }
            self.wake.notified().await;
        }
    }

    /// Takes what is to be looked into together with the position it is complete for.
    fn take_unread(&self) -> Option<Unread> {
        let mut inner = self.hub.lock();
        let up_to = inner.position;
        let concern = inner.followers.get_mut(&self.account)?.get_mut(&self.id)?;
        let everything = std::mem::take(&mut concern.everything);
        let scopes = std::mem::take(&mut concern.scopes);
        let only = if everything { None } else { Some(scopes) };
        let nothing = only.as_ref().is_some_and(BTreeSet::is_empty);
        (!nothing).then_some(Unread { up_to, only })
    }

    fn read(&mut self, unread: Unread) -> Followed {
        let Unread { up_to, only } = unread;
        if up_to <= self.cursor {
            return Followed { events: Vec::new(), up_to: self.cursor };
        }
        let read = super::view::query(&*self.hub.state, |store| {
            query::events_after(store, self.account, self.cursor, up_to, only.as_ref(), EVENTS_AT_ONCE)
        });
        let caught_up = read.unwrap_or_else(|error| super::stop(&error));
        self.cursor = caught_up.reached;
        if caught_up.reached < up_to {
            self.unread = Some(Unread { up_to, only });
        }
        Followed { events: caught_up.events, up_to: caught_up.reached }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        if let Some(of_account) = inner.followers.get_mut(&self.account) {
            of_account.remove(&self.id);
            if of_account.is_empty() {
                inner.followers.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use threefold_core::{
        Command, Reply, TokenHash,
        entry::Unpacked,
        store::{Changes, Direction, Overlay, Read, StoreError, Visit},
    };

    use super::*;
    use crate::storage::{ReceivedState, StateInstall, StateSnapshot, memory::MemoryState};

    /// A state that changes with every read, so that only a view of it makes sense.
    struct Restless(MemoryState);

    impl Read for Restless {
        fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            Err(StoreError::Corrupt("read while it changes".to_owned()))
        }

        fn scan(&self, _: &[u8], _: &[u8], _: Direction, _: &mut Visit<'_>) -> Result<(), StoreError> {
            Err(StoreError::Corrupt("read while it changes".to_owned()))
        }
    }

    impl StateStore for Restless {
        fn commit(&self, changes: Changes) -> io::Result<()> {
            self.0.commit(changes)
        }

        fn persist(&self) -> io::Result<()> {
            self.0.persist()
        }

        fn snapshot(&self) -> io::Result<Box<dyn StateSnapshot>> {
            self.0.snapshot()
        }

        fn begin_install(&self) -> io::Result<Box<dyn StateInstall>> {
            self.0.begin_install()
        }

        fn finish_install(&self, received: ReceivedState) -> io::Result<()> {
            self.0.finish_install(received)
        }
    }

    #[tokio::test]
    async fn a_follower_reads_a_view_and_not_the_changing_state() {
        let state = MemoryState::new();
        let register = Command::Register {
            name: "ann".to_owned(),
            password_hash: "hash".to_owned(),
            token_hash: TokenHash([1; 32]),
            device: "laptop".to_owned(),
        };
        let mut overlay = Overlay::new(&state);
        let entry = Unpacked { time_ms: 1, commands: vec![register] };
        let applied = threefold_core::apply(&mut overlay, 1, &entry).unwrap();
        let changes = overlay.into_changes();
        state.commit(changes).unwrap();
        let Reply::SessionOpened { account, .. } = applied.replies[0] else { panic!("{applied:?}") };
        let hub = Hub::new(Arc::new(Restless(state)), Position::end_of(1));
        let followed = hub.follow(account, Position(0)).next().await;
        assert_eq!((followed.events.len(), followed.up_to), (1, Position::end_of(1)));
    }
}
