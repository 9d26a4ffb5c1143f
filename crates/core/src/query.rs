//! Queries: what may be read, by whom. Every read of every gateway goes through here, so that the
//! question "may they see this?" is answered in one place.

use std::collections::BTreeSet;

use crate::{
    event::{Event, Scope},
    ids::{AccountId, ConversationId, EventId, Position, SessionId, TokenHash},
    reply::Rejection,
    store::{Read, StoreError},
};

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its name.
    pub session: SessionId,
    /// Whose.
    pub account: AccountId,
    /// The device's name.
    pub device: String,
    /// When it was opened.
    pub opened_at_ms: u64,
    /// When it ends unless renewed.
    pub expires_at_ms: u64,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its id.
    pub account: AccountId,
    /// As registered; none once deleted.
    pub name: Option<String>,
    /// Argon2id in PHC string form; empty once deleted.
    pub password_hash: String,
    /// Changes with the password.
    pub credential_version: u64,
    /// May administer.
    pub administrator: bool,
    /// When it was made.
    pub registered_at_ms: u64,
    /// Everything up to here was delivered to a client without a cursor.
    pub delivered_up_to: Position,
}

/// A conversation as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationInfo {
    /// Its id.
    pub conversation: ConversationId,
    /// The other person of a direct conversation (oneself, where one talks to oneself).
    pub peer: AccountId,
    /// Messages after the marker that are not the reader's own.
    pub unread: u64,
    /// The last message read; zero: none.
    pub read_up_to: Position,
    /// Messages ever sent there.
    pub messages: u64,
    /// The newest message the reader may see.
    pub last: Option<Event>,
}

/// Which page of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The newest messages before this event, or the newest of all.
    Before(Option<EventId>),
    /// The oldest messages after this position.
    After(Position),
}

/// A page and whether there is more in the direction asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    /// The page.
    pub items: Vec<T>,
    /// There is more.
    pub more: bool,
}

/// The session of a token, if it is live at the state's own time and its account is too.
///
/// # Errors
/// When the store cannot be read.
pub fn session(_store: &dyn Read, _token: &TokenHash) -> Result<Option<SessionInfo>, StoreError> {
    unimplemented!()
}

/// An account by id, deleted ones too.
///
/// # Errors
/// When the store cannot be read.
pub fn account(_store: &dyn Read, _account: AccountId) -> Result<Option<AccountInfo>, StoreError> {
    unimplemented!()
}

/// A live account by name, any case.
///
/// # Errors
/// When the store cannot be read.
pub fn account_by_name(_store: &dyn Read, _name: &str) -> Result<Option<AccountInfo>, StoreError> {
    unimplemented!()
}

/// The live sessions of an account, oldest first.
///
/// # Errors
/// When the store cannot be read.
pub fn sessions(_store: &dyn Read, _account: AccountId) -> Result<Vec<SessionInfo>, StoreError> {
    unimplemented!()
}

/// Live accounts whose name contains `pattern` (with `*` in it: matches it from end to end; `*` is any
/// run of characters), any case, in the order of their folded names, after `after`.
///
/// # Errors
/// When the store cannot be read.
pub fn search_accounts(
    _store: &dyn Read,
    _pattern: &str,
    _after: Option<&str>,
    _limit: usize,
) -> Result<Paged<AccountInfo>, StoreError> {
    unimplemented!()
}

/// The direct conversation of `reader` with the person of that name. The outer rejection: no such user.
///
/// # Errors
/// When the store cannot be read.
pub fn direct_conversation(
    _store: &dyn Read,
    _reader: AccountId,
    _peer_name: &str,
) -> Result<Result<Option<ConversationId>, Rejection>, StoreError> {
    unimplemented!()
}

/// One conversation as `reader` sees it.
///
/// # Errors
/// When the store cannot be read.
pub fn conversation(
    _store: &dyn Read,
    _reader: AccountId,
    _conversation: ConversationId,
) -> Result<Result<ConversationInfo, Rejection>, StoreError> {
    unimplemented!()
}

/// The conversation an event belongs to, if `reader` may see it there.
///
/// # Errors
/// When the store cannot be read.
pub fn conversation_of_message(
    _store: &dyn Read,
    _reader: AccountId,
    _message: EventId,
) -> Result<Option<ConversationId>, StoreError> {
    unimplemented!()
}

/// Messages (only [`crate::EventBody::MessageSent`], tombstones included, hidden ones not) of a conversation,
/// oldest first.
///
/// # Errors
/// When the store cannot be read.
pub fn history(
    _store: &dyn Read,
    _reader: AccountId,
    _conversation: ConversationId,
    _page: Page,
    _limit: usize,
) -> Result<Result<Paged<Event>, Rejection>, StoreError> {
    unimplemented!()
}

/// The reader's conversations in the order of their ids, after `after`.
///
/// # Errors
/// When the store cannot be read.
pub fn conversations(
    _store: &dyn Read,
    _reader: AccountId,
    _unread_only: bool,
    _after: Option<ConversationId>,
    _limit: usize,
) -> Result<Paged<ConversationInfo>, StoreError> {
    unimplemented!()
}

/// What a reader may see between two positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// In the order of their ids.
    pub events: Vec<Event>,
    /// Everything up to here is in `events`: `up_to`, or less where the limit cut it short.
    pub reached: Position,
}

/// Everything `reader` may see after `after` and not beyond `up_to`, at most about `limit` events: events of
/// each of its conversations during its membership, and its mailbox. With `only`, just of those scopes
/// (the caller knows that nothing else happened). Messages hidden by the reader are left out.
///
/// # Errors
/// When the store cannot be read.
pub fn events_after(
    _store: &dyn Read,
    _reader: AccountId,
    _after: Position,
    _up_to: Position,
    _only: Option<&BTreeSet<Scope>>,
    _limit: usize,
) -> Result<CatchUp, StoreError> {
    unimplemented!()
}
