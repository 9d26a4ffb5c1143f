//! One upload: pieces in, chunks into the log.
//!
//! What was there before (after an interruption, at whichever server) is read back from the state and hashed like what comes
//! now, so the hash of the whole is always that of what is stored, chunk for chunk.

use bytes::{Bytes, BytesMut};
use threefold_core::{
    AttachmentId, Command, ContentHash, Rejection, Reply, TokenHash,
    bounds::CHUNK_BYTES,
    content::{Digest, chunk_bytes},
    event::Attached,
    query::{self, Chunk},
};
use threefold_proto::{chat, convert::Refusal};
use tokio::time::Instant;

use super::{CHUNK_PATIENCE, LOG_PATIENCE, kind, place};
use crate::gateway::{Caller, Gateway, door::Door, places::Place, unavailable, unexpected_reply};

/// What becomes of an announced file.
pub(in crate::gateway) enum Begun<D: Door> {
    /// It is to be sent, from where it is.
    Open(Box<Upload<D>>),
    /// It is there already: this is a retry.
    Finished(Attached),
}

/// A file on its way.
pub(in crate::gateway) struct Upload<D: Door> {
    door: D,
    session: TokenHash,
    attachment: AttachmentId,
    bytes: u64,
    /// What it is said to be.
    announced_type: String,
    /// With what it begins, so far as kinds of files are told by it.
    first: Bytes,
    /// How much is safe.
    received: u64,
    digest: Digest,
    /// What has come of the next chunk.
    gathered: BytesMut,
    /// When that chunk must be complete.
    due: Instant,
    /// Whether nobody will go on with it if this ends early.
    is_only_try: bool,
    _place: Place,
}

impl<D: Door> Gateway<D> {
    /// The largest file that this server takes, in bytes.
    pub(in crate::gateway) fn largest_attachment(&self) -> u64 {
        self.shared.attachments.limits.attachment_bytes
    }

    /// Begins an upload or goes on with it.
    pub(in crate::gateway) async fn begin_upload(
        &self,
        caller: &Caller,
        begin: chat::BeginUpload,
        deadline: Instant,
    ) -> Result<Begun<D>, Refusal> {
        let attachments = &self.shared.attachments;
        let limit_bytes = self.largest_attachment();
        if begin.bytes > limit_bytes {
            return Err(Refusal::Rejected(Rejection::AttachmentTooLarge { limit_bytes }));
        }
        self.pace(caller, deadline).await?;
        let place = place(&attachments.uploads, caller.session.account, "uploads")?;
        let chat::BeginUpload { nonce, name, content_type, bytes } = begin;
        let (session, quota_bytes) = (caller.token, attachments.limits.quota_bytes);
        let announced_type = content_type.clone();
        let command = Command::BeginAttachment { session, nonce, name, content_type, bytes, quota_bytes };
        let committed = self.door().submit_bulk(&command, deadline).await.map_err(unavailable)?;
        let (attachment, received) = match committed.reply {
            Reply::UploadReached { attachment, received } => (attachment, received),
            Reply::AttachmentFinished(attached) => return Ok(Begun::Finished(attached)),
            reply => return Err(refusal(reply)),
        };
        // What is there is read here.
        self.wait_for(committed.position, deadline).await?;
        let mut upload = Upload {
            door: self.door().clone(),
            session,
            attachment,
            bytes,
            announced_type,
            first: Bytes::new(),
            received,
            digest: Digest::default(),
            gathered: BytesMut::new(),
            due: Instant::now() + CHUNK_PATIENCE,
            is_only_try: false,
            _place: place,
        };
        upload.read_back().await?;
        Ok(Begun::Open(Box::new(upload)))
    }
}

impl<D: Door> Upload<D> {
    /// Where it is.
    pub(in crate::gateway) fn reached(&self) -> chat::UploadReached {
        chat::UploadReached { attachment: self.attachment.0, bytes: self.received }
    }

    /// When the next piece must be here.
    pub(in crate::gateway) fn due(&self) -> Instant {
        self.due
    }

    /// Has it discarded if it ends early: whoever sends it cannot go on with it.
    pub(in crate::gateway) fn only_try(mut self) -> Self {
        self.is_only_try = true;
        self
    }

