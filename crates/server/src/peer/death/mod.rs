//! Death streams: how a server learns, for certain, that another one's process is dead.
//!
//! From each server to each other one runs a TCP connection on which only the sender speaks: every configuration before it
//! persists or acts on it, and from time to time that it lives. When a process dies its kernel ends the connection cleanly, after
//! everything that was written. That end *and* a new connection that is refused (or answered by a later run of the same
//! directory) are the proof. A living process never ends one cleanly: it resets it, and a reset, a timeout or any other
//! error proves nothing. Nor does a connection whose ends have other addresses than both sides think: something stands between
//! that could end it in a living server's name.

mod frame;
mod heard;
mod incoming;
mod outgoing;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use threefold_proto::peer;
use tokio::{sync::watch, task::JoinSet, time::sleep};

pub use heard::{Deaths, StreamId};
pub use outgoing::Announcer;

use super::channels::Channels;
use crate::{net::PeerNetwork, raft::Engine, storage::directory::Lineage};

/// The configuration is looked at this often for servers without a stream.
const MEMBERS: Duration = Duration::from_millis(100);

/// This server's death streams, in both directions.
pub struct DeathStreams {
    /// This server's Raft: its members and configurations.
    pub engine: Arc<Engine>,
    /// For the second sign.
    pub channels: Arc<Channels>,
    /// For the connections.
    pub network: Arc<dyn PeerNetwork>,
    /// Who this server is.
    pub greeting: peer::Hello,
    /// What is heard.
    pub deaths: Arc<Deaths>,
    /// What is said.
    pub announcer: Arc<Announcer>,
    /// What tells this process from one on a copy of its directory.
    lineage: Lineage,
    /// Another server that knows a later run of this server's directory.
    outdated: watch::Sender<Option<String>>,
}

impl DeathStreams {
    /// The streams of a server, none of which stands yet.
    pub fn new(
        engine: Arc<Engine>,
        channels: Arc<Channels>,
        network: Arc<dyn PeerNetwork>,
        greeting: peer::Hello,
        lineage: Lineage,
        (deaths, announcer): (Arc<Deaths>, Arc<Announcer>),
    ) -> Self {
        let outdated = watch::Sender::new(None);
        Self { engine, channels, network, greeting, deaths, announcer, lineage, outdated }
    }

    /// Waits until another server refuses this one since a later run of its directory is known there: this directory is an old
    /// copy. It lacks votes and messages that it once promised to keep, and must not be counted on. Gives that server's name.
    pub async fn outdated(&self) -> String {
        let mut outdated = self.outdated.subscribe();
        match outdated.wait_for(Option::is_some).await.ok().and_then(|name| name.clone()) {
            Some(name) => name,
            None => std::future::pending().await,
        }
    }

    /// Keeps a stream to every other member, and looks for deaths, for ever. Never dropped while the process lives to
    /// stop: the streams' clean end, by the kernel, is the other servers' proof.
    pub async fn run(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        let mut kept: BTreeSet<(u64, String)> = BTreeSet::new();
        tokio::spawn(self.clone().judge());
        loop {
            for peer in self.engine.others() {
                if kept.insert((peer.id, peer.member.peer_address.clone())) {
                    tasks.spawn(self.clone().keep(peer));
                }
            }
            tokio::select! {
                biased;
                () = sleep(MEMBERS) => {}
                Some(Ok(ended)) = tasks.join_next() => { kept.remove(&ended); }
            }
        }
    }
}
