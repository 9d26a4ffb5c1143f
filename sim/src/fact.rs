//! What happens in a run, as those see it who take part. The facts, in order, are the run's trace, and all that its
//! judges, the invariants, are told.

use std::{fmt, time::Duration};

/// A message as somebody saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its event id.
    pub id: u64,
    /// Its text, which no other message has.
    pub text: String,
}

/// Which message a person means to send: every one has another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sending {
    /// Who sends it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// The how-manieth outbox of that person. Within one the order is kept.
    pub outbox: u32,
    /// The how-manieth message of that outbox, from 1.
    pub number: u32,
}

impl Sending {
    /// The text, from which all of this can be read again.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{} {} {} {}", self.from, self.to, self.outbox, self.number)
    }

    /// Reads a text.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (from, to) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (outbox, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        words.next().is_none().then_some(Self { from, to, outbox, number })
    }

    /// The two people, in the order of their names.
    #[must_use]
    pub fn between(&self) -> (String, String) {
        between(&self.from, &self.to)
    }
}

/// Two people, in the order of their names: their conversation.
#[must_use]
pub fn between(one: &str, other: &str) -> (String, String) {
    let (one, other) = (one.to_owned(), other.to_owned());
    if one <= other { (one, other) } else { (other, one) }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is acknowledged, under this event id.
    Acknowledged(u64),
    /// It was never sent, and never will be.
    Never(String),
    /// Nothing is known; it may still come.
    Unknown(String),
    /// The cluster decided against it, which it must not.
    Refused(String),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A fault, its end, or a server's own last words: for those who read the trace.
    Remark(String),
    /// A server runs from now on.
    Started {
        /// Which.
        server: String,
        /// Its incarnation.
        incarnation: u64,
    },
    /// A server's process died.
    Crashed {
        /// Which.
        server: String,
    },
    /// As many servers as the cluster promises to survive have crashed, while everything else had been in order for a
    /// while and stays so for a while.
    CrashedFromOrder {
        /// How many.
        servers: usize,
    },
    /// The other servers have had their time to go on.
    OrderlyNoLonger,
    /// The servers are in groups that cannot reach each other.
    Divided {
        /// The groups.
        groups: Vec<Vec<String>>,
        /// No server's log held an entry of this index or a higher one.
        log_end: u64,
    },
    /// No longer.
    Reunited,
    /// A server shows the state after this log index.
    Applied {
        /// Which server.
        server: String,
        /// Up to here.
        index: u64,
        /// Of everything in that state.
        digest: u64,
    },
    /// A person has an account and a session.
    Registered {
        /// Who.
        person: String,
    },
    /// A message was put into an outbox.
    SendBegan(Sending),
    /// Its outcome is known.
    SendEnded(Sending, Sent),
    /// A person asks for the newest messages of a conversation.
    ReadBegan {
        /// The read's number.
        read: u64,
        /// Who asks.
        person: String,
        /// The other person of the conversation.
        with: String,
        /// It must show all that was acknowledged before.
        consistent: bool,
    },
    /// And is shown these.
    ReadEnded {
        /// The read's number.
        read: u64,
        /// Oldest first; none: there was no answer.
        messages: Option<Vec<Message>>,
        /// There are older ones.
        more: bool,
    },
    /// A person's device is told of a message.
    Followed {
        /// Whose device.
        person: String,
        /// The message.
        message: Message,
    },
    /// A person's device can no longer go on where it was.
    FollowingEnded {
        /// Whose device.
        person: String,
        /// What it was told.
        why: String,
    },
    /// No fault is left, and none comes.
    FaultsEnded,
    /// Nobody sends any more, and all that was sent has been answered or given up.
    Silence,
    /// A person reads a whole conversation at the end of the run.
    FinalRead {
        /// Who.
        person: String,
        /// With whom.
        with: String,
        /// All messages, oldest first.
        messages: Vec<Message>,
    },
    /// The run is over.
    Over,
}

/// When something happened: in simulated time, and in the order of all facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The place in the order of facts.
    pub order: u64,
    /// Simulated time since the run began.
    pub time: Duration,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = |messages: &[Message]| messages.iter().map(|message| message.id.to_string()).collect::<Vec<_>>();
        match self {
            Self::Remark(words) => write!(f, "-- {words}"),
            Self::Started { server, incarnation } => write!(f, "-- {server} starts, incarnation {incarnation}"),
            Self::Crashed { server } => write!(f, "-- {server} crashes"),
            Self::CrashedFromOrder { servers } => write!(f, "-- all but these {servers} is in order"),
            Self::OrderlyNoLonger => write!(f, "-- the others have had their time"),
            Self::Divided { groups, log_end } => write!(f, "-- divided into {groups:?}, logs end at {log_end}"),
            Self::Reunited => write!(f, "-- reunited"),
            Self::Applied { server, index, digest } => write!(f, "{server} applied {index}: {digest:016x}"),
            Self::Registered { person } => write!(f, "{person} registered"),
            Self::SendBegan(sending) => write!(f, "{} sends: {}", sending.from, sending.text()),
            Self::SendEnded(sending, sent) => write!(f, "{} sent: {}: {sent:?}", sending.from, sending.text()),
            Self::ReadBegan { read, person, with, consistent } => {
                write!(f, "{person} reads {with} ({read}{})", if *consistent { ", consistently" } else { "" })
            }
            Self::ReadEnded { read, messages: None, .. } => write!(f, "read {read}: no answer"),
            Self::ReadEnded { read, messages: Some(messages), more } => {
                write!(f, "read {read}: {}{}", if *more { "... " } else { "" }, ids(messages).join(" "))
            }
            Self::Followed { person, message } => write!(f, "{person} is told {}: {}", message.id, message.text),
            Self::FollowingEnded { person, why } => write!(f, "{person} is no longer told: {why}"),
            Self::FaultsEnded => write!(f, "-- all faults have ended"),
            Self::Silence => write!(f, "-- silence"),
            Self::FinalRead { person, with, messages } => {
                write!(f, "{person} reads all of {with}: {}", ids(messages).join(" "))
            }
            Self::Over => write!(f, "-- over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_it_is() {
        let sending = Sending { from: "ann".into(), to: "bob".into(), outbox: 2, number: 17 };
        assert_eq!(Sending::of(&sending.text()), Some(sending));
        assert_eq!(Sending::of("ann bob 2"), None);
        assert_eq!(Sending::of("ann bob 2 17 18"), None);
    }
}
