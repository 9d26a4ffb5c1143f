//! Attachments: what is known of a file, its parts, and what an account's files take.

use minicbor::{Decode, Encode};

use super::Record;
use crate::{
    content::ContentHash,
    event::Attached,
    ids::{AccountId, AttachmentId, ConversationId, EventId},
};

/// A file, on its way or complete.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AttachmentRecord {
    #[n(0)]
    pub(crate) owner: AccountId,
    #[n(1)]
    pub(crate) name: String,
    #[n(2)]
    pub(crate) content_type: String,
    /// Its size once it is complete.
    #[n(3)]
    pub(crate) bytes: u64,
    /// How much of it is there.
    #[n(4)]
    pub(crate) received: u64,
    /// Of the chunks that are there, see [`crate::content`].
    #[n(5)]
    pub(crate) chain: ContentHash,
    /// Of the whole; none: unfinished.
    #[n(6)]
    pub(crate) sha256: Option<ContentHash>,
    /// The message it belongs to; none: not sent yet.
    #[n(7)]
    pub(crate) sent_in: Option<SentIn>,
    /// What its author said it was, where that is not what it is: a retry says it again.
    #[n(8)]
    pub(crate) announced_type: Option<String>,
}

impl AttachmentRecord {
    /// As messages show it, once it is finished.
    pub(crate) fn attached(&self, attachment: AttachmentId) -> Option<Attached> {
        let Self { name, content_type, bytes, sha256, .. } = self;
        let (name, content_type) = (name.clone(), content_type.clone());
        sha256.map(|sha256| Attached { attachment, name, content_type, bytes: *bytes, sha256 })
    }
}

impl Record for AttachmentRecord {
    const NAME: &'static str = "attachment";

    fn size_hint(&self) -> usize {
        160 + self.name.len()
    }
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SentIn {
    #[n(0)]
    pub(crate) conversation: ConversationId,
    #[n(1)]
    pub(crate) message: EventId,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ChunkRecord {
    /// Of the content: a reader checks it.
    #[n(0)]
    pub(crate) hash: ContentHash,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) content: Vec<u8>,
}

impl Record for ChunkRecord {
    const NAME: &'static str = "chunk";

    fn size_hint(&self) -> usize {
        64 + self.content.len()
    }
}

/// What the attachments of an account take. There is none where they take nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct UsageRecord {
    /// In all, uploads counted whole from their beginning.
    #[n(0)]
    pub(crate) bytes: u64,
    /// Those that no message has yet, oldest first.
    #[n(1)]
    pub(crate) unsent: Vec<PendingUpload>,
}

impl Record for UsageRecord {
    const NAME: &'static str = "usage";
}

/// An upload that no message has yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PendingUpload {
    /// Of the command that began it.
    #[n(0)]
    pub(crate) nonce: u64,
    #[n(1)]
    pub(crate) attachment: AttachmentId,
    #[n(2)]
    pub(crate) finished: bool,
}

/// When an attachment goes unless a message has it by then. Its key is its id: who began earlier expires earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct UnsentRecord {
    #[n(0)]
    pub(crate) expires_at_ms: u64,
}

impl Record for UnsentRecord {
    const NAME: &'static str = "unsent attachment";
}

/// Chunks of a removed attachment: those with numbers below this are still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RemovalRecord {
    #[n(0)]
    pub(crate) left: u64,
}

impl Record for RemovalRecord {
    const NAME: &'static str = "removal";
}
