//! `BeginAttachment`: room for a file, counted against its owner's quota from now on.

use super::{Context, Outcome, session};
use crate::{
    bounds::{ATTACHMENT_BYTES, UNFINISHED_UPLOADS, UNSENT_ATTACHMENTS, UPLOAD_MS},
    content::ContentHash,
    ids::{AccountId, AttachmentId, TokenHash},
    key::Key,
    record::{AttachmentRecord, PendingUpload, UnsentRecord, UsageRecord},
    reply::{Rejection, Reply},
    text,
};

/// A file as it is announced.
pub(super) struct File<'a> {
    pub(super) nonce: u64,
    pub(super) name: &'a str,
    pub(super) content_type: &'a str,
    pub(super) bytes: u64,
}

pub(super) fn begin_attachment(
    context: &mut Context<'_>,
    token: &TokenHash,
    file: &File<'_>,
    quota_bytes: u64,
) -> Outcome<Reply> {
    let owner = session::require_live(context, token)?.account;
    let mut usage = context.get::<UsageRecord>(Key::Usage(owner))?.unwrap_or_default();
    if let Some(upload) = usage.unsent.iter().find(|upload| upload.nonce == file.nonce) {
        return begun_before(context, upload.attachment, file);
    }
    check(file, &usage, quota_bytes)?;
    let id = AttachmentId::from(context.take_place());
    usage.bytes = usage.bytes.saturating_add(file.bytes);
    usage.unsent.push(PendingUpload { nonce: file.nonce, attachment: id, finished: false });
    context.put(Key::Usage(owner), &usage);
    context.put(Key::Attachment(id), &announced(owner, file));
    let expires_at_ms = context.time_ms().saturating_add(UPLOAD_MS);
    context.put(Key::Unsent(id), &UnsentRecord { expires_at_ms });
    context.meta.unsent_expire_ms.get_or_insert(expires_at_ms);
    Ok(Reply::UploadReached { attachment: id, received: 0 })
}

fn check(file: &File<'_>, usage: &UsageRecord, quota_bytes: u64) -> Result<(), Rejection> {
    text::check_file_name(file.name)?;
    text::check_content_type(file.content_type)?;
    if file.bytes > ATTACHMENT_BYTES {
        return Err(Rejection::AttachmentTooLarge { limit_bytes: ATTACHMENT_BYTES });
    }
    let unfinished = usage.unsent.iter().filter(|upload| !upload.finished).count();
    if unfinished >= UNFINISHED_UPLOADS || usage.unsent.len() >= UNSENT_ATTACHMENTS {
        let what = format!(
            "at most {UNFINISHED_UPLOADS} uploads may be unfinished at once and {UNSENT_ATTACHMENTS} attachments wait for \
             their message: finish, send or discard one first"
        );
        return Err(Rejection::Forbidden(what));
    }
    if usage.bytes.saturating_add(file.bytes) > quota_bytes {
        return Err(Rejection::QuotaExceeded { used_bytes: usage.bytes, quota_bytes });
    }
    Ok(())
}

fn announced(owner: AccountId, file: &File<'_>) -> AttachmentRecord {
    AttachmentRecord {
        owner,
        name: file.name.to_owned(),
        content_type: file.content_type.to_owned(),
        bytes: file.bytes,
        received: 0,
        chain: ContentHash::default(),
        sha256: None,
        sent_in: None,
        announced_type: None,
    }
}

/// A retry, or somebody who goes on after an interruption: how far it is.
fn begun_before(context: &Context<'_>, id: AttachmentId, file: &File<'_>) -> Outcome<Reply> {
    let record: AttachmentRecord = context.require(Key::Attachment(id))?;
    let announced = record.announced_type.as_deref().unwrap_or(&record.content_type);
    if (record.name.as_str(), announced, record.bytes) != (file.name, file.content_type, file.bytes) {
        return Err(Rejection::RequestMismatch.into());
    }
    Ok(match record.attached(id) {
        Some(attached) => Reply::AttachmentFinished(attached),
        None => Reply::UploadReached { attachment: id, received: record.received },
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, Rejection, Reply,
        bounds::{ATTACHMENT_BYTES, UNFINISHED_UPLOADS, UNSENT_ATTACHMENTS},
        query,
        world::{World, refused, uploads},
    };

    #[test]
    fn a_retry_finds_the_same_upload_and_another_file_is_none() {
        let mut world = World::new();
        let (ann, bob) = (world.register("ann"), world.register("bob"));
        let command = uploads::begin(&ann, 7, "a", 5);
        let (id, _) = uploads::reached(&world.run(&command));
        world.time_ms += 1;
        assert_eq!(world.run(&command), Reply::UploadReached { attachment: id, received: 0 });
        assert!(world.written().is_empty());
        assert_eq!(refused(&world.run(&uploads::begin(&ann, 7, "b", 5))), Rejection::RequestMismatch);
        assert_ne!(uploads::reached(&world.run(&uploads::begin(&bob, 7, "a", 5))).0, id, "nonces are an account's own");
        world.run(&uploads::put(&ann, id, b"12345", 0));
        world.run(&uploads::finish(&ann, id, b"12345"));
        assert!(matches!(world.run(&command), Reply::AttachmentFinished(_)));
    }

    #[test]
    fn an_account_has_a_quota_and_a_bounded_number_of_uploads() {
        let mut world = World::new();
        let ann = world.register("ann");
        let too_large = world.run(&uploads::begin(&ann, 0, "a", ATTACHMENT_BYTES + 1));
        assert_eq!(refused(&too_large), Rejection::AttachmentTooLarge { limit_bytes: ATTACHMENT_BYTES });
        let with_quota = |nonce, bytes| {
            let mut command = uploads::begin(&ann, nonce, "a", bytes);
            if let Command::BeginAttachment { quota_bytes, .. } = &mut command {
                *quota_bytes = 100;
            }
            command
        };
        world.run(&with_quota(1, 60));
        let exceeded = Rejection::QuotaExceeded { used_bytes: 60, quota_bytes: 100 };
        assert_eq!(refused(&world.run(&with_quota(2, 41))), exceeded);
        uploads::reached(&world.run(&with_quota(2, 40)));
        assert_eq!(query::usage(&world.store, ann.account).unwrap().bytes, 100);
        for nonce in 3..=UNFINISHED_UPLOADS as u64 {
            uploads::reached(&world.run(&uploads::begin(&ann, nonce, "a", 0)));
        }
        assert!(matches!(refused(&world.run(&uploads::begin(&ann, 99, "a", 0))), Rejection::Forbidden(_)));
        let bob = world.register("bob");
        for nonce in 0..UNSENT_ATTACHMENTS as u64 {
            world.upload(&bob, nonce, "a", b"");
        }
        assert!(matches!(refused(&world.run(&uploads::begin(&bob, 99, "a", 0))), Rejection::Forbidden(_)));
    }

    #[test]
    fn names_are_no_paths() {
        let mut world = World::new();
        let ann = world.register("ann");
        for name in ["", ".", "..", "a/b", "a\\b", "a\n", "a\u{202e}gnp.exe", &"x".repeat(256)] {
            let reply = world.run(&uploads::begin(&ann, 1, name, 1));
            assert!(matches!(refused(&reply), Rejection::Invalid(_)), "{name:?}");
        }
    }
}
