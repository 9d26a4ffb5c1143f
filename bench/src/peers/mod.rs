//! Others, measured as Threefold is: three processes on this machine, the same sizes, writers and accounting.

pub mod etcd;
pub mod nats;
mod nats_protocol;
mod processes;
pub mod redis;
mod resp;
mod wire;

use std::time::Duration;

pub use processes::find;

/// A peer that has not answered by then never will.
const PATIENCE: Duration = Duration::from_secs(30);
/// Streams, subjects or key prefixes that writers spread over: as many as 512 senders have accounts.
const STREAMS: usize = 32;
