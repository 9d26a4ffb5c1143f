//! Every key of the state, in one place.
//!
//! A key is one byte that names its table, then the parts of the name: ids as eight bytes, big endian, so
//! that the order of keys is the order of ids and a range of keys is a range of history. The table bytes
//! are stored on disk and never reused: a table that goes leaves its number behind. Everything below
//! [`FIRST_TABLE`] belongs to the server (its applied log id, membership, ...), not to the domain.
//!
//! Left out on purpose: values; see `record`.

use crate::{
    bounds::EMOJI_BYTES,
    ids::{AccountId, AttachmentId, ConversationId, EventId, Position, SessionId, TokenHash},
    store::StoreError,
};

/// Keys that start with a smaller byte are the server's own.
pub const FIRST_TABLE: u8 = 0x01;

/// The first byte of a key. Stored: never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    Meta = FIRST_TABLE,
    Account = 0x02,
    Name = 0x03,
    Session = 0x04,
    AccountSession = 0x05,
    Window = 0x06,
    Conversation = 0x07,
    Direct = 0x08,
    Membership = 0x09,
    Message = 0x0a,
    Notice = 0x0b,
    Mailbox = 0x0c,
    Hidden = 0x0d,
    Cleanup = 0x0e,
    // 0x0f to 0x12: rooms.
    Reactions = 0x13,
    Reaction = 0x14,
    Administration = 0x15,
    Seen = 0x17,
    NamedRequests = 0x16,
    Attachment = 0x18,
    Chunk = 0x19,
    Usage = 0x1a,
    Unsent = 0x1b,
    Removal = 0x1c,
    OwnedBot = 0x1d,
    Webhook = 0x1e,
    RoomWebhook = 0x1f,
    Member = 0x0f,
    RoomName = 0x10,
    Room = 0x11,
    Invitation = 0x12,
}

impl Table {
    /// All of them, but for what was given up.
    const ALL: [Self; 31] = [
        Self::Meta,
        Self::Account,
        Self::Name,
        Self::Session,
        Self::AccountSession,
        Self::Window,
        Self::Conversation,
        Self::Direct,
        Self::Membership,
        Self::Message,
        Self::Notice,
        Self::Mailbox,
        Self::Hidden,
        Self::Cleanup,
        Self::Member,
        Self::RoomName,
        Self::Room,
        Self::Invitation,
        Self::Reactions,
        Self::Reaction,
        Self::Administration,
        Self::NamedRequests,
        Self::Seen,
        Self::Attachment,
        Self::Chunk,
        Self::Usage,
        Self::Unsent,
        Self::Removal,
        Self::OwnedBot,
        Self::Webhook,
        Self::RoomWebhook,
    ];

    /// The table whose keys begin with this byte.
    pub(crate) fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == byte)
    }
}

