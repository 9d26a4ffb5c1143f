//! `FinishAttachment`: the file is complete, and has the hash that its sender meant.

use super::{Context, Outcome, attachment, session};
use crate::{
    content::ContentHash,
    ids::{AttachmentId, TokenHash},
    key::Key,
    record::{AttachmentRecord, UsageRecord},
    reply::{Rejection, Reply},
    store::StoreError,
    text,
};

/// What the gateway has seen of the whole file.
pub(super) struct Seen<'a> {
    pub(super) sha256: ContentHash,
    pub(super) chain: ContentHash,
    /// Where it is not what was announced.
    pub(super) content_type: Option<&'a str>,
}

pub(super) fn finish_attachment(
    context: &mut Context<'_>,
    token: &TokenHash,
    id: AttachmentId,
    seen: &Seen<'_>,
) -> Outcome<Reply> {
    let Seen { sha256, chain, content_type } = *seen;
    let owner = session::require_live(context, token)?.account;
    let record = attachment::unsent(context, owner, id)?;
    if record.received < record.bytes {
        return Err(Rejection::UploadOutOfPlace { expected: record.received }.into());
    }
    if record.chain != chain || record.sha256.is_some_and(|known| known != sha256) {
        let what = "what is there is not what was sent: discard it and upload it again".to_owned();
        return Err(Rejection::Invalid(what).into());
    }
    let mut finished = AttachmentRecord { sha256: Some(sha256), ..record.clone() };
    if let Some(content_type) = content_type.filter(|content_type| *content_type != record.content_type) {
        text::check_content_type(content_type)?;
        let announced = std::mem::replace(&mut finished.content_type, content_type.to_owned());
        finished.announced_type.get_or_insert(announced);
    }
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
        let mut other = finish.clone();
        if let Command::FinishAttachment { sha256, .. } = &mut other {
            *sha256 = ContentHash::of(b"another");
        }
        assert!(matches!(refused(&world.run(&other)), Rejection::Invalid(_)));
    }

    #[test]
    fn a_file_is_called_what_it_is_and_its_retries_are_known() {
        let mut world = World::new();
        let ann = world.register("ann");
        let begin = uploads::begin(&ann, 1, "a", 5);
        let (id, _) = uploads::reached(&world.run(&begin));
        world.run(&uploads::put(&ann, id, b"12345", 0));
        let mut finish = uploads::finish(&ann, id, b"12345");
        if let Command::FinishAttachment { content_type, .. } = &mut finish {
            *content_type = Some("image/gif".to_owned());
        }
        let first = world.run(&finish);
        assert!(matches!(&first, Reply::AttachmentFinished(file) if file.content_type == "image/gif"));
        assert_eq!((world.run(&begin), world.run(&finish)), (first.clone(), first));
        let mut other = begin;
        if let Command::BeginAttachment { content_type, .. } = &mut other {
            *content_type = "image/gif".to_owned();
        }
        assert_eq!(refused(&world.run(&other)), Rejection::RequestMismatch, "that is not what was said");
    }
}
