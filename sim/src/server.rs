//! One simulated server: the real one, on a simulated disk and network, with a clock that may be set wrong.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use threefold_server::{
    Ended, Environment, StartError,
    config::{AttachmentLimits, Config, PeerConfig, PeerTls, Tuning},
    gateway::Cost,
    raft::executor::InlineExecutor,
    run_in,
    storage::directory::Lineage,
};

use crate::{
    disk::Disk,
    fact::Fact,
    wires::{Peers, Port, Wires},
    world::World,
};

/// Where servers listen for each other.
pub const PEER_PORT: u16 = 7000;
/// Where they listen for clients.
pub const CLIENT_PORT: u16 = 7400;
/// What the clocks show when a run begins: a Tuesday.
const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// The name of the server of this number, from zero.
#[must_use]
pub fn name(number: usize) -> String {
    format!("server-{}", number + 1)
}

/// What is outside of a server's processes, and outlives them.
pub struct Machine {
    /// The server's name.
    pub name: String,
    /// All servers' names.
    pub cluster: Vec<String>,
    /// Its disk. Another one after the first was lost.
    pub disk: Mutex<Arc<Disk>>,
    /// How far its clock is off, milliseconds.
    pub clock_off_ms: AtomicI64,
    /// Its process wants to end by itself.
    pub has_given_up: AtomicBool,
    /// The network.
    pub wires: Arc<Wires>,
    /// The run.
    pub world: Arc<World>,
    /// Found the cluster with survivor mode switched on.
    pub survivor_mode: bool,
    /// Times and sizes.
    pub tuning: Tuning,
}

impl Machine {
    /// The disk in use.
    pub fn disk(&self) -> Arc<Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn config(&self) -> Config {
        let others = self.cluster.iter().filter(|other| **other != self.name);
        let peers = others.map(|name| PeerConfig { name: name.clone(), peer_address: format!("{name}:{PEER_PORT}") });
        let nowhere = || PathBuf::from("simulated");
        let any = |port| ([0, 0, 0, 0], port).into();
        Config {
            name: self.name.clone(),
            data_dir: nowhere(),
            client_listen: any(CLIENT_PORT),
            chat_listen: None,
            peer_listen: any(PEER_PORT),
            client_address: format!("{}:{CLIENT_PORT}", self.name),
            chat_address: String::new(),
            peer_address: format!("{}:{PEER_PORT}", self.name),
            allowed_origins: Vec::new(),
            peers: peers.collect(),
            bootstrap: self.cluster.first() == Some(&self.name),
            survivor_mode: self.survivor_mode,
            administrators: Vec::new(),
            limits: threefold_server::config::Limits::default(),
            attachments: AttachmentLimits::default(),
            thumbnailer: None,
            control: None,
            peer_tls: PeerTls { ca: nowhere(), certificate: nowhere(), key: nowhere() },
            tuning: self.tuning.clone(),
        }
    }

    /// A process of this server, from its start on. It does not end: one that gives up says so and waits for the
    /// machine to end it, for only that ends all of its tasks at once.
    pub async fn process(self: Arc<Self>) -> turmoil::Result {
        let words = match self.clone().run().await {
            Ok(ended) => format!("{} ends: {ended:?}", self.name),
            Err(error) => format!("{} gives up: {error}", self.name),
        };
        self.world.remark(words);
        self.has_given_up.store(true, Ordering::SeqCst);
        std::future::pending().await
    }

    async fn run(self: Arc<Self>) -> Result<Ended, StartError> {
        let failed = |error: &dyn std::fmt::Display| StartError(error.to_string());
        let found = self.disk().open().map_err(|error| failed(&error))?;
        self.world.tell(Fact::Started { server: self.name.clone(), incarnation: found.incarnation });
        let clients = Port::open(self.wires.clone(), &self.name, CLIENT_PORT).await.map_err(|error| failed(&error))?;
        let peers = Port::open(self.wires.clone(), &self.name, PEER_PORT).await.map_err(|error| failed(&error))?;
        let machine = self.clone();
        let environment = Environment {
            node_id: found.node_id,
            incarnation: found.incarnation,
            // Nobody makes copies of directories here.
            lineage: Lineage { process: found.incarnation, previous: found.incarnation - 1 },
            log: found.log,
            state: found.state,
            executor: Arc::new(InlineExecutor),
            network: Arc::new(Peers { wires: self.wires.clone(), name: self.name.clone() }),
            clock: Arc::new(move || (machine.wall_clock(), tokio::time::Instant::now().into_std())),
            password_cost: Cost::CHEAP,
            search: None,
        };
        run_in(self.config(), environment, peers, clients, None::<Port>, std::future::pending()).await
    }

    fn wall_clock(&self) -> Duration {
        let shown = EPOCH + self.world.now();
        let off_ms = self.clock_off_ms.load(Ordering::SeqCst);
        let off = Duration::from_millis(off_ms.unsigned_abs());
        if off_ms < 0 { shown.saturating_sub(off) } else { shown + off }
    }
}
