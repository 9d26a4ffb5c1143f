//! Files: taken in piece by piece, put into the log chunk by chunk, and given out again in parts.
//!
//! Promises: a file is never held whole; each upload has one chunk in memory and at most one on its way, so it goes at the pace
//! of the log and never ahead of it; whoever sends or reads too slowly is let go; how many go on at once is bounded. What is
//! given out is checked against the hash it was stored with. Left out on purpose: who may have what, and quotas, which are the
//! state machine's; this server's own part is only how large a file it lets in.

mod download;
pub(super) mod http;
mod kind;
mod range;
pub(super) mod stream;
#[cfg(test)]
mod tests;
mod thumbnail;
mod upload;

use std::{path::PathBuf, sync::Arc, time::Duration};

use threefold_core::{AttachmentId, Command, ConversationId, EventId, Rejection, bounds, query};
use threefold_proto::{
    chat,
    convert::{self, Refusal},
};
use tokio::time::Instant;

use super::{
    Caller, Gateway,
    door::Door,
    places::{Places, place},
};
use crate::config::AttachmentLimits;

pub(super) use download::{Download, piped};
pub use thumbnail::{ARGUMENT as THUMBNAIL_ARGUMENT, answer_damaged, make_thumbnail};
pub(super) use upload::{Begun, Upload};

/// Uploads at once: at half a MiB each, 16 MiB; and the log takes no more from more of them.
const UPLOADS: usize = 32;
/// Of one account: as many as it may have unfinished, and others always find a place.
const UPLOADS_OF_ONE: usize = bounds::UNFINISHED_UPLOADS;
/// Downloads at once: at up to three chunks each, 192 MiB where everybody reads slowly.
const DOWNLOADS: usize = 256;
/// Of one account: a page full of pictures on each of a few devices.
const DOWNLOADS_OF_ONE: usize = 32;
/// How long the pieces of one chunk may take to come, or one chunk to be taken: slower than 5 KiB a second is not worth a place.
const CHUNK_PATIENCE: Duration = Duration::from_secs(60);
/// How long one chunk may wait for the log: several elections.
const LOG_PATIENCE: Duration = Duration::from_secs(30);

/// Limits, and places for those who come.
pub(super) struct Attachments {
    limits: AttachmentLimits,
    uploads: Arc<Places>,
    downloads: Arc<Places>,
    thumbnails: thumbnail::Thumbnails,
}

impl Attachments {
    pub(super) fn new(limits: AttachmentLimits, thumbnailer: Option<PathBuf>) -> Self {
        let (uploads, downloads) = (Places::new(UPLOADS, UPLOADS_OF_ONE), Places::new(DOWNLOADS, DOWNLOADS_OF_ONE));
        Self { limits, uploads, downloads, thumbnails: thumbnail::Thumbnails::new(thumbnailer) }
    }
}

/// Nobody is in it.
const NO_CONVERSATION: ConversationId = ConversationId(0);

impl<D: Door> Gateway<D> {
    /// What is attached to a message, and where that is.
    pub(super) fn list_attachments(
        &self,
        caller: &Caller,
        request: chat::ListAttachmentsRequest,
    ) -> Result<chat::ListAttachmentsReply, Refusal> {
        let (reader, message) = (caller.session.account, EventId(request.message));
        let conversation = self.place_of(caller, ConversationId(request.conversation), message);
        let found = self.door().read(|store| query::attachments(store, reader, conversation, message))?;
        let attachments = found.into_iter().map(convert::attachment).collect();
        Ok(chat::ListAttachmentsReply { conversation: conversation.0, attachments })
    }

    /// Takes back an upload that no message has yet.
    pub(super) async fn discard_attachment(
        &self,
        caller: &Caller,
        request: chat::DiscardAttachmentRequest,
        deadline: Instant,
    ) -> Result<chat::DiscardAttachmentReply, Refusal> {
        self.pace(caller, deadline).await?;
        let attachment = AttachmentId(request.attachment);
        self.submit_plain(Command::DiscardAttachment { session: caller.token, attachment }, deadline).await?;
        Ok(chat::DiscardAttachmentReply {})
    }

    /// A file that the caller may have, from `offset` to its end or `length` bytes of it.
    pub(super) fn open_download(
        &self,
        caller: &Caller,
        request: &chat::DownloadAttachmentRequest,
    ) -> Result<Download<D>, Refusal> {
        let (reader, message) = (caller.session.account, EventId(request.message));
        let attachment = AttachmentId(request.attachment);
        let conversation = self.place_of(caller, ConversationId(request.conversation), message);
        let attached = self.door().read(|store| query::attachment(store, reader, conversation, message, attachment))?;
        if request.offset > attached.bytes {
            let what =
                format!("the attachment has {} bytes: byte {} is behind its end", attached.bytes, request.offset);
            return Err(Refusal::Rejected(Rejection::Invalid(what)));
        }
        let place = place(&self.shared.attachments.downloads, reader, "downloads")?;
        Ok(Download::new(self.door().clone(), attached, place).part(request.offset, request.length))
    }

    /// The conversation of a message, as the caller says or else where it is found.
    fn place_of(&self, caller: &Caller, conversation: ConversationId, message: EventId) -> ConversationId {
        if conversation != NO_CONVERSATION {
            return conversation;
        }
        let found = self.door().read(|store| query::conversation_of_message(store, caller.session.account, message));
        found.unwrap_or(NO_CONVERSATION)
    }
}
