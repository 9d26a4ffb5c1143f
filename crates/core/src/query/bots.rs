//! Bots as their owners see them, and webhooks as their rooms' moderators do.

use super::{RoomInfo, rooms};
use crate::{
    bounds::{BOTS_PER_ACCOUNT, WEBHOOKS_PER_ROOM},
    command::{Recipient, Role},
    ids::{AccountId, ConversationId, TokenHash},
    key::{Key, Range, last_id},
    record::{self, AccountRecord, NamedRequestsRecord, WebhookRecord},
    reply::Rejection,
    scan,
    store::{Read, StoreError},
};

/// What makes an account a bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BotInfo {
    /// Whose it is.
    pub owner: AccountId,
    /// Of what logs it in; none: nothing does.
    pub token: Option<TokenHash>,
}

/// A bot of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnBot {
    /// Its account.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// Something logs it in.
    pub has_token: bool,
    /// An administrator disabled it.
    pub disabled: bool,
    /// When it was made.
    pub created_at_ms: u64,
    /// The room that it is a webhook of.
    pub webhook_of: Option<ConversationId>,
}

/// A webhook of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookInfo {
    /// Its account, which names it.
    pub webhook: AccountId,
    /// Its account's name.
    pub name: String,
    /// Whose it is.
    pub by: AccountId,
    /// When it was made.
    pub created_at_ms: u64,
}

/// The bots and webhooks of an account, oldest first.
///
/// # Errors
/// When the store cannot be read.
pub fn bots(store: &dyn Read, owner: AccountId) -> Result<Vec<OwnBot>, StoreError> {
    let keys = scan::keys(store, &Range::owned_bots(owner), BOTS_PER_ACCOUNT)?;
    let bot = |key: &Vec<u8>| {
        let account = AccountId(last_id(key)?);
        let record: AccountRecord = record::require(store, Key::Account(account))?;
        let webhook = record::get::<WebhookRecord>(store, Key::Webhook(account))?;
        Ok(OwnBot {
            account,
            name: record.name,
            has_token: record.bot.is_some_and(|bot| bot.token.is_some()),
            disabled: record.disabled_at_ms.is_some(),
            created_at_ms: record.registered_at_ms,
            webhook_of: webhook.map(|webhook| webhook.room),
        })
    };
    keys.iter().map(bot).collect()
}

/// The webhooks of a room, oldest first; for its moderators and owners.
///
/// # Errors
/// When the store cannot be read.
pub fn webhooks(
    store: &dyn Read,
    reader: AccountId,
    room: &Recipient,
) -> Result<Result<Vec<WebhookInfo>, Rejection>, StoreError> {
    let RoomInfo { conversation, role, name, .. } = match rooms::room(store, reader, room)? {
        Ok(shown) => shown,
        Err(rejection) => return Ok(Err(rejection)),
    };
    match role {
        None => return Ok(Err(Rejection::NotInRoom(format!("you are not in #{name}")))),
        Some(Role::Member) => {
            let what = "only moderators and owners of the room may list webhooks".to_owned();
            return Ok(Err(Rejection::Forbidden(what)));
        }
        Some(Role::Moderator | Role::Owner) => {}
    }
    let keys = scan::keys(store, &Range::room_webhooks(conversation), WEBHOOKS_PER_ROOM)?;
    let webhook = |key: &Vec<u8>| {
        let webhook = AccountId(last_id(key)?);
        let record: AccountRecord = record::require(store, Key::Account(webhook))?;
        let bot = record.bot.ok_or_else(|| StoreError::Corrupt(format!("webhook {webhook} is no bot")))?;
        Ok(WebhookInfo { webhook, name: record.name, by: bot.owner, created_at_ms: record.registered_at_ms })
    };
    Ok(Ok(keys.iter().map(webhook).collect::<Result<_, StoreError>>()?))
}

/// How many posts a webhook has counted, if it takes what is posted with that token.
///
/// # Errors
/// When the store cannot be read.
pub fn webhook_counts(store: &dyn Read, webhook: AccountId, token: &TokenHash) -> Result<Option<u64>, StoreError> {
    let found = record::get::<WebhookRecord>(store, Key::Webhook(webhook))?;
    if found.is_none_or(|webhook| webhook.token != *token) {
        return Ok(None);
    }
    let named = record::get::<NamedRequestsRecord>(store, Key::NamedRequests(webhook))?;
    Ok(Some(named.unwrap_or_default().counted()))
}

/// Whose writes those of an account are counted as: a bot's are its owner's, for an account makes many bots.
///
/// # Errors
/// When the store cannot be read.
pub fn writes_of(store: &dyn Read, account: AccountId) -> Result<AccountId, StoreError> {
    let record = record::get::<AccountRecord>(store, Key::Account(account))?;
    Ok(record.and_then(|record| record.bot).map_or(account, |bot| bot.owner))
}
