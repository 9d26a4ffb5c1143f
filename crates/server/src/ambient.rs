//! What code takes from its surroundings without being handed it: random numbers, and threads for work that blocks.
//!
//! A simulation runs a whole cluster on one thread and must be able to repeat it exactly. It claims its thread with
//! [`simulate`]; from then on, on that thread only, random numbers follow from the seed and blocking work is done
//! at once. Nowhere else is anything changed: numbers come from the operating system, work goes to other threads.

use std::{cell::RefCell, io};

use rand::{
    RngCore as _, SeedableRng as _, TryRngCore as _,
    rngs::{OsRng, StdRng},
};

thread_local! {
    static SIMULATED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Makes this thread one of a simulation, or lets a simulation's thread begin anew.
pub fn simulate(seed: u64) {
    SIMULATED.with_borrow_mut(|rng| *rng = Some(StdRng::seed_from_u64(seed)));
}

/// Whether this thread is one of a simulation.
#[must_use]
pub fn is_simulated() -> bool {
    SIMULATED.with_borrow(Option::is_some)
}

/// Random bytes, good for secrets.
///
/// # Errors
/// When the operating system has none to give.
pub fn random<const BYTES: usize>() -> io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    SIMULATED.with_borrow_mut(|rng| match rng {
        Some(rng) => rng.try_fill_bytes(&mut bytes).map_err(io::Error::other),
        None => OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other),
    })?;
    Ok(bytes)
}

/// A random number for matters of timing: no secret may hang on it.
#[must_use]
pub fn jitter() -> u64 {
    SIMULATED.with_borrow_mut(|rng| match rng {
        Some(rng) => rng.next_u64(),
        None => rand::rng().next_u64(),
    })
}

/// Does work that may block for long away from the async tasks, and gives its result.
///
/// # Errors
/// When the runtime is ending and did not do it.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    if is_simulated() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Ends this process at once. In a simulation, where many servers share one, the caller waits for its machine to end it
/// instead, and does nothing more.
pub async fn abort() {
    if is_simulated() {
        return std::future::pending().await;
    }
    std::process::abort();
}

/// The number of this process; in a simulation zero, for it is not the same at every run.
#[must_use]
pub fn process_id() -> u32 {
    if is_simulated() { 0 } else { std::process::id() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_the_same_numbers_and_only_on_its_own_thread() {
        let run = |seed| {
            let drawn = move || {
                simulate(seed);
                (random::<32>().unwrap(), jitter(), random::<32>().unwrap())
            };
            std::thread::spawn(drawn).join().unwrap()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert!(!is_simulated());
        assert_ne!(random::<32>().unwrap(), random::<32>().unwrap());
        assert_eq!(process_id(), std::process::id());
    }

    #[tokio::test]
    async fn only_simulated_work_is_done_on_the_spot() {
        let thread = || std::thread::current().id();
        assert_ne!(blocking(thread).await.unwrap(), thread());
        let simulated = std::thread::spawn(move || {
            simulate(1);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            assert_eq!(runtime.block_on(blocking(thread)).unwrap(), thread());
        });
        simulated.join().unwrap();
    }
}
