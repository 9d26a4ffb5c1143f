//! Consensus: the only importer of openraft.
//!
//! The rest of the server proposes entries, asks who leads, and reads what was applied; it never meets
//! openraft's types. What is deliberately absent: lease reads (unsafe with the fast failover), a saved committed log
//! id, and any way to become leader without votes.

mod answers;
pub mod cluster;
mod engine;
pub mod executor;
mod housekeeping;
mod instance;
pub mod log;
pub mod machine;
mod membership;
pub mod meter;
pub mod network;
pub mod offline;
pub mod proposer;
mod recovery;
mod roll;
mod runtime;
mod sending;
#[cfg(test)]
mod suite;
pub mod survivor;
pub mod types;
pub mod visibility;

pub use engine::{Engine, EngineError, Overview, Parts, Peer, Role, position_of};
pub use membership::{
    Admission,
    operator::{Declined, Order},
};
