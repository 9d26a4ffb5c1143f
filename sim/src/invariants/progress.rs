//! Once no fault is left, the cluster goes on: within a bound each person's messages are acknowledged again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::Invariant;
use crate::fact::{Fact, Moment, Sent};

/// Servers that were down start again, catch up and elect, and people's connections find them.
const BOUND: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Default)]
pub struct Progress {
    people: BTreeSet<String>,
    faults_ended: Option<Duration>,
    /// Who has not been acknowledged anything since.
    waiting: BTreeSet<String>,
    /// What everybody has sent since.
    sent_since: BTreeMap<String, BTreeSet<String>>,
}

impl Invariant for Progress {
    fn name(&self) -> &'static str {
        "progress once faults have ended"
    }

    fn observe(&mut self, moment: Moment, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Registered { person } => drop(self.people.insert(person.clone())),
            Fact::FaultsEnded => {
                self.faults_ended = Some(moment.time);
                self.waiting = self.people.clone();
            }
            Fact::SendBegan(sending) if self.faults_ended.is_some() => {
                self.sent_since.entry(sending.from.clone()).or_default().insert(sending.text());
            }
            Fact::SendEnded(sending, Sent::Acknowledged(_))
                if self.sent_since.get(&sending.from).is_some_and(|sent| sent.contains(&sending.text())) =>
            {
                self.waiting.remove(&sending.from);
            }
            _ => {}
        }
        let Some(ended) = self.faults_ended else { return Ok(()) };
        if !self.waiting.is_empty() && moment.time.saturating_sub(ended) > BOUND {
            return Err(format!("{BOUND:?} after all faults {:?} have no message acknowledged", self.waiting));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::testing::{acknowledged, began, judge};

    #[test]
    fn who_hears_nothing_after_the_faults_is_found() {
        let registered = Fact::Registered { person: "ann".into() };
        let silence = || std::iter::repeat_n(Fact::Remark("later".to_owned()), 12);
        let heard = [registered.clone(), Fact::FaultsEnded, began(1), acknowledged(1, 9)];
        assert_eq!(judge(&mut Progress::default(), &[&heard[..], &silence().collect::<Vec<_>>()].concat()), Ok(()));
        let before = [registered, began(1), Fact::FaultsEnded, acknowledged(1, 9)];
        assert!(judge(&mut Progress::default(), &[&before[..], &silence().collect::<Vec<_>>()].concat()).is_err());
    }
}
