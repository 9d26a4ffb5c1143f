//! Every message arrives exactly once, and in order: no text has two ids, no device is told twice or backwards, the
//! messages of one outbox are in the order they were sent, and at the end every device has been told everything.

use std::collections::{BTreeMap, BTreeSet};

use super::Invariant;
use crate::fact::{Fact, Message, Moment, Sending, Sent};

/// See the module.
#[derive(Default)]
pub struct ExactlyOnce {
    /// The id of every text that was seen anywhere.
    ids: BTreeMap<String, u64>,
    /// By outbox: the id of each number seen.
    outboxes: BTreeMap<(String, u32), BTreeMap<u32, u64>>,
    /// What each device was told.
    told: BTreeMap<String, BTreeSet<u64>>,
    /// What the readers found at the end.
    last: BTreeMap<String, BTreeSet<u64>>,
}

impl ExactlyOnce {
    fn meet(&mut self, id: u64, text: &str) -> Result<(), String> {
        let first = *self.ids.entry(text.to_owned()).or_insert(id);
        if first != id {
            return Err(format!("{text:?} is there twice, as {first} and as {id}"));
        }
        let Some(sending) = Sending::of(text) else { return Err(format!("nobody sent {text:?}, the message {id}")) };
        let outbox = self.outboxes.entry((sending.from, sending.outbox)).or_default();
        outbox.insert(sending.number, id);
        let before = outbox.range(..sending.number).next_back();
        let after = outbox.range(sending.number + 1..).next();
        if before.is_some_and(|(_, before)| *before >= id) || after.is_some_and(|(_, after)| *after <= id) {
            return Err(format!("{text:?}, the message {id}, is out of order: {before:?}, {after:?}"));
        }
        Ok(())
    }

    fn meet_all(&mut self, messages: &[Message]) -> Result<(), String> {
        messages.iter().try_for_each(|message| self.meet(message.id, &message.text))
    }
}

impl Invariant for ExactlyOnce {
    fn name(&self) -> &'static str {
        "exactly once and in order"
    }

    fn observe(&mut self, _: Moment, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::SendEnded(sending, Sent::Acknowledged(id)) => self.meet(*id, &sending.text()),
            Fact::ReadEnded { messages: Some(messages), .. } => self.meet_all(messages),
            Fact::Followed { person, message } => {
                let told = self.told.entry(person.clone()).or_default();
                if let Some(last) = told.last().filter(|last| **last >= message.id) {
                    return Err(format!("{person} is told {} after {last}", message.id));
                }
                told.insert(message.id);
                self.meet(message.id, &message.text)
            }
            Fact::FollowingEnded { person, why } => Err(format!("{person} is no longer told: {why}")),
            Fact::FinalRead { person, messages, .. } => {
                self.last.entry(person.clone()).or_default().extend(messages.iter().map(|message| message.id));
                self.meet_all(messages)
            }
            Fact::Over => {
                let missed = self.last.iter().find_map(|(person, last)| {
                    let told = self.told.get(person)?;
                    last.difference(told).next().map(|id| format!("{person} was never told of the message {id}"))
                });
                missed.map_or(Ok(()), Err)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::testing::{acknowledged, began, final_read, judge, message};

    fn told(number: u32, id: u64) -> Fact {
        Fact::Followed { person: "bob".into(), message: message(number, id) }
    }

    fn verdict(facts: &[Fact]) -> Result<(), String> {
        judge(&mut ExactlyOnce::default(), facts)
    }

    #[test]
    fn twice_or_out_of_order_is_found() {
        assert_eq!(verdict(&[began(1), told(1, 10), told(2, 20), acknowledged(2, 20)]), Ok(()));
        assert!(verdict(&[told(1, 10), told(1, 10)]).is_err(), "told twice");
        assert!(verdict(&[told(1, 10), told(1, 11)]).is_err(), "there twice");
        assert!(verdict(&[told(2, 10), told(1, 11)]).is_err(), "in another order than sent");
        assert!(verdict(&[told(2, 20), acknowledged(1, 30)]).is_err(), "in another order than sent");
    }

    #[test]
    fn a_device_that_misses_something_is_found() {
        let read = || final_read(vec![message(1, 10), message(2, 20)]);
        assert_eq!(verdict(&[told(1, 10), told(2, 20), read(), Fact::Over]), Ok(()));
        assert!(verdict(&[told(2, 20), read(), Fact::Over]).is_err());
    }
}
