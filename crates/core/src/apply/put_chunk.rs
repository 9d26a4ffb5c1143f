//! `PutChunk`: the next part of a file.
//!
//! Its place names it, so it needs no request number: what is there is not written again, and a gap is refused with what
//! is due. Whether the content is what the hash says is checked by those who read it, not by every server once more: the
//! gateway has made one of the other.

use super::{Context, Outcome, attachment, session};
use crate::{
    bounds::CHUNK_BYTES,
    content::{self, ContentHash},
    ids::{AttachmentId, TokenHash},
    key::Key,
    record::{AttachmentRecord, ChunkRecord},
    reply::{Rejection, Reply},
};

pub(super) fn put_chunk(
    context: &mut Context<'_>,
    token: &TokenHash,
    id: AttachmentId,
    offset: u64,
    hash: ContentHash,
    content: &[u8],
) -> Outcome<Reply> {
    let owner = session::require_live(context, token)?.account;
    let record = attachment::unsent(context, owner, id)?;
    let due = content::chunk_bytes(record.bytes, offset);
    if !offset.is_multiple_of(CHUNK_BYTES) || content.is_empty() || content.len() as u64 != due {
        let what = format!("at byte {offset} of this file a chunk has {due} bytes, not {}", content.len());
        return Err(Rejection::Invalid(what).into());
    }
    if offset > record.received {
        return Err(Rejection::UploadOutOfPlace { expected: record.received }.into());
    }
    if offset < record.received {
        return Ok(Reply::UploadReached { attachment: id, received: record.received });
    }
    let received = record.received + due;
    context.put(Key::Chunk(id, offset / CHUNK_BYTES), &ChunkRecord { hash, content: content.to_owned() });
    context.put(Key::Attachment(id), &AttachmentRecord { received, chain: record.chain.chained(hash), ..record });
    Ok(Reply::UploadReached { attachment: id, received })
}

#[cfg(test)]
mod tests {
    use crate::{
        AttachmentId, Rejection, Reply,
        bounds::CHUNK_BYTES,
        world::{World, refused, uploads},
    };

    #[test]
    fn parts_come_in_order_once_and_at_their_size() {
        let mut world = World::new();
        let (ann, eve) = (world.register("ann"), world.register("eve"));
        let content = uploads::content(1, 2 * CHUNK_BYTES + 1);
        let (id, _) = uploads::reached(&world.run(&uploads::begin(&ann, 1, "a", content.len() as u64)));
        let early = world.run(&uploads::put(&ann, id, &content, CHUNK_BYTES));
        assert_eq!(refused(&early), Rejection::UploadOutOfPlace { expected: 0 });
        let reached = Reply::UploadReached { attachment: id, received: CHUNK_BYTES };
        assert_eq!(world.run(&uploads::put(&ann, id, &content, 0)), reached);
        world.time_ms += 1;
        assert_eq!(world.run(&uploads::put(&ann, id, &content, 0)), reached);
        assert!(world.written().is_empty());
        for (offset, content) in [(1, &content[..]), (CHUNK_BYTES, &content[..CHUNK_BYTES as usize + 5]), (0, b"short")]
        {
            let reply = world.run(&uploads::put(&ann, id, content, offset));
            assert!(matches!(refused(&reply), Rejection::Invalid(_)), "{offset}");
        }
        let others = world.run(&uploads::put(&eve, id, &content, CHUNK_BYTES));
        assert_eq!(refused(&others), Rejection::UnknownAttachment(id));
        let unknown = world.run(&uploads::put(&ann, AttachmentId(1), &content, 0));
        assert_eq!(refused(&unknown), Rejection::UnknownAttachment(AttachmentId(1)));
    }
}
