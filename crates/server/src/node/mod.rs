//! The one door: every gateway submits, reads and follows here, and knows neither who leads nor how
//! anything is replicated or stored.

use std::{future::Future, time::Duration};

use threefold_core::{
    AccountId, Command, Event, Position, Reply,
    store::{Read, StoreError},
};
use threefold_proto::chat;
use tokio::time::Instant;

/// Nothing is known of the outcome; safe to retry with the same request id.
#[derive(Clone, Debug, thiserror::Error)]
#[error("unavailable: {0}")]
pub struct Unavailable(pub String);

/// A command's answer, once it is committed and visible.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The end of the log entry that holds it: what the client has now seen.
    pub position: Position,
    /// The answer.
    pub reply: Reply,
}

/// A server's door. Cheap to clone.
#[derive(Clone)]
pub struct Node {}

impl Node {
    /// Submits a command and waits for its answer, at most until `deadline`.
    pub async fn submit(&self, command: &Command, deadline: Instant) -> Result<Committed, Unavailable> {
        self.enqueue(command, deadline).await?.await
    }

    /// Puts a command in line; the answer comes by the returned future. Commands enqueued one after
    /// another are proposed in that order. Waits while the line is full.
    pub async fn enqueue(
        &self,
        _command: &Command,
        _deadline: Instant,
    ) -> Result<impl Future<Output = Result<Committed, Unavailable>> + Send + 'static, Unavailable> {
        Ok(async { Err(Unavailable(String::new())) })
    }

    /// Waits until this server's visible state includes `position`.
    pub async fn wait_for(&self, _position: Position, _deadline: Instant) -> Result<(), Unavailable> {
        unimplemented!()
    }

    /// Waits until this server's visible state includes everything acknowledged anywhere before this
    /// call (ReadIndex).
    pub async fn wait_consistent(&self, _deadline: Instant) -> Result<(), Unavailable> {
        unimplemented!()
    }

    /// Reads the visible state. A store that cannot be read stops the server.
    pub fn read<T>(&self, _query: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> T {
        unimplemented!()
    }

    /// How far the visible state is.
    pub fn position(&self) -> Position {
        unimplemented!()
    }

    /// The cluster's history: a cursor of another history is void. 16 bytes.
    pub fn recovery_id(&self) -> Vec<u8> {
        unimplemented!()
    }

    /// Everything `account` may see after `after`, for ever: what is there, then what comes.
    pub fn follow(&self, _account: AccountId, _after: Position) -> Follower {
        unimplemented!()
    }

    /// Marks one more connection of the account as present here, until the guard is dropped.
    pub fn arrive(&self, _account: AccountId) -> Present {
        unimplemented!()
    }

    /// Who is connected, anywhere in the cluster; sorted.
    pub fn online(&self) -> Vec<AccountId> {
        unimplemented!()
    }

    /// The client addresses of all servers.
    pub fn client_addresses(&self) -> Vec<String> {
        unimplemented!()
    }

    /// The cluster's state; asks the other servers, each for at most `patience`.
    pub async fn status(&self, _patience: Duration) -> chat::ClusterStatus {
        unimplemented!()
    }

    /// This server's own part of the status.
    pub fn local_status(&self) -> chat::ServerStatus {
        unimplemented!()
    }
}

/// A reader's place in everything it may see.
pub struct Follower {}

/// Some events in order, and how far they reach.
#[derive(Debug, Default)]
pub struct Followed {
    /// In the order of their ids; may be empty.
    pub events: Vec<Event>,
    /// Everything the reader may see up to here has been given.
    pub up_to: Position,
}

impl Follower {
    /// Waits for the next events. Cancel safe.
    pub async fn next(&mut self) -> Followed {
        unimplemented!()
    }
}

/// While this lives, its account is shown as online.
pub struct Present {}
