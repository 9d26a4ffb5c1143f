//! The safety decisions of survivor mode, as pure functions of plain values.
//!
//! Plain Raft decides who leads and what is committed. These functions decide the rest: what may be shown, who
//! may stand and vote, who is sent what, when a sole survivor may go on alone, and which change of the in-sync set comes
//! next. The server calls them, and so does the bounded model in `model/`: what is checked is what runs. The rules
//! are numbered as in `docs/replication.md`.
//!
//! What is promised: the same values give the same answer, and with survivor mode off or an empty in-sync set every
//! answer is plain Raft's. What is left out on purpose: Raft's own rules (terms, one vote a term, the comparison of logs, majorities
//! of grants), when to ask (timeouts, patience), and how facts are gathered (the proof of a death is the caller's to
//! establish; here it is an input). No input or output, no clock, no randomness, no async.

mod configuration;
mod election;
mod force;
mod hold_back;
mod identity;
mod in_sync;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
mod visible;

pub use configuration::{Configuration, Voters};
pub use election::{ColdStart, Mode, Refusal, VoteRequest, may_begin_cold, may_stand, may_vote, withheld_for};
pub use force::{Blocked, Will, forced_configuration, may_force, next_epoch};
pub use hold_back::{Sendable, hold_back};
pub use identity::{Incarnation, LogId, Member, ServerId};
pub use in_sync::{Change, LeaderView, PeerView, Proposal, next_in_sync};
pub use visible::visible_index;
