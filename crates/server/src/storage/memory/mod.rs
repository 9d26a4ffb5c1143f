//! A log and a state in memory, for tests and simulation: disks that can lose power.
//!
//! Both keep what is durable apart from what is not, and [`MemoryLog::crash`] and [`MemoryState::crash`] give what a
//! restart would find. Handles are cheap to clone and share one store, so a test keeps one while the server has another.
//! Leaves out: slowness and torn writes; a write here is durable as a whole or not at all.

mod log;
mod state;

pub use log::MemoryLog;
pub use state::MemoryState;
