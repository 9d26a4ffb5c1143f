//! What people do with each other and with their accounts, with the real program on three servers, and a server killed in
//! between. Every server is a process of its own on loopback; nothing is waited for by time alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

mod accounts;
mod attachments;
mod bots;
#[path = "../harness/mod.rs"]
mod harness;
mod limits;
mod messages;
mod pages;
mod permissions;
mod rooms;
mod tcp;
mod thumbnails;
mod together;
mod typing;
mod websocket;
