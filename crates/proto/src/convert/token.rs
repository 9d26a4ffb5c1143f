//! Session tokens: 32 bytes of a client's randomness, as bytes in a request and as 64 hex digits in the
//! metadata of every call. Never shown: not in logs, not in errors.

use std::fmt;

use threefold_core::TokenHash;

use super::Refusal;

/// A token's length.
pub const TOKEN_BYTES: usize = 32;

const SCHEME: &str = "Bearer ";

/// A session's token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// A token of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(bytes)
    }

    /// A token from a request.
    ///
    /// # Errors
    /// When it is not 32 bytes long, or evidently not random.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let token = <[u8; TOKEN_BYTES]>::try_from(bytes)
            .map_err(|_| Refusal::invalid(format!("a token has {TOKEN_BYTES} bytes, not {}", bytes.len())))?;
        // A client that forgot to fill its buffer would share its session with every other such client.
        if token.iter().all(|byte| *byte == token[0]) {
            return Err(Refusal::invalid("a token must be random"));
        }
        Ok(Self(token))
    }

    /// A token from the value of an `authorization` header.
    #[must_use]
    pub fn from_authorization(value: &str) -> Option<Self> {
        let (scheme, digits) = value.split_at_checked(SCHEME.len())?;
        if scheme.eq_ignore_ascii_case(SCHEME) { Self::from_hexadecimal(digits) } else { None }
    }

    /// A token of its hexadecimal digits.
    #[must_use]
    pub fn from_hexadecimal(digits: &str) -> Option<Self> {
        if digits.len() != 2 * TOKEN_BYTES {
            return None;
        }
        let mut token = [0; TOKEN_BYTES];
        for (byte, pair) in token.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(Self(token))
    }

    /// The value of the `authorization` header.
    #[must_use]
    pub fn to_authorization(&self) -> String {
        use fmt::Write as _;
        let mut value = String::with_capacity(SCHEME.len() + 2 * TOKEN_BYTES);
        value.push_str(SCHEME);
        for byte in self.0 {
            // Writing to a string has no way to fail.
            let _ = write!(value, "{byte:02x}");
        }
        value
    }

    /// The bytes, for a request or a session file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; TOKEN_BYTES] {
        &self.0
    }

    /// What servers keep of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> Token {
        Token::new(std::array::from_fn(|i| i as u8 * 7))
    }

    #[test]
    fn survives_the_header() {
        let header = counting().to_authorization();
        assert_eq!(header.len(), 71);
        assert_eq!(Token::from_authorization(&header), Some(counting()));
        assert_eq!(Token::from_authorization(&header.to_uppercase()), Some(counting()));
    }

    #[test]
    fn other_headers_are_no_tokens() {
        let header = counting().to_authorization();
        let digits = &header[7..];
        let short = &header[..70];
        let long = format!("{header}0");
        let wrong = header.replace("Bearer", "Basic ");
        let signs = format!("Bearer {}", "+1".repeat(32));
        let wide = format!("Bearer {}", "é".repeat(32));
        for bad in ["", "Bearer", "Bearer ", "é", digits, short, &long, &wrong, &signs, &wide] {
            assert_eq!(Token::from_authorization(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_32_random_bytes_are_a_token() {
        assert!(Token::from_bytes(counting().as_bytes()).is_ok());
        for bad in [&[][..], &[1; 31], &[1; 33], &[0; 32], &[255; 32]] {
            assert!(Token::from_bytes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn is_not_shown() {
        assert_eq!(format!("{:?}", counting()), "Token(secret)");
    }
}
