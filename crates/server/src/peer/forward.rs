//! Commands on their way to the leader: a standing stream of batches; for chunks of attachments one of its own, on a connection
//! of its own, so that no message waits behind them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use threefold_core::Reply;
use threefold_proto::peer;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::channels::{Channels, Lane};
use crate::{
    node::router::Forward,
    raft::{
        Engine,
        proposer::{Answer, Proposal, Proposed, Share},
    },
};

/// Batches queued into the stream; the router bounds how many are without an answer.
const BATCHES: usize = 16;

/// Opens forward streams to other servers.
pub struct Forwarder {
    /// Knows their addresses.
    pub engine: Arc<Engine>,
    /// The connections.
    pub channels: Arc<Channels>,
    /// What is forwarded.
    pub share: Share,
}

impl Forward for Forwarder {
    fn open(&self, leader: u64) -> Option<mpsc::Sender<Proposal>> {
        let member = self.engine.others().into_iter().find(|peer| peer.id == leader)?.member;
        let lane = match self.share {
            Share::Messages => Lane::Forward,
            Share::Bulk => Lane::Chunks,
        };
        let client = self.channels.client(&member, lane);
        let (proposals, queue) = mpsc::channel(BATCHES);
        tokio::spawn(forward(client, self.engine.clone(), leader, queue, self.share));
        Some(proposals)
    }
}

/// Batches that were sent and have no answer. When the stream ends, each is answered with none.
#[derive(Clone, Default)]
struct Unanswered(Arc<Mutex<Option<BTreeMap<u64, Answer>>>>);

impl Unanswered {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(BTreeMap::new()))))
    }

    /// Keeps an answer until its batch is answered; gives it back when the stream has already ended.
    fn put(&self, sequence: u64, answer: Answer) -> Option<Answer> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(answers) => answers.insert(sequence, answer),
            None => Some(answer),
        }
    }

    fn take(&self, sequence: u64) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.remove(&sequence)
    }

    fn end(&self) {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        for answer in answers.into_iter().flat_map(BTreeMap::into_values) {
            answer(None);
        }
    }
}

async fn forward(
    mut client: peer::peer_client::PeerClient<tonic::transport::Channel>,
    engine: Arc<Engine>,
    leader: u64,
    mut queue: mpsc::Receiver<Proposal>,
    share: Share,
) {
    let unanswered = Unanswered::new();
    let (batches, outgoing) = mpsc::channel(BATCHES);
    let waiting = unanswered.clone();
    // Ends when the router lets go of the stream, or when the stream no longer takes batches.
    let sender = tokio::spawn(async move {
        let mut sequence = 0;
        while let Some(Proposal { commands, answer }) = queue.recv().await {
            sequence += 1;
            if let Some(answer) = waiting.put(sequence, answer) {
                answer(None);
                break;
            }
            if batches.send(peer::ForwardBatch { sequence, commands }).await.is_err() {
                break;
            }
        }
        queue.close();
        while let Some(proposal) = queue.recv().await {
            (proposal.answer)(None);
        }
    });
    let batches = engine.cluster().address(leader, ReceiverStream::new(outgoing));
    drop(engine);
    let replies = match share {
        Share::Messages => client.forward(batches).await,
        Share::Bulk => client.forward_bulk(batches).await,
    };
    match replies {
        Ok(replies) => {
            let mut replies = replies.into_inner();
            while let Ok(Some(reply)) = replies.message().await {
                let Some(answer) = unanswered.take(reply.sequence) else { break };
                answer(decode(reply));
            }
        }
        Err(status) => tracing::debug!(%status, "cannot forward to the leader"),
    }
    unanswered.end();
    sender.abort();
}

fn decode(reply: peer::ForwardReply) -> Option<Proposed> {
    if !reply.applied {
        return None;
    }
    let replies =
        reply.replies.iter().map(|reply| threefold_core::entry::decode_reply(reply)).collect::<Result<Vec<Reply>, _>>();
    match replies {
        Ok(replies) => Some(Proposed { log_index: reply.log_index, replies }),
        Err(error) => {
            tracing::error!(%error, "the leader's reply makes no sense");
            None
        }
    }
}

/// An outcome as it goes back over the stream.
pub fn encode(sequence: u64, outcome: Option<Proposed>) -> peer::ForwardReply {
    match outcome {
        Some(Proposed { log_index, replies }) => peer::ForwardReply {
            sequence,
            applied: true,
            log_index,
            replies: replies.iter().map(threefold_core::entry::encode_reply).collect(),
        },
        None => peer::ForwardReply { sequence, ..Default::default() },
    }
}
