//! What becomes of attachments that no message has in time, and of the chunks of those that were taken away: a bounded
//! number with every entry.

use super::attachment;
use crate::{
    bounds::{CHUNK_REMOVALS, EXPIRIES_PER_ENTRY},
    ids::AttachmentId,
    key::{Key, Range},
    record::{self, AttachmentRecord, MetaRecord, RemovalRecord, UnsentRecord},
    scan,
    store::{Direction, StoreError, Write},
};

/// Lets a few uploads expire and removes a few chunks, if there are any.
pub(super) fn step(store: &mut dyn Write, meta: &mut MetaRecord) -> Result<(), StoreError> {
    // What is noted in the one record saves every entry a look at the lists.
    for _ in 0..EXPIRIES_PER_ENTRY {
        if meta.unsent_expire_ms.is_none_or(|due_ms| meta.clock_ms < due_ms) {
            break;
        }
        expire_first(store, meta)?;
    }
    let mut left = CHUNK_REMOVALS;
    while meta.removals.is_some() && left > 0 {
        left -= remove_chunks(store, meta, left)?;
    }
    Ok(())
}

/// Lets the oldest upload expire if it is time, and notes when that is for the next.
fn expire_first(store: &mut dyn Write, meta: &mut MetaRecord) -> Result<(), StoreError> {
    let oldest = scan::first::<UnsentRecord>(store, &Range::unsent(), Direction::Ascending)?;
    meta.unsent_expire_ms = oldest.map(|(_, unsent)| unsent.expires_at_ms);
    if let Some((id, unsent)) = oldest
        && unsent.expires_at_ms <= meta.clock_ms
    {
        let id = AttachmentId(id);
        let record: AttachmentRecord = record::require(store, Key::Attachment(id))?;
        attachment::take_away(store, meta, id, &record)?;
    }
    Ok(())
}

/// Removes up to `most` chunks of the attachment that was taken away first, the last ones first; tells how many, one at
/// least. Their keys are known: nothing is read.
fn remove_chunks(store: &mut dyn Write, meta: &mut MetaRecord, most: u64) -> Result<u64, StoreError> {
    let next = scan::first::<RemovalRecord>(store, &Range::removals(), Direction::Ascending)?;
    let (id, removal) =
        next.ok_or_else(|| StoreError::Corrupt("fewer attachments to remove than counted".to_owned()))?;
    let id = AttachmentId(id);
    let removed = removal.left.min(most);
    let left = removal.left - removed;
    for number in left..removal.left {
        store.delete(Key::Chunk(id, number).bytes());
    }
    if left > 0 {
        store.put(Key::Removal(id).bytes(), record::encode(&RemovalRecord { left }));
    } else {
        store.delete(Key::Removal(id).bytes());
        meta.removals = meta.removals.and_then(|removals| removals.checked_sub(1)).filter(|removals| *removals > 0);
    }
    Ok(removed.max(1))
}

#[cfg(test)]
mod tests {
    use crate::{
        bounds::{EXPIRIES_PER_ENTRY, UPLOAD_MS},
        query,
        world::World,
    };

    #[test]
    fn what_no_message_has_in_time_goes_a_few_with_each_entry() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let people: Vec<_> = (0..=EXPIRIES_PER_ENTRY).map(|n| world.register(&format!("p{n}"))).collect();
        for person in &people {
            world.upload(person, 1, "x", b"x");
        }
        world.time_ms += UPLOAD_MS - 1;
        world.send(&mut ann, "ann", "early");
        assert_eq!(world.count(0x18), people.len());
        world.upload(&ann, 2, "late", b"late");
        world.time_ms += 1;
        world.send(&mut ann, "ann", "in time");
        assert_eq!(world.count(0x18), 2);
        world.send(&mut ann, "ann", "the last of them, and the one that is younger stays");
        assert_eq!((world.count(0x18), world.count(0x19), world.count(0x1b)), (1, 1, 1));
        assert_eq!(query::usage(&world.store, ann.account).unwrap().bytes, 4);
        assert_eq!(query::usage(&world.store, people[0].account).unwrap().bytes, 0);
    }
}
