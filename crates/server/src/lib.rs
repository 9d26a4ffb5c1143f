//! One server of a Threefold cluster.
//!
//! `node` is the only door: gateways submit, read and follow there. `raft` alone knows openraft, `storage` alone
//! knows the database, `peer` is what servers say to each other. `search` keeps an index of words beside the state.

pub mod ambient;
pub mod backup;
pub mod clock;
pub mod config;
pub mod gateway;
pub mod net;
pub mod node;
pub mod parsing;
pub mod peer;
pub mod raft;
pub mod recover;
pub mod sabotage;
pub mod search;
mod server;
pub mod storage;

pub use server::{Ended, Environment, StartError, run, run_in};
