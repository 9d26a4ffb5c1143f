//! openraft's network, over the peer protocol.
//!
//! Appends are pipelined on one bidirectional stream a follower; votes and heartbeats have a connection of
//! their own, so that they never wait behind data; a snapshot too.

use std::{future::Future, io, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _};
use openraft::{
    OptionalSend,
    base::{BoxFuture, BoxStream},
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
        TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
    },
    storage::Snapshot,
};
use threefold_proto::peer::{self, peer_client::PeerClient};
use threefold_rules::Mode;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::{
    cluster::Cluster,
    machine::SnapshotData,
    sending::Sending,
    survivor::Survivor,
    types::{
        CommittedLeader, Malformed, Member, RaftLogId, RaftVote, TypeConfig, entry_from_wire, entry_to_wire,
        log_id_from_wire, log_id_to_wire, stored_membership_to_wire, vote_from_wire, vote_to_wire,
    },
};
use crate::{
    ambient,
    peer::channels::{Channels, Lane},
    storage::StateSnapshot,
};

/// Bytes of records in one chunk of a snapshot.
const CHUNK_BYTES: usize = 512 * 1024;
/// Chunks read ahead of the network.
pub const CHUNKS_AHEAD: usize = 4;
/// How long a server that cannot be reached is left alone, at most: it may be back any moment.
const BACKOFF: Duration = Duration::from_millis(100);

/// After a failure to connect. Short: it delays the return of a server.
const RECONNECT: Duration = Duration::from_millis(50);

/// Makes the network of each other server.
pub struct NetworkFactory {
    channels: Arc<Channels>,
    cluster: Arc<Cluster>,
    survivor: Arc<Survivor>,
    visible: watch::Receiver<Option<RaftLogId>>,
}

impl NetworkFactory {
    /// Over these connections, within this cluster.
    pub fn new(
        channels: Arc<Channels>,
        cluster: Arc<Cluster>,
        survivor: Arc<Survivor>,
        visible: watch::Receiver<Option<RaftLogId>>,
    ) -> Self {
        Self { channels, cluster, survivor, visible }
    }

