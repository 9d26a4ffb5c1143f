//! A cluster in memory, for tests: servers that share one state, can be killed and restarted, and misbehave on
//! request. Not part of the library's promises.
//!
//! Its state keeps the contract of the protocol (numbers in order, replies remembered, cursors), so that a client that
//! loses, repeats or reorders anything is found out. Left out: persistence, elections, limits, sizes.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test that cannot go on should panic"
)]

mod service;
mod state;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use service::Service;
pub use state::State;
use threefold_proto::chat::{ErrorCode, chat_server::ChatServer, cluster_server::ClusterServer};
use tokio::{
    io::DuplexStream,
    net::TcpListener,
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::Server;

use crate::{Client, Connecting, Connector, Options, Transport};

/// In-memory connections hold this much on the way.
const PIPE_BYTES: usize = 64 * 1024;

/// What a server does wrong.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// Every call and every write is answered UNAVAILABLE, and nothing is done.
    pub unavailable: bool,
    /// Nothing is answered, although the connection stands.
    pub silent: bool,
    /// Calls are carried out, but that many answers are replaced by UNAVAILABLE.
    pub lose_answers: u32,
    /// Nobody is told who they are, as long as this stands.
    pub hold_who_am_i: bool,
    /// How often that was asked.
    pub asked_who_am_i: u32,
    /// So many writes on streams are answered UNAVAILABLE and not carried out.
    pub refuse_writes: u32,
    /// So many writes on streams vanish without being carried out or answered.
    pub swallow_writes: u32,
    /// Writes on streams with this number are carried out and not answered.
    pub unanswered: Option<u64>,
    /// Every question for an instance is refused so.
    pub refuse_instances: Option<ErrorCode>,
    /// Each stream breaks after this many frames.
    pub frames_per_stream: Option<usize>,
    /// Results of writes, and events, come twice.
    pub twice: bool,
}

/// One server.
#[derive(Default)]
struct Node {
    address: String,
    behaviour: Behaviour,
    /// Where in-memory connections are handed in; none while it is down or listens on TCP.
    door: Option<mpsc::UnboundedSender<io::Result<DuplexStream>>>,
    running: Option<JoinHandle<()>>,
    /// In-memory connections: ending the task that moves the bytes breaks both ends.
    links: Vec<AbortHandle>,
}

struct Shared {
    state: Mutex<State>,
    nodes: Mutex<Vec<Node>>,
    changed: tokio::sync::watch::Sender<u64>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cluster. Clones are handles to the same one.
#[derive(Clone)]
pub struct FakeCluster {
    shared: Arc<Shared>,
}

impl FakeCluster {
    fn empty(count: usize) -> Self {
        let nodes = (0..count).map(|_| Node::default()).collect();
        let (changed, _) = tokio::sync::watch::channel(0);
        Self { shared: Arc::new(Shared { state: Mutex::default(), nodes: Mutex::new(nodes), changed }) }
    }

    /// Servers that are reached through memory only: nothing waits for a socket, so tokio's clock may be paused.
    #[must_use]
    pub fn in_memory(count: usize) -> Self {
        let cluster = Self::empty(count);
        for index in 0..count {
            cluster.shared.nodes()[index].address = format!("http://fake-{index}:1");
            cluster.start(index);
        }
        cluster
    }

    /// Servers on this machine's loopback.
    pub async fn on_loopback(count: usize) -> Self {
        let cluster = Self::empty(count);
        for index in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("a bound port").to_string();
            let serving = cluster.router(index).serve_with_incoming(TcpListenerStream::new(listener));
            let mut nodes = cluster.shared.nodes();
            nodes[index].address = format!("http://{address}");
            nodes[index].running = Some(tokio::spawn(async move { drop(serving.await) }));
        }
        cluster
    }

    fn router(&self, index: usize) -> tonic::transport::server::Router {
        let service = Service::new(Arc::clone(&self.shared), index);
        Server::builder().add_service(ChatServer::new(service.clone())).add_service(ClusterServer::new(service))
    }

    /// Starts an in-memory server.
    pub fn start(&self, index: usize) {
        let (door, connections) = mpsc::unbounded_channel();
        let serving = self.router(index).serve_with_incoming(UnboundedReceiverStream::new(connections));
        let mut nodes = self.shared.nodes();
        nodes[index].door = Some(door);
        nodes[index].running = Some(tokio::spawn(async move { drop(serving.await) }));
    }

    /// Breaks every connection to an in-memory server and accepts no more.
    pub fn kill(&self, index: usize) {
        let mut nodes = self.shared.nodes();
        nodes[index].door = None;
        if let Some(running) = nodes[index].running.take() {
            running.abort();
        }
        for link in nodes[index].links.drain(..) {
            link.abort();
        }
    }

    /// Changes what a server does wrong.
    pub fn behave<T>(&self, index: usize, change: impl FnOnce(&mut Behaviour) -> T) -> T {
        change(&mut self.shared.nodes()[index].behaviour)
    }

    /// Looks at, or changes, the state all servers share, and tells all streams.
    pub fn with_state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let result = look(&mut self.shared.state());
        self.shared.changed.send_modify(|version| *version += 1);
        result
    }

    /// The servers' addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.shared.nodes().iter().map(|node| node.address.clone()).collect()
    }

    /// Options that reach this cluster.
    #[must_use]
    pub fn options(&self) -> Options {
        let mut options = Options::new(self.addresses());
        options.seed = Some(1);
        if self.shared.nodes().iter().any(|node| node.door.is_some()) {
            options.connector = Some(Arc::new(self.clone()));
        }
        options
    }

    /// A client with these options.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.options()).expect("addresses are well-formed")
    }
}

impl FakeCluster {
    fn open_link(&self, address: &str) -> io::Result<DuplexStream> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let mut nodes = self.shared.nodes();
        let node = nodes.iter_mut().find(|node| node.address == address).ok_or_else(refused)?;
        let door = node.door.clone().ok_or_else(refused)?;
        let (near, mut near_end) = tokio::io::duplex(PIPE_BYTES);
        let (mut far_end, far) = tokio::io::duplex(PIPE_BYTES);
        door.send(Ok(far)).map_err(|_| refused())?;
        let moving = tokio::spawn(async move {
            drop(tokio::io::copy_bidirectional(&mut near_end, &mut far_end).await);
        });
        node.links.push(moving.abort_handle());
        Ok(near)
    }
}

impl Connector for FakeCluster {
    fn connect(&self, address: &str) -> Connecting {
        let opened = self.open_link(address);
        Box::pin(async move { Ok(Box::new(opened?) as Box<dyn Transport>) })
    }
}
