//! What a leader does for survivor mode: raises the visible log id, and changes the in-sync set.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use openraft::{
    ChangeMembers, Instant as _, Raft, RaftMetrics, ServerState, async_runtime::WatchReceiver as _, raft::Precondition,
};
use threefold_rules::{Change, LeaderView, PeerView, Proposal, next_in_sync, visible_index};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Persisted, Survivor,
    configuration::{rule_log_id, with_standing},
    configurations::Placed,
};
use crate::{
    raft::{
        machine::Machine,
        types::{CommittedLeader, Member, RaftLogId, TypeConfig},
        visibility::Visibility,
    },
    sabotage::{self, Sabotage},
};

type Metrics = RaftMetrics<TypeConfig>;

/// A server that has acknowledged nothing for so long is slow or gone: it holds up every write until it leaves the in-sync set.
const UNHEALTHY: Duration = Duration::from_millis(700);
/// The same, for a disk that takes entries and does not come to an end with them.
const STALLED: Duration = Duration::from_millis(1500);
/// So many looks in a row must agree: after a pause of this server's own process everybody seems silent at the first one.
const DOUBTS: u32 = 4;
/// A server with at most so many entries to catch up with is caught up: the rest takes no longer than a disk's hiccup.
const LAG_ENTRIES: u64 = 64;
/// The set is looked at this often, and at every sign of a death.
const LOOK: Duration = Duration::from_millis(25);
/// A change that has not reached the log within this is asked for anew.
const PATIENCE: Duration = Duration::from_secs(1);

