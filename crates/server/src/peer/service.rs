//! What this server does for the others: the peer protocol's server side.

use std::{collections::BTreeSet, future::Future, io, pin::Pin, sync::Arc, task, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use threefold_proto::peer::{
    self,
    admin_server::AdminServer,
    peer_server::{Peer as PeerProtocol, PeerServer},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, transport::server::Connected};

use super::{
    admin::AdminService,
    backup::Backups,
    channels::{Channels, Lane, MESSAGE_BYTES, WINDOW_BYTES, answered},
    death::DeathStreams,
    forward, link,
};
use crate::{
    ambient,
    net::{Caller, PeerListener, PeerStream, gathered::Gathered},
    node::{Hub, Node, presence::Presence},
    raft::{
        Admission, Engine, EngineError,
        network::INCARNATION_HEADER,
        proposer::{Proposal, Proposer, Share, fits},
        types::{member_from_wire, member_to_wire},
    },
    storage::{ReceivedState, StateStore},
};

/// A handshake that takes longer is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// Handshakes under way at once; a flood of connections waits here and disturbs nobody. Many, for silent strangers hold
/// their places until the deadline and must not keep a returning server out.
const HANDSHAKES: usize = 1024;
/// Replies queued into a forward stream.
const REPLIES: usize = 64;
/// A request to join is passed on at most this often.
const JOIN_HOPS: u32 = 2;

/// The service and what it works with.
pub struct PeerService {
    /// Raft.
    pub engine: Arc<Engine>,
    /// The proposer, for forwarded commands.
    pub proposer: Proposer,
    /// Who is connected where.
    pub presence: Arc<Presence>,
    /// Who is told that somebody types.
    pub hub: Arc<Hub>,
    /// For passing on requests to join.
    pub channels: Arc<Channels>,
    /// Where received states go.
    pub state: Arc<dyn StateStore>,
    /// For the status.
    pub node: Node,
    /// Names of servers that are admitted when they ask.
    pub expected: BTreeSet<String>,
    /// How this server greets others.
    pub greeting: peer::Hello,
    /// One received state at a time.
    pub installing: Arc<Semaphore>,
}

fn unavailable(error: EngineError) -> Status {
    Status::unavailable(error.to_string())
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl PeerProtocol for PeerService {
    type AppendStream = Replies<peer::AppendReply>;
    type ForwardStream = ReceiverStream<Result<peer::ForwardReply, Status>>;
    type ForwardBulkStream = ReceiverStream<Result<peer::ForwardReply, Status>>;
    type LinkStream = Replies<peer::LinkMessage>;

    async fn append(
        &self,
        request: Request<Streaming<peer::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let requests = self.engine.cluster().accept(request)?.take_while(|request| std::future::ready(request.is_ok()));
        let requests = requests.filter_map(|request| std::future::ready(request.ok()));
        let replies = self.engine.append(requests).map(|reply| reply.map_err(unavailable));
        let mut response: Response<Self::AppendStream> = Response::new(Box::pin(replies));
        response.metadata_mut().insert(INCARNATION_HEADER, self.greeting.incarnation.into());
        Ok(response)
    }

    async fn vote(&self, request: Request<peer::VoteRequest>) -> Result<Response<peer::VoteReply>, Status> {
        self.engine.vote(self.engine.cluster().accept(request)?, false).await.map(Response::new).map_err(unavailable)
    }

    async fn pre_vote(&self, request: Request<peer::VoteRequest>) -> Result<Response<peer::VoteReply>, Status> {
        self.engine.vote(self.engine.cluster().accept(request)?, true).await.map(Response::new).map_err(unavailable)
    }

    async fn transfer_leader(
        &self,
        request: Request<peer::TransferLeaderRequest>,
    ) -> Result<Response<peer::TransferLeaderReply>, Status> {
        self.engine.transfer(self.engine.cluster().accept(request)?).await.map(Response::new).map_err(unavailable)
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<peer::SnapshotChunk>>,
    ) -> Result<Response<peer::SnapshotReply>, Status> {
        let chunks = self.engine.cluster().accept(request)?;
        let _one = self.installing.acquire().await.map_err(|_| Status::unavailable("stopping"))?;
        let (header, received) = receive_state(self.state.clone(), chunks).await?;
        self.engine.install(&header, received).await.map(Response::new).map_err(unavailable)
    }

    async fn forward(
        &self,
        request: Request<Streaming<peer::ForwardBatch>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        self.propose_all(request, Share::Messages)
    }

    async fn forward_bulk(
        &self,
        request: Request<Streaming<peer::ForwardBatch>>,
    ) -> Result<Response<Self::ForwardBulkStream>, Status> {
        self.propose_all(request, Share::Bulk)
    }

    async fn read_index(
        &self,
        request: Request<peer::ReadIndexRequest>,
    ) -> Result<Response<peer::ReadIndexReply>, Status> {
        self.engine.cluster().accept(request)?;
        let index = self.engine.read_index().await;
        Ok(Response::new(peer::ReadIndexReply { leader: index.is_some(), index: index.unwrap_or(0) }))
    }

    async fn charge(&self, request: Request<peer::ChargeRequest>) -> Result<Response<peer::ChargeReply>, Status> {
        let request = self.engine.cluster().accept(request)?;
        if *self.engine.leader().borrow() != Some(self.engine.id()) {
            return Ok(Response::new(peer::ChargeReply::default()));
        }
        Ok(Response::new(self.node.answer_charges(request)))
    }

    async fn link(&self, request: Request<Streaming<peer::LinkMessage>>) -> Result<Response<Self::LinkStream>, Status> {
        let (presence, hub, engine) = (self.presence.clone(), self.hub.clone(), self.engine.clone());
        let messages = request.into_inner();
        tokio::spawn(async move { link::listen(&presence, &hub, &engine, messages).await });
        // After the greeting nothing more is said in this direction; the stream's end says it all.
        let greeting = futures::stream::once(std::future::ready(Ok(link::greeting(&self.greeting))));
        Ok(Response::new(Box::pin(greeting.chain(futures::stream::pending()))))
    }

    async fn join(&self, request: Request<peer::JoinRequest>) -> Result<Response<peer::JoinReply>, Status> {
        let authenticated = request.extensions().get::<Caller>().cloned();
        let request = request.into_inner();
        let node = request.node.clone().ok_or_else(|| Status::invalid_argument("no server named"))?;
        // A member that passes the request on vouches for the name; the server itself must bear it.
        if request.hops == 0 && !authenticated.is_some_and(|caller| caller.bears_name(&node.name)) {
            return Err(Status::permission_denied(format!("the certificate is not for the name {}", node.name)));
        }
        Ok(Response::new(self.admit(request, node).await))
    }

    async fn status(&self, _request: Request<peer::PeerStatusRequest>) -> Result<Response<peer::PeerStatus>, Status> {
        let server_status = self.node.local_status().encode_to_vec().into();
        let incarnation = self.greeting.incarnation;
        let initialized = self.engine.is_initialized().await;
        Ok(Response::new(peer::PeerStatus { server_status, incarnation, initialized, ..self.engine.vote_status() }))
    }
}

impl PeerService {
    /// Proposes what comes over a stream, each batch in its turn, and answers each.
    fn propose_all(
        &self,
        request: Request<Streaming<peer::ForwardBatch>>,
        share: Share,
    ) -> Result<Response<ReceiverStream<Result<peer::ForwardReply, Status>>>, Status> {
        let mut batches = self.engine.cluster().accept(request)?;
        let proposer = self.proposer.clone();
        let (replies, outgoing) = mpsc::channel(REPLIES);
        tokio::spawn(async move {
            while let Ok(Some(peer::ForwardBatch { sequence, commands })) = batches.message().await {
                let replies = replies.clone();
                let answer = Box::new(move |outcome| {
                    // The channel has room for every batch the router has out; if the stream is gone, so is who asked.
                    let _ = replies.try_send(Ok(forward::encode(sequence, outcome)));
                });
                if let Some(why) = poison(&commands) {
                    tracing::error!("refused what a peer forwarded: {why}");
                    answer(None);
                } else {
                    proposer.propose(Proposal { commands, answer }, share).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn admit(&self, request: peer::JoinRequest, node: peer::Node) -> peer::JoinReply {
        use peer::join_reply::State;
        let peers = self.engine.overview().peers;
        let members = peers.iter().map(|peer| member_to_wire(&peer.member)).collect::<Vec<_>>();
        let reply =
            |state: State, detail: String| peer::JoinReply { state: state.into(), detail, members: members.clone() };
        let cluster = self.engine.cluster();
        let known = peers.iter().any(|peer| peer.member.name == node.name || peer.id == request.node_id);
        if !known && request.hops == 0 && cluster.has_removed(&node.name) {
            return reply(State::Removed, removed(&node.name));
        }
        let expected = known || self.expected.contains(&node.name) || cluster.invites(&node.name);
        if !expected && request.hops == 0 {
            let peer::Node { name, peer_address, .. } = node;
            let detail = format!(
                "{name} is not among the configured peers; an operator must admit it: `threefold join {name} {peer_address}`"
            );
            return reply(State::Refused, detail);
        }
        if cluster.recovery_id().is_empty() {
            return reply(State::Pending, "the cluster is not founded yet".to_owned());
        }
        if cluster.has_replaced(&request.recovery_id) {
            let detail = "the cluster was recovered or restored without this server, and its history was replaced: started with an empty \
                          directory, it joins as new; what only this server has is gone then, so first be certain that nobody needs it";
            return reply(State::Replaced, detail.to_owned());
        }
        if !cluster.may_share_history(&request.recovery_id) {
            let detail = "this server holds the history of another cluster: start it with an empty directory";
            return reply(State::Refused, detail.to_owned());
        }
        let name = node.name.clone();
        match self.engine.admit(request.node_id, member_from_wire(node)).await {
            Admission::Admitted => reply(State::Admitted, String::new()),
            Admission::Pending => reply(State::Pending, "being admitted".to_owned()),
            Admission::Refused(why) => reply(State::Refused, why),
            Admission::Removed => reply(State::Removed, removed(&name)),
            Admission::NotLeader(Some(leader)) if request.hops < JOIN_HOPS => {
                let onward = peer::JoinRequest { hops: request.hops + 1, ..request };
                let mut client = self.channels.client(&leader, Lane::Control);
                match answered(client.join(onward)).await {
                    Ok(answer) => answer,
                    Err(status) => reply(State::Pending, format!("the leader does not answer: {status}")),
                }
            }
            Admission::NotLeader(_) => reply(State::Pending, "nobody leads just now".to_owned()),
        }
    }
}

fn removed(name: &str) -> String {
    format!("an operator has removed {name} from the cluster; `threefold join` lets it in again")
}

/// Why a forwarded batch must not reach the log, if so: every server that cannot apply an entry stops at it.
fn poison(commands: &[Bytes]) -> Option<&'static str> {
    if !fits(commands) {
        return Some("no commands, or more than an entry holds");
    }
    let unknown = commands.iter().any(|command| threefold_core::entry::decode_command(command).is_err());
    unknown.then_some("a command that this version does not know")
}

/// Receives a whole state into a place beside the present one.
async fn receive_state(
    state: Arc<dyn StateStore>,
    mut chunks: Streaming<peer::SnapshotChunk>,
) -> Result<(peer::SnapshotHeader, ReceivedState), Status> {
    let io_error = |error: io::Error| Status::internal(error.to_string());
    let begun = ambient::blocking(move || state.begin_install()).await;
    let mut install = begun.and_then(|begun| begun).map_err(io_error)?;
    let (mut header, mut received) = (None, 0);
    while let Some(chunk) = chunks.message().await? {
        header = header.or(chunk.header);
        received += chunk.records.len() as u64;
        let records = chunk.records.into_iter().map(|record| (record.key, record.value)).collect::<Vec<_>>();
        let written = ambient::blocking(move || install.write(&records).map(|()| install)).await;
        install = written.and_then(|written| written).map_err(io_error)?;
        let Some(total) = chunk.total else { continue };
        let header = header.ok_or_else(|| Status::invalid_argument("a state without a header"))?;
        if header.version != 1 || total != received {
            return Err(Status::invalid_argument("a state of another version, or torn"));
        }
        let finished = ambient::blocking(move || install.finish()).await;
        return finished.and_then(|finished| finished).map(|state| (header, state)).map_err(io_error);
    }
    Err(Status::cancelled("the state ended before its last chunk"))
}

/// A connection from another server, as tonic takes it.
struct Incoming<S>(Gathered<S>);

impl<S: PeerStream> Connected for Incoming<S> {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.0.get_ref().caller()
    }
}

impl<S: PeerStream> AsyncRead for Incoming<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: PeerStream> AsyncWrite for Incoming<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, buf: &[u8]) -> task::Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> task::Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Serves the peer protocol until `shutdown`.
///
/// # Errors
/// When the server cannot go on.
pub async fn serve(
    listener: impl PeerListener,
    service: PeerService,
    deaths: Arc<DeathStreams>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (streams, incoming) = mpsc::channel(HANDSHAKES);
    let accepting = tokio::spawn(accept(listener, streams, deaths));
    let backups = Backups::new(service.node.clone(), service.state.clone(), service.greeting.name.clone());
    let (engine, channels) = (service.engine.clone(), service.channels.clone());
    let admin = AdminServer::new(AdminService { engine, channels, backups }).max_encoding_message_size(MESSAGE_BYTES);
    let service =
        PeerServer::new(service).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES);
    let served = tonic::transport::Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keepalive_interval(Some(Duration::from_secs(1)))
        .http2_keepalive_timeout(Some(Duration::from_secs(2)))
        .add_service(service)
        .add_service(admin)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), shutdown)
        .await;
    accepting.abort();
    served.map_err(io::Error::other)
}

/// Accepts connections; each handshake has a task and a deadline of its own.
async fn accept<L: PeerListener>(
    mut listener: L,
    streams: mpsc::Sender<io::Result<Incoming<L::Stream>>>,
    deaths: Arc<DeathStreams>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let handshake = match listener.accept().await {
            Ok(handshake) => handshake,
            Err(error) => {
                // Out of descriptors, most likely: those in use must end first.
                tracing::warn!(%error, "cannot accept a peer's connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (streams, deaths) = (streams.clone(), deaths.clone());
        tokio::spawn(async move {
            match timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(stream)) if stream.is_death_stream() => {
                    drop(permit);
                    return deaths.receive(stream).await;
                }
                Ok(Ok(stream)) => drop(streams.send(Ok(Incoming(Gathered::new(stream)))).await),
                Ok(Err(error)) => tracing::info!(%error, "refused a connection to the peer port"),
                Err(_) => tracing::info!("a connection to the peer port did not finish its handshake"),
            }
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use threefold_core::{
        Command, TokenHash,
        bounds::{COMMANDS_PER_ENTRY, ENTRY_BYTES},
        entry::encode_command,
    };

    use super::*;

    #[test]
    fn a_batch_that_would_stop_every_server_is_poison() {
        let command = encode_command(&Command::RenewSession { session: TokenHash([7; 32]) });
        assert_eq!(poison(&vec![command.clone(); COMMANDS_PER_ENTRY]), None);
        assert!(poison(&vec![command.clone(); COMMANDS_PER_ENTRY + 1]).is_some());
        assert!(poison(&[]).is_some());
        assert!(poison(&[command.clone(), Bytes::from_static(b"of a newer version")]).is_some());
        let large = encode_command(&Command::ChangePassword {
            session: TokenHash([7; 32]),
            credential_version: 1,
            password_hash: "x".repeat(ENTRY_BYTES / 2),
        });
        assert_eq!(poison(std::slice::from_ref(&large)), None);
        assert!(poison(&[large.clone(), large]).is_some());
    }
}
