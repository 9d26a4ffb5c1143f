//! What administrators did.

use std::ops::ControlFlow;

use super::Paged;
use crate::{
    bounds::PAGE,
    ids::{AccountId, Position},
    key::{Range, last_id},
    record::{self, Administered, AdministrationRecord},
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

/// The newest acts before `before`, newest first. At most [`PAGE`] of them. For administrators: the caller sees to it.
///
/// # Errors
/// When the store cannot be read.
pub fn administration(
    store: &dyn Read,
    before: Option<Position>,
    limit: usize,
) -> Result<Paged<AdministrationInfo>, StoreError> {
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
