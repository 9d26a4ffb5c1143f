//! The client library of Threefold: everything a program needs to talk with a cluster, over gRPC.
//!
//! * [`Client`]: single questions and changes (log in, history, who is online, status). Each is tried at
//!   one server after another until it succeeds, is refused, or its deadline passes.
//! * [`Writer`]: an outbox for messages, edits, reactions, read markers, deletions, and what is done with rooms. Each write
//!   is carried out exactly once and in order, through any failover, while its process lives.
//! * [`DiskOutbox`]: the same through the end of the process, too, however that comes.
//! * [`Subscription`]: every event after a cursor, exactly once and in order, through any failover.
//! * [`Client::upload`] and [`Client::download`]: files, which go on where they were after any failover.
//! * [`Session`]: what a device must remember to go on later, without logging in again.
//!
//! # A first message
//!
//! ```no_run
//! use threefold_client::{Client, Incoming, Options, parse_servers};
//!
//! # async fn example() -> Result<(), threefold_client::Error> {
//! let client = Client::new(Options::new(parse_servers("127.0.0.1:7400,7401,7402")?))?;
//! let session = client.log_in("alice", "correct horse battery", "my program").await?;
//! let client = client.with_session(session.clone())?;
//!
//! // Carried out once and in order, through any failover. The first await: it has its place in the outbox; the second: it is
//! // acknowledged, which means on the disks of a majority.
//! let sent = client.writer()?.send("bob", "Hello!").await?.await?;
//! println!("message {} in conversation {}", sent.id, sent.conversation);
//!
//! // What has happened since this device last looked, and then what happens: each event once, in order.
//! let mut subscription = client.subscribe(session.start(), false)?;
//! while let Some(incoming) = subscription.next().await {
//!     match incoming {
//!         // Store `event.id` with what you make of it: it is where to begin the next time.
//!         Incoming::Event(event) => println!("{event:?}"),
//!         Incoming::Ended(error) => return Err(error),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A subscription is a `futures::Stream` as well: `StreamExt` filters it and joins it with others.
//!
//! # TLS
//!
//! Addresses with `https://` are spoken to under TLS 1.2 or newer, and so are all servers that one of them tells of. Servers themselves speak
//! without TLS to clients: before each stands a proxy that takes it away. [`Options::certificate_authority`] holds the certificate of
//! the authority that signed theirs; there is no default, so that nobody is trusted by accident.
//!
//! # A file
//!
//! ```no_run
//! # async fn example(client: threefold_client::Client) -> Result<(), threefold_client::Error> {
//! let content: &[u8] = b"leaves";
//! let file = threefold_client::File { name: "tea.txt".into(), content_type: "text/plain".into(), bytes: 6 };
//! let uploaded = client.upload(file, content).await?;
//! client.writer()?.send_with("#tea", "what I have", 0, vec![uploaded.attachment]).await?.await?;
//! # Ok(())
//! # }
//! ```
//!
//! # A program that stays open
//!
//! ```no_run
//! # async fn example(client: threefold_client::Client) -> Result<(), threefold_client::Error> {
//! use std::time::Duration;
//!
//! // Keeps what was written until a server takes it, and meanwhile shows it as waiting.
//! let writer = client.writer()?.with_timeout(Duration::from_secs(24 * 3600));
//! let receipt = writer.send("bob", "whenever you can").await?;
//! let mut conditions = client.condition();
//! let answered = tokio::spawn(receipt);
//! while !answered.is_finished() {
//!     if let Some(condition) = conditions.borrow_and_update().as_ref() {
//!         println!("the cluster is {}: {}", condition.state, condition.detail);
//!     }
//!     tokio::time::sleep(Duration::from_secs(1)).await;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # An outbox that outlives the program
//!
//! ```no_run
//! # async fn example(client: threefold_client::Client) -> Result<(), threefold_client::Error> {
//! use threefold_client::DiskOutbox;
//!
//! let session = client.session().expect("logged in");
//! // What an earlier run has left goes out first, under its old numbers: each write once, though that run was killed.
//! let outbox = DiskOutbox::open("outbox", &session)?;
//! let lines = ["one", "two", "three"];
//! let next = usize::try_from(outbox.accepted()).unwrap_or(usize::MAX);
//! let writer = client.writer_with(outbox)?;
//! for line in lines.iter().skip(next) {
//!     // On disk when this returns: what happens to the program from now on does not matter.
//!     writer.send("bob", *line).await?;
//! }
//! // Before the end, if one likes: everything is answered, and what came to nothing is told.
//! writer.settled().await?;
//! let failed = writer.failed().borrow().clone();
//! for failed in &failed {
//!     // Refused, or, with `Error::OutcomeUnknown`, perhaps sent.
//!     eprintln!("{:?} is not known to have been sent: {}", failed.text(), failed.error);
//! }
//! writer.told(&failed).await;
//! # Ok(())
//! # }
//! ```
//!
//! Left out on purpose: storing anything else (the program decides where its session and cursor live).

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

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
/// The most that a message's text may have, in bytes.
pub use threefold_core::bounds::BODY_BYTES as MESSAGE_BYTES;
/// The messages of the protocol, as replies and events carry them.
pub use threefold_proto::chat;
pub use token::Token;
pub use writer::{
    DiskOutbox, Failed, Fingerprint, Left, LeftBehind, LinkState, Receipt, RoomChanges, Statistics, To, Writer,
};
