//! What other servers ask of this one's Raft: to take appends, to vote, to lead, to install a state.

use std::{
    pin::Pin,
    sync::{Arc, PoisonError},
};

use futures::{Stream, StreamExt as _};
use openraft::{raft::VoteResponse, storage::Snapshot};
use threefold_proto::peer;
use threefold_rules::Mode;
use tokio::time::Instant;

use super::{
    Engine, EngineError,
    machine::SnapshotData,
    network,
    types::{log_id_from_wire, vote_from_wire, vote_to_wire},
};
use crate::storage::ReceivedState;

impl Engine {
    /// Takes a stream of appends from the leader; answers in order.
    pub fn append(
        self: &Arc<Self>,
        requests: impl Stream<Item = peer::AppendRequest> + Send + 'static,
    ) -> impl Stream<Item = Result<peer::AppendReply, EngineError>> + Send + 'static {
        let engine = self.clone();
        let requests = requests.inspect(move |request| engine.note_leader(request));
        // A request that makes no sense ends the stream, and so the leader's patience with it.
        let requests = requests.map(network::append_from_wire).take_while(|request| {
            if let Err(error) = request {
                tracing::error!(%error, "a peer sent an append that makes no sense");
            }
            std::future::ready(request.is_ok())
        });
        let requests = requests.filter_map(|request| std::future::ready(request.ok()));
        let results: Pin<Box<dyn Stream<Item = _> + Send>> = Box::pin(self.raft().stream_append(requests));
        results.map(|result| result.map(network::append_reply_to_wire).map_err(|fatal| EngineError(fatal.to_string())))
    }

    /// Answers a request for a vote.
    ///
    /// # Errors
    /// When the request makes no sense or Raft has stopped.
    pub async fn vote(&self, request: peer::VoteRequest, pre_vote: bool) -> Result<peer::VoteReply, EngineError> {
        let (counter, is_cold) = (request.incarnation, request.cold);
        let request = network::vote_request_from_wire(request).map_err(|error| EngineError(error.to_string()))?;
        let (own_vote, last_log_id) = self.vote_and_last_log_id();
        let decision = self.survivor.may_vote(&request.vote, counter, is_cold, request.last_log_id, last_log_id);
        if let Err(refusal) = decision {
            tracing::debug!(candidate = request.vote.leader_id.voted_for, ?refusal, "no vote");
            return Ok(network::vote_reply_to_wire(&VoteResponse::new(own_vote, last_log_id, false)));
        }
        let raft = self.raft();
        let response = if pre_vote { raft.pre_vote(request).await } else { raft.vote(request).await };
        response.map(|response| network::vote_reply_to_wire(&response)).map_err(|error| EngineError(error.to_string()))
    }

    /// Answers the leader's wish to hand over.
    ///
    /// # Errors
    /// When the request makes no sense or Raft has stopped.
    pub async fn transfer(
        &self,
        request: peer::TransferLeaderRequest,
    ) -> Result<peer::TransferLeaderReply, EngineError> {
        let request = network::transfer_from_wire(request).map_err(|error| EngineError(error.to_string()))?;
        if *request.to_node_id() == self.id && self.survivor.may_stand() != Some(Mode::Normal) {
            return Ok(peer::TransferLeaderReply { refused: "not in sync: this server may not lead".to_owned() });
        }
        let answer =
            self.raft().handle_transfer_leader(request).await.map_err(|fatal| EngineError(fatal.to_string()))?;
        Ok(peer::TransferLeaderReply { refused: answer.err().map(|error| error.to_string()).unwrap_or_default() })
    }

    /// Installs a whole state received from the leader.
    ///
    /// # Errors
    /// When the header makes no sense or Raft has stopped.
    pub async fn install(
        &self,
        header: &peer::SnapshotHeader,
        received: ReceivedState,
    ) -> Result<peer::SnapshotReply, EngineError> {
        let vote = vote_from_wire(header.vote).map_err(|error| EngineError(error.to_string()))?;
        let meta = network::snapshot_meta(header).map_err(|error| EngineError(error.to_string()))?;
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(received) };
        let response = self.raft().install_full_snapshot(vote, snapshot).await;
        let response = response.map_err(|error| EngineError(error.to_string()))?;
        Ok(peer::SnapshotReply { vote: Some(vote_to_wire(&response.vote)) })
    }

    /// Notes what an append tells of its leader, before Raft takes it.
    fn note_leader(&self, request: &peer::AppendRequest) {
        *self.heard_leader_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.survivor.unstuck();
        if let Some(visible) = request.visible {
            self.raise(log_id_from_wire(visible));
        }
    }
}
