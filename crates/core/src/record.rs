//! Every stored value: one version byte, then CBOR with numbered fields.
//!
//! A record of a newer version than this program writes is refused with words that say so; so is anything
//! that is not exactly one record. No bytes make decoding panic. Within a version only optional fields may
//! be added, at the end; anything else takes a new version and a way to read the old one.
//!
//! Left out on purpose: what a key already says (ids and scopes) is not stored again in the value.

use minicbor::{Decode, Encode};

use crate::{
    event::{Event, EventBody, Scope},
    ids::{AccountId, ConversationId, EventId, Position, SessionId, TokenHash},
    key::Key,
    store::{Read, StoreError},
};

mod window;

pub(crate) use window::{Recall, WindowRecord};

/// A stored value.
pub(crate) trait Record: Encode<()> + for<'b> Decode<'b, ()> {
    /// For error messages.
    const NAME: &'static str;
    /// What this program writes, and the newest it reads.
    const VERSION: u8 = 1;
}

/// The stored form of a record.
pub(crate) fn encode<R: Record>(record: &R) -> Vec<u8> {
    let mut buffer = vec![R::VERSION];
    let written: Result<(), minicbor::encode::Error<core::convert::Infallible>> = minicbor::encode(record, &mut buffer);
    match written {
        Ok(()) => buffer,
        // Writing CBOR to memory has no way to fail.
        Err(error) => unreachable!("encoding to memory: {error}"),
    }
}

/// A record from its stored form.
pub(crate) fn decode<R: Record>(bytes: &[u8]) -> Result<R, StoreError> {
    let corrupt = |what: String| StoreError::Corrupt(format!("{}: {what}", R::NAME));
    let (&version, body) = bytes.split_first().ok_or_else(|| corrupt("empty".to_owned()))?;
    if version > R::VERSION {
        return Err(corrupt(format!("version {version} is newer than this program knows ({})", R::VERSION)));
    }
    if version == 0 {
        return Err(corrupt("version 0 never existed".to_owned()));
    }
    let mut decoder = minicbor::Decoder::new(body);
    let record = decoder.decode().map_err(|error| corrupt(error.to_string()))?;
    if decoder.position() != body.len() {
        return Err(corrupt("bytes after its end".to_owned()));
    }
    Ok(record)
}

/// The record of a key, if there is one.
pub(crate) fn get<R: Record>(store: &dyn Read, key: Key<'_>) -> Result<Option<R>, StoreError> {
    store.get(&key.bytes())?.map(|bytes| decode(&bytes)).transpose()
}

/// The record of a key that another record says is there.
pub(crate) fn require<R: Record>(store: &dyn Read, key: Key<'_>) -> Result<R, StoreError> {
    get(store, key)?.ok_or_else(|| StoreError::Corrupt(format!("{} is missing: {key:?}", R::NAME)))
}

/// What there is one of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct MetaRecord {
    /// The state's own time: the greatest time of any entry so far.
    #[n(0)]
    pub(crate) clock_ms: u64,
    /// How many deleted accounts have records still to be removed.
    #[n(1)]
    pub(crate) cleanups: u64,
}

impl Record for MetaRecord {
    const NAME: &'static str = "meta";
}

/// The meta record; all zero before the first entry.
pub(crate) fn meta(store: &dyn Read) -> Result<MetaRecord, StoreError> {
    Ok(get(store, Key::Meta)?.unwrap_or_default())
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AccountRecord {
    /// As registered; empty once deleted (the name table keeps it reserved).
    #[n(0)]
    pub(crate) name: String,
    /// Argon2id in PHC string form; empty once deleted.
    #[n(1)]
    pub(crate) password_hash: String,
    /// Counts up with every change of the password.
    #[n(2)]
    pub(crate) credential_version: u64,
    #[n(3)]
    pub(crate) administrator: bool,
    #[n(4)]
    pub(crate) registered_at_ms: u64,
    /// Everything up to here was delivered to a client without a cursor.
    #[n(5)]
    pub(crate) delivered_up_to: Position,
    #[n(6)]
    pub(crate) deleted: bool,
}

impl Record for AccountRecord {
    const NAME: &'static str = "account";
}

/// Who has a name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct NameRecord {
    #[n(0)]
    pub(crate) account: AccountId,
    /// The account is deleted; its name stays taken.
    #[n(1)]
    pub(crate) deleted: bool,
}

impl Record for NameRecord {
    const NAME: &'static str = "name";
}

/// A session, live or ended. An ended one stays for a while, so that a late duplicate of its log-in does
/// not open it again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SessionRecord {
    #[n(0)]
    pub(crate) session: SessionId,
    #[n(1)]
    pub(crate) account: AccountId,
    #[n(2)]
    pub(crate) device: String,
    #[n(3)]
    pub(crate) opened_at_ms: u64,
    #[n(4)]
    pub(crate) expires_at_ms: u64,
    /// What the reply to the log-in said, for its retry: renewals move `expires_at_ms`.
    #[n(5)]
    pub(crate) first_expires_at_ms: u64,
    /// What the reply to the log-in said, for its retry.
    #[n(6)]
    pub(crate) first_delivered_up_to: Position,
    /// Instances handed out so far.
    #[n(7)]
    pub(crate) instances: u64,
    #[n(8)]
    pub(crate) ended: bool,
}

impl SessionRecord {
    /// Whether it may be used at that time.
    pub(crate) fn is_live(&self, clock_ms: u64) -> bool {
        !self.ended && clock_ms < self.expires_at_ms
    }
}

impl Record for SessionRecord {
    const NAME: &'static str = "session";
}

/// A session in the list of its account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AccountSessionRecord {
    /// Names the session's own record.
    #[n(0)]
    pub(crate) token: TokenHash,
}

impl Record for AccountSessionRecord {
    const NAME: &'static str = "account's session";
}

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
}

impl MembershipRecord {
    /// In since `from`, with nothing read.
    pub(crate) fn since(from: Position) -> Self {
        Self { spans: vec![Span { from, until: None }], marker: None, marker_event: None, hides: false }
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

/// An event, without what its key says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct EventRecord {
    #[n(0)]
    pub(crate) time_ms: u64,
    #[n(1)]
    pub(crate) body: EventBody,
}

impl EventRecord {
    /// The whole event again.
    pub(crate) fn into_event(self, id: EventId, scope: Scope) -> Event {
        Event { id, time_ms: self.time_ms, scope, body: self.body }
    }
}

impl Record for EventRecord {
    const NAME: &'static str = "event";
}

/// A run of messages, neighbours in their conversation, that an account has hidden; its first one is in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HiddenRecord {
    #[n(0)]
    pub(crate) last: EventId,
    #[n(1)]
    pub(crate) first_number: u64,
    #[n(2)]
    pub(crate) last_number: u64,
}

impl Record for HiddenRecord {
    const NAME: &'static str = "hidden messages";
}

/// There is something to remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CleanupRecord {}

impl Record for CleanupRecord {
    const NAME: &'static str = "cleanup";
}
