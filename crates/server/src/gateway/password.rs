//! Passwords: Argon2id, off the async threads, a few at a time.
//!
//! Promises: a hash costs tens of milliseconds and 19 MiB, so neither processors nor memory become a
//! lever for whoever sends log-ins: a few run at once, some more wait, the rest is told to come back. An
//! unknown user costs the same time as a wrong password. Passwords are neither kept nor shown. Left
//! out: limits per account and per address.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use threefold_core::bounds;
use threefold_proto::convert::Refusal;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::{Instant, timeout_at},
};

use crate::ambient;

/// Hashes at once: more would take the cores from serving everybody who is logged in.
const HASHES_AT_ONCE: usize = 2;
/// Hashes that wait: at 50 ms each, the last of them is done in less than two seconds.
const HASHES_WAITING: usize = 64;

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// OWASP's first choice for Argon2id, and the library's: 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self { memory_kib: Params::DEFAULT_M_COST, passes: Params::DEFAULT_T_COST, lanes: Params::DEFAULT_P_COST }
    }
}

impl Cost {
    /// As little as the algorithm takes, for tests and simulations: protects nothing.
    pub const CHEAP: Self = Self { memory_kib: Params::MIN_M_COST, passes: 1, lanes: 1 };
}

/// Hashes and verifies passwords.
pub struct Passwords {
    argon2: Argon2<'static>,
    /// A hash nobody has the password of, with this server's cost.
    nobody: String,
    places: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    #[cfg(test)]
    hashed: std::sync::atomic::AtomicU64,
}

/// Bytes of a salt, as the algorithm's authors recommend (RFC 9106, section 3.1).
const SALT_BYTES: usize = 16;

/// The cost is none that Argon2 allows, or there is no randomness.
#[derive(Debug, thiserror::Error)]
pub enum CannotHash {
    /// The algorithm refuses.
    #[error("cannot hash passwords: {0}")]
    Refused(#[from] password_hash::Error),
    /// There is no randomness for a salt.
    #[error("cannot hash passwords: no secure randomness: {0}")]
    NoRandomness(#[from] std::io::Error),
}

/// The hash of a password under a salt of its own, in PHC string form.
fn salted(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, CannotHash> {
    let salt = ambient::random::<SALT_BYTES>()?;
    Ok(argon2.hash_password_with_salt(password, &salt)?.to_string())
}

impl Passwords {
    /// Hashes with `cost`. Runs one hash, so that a cost that does not work shows at the start.
    ///
    /// # Errors
    /// When that hash fails.
    pub fn new(cost: Cost) -> Result<Self, CannotHash> {
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None).map_err(password_hash::Error::from)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        // The salt is random and kept nowhere else, so no input is known to give this hash.
        let nobody = salted(&argon2, &ambient::random::<32>()?)?;
        Ok(Self {
            argon2,
            nobody,
            places: Arc::new(Semaphore::new(HASHES_AT_ONCE + HASHES_WAITING)),
            workers: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            #[cfg(test)]
            hashed: std::sync::atomic::AtomicU64::new(0),
        })
    }

    /// The hash of a new password, in PHC string form.
    ///
    /// # Errors
    /// When the password is out of bounds, too many are waiting, or the deadline passes.
    pub async fn hash(&self, password: String, deadline: Instant) -> Result<String, Refusal> {
        check_new(&password)?;
        let argon2 = self.argon2.clone();
        self.run(deadline, move || salted(&argon2, password.as_bytes()))
            .await?
            .map_err(|error| Refusal::Internal(format!("hashing a password: {error}")))
    }

    /// Whether the password is that of the hash; never where there is none, after the same time.
    ///
    /// # Errors
    /// When too many are waiting, or the deadline passes.
    pub async fn verify(&self, password: String, hash: Option<String>, deadline: Instant) -> Result<bool, Refusal> {
        // Says nothing about any account, so it may be quick.
        if password.len() > bounds::PASSWORD_MAX_BYTES {
            return Ok(false);
        }
        let argon2 = self.argon2.clone();
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let verified = self
            .run(deadline, move || {
                let hash = PasswordHash::new(&hash)?;
                argon2.verify_password(password.as_bytes(), &hash)
            })
            .await?;
        match verified {
            Ok(()) => Ok(known),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(Refusal::Internal(format!("verifying a password: {error}"))),
        }
    }

    /// How often something was hashed, or was to be.
    #[cfg(test)]
    pub(super) fn hashed(&self) -> u64 {
        self.hashed.load(std::sync::atomic::Ordering::SeqCst)
    }

    async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        #[cfg(test)]
        self.hashed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(TryAcquireError::NoPermits) => {
                return Err(Refusal::Overloaded("too many are logging in; try again in a moment".into()));
            }
            Err(TryAcquireError::Closed) => return Err(stopped()),
        };
        let worker = match timeout_at(deadline, Arc::clone(&self.workers).acquire_owned()).await {
            Ok(worker) => worker.map_err(|_| stopped())?,
            Err(_) => return Err(Refusal::unavailable("too many are logging in; the deadline passed")),
        };
        // A caller that gives up leaves a hash running: the permits go with the work, not the caller.
        let permits: [OwnedSemaphorePermit; 2] = [place, worker];
        let work = ambient::blocking(move || {
            let done = work();
            drop(permits);
            done
        });
        work.await.map_err(|_| stopped())
    }
}

