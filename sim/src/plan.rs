//! What a seed decides before a run begins.

use std::{ops::RangeInclusive, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use threefold_server::config::Tuning;

/// What is asked of a run, apart from its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Servers: three or five.
    pub servers: usize,
    /// Simulated seconds, the quiet end included.
    pub seconds: u64,
    /// With survivor mode on.
    pub survivor: bool,
}

/// The circumstances of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A message takes this long from one machine to another.
    pub latency: RangeInclusive<Duration>,
    /// A sync of a disk takes this long.
    pub flush: RangeInclusive<Duration>,
    /// Between two faults.
    pub between_faults: RangeInclusive<Duration>,
    /// People.
    pub people: usize,
    /// Between two messages of one person, at most.
    pub pause: Duration,
    /// The servers' times and sizes.
    pub tuning: Tuning,
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Of some unrelated use, a number that follows from the seed.
#[must_use]
pub fn derive(seed: u64, what_for: u64) -> u64 {
    StdRng::seed_from_u64(seed.wrapping_add(what_for.wrapping_mul(0x9e37_79b9_7f4a_7c15))).random()
}

impl Plan {
    /// The circumstances of this seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(derive(seed, 1));
        let latencies = [ms(1)..=ms(3), ms(1)..=ms(10), ms(5)..=ms(40)];
        let flushes = [ms(1)..=ms(2), ms(1)..=ms(10), ms(5)..=ms(30)];
        let faults = [ms(200)..=ms(2_000), ms(500)..=ms(4_000), ms(2_000)..=ms(8_000)];
        let one = |of: &[RangeInclusive<Duration>; 3], dice: &mut StdRng| of.choose(dice).unwrap_or(&of[0]).clone();
        let snapshot_entries = dice.random_range(30..400);
        Self {
            latency: one(&latencies, &mut dice),
            flush: one(&flushes, &mut dice),
            between_faults: one(&faults, &mut dice),
            people: dice.random_range(3..=4),
            pause: ms(dice.random_range(100..500)),
            tuning: Tuning {
                snapshot_entries,
                keep_entries: dice.random_range(0..snapshot_entries),
                ..Tuning::default()
            },
        }
    }
}
