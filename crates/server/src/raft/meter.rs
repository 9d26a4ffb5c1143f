//! How many commands this server has had committed as the leader, and how long that took: from the proposal of an entry to its answer, which
//! is after consensus, the disks and `apply`. For people who look; nothing is decided by it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many of the newest entries are looked at: enough for a hundredth, and quickly sorted.
const ENTRIES: usize = 512;
/// Older ones are not: what was slow a while ago is not how it is now.
const RECENT: Duration = Duration::from_secs(10);

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Commands committed since this server started.
    pub commands: u64,
    /// Half of the recent entries took no longer; zero: there were none.
    pub median: Duration,
    /// Ninety-nine of a hundred took no longer.
    pub slowest: Duration,
}

/// Measures.
#[derive(Debug, Default)]
pub struct Meter {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    commands: u64,
    recent: VecDeque<(Instant, Duration)>,
}

impl Meter {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry with so many commands was committed, in this time.
    pub fn committed(&self, commands: usize, at: Instant, took: Duration) {
        let mut inner = self.inner();
        inner.commands += commands as u64;
        if inner.recent.len() == ENTRIES {
            inner.recent.pop_front();
        }
        inner.recent.push_back((at, took));
    }

    /// What was measured up to `now`.
    pub fn measured(&self, now: Instant) -> Measured {
        let (commands, mut recent) = {
            let inner = self.inner();
            let recent = inner.recent.iter().filter(|(at, _)| now.saturating_duration_since(*at) <= RECENT);
            (inner.commands, recent.map(|(_, took)| *took).collect::<Vec<_>>())
        };
        recent.sort_unstable();
        let of_a_hundred = |part: usize| recent.get((recent.len() * part / 100).min(recent.len().saturating_sub(1)));
        let [median, slowest] = [50, 99].map(|part| of_a_hundred(part).copied().unwrap_or_default());
        Measured { commands, median, slowest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_and_the_slowest_of_what_is_recent() {
        let meter = Meter::default();
        let start = Instant::now();
        assert_eq!(meter.measured(start), Measured::default());
        meter.committed(7, start, Duration::from_secs(9));
        let later = start + Duration::from_secs(11);
        assert_eq!(meter.measured(later), Measured { commands: 7, ..Measured::default() }, "long ago");
        for ms in 1..=200 {
            meter.committed(2, later, Duration::from_millis(ms));
        }
        let measured = meter.measured(later);
        assert_eq!(measured.commands, 407);
        assert_eq!((measured.median.as_millis(), measured.slowest.as_millis()), (101, 199));
        for _ in 0..1000 {
            meter.committed(1, later, Duration::from_millis(3));
        }
        assert_eq!(meter.measured(later).slowest.as_millis(), 3, "the newest only");
    }
}
