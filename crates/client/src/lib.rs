//! The client library of Threefold: everything a program needs to talk with a cluster, over gRPC.
//!
//! * [`Client`]: single questions and changes (log in, history, who is online, status). Each is tried at
//!   one server after another until it succeeds, is refused, or its deadline passes.
//! * [`Writer`]: an outbox for messages, edits, reactions, read markers, deletions, and what is done with rooms. Each write
//!   is carried out exactly once and in order, through any failover, while its process lives.
//! * [`Subscription`]: every event after a cursor, exactly once and in order, through any failover.
//! * [`Client::upload`] and [`Client::download`]: files, which go on where they were after any failover.
//! * [`Session`]: what a device must remember to go on later, without logging in again.
//!
//! Left out on purpose: storing anything (the program decides where its session and cursor live), and an
//! outbox that outlives the process.

mod addresses;
mod attachments;
mod backoff;
mod client;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod options;
mod pool;
mod route;
mod servers;
mod session;
mod stream;
mod subscription;
mod token;
mod verdict;
mod writer;

pub use addresses::{DEFAULT_PORT, parse_servers};
pub use attachments::File;
pub use client::{Client, Page, Search};
pub use error::Error;
pub use options::{Connecting, Connector, DEFAULT_TIMEOUT, Options, Transport};
pub use session::{Cursor, Session};
pub use subscription::{Incoming, Subscription, TYPING_SHOWN, Typing};
/// The messages of the protocol, as replies and events carry them.
pub use threefold_proto::chat;
pub use token::Token;
pub use writer::{LinkState, Receipt, RoomChanges, Statistics, To, Writer};