    /// Takes a piece in; says whether more is safe than before.
    pub(in crate::gateway) async fn put(&mut self, mut piece: Bytes) -> Result<bool, Refusal> {
        let before = self.received;
        while !piece.is_empty() {
            let wanted = chunk_bytes(self.bytes, self.received) as usize - self.gathered.len();
            if wanted == 0 {
                return Err(Refusal::invalid(format!(
                    "the file was announced with {} bytes: this is more",
                    self.bytes
                )));
            }
            self.gathered.extend_from_slice(&piece.split_to(wanted.min(piece.len())));
            if self.gathered.len() as u64 == chunk_bytes(self.bytes, self.received) {
                self.put_chunk().await?;
            }
        }
        Ok(self.received > before)
    }

    /// The whole file is here; `expected` is its hash if the client knows it.
    pub(in crate::gateway) async fn finish(mut self, expected: Option<ContentHash>) -> Result<Attached, Refusal> {
        if self.received < self.bytes {
            return Err(Refusal::Rejected(Rejection::UploadOutOfPlace { expected: self.received }));
        }
        let (sha256, chain) = self.digest.clone().finish();
        if expected.is_some_and(|expected| expected != sha256) {
            // It will never be what it should be.
            self.is_only_try = true;
            return Err(Refusal::invalid(format!("what arrived has another SHA-256 than was said: {sha256}")));
        }
        let (session, attachment) = (self.session, self.attachment);
        let content_type = kind::corrected(&self.announced_type, &self.first).map(str::to_owned);
        match self.submit(&Command::FinishAttachment { session, attachment, sha256, chain, content_type }).await? {
            Reply::AttachmentFinished(attached) => {
                self.is_only_try = false;
                Ok(attached)
            }
            reply => Err(refusal(reply)),
        }
    }

    async fn put_chunk(&mut self) -> Result<(), Refusal> {
        let content = std::mem::take(&mut self.gathered).to_vec();
        self.look_at(&content);
        let (session, attachment, offset) = (self.session, self.attachment, self.received);
        let after = offset + content.len() as u64;
        let hash = self.digest.chunk(&content);
        match self.submit(&Command::PutChunk { session, attachment, offset, hash, content }).await? {
            Reply::UploadReached { received, .. } if received == after => {}
            // The same upload goes on elsewhere, after a break in the connection perhaps.
            Reply::UploadReached { received: expected, .. } => {
                return Err(Refusal::Rejected(Rejection::UploadOutOfPlace { expected }));
            }
            reply => return Err(refusal(reply)),
        }
        self.received = after;
        self.due = Instant::now() + CHUNK_PATIENCE;
        Ok(())
    }

    /// Remembers with what the file begins.
    fn look_at(&mut self, chunk: &[u8]) {
        if self.first.is_empty() {
            self.first = Bytes::copy_from_slice(chunk.get(..kind::TOLD_BY).unwrap_or(chunk));
        }
    }

    async fn submit(&self, command: &Command) -> Result<Reply, Refusal> {
        let committed = self.door.submit_bulk(command, Instant::now() + LOG_PATIENCE).await.map_err(unavailable)?;
        Ok(committed.reply)
    }

    /// Hashes what is there already.
    async fn read_back(&mut self) -> Result<(), Refusal> {
        for number in 0..self.received.div_ceil(CHUNK_BYTES) {
            match self.door.read(|store| query::chunk(store, self.attachment, number)) {
                Chunk::Sound(content) => {
                    self.look_at(&content);
                    self.digest.chunk(&content)
                }
                Chunk::Gone => return Err(Refusal::Rejected(Rejection::UnknownAttachment(self.attachment))),
                Chunk::Damaged => return Err(Refusal::unavailable("this server's copy is damaged: try another")),
            };
            // A large file takes a while: others come in between.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

impl<D: Door> Drop for Upload<D> {
    fn drop(&mut self) {
        if !self.is_only_try {
            return;
        }
        let (door, session, attachment) = (self.door.clone(), self.session, self.attachment);
        // Nobody waits for it; what is missed here goes after a day.
        tokio::spawn(async move {
            let command = Command::DiscardAttachment { session, attachment };
            if let Err(error) = door.submit_bulk(&command, Instant::now() + LOG_PATIENCE).await {
                tracing::debug!(%error, "an upload was not discarded");
            }
        });
    }
}

fn refusal(reply: Reply) -> Refusal {
    match reply {
        Reply::Rejected(rejection) => rejection.into(),
        Reply::SessionOpened { .. }
        | Reply::InstanceOpened { .. }
        | Reply::MessageSent { .. }
        | Reply::RoomCreated { .. }
        | Reply::UploadReached { .. }
        | Reply::AttachmentFinished(_)
        | Reply::BotCreated { .. }
        | Reply::WebhookCreated { .. }
        | Reply::Done => unexpected_reply(),
    }
}
