//! The session token: 32 secret bytes that the client chooses and the servers store only as a hash.

use std::fmt;

use rand::{TryRngCore as _, rngs::OsRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

/// A token's length.
const TOKEN_BYTES: usize = 32;

/// A session's token. Never printed: its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// A new one from the operating system's randomness.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0; TOKEN_BYTES];
        OsRng.try_fill_bytes(&mut bytes).map_err(|error| Error::Usage(format!("no secure randomness: {error}")))?;
        Ok(Self(bytes))
    }

    /// Reads the 64 hexadecimal digits of [`Token::to_hex`].
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        Some(Self(decode_hex(text)?.try_into().ok()?))
    }

    /// 64 hexadecimal digits, as metadata and session files carry them.
    #[must_use]
    pub fn to_hex(&self) -> String {
        encode_hex(&self.0)
    }

    /// The bytes themselves.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("a token is 64 hexadecimal digits"))
    }
}

pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits?;
    if digits.len() % 2 != 0 {
        return None;
    }
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_through_json_and_never_shows_in_debug() {
        let token = Token::generate().unwrap();
        let json = serde_json::to_string(&token).unwrap();
        assert_eq!(json.len(), 66);
        assert_eq!(serde_json::from_str::<Token>(&json).unwrap(), token);
        assert_eq!(format!("{token:?}"), "Token(secret)");
    }

    #[test]
    fn anything_but_64_hexadecimal_digits_is_no_token() {
        for text in ["", "00", "zz", "000", &"0".repeat(63), &"0".repeat(66), &"é".repeat(32)] {
            assert_eq!(Token::from_hex(text), None, "{text}");
        }
    }
}
