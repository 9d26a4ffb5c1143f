//! Stored values as bytes, for those who look at them from outside: fuzzers, and whoever examines a state.

use crate::{
    key::Table,
    record::{
        AccountRecord, AccountSessionRecord, AdministrationRecord, AttachmentRecord, ChunkRecord, CleanupRecord,
        ConversationRecord, DirectRecord, EventRecord, HiddenRecord, InvitationRecord, MemberRecord, MembershipRecord,
        MetaRecord, NameRecord, NamedRequestsRecord, OwnedBotRecord, ReactionRecord, ReactionsRecord, Record,
        RemovalRecord, RoomNameRecord, RoomRecord, RoomWebhookRecord, SeenRecord, SessionRecord, UnsentRecord,
        UsageRecord, WebhookRecord, WindowRecord, decode, encode,
    },
    store::StoreError,
};

/// The value of a key that begins with this byte: decoded, and encoded again. None where no key does.
///
/// # Errors
/// When the bytes are no such record, or one whose stored form gives another one.
pub fn again(table: u8, value: &[u8]) -> Option<Result<Vec<u8>, StoreError>> {
    Some(match Table::of_byte(table)? {
        Table::Meta => same::<MetaRecord>(value),
        Table::Account => same::<AccountRecord>(value),
        Table::Name => same::<NameRecord>(value),
        Table::Session => same::<SessionRecord>(value),
        Table::AccountSession => same::<AccountSessionRecord>(value),
        Table::Window => same::<WindowRecord>(value),
        Table::Conversation => same::<ConversationRecord>(value),
        Table::Direct => same::<DirectRecord>(value),
        Table::Membership => same::<MembershipRecord>(value),
        Table::Message | Table::Notice | Table::Mailbox => same::<EventRecord>(value),
        Table::Hidden => same::<HiddenRecord>(value),
        Table::Cleanup => same::<CleanupRecord>(value),
        Table::Reactions => same::<ReactionsRecord>(value),
        Table::Reaction => same::<ReactionRecord>(value),
        Table::Administration => same::<AdministrationRecord>(value),
        Table::Seen => same::<SeenRecord>(value),
        Table::NamedRequests => same::<NamedRequestsRecord>(value),
        Table::Attachment => same::<AttachmentRecord>(value),
        Table::Chunk => same::<ChunkRecord>(value),
        Table::Usage => same::<UsageRecord>(value),
        Table::Unsent => same::<UnsentRecord>(value),
        Table::Removal => same::<RemovalRecord>(value),
        Table::OwnedBot => same::<OwnedBotRecord>(value),
        Table::Webhook => same::<WebhookRecord>(value),
        Table::RoomWebhook => same::<RoomWebhookRecord>(value),
        Table::Member => same::<MemberRecord>(value),
        Table::RoomName => same::<RoomNameRecord>(value),
        Table::Room => same::<RoomRecord>(value),
        Table::Invitation => same::<InvitationRecord>(value),
    })
}

/// Whether this program can read the value of a key that begins with this byte.
///
/// # Errors
/// When it cannot: the bytes are no such record, of a newer version, or there is no such key.
pub fn check(table: u8, value: &[u8]) -> Result<(), StoreError> {
    match again(table, value) {
        Some(read) => read.map(drop),
        None => Err(StoreError::Corrupt(format!("a record of table {table:#04x}, which this program does not know"))),
    }
}

fn same<R: Record + PartialEq>(value: &[u8]) -> Result<Vec<u8>, StoreError> {
    let record: R = decode(value)?;
    let bytes = encode(&record);
    if decode::<R>(&bytes).is_ok_and(|again| again == record) {
        Ok(bytes)
    } else {
        Err(StoreError::Corrupt(format!("{}: it is another one when it was stored again", R::NAME)))
    }
}
