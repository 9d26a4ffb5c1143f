//! Process tests with real TCP: every server on a machine of its own, which is a network namespace, so that servers can be
//! killed, stopped and cut off from each other in every shape, while somebody on each machine writes without a pause.
//! In the end everything acknowledged must be on every server, once and in order.
//!
//! Needs root and the programs `ip` and `nft`; skipped, with a message, where namespaces are not to be had.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

mod clock;
mod cold;
mod cuts;
mod disk;
mod five;
mod guide;
#[path = "../harness/mod.rs"]
mod harness;
mod hosts;
mod kills;
mod network;
mod pauses;
mod scene;
