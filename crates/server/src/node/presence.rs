//! Who is connected, here and at the other servers. Off the log: it vanishes with its server.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use threefold_core::AccountId;
use tokio::sync::watch;

/// Presence as this server knows it.
#[derive(Default)]
pub struct Presence {
    inner: Mutex<Inner>,
    /// Counts the changes of `here`, for those who pass them on.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    /// Connections of each account to this server.
    here: BTreeMap<AccountId, usize>,
    /// Accounts connected to each other server.
    elsewhere: BTreeMap<u64, BTreeSet<AccountId>>,
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection of `account`, until the guard is dropped.
    pub fn arrive(self: &Arc<Self>, account: AccountId) -> Present {
        let count = {
            let mut inner = self.lock();
            let count = inner.here.entry(account).or_default();
            *count += 1;
            *count
        };
        if count == 1 {
            self.changes.send_modify(|changes| *changes += 1);
        }
        Present { presence: self.clone(), account }
    }

    /// The accounts connected here.
    pub fn here(&self) -> BTreeSet<AccountId> {
        self.lock().here.keys().copied().collect()
    }

    /// Sees when [`Self::here`] changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The accounts connected anywhere, sorted.
    pub fn everywhere(&self) -> Vec<AccountId> {
        let inner = self.lock();
        let all = inner.here.keys().chain(inner.elsewhere.values().flatten()).copied();
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The accounts connected to another server.
    pub fn set_elsewhere(&self, server: u64, accounts: BTreeSet<AccountId>) {
        self.lock().elsewhere.insert(server, accounts);
    }

    /// Another server's accounts came and went.
    pub fn change_elsewhere(&self, server: u64, online: &[u64], offline: &[u64]) {
        let mut inner = self.lock();
        let accounts = inner.elsewhere.entry(server).or_default();
        accounts.extend(online.iter().copied().map(AccountId));
        for account in offline {
            accounts.remove(&AccountId(*account));
        }
    }

    /// Another server is gone, and with it who was connected to it.
    pub fn forget(&self, server: u64) {
        self.lock().elsewhere.remove(&server);
    }

    /// Connections to this server.
    pub fn connections(&self) -> usize {
        self.lock().here.values().sum()
    }
}

/// While this lives, its account is shown as online.
pub struct Present {
    presence: Arc<Presence>,
    account: AccountId,
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut inner = self.presence.lock();
        let left = inner.here.get_mut(&self.account).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            inner.here.remove(&self.account);
            drop(inner);
            self.presence.changes.send_modify(|changes| *changes += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_online_while_any_of_its_connections_anywhere_lives() {
        let presence = Arc::new(Presence::default());
        let (alice, bob) = (AccountId(1), AccountId(2));
        let first = presence.arrive(alice);
        let second = presence.arrive(alice);
        presence.set_elsewhere(7, BTreeSet::from([bob]));
        assert_eq!(presence.everywhere(), [alice, bob]);
        drop(first);
        assert_eq!(presence.everywhere(), [alice, bob]);
        drop(second);
        assert_eq!(presence.everywhere(), [bob]);
        presence.change_elsewhere(7, &[1], &[2]);
        assert_eq!(presence.everywhere(), [alice]);
        presence.forget(7);
        assert!(presence.everywhere().is_empty());
    }
}
