//! What a backup of a state holds, record by record, and what becomes of a record when it is restored.
//!
//! A backup is a copy of all records. Restored, it is the state of a moment that has passed: clients may have gone on
//! since, and come back with what they were given meanwhile. Event ids, and with them the ids of accounts, sessions and conversations,
//! are places in the log, which jumps ahead; the instances of a session are counted, so their counts jump here. A recovery is the same
//! from here: what its server never received may have given out instances too.
//! Left out on purpose: files and their sums, which are the server's, and the clock, by which it says how far to jump.

use crate::{
    event::EventBody,
    key::{FIRST_TABLE, Table},
    record::{self, AccountRecord, AttachmentRecord, ConversationKind, ConversationRecord, EventRecord, SessionRecord},
    store::StoreError,
    stored,
};

/// Instances left out of a session's count that is beyond the floor: many more than a session opens in the time that a backup is old.
pub const SKIPPED_INSTANCES: u64 = 1 << 20;
/// The first byte of the keys of all records that [`restored`] changes.
pub const CHANGED_TABLE: u8 = Table::Session as u8;

/// How much of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// All records.
    pub records: u64,
    /// Of their keys and values.
    pub bytes: u64,
    /// Accounts that are not deleted; bots and webhooks have one each.
    pub accounts: u64,
    /// Sessions that have not been ended.
    pub sessions: u64,
    /// Direct conversations.
    pub conversations: u64,
    /// Rooms.
    pub rooms: u64,
    /// Messages that were not deleted for everyone.
    pub messages: u64,
    /// Files, also those on their way.
    pub attachments: u64,
    /// What is there of them.
    pub attachment_bytes: u64,
}

impl Contents {
    /// Counts a record of the state. One of the server's own (its key begins below [`FIRST_TABLE`]) is only that: a record.
    ///
    /// # Errors
    /// When this program cannot read it: it is damaged, or of a newer version.
    pub fn count(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.records += 1;
        self.bytes += (key.len() + value.len()) as u64;
        let byte = *key.first().ok_or_else(|| StoreError::Corrupt("a record without a key".to_owned()))?;
        if byte < FIRST_TABLE {
            return Ok(());
        }
        let Some(table) = Table::of_byte(byte) else { return stored::check(byte, value) };
        match table {
            Table::Account => self.accounts += u64::from(!record::decode::<AccountRecord>(value)?.deleted),
            Table::Session => self.sessions += u64::from(!record::decode::<SessionRecord>(value)?.ended),
            Table::Conversation => match record::decode::<ConversationRecord>(value)?.kind {
                ConversationKind::Direct { .. } => self.conversations += 1,
                ConversationKind::Room => self.rooms += 1,
            },
            Table::Message => {
                let event: EventRecord = record::decode(value)?;
                let is_there = !matches!(event.body, EventBody::MessageSent { deleted: true, .. });
                self.messages += u64::from(is_there);
            }
            Table::Attachment => {
                self.attachments += 1;
                self.attachment_bytes += record::decode::<AttachmentRecord>(value)?.received;
            }
            _ => stored::check(byte, value)?,
        }
        Ok(())
    }
}

/// Where a count goes on that a copy of a state has at `count`: at `floor`, which is beyond all that any history before has come to,
/// whichever copy this is; or, where this one is there already, behind as many as its lost rest may have come to.
#[must_use]
pub fn goes_on_at(count: u64, skipped: u64, floor: u64) -> u64 {
    // Not the greater of the two sums: of two copies of one history the older one, used second, would be given again what the other gave.
    if count < floor { floor } else { count.saturating_add(skipped) }
}

