//! The times of all rounds, what they must be, and how they are printed.

use std::time::Duration;

/// How long something took, in every round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds that of one round.
    pub fn add(&mut self, time: Duration) {
        let place = self.0.partition_point(|earlier| *earlier <= time);
        self.0.insert(place, time);
    }

    /// The time that this share of all does not exceed (nearest rank); zero if there are none.
    pub fn at(&self, share: f64) -> Duration {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// What is wrong with them, if they may take at most so long in the middle and in the worst case.
    pub fn too_slow(&self, what: &str, median: Duration, worst: Duration) -> Vec<String> {
        let bounds = [("in the middle", self.at(0.5), median), ("at worst", self.at(1.0), worst)];
        let broken = bounds.into_iter().filter(|(_, took, bound)| took > bound);
        broken.map(|(when, took, bound)| format!("{what}: {took:?} {when}, more than {bound:?}")).collect()
    }

    /// A line for people.
    pub fn line(&self) -> String {
        let ms = |share| format!("{:.0} ms", self.at(share).as_secs_f64() * 1000.0);
        let count = self.0.len();
        format!("median {}, 99th of 100 {}, longest {} ({count} times)", ms(0.5), ms(0.99), ms(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_nearest_ranks() {
        let mut times = Times::default();
        assert_eq!(times.at(0.5), Duration::ZERO);
        for ms in [30, 10, 40, 20] {
            times.add(Duration::from_millis(ms));
        }
        assert_eq!(times.at(0.5), Duration::from_millis(20));
        assert_eq!(times.at(0.99), Duration::from_millis(40));
        assert_eq!(times.line(), "median 20 ms, 99th of 100 40 ms, longest 40 ms (4 times)");
    }

    #[test]
    fn bounds_are_held_against_the_middle_and_the_worst() {
        let mut times = Times::default();
        [10, 20, 30].into_iter().for_each(|ms| times.add(Duration::from_millis(ms)));
        let ms = Duration::from_millis;
        assert_eq!(times.too_slow("it", ms(20), ms(30)), Vec::<String>::new());
        assert_eq!(times.too_slow("it", ms(19), ms(29)).len(), 2);
    }
}
