//! Identifiers. Everything that is created by a log entry is named by the place in the log that
//! created it, so identifiers need no counter, never collide and grow in log order.

use std::fmt;

use minicbor::{Decode, Encode};

/// Places for events and created things in one log entry; see [`Position`].
pub const PLACES_PER_ENTRY: u64 = 4096;

/// A place in the log: `log index * 4096 + place in the entry`.
///
/// Kept below 2^53 so that a JavaScript client can hold it as a number. Zero is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Position(#[n(0)] pub u64);

impl Position {
    /// The position `place` within the entry at `log_index`.
    ///
    /// # Panics
    /// If `place` is not below [`PLACES_PER_ENTRY`] or the index leaves no room below 2^53: both
    /// would break the order of events, which nothing may survive.
    #[must_use]
    pub fn new(log_index: u64, place: u64) -> Self {
        assert!(place < PLACES_PER_ENTRY, "an entry has {PLACES_PER_ENTRY} places, not {place}");
        assert!(log_index < (1 << 53) / PLACES_PER_ENTRY, "log index {log_index} leaves the range of positions");
        Self(log_index * PLACES_PER_ENTRY + place)
    }

    /// The last position of the entry at `log_index`: everything up to and including that entry.
    #[must_use]
    pub fn end_of(log_index: u64) -> Self {
        Self::new(log_index, PLACES_PER_ENTRY - 1)
    }

    /// The log entry this position lies in.
    #[must_use]
    pub fn log_index(self) -> u64 {
        self.0 / PLACES_PER_ENTRY
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! position_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Position> for $name {
            fn from(position: Position) -> Self {
                Self(position.0)
            }
        }
    };
}

position_id!(
    /// An account, named by the position of its registration.
    AccountId
);
position_id!(
    /// A conversation (direct or a room), named by the position that opened it.
    ConversationId
);
position_id!(
    /// A session (one device of one account), named by the position of its log-in.
    SessionId
);
position_id!(
    /// A file that was or is to be attached to a message, named by the position that began its upload.
    AttachmentId
);
position_id!(
    /// An event. Event ids grow in log order across the whole cluster, so one number is a device's
    /// whole cursor.
    EventId
);

impl EventId {
    /// The event's place in the log.
    #[must_use]
    pub fn position(self) -> Position {
        Position(self.0)
    }
}

/// SHA-256 of a session token. The token itself (32 random bytes) is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct TokenHash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl TokenHash {
    /// The hash of `token`.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(token).into())
    }
}

/// The name that a client gave to a request: the first eight bytes of its SHA-256. They suffice, for names meet only
/// within the last few of one account, and whoever makes two meet fools nobody but oneself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct RequestName(#[n(0)] pub u64);

impl RequestName {
    /// That of `name`.
    #[must_use]
    pub fn of(name: impl AsRef<[u8]>) -> Self {
        use sha2::Digest as _;
        let digest: [u8; 32] = sha2::Sha256::digest(name).into();
        Self(digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// Names one write of one client, so that a retry of it is recognised by the state machine.
///
/// The instance is handed out by the cluster ([`crate::Command::OpenInstance`], or with a log-in)
/// and numbers count up from 1 without gaps within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RequestId {
    /// Which client process of the session; handed out in order, per session.
    #[n(0)]
    pub instance: u64,
    /// Which write of that instance: 1, 2, 3, ...
    #[n(1)]
    pub number: u64,
}
