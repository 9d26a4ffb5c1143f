//! `apply`: the one function that changes the state.

use crate::{
    entry::Unpacked,
    event::Scope,
    ids::{AccountId, Position},
    reply::Reply,
    store::{StoreError, Write},
};

/// Somebody's view changed: wake those who follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Where a new event lies.
    pub scope: Scope,
    /// Its position.
    pub position: Position,
    /// Who may see it. (Rooms will name themselves instead of their members.)
    pub audience: Vec<AccountId>,
}

/// What an entry did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// One a command, in order.
    pub replies: Vec<Reply>,
    /// New events, in order.
    pub happened: Vec<Happened>,
}

/// Applies the entry at `log_index`. Deterministic: the same state and entry give the same changes,
/// replies and events on every server.
///
/// # Errors
/// Only when the store fails or is corrupt. Nothing may be committed then, and the server must stop.
pub fn apply(_store: &mut impl Write, _log_index: u64, _entry: &Unpacked) -> Result<Applied, StoreError> {
    unimplemented!()
}
