//! Connections to the other servers: one for each purpose, so that none waits behind another.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use threefold_proto::peer::{admin_client::AdminClient, peer_client::PeerClient};
use tokio::time::timeout;
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint, Uri},
};

use crate::{
    net::{PeerNetwork, gathered::Gathered},
    raft::types::Member,
};

/// A connection that takes longer than this to stand is no better than none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection on which a ping is not answered (interval plus timeout) is dead.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// See [`KEEP_ALIVE_INTERVAL`].
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// A question that another server answers out of its memory, or after one round among the servers, is answered within
/// this, or the server has stalled: the one who asks looks anew for whom to ask.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);
/// A message's greatest size: an append of 1 MiB plus one entry over it, with room.
pub const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// HTTP/2 windows: several appends in flight.
pub const WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Appended entries.
    Append,
    /// Heartbeats, votes, reads, status: small and urgent.
    Control,
    /// Commands on their way to the leader.
    Forward,
    /// Chunks of attachments on their way to the leader.
    Chunks,
    /// Whole states.
    Bulk,
}

/// Connections to all other servers, made when first used and again after they broke.
pub struct Channels {
    network: Arc<dyn PeerNetwork>,
    open: Mutex<BTreeMap<(String, String, Lane), Channel>>,
    members: Mutex<BTreeMap<u64, Member>>,
}

impl Channels {
    /// None yet.
    pub fn new(network: Arc<dyn PeerNetwork>) -> Self {
        Self { network, open: Mutex::default(), members: Mutex::default() }
    }

    /// Takes note of the members' present addresses: a server may come back at another one.
    pub fn note_members(&self, members: BTreeMap<u64, Member>) {
        *self.members.lock().unwrap_or_else(PoisonError::into_inner) = members;
    }

    /// A member as last noted.
    pub fn member(&self, id: u64) -> Option<Member> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// A client of `member` on `lane`.
    pub fn client(&self, member: &Member, lane: Lane) -> PeerClient<Channel> {
        let client = PeerClient::new(self.channel(member, lane));
        client.max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES)
    }

    /// A client of `member` for an operator's orders.
    pub fn admin(&self, member: &Member) -> AdminClient<Channel> {
        AdminClient::new(self.channel(member, Lane::Control))
    }

    /// A client of `member` for a backup, beside everything else.
    pub fn backup(&self, member: &Member) -> AdminClient<Channel> {
        AdminClient::new(self.channel(member, Lane::Bulk)).max_decoding_message_size(MESSAGE_BYTES)
    }

    fn channel(&self, member: &Member, lane: Lane) -> Channel {
        let key = (member.name.clone(), member.peer_address.clone(), lane);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let channel =
            open.entry(key).or_insert_with(|| self.open_lazily(member.name.clone(), member.peer_address.clone()));
        channel.clone()
    }

    fn open_lazily(&self, name: String, address: String) -> Channel {
        let network = self.network.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let dialling = timeout(CONNECT_TIMEOUT, network.dial(&name, &address));
            async move {
                let stream = dialling.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
                stream.map(|stream| TokioIo::new(Gathered::new(stream)))
            }
        });
        Endpoint::from_static("http://peer")
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .connect_with_connector_lazy(connector)
    }

    /// Whether a new connection to `address` is refused at once: the sign, after a stream has ended, that no
    /// process listens there any more.
    pub async fn refuses(&self, address: &str) -> bool {
        match timeout(CONNECT_TIMEOUT, self.network.knock(address)).await {
            Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
            Ok(Ok(())) | Err(_) => false,
        }
    }
}

/// The answer to a question, waited for no longer than [`ATTEMPT_TIMEOUT`].
///
/// # Errors
/// The other server's refusal, or that there was no answer in time.
pub async fn answered<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match timeout(ATTEMPT_TIMEOUT, call).await {
        Ok(reply) => reply.map(Response::into_inner),
        Err(_) => Err(Status::unavailable("no answer in time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_stalled_holds_nobody() {
        let start = tokio::time::Instant::now();
        let stalled = answered(std::future::pending::<Result<Response<()>, Status>>()).await;
        assert_eq!(stalled.unwrap_err().code(), tonic::Code::Unavailable);
        assert_eq!(start.elapsed(), ATTEMPT_TIMEOUT);
        assert_eq!(answered(std::future::ready(Ok(Response::new(7)))).await.unwrap(), 7);
    }
}