    fn network(&self, target: u64, node: &Member, lane: Lane) -> Network {
        Network {
            channels: self.channels.clone(),
            cluster: self.cluster.clone(),
            survivor: self.survivor.clone(),
            visible: self.visible.clone(),
            target,
            first_known: node.clone(),
            lane,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for NetworkFactory {
    type Network = Network;

    async fn new_client(&mut self, target: u64, node: &Member) -> Network {
        self.network(target, node, Lane::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Member) -> Network {
        self.network(target, node, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &Member) -> Network {
        self.network(target, node, Lane::Bulk)
    }
}

/// One other server.
pub struct Network {
    channels: Arc<Channels>,
    cluster: Arc<Cluster>,
    survivor: Arc<Survivor>,
    visible: watch::Receiver<Option<RaftLogId>>,
    target: u64,
    /// Where it was when this was made; openraft keeps this through changes of the address.
    first_known: Member,
    lane: Lane,
}

fn unreachable(error: impl std::fmt::Display) -> Unreachable<TypeConfig> {
    Unreachable::from_string(error)
}

fn rpc_error(error: impl std::fmt::Display) -> RPCError<TypeConfig> {
    RPCError::Unreachable(unreachable(error))
}

impl Network {
    fn client(&self, lane: Lane) -> PeerClient<Channel> {
        let member = self.channels.member(self.target);
        self.channels.client(member.as_ref().unwrap_or(&self.first_known), lane)
    }

    async fn vote_call(
        &self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
        pre_vote: bool,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let mut client = self.client(Lane::Control);
        // Decided anew for every request: the configuration may have changed since this server became a candidate.
        let mode = self.survivor.may_stand().ok_or_else(|| rpc_error("this server has no vote"))?;
        let wire = peer::VoteRequest {
            incarnation: self.survivor.own.incarnation.counter,
            cold: mode == Mode::Cold,
            ..vote_request_to_wire(&rpc)
        };
        let request = self.cluster.address(self.target, wire);
        let call = async {
            let reply = if pre_vote { client.pre_vote(request).await } else { client.vote(request).await };
            let reply = vote_reply_from_wire(reply.map_err(rpc_error)?.into_inner()).map_err(rpc_error)?;
            if reply.vote_granted {
                self.survivor.ballot_complete(mode, rpc.vote.leader_id.term, pre_vote, self.target).await;
            }
            Ok(reply)
        };
        tokio::time::timeout(option.hard_ttl(), call).await.map_err(rpc_error)?
    }
}

impl RaftNetworkV2<TypeConfig> for Network {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let input = Box::pin(futures::stream::once(async move { rpc }));
        let mut output = self.stream_append(input, option).await?;
        match output.next().await {
            Some(result) => result.map(Into::into),
            None => Err(rpc_error("the stream ended without an answer")),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>, RPCError<TypeConfig>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let mut client = self.client(self.lane);
        // Which process answers is known from the call's first answer, before any entry is sent.
        let (process, answers) = watch::channel(None);
        let (survivor, visible) = (self.survivor.clone(), self.visible.clone());
        let told = matches!(self.lane, Lane::Append).then(|| survivor.told.clone());
        let requests = Sending { survivor, target: self.target, answers, visible, told }.of(input);
        let requests = self.cluster.address(self.target, requests);
        Box::pin(async move {
            let call = tokio::time::timeout(option.soft_ttl().max(Duration::from_millis(500)), client.append(requests));
            let replies = match call.await.map_err(rpc_error).and_then(|reply| reply.map_err(rpc_error)) {
                Ok(replies) => {
                    process.send_replace(Some(incarnation_of(replies.metadata())));
                    replies.into_inner()
                }
                Err(error) => {
                    // openraft waits its backoff when it hands out a request; a connection that is refused before that
                    // would be tried again at once, for ever.
                    tokio::time::sleep(RECONNECT).await;
                    return Err(error);
                }
            };
            let results = replies.map(|reply| append_reply_from_wire(reply.map_err(rpc_error)?).map_err(rpc_error));
            Ok(Box::pin(results) as BoxStream<'s, _>)
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.vote_call(rpc, option, false).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.vote_call(rpc, option, true).await
    }

    async fn full_snapshot(
        &mut self,
        vote: RaftVote,
        snapshot: Snapshot<CommittedLeader, u64, Member, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let SnapshotData::Live(view) = snapshot.snapshot else {
            return Err(StreamingError::Unreachable(unreachable("only a live state can be sent")));
        };
        let header = peer::SnapshotHeader {
            version: 1,
            vote: Some(vote_to_wire(&vote)),
            last_log_id: snapshot.meta.last_log_id.as_ref().map(log_id_to_wire),
            last_membership: Some(stored_membership_to_wire(&snapshot.meta.last_membership)),
        };
        tracing::info!(to = %self.first_known.name, last_log_id = ?snapshot.meta.last_log_id, "sending the whole state");
        let (chunks, outgoing) = mpsc::channel(CHUNKS_AHEAD);
        let reader = tokio::spawn(send_chunks(view.into(), Some(header), chunks));
        let mut client = self.client(Lane::Bulk);
        // Dropping the call ends the stream without its last chunk, and so the receiver's install.
        let reply = tokio::select! {
            biased;
            reply = client.install_snapshot(self.cluster.address(self.target, ReceiverStream::new(outgoing))) => reply,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        if let Ok(Err(error)) = reader.await {
            return Err(StreamingError::Unreachable(unreachable(error)));
        }
        let reply = reply.map_err(|error| StreamingError::Unreachable(unreachable(error)))?.into_inner();
        let vote = vote_from_wire(reply.vote).map_err(|error| StreamingError::Unreachable(unreachable(error)))?;
        Ok(SnapshotResponse { vote })
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let wire = peer::TransferLeaderRequest {
            from_leader: Some(vote_to_wire(request.from_leader())),
            to_node_id: *request.to_node_id(),
            last_log_id: request.last_log_id().map(log_id_to_wire),
        };
        let mut client = self.client(Lane::Control);
        let call =
            tokio::time::timeout(option.hard_ttl(), client.transfer_leader(self.cluster.address(self.target, wire)));
        let reply = call.await.map_err(rpc_error)?.map_err(rpc_error)?.into_inner();
        if reply.refused.is_empty() { Ok(Ok(())) } else { Err(rpc_error(reply.refused)) }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(BACKOFF)))
    }
}

/// Tells, in the answer to an append, which incarnation takes it.
pub const INCARNATION_HEADER: &str = "threefold-incarnation";

fn incarnation_of(metadata: &tonic::metadata::MetadataMap) -> Option<u64> {
    metadata.get(INCARNATION_HEADER)?.to_str().ok()?.parse().ok()
}

/// Sends the header, if there is one, and every record; the last chunk tells the total.
///
/// # Errors
/// When the state cannot be read. That nobody takes the chunks any more is none.
pub async fn send_chunks(
    view: Arc<dyn StateSnapshot>,
    mut header: Option<peer::SnapshotHeader>,
    chunks: mpsc::Sender<peer::SnapshotChunk>,
) -> io::Result<()> {
    let mut after: Option<bytes::Bytes> = None;
    let mut sent = 0;
    loop {
        let (store, key) = (view.clone(), after.clone());
        let read = ambient::blocking(move || store.chunk(key.as_deref(), CHUNK_BYTES)).await?;
        let records = read.map_err(io::Error::other)?;
        let end = records.is_empty();
        sent += records.len() as u64;
        after = records.last().map(|(key, _)| key.clone()).or(after);
        let chunk = peer::SnapshotChunk {
            header: header.take(),
            records: records.into_iter().map(|(key, value)| peer::KeyValue { key, value }).collect(),
            total: end.then_some(sent),
        };
        // The call has ended: there is nobody to read on for.
        if chunks.send(chunk).await.is_err() || end {
            return Ok(());
        }
    }
}

/// An append as protobuf.
pub fn append_to_wire(request: &AppendEntriesRequest<TypeConfig>, visible: Option<RaftLogId>) -> peer::AppendRequest {
    peer::AppendRequest {
        vote: Some(vote_to_wire(&request.vote)),
        prev_log_id: request.prev_log_id.as_ref().map(log_id_to_wire),
        entries: request.entries.iter().map(entry_to_wire).collect(),
        leader_commit: request.leader_commit.as_ref().map(log_id_to_wire),
        visible: visible.as_ref().map(log_id_to_wire),
    }
}

/// An append from protobuf.
pub fn append_from_wire(request: peer::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, Malformed> {
    Ok(AppendEntriesRequest {
        vote: vote_from_wire(request.vote)?,
        prev_log_id: request.prev_log_id.map(log_id_from_wire),
        entries: request.entries.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?,
        leader_commit: request.leader_commit.map(log_id_from_wire),
    })
}

/// The answer to an append as protobuf.
pub fn append_reply_to_wire(result: StreamAppendResult<TypeConfig>) -> peer::AppendReply {
    use peer::append_reply::Result as Wire;
    let wire = match result {
        Ok(matched) => Wire::Matched(peer::Matched { log_id: matched.as_ref().map(log_id_to_wire) }),
        Err(StreamAppendError::Conflict(log_id)) => Wire::Conflict(log_id_to_wire(&log_id)),
        Err(StreamAppendError::HigherVote(vote)) => Wire::HigherVote(vote_to_wire(&vote)),
    };
    peer::AppendReply { result: Some(wire) }
}

fn append_reply_from_wire(reply: peer::AppendReply) -> Result<StreamAppendResult<TypeConfig>, Malformed> {
    use peer::append_reply::Result as Wire;
    Ok(match reply.result.ok_or(Malformed("append reply"))? {
        Wire::Matched(matched) => Ok(matched.log_id.map(log_id_from_wire)),
        Wire::Conflict(log_id) => Err(StreamAppendError::Conflict(log_id_from_wire(log_id))),
        Wire::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_from_wire(Some(vote))?)),
    })
}

fn vote_request_to_wire(request: &VoteRequest<TypeConfig>) -> peer::VoteRequest {
    peer::VoteRequest {
        vote: Some(vote_to_wire(&request.vote)),
        last_log_id: request.last_log_id.as_ref().map(log_id_to_wire),
        leadership_transfer: request.leadership_transfer,
        incarnation: 0,
        cold: false,
    }
}

/// A vote request from protobuf.
pub fn vote_request_from_wire(request: peer::VoteRequest) -> Result<VoteRequest<TypeConfig>, Malformed> {
    Ok(VoteRequest {
        vote: vote_from_wire(request.vote)?,
        last_log_id: request.last_log_id.map(log_id_from_wire),
        leadership_transfer: request.leadership_transfer,
    })
}

/// The answer to a vote request as protobuf.
pub fn vote_reply_to_wire(response: &VoteResponse<TypeConfig>) -> peer::VoteReply {
    peer::VoteReply {
        vote: Some(vote_to_wire(&response.vote)),
        granted: response.vote_granted,
        last_log_id: response.last_log_id.as_ref().map(log_id_to_wire),
    }
}

fn vote_reply_from_wire(reply: peer::VoteReply) -> Result<VoteResponse<TypeConfig>, Malformed> {
    Ok(VoteResponse {
        vote: vote_from_wire(reply.vote)?,
        vote_granted: reply.granted,
        last_log_id: reply.last_log_id.map(log_id_from_wire),
    })
}

/// A request to take over leadership from protobuf.
pub fn transfer_from_wire(
    request: peer::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, Malformed> {
    Ok(TransferLeaderRequest::new(
        vote_from_wire(request.from_leader)?,
        request.to_node_id,
        request.last_log_id.map(log_id_from_wire),
    ))
}

/// What a snapshot's header says.
pub fn snapshot_meta(
    header: &peer::SnapshotHeader,
) -> Result<openraft::storage::SnapshotMeta<CommittedLeader, u64, Member>, Malformed> {
    let last_membership = header.last_membership.clone().ok_or(Malformed("snapshot without a configuration"))?;
    Ok(openraft::storage::SnapshotMeta {
        last_log_id: header.last_log_id.map(log_id_from_wire),
        last_membership: super::types::stored_membership_from_wire(last_membership)?,
    })
}

/// The log id of a status message.
pub fn last_log_id(log_id: Option<peer::LogId>) -> Option<RaftLogId> {
    log_id.map(log_id_from_wire)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::PeerTls,
        peer::{certs, tls::Identity},
        raft::log::LogWatch,
    };

    #[tokio::test]
    async fn a_follower_that_refuses_is_not_tried_again_at_once() {
        let directory = tempfile::tempdir().unwrap();
        certs::create_authority(directory.path()).unwrap();
        certs::issue(directory.path(), directory.path(), "server-1", &[]).unwrap();
        let (certificate, key) = certs::server_files(directory.path(), "server-1");
        let files = PeerTls { ca: directory.path().join("authority.pem"), certificate, key };
        let channels = Arc::new(Channels::new(Arc::new(Identity::load(&files).unwrap())));
        let cluster = Arc::new(Cluster::new(1, Arc::new(crate::storage::memory::MemoryState::default())));
        let log_watch = LogWatch { configurations: Arc::default(), announcer: Arc::default() };
        let survivor = Arc::new(Survivor::new(1, 1, log_watch, Arc::default()));
        let mut factory = NetworkFactory::new(channels, cluster, survivor, watch::channel(None).1);
        // Nobody listens there.
        let member = Member::at("server-2", "127.0.0.1:1", "");
        let mut network = factory.new_client(2, &member).await;
        let began = tokio::time::Instant::now();
        let requests = futures::stream::pending::<AppendEntriesRequest<TypeConfig>>();
        let result = RaftNetworkV2::stream_append(&mut network, requests, RPCOption::new(Duration::from_secs(5))).await;
        assert!(result.is_err());
        assert!(began.elapsed() >= RECONNECT, "openraft would call again without a pause");
    }
}
