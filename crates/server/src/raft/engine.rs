//! One Raft instance, in this server's words.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::AtomicUsize},
    time::Duration,
};

use openraft::{
    Raft, ReadPolicy, ServerState, async_runtime::WatchReceiver as _, impls::OneshotResponder,
    raft::TransferLeaderRequest,
};
use threefold_core::Position;
use threefold_proto::peer;
use threefold_rules::Mode;
use tokio::{sync::watch, time::Instant};

use super::{
    cluster::Cluster,
    executor::Executor,
    instance::Instance,
    log::LogWatch,
    machine::{self, Machine, Observer},
    proposer::Proposed,
    recovery,
    survivor::{self, Survivor, condition::Condition, configurations::Configurations},
    types::{Member, Payload, RaftLogId, RaftVote, TypeConfig, log_id_to_wire, vote_to_wire},
};
use crate::{
    config::Tuning,
    peer::{
        channels::Channels,
        death::{Announcer, Deaths},
    },
    sabotage::{self, Sabotage},
    storage::{LogStore, StateStore},
};

/// What this server is in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Leads.
    Leader,
    /// Votes and follows.
    Follower,
    /// Stands for election.
    Candidate,
    /// Follows without a vote.
    Learner,
}

impl Role {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
        }
    }
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its node id.
    pub id: u64,
    /// Its name and addresses.
    pub member: Member,
    /// It has a vote.
    pub voter: bool,
}

/// Where this server stands.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What it is.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// Whom it follows (perhaps itself).
    pub leader: Option<u64>,
    /// The last entry of its log.
    pub last_index: u64,
    /// Committed, as far as it knows.
    pub committed_index: u64,
    /// Applied.
    pub applied_index: u64,
    /// Visible.
    pub visible_index: u64,
    /// What its last persisted state covers.
    pub snapshot_index: u64,
    /// Purged from its log.
    pub purged_index: u64,
    /// The configuration it knows, sorted by id.
    pub peers: Vec<Peer>,
}

/// Why Raft could not start or go on.
#[derive(Debug, thiserror::Error)]
#[error("consensus: {0}")]
pub struct EngineError(pub(super) String);

/// Raft on this server, over every instance that a force may need.
pub struct Engine {
    pub(super) id: u64,
    pub(super) channels: Arc<Channels>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) parts: Parts,
    pub(super) tuning: Tuning,
    pub(super) survivor: Arc<Survivor>,
    /// Held by whoever changes the voters: one change at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Changes of the voters that need plain Raft.
    pub(super) pauses: Arc<AtomicUsize>,
    pub(super) instance: RwLock<Arc<Instance>>,
    /// Held while one instance takes the place of another.
    pub(super) swapping: tokio::sync::Mutex<()>,
    pub(super) leader: watch::Sender<Option<u64>>,
    pub(super) condition: watch::Sender<Condition>,
    /// When a leader was last heard.
    pub(super) heard_leader_at: Mutex<Option<Instant>>,
}

/// What an engine is made of.
#[derive(Clone)]
pub struct Parts {
    /// This server's node id.
    pub id: u64,
    /// How many times its directory was opened.
    pub incarnation: u64,
    /// Its log.
    pub log: Arc<dyn LogStore>,
    /// Its state.
    pub state: Arc<dyn StateStore>,
    /// Where it applies.
    pub executor: Arc<dyn Executor>,
    /// How it reaches others.
    pub channels: Arc<Channels>,
    /// Whom it tells what was applied.
    pub observer: Arc<dyn Observer>,
    /// What it hears of deaths.
    pub deaths: Arc<Deaths>,
    /// How it announces configurations.
    pub announcer: Arc<Announcer>,
}

impl Engine {
    /// Starts Raft on what the directory holds.
    ///
    /// # Errors
    /// When log or state cannot be read, or contradict each other.
    pub async fn start(parts: Parts, tuning: &Tuning) -> Result<Arc<Self>, EngineError> {
        let failed = |error: &dyn std::fmt::Display| EngineError(error.to_string());
        let (applied, membership) = machine::applied_mark(&*parts.state).map_err(|error| failed(&error))?;
        recovery::check(&parts.log.extent(), applied).map_err(|error| failed(&error))?;
        let watched = LogWatch::open(parts.log.clone(), (applied, membership), parts.announcer.clone()).await;
        let log_watch = watched.map_err(|error| failed(&error))?;
        let survivor = Arc::new(Survivor::new(parts.id, parts.incarnation, log_watch, parts.deaths.clone()));
        let cluster = Arc::new(Cluster::new(parts.id, parts.state.clone()));
        let leader = watch::Sender::new(None);
        let pauses = Arc::new(AtomicUsize::new(0));
        let instance = Instance::start(&parts, tuning, &cluster, &survivor, &leader, &pauses, None).await?;
        let engine = Self {
            id: parts.id,
            channels: parts.channels.clone(),
            cluster,
            tuning: tuning.clone(),
            survivor,
            changing: tokio::sync::Mutex::new(()),
            pauses,
            instance: RwLock::new(Arc::new(instance)),
            swapping: tokio::sync::Mutex::new(()),
            leader,
            condition: watch::Sender::new(survivor::unknown()),
            heard_leader_at: Mutex::default(),
            parts,
        };
        let engine = Arc::new(engine);
        tokio::spawn(engine.clone().survive());
        tokio::spawn(engine.clone().observe());
        Ok(engine)
    }

