//! `FinishAttachment`: the file is complete, and has the hash that its sender meant.

use super::{Context, Outcome, attachment, session};
use crate::{
    content::ContentHash,
    ids::{AttachmentId, TokenHash},
    key::Key,
    record::{AttachmentRecord, UsageRecord},
    reply::{Rejection, Reply},
    store::StoreError,
};

pub(super) fn finish_attachment(
    context: &mut Context<'_>,
    token: &TokenHash,
    id: AttachmentId,
    sha256: ContentHash,
    chain: ContentHash,
) -> Outcome<Reply> {
    let owner = session::require_live(context, token)?.account;
    let record = attachment::unsent(context, owner, id)?;
    if record.received < record.bytes {
        return Err(Rejection::UploadOutOfPlace { expected: record.received }.into());
    }
    if record.chain != chain || record.sha256.is_some_and(|known| known != sha256) {
        let what = "what is there is not what was sent: discard it and upload it again".to_owned();
        return Err(Rejection::Invalid(what).into());
    }
    let finished = AttachmentRecord { sha256: Some(sha256), ..record.clone() };
    if finished != record {
        context.put(Key::Attachment(id), &finished);
        let mut usage: UsageRecord = context.require(Key::Usage(owner))?;
        for upload in usage.unsent.iter_mut().filter(|upload| upload.attachment == id) {
            upload.finished = true;
        }
        context.put(Key::Usage(owner), &usage);
    }
    let unfinished = || StoreError::Corrupt(format!("attachment {id} is finished without a hash"));
    Ok(Reply::AttachmentFinished(finished.attached(id).ok_or_else(unfinished)?))
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, ContentHash, Rejection, Reply,
        world::{World, refused, uploads},
    };

    #[test]
    fn only_what_was_sent_is_finished_and_only_whole() {
        let mut world = World::new();
        let (ann, eve) = (world.register("ann"), world.register("eve"));
        let (id, _) = uploads::reached(&world.run(&uploads::begin(&ann, 1, "a", 5)));
        let finish = uploads::finish(&ann, id, b"12345");
        assert_eq!(refused(&world.run(&finish)), Rejection::UploadOutOfPlace { expected: 0 });
        world.run(&uploads::put(&ann, id, b"12345", 0));
        assert!(matches!(refused(&world.run(&uploads::finish(&ann, id, b"54321"))), Rejection::Invalid(_)));
        assert_eq!(refused(&world.run(&uploads::finish(&eve, id, b"12345"))), Rejection::UnknownAttachment(id));
        let first = world.run(&finish);
        assert!(matches!(&first, Reply::AttachmentFinished(file) if file.sha256 == ContentHash::of(b"12345")));
        world.time_ms += 1;
        assert_eq!(world.run(&finish), first);
        assert!(world.written().is_empty());
        let mut other = finish;
        if let Command::FinishAttachment { sha256, .. } = &mut other {
            *sha256 = ContentHash::of(b"another");
        }
        assert!(matches!(refused(&world.run(&other)), Rejection::Invalid(_)));
    }
}
