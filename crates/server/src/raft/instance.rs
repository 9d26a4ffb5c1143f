//! One run of Raft, from its start to its end. A sole survivor's force ends one and starts the next.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use openraft::{Raft, SnapshotPolicy, async_runtime::WatchReceiver as _};
use tokio::{
    sync::{MutexGuard, watch},
    task::JoinSet,
};

use super::{
    Engine, EngineError,
    cluster::Cluster,
    engine::Parts,
    executor, housekeeping,
    log::Log,
    machine::Machine,
    network::NetworkFactory,
    survivor::{Survivor, change_in_sync, raise_visibility},
    types::{RaftLogId, TypeConfig},
    visibility::Visibility,
};
use crate::{config::Tuning, peer::channels::Channels};

/// A whole state may take this long to cross.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(3600);
/// Entries in one append; their bytes are bounded by the log.
const APPEND_ENTRIES: u64 = 256;

/// Raft while it runs.
pub(super) struct Instance {
    pub raft: Raft<TypeConfig, Machine>,
    pub visibility: Arc<Visibility>,
    /// End with it.
    _tasks: JoinSet<()>,
}

impl Instance {
    /// Starts Raft on what log and state hold; nothing is visible beyond `visible` at first.
    pub async fn start(
        parts: &Parts,
        tuning: &Tuning,
        cluster: &Arc<Cluster>,
        survivor: &Arc<Survivor>,
        leader: &watch::Sender<Option<u64>>,
        pauses: &Arc<AtomicUsize>,
        visible: Option<RaftLogId>,
    ) -> Result<Self, EngineError> {
        let failed = |error: &dyn std::fmt::Display| EngineError(error.to_string());
        let log_watch = survivor.log_watch.clone();
        let visibility = Arc::new(Visibility::new(log_watch.configurations.clone(), visible));
        let machine = Machine::new(
            parts.state.clone(),
            parts.executor.clone(),
            visibility.clone(),
            log_watch.clone(),
            parts.observer.clone(),
        );
        let network =
            NetworkFactory::new(parts.channels.clone(), cluster.clone(), survivor.clone(), visibility.raised());
        let config = raft_config(tuning).validate().map_err(|error| failed(&error))?;
        let log = Log::new(parts.log.clone(), log_watch);
        let machine = machine.map_err(|error| failed(&error))?;
        let raft = Raft::new(parts.id, Arc::new(config), network, log, machine).await;
        let raft = raft.map_err(|error| failed(&error))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(watch_server(raft.clone(), parts.channels.clone(), leader.clone(), cluster.retired()));
        let (log, state) = (Arc::downgrade(&parts.log), Arc::downgrade(&parts.state));
        tasks.spawn(housekeeping::run(raft.clone(), log, state, tuning.clone()));
        tasks.spawn(raise_visibility(raft.clone(), survivor.clone(), visibility.clone()));
        let pauses = pauses.clone();
        tasks.spawn(change_in_sync(raft.clone(), survivor.clone(), move || pauses.load(Ordering::SeqCst) > 0));
        Ok(Self { raft, visibility, _tasks: tasks })
    }

    /// Waits until Raft has ended, and says why.
    pub async fn ended(&self) -> String {
        // Not the whole metrics: they change with every entry, and would wake this for nothing. These end with Raft too.
        let mut changes = self.raft.server_metrics();
        let mut has_ended = false;
        loop {
            let state = self.raft.metrics().borrow_watched().running_state.clone();
            if let Err(fatal) = state {
                return self.visibility.failure().unwrap_or_else(|| fatal.to_string());
            }
            if has_ended {
                return "it has ended".to_owned();
            }
            has_ended = changes.changed().await.is_err();
        }
    }
}

impl Engine {
    /// Ends Raft, so that another instance can take its place: when this returns nothing of the old one touches log
    /// or state any more.
    pub(super) async fn stop_instance(&self) -> MutexGuard<'_, ()> {
        let swap = self.swapping.lock().await;
        let instance = self.instance();
        instance.visibility.stop_waiting();
        let _ = instance.raft.shutdown().await;
        instance.visibility.close().await;
        // Whatever the executor was given before has run when this has.
        executor::run(&*self.parts.executor, || ()).await;
        self.leader.send_replace(None);
        swap
    }

    /// Starts Raft anew, after [`Engine::stop_instance`].
    pub(super) async fn start_instance(&self, _swap: MutexGuard<'_, ()>) -> Result<(), EngineError> {
        let visible = *self.instance().visibility.raised().borrow();
        let started = Instance::start(
            &self.parts,
            &self.tuning,
            &self.cluster,
            &self.survivor,
            &self.leader,
            &self.pauses,
            visible,
        );
        let instance = Arc::new(started.await?);
        *self.instance.write().unwrap_or_else(PoisonError::into_inner) = instance;
        Ok(())
    }
}

fn raft_config(tuning: &Tuning) -> openraft::Config {
    openraft::Config {
        cluster_name: "threefold".to_owned(),
        heartbeat_interval: tuning.heartbeat_ms,
        election_timeout_min: tuning.election_min_ms,
        election_timeout_max: tuning.election_max_ms,
        install_snapshot_timeout: SNAPSHOT_TIMEOUT.as_millis() as u64,
        max_payload_entries: APPEND_ENTRIES,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(tuning.snapshot_entries),
        max_in_snapshot_log_to_keep: tuning.keep_entries,
        enable_pre_vote: Some(true),
        // A restarted leader may have a state older than what it acknowledged: it must be elected again.
        enable_leader_restore: Some(false),
        // Somebody put an old copy of a member's directory back: openraft would panic, and stop the leader for one
        // follower's sake. It is sent again what it has lost. (That copy may have forgotten votes and entries that counted:
        // no operator should do this, and no setting could make it safe.)
        allow_log_reversion: Some(true),
        ..openraft::Config::default()
    }
}

/// Follows the metrics: gives the leader, so that others wake only when it changes, and notes the members' addresses. A
/// server that is not a member any more knows of no leader, and does not stand for election.
async fn watch_server(
    raft: Raft<TypeConfig, Machine>,
    channels: Arc<Channels>,
    leader: watch::Sender<Option<u64>>,
    mut retired: watch::Receiver<Option<String>>,
) {
    let mut metrics = raft.server_metrics();
    loop {
        let now = metrics.borrow_watched().clone();
        let members = now.membership_config.membership().nodes();
        channels.note_members(members.map(|(id, member)| (*id, member.clone())).collect());
        let is_member = retired.borrow_and_update().is_none();
        raft.runtime_config().elect(is_member);
        let leads = now.current_leader.filter(|_| is_member);
        leader.send_if_modified(|known| std::mem::replace(known, leads) != leads);
        let changed = tokio::select! {
            biased;
            changed = metrics.changed() => changed.is_ok(),
            changed = retired.changed() => changed.is_ok(),
        };
        if !changed {
            return;
        }
    }
}
