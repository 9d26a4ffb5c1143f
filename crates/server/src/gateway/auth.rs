//! Who is calling: a session token becomes a live session, and a session in use stays alive.
//!
//! Promises: a session opened at any server is good at every server at once, for a server that does not know it
//! first catches up and looks again. Sessions past half of their life are renewed in passing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use threefold_core::{
    AccountId, Command, Rejection, SessionId, TokenHash, bounds,
    query::{self, SessionInfo},
};
use threefold_proto::convert::Refusal;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{Gateway, door::Door};

/// Unknown tokens looked up a second time at once: each costs a question to the leader, and whoever
/// sends invented tokens must not flood it.
const SECOND_LOOKS: usize = 64;
/// A session is renewed at most this often through one server.
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);
/// How long a renewal may take; it is tried again with a later call.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(10);
/// Renewals remembered: as many sessions as may be past their half within a minute. Beyond it none are renewed
/// for the rest of the minute; they have 45 days.
const RENEWALS: usize = 10_000;

/// A caller that has shown its session.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The session.
    pub session: SessionInfo,
    /// What commands name it by.
    pub token: TokenHash,
    /// Whose writes its writes are counted as.
    pub counted_as: AccountId,
}

/// Bounds of authentication.
pub(super) struct Auth {
    second_looks: Semaphore,
    renewals: Renewals,
}

impl Default for Auth {
    fn default() -> Self {
        Self { second_looks: Semaphore::new(SECOND_LOOKS), renewals: Renewals::default() }
    }
}

impl<D: Door> Gateway<D> {
    /// The session of a token.
    ///
    /// # Errors
    /// When there is no such session, or this server cannot tell.
    pub async fn authenticate(&self, token: TokenHash, deadline: Instant) -> Result<Caller, Refusal> {
        // What this server knows grows old from now on.
        if let Some(why) = self.door().retired().borrow().clone() {
            return Err(Refusal::unavailable(why));
        }
        let session = match self.session(&token) {
            Some(session) => session,
            None => self.look_again(&token, deadline).await?,
        };
        self.renew(&session, token);
        let counted_as = self.door().read(|store| query::writes_of(store, session.account));
        Ok(Caller { session, token, counted_as })
    }

    /// The session of a token as far as this server knows.
    pub(super) fn session(&self, token: &TokenHash) -> Option<SessionInfo> {
        self.door().read(|store| query::session(store, token))
    }

    /// Catches up with everything acknowledged, for whoever shows what this server does not know; a few at a time.
    pub(super) async fn catch_up(&self, deadline: Instant) -> Result<(), Refusal> {
        let Ok(_permit) = timeout_at(deadline, self.auth().second_looks.acquire()).await else {
            return Err(Refusal::unavailable("too many unknown tokens at once"));
        };
        self.door().wait_consistent(deadline).await.map_err(|error| Refusal::unavailable(error.0))
    }

    async fn look_again(&self, token: &TokenHash, deadline: Instant) -> Result<SessionInfo, Refusal> {
        self.catch_up(deadline).await?;
        self.session(token).ok_or(Refusal::Rejected(Rejection::SessionInvalid))
    }

    /// Renews a session in use, if it is time.
    pub(super) fn renew(&self, session: &SessionInfo, token: TokenHash) {
        let now_ms = self.now_ms();
        if !is_due(session.expires_at_ms, now_ms) || !self.auth().renewals.begin(session.session) {
            return;
        }
        let door = self.door().clone();
        // Nobody waits for it: the session is good for weeks yet.
        tokio::spawn(async move {
            let deadline = Instant::now() + RENEWAL_PATIENCE;
            if let Err(error) = door.submit(&Command::RenewSession { session: token }, deadline).await {
                tracing::debug!(%error, "session not renewed");
            }
        });
    }
}

fn is_due(expires_at_ms: u64, now_ms: u64) -> bool {
    expires_at_ms.saturating_sub(now_ms) < bounds::SESSION_MS / 2
}

/// Which sessions were renewed of late.
#[derive(Default)]
struct Renewals(Mutex<BTreeMap<SessionId, Instant>>);

impl Renewals {
    /// Whether to renew now; then not again for a while.
    fn begin(&self, session: SessionId) -> bool {
        let now = Instant::now();
        let mut renewals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if renewals.get(&session).is_some_and(|at| now.duration_since(*at) < RENEWAL_PAUSE) {
            return false;
        }
        if renewals.len() >= RENEWALS {
            renewals.retain(|_, at| now.duration_since(*at) < RENEWAL_PAUSE);
        }
        if renewals.len() >= RENEWALS && !renewals.contains_key(&session) {
            return false;
        }
        renewals.insert(session, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_life_is_when_to_renew() {
        let now = 1_000_000_000_000;
        assert!(!is_due(now + bounds::SESSION_MS, now));
        assert!(!is_due(now + bounds::SESSION_MS / 2, now));
        assert!(is_due(now + bounds::SESSION_MS / 2 - 1, now));
        assert!(is_due(now - 1, now), "the state's own time says whether it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn renewed_once_a_minute_and_bounded() {
        let renewals = Renewals::default();
        assert!(renewals.begin(SessionId(0)));
        assert!(!renewals.begin(SessionId(0)));
        for id in 1..RENEWALS as u64 {
            assert!(renewals.begin(SessionId(id)));
        }
        assert!(!renewals.begin(SessionId(u64::MAX)), "full");
        tokio::time::advance(RENEWAL_PAUSE).await;
        assert!(renewals.begin(SessionId(u64::MAX)));
        assert!(renewals.begin(SessionId(0)));
    }
}
