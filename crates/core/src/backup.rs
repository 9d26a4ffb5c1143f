//! What a backup of a state holds, record by record, and what becomes of a record when it is restored.
//!
//! A backup is a copy of all records. Restored, it is the state of a moment that has passed: clients may have gone on
//! since, and come back with what they were given meanwhile. Event ids, and with them the ids of accounts, sessions and conversations,
//! are places in the log, which jumps ahead; the instances of a session are counted, so their counts jump here.
//! Left out on purpose: files and their sums, which are the server's.

use crate::{
    event::EventBody,
    key::{FIRST_TABLE, Table},
    record::{self, AccountRecord, AttachmentRecord, ConversationKind, ConversationRecord, EventRecord, SessionRecord},
    store::StoreError,
    stored,
};

/// Instances left out of each session's count: many more than a session opens in the time that a backup is old.
pub const SKIPPED_INSTANCES: u64 = 1 << 20;

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

/// The value that a record has in a state that begins anew with this copy; none: the same.
///
/// # Errors
/// When it cannot be read.
pub fn restored(key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    if key.first().copied().and_then(Table::of_byte) != Some(Table::Session) {
        return Ok(None);
    }
    let mut session: SessionRecord = record::decode(value)?;
    session.instances = session.instances.saturating_add(SKIPPED_INSTANCES);
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
    fn again(world: &World) -> World {
        let mut restored_world = world.clone();
        for (key, value) in &world.store.entries {
            if let Some(value) = restored(key, value).unwrap() {
                restored_world.store.put(key.clone(), value);
            }
        }
        restored_world.log_index += 1 << 20;
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
        let mut later = again(&world);
        // What happened after the backup, and is lost.
        let mut lost = open(&mut world, &ann, 1);
        sent(&world.write(&mut lost, send_to("ann", "lost")));
        sent(&later.write(&mut ann, send_to("ann", "after")));
        assert_eq!(refused(&later.write(&mut lost, send_to("ann", "more"))), Rejection::UnknownInstance);
        let other = open(&mut later, &ann, 2);
        assert!(other.instance > SKIPPED_INSTANCES, "{}", other.instance);
        assert_eq!(refused(&later.write(&mut lost, send_to("ann", "more"))), Rejection::UnknownInstance);
    }
}
