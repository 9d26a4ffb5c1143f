//! An operator's side of the peer protocol: gives an order to whichever server answers, until it is carried out.
//!
//! Promises: every order may be given again, so it is, until the deadline, while no server answers or nobody leads; a
//! refusal is final. Needs a certificate of the cluster's authority, any server's.

use std::{sync::Arc, time::Duration};

use threefold_proto::peer::{AdminReply, BackupChunk, BackupRequest, PeerStatusRequest, admin_reply::State};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Streaming};

use super::{
    admin::order_to_wire,
    channels::{Channels, Lane},
    tls::{Identity, TlsError},
};
use crate::{
    config::{PeerConfig, PeerTls},
    raft::{
        Order,
        network::last_log_id,
        types::{Member, RaftLogId},
    },
};

/// Between two rounds of asking.
const RETRY: Duration = Duration::from_millis(200);
/// A single server has this long for an order: longer than a change may take that waits for its turn.
const ATTEMPT: Duration = Duration::from_secs(30);

/// Gives orders to a cluster.
pub struct Operator {
    channels: Channels,
    servers: Vec<PeerConfig>,
}

/// What became of an order: how the cluster is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// A sentence for people.
    pub detail: String,
    /// The members of the cluster, by name.
    pub members: Vec<AdminMember>,
    /// The switch of survivor mode.
    pub survivor_mode: bool,
}

/// A member of the cluster, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminMember {
    /// Its node id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Where servers reach it.
    pub peer_address: String,
    /// Where clients reach it.
    pub client_address: String,
    /// It has a vote; else it is catching up.
    pub voter: bool,
    /// It leads.
    pub leader: bool,
}

/// Why an order was not carried out: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// It makes no sense, or would do harm; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// No server could carry it out in time.
    #[error("{0}")]
    Unavailable(String),
}

/// What a running server says of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The term it votes in.
    pub term: u64,
    /// The last entry on its disk.
    pub last: Option<RaftLogId>,
    /// It is, or was, part of a cluster.
    pub is_initialized: bool,
}

impl LogEnd {
    /// Whether it has nothing, and never had. The end of its log alone does not tell: right after a vote it gives none.
    #[must_use]
    pub fn is_of_nothing(&self) -> bool {
        !self.is_initialized && self.last.is_none() && self.term == 0
    }

    /// The last entry on its disk: term and index.
    #[must_use]
    pub fn last(&self) -> Option<(u64, u64)> {
        self.last.map(|log_id| (log_id.leader_id.term, log_id.index))
    }
}

impl Operator {
    /// With the certificate of a server of the cluster, and the addresses of some.
    ///
    /// # Errors
    /// When a certificate cannot be used.
    pub fn new(files: &PeerTls, servers: Vec<PeerConfig>) -> Result<Self, TlsError> {
        Ok(Self { channels: Channels::new(Arc::new(Identity::load(files)?)), servers })
    }

    /// Gives an order, again and again for at most `patience`.
    ///
    /// # Errors
    /// When it is refused, or no server could carry it out in time.
    pub async fn order(&self, order: &Order, patience: Duration) -> Result<Answer, NotDone> {
        let give_up = Instant::now() + patience;
        let mut why = "no server to ask is known".to_owned();
        loop {
            for server in &self.servers {
                let left = give_up.saturating_duration_since(Instant::now());
                let call = timeout(left.min(ATTEMPT), self.ask(server, order)).await;
                match call.unwrap_or_else(|_| Err(format!("{} does not answer in time", server.name))) {
                    Ok(reply) => match reply.state() {
                        State::Done => return Ok(answer(reply)),
                        State::Refused => return Err(NotDone::Refused(reply.detail)),
                        State::Unavailable | State::Unspecified => why = reply.detail,
                    },
                    Err(error) => why = error,
                }
            }
            if Instant::now() + RETRY >= give_up {
                return Err(NotDone::Unavailable(why));
            }
            sleep(RETRY).await;
        }
    }

    /// The servers it asks.
    #[must_use]
    pub fn servers(&self) -> &[PeerConfig] {
        &self.servers
    }

    /// Asks a server for everything that it has.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) async fn backup(&self, server: &PeerConfig) -> Result<Streaming<BackupChunk>, String> {
        let member = Member::at(&server.name, &server.peer_address, "");
        let reply = self.channels.backup(&member).backup(BackupRequest {}).await;
        reply.map(tonic::Response::into_inner).map_err(|status| match status.code() {
            Code::Unimplemented => "it is of a version that gives no backups".to_owned(),
            _ => status.message().to_owned(),
        })
    }

    async fn ask(&self, server: &PeerConfig, order: &Order) -> Result<AdminReply, String> {
        let member = Member::at(&server.name, &server.peer_address, "");
        let reply = self.channels.admin(&member).change(order_to_wire(order)).await;
        reply.map(tonic::Response::into_inner).map_err(|status| format!("{}: {}", server.name, status.message()))
    }

    /// What a server says of its log, if it runs and answers within `patience`.
    pub async fn log_end(&self, server: &PeerConfig, patience: Duration) -> Option<LogEnd> {
        let member = Member::at(&server.name, &server.peer_address, "");
        let mut client = self.channels.client(&member, Lane::Control);
        let status = timeout(patience, client.status(PeerStatusRequest {})).await.ok()?.ok()?.into_inner();
        let (term, last) = (status.vote.map_or(0, |vote| vote.term), last_log_id(status.last_log_id));
        Some(LogEnd { term, last, is_initialized: status.initialized })
    }
}

fn answer(reply: AdminReply) -> Answer {
    let members = reply.members.into_iter().map(|member| AdminMember {
        id: member.id,
        name: member.name,
        peer_address: member.peer_address,
        client_address: member.client_address,
        voter: member.voter,
        leader: member.leader,
    });
    let mut members = members.collect::<Vec<_>>();
    members.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    Answer { detail: reply.detail, members, survivor_mode: reply.survivor_mode }
}
