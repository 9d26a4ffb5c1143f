//! Attachments: who may see the message may have what is attached to it.

use crate::{
    content::ContentHash,
    event::{Attached, EventBody},
    hidden::Hidden,
    ids::{AccountId, AttachmentId, ConversationId, EventId},
    key::Key,
    record::{self, AttachmentRecord, ChunkRecord, EventRecord, MembershipRecord, UsageRecord},
    reply::Rejection,
    store::{Read, StoreError},
};

/// A part of a file, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// What was sent.
    Sound(Vec<u8>),
    /// Not what was sent, by its hash: this server's copy is damaged. Another's may be whole.
    Damaged,
    /// The attachment is not there any more.
    Gone,
}

/// What the attachments of an account take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageInfo {
    /// In all, uploads included.
    pub bytes: u64,
    /// How many wait for their message.
    pub unsent: usize,
}

/// What is attached to a message that `reader` may see and has not hidden.
///
/// # Errors
/// When the store cannot be read.
pub fn attachments(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
    message: EventId,
) -> Result<Result<Vec<Attached>, Rejection>, StoreError> {
    let unknown = Ok(Err(Rejection::UnknownMessage(message)));
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(reader, conversation))? else {
        return unknown;
    };
    if !membership.covers(message)
        || (membership.hides && Hidden { account: reader, conversation }.holds(store, message)?)
    {
        return unknown;
    }
    match record::get::<EventRecord>(store, Key::Message(conversation, message))?.map(|record| record.body) {
        Some(EventBody::MessageSent { attachments, .. }) => Ok(Ok(attachments.unwrap_or_default())),
        Some(_) => Err(StoreError::Corrupt("another event among the messages".to_owned())),
        None => unknown,
    }
}

/// One attachment of a message that `reader` may see.
///
/// # Errors
/// When the store cannot be read.
pub fn attachment(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
    message: EventId,
    attachment: AttachmentId,
) -> Result<Result<Attached, Rejection>, StoreError> {
    let found = attachments(store, reader, conversation, message)?;
    Ok(found.and_then(|all| {
        let mut all = all.into_iter();
        all.find(|attached| attached.attachment == attachment).ok_or(Rejection::UnknownAttachment(attachment))
    }))
}

/// A part of a file, by its number from 0. Whether somebody may have it was asked before, with [`attachment`], or it is the
/// owner's upload.
///
/// # Errors
/// When the store cannot be read.
pub fn chunk(store: &dyn Read, attachment: AttachmentId, number: u64) -> Result<Chunk, StoreError> {
    // The record goes first, the chunks by and by.
    if record::get::<AttachmentRecord>(store, Key::Attachment(attachment))?.is_none() {
        return Ok(Chunk::Gone);
    }
    let Some(ChunkRecord { hash, content }) = record::get(store, Key::Chunk(attachment, number))? else {
        return Ok(Chunk::Gone);
    };
    Ok(if ContentHash::of(&content) == hash { Chunk::Sound(content) } else { Chunk::Damaged })
}

/// What the attachments of an account take.
///
/// # Errors
/// When the store cannot be read.
pub fn usage(store: &dyn Read, account: AccountId) -> Result<UsageInfo, StoreError> {
    let UsageRecord { bytes, unsent } = record::get(store, Key::Usage(account))?.unwrap_or_default();
    Ok(UsageInfo { bytes, unsent: unsent.len() })
}
