//! Accounts: by id, by name, by pattern.

use std::ops::ControlFlow;

use super::{AccountInfo, BotInfo, Paged, pattern::Pattern};
use crate::{
    bounds::{PAGE, PATTERN_BYTES},
    ids::AccountId,
    key::{self, Key, Range},
    record::{self, AccountRecord, NameRecord, SeenRecord},
    reply::Rejection,
    scan,
    store::{Direction, Read, StoreError},
    text,
};

/// An account by id, deleted ones too.
///
/// # Errors
/// When the store cannot be read.
pub fn account(store: &dyn Read, account: AccountId) -> Result<Option<AccountInfo>, StoreError> {
    let record = record::get::<AccountRecord>(store, Key::Account(account))?;
    record.map(|record| info(store, account, record)).transpose()
}

/// Whether an account was ever made: if not, the next one is an administrator.
///
/// # Errors
/// When the store cannot be read.
pub fn any_account(store: &dyn Read) -> Result<bool, StoreError> {
    Ok(!scan::keys(store, &Range::accounts(), 1)?.is_empty())
}

/// A live account by name, any case.
///
/// # Errors
/// When the store cannot be read.
pub fn account_by_name(store: &dyn Read, name: &str) -> Result<Option<AccountInfo>, StoreError> {
    if text::check_name(name).is_err() {
        return Ok(None);
    }
    match record::get::<NameRecord>(store, Key::Name(&text::fold_name(name)))? {
        Some(NameRecord { account, deleted: false, .. }) => {
            Ok(Some(info(store, account, record::require(store, Key::Account(account))?)?))
        }
        _ => Ok(None),
    }
}

/// The same, where somebody names it: a rejection if there is none.
///
/// # Errors
/// When the store cannot be read.
pub fn account_named(store: &dyn Read, name: &str) -> Result<Result<AccountId, Rejection>, StoreError> {
    let found = account_by_name(store, name)?;
    Ok(found.map(|found| found.account).ok_or_else(|| Rejection::UnknownUser(text::quoted_name(name))))
}

/// Who bears a name, any case, or bore it until the account was deleted: whom a list goes on behind. A name that was freed is nobody's, until it is
/// somebody else's.
///
/// # Errors
/// When the store cannot be read.
pub fn bearer_of_name(store: &dyn Read, name: &str) -> Result<Result<AccountId, Rejection>, StoreError> {
    let unknown = || Rejection::UnknownUser(text::quoted_name(name));
    if text::check_name(name).is_err() {
        return Ok(Err(unknown()));
    }
    let record = record::get::<NameRecord>(store, Key::Name(&text::fold_name(name)))?;
    Ok(record.map(|record| record.account).ok_or_else(unknown))
}

/// Live accounts whose name contains `pattern` (with `*` in it: matches it from end to end; `*` is any
/// run of characters), any case, in the order of their folded names, after `after`.
///
/// A pattern with `*` reads only the names that start with what stands before it; any other one reads names
/// until the page is full, all of them at worst. A pattern beyond its bound matches nobody.
///
/// # Errors
/// When the store cannot be read.
pub fn search_accounts(
    store: &dyn Read,
    pattern: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Paged<AccountInfo>, StoreError> {
    if pattern.len() > PATTERN_BYTES {
        return Ok(Paged { items: Vec::new(), more: false });
    }
    let limit = limit.clamp(1, PAGE);
    let pattern = Pattern::new(pattern);
    let mut range = Range::names(pattern.prefix());
    if let Some(after) = after {
        range = range.after(Key::Name(&text::fold_name(after)));
    }
    let mut found = Vec::new();
    scan::scan(store, &range, Direction::Ascending, |key, value| {
        let NameRecord { account, deleted, .. } = record::decode(value)?;
        if !deleted && pattern.matches(key::name(key)?) {
            found.push(account);
        }
        Ok(if found.len() <= limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    let more = found.len() > limit;
    found.truncate(limit);
    let read = |id| info(store, id, record::require(store, Key::Account(id))?);
    Ok(Paged { items: found.into_iter().map(read).collect::<Result<_, StoreError>>()?, more })
}

fn info(store: &dyn Read, account: AccountId, record: AccountRecord) -> Result<AccountInfo, StoreError> {
    let seen = record::get::<SeenRecord>(store, Key::Seen(account))?;
    Ok(AccountInfo {
        account,
        name: (!record.deleted).then_some(record.name),
        password_hash: record.password_hash,
        credential_version: record.credential_version,
        administrator: record.administrator,
        registered_at_ms: record.registered_at_ms,
        delivered_up_to: record.delivered_up_to,
        disabled: record.disabled_at_ms.is_some(),
        display_name: record.display_name.unwrap_or_default(),
        last_seen_ms: seen.map_or(0, |seen| seen.at_ms),
        bot: record.bot.map(|bot| BotInfo { owner: bot.owner, token: bot.token }),
    })
}
