//! A conversation is a linearizable register: a consistent read shows every message that was acknowledged to anybody, or
//! shown by any consistent read, before it began. A plain read shows at least what its reader was told before.

use std::collections::BTreeMap;

use super::Invariant;
use crate::fact::{Fact, Message, Moment, Sending, Sent, between};

/// A conversation's messages by id, and since when (in the order of facts) each must be shown.
type Due = BTreeMap<u64, u64>;

/// See the module.
#[derive(Default)]
pub struct Linearizability {
    /// To every consistent read.
    everyone: BTreeMap<(String, String), Due>,
    /// To the plain reads of each person.
    own: BTreeMap<(String, (String, String)), Due>,
    reads: BTreeMap<u64, Read>,
}

struct Read {
    began: u64,
    person: String,
    pair: (String, String),
    consistent: bool,
}

fn due(due: &mut Due, id: u64, moment: Moment) {
    due.entry(id).or_insert(moment.order);
}

impl Linearizability {
    fn judge(&mut self, moment: Moment, read: &Read, messages: &[Message], more: bool) -> Result<(), String> {
        // Of a page of the newest, what is older than its first need not be there.
        let from = if more { messages.first().map_or(0, |message| message.id) } else { 0 };
        let everyone = self.everyone.entry(read.pair.clone()).or_default();
        let own = self.own.entry((read.person.clone(), read.pair.clone())).or_default();
        let shown = |id: u64| messages.binary_search_by_key(&id, |message| message.id).is_ok();
        let expected = if read.consistent { &*everyone } else { &*own };
        if let Some((id, _)) = expected.range(from..).find(|(id, since)| **since < read.began && !shown(**id)) {
            let kind = if read.consistent { "consistent" } else { "plain" };
            return Err(format!("{}'s {kind} read does not show the message {id}, known before it", read.person));
        }
        for message in messages {
            due(own, message.id, moment);
            if read.consistent {
                due(everyone, message.id, moment);
            }
        }
        Ok(())
    }
}

impl Invariant for Linearizability {
    fn name(&self) -> &'static str {
        "linearizable conversations"
    }

    fn observe(&mut self, moment: Moment, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::SendEnded(sending, Sent::Acknowledged(id)) => {
                due(self.everyone.entry(sending.between()).or_default(), *id, moment);
                due(self.own.entry((sending.from.clone(), sending.between())).or_default(), *id, moment);
            }
            Fact::Followed { person, message } => {
                let Some(sending) = Sending::of(&message.text) else { return Ok(()) };
                due(self.own.entry((person.clone(), sending.between())).or_default(), message.id, moment);
            }
            Fact::ReadBegan { read, person, with, consistent } => {
                let pair = between(person, with);
                let began = Read { began: moment.order, person: person.clone(), pair, consistent: *consistent };
                self.reads.insert(*read, began);
            }
            Fact::ReadEnded { read, messages, more } => {
                let Some(began) = self.reads.remove(read) else { return Err(format!("the read {read} ended twice")) };
                return messages.as_ref().map_or(Ok(()), |messages| self.judge(moment, &began, messages, *more));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::testing::{acknowledged, began, judge, message};

    fn read_began(read: u64, consistent: bool) -> Fact {
        Fact::ReadBegan { read, person: "bob".into(), with: "ann".into(), consistent }
    }

    fn read_ended(read: u64, messages: Vec<Message>, more: bool) -> Fact {
        Fact::ReadEnded { read, messages: Some(messages), more }
    }

    fn verdict(facts: &[Fact]) -> Result<(), String> {
        judge(&mut Linearizability::default(), facts)
    }

    #[test]
    fn a_consistent_read_shows_what_was_acknowledged_before_it_began() {
        let sent = [began(1), acknowledged(1, 10)];
        let stale = |consistent| [&sent[..], &[read_began(1, consistent), read_ended(1, vec![], false)]].concat();
        assert!(verdict(&stale(true)).is_err());
        assert_eq!(verdict(&stale(false)), Ok(()), "a plain read of somebody who has seen nothing may be stale");
        let overlapping = [read_began(1, true), began(1), acknowledged(1, 10), read_ended(1, vec![], false)];
        assert_eq!(verdict(&overlapping), Ok(()));
        let page = [&sent[..], &[read_began(1, true), read_ended(1, vec![message(2, 20)], true)]].concat();
        assert_eq!(verdict(&page), Ok(()), "it is older than the page");
    }

    #[test]
    fn two_reads_never_go_backwards() {
        let first = [read_began(1, true), read_ended(1, vec![message(1, 10)], false)];
        for consistent in [true, false] {
            let back = [&first[..], &[read_began(2, consistent), read_ended(2, vec![], false)]].concat();
            assert!(verdict(&back).is_err());
        }
        let across = [read_began(2, true), read_began(1, true), read_ended(1, vec![message(1, 10)], false)];
        assert_eq!(verdict(&[&across[..], &[read_ended(2, vec![], false)]].concat()), Ok(()));
    }
}
