//! Whose turn it is: one makes a thumbnail at a time, and each account has one in the line for it. Its others wait behind that one, so that
//! whoever asks for many makes nobody else wait for all of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use threefold_core::AccountId;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// At once: a picture being decoded may take some hundred megabytes, and people who talk have the processors first.
const AT_ONCE: usize = 1;

/// The lines.
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// The line of each account that has anybody in it.
    own: Mutex<BTreeMap<AccountId, Weak<Semaphore>>>,
}

/// A turn, until it is dropped.
pub(super) struct Turn {
    // Given back in this order: the account's next one goes behind those of others who wait already.
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), own: Mutex::default() }
    }

    /// Waits for one. Who stops waiting is in no line any more.
    pub(super) async fn wait(&self, account: AccountId) -> Result<Turn, AcquireError> {
        let own = self.own_line(account).acquire_owned().await?;
        let all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Turn { _all: all, _own: own })
    }

    fn own_line(&self, account: AccountId) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        // At most as many as may ask at once.
        own.retain(|_, line| line.strong_count() > 0);
        if let Some(line) = own.get(&account).and_then(Weak::upgrade) {
            return line;
        }
        let line = Arc::new(Semaphore::new(1));
        own.insert(account, Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::BoxFuture};

    use super::*;

    type Waiting<'a> = BoxFuture<'a, Result<Turn, AcquireError>>;

    /// Whose turn it is, of those who wait; each that has had it is gone.
    fn next(waiting: &mut Vec<(u64, Waiting<'_>)>) -> Option<(u64, Turn)> {
        let (mut came, mut turn) = (None, None);
        waiting.retain_mut(|(account, wait)| match wait.now_or_never() {
            Some(got) => {
                assert!(turn.is_none(), "one at a time");
                (came, turn) = (Some(*account), got.ok());
                false
            }
            None => true,
        });
        came.zip(turn)
    }

    #[tokio::test]
    async fn who_asks_for_much_is_followed_by_who_asks_for_little() {
        let turns = Turns::new();
        let asked = [1, 1, 1, 1, 2, 3, 1, 2];
        let mut waiting = asked.map(|account| (account, turns.wait(AccountId(account)).boxed())).into_iter().collect();
        let mut order = Vec::new();
        while let Some((account, turn)) = next(&mut waiting) {
            assert!(next(&mut waiting).is_none());
            order.push(account);
            drop(turn);
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 1, 1, 1]);
        assert!(waiting.is_empty());
    }

    #[tokio::test]
    async fn who_stops_waiting_is_in_nobodys_way() {
        let turns = Turns::new();
        let held = turns.wait(AccountId(1)).await.unwrap();
        let mut waiting =
            [1, 2, 3].map(|account| (account, turns.wait(AccountId(account)).boxed())).into_iter().collect();
        assert!(next(&mut waiting).is_none());
        drop(waiting.remove(1));
        drop(held);
        let order = std::iter::from_fn(|| next(&mut waiting).map(|(account, _)| account)).collect::<Vec<_>>();
        assert_eq!(order, [3, 1]);
        assert!(turns.own.lock().unwrap().values().all(|line| line.strong_count() == 0), "who has none is forgotten");
    }
}
