//! Whose turn it is, where work takes a processor for long: so many do it at a time, and each account has one in the line for it. Its
//! others wait behind that one, so that whoever asks for many makes nobody else wait for all of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use threefold_core::AccountId;
use threefold_proto::convert::Refusal;
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::places::{Places, place};
use crate::ambient;

/// Who waits in a line at once, at some KiB each; and of one account: several devices that ask while somebody types.
const WAITING: usize = 4096;
const WAITING_OF_ONE: usize = 64;

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
    /// For so many at a time.
    pub(super) fn new(at_once: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_once)), own: Mutex::default() }
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

/// A line of those who ask for one kind of work, which is done away from the async tasks.
pub(super) struct Line {
    what: &'static str,
    turns: Turns,
    waiting: Arc<Places>,
    /// Whose turns there were, one after another.
    #[cfg(test)]
    pub(super) began: tokio::sync::watch::Sender<Vec<AccountId>>,
}

impl Line {
    /// Of `what`, so many at a time.
    pub(super) fn new(what: &'static str, at_once: usize) -> Self {
        Self {
            what,
            turns: Turns::new(at_once),
            waiting: Places::new(WAITING, WAITING_OF_ONE),
            #[cfg(test)]
            began: tokio::sync::watch::Sender::default(),
        }
    }

    /// Does it when it is the turn of that account (the one as which the caller's writes are counted: bots are no way to more turns). Work that has begun keeps its turn to its end, though nobody may wait for it any more: who asks
    /// and goes away gains nothing.
    ///
    /// # Errors
    /// When too many wait, or the turn has not come by `deadline`: overloaded.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        account: AccountId,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = {
            let _waiting = place(&self.waiting, account, self.what)?;
            let overloaded = |_| Refusal::Overloaded(format!("too many {} at once", self.what));
            timeout_at(deadline, self.turns.wait(account)).await.map_err(overloaded)?
        };
        let turn = turn.map_err(|_| Refusal::unavailable("this server is stopping"))?;
        #[cfg(test)]
        self.began.send_modify(|began| began.push(account));
        let worked = ambient::blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        worked.await.map_err(|error| Refusal::unavailable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let turns = Turns::new(1);
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
    async fn nobody_has_two_turns_at_a_time() {
        let turns = Turns::new(2);
        let first = turns.wait(AccountId(1)).now_or_never().unwrap();
        assert!(turns.wait(AccountId(1)).now_or_never().is_none());
        let other = turns.wait(AccountId(2)).now_or_never().unwrap();
        assert!(turns.wait(AccountId(3)).now_or_never().is_none());
        drop((first, other));
        assert!(turns.wait(AccountId(3)).now_or_never().is_some());
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_keeps_its_turn() {
        let (line, soon) = (Line::new("things", 1), || Instant::now() + Duration::from_secs(600));
        let (began, has_begun) = tokio::sync::oneshot::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        let endless = move || {
            let _ = began.send(());
            let _ = may_end.recv();
        };
        {
            let mut asked = std::pin::pin!(line.work(AccountId(1), soon(), endless));
            tokio::select! {
                biased;
                _ = &mut asked => panic!("it does not end"),
                begun = has_begun => begun.unwrap(),
            }
        }
        let mut second = line.work(AccountId(2), soon(), || 2).boxed();
        assert!((&mut second).now_or_never().is_none());
        let late = line.work(AccountId(3), Instant::now(), || 3).await;
        assert_eq!(late, Err(Refusal::Overloaded("too many things at once".to_owned())));
        drop(end);
        assert_eq!(second.await, Ok(2));
        assert_eq!(line.waiting.taken(), 0);
    }

    #[tokio::test]
    async fn who_stops_waiting_is_in_nobodys_way() {
        let turns = Turns::new(1);
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
