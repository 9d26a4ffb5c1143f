//! Every stored value: one version byte, then CBOR with numbered fields.
//!
//! A record of a newer version than this program writes is refused with words that say so; so is anything
//! that is not exactly one record. No bytes make decoding panic. Within a version only optional fields may
//! be added, at the end; anything else takes a new version and a way to read the old one.
//!
//! Left out on purpose: what a key already says (ids and scopes) is not stored again in the value.

use minicbor::{Decode, Encode};

use crate::{
    entry,
    event::{Event, EventBody, Scope},
    ids::{AccountId, EventId, Position, SessionId, TokenHash},
    key::Key,
    store::{Read, StoreError},
};

mod attachment;
mod bot;
mod conversation;
mod named;
mod reaction;
mod room;
mod window;

pub(crate) use attachment::{
    AttachmentRecord, ChunkRecord, PendingUpload, RemovalRecord, SentIn, UnsentRecord, UsageRecord,
};
pub(crate) use bot::{Bot, OwnedBotRecord, RoomWebhookRecord, WebhookRecord};
#[cfg(test)]
pub(crate) use conversation::Span;
pub(crate) use conversation::{
    Attendance, ConversationKind, ConversationRecord, DirectRecord, Marker, MembershipRecord,
};
pub(crate) use named::NamedRequestsRecord;
pub(crate) use reaction::{ReactionRecord, ReactionsRecord};
pub(crate) use room::{InvitationRecord, MemberRecord, RoomNameRecord, RoomRecord};
pub(crate) use window::{Recall, WindowRecord};

/// A stored value.
pub(crate) trait Record: Encode<()> + for<'b> Decode<'b, ()> {
    /// For error messages.
    const NAME: &'static str;
    /// What this program writes, and the newest it reads.
    const VERSION: u8 = 1;

    /// About how many bytes it takes: saves the large ones growing a buffer step by step.
    fn size_hint(&self) -> usize {
        64
    }
}

/// The stored form of a record.
pub(crate) fn encode<R: Record>(record: &R) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(record.size_hint());
    buffer.push(R::VERSION);
    entry::encode_into(record, &mut buffer);
    buffer
}

/// A record from its stored form.
pub(crate) fn decode<R: Record>(bytes: &[u8]) -> Result<R, StoreError> {
    let corrupt = |what: String| StoreError::Corrupt(format!("{}: {what}", R::NAME));
    let (&version, body) = bytes.split_first().ok_or_else(|| corrupt("empty".to_owned()))?;
    if version > R::VERSION {
        return Err(corrupt(format!("version {version} is newer than this program knows ({})", R::VERSION)));
    }
    if version == 0 {
        return Err(corrupt("version 0 never existed".to_owned()));
    }
    let mut decoder = minicbor::Decoder::new(body);
    let record = decoder.decode().map_err(|error| corrupt(error.to_string()))?;
    if decoder.position() != body.len() {
        return Err(corrupt("bytes after its end".to_owned()));
    }
    Ok(record)
}

/// The record of a key, if there is one.
pub(crate) fn get<R: Record>(store: &dyn Read, key: Key<'_>) -> Result<Option<R>, StoreError> {
    let mut record = None;
    key.show(|key| store.look(key, &mut |bytes| record = Some(decode(bytes))))?;
    record.transpose()
}

/// The record of a key that another record says is there.
pub(crate) fn require<R: Record>(store: &dyn Read, key: Key<'_>) -> Result<R, StoreError> {
    get(store, key)?.ok_or_else(|| StoreError::Corrupt(format!("{} is missing: {key:?}", R::NAME)))
}

/// What there is one of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct MetaRecord {
    /// The state's own time: the greatest time of any entry so far.
    #[n(0)]
    pub(crate) clock_ms: u64,
    /// How many deleted accounts have records still to be removed.
    #[n(1)]
    pub(crate) cleanups: u64,
    /// No attachment without a message expires before this; none: there is none.
    #[n(2)]
    pub(crate) unsent_expire_ms: Option<u64>,
    /// How many removed attachments have chunks still to be removed; none: none has.
    #[n(3)]
    pub(crate) removals: Option<u64>,
}

impl Record for MetaRecord {
    const NAME: &'static str = "meta";
}