/// The value that a record has in a state that begins anew with this copy, its counts at `floor` or beyond; none: the same.
///
/// # Errors
/// When it cannot be read.
pub fn restored(key: &[u8], value: &[u8], floor: u64) -> Result<Option<Vec<u8>>, StoreError> {
    if key.first() != Some(&CHANGED_TABLE) {
        return Ok(None);
    }
    let mut session: SessionRecord = record::decode(value)?;
    session.instances = goes_on_at(session.instances, SKIPPED_INSTANCES, floor);
    Ok(Some(record::encode(&session)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Command, Rejection, Reply,
        store::Write as _,
        world::{Device, World, refused, send_to, sent},
    };

    fn count(world: &World) -> Contents {
        let mut contents = Contents::default();
        world.store.entries.iter().for_each(|(key, value)| contents.count(key, value).unwrap());
        contents
    }

    /// The world as its records are restored.
    fn again(world: &World, floor: u64) -> World {
        let mut restored_world = world.clone();
        for (key, value) in &world.store.entries {
            if let Some(value) = restored(key, value, floor).unwrap() {
                restored_world.store.put(key.clone(), value);
            }
        }
        restored_world.log_index = goes_on_at(world.log_index, 1 << 20, floor);
        restored_world
    }

    fn open(world: &mut World, device: &Device, nonce: u64) -> Device {
        match world.run(&Command::OpenInstance { session: device.token, nonce }) {
            Reply::InstanceOpened { instance } => Device { instance, number: 0, ..device.clone() },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_there_is_counted() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        world.register("bob");
        for body in ["one", "two"] {
            sent(&world.write(&mut ann, send_to("bob", body)));
        }
        let contents = count(&world);
        assert_eq!((contents.accounts, contents.sessions), (2, 2));
        assert_eq!((contents.conversations, contents.rooms, contents.messages), (1, 0, 2));
        assert_eq!((contents.attachments, contents.attachment_bytes), (0, 0));
        assert_eq!(contents.records, world.store.entries.len() as u64);
    }

    #[test]
    fn what_this_program_cannot_read_is_refused() {
        let mut contents = Contents::default();
        assert!(contents.count(&[0x00, 1], b"the server's").is_ok());
        assert!(contents.count(&[0x02, 1], &[255]).unwrap_err().to_string().contains("newer"));
        assert!(contents.count(&[0x0c, 1], &[255]).unwrap_err().to_string().contains("newer"));
        assert!(contents.count(&[0xfe], b"x").unwrap_err().to_string().contains("table 0xfe"));
        assert!(contents.count(&[], b"x").is_err());
    }

    #[test]
    fn a_session_goes_on_under_its_numbers_and_an_instance_of_the_lost_time_is_never_given_to_another() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        sent(&world.write(&mut ann, send_to("ann", "before")));
        let mut later = again(&world, 0);
        // What happened after the backup, and is lost.
        let mut lost = open(&mut world, &ann, 1);
        sent(&world.write(&mut lost, send_to("ann", "lost")));
        sent(&later.write(&mut ann, send_to("ann", "after")));
        assert_eq!(refused(&later.write(&mut lost, send_to("ann", "more"))), Rejection::UnknownInstance);
        let other = open(&mut later, &ann, 2);
        assert!(other.instance > SKIPPED_INSTANCES, "{}", other.instance);
        assert_eq!(refused(&later.write(&mut lost, send_to("ann", "more"))), Rejection::UnknownInstance);
    }
    #[test]
    fn histories_from_copies_of_one_give_nobody_the_same_numbers_whichever_copy_is_used_when() {
        let mut first = World::new();
        let ann = first.register("ann");
        let monday = first.clone();
        for nonce in 1..=3 {
            open(&mut first, &ann, nonce);
        }
        let (mut copies, mut instances, mut events) = (vec![first, monday.clone(), monday], Vec::new(), Vec::new());
        for step in 0..7 {
            let begun = again(&copies.remove(0), (1 << 36) + step * 1000);
            let mut history = begun.clone();
            for number in 1..5 {
                let mut device = open(&mut history, &ann, (step + 1) * 100 + number);
                instances.push(device.instance);
                events.push(sent(&history.write(&mut device, send_to("ann", "x"))).1);
            }
            // Of what was restored copies are used later too, the newer one first.
            if step < 2 {
                copies.extend([history, begun]);
            }
        }
        assert!(instances.is_sorted_by(|one, other| one < other), "{instances:?}");
        assert!(events.is_sorted_by(|one, other| one < other), "{events:?}");
    }

    #[test]
    fn a_count_beyond_the_floor_goes_on_behind_what_may_be_lost() {
        assert_eq!([0, 9, 10, 11].map(|count| goes_on_at(count, 5, 10)), [10, 10, 15, 16]);
        assert_eq!(goes_on_at(u64::MAX, 5, 10), u64::MAX);
    }
}
