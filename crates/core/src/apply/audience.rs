//! Who is told of what an entry did.

use crate::{
    event::Scope,
    ids::{AccountId, Position},
};

/// Somebody's view changed: wake those who follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Where a new event lies.
    pub scope: Scope,
    /// Its position.
    pub position: Position,
    /// Who may see it.
    pub audience: Audience,
}

/// Who may see an event. The members of a room are not listed, for there may be thousands: whoever wakes followers
/// knows which of them are in it, and is told here of every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// These.
    Accounts(Vec<AccountId>),
    /// The members of the room that the scope names.
    Members,
    /// The same, and from this event on this account is one of them.
    MembersWith(AccountId),
    /// The same, and after this event this account is none of them.
    MembersWithout(AccountId),
}
