//! What a gateway needs of a server: to submit, read and follow. [`Node`] is the real thing; the
//! gateways' own tests stand a state in memory behind it, without consensus, disks or peers.

use std::time::Duration;

use threefold_core::{
    AccountId, Command, ConversationId, Position,
    store::{Read, StoreError},
};
use threefold_proto::chat;
use tokio::{sync::watch, time::Instant};

use crate::{
    node::{Committed, Condition, Followed, Follower, Node, Unavailable, limits::Key, typing::Notice},
    search::{Found, Wanted},
};

/// The one door, as gateways see it. Every obligation is told at [`Node`]'s method of the same name.
pub trait Door: Clone + Send + Sync + 'static {
    /// A reader's place in everything it may see.
    type Follower: Follow;
    /// While it lives, its account is shown as online.
    type Present: Send;

    /// Puts a command in line. Commands enqueued one after another are proposed in that order.
    fn enqueue(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> impl Future<Output = Result<impl Future<Output = Result<Committed, Unavailable>> + Send + 'static, Unavailable>>
    + Send;
    /// Submits a command and waits for its answer.
    fn submit(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> impl Future<Output = Result<Committed, Unavailable>> + Send;
    /// Submits a command about an attachment, behind all others' messages, and waits for its answer.
    fn submit_bulk(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> impl Future<Output = Result<Committed, Unavailable>> + Send;
    /// Waits until the visible state includes `position`.
    fn wait_for(&self, position: Position, deadline: Instant) -> impl Future<Output = Result<(), Unavailable>> + Send;
    /// Waits until the visible state includes everything acknowledged anywhere before.
    fn wait_consistent(&self, deadline: Instant) -> impl Future<Output = Result<(), Unavailable>> + Send;
    /// Counts a write of the account, or says how long to wait.
    fn count_write(&self, account: AccountId) -> Result<(), Duration>;
    /// Takes one of each of the cluster's buckets, or says how long to wait.
    fn take(
        &self,
        keys: &[Key],
        deadline: Instant,
    ) -> impl Future<Output = Result<Result<(), Duration>, Unavailable>> + Send;
    /// Puts back what was taken for nothing.
    fn give_back(&self, keys: Vec<Key>) -> impl Future<Output = ()> + Send;
    /// Reads the visible state.
    fn read<T>(&self, query: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> T;
    /// Searches in messages. Not for async code.
    fn search(&self, wanted: &Wanted) -> Found;
    /// How far the visible state is.
    fn position(&self) -> Position;
    /// The cluster's history.
    fn recovery_id(&self) -> Vec<u8>;
    /// Everything the account may see after `after`.
    fn follow(&self, account: AccountId, after: Position) -> Self::Follower;
    /// One more connection of the account.
    fn arrive(&self, account: AccountId) -> Self::Present;
    /// Who is connected, anywhere; sorted.
    fn online(&self) -> Vec<AccountId>;
    /// The client addresses of all servers.
    fn client_addresses(&self) -> Vec<String>;
    /// Whether it may be looked at that an account types, wherever it says so: not if it often was just now.
    fn begins_typing(&self, account: AccountId) -> bool;
    /// Tells those who should see it, at whichever server, that somebody types.
    fn tell_typing(&self, notice: Notice);
    /// Why this server is not a member of the cluster any more, if so; changes are seen.
    fn retired(&self) -> watch::Receiver<Option<String>>;
    /// The cluster's condition, as this server sees it; changes are seen.
    fn condition(&self) -> watch::Receiver<Condition>;
    /// The cluster's state.
    fn status(&self, patience: Duration) -> impl Future<Output = chat::ClusterStatus> + Send;
    /// This server's own part of it.
    fn local_status(&self) -> chat::ServerStatus;
}

/// Gives what a reader may see, in order.
pub trait Follow: Send + Sync {
    /// Waits for the next events. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Followed> + Send;
    /// Whether the reader is known to be in this room now.
    fn attends(&self, room: ConversationId) -> bool;
}

impl Follow for Follower {
    fn next(&mut self) -> impl Future<Output = Followed> + Send {
        Follower::next(self)
    }

    fn attends(&self, room: ConversationId) -> bool {
        Follower::attends(self, room)
    }
}

impl Door for Node {
    type Follower = Follower;
    type Present = crate::node::Present;

    fn enqueue(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> impl Future<Output = Result<impl Future<Output = Result<Committed, Unavailable>> + Send + 'static, Unavailable>>
    + Send {
        Node::enqueue(self, command, deadline)
    }

    fn submit(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> impl Future<Output = Result<Committed, Unavailable>> + Send {
        Node::submit(self, command, deadline)
    }

    fn submit_bulk(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> impl Future<Output = Result<Committed, Unavailable>> + Send {
        Node::submit_bulk(self, command, deadline)
    }

    fn wait_for(&self, position: Position, deadline: Instant) -> impl Future<Output = Result<(), Unavailable>> + Send {
        Node::wait_for(self, position, deadline)
    }

    fn wait_consistent(&self, deadline: Instant) -> impl Future<Output = Result<(), Unavailable>> + Send {
        Node::wait_consistent(self, deadline)
    }

    fn count_write(&self, account: AccountId) -> Result<(), Duration> {
        Node::count_write(self, account)
    }

    fn take(
        &self,
        keys: &[Key],
        deadline: Instant,
    ) -> impl Future<Output = Result<Result<(), Duration>, Unavailable>> + Send {
        Node::take(self, keys, deadline)
    }

    fn give_back(&self, keys: Vec<Key>) -> impl Future<Output = ()> + Send {
        Node::give_back(self, keys)
    }

    fn read<T>(&self, query: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> T {
        Node::read(self, query)
    }

    fn search(&self, wanted: &Wanted) -> Found {
        Node::search(self, wanted)
    }

    fn position(&self) -> Position {
        Node::position(self)
    }

    fn recovery_id(&self) -> Vec<u8> {
        Node::recovery_id(self)
    }

    fn follow(&self, account: AccountId, after: Position) -> Follower {
        Node::follow(self, account, after)
    }

    fn arrive(&self, account: AccountId) -> Self::Present {
        Node::arrive(self, account)
    }

    fn online(&self) -> Vec<AccountId> {
        Node::online(self)
    }

    fn begins_typing(&self, account: AccountId) -> bool {
        Node::begins_typing(self, account)
    }

    fn tell_typing(&self, notice: Notice) {
        Node::tell_typing(self, notice);
    }

    fn retired(&self) -> watch::Receiver<Option<String>> {
        Node::retired(self)
    }

    fn client_addresses(&self) -> Vec<String> {
        Node::client_addresses(self)
    }

    fn condition(&self) -> watch::Receiver<Condition> {
        Node::condition(self)
    }

    fn status(&self, patience: Duration) -> impl Future<Output = chat::ClusterStatus> + Send {
        Node::status(self, patience)
    }

    fn local_status(&self) -> chat::ServerStatus {
        Node::local_status(self)
    }
}
