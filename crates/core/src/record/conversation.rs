//! Conversations and who is in them: the counters that make "unread" a subtraction.

use minicbor::{Decode, Encode};

use super::Record;
use crate::{
    bounds::UNREAD_MENTIONS,
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

    /// The other one of a direct conversation (oneself where one talks to oneself); none for a stranger.
    pub(crate) fn peer_of(&self, account: AccountId) -> Option<AccountId> {
        match self.kind {
            ConversationKind::Direct { low, high, .. } if account == low => Some(high),
            ConversationKind::Direct { low, high, .. } if account == high => Some(low),
            ConversationKind::Direct { .. } => None,
        }
    }

    /// Those who may see a new event.
    pub(crate) fn audience(&self) -> Vec<AccountId> {
        match self.kind {
            ConversationKind::Direct { low, high, .. } if low == high => vec![low],
            ConversationKind::Direct { low, high, .. } => vec![low, high],
        }
    }

    /// How many messages the account has sent.
    pub(crate) fn sent_by(&self, account: AccountId) -> u64 {
        match self.kind {
            ConversationKind::Direct { low, sent_by_low, .. } if account == low => sent_by_low,
            ConversationKind::Direct { high, sent_by_high, .. } if account == high => sent_by_high,
            ConversationKind::Direct { .. } => 0,
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
        }
        (self.messages, self.sent_by(author))
    }

    /// Messages of others after a marker. Deleted and hidden ones count like any other: the numbers of
    /// messages never change, which is what makes this a subtraction.
    pub(crate) fn unread(&self, reader: AccountId, marker: Option<&Marker>) -> u64 {
        let (number, own) = marker.map_or((0, 0), |marker| (marker.number, marker.own));
        let after = self.messages.saturating_sub(number);
        after.saturating_sub(self.sent_by(reader).saturating_sub(own))
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
}

impl MembershipRecord {
    /// In since `from`, with nothing read.
    pub(crate) fn since(from: Position) -> Self {
        Self {
            spans: vec![Span { from, until: None }],
            marker: None,
            marker_event: None,
            hides: false,
            mentions: Vec::new(),
            receipt_event: None,
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

    /// Whether an event is of a time when the account was in.
    pub(crate) fn covers(&self, event: EventId) -> bool {
        self.spans
            .iter()
            .any(|span| span.from <= event.position() && span.until.is_none_or(|until| event.position() <= until))
    }
}

impl Record for MembershipRecord {
    const NAME: &'static str = "membership";
}

/// From the first to the last position that may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Span {
    #[n(0)]
    pub(crate) from: Position,
    /// None: still in.
    #[n(1)]
    pub(crate) until: Option<Position>,
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
