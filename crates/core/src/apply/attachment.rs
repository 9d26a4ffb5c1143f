//! What the commands about attachments share: finding them, binding them to messages, and taking them away.
//!
//! Promises: what an account's attachments take is the sum of the sizes of those that are there, uploads counted whole from
//! their beginning. An attachment that is taken away is out of reach at once, and so are its bytes in that sum; its chunks go
//! a few with each following entry (see `expire_attachments`).

use std::collections::BTreeSet;

use super::{Context, Outcome};
use crate::{
    bounds::ATTACHMENTS_PER_MESSAGE,
    content,
    event::Attached,
    ids::{AccountId, AttachmentId, ConversationId, EventId},
    key::Key,
    record::{self, AttachmentRecord, MetaRecord, RemovalRecord, SentIn, UsageRecord},
    reply::Rejection,
    store::{StoreError, Write},
};

/// An upload of `owner` that no message has yet.
pub(super) fn unsent(context: &Context<'_>, owner: AccountId, id: AttachmentId) -> Outcome<AttachmentRecord> {
    let record = context.get::<AttachmentRecord>(Key::Attachment(id))?;
    let own = record.filter(|record| record.owner == owner && record.sent_in.is_none());
    own.ok_or_else(|| Rejection::UnknownAttachment(id).into())
}

/// The attachments that `author` may put into a message now. Nothing is changed yet.
pub(super) fn attachable(
    context: &Context<'_>,
    author: AccountId,
    ids: &[AttachmentId],
) -> Outcome<Vec<(Attached, AttachmentRecord)>> {
    if ids.len() > ATTACHMENTS_PER_MESSAGE {
        let what = format!("a message has at most {ATTACHMENTS_PER_MESSAGE} attachments, not {}", ids.len());
        return Err(Rejection::Invalid(what).into());
    }
    if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        return Err(Rejection::Invalid("an attachment stands in a message once".to_owned()).into());
    }
    let find = |id: &AttachmentId| {
        let record = unsent(context, author, *id)?;
        let attached = record.attached(*id).ok_or(Rejection::UnknownAttachment(*id))?;
        Ok((attached, record))
    };
    ids.iter().map(find).collect()
}

/// Binds what [`attachable`] found to a message.
pub(super) fn attach(
    context: &mut Context<'_>,
    author: AccountId,
    found: Vec<(Attached, AttachmentRecord)>,
    conversation: ConversationId,
    message: EventId,
) -> Result<Option<Vec<Attached>>, StoreError> {
    if found.is_empty() {
        return Ok(None);
    }
    let mut usage: UsageRecord = context.require(Key::Usage(author))?;
    let mut all = Vec::with_capacity(found.len());
    for (attached, record) in found {
        let id = attached.attachment;
        usage.unsent.retain(|upload| upload.attachment != id);
        context.delete(Key::Unsent(id));
        let sent_in = Some(SentIn { conversation, message });
        context.put(Key::Attachment(id), &AttachmentRecord { sent_in, ..record });
        all.push(attached);
    }
    context.put(Key::Usage(author), &usage);
    Ok(Some(all))
}

/// Takes away what was attached to a message that is deleted for everyone.
pub(super) fn detach(
    context: &mut Context<'_>,
    author: AccountId,
    attached: Option<Vec<Attached>>,
) -> Result<(), StoreError> {
    for Attached { attachment, .. } in attached.into_iter().flatten() {
        let record: AttachmentRecord = context.require(Key::Attachment(attachment))?;
        if record.owner != author {
            return Err(StoreError::Corrupt(format!("attachment {attachment} is not its author's")));
        }
        take_away(context.store, context.meta, attachment, &record)?;
    }
    Ok(())
}

/// The uploads of an account that is deleted go; what others received stays, and is nobody's to count any more.
pub(super) fn forget_account(context: &mut Context<'_>, account: AccountId) -> Result<(), StoreError> {
    let Some(usage) = context.get::<UsageRecord>(Key::Usage(account))? else {
        return Ok(());
    };
    for upload in &usage.unsent {
        let record: AttachmentRecord = context.require(Key::Attachment(upload.attachment))?;
        take_away(context.store, context.meta, upload.attachment, &record)?;
    }
    context.delete(Key::Usage(account));
    Ok(())
}

