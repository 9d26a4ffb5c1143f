//! Conversations and who is in them: the counters that make "unread" a subtraction.

use minicbor::{Decode, Encode};

use super::Record;
use crate::{
    apply::Audience,
    bounds::{SPANS_PER_MEMBERSHIP, UNREAD_MENTIONS},
    ids::{AccountId, ConversationId, EventId, Position},
};

/// A conversation's counters. Written with every message, so it is small.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ConversationRecord {
    #[n(0)]
    pub(crate) kind: ConversationKind,
    /// Messages ever sent.
    #[n(1)]
    pub(crate) messages: u64,
    /// The newest message; zero: none.
    #[n(2)]
    pub(crate) last_message: EventId,
    /// The newest other event; zero: none.
    #[n(3)]
    pub(crate) last_notice: EventId,
}

impl Record for ConversationRecord {
    const NAME: &'static str = "conversation";
}

/// What kind of conversation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum ConversationKind {
    /// Between two accounts, or of one with itself (then both ids and both counts are that one's).
    #[n(0)]
    Direct {
        #[n(0)]
        low: AccountId,
        #[n(1)]
        high: AccountId,
        /// Messages sent by `low`.
        #[n(2)]
        sent_by_low: u64,
        /// Messages sent by `high`.
        #[n(3)]
        sent_by_high: u64,
    },
    /// A room: what it is, and who is in it, is in its own records.
    #[n(1)]
    Room,
}

impl ConversationRecord {
    /// A new direct conversation of two accounts.
    pub(crate) fn direct(one: AccountId, other: AccountId) -> Self {
        Self {
            kind: ConversationKind::Direct {
                low: one.min(other),
                high: one.max(other),
                sent_by_low: 0,
                sent_by_high: 0,
            },
            messages: 0,
            last_message: EventId(0),
            last_notice: EventId(0),
        }
    }

    /// A new room.
    pub(crate) fn room() -> Self {
        Self { kind: ConversationKind::Room, messages: 0, last_message: EventId(0), last_notice: EventId(0) }
    }

    /// The other one of a direct conversation (oneself where one talks to oneself); none for a stranger, and in a room.
    pub(crate) fn peer_of(&self, account: AccountId) -> Option<AccountId> {
        match self.kind {
            ConversationKind::Direct { low, high, .. } if account == low => Some(high),
            ConversationKind::Direct { low, high, .. } if account == high => Some(low),
            ConversationKind::Direct { .. } | ConversationKind::Room => None,
        }
    }

    /// Those who may see a new event.
    pub(crate) fn audience(&self) -> Audience {
        match self.kind {
            ConversationKind::Direct { low, high, .. } if low == high => Audience::Accounts(vec![low]),
            ConversationKind::Direct { low, high, .. } => Audience::Accounts(vec![low, high]),
            ConversationKind::Room => Audience::Members,
        }
    }

    /// How many messages the account has sent; not counted in a room.
    pub(crate) fn sent_by(&self, account: AccountId) -> u64 {
        match self.kind {
            ConversationKind::Direct { low, sent_by_low, .. } if account == low => sent_by_low,
            ConversationKind::Direct { high, sent_by_high, .. } if account == high => sent_by_high,
            ConversationKind::Direct { .. } | ConversationKind::Room => 0,
        }
    }

    /// Counts a message of that author in: the message's number, and its author's number of it.
    pub(crate) fn count_message(&mut self, author: AccountId, event: EventId) -> (u64, u64) {
        self.messages += 1;
        self.last_message = event;
        match &mut self.kind {
            ConversationKind::Direct { low, high, sent_by_low, sent_by_high } => {
                if author == *low {
                    *sent_by_low += 1;
                }
                if author == *high {
                    *sent_by_high += 1;
                }
            }
            ConversationKind::Room => {}
        }
        (self.messages, self.sent_by(author))
    }

    /// Messages of others after the reader's marker. Deleted and hidden ones count like any other: the numbers of
    /// messages never change, which is what makes this a subtraction. In a room there are no own ones after the marker,
    /// because it moves along with whoever writes.
    pub(crate) fn unread(&self, reader: AccountId, membership: &MembershipRecord) -> u64 {
        let (number, own) = membership.marker.map_or((0, 0), |marker| (marker.number, marker.own));
        let after = membership.messages_of(self).saturating_sub(number);
        after.saturating_sub(self.sent_by(reader).saturating_sub(own))
    }

    /// A marker behind everything that there is.
    pub(crate) fn end(&self) -> Option<Marker> {
        (self.messages > 0).then_some(Marker { message: self.last_message, number: self.messages, own: 0 })
    }
}

/// The direct conversation of two accounts.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct DirectRecord {
    #[n(0)]
    pub(crate) conversation: ConversationId,
}

impl Record for DirectRecord {
    const NAME: &'static str = "direct conversation";
}

