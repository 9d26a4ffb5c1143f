//! What was accepted so far, in a few bytes: whether a list is the one whose beginning was accepted.

use prost::Message as _;
use threefold_core::content::ContentHash;
use threefold_proto::chat::{SendMessage, Write, write::Operation};

use super::To;
use crate::Error;

/// Stands for all writes that a [`crate::DiskOutbox`] has accepted, in their order: two are equal only if the writes were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of an outbox that has accepted nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What it is once this message was accepted too, as [`crate::Writer::send`] takes it.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name beyond its bounds.
    pub fn add_message(&mut self, to: impl Into<To>, body: impl Into<String>) -> Result<(), Error> {
        let to = Some(to.into().into_recipient()?);
        let message = SendMessage { to, body: body.into(), reply_to: 0, attachments: Vec::new() };
        self.add(&encoded(&Operation::Send(message)));
        Ok(())
    }

    /// `write` as it is on disk.
    pub(super) fn add(&mut self, write: &[u8]) {
        self.0 = ContentHash::of(&[&self.0[..], write].concat()).0;
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// A write as it is on disk: with nothing but its operation.
pub(super) fn encoded(operation: &Operation) -> Vec<u8> {
    Write { operation: Some(operation.clone()), ..Write::default() }.encode_to_vec()
}
