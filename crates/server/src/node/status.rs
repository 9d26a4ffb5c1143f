//! The cluster's state, as far as one server can tell, in figures and in words.

use std::{sync::OnceLock, time::Duration};

use prost::Message as _;
use threefold_proto::{chat, peer};
use tokio::time::timeout;

use super::Node;
use crate::{
    peer::channels::Lane,
    raft::{Overview, Peer, Role},
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
        chat::ServerStatus {
            id: self.inner.engine.id(),
            name: config.name.clone(),
            client_address: config.client_address.clone(),
            peer_address: config.peer_address.clone(),
            pid: std::process::id(),
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
        }
    }

    /// The cluster's state; asks the other servers, each for at most `patience`.
    pub async fn status(&self, patience: Duration) -> chat::ClusterStatus {
        let overview = self.inner.engine.overview();
        let own = self.inner.engine.id();
        let others = overview.peers.iter().filter(|peer| peer.id != own);
        let mut servers = futures::future::join_all(others.map(|peer| self.ask(peer, patience))).await;
        servers.push(self.local_status());
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        let (state, detail) = match self.inner.engine.retired().borrow().clone() {
            Some(why) => ("removed".to_owned(), why),
            None => judge(&overview, &servers),
        };
        chat::ClusterStatus { state, detail, servers, recovery_id: self.recovery_id().into() }
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

/// The cluster's state in a word and a sentence.
fn judge(overview: &Overview, servers: &[chat::ServerStatus]) -> (String, String) {
    let voters = servers.iter().filter(|server| server.voter);
    let (up, down): (Vec<_>, Vec<_>) = voters.partition(|server| server.role != "down");
    let all = up.len() + down.len();
    let majority = all / 2 + 1;
    let names = down.iter().map(|server| server.name.as_str()).collect::<Vec<_>>().join(", ");
    let leads = overview.leader.is_some() && up.iter().any(|server| server.role == Role::Leader.word());
    let (state, detail) = if up.len() < majority {
        (
            "unavailable",
            format!("{} of {all} servers are down ({names}): a majority of {majority} is needed", down.len()),
        )
    } else if !leads {
        ("unavailable", "no leader is elected just now".to_owned())
    } else if !down.is_empty() {
        ("degraded", format!("{names} is down; the cluster can lose {} more", up.len() - majority))
    } else if all < 3 {
        ("degraded", format!("only {all} of the servers have joined yet"))
    } else {
        ("normal", format!("all {all} servers are up; the cluster can lose {}", up.len() - majority))
    };
    (state.to_owned(), detail)
}