/// Takes an attachment away, and gives its bytes back.
pub(super) fn take_away(
    store: &mut dyn Write,
    meta: &mut MetaRecord,
    id: AttachmentId,
    record: &AttachmentRecord,
) -> Result<(), StoreError> {
    let put = |store: &mut dyn Write, key: Key<'_>, value| store.put(key.bytes(), value);
    store.delete(Key::Attachment(id).bytes());
    if record.sent_in.is_none() {
        store.delete(Key::Unsent(id).bytes());
    }
    let left = content::chunks(record.received);
    if left > 0 {
        put(store, Key::Removal(id), record::encode(&RemovalRecord { left }));
        meta.removals = Some(meta.removals.unwrap_or(0) + 1);
    }
    // None where the owner is deleted.
    let key = Key::Usage(record.owner);
    if let Some(mut usage) = record::get::<UsageRecord>(store, key)? {
        usage.bytes = usage.bytes.saturating_sub(record.bytes);
        usage.unsent.retain(|upload| upload.attachment != id);
        if usage == UsageRecord::default() {
            store.delete(key.bytes());
        } else {
            put(store, key, record::encode(&usage));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, DeleteScope, EventBody, Rejection, Reply,
        bounds::{ATTACHMENTS_PER_MESSAGE, CHUNK_BYTES, CHUNK_REMOVALS},
        query,
        world::{World, refused, sent, uploads},
    };

    const CHUNKS: u8 = 0x19;

    #[test]
    fn a_message_has_what_was_attached_and_readers_may_have_it() {
        let mut world = World::new();
        let (mut ann, bob) = (world.register("ann"), world.register("bob"));
        let eve = world.register("eve");
        let content = uploads::content(1, CHUNK_BYTES + 5);
        let id = world.upload(&ann, 1, "notes.txt", &content);
        let (conversation, message) = sent(&world.write(&mut ann, uploads::send_files("bob", "", &[id])));
        let found = query::attachment(&world.store, bob.account, conversation, message, id).unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.bytes), ("notes.txt", CHUNK_BYTES + 5));
        let chunk = query::chunk(&world.store, id, 1).unwrap();
        assert_eq!(chunk, query::Chunk::Sound(content[CHUNK_BYTES as usize..].to_vec()));
        let stranger = query::attachment(&world.store, eve.account, conversation, message, id).unwrap();
        assert_eq!(stranger, Err(Rejection::UnknownMessage(message)));
        let heard = world.everything(bob.account);
        assert!(heard.iter().any(|event| matches!(&event.body,
            EventBody::MessageSent { attachments: Some(all), .. } if *all == [found.clone()])));
    }

    #[test]
    fn damage_is_noticed_by_whoever_reads() {
        let mut world = World::new();
        let ann = world.register("ann");
        let id = world.upload(&ann, 1, "x", b"content");
        let damaged = world.store.entries.iter_mut().find(|(key, _)| key[0] == CHUNKS).unwrap().1;
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(query::chunk(&world.store, id, 0).unwrap(), query::Chunk::Damaged);
    }

    #[test]
    fn what_is_deleted_is_out_of_reach_at_once_and_its_chunks_go_by_and_by() {
        let mut world = World::new();
        let (mut ann, bob) = (world.register("ann"), world.register("bob"));
        let large = uploads::content(1, CHUNK_BYTES * (CHUNK_REMOVALS + 3));
        let ids = [world.upload(&ann, 1, "large", &large), world.upload(&ann, 2, "small", b"x")];
        let (conversation, message) = sent(&world.write(&mut ann, uploads::send_files("bob", "two", &ids)));
        assert_eq!(world.delete(&mut ann, conversation, &[message], DeleteScope::Everyone), Reply::Done);
        assert_eq!(world.count(CHUNKS), 4);
        assert_eq!(query::chunk(&world.store, ids[0], 0).unwrap(), query::Chunk::Gone);
        assert_eq!(query::attachments(&world.store, bob.account, conversation, message).unwrap(), Ok(vec![]));
        assert_eq!(query::usage(&world.store, ann.account).unwrap().bytes, 0);
        world.send(&mut ann, "ann", "meanwhile");
        assert_eq!((world.count(CHUNKS), world.count(0x1c)), (0, 0));
    }

    #[test]
    fn a_message_has_a_bounded_number_of_them() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let ids: Vec<_> =
            (0..=ATTACHMENTS_PER_MESSAGE as u64).map(|nonce| world.upload(&ann, nonce, "x", b"")).collect();
        assert!(matches!(refused(&world.write(&mut ann, uploads::send_files("ann", "", &ids))), Rejection::Invalid(_)));
        sent(&world.write(&mut ann, uploads::send_files("ann", "", &ids[1..])));
    }

    #[test]
    fn an_account_that_goes_takes_what_was_not_sent_along() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let kept = world.upload(&ann, 1, "kept", b"kept");
        sent(&world.write(&mut ann, uploads::send_files("bob", "", &[kept])));
        world.upload(&ann, 2, "unsent", b"unsent");
        world.run(&Command::DeleteAccount { session: ann.token, credential_version: 1 });
        world.send(&mut bob, "bob", "meanwhile");
        assert_eq!((world.count(0x18), world.count(CHUNKS), world.count(0x1a)), (1, 1, 0));
        assert_eq!(query::chunk(&world.store, kept, 0).unwrap(), query::Chunk::Sound(b"kept".to_vec()));
    }
}
