//! The cluster's state, as far as one server can tell, in figures and in words.

use std::{sync::OnceLock, time::Duration};

use prost::Message as _;
use threefold_core::query;
use threefold_proto::{chat, peer};
use tokio::time::{Instant, timeout};

use super::Node;
use crate::{
    ambient,
    peer::channels::Lane,
    raft::{Peer, Role, survivor::condition::Condition},
};

fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| env!("CARGO_PKG_VERSION").to_owned())
}

impl Node {
    /// This server's own part of the status.
    pub fn local_status(&self) -> chat::ServerStatus {
        let overview = self.inner.engine.overview();
        let config = &self.inner.config;
        let measured = self.inner.meter.measured(Instant::now());
        let is_leader = overview.role == Role::Leader;
        let micros = |took: Duration| if is_leader { took.as_micros() as u64 } else { 0 };
        chat::ServerStatus {
            id: self.inner.engine.id(),
            name: config.name.clone(),
            client_address: config.client_address.clone(),
            peer_address: config.peer_address.clone(),
            chat_address: config.chat_address.clone(),
            pid: ambient::process_id(),
            role: overview.role.word().to_owned(),
            term: overview.term,
            last_index: overview.last_index,
            committed_index: overview.committed_index,
            applied_index: overview.applied_index,
            visible_index: overview.visible_index,
            snapshot_index: overview.snapshot_index,
            purged_index: overview.purged_index,
            clients: self.inner.presence.connections() as u32,
            uptime_ms: self.inner.started.elapsed().as_millis() as u64,
            version: version().to_owned(),
            leader: overview.leader.unwrap_or(0),
            voter: overview.peers.iter().any(|peer| peer.id == self.inner.engine.id() && peer.voter),
            in_sync: self.inner.engine.is_in_sync(),
            incarnation: self.inner.engine.survivor().own.incarnation.counter,
            commands: measured.commands,
            commit_latency_us: micros(measured.median),
            commit_latency_p99_us: micros(measured.slowest),
            search_index: self.inner.search.as_ref().map_or(0, |search| search.indexed_up_to().log_index()),
        }
    }

    /// No account was ever made in the cluster, as far as this server knows. (One that holds no cluster's history yet knows of nobody, and
    /// does not say so.)
    pub fn is_empty(&self) -> bool {
        !self.recovery_id().is_empty() && !self.read(query::any_account)
    }

    /// The cluster's state; asks the other servers, each for at most `patience`.
    pub async fn status(&self, patience: Duration) -> chat::ClusterStatus {
        let overview = self.inner.engine.overview();
        let own = self.inner.engine.id();
        let others = overview.peers.iter().filter(|peer| peer.id != own);
        let mut servers = futures::future::join_all(others.map(|peer| self.ask(peer, patience))).await;
        servers.push(self.local_status());
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        let Condition { word, detail } = self.inner.engine.condition().borrow().clone();
        chat::ClusterStatus {
            state: word.word().to_owned(),
            detail,
            servers,
            recovery_id: self.recovery_id().into(),
            empty: self.is_empty(),
        }
    }

    async fn ask(&self, peer: &Peer, patience: Duration) -> chat::ServerStatus {
        let mut client = self.inner.channels.client(&peer.member, Lane::Control);
        let answer = timeout(patience, client.status(peer::PeerStatusRequest {})).await;
        let known = answer.ok().and_then(Result::ok).and_then(|reply| {
            let status = chat::ServerStatus::decode(reply.into_inner().server_status).ok()?;
            // A new server at the address of an old one is not that one.
            (status.id == peer.id).then_some(status)
        });
        known.unwrap_or_else(|| chat::ServerStatus {
            id: peer.id,
            name: peer.member.name.clone(),
            client_address: peer.member.client_address.clone(),
            peer_address: peer.member.peer_address.clone(),
            role: "down".to_owned(),
            voter: peer.voter,
            ..Default::default()
        })
    }
}
