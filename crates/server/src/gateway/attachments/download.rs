//! One download: chunks out of the state, each checked, a part of the file.

use bytes::Bytes;
use threefold_core::{
    Rejection,
    bounds::CHUNK_BYTES,
    event::Attached,
    query::{self, Chunk},
};
use threefold_proto::convert::Refusal;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::CHUNK_PATIENCE;
use crate::gateway::{door::Door, places::Place};

/// Chunks read ahead of a reader: one on its way while the next is read.
const CHUNKS_AHEAD: usize = 1;

/// A part of a file.
pub(in crate::gateway) struct Download<D> {
    door: D,
    attached: Attached,
    /// The next byte, and the first one that is not wanted.
    next: u64,
    end: u64,
    _place: Place,
}

impl<D: Door> Download<D> {
    pub(super) fn new(door: D, attached: Attached, place: Place) -> Self {
        let end = attached.bytes;
        Self { door, attached, next: 0, end, _place: place }
    }

    /// Only so much of it; a length of zero: to the end.
    pub(super) fn part(mut self, offset: u64, length: u64) -> Self {
        let bytes = self.attached.bytes;
        self.next = offset.min(bytes);
        self.end = if length == 0 { bytes } else { offset.saturating_add(length).min(bytes) };
        self
    }

    /// What it is of.
    pub(in crate::gateway) fn attached(&self) -> &Attached {
        &self.attached
    }

    /// The next bytes; none at the end.
    pub(super) fn read(&mut self) -> Result<Option<Bytes>, Refusal> {
        if self.next >= self.end {
            return Ok(None);
        }
        let number = self.next / CHUNK_BYTES;
        let begin = number * CHUNK_BYTES;
        let chunk = self.chunk(number)?;
        let wanted = (self.next - begin) as usize..chunk.len().min((self.end - begin) as usize);
        if wanted.is_empty() {
            return Err(Refusal::Internal(format!("attachment {} is shorter than it is", self.attached.attachment)));
        }
        self.next = begin + wanted.end as u64;
        Ok(Some(chunk.slice(wanted)))
    }

    /// A whole chunk, as it was sent.
    pub(super) fn chunk(&self, number: u64) -> Result<Bytes, Refusal> {
        let attachment = self.attached.attachment;
        match self.door.read(|store| query::chunk(store, attachment, number)) {
            Chunk::Sound(content) => Ok(content.into()),
            // Its message was deleted meanwhile.
            Chunk::Gone => Err(Refusal::Rejected(Rejection::UnknownAttachment(attachment))),
            Chunk::Damaged => {
                tracing::error!(%attachment, number, "a chunk of an attachment is damaged on this server's disk");
                Err(Refusal::unavailable("this server's copy is damaged: try another"))
            }
        }
    }
}

/// The bytes of a download, one after the other. It ends early for a reader who takes too long for a chunk.
pub(in crate::gateway) fn piped<D: Door>(mut download: Download<D>) -> ReceiverStream<Result<Bytes, Refusal>> {
    let (pieces, reader) = mpsc::channel(CHUNKS_AHEAD);
    tokio::spawn(async move {
        loop {
            let piece = match download.read() {
                Ok(Some(piece)) => Ok(piece),
                Ok(None) => return,
                Err(refusal) => Err(refusal),
            };
            let is_last = piece.is_err();
            if !matches!(timeout(CHUNK_PATIENCE, pieces.send(piece)).await, Ok(Ok(()))) || is_last {
                return;
            }
        }
    });
    ReceiverStream::new(reader)
}
