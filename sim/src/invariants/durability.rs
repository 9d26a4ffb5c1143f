//! Nothing that was acknowledged, or that any reader has seen, is ever lost or changed: at the end every conversation
//! holds all of it, under the same id. And what was never sent, as its sender was told, is nowhere.

use std::collections::{BTreeMap, BTreeSet};

use super::Invariant;
use crate::fact::{Fact, Message, Moment, Sending, Sent, between};

/// See the module.
#[derive(Default)]
pub struct Durability {
    /// All that is certain: by id, what it says and how that is known.
    known: BTreeMap<u64, (String, String)>,
    never: BTreeSet<String>,
}

impl Durability {
    fn know(&mut self, id: u64, text: &str, how: impl FnOnce() -> String) -> Result<(), String> {
        let (known, by) = self.known.entry(id).or_insert_with(|| (text.to_owned(), how()));
        if known != text {
            return Err(format!("the message {id} was {known:?} ({by}), and now it is {text:?}"));
        }
        if self.never.contains(text) {
            return Err(format!("the message {id}, {text:?}, was never sent, as its sender was told"));
        }
        Ok(())
    }

    fn know_all(&mut self, messages: &[Message], how: impl Fn() -> String) -> Result<(), String> {
        messages.iter().try_for_each(|message| self.know(message.id, &message.text, &how))
    }
}

impl Invariant for Durability {
    fn name(&self) -> &'static str {
        "nothing is lost"
    }

    fn observe(&mut self, _: Moment, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::SendEnded(sending, Sent::Acknowledged(id)) => {
                self.know(*id, &sending.text(), || "acknowledged".to_owned())
            }
            Fact::SendEnded(sending, Sent::Never(_)) => {
                self.never.insert(sending.text());
                match self.known.values().find(|(text, _)| *text == sending.text()) {
                    Some((text, by)) => {
                        Err(format!("{text:?} is there ({by}), but its sender is told it never was sent"))
                    }
                    None => Ok(()),
                }
            }
            Fact::SendEnded(sending, Sent::Refused(why)) => Err(format!("{:?} was refused: {why}", sending.text())),
            Fact::Followed { person, message } => {
                self.know(message.id, &message.text, || format!("{person} was told of it"))
            }
            Fact::ReadEnded { read, messages: Some(messages), .. } => {
                self.know_all(messages, || format!("shown by the read {read}"))
            }
            Fact::FinalRead { person, with, messages } => {
                self.know_all(messages, || format!("read by {person} at the end"))?;
                let there = messages.iter().map(|message| message.id).collect::<BTreeSet<_>>();
                let of_them =
                    |text: &str| Sending::of(text).is_some_and(|sending| sending.between() == between(person, with));
                match self.known.iter().find(|(id, (text, _))| !there.contains(id) && of_them(text)) {
                    Some((id, (text, by))) => Err(format!("the message {id}, {text:?} ({by}), is lost")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::testing::{acknowledged, began, final_read, judge, message, sending};

    #[test]
    fn what_was_acknowledged_or_seen_must_be_there_at_the_end() {
        let told = Fact::Followed { person: "bob".into(), message: message(2, 20) };
        let facts = |read| [began(1), began(2), acknowledged(1, 10), told.clone(), final_read(read)];
        let verdict = |read| judge(&mut Durability::default(), &facts(read));
        assert_eq!(verdict(vec![message(1, 10), message(2, 20), message(3, 30)]), Ok(()));
        assert!(verdict(vec![message(1, 10)]).is_err(), "seen, and lost");
        assert!(verdict(vec![message(2, 20)]).is_err(), "acknowledged, and lost");
        assert!(verdict(vec![message(1, 10), message(3, 20)]).is_err(), "another in its place");
    }

    #[test]
    fn what_was_never_sent_is_nowhere() {
        let never = Fact::SendEnded(sending(1), Sent::Never("no server".into()));
        let facts = [began(1), never, final_read(vec![message(1, 10)])];
        assert!(judge(&mut Durability::default(), &facts).is_err());
    }
}
