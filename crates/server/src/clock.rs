//! The time that a leader writes into the log.
//!
//! The state's clock never goes back, so a wall clock that leaps ahead by mistake would end every session for good. Within the
//! life of a process leaps are seen against the monotonic clock and not followed; small corrections are.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The wall clock may be corrected by so much at once; more is a leap.
const CORRECTION: Duration = Duration::from_secs(10 * 60);

/// Shows the time since 1970, and the monotonic clock of the same moment.
pub type WallClock = Arc<dyn Fn() -> (Duration, Instant) + Send + Sync>;

/// The system's clocks.
#[must_use]
pub fn system() -> WallClock {
    Arc::new(|| (SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), Instant::now()))
}

/// Milliseconds since 1970 by the system's clock, for what people do by hand.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A wall clock without leaps.
pub struct LogClock {
    read: WallClock,
    wall: Duration,
    seen: Instant,
    leapt: bool,
}

impl LogClock {
    /// Over this clock.
    pub fn over(read: WallClock) -> Self {
        let (wall, seen) = read();
        Self { read, wall, seen, leapt: false }
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&mut self) -> u64 {
        let (wall, now) = (self.read)();
        let expected = self.wall + now.saturating_duration_since(self.seen);
        let leapt = wall.abs_diff(expected) > CORRECTION;
        if leapt && !self.leapt {
            tracing::warn!(?wall, ?expected, "the system's clock has leapt; its old course is kept");
        }
        (self.leapt, self.seen) = (leapt, now);
        self.wall = if leapt { expected } else { wall };
        self.wall.as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_leap_is_not_followed_and_a_correction_is() {
        let start = Instant::now();
        let set = Arc::new(Mutex::new((1_000_000_u64, 0_u64)));
        let read = set.clone();
        let mut clock = LogClock::over(Arc::new(move || {
            let (wall, elapsed) = *read.lock().unwrap();
            (Duration::from_secs(wall), start + Duration::from_secs(elapsed))
        }));
        let mut at = |wall, elapsed| {
            *set.lock().unwrap() = (wall, elapsed);
            clock.now_ms() / 1000
        };
        assert_eq!(at(1_000_010, 10), 1_000_010);
        assert_eq!(at(1_000_110, 11), 1_000_110, "a correction of 99 seconds");
        assert_eq!(at(900_000_000, 12), 1_000_111, "a leap ahead");
        assert_eq!(at(900_000_001, 13), 1_000_112, "still not believed");
        assert_eq!(at(5, 14), 1_000_113, "a leap back");
        assert_eq!(at(1_000_114, 15), 1_000_114, "back to its senses");
    }
}
