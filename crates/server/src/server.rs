//! One server from start to stop: opens the directory, joins the parts, and runs until told otherwise.

use std::{collections::BTreeSet, future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use threefold_core::Position;
use threefold_proto::peer::Hello;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{Semaphore, watch},
    task::JoinError,
    time::Instant,
};

use crate::{
    ambient,
    clock::{self, LogClock, WallClock},
    config::Config,
    gateway::{Cost, Gateway, Origins, Passwords, http, tcp},
    net::{
        ClientListener, PeerListener, PeerNetwork,
        tcp::{KeptAlive, TlsListener},
    },
    node::{
        Asking, Hub, Inner, Node, last_seen, limits,
        presence::Presence,
        router::{Pace, Router},
        typing::Typing,
    },
    peer::{
        channels::Channels,
        death::{Announcer, DeathStreams, Deaths},
        forward::Forwarder,
        join,
        link::Links,
        service::{self, PeerService},
        tls::Identity,
    },
    raft::{
        Engine, Parts,
        executor::{Executor, ThreadExecutor},
        machine::{self, Observer, Observers},
        proposer::{Proposer, Share},
        types::{Member, Standing},
    },
    search::Search,
    storage::{
        LogStore, StateStore,
        directory::{Directory, Lineage},
        fjall_log::FjallLog,
        fjall_state::FjallState,
    },
};

/// A leader that is told to stop waits this long for another to take over.
const HAND_OVER_PATIENCE: Duration = Duration::from_millis(1000);
/// Connections are given this long to end by themselves.
const DRAIN_PATIENCE: Duration = Duration::from_millis(500);

/// Why a server could not start, or had to stop: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// How a server came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// It must be started anew, as a new incarnation: in sync, but behind the servers that could lead, it may vote for them only
    /// then.
    Restart,
    /// Its directory is an old copy, or there are two: the server of this name knows a later run of it. What it holds cannot be relied on.
    Outdated(String),
}

fn failed(what: &str) -> impl Fn(&dyn std::fmt::Display) -> StartError + '_ {
    move |error| StartError(format!("{what}: {error}"))
}

/// Connections that the kernel takes before the server does: all clients of a server that died may come at once, and one that finds no
/// room tries again only after a second. (The system's own bound, often 4,096, holds too.)
const BACKLOG: u32 = 16_384;

fn bind(address: std::net::SocketAddr, purpose: &str) -> Result<TcpListener, StartError> {
    let listener = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // The ports of the process before may still have connections that are ending.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listener().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError(format!("the {purpose} port {address} is in use by another process")),
        _ => StartError(format!("cannot listen on the {purpose} port {address}: {error}")),
    })
}

