//! `chat` as people meet it, in terminals (of tmux), and the commands as scripts do: on three servers, which are killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

mod beginning;
mod chat;
mod documented;
mod documents;
mod fields;
#[path = "../harness/mod.rs"]
mod harness;
mod outbox;
mod progress;
mod scripts;
mod terminal;
mod up;