    /// Raft as it runs now.
    pub(super) fn raft(&self) -> Raft<TypeConfig, Machine> {
        self.instance().raft.clone()
    }

    pub(super) fn instance(&self) -> Arc<Instance> {
        self.instance.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The configurations in this server's log.
    pub fn configurations(&self) -> &Configurations {
        &self.survivor.log_watch.configurations
    }

    /// What this server knows of survivor mode.
    pub fn survivor(&self) -> &Arc<Survivor> {
        &self.survivor
    }

    /// Whether this server, in its present incarnation, is in the in-sync set, as far as it knows.
    pub fn is_in_sync(&self) -> bool {
        self.configurations().newest().rule.lists(self.survivor.own)
    }

    /// How far may be shown, as a leader has told; changes are seen. A new one after a force.
    pub fn raised(&self) -> watch::Receiver<Option<RaftLogId>> {
        self.instance().visibility.raised()
    }

    /// A leader says that everything up to here is visible.
    pub fn raise(&self, log_id: RaftLogId) {
        self.instance().visibility.raise(log_id);
    }

    /// How long ago a leader was heard.
    pub fn leader_silence(&self) -> Option<Duration> {
        self.heard_leader_at.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// This server's node id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Takes note that this server is not a member of the cluster any more, and why; or that it is one (again). Meanwhile
    /// it follows nobody and does not stand for election.
    pub fn retire(&self, why: Option<String>) {
        self.cluster.retire(why);
    }

    /// Why this server is not a member of the cluster any more, if so; changes are seen.
    pub fn retired(&self) -> watch::Receiver<Option<String>> {
        self.cluster.retired()
    }

    /// Who leads, as far as this server knows; changes are seen.
    pub fn leader(&self) -> watch::Receiver<Option<u64>> {
        self.leader.subscribe()
    }

    /// Proposes an entry. None: this server does not lead or has ended. The inner future gives the outcome, or
    /// none where nothing is known of it.
    pub async fn propose(&self, payload: Payload) -> Option<impl Future<Output = Option<Proposed>> + Send + 'static> {
        if self.leader.borrow().is_none_or(|leader| leader != self.id) {
            return None;
        }
        let (responder, outcome) = OneshotResponder::new_pair();
        self.raft().client_write_ff(payload, Some(responder)).await.ok()?;
        Some(async move {
            let written = outcome.await.ok()?.ok()?;
            Some(Proposed { log_index: written.log_id.index, replies: written.data.0 })
        })
    }

    /// The log index that a read must wait for to see everything acknowledged before this call (ReadIndex:
    /// confirmed by a majority). None: this server does not lead, or cannot confirm that it does.
    pub async fn read_index(&self) -> Option<u64> {
        let policy = if sabotage::is(Sabotage::LeaseReads) { ReadPolicy::LeaseRead } else { ReadPolicy::ReadIndex };
        let linearizer = self.raft().get_read_linearizer(policy).await.ok()?;
        Some(linearizer.read_log_id().index())
    }

    /// Where this server stands.
    pub fn overview(&self) -> Overview {
        let metrics = self.raft().metrics().borrow_watched().clone();
        let index = |log_id: Option<RaftLogId>| log_id.map_or(0, |log_id| log_id.index);
        let membership = metrics.membership_config.membership();
        let voters = membership.voter_ids().collect::<BTreeSet<_>>();
        let peers = membership
            .nodes()
            .map(|(id, member)| Peer { id: *id, member: member.clone(), voter: voters.contains(id) })
            .collect();
        Overview {
            role: match metrics.state {
                ServerState::Leader => Role::Leader,
                ServerState::Candidate => Role::Candidate,
                ServerState::Follower => Role::Follower,
                ServerState::Learner | ServerState::Shutdown => Role::Learner,
            },
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_index: metrics.last_log_index.unwrap_or(0),
            committed_index: index(metrics.local_committed),
            applied_index: index(metrics.last_applied),
            visible_index: index(self.instance().visibility.visible(metrics.local_committed)),
            snapshot_index: index(metrics.snapshot),
            purged_index: index(metrics.purged),
            peers,
        }
    }

    /// The other members.
    pub fn others(&self) -> Vec<Peer> {
        self.overview().peers.into_iter().filter(|peer| peer.id != self.id).collect()
    }

    /// Waits until Raft has stopped by a failure, and says which.
    pub async fn failed(&self) -> String {
        loop {
            let instance = self.instance();
            let why = instance.ended().await;
            // Unless it was stopped to make room for another one.
            let _swapped = self.swapping.lock().await;
            if Arc::ptr_eq(&instance, &self.instance()) {
                return why;
            }
        }
    }

    /// Forms a new cluster of this one server.
    ///
    /// # Errors
    /// When this server has been part of a cluster before.
    pub async fn bootstrap(&self, member: Member, recovery_id: [u8; 16]) -> Result<(), EngineError> {
        let failed = |error: &dyn std::fmt::Display| EngineError(format!("cannot form a cluster: {error}"));
        self.raft()
            .initialize(std::collections::BTreeMap::from([(self.id, member)]))
            .await
            .map_err(|error| failed(&error))?;
        self.leader
            .subscribe()
            .wait_for(|leader| *leader == Some(self.id))
            .await
            .map(drop)
            .map_err(|error| failed(&error))?;
        self.found(recovery_id).await.map_err(|error| failed(&error))
    }

    /// Gives the cluster its recovery id, if it has none yet.
    pub(super) async fn found(&self, recovery_id: [u8; 16]) -> Result<(), EngineError> {
        let founded = self.raft().client_write(machine::found_cluster(recovery_id)).await;
        founded.map(drop).map_err(|error| EngineError(error.to_string()))
    }

    /// This server's id and history, as messages of Raft name them.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether this server is, or was, part of a cluster.
    pub async fn is_initialized(&self) -> bool {
        self.raft().is_initialized().await.unwrap_or(false)
    }

    /// Stands for election at once, by the path of a leadership transfer: the lease of the leader, known to be dead,
    /// does not stand in the way. The votes decide as always.
    pub async fn take_over_from(&self, dead: u64) {
        let (vote, last_log_id) = self.vote_and_last_log_id();
        if self.survivor.may_stand() != Some(Mode::Normal) {
            return;
        }
        if !vote.committed || vote.leader_id.voted_for != dead {
            return;
        }
        let request = TransferLeaderRequest::new(vote, self.id, last_log_id);
        if let Ok(Err(error)) = self.raft().handle_transfer_leader(request).await {
            tracing::info!(%error, "did not stand for election");
        }
    }

    /// Hands leadership to the follower that is furthest, if this server leads, and waits (at most `patience`) until it
    /// has gone.
    pub async fn hand_over(&self, patience: Duration) {
        let metrics = self.raft().metrics().borrow_watched().clone();
        let Some(replication) = metrics.replication.filter(|_| metrics.state == ServerState::Leader) else { return };
        let voters = metrics.membership_config.voter_ids().collect::<BTreeSet<_>>();
        let newest = self.configurations().newest().rule;
        let may_lead = |id: &u64| voters.contains(id) && (newest.is_plain() || newest.in_sync.contains_key(id));
        let candidates = replication.into_iter().filter(|(id, _)| *id != self.id && may_lead(id));
        let Some((heir, _)) = candidates.max_by_key(|(_, matched)| *matched) else { return };
        if self.raft().trigger().transfer_leader(heir).await.is_ok() {
            let mut leader = self.leader.subscribe();
            let gone = leader.wait_for(|leader| *leader != Some(self.id));
            let _ = tokio::time::timeout(patience, gone).await;
        }
    }

    /// This server's vote and the end of its log on disk.
    pub fn vote_and_last_log_id(&self) -> (RaftVote, Option<RaftLogId>) {
        let flushed = self.raft().watch_log_progress().get();
        let vote = self.raft().metrics().borrow_watched().vote;
        (vote, flushed.and_then(|point| point.last_log_id))
    }

    /// The same, as told to other servers.
    pub fn vote_status(&self) -> peer::PeerStatus {
        let (vote, last_log_id) = self.vote_and_last_log_id();
        peer::PeerStatus {
            node_id: self.id,
            vote: Some(vote_to_wire(&vote)),
            last_log_id: last_log_id.as_ref().map(log_id_to_wire),
            leader: self.leader.borrow().unwrap_or(0),
            server_status: bytes::Bytes::new(),
            incarnation: 0,
            initialized: false,
        }
    }

    /// Ends Raft on this server.
    pub async fn shutdown(&self) {
        self.instance().visibility.stop_waiting();
        let _ = self.raft().shutdown().await;
    }
}

/// How far a log index reaches, as a position.
pub fn position_of(log_index: u64) -> Position {
    Position::end_of(log_index)
}
