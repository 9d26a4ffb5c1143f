//! Who is connected, here and at the other servers. Off the log: it vanishes with its server.
//!
//! News of another server comes over the link it keeps to this one. Links of one server follow each other, and an old
//! one may be slow to end: only its newest link has a say, and one that ends takes along only what it put there.

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
    /// The accounts that came or went here and were not asked for since.
    moved: BTreeSet<AccountId>,
    /// The newest link of each other server, and what it told.
    elsewhere: BTreeMap<u64, Elsewhere>,
    /// Links begun so far.
    links: u64,
}

/// What one server told over its newest link.
struct Elsewhere {
    link: u64,
    incarnation: u64,
    accounts: BTreeSet<AccountId>,
}

/// One link of another server's process to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkId {
    server: u64,
    number: u64,
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
            let count = *count;
            if count == 1 {
                inner.moved.insert(account);
            }
            count
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

    /// The accounts that came or went since this was last asked.
    pub fn take_moved(&self) -> BTreeSet<AccountId> {
        std::mem::take(&mut self.lock().moved)
    }

    /// Sees when [`Self::here`] changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The accounts connected anywhere, sorted.
    pub fn everywhere(&self) -> Vec<AccountId> {
        let inner = self.lock();
        let all = inner.here.keys().chain(inner.elsewhere.values().flat_map(|server| &server.accounts)).copied();
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// A process of another server, in that incarnation, begins a link. What it told before counts no more.
    pub fn begin_link(&self, server: u64, incarnation: u64) -> LinkId {
        let mut inner = self.lock();
        inner.links += 1;
        let number = inner.links;
        inner.elsewhere.insert(server, Elsewhere { link: number, incarnation, accounts: BTreeSet::new() });
        LinkId { server, number }
    }

    /// The accounts connected to the server of a link.
    pub fn set_elsewhere(&self, link: LinkId, accounts: BTreeSet<AccountId>) {
        if let Some(elsewhere) = self.lock().newest(link) {
            elsewhere.accounts = accounts;
        }
    }

    /// Accounts came and went at the server of a link.
    pub fn change_elsewhere(&self, link: LinkId, online: &[u64], offline: &[u64]) {
        if let Some(Elsewhere { accounts, .. }) = self.lock().newest(link) {
            accounts.extend(online.iter().copied().map(AccountId));
            for account in offline {
                accounts.remove(&AccountId(*account));
            }
        }
    }

    /// A link has ended, and with it what it told.
    pub fn end_link(&self, link: LinkId) {
        let mut inner = self.lock();
        if inner.newest(link).is_some() {
            inner.elsewhere.remove(&link.server);
        }
    }

    /// A process of another server is dead, and with it who was connected to it. What a later incarnation has told
    /// by now stays.
    pub fn forget_process(&self, server: u64, incarnation: u64) {
        self.lock().elsewhere.retain(|id, elsewhere| *id != server || elsewhere.incarnation > incarnation);
    }

    /// Another server is no member any more.
    pub fn forget_server(&self, server: u64) {
        self.lock().elsewhere.remove(&server);
    }

    /// Connections to this server.
    pub fn connections(&self) -> usize {
        self.lock().here.values().sum()
    }
}

impl Inner {
    /// What a link told, unless its server has begun a newer one or is forgotten.
    fn newest(&mut self, link: LinkId) -> Option<&mut Elsewhere> {
        self.elsewhere.get_mut(&link.server).filter(|elsewhere| elsewhere.link == link.number)
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
            inner.moved.insert(self.account);
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
        let link = presence.begin_link(7, 1);
        presence.set_elsewhere(link, BTreeSet::from([bob]));
        assert_eq!(presence.everywhere(), [alice, bob]);
        drop(first);
        assert_eq!(presence.everywhere(), [alice, bob]);
        assert_eq!(presence.take_moved(), BTreeSet::from([alice]), "came, and is still there");
        assert!(presence.take_moved().is_empty());
        drop(second);
        assert_eq!(presence.take_moved(), BTreeSet::from([alice]), "went");
        assert_eq!(presence.everywhere(), [bob]);
        presence.change_elsewhere(link, &[1], &[2]);
        assert_eq!(presence.everywhere(), [alice]);
        presence.forget_process(7, 1);
        assert!(presence.everywhere().is_empty());
    }

    #[test]
    fn late_news_of_an_old_link_changes_nothing_that_a_newer_one_told() {
        let presence = Presence::default();
        let (alice, bob) = (AccountId(1), AccountId(2));
        let old = presence.begin_link(7, 1);
        presence.set_elsewhere(old, BTreeSet::from([alice]));
        let new = presence.begin_link(7, 2);
        presence.set_elsewhere(new, BTreeSet::from([bob]));
        presence.set_elsewhere(old, BTreeSet::from([alice]));
        presence.change_elsewhere(old, &[1], &[2]);
        presence.end_link(old);
        assert_eq!(presence.everywhere(), [bob], "the old link's words and its end come late");
        presence.forget_process(7, 1);
        assert_eq!(presence.everywhere(), [bob], "the death of the old process is noticed late");
        presence.end_link(new);
        assert!(presence.everywhere().is_empty());
        presence.change_elsewhere(new, &[1], &[]);
        assert!(presence.everywhere().is_empty(), "a link that ended says nothing any more");
    }
}