/// The meta record; all zero before the first entry.
pub(crate) fn meta(store: &dyn Read) -> Result<MetaRecord, StoreError> {
    Ok(get(store, Key::Meta)?.unwrap_or_default())
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AccountRecord {
    /// As registered; empty once deleted (the name table keeps it reserved).
    #[n(0)]
    pub(crate) name: String,
    /// Argon2id in PHC string form; empty once deleted.
    #[n(1)]
    pub(crate) password_hash: String,
    /// Counts up with every change of the password.
    #[n(2)]
    pub(crate) credential_version: u64,
    #[n(3)]
    pub(crate) administrator: bool,
    #[n(4)]
    pub(crate) registered_at_ms: u64,
    /// Everything up to here was delivered to a client without a cursor.
    #[n(5)]
    pub(crate) delivered_up_to: Position,
    #[n(6)]
    pub(crate) deleted: bool,
    /// Since when it may not log in; an administrator said so.
    #[n(7)]
    pub(crate) disabled_at_ms: Option<u64>,
    /// What people are shown beside the name.
    #[n(8)]
    pub(crate) display_name: Option<String>,
    /// How many rooms it is in; none means zero.
    #[n(9)]
    pub(crate) rooms: Option<u64>,
    /// None: it is a person's.
    #[n(10)]
    pub(crate) bot: Option<Bot>,
    /// When it may make as many bots at a stretch as ever; none: it may.
    #[n(11)]
    pub(crate) bots_full_at_ms: Option<u64>,
    /// Of a deleted webhook: who made it.
    #[n(12)]
    pub(crate) posted_for: Option<AccountId>,
}

impl Record for AccountRecord {
    const NAME: &'static str = "account";
}

/// What an administrator did.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AdministrationRecord {
    #[n(0)]
    pub(crate) at_ms: u64,
    #[n(1)]
    pub(crate) by: AccountId,
    /// To which account.
    #[n(2)]
    pub(crate) account: AccountId,
    /// Its name then.
    #[n(3)]
    pub(crate) name: String,
    #[n(4)]
    pub(crate) what: Administered,
    /// By the configuration of a server, not by the account's own right.
    #[n(5)]
    pub(crate) by_configuration: bool,
}

impl Record for AdministrationRecord {
    const NAME: &'static str = "administration";
}

/// What was done to an account: the action without what must not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Administered {
    /// Disabled.
    #[n(0)]
    Disabled,
    /// Enabled again.
    #[n(1)]
    Enabled,
    /// Given another password.
    #[n(2)]
    PasswordReset,
    /// Deleted.
    #[n(3)]
    Deleted,
    /// Its name was freed, after its deletion.
    #[n(4)]
    NameFreed,
    /// Made an administrator.
    #[n(5)]
    Granted,
    /// Made an administrator no longer.
    #[n(6)]
    Revoked,
}

/// When an account was last known to be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SeenRecord {
    #[n(0)]
    pub(crate) at_ms: u64,
}

impl Record for SeenRecord {
    const NAME: &'static str = "last seen";
}

/// Who has a name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct NameRecord {
    #[n(0)]
    pub(crate) account: AccountId,
    /// The account is deleted; its name stays taken.
    #[n(1)]
    pub(crate) deleted: bool,
    /// Of a deleted bot: whose it was, and who may give its name to another one.
    #[n(2)]
    pub(crate) kept_for: Option<AccountId>,
}

impl Record for NameRecord {
    const NAME: &'static str = "name";
}

/// A session, live or ended. An ended one stays for a while, so that a late duplicate of its log-in does
/// not open it again; the one that deleted its account stays for ever, so that the deletion's retry is understood.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SessionRecord {
    #[n(0)]
    pub(crate) session: SessionId,
    #[n(1)]
    pub(crate) account: AccountId,
    #[n(2)]
    pub(crate) device: String,
    #[n(3)]
    pub(crate) opened_at_ms: u64,
    #[n(4)]
    pub(crate) expires_at_ms: u64,
    /// What the reply to the log-in said, for its retry: renewals move `expires_at_ms`.
    #[n(5)]
    pub(crate) first_expires_at_ms: u64,
    /// What the reply to the log-in said, for its retry.
    #[n(6)]
    pub(crate) first_delivered_up_to: Position,
    /// Instances handed out so far.
    #[n(7)]
    pub(crate) instances: u64,
    #[n(8)]
    pub(crate) ended: bool,
}

impl SessionRecord {
    /// Whether it may be used at that time.
    pub(crate) fn is_live(&self, clock_ms: u64) -> bool {
        !self.ended && clock_ms < self.expires_at_ms
    }
}

impl Record for SessionRecord {
    const NAME: &'static str = "session";
}

/// A session in the list of its account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AccountSessionRecord {
    /// Names the session's own record.
    #[n(0)]
    pub(crate) token: TokenHash,
}

impl Record for AccountSessionRecord {
    const NAME: &'static str = "account's session";
}

/// An event, without what its key says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct EventRecord {
    #[n(0)]
    pub(crate) time_ms: u64,
    #[n(1)]
    pub(crate) body: EventBody,
}

impl EventRecord {
    /// The whole event again.
    pub(crate) fn into_event(self, id: EventId, scope: Scope) -> Event {
        Event { id, time_ms: self.time_ms, scope, body: self.body }
    }
}

impl Record for EventRecord {
    const NAME: &'static str = "event";

    fn size_hint(&self) -> usize {
        match &self.body {
            EventBody::MessageSent { body, .. } => 48 + body.len(),
            _ => 48,
        }
    }
}

/// A run of messages, neighbours in their conversation, that an account has hidden; its first one is in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HiddenRecord {
    #[n(0)]
    pub(crate) last: EventId,
    #[n(1)]
    pub(crate) first_number: u64,
    #[n(2)]
    pub(crate) last_number: u64,
}

impl Record for HiddenRecord {
    const NAME: &'static str = "hidden messages";
}

/// There is something to remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CleanupRecord {}

impl Record for CleanupRecord {
    const NAME: &'static str = "cleanup";
}

#[cfg(test)]
mod tests;