/// Runs one server until `shutdown`. (Boxed, so that a server is compiled here and not again in every program that runs one.)
///
/// # Errors
/// When it cannot start, or must stop because its disk failed or an invariant broke.
pub fn run(config: Config, shutdown: BoxFuture<'static, ()>) -> BoxFuture<'static, Result<Ended, StartError>> {
    Box::pin(run_on_this_machine(config, shutdown))
}

async fn run_on_this_machine(config: Config, shutdown: BoxFuture<'static, ()>) -> Result<Ended, StartError> {
    let identity = Identity::load(&config.peer_tls).map_err(|error| StartError(error.to_string()))?;
    let mut directory =
        Directory::open(&config.data_dir, &config.name).map_err(|error| StartError(error.to_string()))?;
    let client_listener = bind(config.client_listen, "client")?;
    let chat_listener = config.chat_listen.map(|address| bind(address, "chat")).transpose()?.map(KeptAlive::new);
    let log: Arc<dyn LogStore> =
        Arc::new(FjallLog::open(&directory.log_path()).map_err(|error| failed("cannot open the log")(&error))?);
    let state: Arc<dyn StateStore> =
        Arc::new(FjallState::open(&directory.state_path()).map_err(|error| failed("cannot open the state")(&error))?);
    directory.record_stores().map_err(|error| StartError(error.to_string()))?;
    // Last, when all else stands: until then its peers find nobody here, and so know at once that the old process died.
    let peer_listener = bind(config.peer_listen, "peer")?;
    let executor = ThreadExecutor::start("apply").map_err(|error| failed("cannot start a thread")(&error))?;
    let environment = Environment {
        node_id: directory.node_id(),
        incarnation: directory.incarnation(),
        lineage: directory.lineage(),
        log,
        state,
        executor: Arc::new(executor),
        network: Arc::new(identity.clone()),
        clock: clock::system(),
        password_cost: Cost::default(),
        search: Some(directory.search_path()),
    };
    let peer_listener = TlsListener::new(peer_listener, identity);
    let result = run_in(config, environment, peer_listener, client_listener, chat_listener, shutdown).await;
    match result? {
        Ended::Outdated(known_by) => Err(StartError(directory.record_outdated(known_by).to_string())),
        ended => Ok(ended),
    }
}

/// What a server stands on: all of it that is not the server's own, so that a simulation can put something else in its
/// place.
pub struct Environment {
    /// The number of its directory, which no other ever has.
    pub node_id: u64,
    /// How often that directory was opened: durably larger than at every earlier start.
    pub incarnation: u64,
    /// What tells this run from one on a copy of that directory.
    pub lineage: Lineage,
    /// Its log.
    pub log: Arc<dyn LogStore>,
    /// Its state.
    pub state: Arc<dyn StateStore>,
    /// Where it applies.
    pub executor: Arc<dyn Executor>,
    /// How it reaches the other servers.
    pub network: Arc<dyn PeerNetwork>,
    /// Its clock.
    pub clock: WallClock,
    /// What a password's hash costs.
    pub password_cost: Cost,
    /// Where the search index is kept; none: without one, searches read the newest messages of the state only. Nothing
    /// of it decides anything, but it has threads of its own, which no simulation could repeat.
    pub search: Option<PathBuf>,
}

/// Runs one server in an environment until `shutdown`. Of `config`, its directory, its listening addresses and its
/// certificates are not used.
///
/// # Errors
/// When it cannot start, or must stop because its disk failed or an invariant broke.
pub async fn run_in(
    config: Config,
    environment: Environment,
    peer_listener: impl PeerListener,
    client_listener: impl ClientListener,
    chat_listener: Option<impl ClientListener>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<Ended, StartError> {
    Server::start(config, environment).await?.serve(client_listener, chat_listener, peer_listener, shutdown).await
}

/// A service ends when the server does, not before: a server that nobody can reach must not look alive.
fn ended_by_itself(service: &str, ended: Result<io::Result<()>, JoinError>) -> StartError {
    match ended {
        Ok(Ok(())) => StartError(format!("{service} ended by itself")),
        Ok(Err(error)) => StartError(format!("{service} ended by itself: {error}")),
        Err(error) => StartError(format!("{service} ended by itself: {error}")),
    }
}

/// The parts of a running server.
struct Server {
    node: Node,
    gateway: Gateway,
    engine: Arc<Engine>,
    proposer: Proposer,
    presence: Arc<Presence>,
    typing: Arc<Typing>,
    hub: Arc<Hub>,
    channels: Arc<Channels>,
    state: Arc<dyn StateStore>,
    search: Option<Arc<Search>>,
    config: Config,
    greeting: Hello,
    deaths: Arc<DeathStreams>,
}

impl Server {
    async fn start(config: Config, environment: Environment) -> Result<Self, StartError> {
        let Environment {
            node_id: id,
            incarnation,
            lineage,
            log,
            state,
            executor,
            network,
            clock,
            password_cost,
            search,
        } = environment;
        let (applied, _) = machine::applied_mark(&*state).map_err(|error| failed("cannot read the state")(&error))?;
        let position = applied.map_or(Position::default(), |log_id| Position::end_of(log_id.index));
        let hub = Hub::new(state.clone(), position);
        let search = search.map(|path| Search::start(path, state.clone(), position)).transpose();
        let search = search.map_err(|error| failed("cannot start a thread")(&error))?;
        // The index first: whoever is woken by the hub may search at once.
        let indexing = search.clone().map(|search| search as Arc<dyn Observer>);
        let observers = Observers(indexing.into_iter().chain([hub.clone() as Arc<dyn Observer>]).collect());
        let channels = Arc::new(Channels::new(network.clone()));
        let (deaths, announcer) = (Arc::new(Deaths::default()), Arc::new(Announcer::default()));
        let parts = Parts {
            id,
            incarnation,
            log,
            state: state.clone(),
            executor,
            channels: channels.clone(),
            observer: Arc::new(observers),
            deaths: deaths.clone(),
            announcer: announcer.clone(),
        };
        let engine = Engine::start(parts, &config.tuning).await.map_err(|error| StartError(error.to_string()))?;
        let proposer = Proposer::start(engine.clone(), LogClock::over(clock.clone()));
        let router = |pace, share| {
            let forwarder = Forwarder { engine: engine.clone(), channels: channels.clone(), share };
            Router::start(id, engine.leader(), proposer.clone(), forwarder, pace)
        };
        let (bulk, router) = (router(Pace::BULK, Share::Bulk), router(Pace::MESSAGES, Share::Messages));
        let (presence, typing) = (Arc::new(Presence::default()), Arc::new(Typing::default()));
        let node = Node::new(Inner {
            config: config.clone(),
            started: Instant::now(),
            engine: engine.clone(),
            meter: proposer.meter(),
            router,
            bulk,
            hub: hub.clone(),
            presence: presence.clone(),
            typing: typing.clone(),
            state: state.clone(),
            search: search.clone(),
            channels: channels.clone(),
            limits: limits::Keeper::new(&config.limits),
            asking: Asking::default(),
        });
        let passwords = Passwords::new(password_cost).map_err(|error| StartError(error.to_string()))?;
        let gateway = Gateway::with_clock(node.clone(), passwords, clock)
            .with_administrators(&config.administrators)
            .with_attachments(config.attachments, config.thumbnailer.clone())
            .with_control(config.control.clone());
        let greeting = Hello {
            node_id: id,
            name: config.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation,
        };
        let streams = DeathStreams::new(
            engine.clone(),
            channels.clone(),
            network,
            greeting.clone(),
            lineage,
            (deaths, announcer),
        );
        let deaths = Arc::new(streams);
        Ok(Self {
            node,
            gateway,
            engine,
            proposer,
            presence,
            typing,
            hub,
            channels,
            state,
            search,
            config,
            greeting,
            deaths,
        })
    }

    fn member(&self) -> Member {
        Member::at(&self.config.name, &self.config.peer_address, &self.config.client_address)
    }

    /// Founds a cluster or finds the way into one.
    async fn come_in(&self) -> Result<(), StartError> {
        let empty = !self.engine.is_initialized().await;
        if self.config.bootstrap
            && empty
            && join::may_found(&self.channels, &self.config.name, &self.config.peers).await
        {
            let recovery_id = ambient::random().map_err(|error| failed("cannot choose a recovery id")(&error))?;
            let standing = Standing { survivor_mode: self.config.survivor_mode, ..Standing::default() };
            let founder = Member { standing, ..self.member() };
            self.engine.bootstrap(founder, recovery_id).await.map_err(|error| StartError(error.to_string()))?;
            tracing::info!("founded a new cluster");
        }
        let joining = join::join(self.channels.clone(), self.engine.clone(), self.member(), self.config.peers.clone());
        tokio::spawn(joining);
        tokio::spawn(self.engine.clone().finish_changes());
        Ok(())
    }

    fn peer_service(&self) -> PeerService {
        PeerService {
            engine: self.engine.clone(),
            proposer: self.proposer.clone(),
            presence: self.presence.clone(),
            hub: self.hub.clone(),
            channels: self.channels.clone(),
            state: self.state.clone(),
            node: self.node.clone(),
            expected: self.config.peers.iter().map(|peer| peer.name.clone()).collect::<BTreeSet<_>>(),
            greeting: self.greeting.clone(),
            installing: Arc::new(Semaphore::new(1)),
        }
    }

    async fn serve(
        self,
        client_listener: impl ClientListener,
        chat_listener: Option<impl ClientListener>,
        peer_listener: impl PeerListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Ended, StartError> {
        let (stop, stopping) = watch::channel(false);
        let stopped = |mut stopping: watch::Receiver<bool>| async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let mut peers = tokio::spawn(service::serve(
            peer_listener,
            self.peer_service(),
            self.deaths.clone(),
            stopped(stopping.clone()),
        ));
        // Not ended with the rest: the kernel ends the streams when this process does, and so proves its death.
        tokio::spawn(self.deaths.clone().run());
        let links = Links {
            engine: self.engine.clone(),
            channels: self.channels.clone(),
            presence: self.presence.clone(),
            typing: self.typing.clone(),
            greeting: self.greeting.clone(),
        };
        let links = tokio::spawn(links.run());
        let reports = tokio::spawn(limits::report(self.node.clone()));
        let last_seen = tokio::spawn(last_seen::keep(self.node.clone()));
        let origins = Origins::new(self.config.allowed_origins.clone());
        let mut clients =
            tokio::spawn(http::serve(client_listener, self.gateway.clone(), origins, stopped(stopping.clone())));
        let mut chat = tokio::spawn(serve_chat(chat_listener, self.gateway.clone(), stopped(stopping)));
        let run = async {
            self.come_in().await?;
            tracing::info!(name = %self.config.name, id = self.engine.id(), client = %self.config.client_address, "running");
            let why = self.engine.failed().await;
            Err(StartError(format!("consensus has stopped: {why}")))
        };
        let result = tokio::select! {
            biased;
            result = run => result,
            ended = &mut peers => Err(ended_by_itself("the service for other servers", ended)),
            ended = &mut clients => Err(ended_by_itself("the service for clients", ended)),
            ended = &mut chat => Err(ended_by_itself("the chat TCP port", ended)),
            () = shutdown => Ok(Ended::Stopped),
            () = self.engine.survivor().stuck() => Ok(Ended::Restart),
            known_by = self.deaths.outdated() => Ok(Ended::Outdated(known_by)),
        };
        if matches!(result, Ok(Ended::Stopped)) {
            self.engine.hand_over(HAND_OVER_PATIENCE).await;
        }
        links.abort();
        last_seen.abort();
        reports.abort();
        stop.send_replace(true);
        let drained = async {
            // One that ended by itself has given its result, and may not be asked for it again.
            for service in [clients, chat] {
                if !service.is_finished() {
                    let _ = service.await;
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN_PATIENCE, drained).await;
        self.engine.shutdown().await;
        peers.abort();
        if let Some(search) = &self.search {
            let search = search.clone();
            // It ends by itself with the process as well.
            let _ = ambient::blocking(move || search.close()).await;
        }
        let state = self.state.clone();
        let persisted = ambient::blocking(move || state.persist()).await.and_then(|persisted| persisted);
        let ended = result?;
        persisted.map_err(|error| failed("cannot save the state")(&error))?;
        Ok(ended)
    }
}

/// Serves the chat TCP port, where there is one.
async fn serve_chat(
    listener: Option<impl ClientListener>,
    gateway: Gateway,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    match listener {
        Some(listener) => tcp::serve(listener, gateway, stopped).await,
        None => {
            stopped.await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_service_that_ends_by_itself_says_which_and_why() {
        let quiet = tokio::spawn(async { Ok(()) });
        assert_eq!(ended_by_itself("this", quiet.await).0, "this ended by itself");
        let failing = tokio::spawn(async { Err(io::Error::other("no sockets left")) });
        assert_eq!(ended_by_itself("this", failing.await).0, "this ended by itself: no sockets left");
        let panicking = tokio::spawn(async { panic!("broken") });
        assert!(ended_by_itself("this", panicking.await).0.starts_with("this ended by itself: task"));
    }
}
