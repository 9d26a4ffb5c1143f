//! Everything behind the `threefold` program: a thin layer over the server and the client library.
//!
//! A library so that the trial can start, kill and restart servers exactly as `threefold up` does. Nothing here knows
//! how a server works inside or what a message is.

pub mod certs;
pub mod exit;
pub mod serve;
pub mod settings;
pub mod thumbnail;
pub mod tui;
pub mod up;
