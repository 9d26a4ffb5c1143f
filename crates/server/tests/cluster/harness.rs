//! A cluster in this process, and people who talk through it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use tempfile::TempDir;
use threefold_proto::chat::{self, chat_client::ChatClient, client_frame, cluster_client::ClusterClient, server_frame};
use threefold_server::{
    Ended, Environment, StartError, clock,
    config::{AttachmentLimits, Config, PeerConfig, PeerTls, Tuning},
    gateway::Cost,
    net::tcp::TlsListener,
    peer::{certs, tls::Identity},
    raft::executor::ThreadExecutor,
    run, run_in,
    storage::{directory::Directory, fjall_log::FjallLog, fjall_state::FjallState},
};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Request, metadata::MetadataValue, transport::Channel};

use crate::durability::{Disk, SlowLog};

/// Longer than anything here takes on a busy machine; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Servers on free loopback ports.
pub struct Cluster {
    directory: TempDir,
    configs: Vec<Config>,
    /// What the servers' logs lie on; empty: on plain disks.
    disks: Vec<Arc<Disk>>,
    running: Vec<Option<(oneshot::Sender<()>, std::thread::JoinHandle<()>)>>,
}

impl Cluster {
    /// Starts a cluster and waits until every server is a voter.
    pub async fn start(servers: usize) -> Self {
        Self::start_as(servers, &[], true).await
    }

    /// The same with a server on each of these disks.
    pub async fn start_on(disks: &[Arc<Disk>], survivor_mode: bool) -> Self {
        Self::start_as(disks.len(), disks, survivor_mode).await
    }

    async fn start_as(servers: usize, disks: &[Arc<Disk>], survivor_mode: bool) -> Self {
        logging();
        let directory = tempfile::tempdir().unwrap();
        let certificates = directory.path().join("certs");
        certs::create_authority(&certificates).unwrap();
        let ports = (0..servers).map(|_| (free_port(), free_port())).collect::<Vec<_>>();
        let peers = ports.iter().enumerate().map(|(n, (_, peer))| PeerConfig {
            name: format!("server-{n}"),
            peer_address: format!("127.0.0.1:{peer}"),
        });
        let peers = peers.collect::<Vec<_>>();
        let configs = ports.iter().enumerate().map(|(n, ports)| config(directory.path(), n, *ports, &peers));
        let configs = configs.map(|config| Config { survivor_mode, ..config }).collect::<Vec<_>>();
        let running = configs.iter().map(|_| None).collect();
        let mut cluster = Self { directory, running, configs, disks: disks.to_vec() };
        for n in 0..servers {
            cluster.resume(n);
        }
        cluster.wait_until_whole(PATIENCE).await;
        cluster
    }

