//! What was asked for and could not be had: it is asked for again after a while, longer each time, so that a cluster that refuses is
//! not asked as fast as it can refuse.

/// After the first failure.
const FIRST_MS: u64 = 1_000;
/// At most.
const MOST_MS: u64 = 30_000;

/// When something may be asked for again. At first, at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Again {
    pause_ms: u64,
    at_ms: u64,
}

impl Again {
    /// It may be asked for.
    pub fn is_due(self, now_ms: u64) -> bool {
        now_ms >= self.at_ms
    }

    /// It could not be had.
    pub fn later(&mut self, now_ms: u64) {
        self.pause_ms = (self.pause_ms * 2).clamp(FIRST_MS, MOST_MS);
        self.at_ms = now_ms + self.pause_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_longer_up_to_a_bound() {
        let mut again = Again::default();
        assert!(again.is_due(0));
        let mut now_ms = 5_000;
        for pause_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            again.later(now_ms);
            assert!(!again.is_due(now_ms + pause_ms - 1) && again.is_due(now_ms + pause_ms));
            now_ms += pause_ms;
        }
    }
}
