//! What must hold in every run, one file each. Each is told every fact in order and says what is wrong.

mod agreement;
mod bounded_failover;
mod durability;
mod exactly_once;
mod linearizability;
mod one_side;
mod progress;

use crate::fact::{Fact, Moment};

/// Something that must hold.
pub trait Invariant: Send {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Takes note of what happened.
    ///
    /// # Errors
    /// What is wrong, if it no longer holds.
    fn observe(&mut self, moment: Moment, fact: &Fact) -> Result<(), String>;
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(agreement::Agreement::default()),
        Box::new(bounded_failover::BoundedFailover::default()),
        Box::new(durability::Durability::default()),
        Box::new(exactly_once::ExactlyOnce::default()),
        Box::new(linearizability::Linearizability::default()),
        Box::new(one_side::OneSide::default()),
        Box::new(progress::Progress::default()),
    ]
}

#[cfg(test)]
pub(crate) mod testing {
    use std::time::Duration;

    use super::*;
    use crate::fact::{Message, Sending, Sent};

    /// Shows facts, a second apart, until one is wrong.
    pub fn judge(invariant: &mut dyn Invariant, facts: &[Fact]) -> Result<(), String> {
        facts.iter().enumerate().try_for_each(|(place, fact)| {
            let moment = Moment { order: place as u64 + 1, time: Duration::from_secs(place as u64) };
            invariant.observe(moment, fact)
        })
    }

    pub fn sending(number: u32) -> Sending {
        Sending { from: "ann".into(), to: "bob".into(), outbox: 1, number }
    }

    pub fn began(number: u32) -> Fact {
        Fact::SendBegan(sending(number))
    }

    pub fn acknowledged(number: u32, id: u64) -> Fact {
        Fact::SendEnded(sending(number), Sent::Acknowledged(id))
    }

    pub fn message(number: u32, id: u64) -> Message {
        Message { id, text: sending(number).text() }
    }

    pub fn final_read(messages: Vec<Message>) -> Fact {
        Fact::FinalRead { person: "bob".into(), with: "ann".into(), messages }
    }
}
