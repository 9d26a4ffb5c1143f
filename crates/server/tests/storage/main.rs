//! The storage of one server: the contracts of the log and the state, on disk and in memory, and what survives crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod directory;
mod log;
mod state;
