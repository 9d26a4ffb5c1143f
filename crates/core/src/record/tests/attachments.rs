//! The stored formats of attachments.

use super::*;
use crate::{
    content::ContentHash,
    event::Attached,
    ids::AttachmentId,
    record::{AttachmentRecord, ChunkRecord, PendingUpload, RemovalRecord, SentIn, UnsentRecord, UsageRecord},
};

const ID: AttachmentId = AttachmentId(20480);
const HASH: ContentHash = ContentHash([8; 32]);

fn attached() -> Attached {
    let (name, content_type) = ("a.png".to_owned(), "image/png".to_owned());
    Attached { attachment: ID, name, content_type, bytes: 300_000, sha256: HASH }
}

fn keys() -> Vec<Sample> {
    [
        ("key: attachment", Key::Attachment(ID)),
        ("key: chunk", Key::Chunk(ID, 1)),
        ("key: usage", Key::Usage(AccountId(1))),
        ("key: unsent attachment", Key::Unsent(ID)),
        ("key: removal", Key::Removal(ID)),
    ]
    .map(|(name, key)| Sample { name, bytes: key.bytes(), again: key.bytes() })
    .into()
}

fn records() -> Vec<Sample> {
    let Attached { name, content_type, bytes, .. } = attached();
    let unfinished = AttachmentRecord {
        owner: AccountId(4096),
        name,
        content_type,
        bytes,
        received: 262_144,
        chain: HASH,
        sha256: None,
        sent_in: None,
        announced_type: None,
    };
    let sent_in = Some(SentIn { conversation: ConversationId(8192), message: EventId(24576) });
    let sent = AttachmentRecord { received: bytes, sha256: Some(HASH), sent_in, ..unfinished.clone() };
    let upload = PendingUpload { nonce: 9, attachment: ID, finished: true };
    let message = EventBody::MessageSent {
        author: AccountId(4096),
        body: String::new(),
        number: 3,
        author_number: 2,
        deleted: false,
        edited: None,
        reply_to: None,
        mentions: Vec::new(),
        attachments: Some(vec![attached()]),
    };
    vec![
        record(
            "meta with attachments",
            MetaRecord { clock_ms: 5, cleanups: 0, unsent_expire_ms: Some(7), removals: Some(1) },
        ),
        record("attachment that is not complete", unfinished),
        record("attachment", sent.clone()),
        record(
            "attachment announced otherwise",
            AttachmentRecord { announced_type: Some("text/plain".to_owned()), ..sent },
        ),
        record("chunk", ChunkRecord { hash: HASH, content: vec![1, 2, 3] }),
        record("usage", UsageRecord { bytes, unsent: vec![upload] }),
        record("unsent attachment", UnsentRecord { expires_at_ms: 7 }),
        record("removal", RemovalRecord { left: 2 }),
        record("event: message with an attachment", EventRecord { time_ms: 1_700_000_000_000, body: message }),
    ]
}

fn commands() -> Vec<Sample> {
    let (session, attachment) = (TOKEN, ID);
    let Attached { name, content_type, bytes, .. } = attached();
    let to = Recipient::User("bob".to_owned());
    vec![
        command(
            "begin attachment",
            Command::BeginAttachment { session, nonce: 9, name, content_type, bytes, quota_bytes: 1 << 30 },
        ),
        command(
            "put chunk",
            Command::PutChunk { session, attachment, offset: 262_144, hash: HASH, content: vec![1, 2, 3] },
        ),
        command(
            "finish attachment",
            Command::FinishAttachment { session, attachment, sha256: HASH, chain: HASH, content_type: None },
        ),
        command(
            "finish attachment announced otherwise",
            Command::FinishAttachment {
                session,
                attachment,
                sha256: HASH,
                chain: HASH,
                content_type: Some("image/jpeg".to_owned()),
            },
        ),
        command("discard attachment", Command::DiscardAttachment { session, attachment }),
        write(
            "send an attachment",
            Operation::SendMessage { to, body: String::new(), reply_to: None, attachments: Some(vec![attachment]) },
        ),
    ]
}

fn replies() -> Vec<Sample> {
    let refused = |name, rejection| reply(name, Reply::Rejected(rejection));
    vec![
        reply("upload reached", Reply::UploadReached { attachment: ID, received: 262_144 }),
        reply("attachment finished", Reply::AttachmentFinished(attached())),
        refused("attachment too large", Rejection::AttachmentTooLarge { limit_bytes: 1 }),
        refused("quota exceeded", Rejection::QuotaExceeded { used_bytes: 1, quota_bytes: 2 }),
        refused("unknown attachment", Rejection::UnknownAttachment(ID)),
        refused("upload out of place", Rejection::UploadOutOfPlace { expected: 262_144 }),
    ]
}

pub(super) fn samples() -> Vec<Sample> {
    keys().into_iter().chain(records()).chain(commands()).chain(replies()).collect()
}

pub(super) fn decode_all(bytes: &[u8]) {
    let _ = decode::<AttachmentRecord>(bytes);
    let _ = decode::<ChunkRecord>(bytes);
    let _ = decode::<UsageRecord>(bytes);
    let _ = decode::<UnsentRecord>(bytes);
    let _ = decode::<RemovalRecord>(bytes);
}
