//! What a device remembers between two runs of a program.

use serde::{Deserialize, Serialize};

use crate::token::{Token, decode_hex, encode_hex};

/// One device's session: enough to go on at any server without logging in again. A secret (it holds the
/// token): store it where only its owner can read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Proves who we are.
    pub token: Token,
    /// The account's id.
    pub account: u64,
    /// The session's id.
    pub session: u64,
    /// The account's name as registered.
    pub name: String,
    /// When the session ends unless it is used before, milliseconds since 1970.
    pub expires_at_ms: u64,
    /// Where a device without a cursor starts, as told at log-in.
    pub delivered_up_to: u64,
    /// The highest log position seen in any reply: reads are never older than this.
    #[serde(default)]
    pub position: u64,
    /// The last event this device has received; none before its first subscription.
    #[serde(default)]
    pub cursor: Option<u64>,
    /// The history that cursor and position belong to, as told by [`crate::Incoming::Connected`]; empty while not
    /// told.
    #[serde(default, with = "hex")]
    pub recovery_id: Vec<u8>,
    /// Client addresses of the cluster's servers, as last known.
    #[serde(default)]
    pub servers: Vec<String>,
}

impl Session {
    /// Where this device's next subscription begins.
    #[must_use]
    pub fn start(&self) -> Cursor {
        Cursor { after: self.cursor.unwrap_or(self.delivered_up_to), recovery_id: self.recovery_id.clone() }
    }
}

/// A place in the cluster's history: everything up to here has been received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The last event id received (zero: none).
    pub after: u64,
    /// The history it belongs to; empty if not known.
    pub recovery_id: Vec<u8>,
}

mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::encode_hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::decode_hex(&text).ok_or_else(|| serde::de::Error::custom("a recovery id is hexadecimal"))
    }
}
