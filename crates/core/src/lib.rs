//! The chat's domain: commands in, replies and events out, by a deterministic [`apply()`].
//!
//! No input or output, no clock, no randomness, no async: the same log gives the same state on every
//! server. What is missing here on purpose: passwords are verified, tokens made and time read by the
//! server, before a command is proposed.

pub mod apply;
pub mod backup;
pub mod bounds;
pub mod changes;
pub mod command;
pub mod content;
pub mod entry;
pub mod event;
mod hidden;
pub mod ids;
pub mod key;
mod mention;
pub mod query;
mod record;
pub mod reply;
mod scan;
pub mod store;
pub mod stored;
pub mod text;
mod visible;

pub use apply::apply;
pub use command::{AdministratorAction, BotAction, Command, DeleteScope, Operation, Recipient, Role};
pub use content::ContentHash;
pub use event::{Attached, Edited, Event, EventBody, Scope};
pub use ids::{
    AccountId, AttachmentId, ConversationId, EventId, Position, RequestId, RequestName, SessionId, TokenHash,
};
pub use mention::MentionRule;
pub use reply::{Rejection, Reply};

// The tests' harness is shared with the scripts in `tests/`, which see the crate from outside.
#[cfg(test)]
extern crate self as threefold_core;
#[cfg(test)]
#[path = "../tests/world/mod.rs"]
mod world;