/// An account in a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct MembershipRecord {
    /// When the account was in it, oldest first: what it may see. One may leave a room and come back.
    #[n(0)]
    pub(crate) spans: Vec<Span>,
    /// How far it was read.
    #[n(1)]
    pub(crate) marker: Option<Marker>,
    /// The mailbox event that told of the marker: the next one takes its place.
    #[n(2)]
    pub(crate) marker_event: Option<EventId>,
    /// The account has hidden messages here: only then are they looked for.
    #[n(3)]
    pub(crate) hides: bool,
    /// The numbers of messages after the marker that mention the account, in order; the newest
    /// [`UNREAD_MENTIONS`] of them.
    #[n(4)]
    #[cbor(skip_if = "Vec::is_empty")]
    pub(crate) mentions: Vec<u64>,
    /// The event in the other one's mailbox that told of the marker: the next one takes its place.
    #[n(5)]
    pub(crate) receipt_event: Option<EventId>,
    /// Whether the account is in the room; none: this is no room.
    #[n(6)]
    pub(crate) attendance: Option<Attendance>,
}

impl MembershipRecord {
    /// Of a direct conversation, in since `from`, with nothing read.
    pub(crate) fn since(from: Position) -> Self {
        Self {
            spans: vec![Span { from, until: None, reads_from: None }],
            marker: None,
            marker_event: None,
            hides: false,
            mentions: Vec::new(),
            receipt_event: None,
            attendance: None,
        }
    }

    /// Whether the account is in now: who is not reads what it could see before, and writes nothing.
    pub(crate) fn is_in(&self) -> bool {
        self.spans.last().is_some_and(|span| span.until.is_none())
    }

    /// The account has read up to there, and so the mentions before it.
    pub(crate) fn move_marker(&mut self, marker: Marker) {
        self.mentions.retain(|number| *number > marker.number);
        self.marker = Some(marker);
    }

    /// The message of that number mentions the account. True if that is new, and unread.
    pub(crate) fn add_mention(&mut self, number: u64) -> bool {
        if self.marker.is_some_and(|marker| number <= marker.number) {
            return false;
        }
        let Err(place) = self.mentions.binary_search(&number) else { return false };
        self.mentions.insert(place, number);
        // The oldest one goes: what is left is right again as soon as the marker has passed it.
        let too_many = self.mentions.len().saturating_sub(UNREAD_MENTIONS);
        self.mentions.drain(..too_many);
        true
    }

    /// The message of that number mentions the account no more. True if that was known, and unread.
    pub(crate) fn remove_mention(&mut self, number: u64) -> bool {
        let place = self.mentions.binary_search(&number);
        place.map(|place| self.mentions.remove(place)).is_ok()
    }

    /// Of a room, before the account joins it for the first time.
    pub(crate) fn outside() -> Self {
        Self { spans: Vec::new(), ..Self::since(Position::default()) }
    }

    /// From `from` on the account is in the room, and has read everything. It may read what was there from `reads_from` on.
    pub(crate) fn join(&mut self, from: Position, reads_from: Position, end: Option<Marker>) {
        if self.spans.len() >= SPANS_PER_MEMBERSHIP {
            self.spans.remove(0);
        }
        self.spans.push(Span { from, until: None, reads_from: (reads_from < from).then_some(reads_from) });
        self.marker = end;
        self.mentions.clear();
        self.attendance = Some(Attendance::In);
    }

    /// The account is not in the room any more, which was called that, and sees nothing after `until`.
    pub(crate) fn leave(&mut self, until: Position, name: String, messages: u64) {
        if let Some(span) = self.spans.last_mut() {
            span.until = Some(until);
        }
        self.attendance = Some(Attendance::Left { name, messages });
    }

    /// Whether it is of a room that the account is in now.
    pub(crate) fn is_in_room(&self) -> bool {
        matches!(self.attendance, Some(Attendance::In))
    }

    /// Whether an event may be seen: it is of a time when the account was in, or of one that it may read about.
    pub(crate) fn covers(&self, event: EventId) -> bool {
        self.spans.iter().any(|span| {
            span.reads_from() <= event.position() && span.until.is_none_or(|until| event.position() <= until)
        })
    }

    /// How many messages of the conversation the account knows of.
    pub(crate) fn messages_of(&self, conversation: &ConversationRecord) -> u64 {
        match &self.attendance {
            Some(Attendance::Left { messages, .. }) => *messages,
            Some(Attendance::In) | None => conversation.messages,
        }
    }
}

impl Record for MembershipRecord {
    const NAME: &'static str = "membership";
}

/// Whether somebody who was in a room still is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Attendance {
    #[n(0)]
    In,
    /// What came after is none of the account's business, so what it knows of the room stands here.
    #[n(1)]
    Left {
        /// The room's name then.
        #[n(0)]
        name: String,
        /// Messages sent there until then.
        #[n(1)]
        messages: u64,
    },
}

/// A time of being in, from its first to its last position: what happens then comes to the account's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Span {
    #[n(0)]
    pub(crate) from: Position,
    /// None: still in.
    #[n(1)]
    pub(crate) until: Option<Position>,
    /// Who joins a public room may look up what was there before, from here on; it is not delivered.
    #[n(2)]
    pub(crate) reads_from: Option<Position>,
}

impl Span {
    /// The first position that may be seen.
    pub(crate) fn reads_from(&self) -> Position {
        self.reads_from.unwrap_or(self.from)
    }
}

/// How far a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Marker {
    /// The last message read.
    #[n(0)]
    pub(crate) message: EventId,
    /// Its number in the conversation.
    #[n(1)]
    pub(crate) number: u64,
    /// How many of the messages up to it are the reader's own.
    #[n(2)]
    pub(crate) own: u64,
}
