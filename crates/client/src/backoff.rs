//! How long to wait before trying again.

use std::time::Duration;

/// The wait before the second retry; the first is immediate, because another server is usually there.
const FIRST: Duration = Duration::from_millis(20);
/// The longest wait: a cluster that comes back is noticed within a second.
const LONGEST: Duration = Duration::from_secs(1);

/// Exponential backoff with jitter: 0, 20, 40, 80, ... up to 1000 ms, each shortened by up to a half.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// After a further failure: how long to wait. `luck` is random, from 0 to 1.
    pub(crate) fn next(&mut self, luck: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let Some(doublings) = self.failures.checked_sub(2) else { return Duration::ZERO };
        // Six doublings of 20 ms pass the longest wait.
        let full = FIRST.saturating_mul(1 << doublings.min(6)).min(LONGEST);
        full.mul_f64(1.0 - luck.clamp(0.0, 1.0) / 2.0)
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_retry_is_immediate_then_waits_double_up_to_a_second() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..9).map(|_| backoff.next(0.0).as_millis()).collect();
        assert_eq!(waits, [0, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next(0.0), Duration::ZERO);
        assert_eq!(backoff.next(1.0), Duration::from_millis(10));
    }
}
