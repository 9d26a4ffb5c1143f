//! The judge of deliveries: numbers from 1 on, each exactly once and in order.

use serde::Serialize;

/// What one receiver got of one sender's numbers 1, 2, 3, ...
#[derive(Debug, Default)]
pub struct Checker {
    /// `seen[n - 1]`: number n has arrived.
    seen: Vec<bool>,
    verdict: Verdict,
}

/// What was wrong; all but `received` zero where nothing was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Numbers that arrived, each counted once.
    pub received: u64,
    /// Arrivals of a number that had arrived before.
    pub duplicates: u64,
    /// First arrivals of a number after a greater one.
    pub disorder: u64,
    /// Numbers that never arrived although a greater one did, or although they were acknowledged.
    pub missing: u64,
}

impl Checker {
    /// A number has arrived. Gives whether it is the first time.
    pub fn arrived(&mut self, number: u64) -> bool {
        let Some(place) = number.checked_sub(1).and_then(|place| usize::try_from(place).ok()) else {
            // No sender sends a zero: it is nobody's message.
            self.verdict.disorder += 1;
            return false;
        };
        if place >= self.seen.len() {
            self.seen.resize(place + 1, false);
        } else if self.seen[place] {
            self.verdict.duplicates += 1;
            return false;
        } else {
            self.verdict.disorder += 1;
        }
        self.seen[place] = true;
        self.verdict.received += 1;
        true
    }

    /// The verdict, where everything up to `acknowledged` must have arrived.
    pub fn verdict(&self, acknowledged: u64) -> Verdict {
        let due = acknowledged.max(self.seen.len() as u64);
        Verdict { missing: due - self.verdict.received, ..self.verdict }
    }
}

impl Verdict {
    /// How much was wrong.
    pub fn violations(&self) -> u64 {
        self.duplicates + self.disorder + self.missing
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            duplicates: self.duplicates + other.duplicates,
            disorder: self.disorder + other.disorder,
            missing: self.missing + other.missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(numbers: &[u64], acknowledged: u64) -> Verdict {
        let mut checker = Checker::default();
        for number in numbers {
            checker.arrived(*number);
        }
        checker.verdict(acknowledged)
    }

    #[test]
    fn each_once_and_in_order_is_right() {
        let right = verdict(&[1, 2, 3, 4], 4);
        assert_eq!((right.received, right.violations()), (4, 0));
        assert_eq!(verdict(&[], 0).violations(), 0);
    }

    #[test]
    fn a_duplicate_is_found() {
        assert_eq!(verdict(&[1, 2, 2, 3], 3), Verdict { received: 3, duplicates: 1, ..Verdict::default() });
        assert_eq!(verdict(&[1, 2, 3, 1], 3).duplicates, 1);
    }

    #[test]
    fn a_gap_is_found_also_at_the_end() {
        assert_eq!(verdict(&[1, 3], 3), Verdict { received: 2, missing: 1, ..Verdict::default() });
        assert_eq!(verdict(&[1, 2], 5).missing, 3);
    }

    #[test]
    fn disorder_is_found_and_is_no_gap() {
        assert_eq!(verdict(&[1, 3, 2, 4], 4), Verdict { received: 4, disorder: 1, ..Verdict::default() });
    }

    #[test]
    fn what_was_received_though_never_acknowledged_is_no_violation() {
        assert_eq!(verdict(&[1, 2, 3], 2).violations(), 0);
    }
}