fn stopped() -> Refusal {
    Refusal::unavailable("this server is stopping")
}

/// Whether a password may be chosen.
///
/// # Errors
/// When it is too short or too long.
pub fn check_new(password: &str) -> Result<(), Refusal> {
    if password.len() > bounds::PASSWORD_MAX_BYTES {
        return Err(Refusal::invalid(format!("a password has at most {} bytes", bounds::PASSWORD_MAX_BYTES)));
    }
    if password.chars().count() < bounds::PASSWORD_MIN_CHARS {
        return Err(Refusal::invalid(format!("a password has at least {} characters", bounds::PASSWORD_MIN_CHARS)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use threefold_core::Rejection;

    use super::*;

    fn cheap() -> Passwords {
        Passwords::new(Cost::CHEAP).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[tokio::test]
    async fn a_password_verifies_and_another_does_not() {
        let passwords = cheap();
        let hash = passwords.hash("correct horse".into(), soon()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert_eq!(passwords.verify("correct horse".into(), Some(hash.clone()), soon()).await, Ok(true));
        assert_eq!(passwords.verify("wrong horse".into(), Some(hash), soon()).await, Ok(false));
        assert_eq!(passwords.verify("correct horse".into(), None, soon()).await, Ok(false));
    }

    #[tokio::test]
    async fn the_same_password_has_another_hash_each_time() {
        let passwords = cheap();
        let first = passwords.hash("correct horse".into(), soon()).await;
        assert_ne!(first, passwords.hash("correct horse".into(), soon()).await);
    }

    #[tokio::test]
    async fn bounds_come_first() {
        for bad in ["", "1234567", &"ü".repeat(7), &"x".repeat(1025)] {
            let refused = cheap().hash(bad.into(), soon()).await;
            assert!(matches!(refused, Err(Refusal::Rejected(Rejection::Invalid(_)))), "{bad}");
        }
        assert!(check_new(&"ü".repeat(8)).is_ok());
        assert_eq!(cheap().verify("x".repeat(1025), None, soon()).await, Ok(false));
    }

    #[tokio::test]
    async fn an_empty_hash_of_a_deleted_account_is_a_fault_not_a_match() {
        assert!(matches!(
            cheap().verify("whatever".into(), Some(String::new()), soon()).await,
            Err(Refusal::Internal(_))
        ));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_deadline_ends_the_wait() {
        let passwords = cheap();
        let all = Arc::clone(&passwords.places).try_acquire_many_owned((HASHES_AT_ONCE + HASHES_WAITING) as u32);
        let refused = passwords.verify("whatever".into(), None, soon()).await;
        assert!(matches!(refused, Err(Refusal::Overloaded(_))));
        drop(all);
        let busy = Arc::clone(&passwords.workers).try_acquire_many_owned(HASHES_AT_ONCE as u32);
        let refused = passwords.verify("whatever".into(), None, Instant::now()).await;
        assert!(matches!(refused, Err(Refusal::Unavailable(_))));
        drop(busy);
        assert_eq!(passwords.verify("whatever".into(), None, soon()).await, Ok(false));
    }

    #[tokio::test]
    async fn many_at_once_all_get_their_turn() {
        let passwords = cheap();
        let all = (0..HASHES_AT_ONCE + HASHES_WAITING).map(|_| passwords.hash("correct horse".into(), soon()));
        assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
    }

    #[test]
    fn impossible_costs_are_refused() {
        assert!(Passwords::new(Cost { memory_kib: 0, passes: 0, lanes: 0 }).is_err());
    }
}
