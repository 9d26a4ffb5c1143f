//! What administrators did.

use std::ops::ControlFlow;

use super::Paged;
use crate::{
    bounds::PAGE,
    ids::{AccountId, Position},
    key::{Key, Range, last_id},
    record::{self, AccountRecord, Administered, AdministrationRecord},
    reply::Rejection,
    scan,
    store::{Direction, Read, StoreError},
};

/// One act of an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdministrationInfo {
    /// Its place in the log.
    pub position: Position,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// By whom.
    pub by: AccountId,
    /// To which account.
    pub account: AccountId,
    /// That account's name then.
    pub name: String,
    /// What.
    pub what: Administered,
    /// By the configuration of a server, not by the account's own right.
    pub by_configuration: bool,
}

/// Whether an account is an administrator, by its own right or (says the caller) by a server's configuration.
///
/// # Errors
/// When the store cannot be read.
pub fn administers(store: &dyn Read, account: AccountId, by_configuration: bool) -> Result<bool, StoreError> {
    let account = record::get::<AccountRecord>(store, Key::Account(account))?;
    Ok(account.is_some_and(|account| (account.administrator || by_configuration) && account.bot.is_none()))
}

/// The newest acts before `before`, newest first. At most [`PAGE`] of them. For administrators, by their own right or (says the caller) by a
/// server's configuration.
///
/// # Errors
/// When the store cannot be read.
pub fn administration(
    store: &dyn Read,
    reader: AccountId,
    by_configuration: bool,
    before: Option<Position>,
    limit: usize,
) -> Result<Result<Paged<AdministrationInfo>, Rejection>, StoreError> {
    if !administers(store, reader, by_configuration)? {
        return Ok(Err(Rejection::NotAdministrator));
    }
    Ok(Ok(newest(store, before, limit)?))
}

fn newest(store: &dyn Read, before: Option<Position>, limit: usize) -> Result<Paged<AdministrationInfo>, StoreError> {
    let limit = limit.clamp(1, PAGE);
    let last = match before.map(|before| before.0.checked_sub(1)) {
        None => Position(u64::MAX),
        Some(Some(last)) => Position(last),
        Some(None) => return Ok(Paged { items: Vec::new(), more: false }),
    };
    let mut items = Vec::new();
    scan::scan(store, &Range::administration_up_to(last), Direction::Descending, |key, value| {
        let AdministrationRecord { at_ms, by, account, name, what, by_configuration } = record::decode(value)?;
        let position = Position(last_id(key)?);
        items.push(AdministrationInfo { position, at_ms, by, account, name, what, by_configuration });
        Ok(if items.len() <= limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    let more = items.len() > limit;
    items.truncate(limit);
    Ok(Paged { items, more })
}
