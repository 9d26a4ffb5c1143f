//! What is attached to messages: the hashes that tell that what is read is what was sent.
//!
//! A file is stored in chunks, each under its SHA-256. A *chain* binds them and their order together:
//! `chain = SHA-256(chain before || SHA-256 of the chunk)`, from zeros. The state grows it with every chunk; whoever finishes
//! an upload says which chain goes with the SHA-256 of the whole, so that the whole's hash is kept only for exactly those chunks.
//! (SHA-256 itself cannot be continued from a record: its inner state is nobody's format.)

use std::fmt;

use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use crate::bounds::CHUNK_BYTES;

/// A SHA-256 of content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct ContentHash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl ContentHash {
    /// The hash of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// The chain after one more chunk, of that hash.
    #[must_use]
    pub fn chained(self, chunk: Self) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(chunk.0).finalize().into())
    }

    /// From 64 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes a file, in whatever pieces it comes.
#[derive(Clone, Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// The next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of the whole.
    #[must_use]
    pub fn finish(self) -> ContentHash {
        ContentHash(self.0.finalize().into())
    }
}

/// Takes a file in, chunk by chunk.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    whole: Hasher,
    chain: ContentHash,
}

impl Digest {
    /// The next chunk; tells its own hash.
    pub fn chunk(&mut self, content: &[u8]) -> ContentHash {
        let hash = ContentHash::of(content);
        self.whole.update(content);
        self.chain = self.chain.chained(hash);
        hash
    }

    /// The hash of the whole, and the chain of its chunks.
    #[must_use]
    pub fn finish(self) -> (ContentHash, ContentHash) {
        (self.whole.finish(), self.chain)
    }
}

/// How many chunks a file of that size has.
#[must_use]
pub fn chunks(bytes: u64) -> u64 {
    bytes.div_ceil(CHUNK_BYTES)
}

/// The bytes of the chunk that begins at `offset` in a file of `bytes`; zero behind its end.
#[must_use]
pub fn chunk_bytes(bytes: u64, offset: u64) -> u64 {
    bytes.saturating_sub(offset).min(CHUNK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_of_chunks_is_that_of_the_whole_and_of_their_order() {
        let content: Vec<u8> = (0..600_000_u32).map(|number| number as u8).collect();
        let mut digest = Digest::default();
        let hashes: Vec<_> = content.chunks(CHUNK_BYTES as usize).map(|chunk| digest.chunk(chunk)).collect();
        let (whole, chain) = digest.finish();
        assert_eq!(whole, ContentHash::of(&content));
        assert_eq!(chain, hashes.iter().fold(ContentHash::default(), |chain, hash| chain.chained(*hash)));
        assert_ne!(chain, hashes.iter().rev().fold(ContentHash::default(), |chain, hash| chain.chained(*hash)));
        assert_eq!(hashes.len() as u64, chunks(600_000));
        assert_eq!(chunk_bytes(600_000, 2 * CHUNK_BYTES), 600_000 - 2 * CHUNK_BYTES);
        assert_eq!((chunks(0), chunk_bytes(5, 9)), (0, 0));
    }

    #[test]
    fn hex_comes_back_and_nothing_else_is_a_hash() {
        let hash = ContentHash::of(b"x");
        assert_eq!(ContentHash::from_hex(&hash.to_string()), Some(hash));
        for bad in ["", "00", &"g".repeat(64), &"+0".repeat(32), &"é".repeat(32)] {
            assert_eq!(ContentHash::from_hex(bad), None, "{bad}");
        }
    }
}