/// The name of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// What there is one of: the clock. [`crate::record::MetaRecord`].
    Meta,
    /// An account. [`crate::record::AccountRecord`].
    Account(AccountId),
    /// A folded name. [`crate::record::NameRecord`].
    Name(&'a str),
    /// A session by its token. [`crate::record::SessionRecord`].
    Session(TokenHash),
    /// A session of an account. [`crate::record::AccountSessionRecord`].
    AccountSession(AccountId, SessionId),
    /// An instance of a session. [`crate::record::WindowRecord`].
    Window(SessionId, u64),
    /// A conversation. [`crate::record::ConversationRecord`].
    Conversation(ConversationId),
    /// The direct conversation of two accounts, the smaller id first. [`crate::record::DirectRecord`].
    Direct(AccountId, AccountId),
    /// An account in a conversation. [`crate::record::MembershipRecord`].
    Membership(AccountId, ConversationId),
    /// A message. Apart from the notices, so that a page of history reads nothing but messages.
    /// [`crate::record::EventRecord`].
    Message(ConversationId, EventId),
    /// Any other event of a conversation. [`crate::record::EventRecord`].
    Notice(ConversationId, EventId),
    /// An event of one account's devices. [`crate::record::EventRecord`].
    Mailbox(AccountId, EventId),
    /// A run of neighbouring messages an account has hidden, by the first. [`crate::record::HiddenRecord`].
    Hidden(AccountId, ConversationId, EventId),
    /// A deleted account with records still to be removed. [`crate::record::CleanupRecord`].
    Cleanup(AccountId),
    /// What an administrator did, by the place in the log. [`crate::record::AdministrationRecord`].
    Administration(Position),
    /// When an account was last connected. [`crate::record::SeenRecord`].
    Seen(AccountId),
    /// How often a message was reacted to with what. [`crate::record::ReactionsRecord`].
    Reactions(ConversationId, EventId),
    /// That an account reacts to a message with this emoji. [`crate::record::ReactionRecord`].
    Reaction(ConversationId, EventId, &'a str, AccountId),
    /// That it did, and took it back. Apart from the others, so that they can be listed without it.
    /// [`crate::record::ReactionRecord`].
    WithdrawnReaction(ConversationId, EventId, &'a str, AccountId),
    /// The named requests of an account. [`crate::record::NamedRequestsRecord`].
    NamedRequests(AccountId),
    /// An attachment. [`crate::record::AttachmentRecord`].
    Attachment(AttachmentId),
    /// A part of an attachment, counted from 0. [`crate::record::ChunkRecord`].
    Chunk(AttachmentId, u64),
    /// What the attachments of an account take. [`crate::record::UsageRecord`].
    Usage(AccountId),
    /// An attachment that no message has yet. [`crate::record::UnsentRecord`].
    Unsent(AttachmentId),
    /// A removed attachment with chunks still to be removed. [`crate::record::RemovalRecord`].
    Removal(AttachmentId),
    /// A bot of an account. [`crate::record::OwnedBotRecord`].
    OwnedBot(AccountId, AccountId),
    /// A webhook by its account. [`crate::record::WebhookRecord`].
    Webhook(AccountId),
    /// A webhook of a room. [`crate::record::RoomWebhookRecord`].
    RoomWebhook(ConversationId, AccountId),
    /// An account that is in a room now. [`crate::record::MemberRecord`].
    Member(ConversationId, AccountId),
    /// The folded name of a room. [`crate::record::RoomNameRecord`].
    RoomName(&'a str),
    /// A room that has members. [`crate::record::RoomRecord`].
    Room(ConversationId),
    /// An open invitation of an account to a room. [`crate::record::InvitationRecord`].
    Invitation(AccountId, ConversationId),
}

impl Key<'_> {
    /// The key as stored.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.show(<[u8]>::to_vec)
    }

    /// Shows the key as stored. It is allocated only where it is long, which a valid name is not.
    pub(crate) fn show<T>(&self, to: impl FnOnce(&[u8]) -> T) -> T {
        match *self {
            Key::Meta => show_ids(Table::Meta, [], to),
            Key::Account(account) => show_ids(Table::Account, [account.0], to),
            Key::Name(folded) => show_bytes(Table::Name, folded.as_bytes(), to),
            Key::Session(token) => show_bytes(Table::Session, &token.0, to),
            Key::AccountSession(account, session) => show_ids(Table::AccountSession, [account.0, session.0], to),
            Key::Window(session, instance) => show_ids(Table::Window, [session.0, instance], to),
            Key::Conversation(conversation) => show_ids(Table::Conversation, [conversation.0], to),
            Key::Direct(low, high) => show_ids(Table::Direct, [low.0, high.0], to),
            Key::Membership(account, conversation) => show_ids(Table::Membership, [account.0, conversation.0], to),
            Key::Message(conversation, event) => show_ids(Table::Message, [conversation.0, event.0], to),
            Key::Notice(conversation, event) => show_ids(Table::Notice, [conversation.0, event.0], to),
            Key::Mailbox(account, event) => show_ids(Table::Mailbox, [account.0, event.0], to),
            Key::Hidden(account, conversation, first) => {
                show_ids(Table::Hidden, [account.0, conversation.0, first.0], to)
            }
            Key::Cleanup(account) => show_ids(Table::Cleanup, [account.0], to),
            Key::Administration(position) => show_ids(Table::Administration, [position.0], to),
            Key::Seen(account) => show_ids(Table::Seen, [account.0], to),
            Key::Reactions(conversation, message) => show_ids(Table::Reactions, [conversation.0, message.0], to),
            Key::Reaction(conversation, message, emoji, account) => {
                to(&of_reaction(conversation, message, REACTS, emoji, account))
            }
            Key::WithdrawnReaction(conversation, message, emoji, account) => {
                to(&of_reaction(conversation, message, WITHDREW, emoji, account))
            }
            Key::NamedRequests(account) => show_ids(Table::NamedRequests, [account.0], to),
            Key::Attachment(attachment) => show_ids(Table::Attachment, [attachment.0], to),
            Key::Chunk(attachment, number) => show_ids(Table::Chunk, [attachment.0, number], to),
            Key::Usage(account) => show_ids(Table::Usage, [account.0], to),
            Key::Unsent(attachment) => show_ids(Table::Unsent, [attachment.0], to),
            Key::Removal(attachment) => show_ids(Table::Removal, [attachment.0], to),
            Key::OwnedBot(owner, bot) => show_ids(Table::OwnedBot, [owner.0, bot.0], to),
            Key::Webhook(webhook) => show_ids(Table::Webhook, [webhook.0], to),
            Key::RoomWebhook(conversation, webhook) => show_ids(Table::RoomWebhook, [conversation.0, webhook.0], to),
            Key::Member(conversation, account) => show_ids(Table::Member, [conversation.0, account.0], to),
            Key::RoomName(folded) => show_bytes(Table::RoomName, folded.as_bytes(), to),
            Key::Room(conversation) => show_ids(Table::Room, [conversation.0], to),
            Key::Invitation(account, conversation) => show_ids(Table::Invitation, [account.0, conversation.0], to),
        }
    }
}

/// A key up to this long is put together in place: a table's byte and 32 bytes of a token or a name, or three ids.
const SHORT_BYTES: usize = 33;

/// Stored between a message and its reactions.
const REACTS: u8 = 0;
/// Stored between a message and the reactions that were taken back.
const WITHDREW: u8 = 1;

fn show_ids<T, const N: usize>(table: Table, ids: [u64; N], to: impl FnOnce(&[u8]) -> T) -> T {
    const { assert!(N * 8 < SHORT_BYTES) };
    let mut key = [table as u8; SHORT_BYTES];
    for (place, id) in key[1..].chunks_exact_mut(8).zip(ids) {
        place.copy_from_slice(&id.to_be_bytes());
    }
    to(&key[..1 + N * 8])
}

fn show_bytes<T>(table: Table, bytes: &[u8], to: impl FnOnce(&[u8]) -> T) -> T {
    let mut key = [table as u8; SHORT_BYTES];
    match key.get_mut(1..=bytes.len()) {
        Some(place) => place.copy_from_slice(bytes),
        None => return to(&of_bytes(table, bytes)),
    }
    to(&key[..=bytes.len()])
}

/// A range of keys: from `start`, up to but without `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl Range {
    /// From one key to another, both included. They must be of one table.
    pub(crate) fn inclusive(first: Key<'_>, last: Key<'_>) -> Self {
        // Keys of one table have one length, so nothing lies between a key and the same with a zero behind.
        let mut end = last.bytes();
        end.push(0);
        Self { start: first.bytes(), end }
    }

    /// Every account there ever was.
    pub(crate) fn accounts() -> Self {
        Self::with_prefix(of_ids(Table::Account, &[]))
    }

    /// The folded names that start with `prefix`.
    pub(crate) fn names(prefix: &str) -> Self {
        Self::with_prefix(of_bytes(Table::Name, prefix.as_bytes()))
    }

    /// The sessions of an account.
    pub(crate) fn sessions(account: AccountId) -> Self {
        Self::with_prefix(of_ids(Table::AccountSession, &[account.0]))
    }

    /// The live instances of a session.
    pub(crate) fn windows(session: SessionId) -> Self {
        Self::with_prefix(of_ids(Table::Window, &[session.0]))
    }

    /// The conversations of an account.
    pub(crate) fn memberships(account: AccountId) -> Self {
        Self::with_prefix(of_ids(Table::Membership, &[account.0]))
    }

    /// Every conversation there ever was.
    pub(crate) fn conversations() -> Self {
        Self::with_prefix(of_ids(Table::Conversation, &[]))
    }

    /// The events of an account's mailbox.
    pub(crate) fn mailbox(account: AccountId) -> Self {
        Self::with_prefix(of_ids(Table::Mailbox, &[account.0]))
    }

    /// Everything an account has hidden.
    pub(crate) fn hidden(account: AccountId) -> Self {
        Self::with_prefix(of_ids(Table::Hidden, &[account.0]))
    }

    /// The deleted accounts with records still to be removed.
    pub(crate) fn cleanups() -> Self {
        Self::with_prefix(of_ids(Table::Cleanup, &[]))
    }

    /// The attachments that no message has yet, the oldest first.
    pub(crate) fn unsent() -> Self {
        Self::with_prefix(of_ids(Table::Unsent, &[]))
    }

    /// The removed attachments with chunks still to be removed.
    pub(crate) fn removals() -> Self {
        Self::with_prefix(of_ids(Table::Removal, &[]))
    }

    /// What administrators did up to and including a position.
    pub(crate) fn administration_up_to(last: Position) -> Self {
        Self::inclusive(Key::Administration(Position(0)), Key::Administration(last))
    }

    /// What messages are reacted to with, both messages included.
    pub(crate) fn reactions(conversation: ConversationId, first: EventId, last: EventId) -> Self {
        Self::inclusive(Key::Reactions(conversation, first), Key::Reactions(conversation, last))
    }

    /// Who reacts to a message, with one emoji or with any.
    pub(crate) fn reacting(conversation: ConversationId, message: EventId, emoji: Option<&str>) -> Self {
        let mut prefix = of_ids(Table::Reaction, &[conversation.0, message.0]);
        prefix.push(REACTS);
        if let Some(emoji) = emoji {
            push_emoji(&mut prefix, emoji);
        }
        Self::with_prefix(prefix)
    }

    /// Everything said about reactions to a message, the withdrawn ones too.
    pub(crate) fn of_reactions(conversation: ConversationId, message: EventId) -> Self {
        Self::with_prefix(of_ids(Table::Reaction, &[conversation.0, message.0]))
    }

    /// The bots of an account.
    pub(crate) fn owned_bots(owner: AccountId) -> Self {
        Self::with_prefix(of_ids(Table::OwnedBot, &[owner.0]))
    }

    /// The webhooks of a room.
    pub(crate) fn room_webhooks(conversation: ConversationId) -> Self {
        Self::with_prefix(of_ids(Table::RoomWebhook, &[conversation.0]))
    }

    /// The members of a room.
    pub(crate) fn members(conversation: ConversationId) -> Self {
        Self::with_prefix(of_ids(Table::Member, &[conversation.0]))
    }

    /// The folded names of rooms that start with `prefix`.
    pub(crate) fn room_names(prefix: &str) -> Self {
        Self::with_prefix(of_bytes(Table::RoomName, prefix.as_bytes()))
    }

    /// The open invitations of an account.
    pub(crate) fn invitations(account: AccountId) -> Self {
        Self::with_prefix(of_ids(Table::Invitation, &[account.0]))
    }

    /// The part after `key`.
    pub(crate) fn after(mut self, key: Key<'_>) -> Self {
        let mut start = key.bytes();
        start.push(0);
        if start > self.start {
            self.start = start;
        }
        self
    }

    fn with_prefix(prefix: Vec<u8>) -> Self {
        let mut end = prefix.clone();
        // The smallest key greater than everything with the prefix. A table byte is never 0xff, so one remains.
        while end.pop_if(|byte| *byte == u8::MAX).is_some() {}
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { start: prefix, end }
    }
}

