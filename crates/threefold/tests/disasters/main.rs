//! Disasters, with the real program: servers that are killed, emptied, filled up, misconfigured and shouted at, while
//! people chat. Every server is a process of its own on loopback; nothing is waited for by time alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

mod abuse;
mod backup;
mod commands;
mod crashes;
mod full_disk;
mod hangs;
#[path = "../harness/mod.rs"]
mod harness;
mod input;
mod losses;
mod membership;
mod recovery;
mod restoration;
mod search;
mod startup;
mod strangers;
mod up;