/// Raises the visible log id while this server leads. Runs as long as its Raft.
pub async fn raise_visibility(raft: Raft<TypeConfig, Machine>, survivor: Arc<Survivor>, visibility: Arc<Visibility>) {
    let mut metrics = raft.metrics();
    let mut changes = survivor.log_watch.configurations.changes();
    loop {
        let now = metrics.borrow_watched().clone();
        let persisted = if now.state == ServerState::Leader { persisted(&now) } else { Persisted::default() };
        if now.state == ServerState::Leader
            && let Some(log_id) = visible(&now, &persisted, &survivor)
        {
            visibility.raise(log_id);
        }
        if now.state == ServerState::Leader {
            survivor.unstuck();
        }
        survivor.persisted.send_if_modified(|known| std::mem::replace(known, persisted.clone()) != persisted);
        tokio::select! {
            biased;
            changed = metrics.changed() => if changed.is_err() { return },
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

fn persisted(metrics: &Metrics) -> Persisted {
    let matched = metrics.replication.iter().flatten();
    let indices = matched.filter_map(|(id, matched)| Some((*id, (*matched)?.index))).collect();
    Persisted { term: metrics.current_term, indices }
}

/// The visible log id, if it is an entry of this term; earlier ones become visible with the first of those.
fn visible(metrics: &Metrics, persisted: &Persisted, survivor: &Survivor) -> Option<RaftLogId> {
    let configurations = &survivor.log_watch.configurations;
    let (term, first) = configurations.tail().filter(|(term, _)| *term == metrics.current_term)?;
    let committed = metrics.local_committed.filter(|committed| committed.leader_id.term == term)?;
    if sabotage::is(Sabotage::MajorityIsVisible) {
        return (committed.index >= first).then_some(committed);
    }
    let index = visible_index(survivor.own, &configurations.rules(), Some(committed.index), &persisted.indices)?;
    (index >= first).then(|| RaftLogId::new(CommittedLeader::new(term), index))
}

/// How far a server has come, over time.
#[derive(Clone, Copy, Debug)]
struct Advance {
    index: u64,
    /// When it last advanced, or had everything.
    at: Instant,
}

/// What is remembered of a leadership.
struct Leadership {
    term: u64,
    since: Instant,
    advances: BTreeMap<u64, Advance>,
    /// Looks in a row at which a server seemed slow or gone.
    doubts: BTreeMap<u64, u32>,
}

impl Leadership {
    fn of(term: u64) -> Self {
        Self { term, since: Instant::now(), advances: BTreeMap::new(), doubts: BTreeMap::new() }
    }

    /// Whether a server answers in time, and its disk comes to an end with what it is sent.
    fn is_healthy(&mut self, id: u64, metrics: &Metrics, index: Option<u64>) -> bool {
        let now = Instant::now();
        let index = index.unwrap_or(0);
        let advance = self.advances.entry(id).or_insert(Advance { index, at: now });
        if index > advance.index || metrics.last_log_index.is_none_or(|last| index >= last) {
            *advance = Advance { index, at: now };
        }
        let acknowledged = metrics.heartbeat.as_ref().and_then(|heartbeat| heartbeat.get(&id).copied().flatten());
        let silent = acknowledged.map_or(self.since.elapsed(), |at| at.elapsed().min(self.since.elapsed()));
        let seems_healthy = silent < UNHEALTHY && advance.at.elapsed() < STALLED;
        let doubts = self.doubts.entry(id).or_default();
        *doubts = if seems_healthy { 0 } else { doubts.saturating_add(1) };
        *doubts < DOUBTS
    }
}

/// Changes the in-sync set while this server leads, one step at a time. Runs as long as its Raft. `paused`: an operator's
/// change is under way, and survivor mode must not begin.
pub async fn change_in_sync(
    raft: Raft<TypeConfig, Machine>,
    survivor: Arc<Survivor>,
    paused: impl Fn() -> bool + Send + 'static,
) {
    let mut leadership = Leadership::of(0);
    let mut changes = JoinSet::new();
    let mut deaths = survivor.deaths.changes();
    loop {
        let metrics = raft.metrics().borrow_watched().clone();
        if metrics.running_state.is_err() {
            return;
        }
        if metrics.state == ServerState::Leader {
            if leadership.term != metrics.current_term {
                leadership = Leadership::of(metrics.current_term);
            }
            let newest = survivor.log_watch.configurations.newest();
            let proposal = propose(&survivor, &newest, &metrics, &mut leadership);
            let proposal = proposal.filter(|proposal| proposal.change != Change::Begin || !paused());
            if let Some(proposal) = proposal {
                tracing::info!(change = ?proposal.change, in_sync = ?proposal.in_sync.keys(), "changing the in-sync set");
                make(&raft, &survivor, &newest, &proposal, &mut changes).await;
                continue;
            }
        }
        while changes.try_join_next().is_some() {}
        tokio::select! {
            biased;
            () = sleep(LOOK) => {}
            changed = deaths.changed() => if changed.is_err() { return },
        }
    }
}

fn propose(survivor: &Survivor, newest: &Placed, metrics: &Metrics, leadership: &mut Leadership) -> Option<Proposal> {
    if !newest.rule.survivor_mode {
        return None;
    }
    let persisted = persisted(metrics).indices;
    let here = survivor.deaths.standing();
    let others = newest.stored.membership().nodes().map(|(id, _)| *id).filter(|id| *id != survivor.own.id);
    let peers = others.map(|id| {
        let index = persisted.get(&id).copied();
        let run = survivor.deaths.latest(id);
        let listed = newest.rule.in_sync.get(&id);
        let is_dead = listed.is_some_and(|listed| survivor.deaths.is_dead(*listed) && run == Some(*listed));
        let view = PeerView {
            incarnation: run,
            is_healthy: leadership.is_healthy(id, metrics, index) && !is_dead,
            persisted: index,
            is_caught_up: index.is_some_and(|index| Some(index + LAG_ENTRIES) >= metrics.last_log_index),
            death_streams: run.map(|run| both_ways(survivor, &here, newest, run)).unwrap_or_default(),
        };
        (id, view)
    });
    let peers = peers.collect();
    next_in_sync(&LeaderView {
        leader: survivor.own,
        term: metrics.current_term,
        committed: metrics.local_committed.map(rule_log_id),
        newest: &newest.rule,
        peers: &peers,
    })
}

/// The servers between whose current incarnations and `run` the death streams stand in both directions.
fn both_ways(
    survivor: &Survivor,
    here: &BTreeSet<threefold_rules::Incarnation>,
    newest: &Placed,
    run: threefold_rules::Incarnation,
) -> BTreeSet<u64> {
    let there = survivor.deaths.standing_at(run);
    let stands_here = here.contains(&run) && there.contains(&survivor.own.incarnation);
    let others = newest.stored.membership().nodes().map(|(id, _)| *id);
    let both = others.filter(|id| {
        if *id == survivor.own.id {
            return stands_here;
        }
        let other = survivor.deaths.latest(*id);
        other.is_some_and(|other| {
            stands_here && there.contains(&other) && survivor.deaths.standing_at(other).contains(&run)
        })
    });
    both.collect()
}

/// Asks Raft for the change, on no other configuration than the one it was decided on, and waits until it is in the log. It is not waited for
/// until it is visible: another change may be needed for that.
async fn make(
    raft: &Raft<TypeConfig, Machine>,
    survivor: &Survivor,
    newest: &Placed,
    proposal: &Proposal,
    changes: &mut JoinSet<()>,
) {
    let membership = newest.stored.membership();
    let nodes = with_standing(membership, &proposal.in_sync, &proposal.voters, &newest.rule.chosen);
    let change: ChangeMembers<u64, Member> = match proposal.change {
        Change::Finish => ChangeMembers::AddVoterIds(BTreeSet::new()),
        Change::Restore => ChangeMembers::Batch(vec![
            ChangeMembers::SetNodes(nodes),
            ChangeMembers::ReplaceAllVoters(proposal.voters.clone()),
        ]),
        _ => ChangeMembers::SetNodes(nodes),
    };
    let based_on = Precondition::LastMembershipLogId { last_membership_log_id: *newest.stored.log_id() };
    let (raft, described) = (raft.clone(), proposal.change);
    let (done, mut failed) = tokio::sync::oneshot::channel::<()>();
    changes.spawn(async move {
        if let Err(error) = raft.change_membership_if(change, false, [based_on]).await {
            tracing::debug!(change = ?described, %error, "not changed");
        }
        drop(done);
    });
    let mut seen = survivor.log_watch.configurations.changes();
    let in_log = async {
        while survivor.log_watch.configurations.newest().rule.log_id == newest.rule.log_id {
            tokio::select! {
                biased;
                changed = seen.changed() => if changed.is_err() { return },
                _ = &mut failed => return sleep(LOOK).await,
            }
        }
    };
    let _ = timeout(PATIENCE, in_log).await;
}