/// The id at the end of a key.
pub(crate) fn last_id(key: &[u8]) -> Result<u64, StoreError> {
    match key.last_chunk::<8>() {
        Some(bytes) if key.len() > 8 => Ok(u64::from_be_bytes(*bytes)),
        _ => Err(StoreError::Corrupt(format!("a key of {} bytes where one with an id was expected", key.len()))),
    }
}

/// The folded name in a key of the name table.
pub(crate) fn name(key: &[u8]) -> Result<&str, StoreError> {
    text_of(Table::Name, key)
}

/// The folded name in a key of the table of rooms' names.
pub(crate) fn room_name(key: &[u8]) -> Result<&str, StoreError> {
    text_of(Table::RoomName, key)
}

fn text_of(expected: Table, key: &[u8]) -> Result<&str, StoreError> {
    match key.split_first() {
        Some((&table, name)) if table == expected as u8 => {
            std::str::from_utf8(name).map_err(|error| StoreError::Corrupt(format!("a name that is no text: {error}")))
        }
        _ => Err(StoreError::Corrupt("a key of another table among the names".to_owned())),
    }
}

/// The emoji and the account in a key of the reaction table.
pub(crate) fn reaction(key: &[u8]) -> Result<(&str, AccountId), StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("a reaction's key {what}"));
    let account = AccountId(last_id(key)?);
    // The table, a conversation and a message, whether it still is so, and the emoji with its length before it.
    let emoji = key.get(18..).and_then(<[u8]>::split_first).and_then(|(length, rest)| rest.get(..usize::from(*length)));
    let emoji = emoji.ok_or_else(|| corrupt("is too short"))?;
    Ok((std::str::from_utf8(emoji).map_err(|_| corrupt("holds no text"))?, account))
}

fn of_reaction(conversation: ConversationId, message: EventId, state: u8, emoji: &str, account: AccountId) -> Vec<u8> {
    let mut key = of_ids(Table::Reaction, &[conversation.0, message.0]);
    key.push(state);
    push_emoji(&mut key, emoji);
    key.extend_from_slice(&account.0.to_be_bytes());
    key
}

/// With its length before it, so that none is the beginning of another.
fn push_emoji(key: &mut Vec<u8>, emoji: &str) {
    const { assert!(EMOJI_BYTES <= u8::MAX as usize) };
    key.push(emoji.len().min(usize::from(u8::MAX)) as u8);
    key.extend_from_slice(emoji.as_bytes());
}

fn of_ids(table: Table, ids: &[u64]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + ids.len() * 8);
    key.push(table as u8);
    for id in ids {
        key.extend_from_slice(&id.to_be_bytes());
    }
    key
}

fn of_bytes(table: Table, bytes: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + bytes.len());
    key.push(table as u8);
    key.extend_from_slice(bytes);
    key
}

#[cfg(test)]
mod tests;