    /// Starts a server that is not running: in a runtime of its own, that ends with it as a process would.
    pub fn resume(&mut self, n: usize) {
        let (stop, stopped) = oneshot::channel::<()>();
        let (config, disk) = (self.configs[n].clone(), self.disks.get(n).cloned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let stopped = Box::pin(async { drop(stopped.await) });
            let result = match disk {
                Some(disk) => runtime.block_on(run_on(config, disk, stopped)),
                None => runtime.block_on(run(config, stopped)),
            };
            runtime.shutdown_timeout(PATIENCE);
            assert_eq!(result.unwrap(), Ended::Stopped);
        });
        self.running[n] = Some((stop, thread));
    }

    /// Stops a server.
    pub async fn halt(&mut self, n: usize) {
        let (stop, thread) = self.running[n].take().unwrap();
        stop.send(()).unwrap();
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    }

    /// Waits until a server has ended by itself; returns what it said.
    pub async fn refusal(&mut self, n: usize) -> String {
        // Its end would stop the server.
        let (_stop, thread) = self.running[n].take().unwrap();
        let ended = tokio::task::spawn_blocking(move || thread.join());
        let ended = timeout(PATIENCE, ended).await.expect("the server goes on").unwrap();
        *ended.expect_err("the server stopped in order").downcast::<String>().unwrap()
    }

    /// Empties a stopped server's directory.
    pub fn empty(&self, n: usize) {
        std::fs::remove_dir_all(&self.configs[n].data_dir).unwrap();
    }

    /// Loses a stopped server's state, and nothing else.
    pub fn lose_state(&self, n: usize) {
        std::fs::remove_dir_all(self.configs[n].data_dir.join("state")).unwrap();
    }

    /// Loses a stopped server's log, and nothing else.
    pub fn lose_log(&self, n: usize) {
        std::fs::remove_dir_all(self.configs[n].data_dir.join("log")).unwrap();
    }

    /// Changes the sizes and times of a stopped server.
    pub fn tune(&mut self, n: usize, change: impl FnOnce(&mut Tuning)) {
        change(&mut self.configs[n].tuning);
    }

    /// Waits until a server has purged its log up to some entry.
    pub async fn wait_until_purged(&self, n: usize, index: u64) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let status = self.status(n).await;
            if status.purged_index >= index {
                return;
            }
            assert!(Instant::now() < give_up, "never purged up to {index}: {status:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Gives a stopped server another peer port.
    pub fn move_peer_port(&mut self, n: usize) {
        let port = free_port();
        self.configs[n].peer_listen.set_port(port);
        self.configs[n].peer_address = format!("127.0.0.1:{port}");
    }

    /// The cluster as a server sees it.
    pub async fn whole_status(&self, n: usize) -> chat::ClusterStatus {
        self.cluster_status(n).await.unwrap()
    }

    /// Stops all servers.
    pub async fn stop(mut self) {
        for n in 0..self.running.len() {
            if self.running[n].is_some() {
                self.halt(n).await;
            }
        }
        drop(self.directory);
    }

    /// Connects to a server.
    pub async fn connect(&self, n: usize) -> Channel {
        let address = format!("http://{}", self.configs[n].client_address);
        let give_up = Instant::now() + PATIENCE;
        loop {
            match Channel::from_shared(address.clone()).unwrap().connect().await {
                Ok(channel) => return channel,
                Err(error) => assert!(Instant::now() < give_up, "cannot reach server {n}: {error}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn cluster_status(&self, n: usize) -> Option<chat::ClusterStatus> {
        let mut client = ClusterClient::new(self.connect(n).await);
        client.status(chat::StatusRequest { local: false }).await.ok().map(tonic::Response::into_inner)
    }

    /// A server's own status.
    pub async fn status(&self, n: usize) -> chat::ServerStatus {
        let status = self.cluster_status(n).await.unwrap();
        status.servers.into_iter().find(|server| server.name == self.configs[n].name).unwrap()
    }

    /// Waits until every server is a voter and up, and no other is known.
    pub async fn wait_until_whole(&self, patience: Duration) {
        let give_up = Instant::now() + patience;
        loop {
            let mut whole = true;
            let mut seen = Vec::new();
            for n in (0..self.running.len()).filter(|n| self.running[*n].is_some()) {
                let status = self.cluster_status(n).await;
                let up = |server: &chat::ServerStatus| server.voter && server.role != "down";
                whole &= status.as_ref().is_some_and(|status| {
                    (status.state == "normal" || self.running.len() < 3)
                        && status.servers.len() == self.running.len()
                        && status.servers.iter().all(up)
                });
                seen.push(status);
            }
            if whole {
                return;
            }
            assert!(Instant::now() < give_up, "the cluster is not whole: {seen:#?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn by_role(&self, role: &str) -> usize {
        let give_up = Instant::now() + PATIENCE;
        loop {
            for n in (0..self.running.len()).filter(|n| self.running[*n].is_some()) {
                if self.status(n).await.role == role {
                    return n;
                }
            }
            assert!(Instant::now() < give_up, "no {role}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The leader.
    pub async fn leader(&self) -> usize {
        self.by_role("leader").await
    }

    /// Some follower.
    pub async fn a_follower(&self) -> usize {
        self.by_role("follower").await
    }
}

/// Runs a server as [`run`] does, but with its log on `disk`.
async fn run_on(config: Config, disk: Arc<Disk>, stopped: BoxFuture<'static, ()>) -> Result<Ended, StartError> {
    let identity = Identity::load(&config.peer_tls).unwrap();
    let mut directory = Directory::open(&config.data_dir, &config.name).unwrap();
    let log = SlowLog::new(FjallLog::open(&directory.log_path()).unwrap(), disk);
    let state = FjallState::open(&directory.state_path()).unwrap();
    directory.record_stores().unwrap();
    let clients = TcpListener::bind(config.client_listen).await.unwrap();
    let peers = TlsListener::new(TcpListener::bind(config.peer_listen).await.unwrap(), identity.clone());
    let environment = Environment {
        node_id: directory.node_id(),
        incarnation: directory.incarnation(),
        lineage: directory.lineage(),
        log: Arc::new(log),
        state: Arc::new(state),
        executor: Arc::new(ThreadExecutor::start("apply").unwrap()),
        network: Arc::new(identity),
        clock: clock::system(),
        password_cost: Cost::default(),
        search: Some(directory.search_path()),
    };
    run_in(config, environment, peers, clients, None::<tokio::net::TcpListener>, stopped).await
}

/// A port that is free now and was given to nobody else in this process.
fn free_port() -> u16 {
    // Below the ports of outgoing connections and of port 0, which could take that of a server that is down.
    const FIRST: u16 = 10_000;
    const PORTS: u16 = 20_000;
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Another process of the same tests begins elsewhere.
    let start = u16::try_from(std::process::id() % 97).unwrap() * 200;
    loop {
        let port = FIRST + (start + GIVEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn config(directory: &Path, n: usize, (client, peer): (u16, u16), peers: &[PeerConfig]) -> Config {
    let name = format!("server-{n}");
    let certificates = directory.join("certs");
    certs::issue(&certificates, &certificates, &name, &["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key): (PathBuf, PathBuf) = certs::server_files(&certificates, &name);
    Config {
        name,
        data_dir: directory.join(format!("server-{n}")),
        client_listen: ([127, 0, 0, 1], client).into(),
        chat_listen: None,
        peer_listen: ([127, 0, 0, 1], peer).into(),
        client_address: format!("127.0.0.1:{client}"),
        chat_address: String::new(),
        peer_address: format!("127.0.0.1:{peer}"),
        allowed_origins: Vec::new(),
        peers: peers.to_vec(),
        bootstrap: n == 0,
        survivor_mode: true,
        administrators: Vec::new(),
        limits: threefold_server::config::Limits::default(),
        attachments: AttachmentLimits::default(),
        thumbnailer: None,
        control: None,
        peer_tls: PeerTls { ca: certificates.join("authority.pem"), certificate, key },
        tuning: Tuning { snapshot_entries: 50, keep_entries: 10, ..Tuning::default() },
    }
}

/// Somebody with a session, at any server.
pub struct Person {
    channels: Vec<String>,
    token: [u8; 32],
    instance: u64,
    number: u64,
}

impl Person {
    /// Registers at a server.
    pub async fn register(cluster: &Cluster, n: usize, name: &str) -> Self {
        let token: [u8; 32] = rand::random();
        let request = chat::RegisterRequest {
            name: name.into(),
            password: "correct horse".into(),
            token: token.to_vec().into(),
            device: "test".into(),
        };
        let give_up = Instant::now() + PATIENCE;
        let reply = loop {
            match ChatClient::new(cluster.connect(n).await).register(request.clone()).await {
                Ok(reply) => break reply.into_inner(),
                // The same token is recognised.
                Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
            }
            assert!(Instant::now() < give_up, "never registered: {name}");
            sleep(Duration::from_millis(20)).await;
        };
        let channels = cluster.configs.iter().map(|config| format!("http://{}", config.client_address)).collect();
        Self { channels, token, instance: reply.instance, number: 0 }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let token = self.token.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", MetadataValue::try_from(format!("Bearer {token}")).unwrap());
        request
    }

    async fn client(&self, n: usize) -> Option<ChatClient<Channel>> {
        let channel = Channel::from_shared(self.channels[n].clone()).unwrap().connect().await.ok()?;
        Some(ChatClient::new(channel))
    }

    /// Sends until it is acknowledged.
    pub async fn send(&mut self, n: usize, to: &str, text: &str) -> chat::MessageSent {
        self.number += 1;
        let to = chat::Recipient { to: Some(chat::recipient::To::User(to.into())) };
        let message = chat::SendMessageRequest {
            request: Some(chat::RequestId { instance: self.instance, number: self.number }),
            send: Some(chat::SendMessage { to: Some(to), body: text.into(), ..chat::SendMessage::default() }),
        };
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(mut client) = self.client(n).await {
                match client.send_message(self.request(message.clone())).await {
                    Ok(reply) => return reply.into_inner().sent.unwrap(),
                    Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
                }
            }
            assert!(Instant::now() < give_up, "never acknowledged: {text}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The first `count` messages of the person's stream at a server, from the beginning.
    pub async fn receive(&mut self, n: usize, count: usize) -> Vec<String> {
        let subscribe = chat::Subscribe { after: 0, ..Default::default() };
        let frame = chat::ClientFrame { frame: Some(client_frame::Frame::Subscribe(subscribe)) };
        let frames = futures::StreamExt::chain(futures::stream::iter([frame]), futures::stream::pending());
        let give_up = Instant::now() + PATIENCE;
        let mut client = loop {
            match self.client(n).await {
                Some(client) => break client,
                None => assert!(Instant::now() < give_up, "cannot reach server {n}"),
            }
            sleep(Duration::from_millis(20)).await;
        };
        let mut incoming = client.converse(self.request(frames)).await.unwrap().into_inner();
        let mut texts = Vec::new();
        while texts.len() < count {
            let frame = timeout(PATIENCE, incoming.message()).await.unwrap().unwrap().unwrap();
            if let Some(server_frame::Frame::Event(event)) = frame.frame
                && let Some(chat::event::Body::Message(message)) = event.body
            {
                texts.push(message.body);
            }
        }
        texts
    }
}

/// Logs of a failing test, with `RUST_LOG`.
pub fn logging() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}
