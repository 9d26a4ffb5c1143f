//! What a leader does for survivor mode: raises the visible log id, and changes the in-sync set.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use openraft::{
    ChangeMembers, Instant as _, Raft, RaftMetrics, ServerState, async_runtime::WatchReceiver as _, raft::Precondition,
};
use threefold_rules::{
    Change, Configuration, LeaderView, PeerView, Proposal, Sendable, hold_back, next_in_sync, visible_index,
};
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
/// The same, for a server that has never answered this leadership: most likely the leader before it.
const NEVER_HEARD: Duration = Duration::from_millis(300);
/// The same, for a disk that takes entries and does not come to an end with them.
const STALLED: Duration = Duration::from_millis(1500);
/// Who stays when somebody leaves has acknowledged something within this, and something that was sent since somebody is to leave. A leader that
/// hears nobody any more, but is heard, would else remove the server it missed first, by an entry that it can never commit; whoever
/// has that entry could then not go on without this leader.
const IN_TOUCH: Duration = Duration::from_millis(350);
/// Every look for so long must agree: after a pause of this server's own process everybody seems silent at first.
const DOUBT: Duration = Duration::from_millis(100);
/// A server with at most so many entries to catch up with is caught up: the rest takes no longer than a disk's hiccup.
const LAG_ENTRIES: u64 = 64;
/// Looks at figures that are just being written.
const FOLLOWING: u32 = 100;
/// The set is looked at this often, and at every sign of a death.
const LOOK: Duration = Duration::from_millis(25);
/// A change that has not reached the log within this is asked for anew.
const PATIENCE: Duration = Duration::from_secs(1);

/// Raises the visible log id while this server leads. Runs as long as its Raft.
pub async fn raise_visibility(raft: Raft<TypeConfig, Machine>, survivor: Arc<Survivor>, visibility: Arc<Visibility>) {
    // Those tell of everything that Raft does, often of nothing new; the data only of what has changed.
    let (metrics, mut data) = (raft.metrics(), raft.data_metrics());
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
        // Under plain Raft the gate needs no news but of configurations.
        let is_plain = survivor.log_watch.configurations.rules().iter().all(Configuration::is_plain);
        tokio::select! {
            biased;
            changed = changes.changed() => if changed.is_err() { return },
            changed = data.changed(), if !is_plain => if changed.is_err() { return },
            () = sleep(LOOK), if !is_plain => {}
        }
        // The whole figures follow the data by an instant.
        for _ in 0..FOLLOWING {
            let (data, all) = (data.borrow_watched().clone(), metrics.borrow_watched().clone());
            if data.local_committed == all.local_committed && data.replication == all.replication {
                break;
            }
            tokio::task::yield_now().await;
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
    /// Since when a server seems slow or gone, at every look.
    doubted: BTreeMap<u64, Instant>,
    /// Who is to leave, and since when.
    leaving: Option<(u64, Instant)>,
}

impl Leadership {
    fn of(term: u64) -> Self {
        Self { term, since: Instant::now(), advances: BTreeMap::new(), doubted: BTreeMap::new(), leaving: None }
    }

    /// Whether a server answers in time, and its disk comes to an end with what it is sent.
    /// `limit`: the last entry it may be sent.
    fn is_healthy(&mut self, id: u64, metrics: &Metrics, index: Option<u64>, limit: u64) -> bool {
        let now = Instant::now();
        let index = index.unwrap_or(0);
        let advance = self.advances.entry(id).or_insert(Advance { index, at: now });
        if index > advance.index || index >= limit {
            *advance = Advance { index, at: now };
        }
        let advanced = advance.at;
        let has_answered =
            metrics.heartbeat.as_ref().is_some_and(|heartbeat| matches!(heartbeat.get(&id), Some(Some(_))));
        let patience = if has_answered { UNHEALTHY } else { NEVER_HEARD };
        let seems_healthy = self.silence(id, metrics) < patience && advanced.elapsed() < STALLED;
        if seems_healthy {
            self.doubted.remove(&id);
            return true;
        }
        self.doubted.entry(id).or_insert(now).elapsed() < DOUBT
    }

    /// How long ago a server acknowledged anything to this leader.
    fn silence(&self, id: u64, metrics: &Metrics) -> Duration {
        acknowledged(id, metrics).map_or(self.since.elapsed(), |silence| silence.min(self.since.elapsed()))
    }

    /// Whether those that stay answer now, where somebody is to leave. Whose run is over for certain leaves at once, for writes wait for that.
    fn is_in_touch(&mut self, own: u64, proposal: Option<&Proposal>, metrics: &Metrics, is_gone: bool) -> bool {
        let now = Instant::now();
        self.leaving = proposal
            .and_then(leaving)
            .map(|out| self.leaving.filter(|(before, _)| *before == out).unwrap_or((out, now)));
        let Some((_, since)) = self.leaving else { return true };
        let mut staying = proposal.into_iter().flat_map(|proposal| proposal.in_sync.keys()).filter(|id| **id != own);
        staying.all(|id| {
            let answers = acknowledged(*id, metrics).is_some_and(|silence| silence <= since.elapsed());
            self.silence(*id, metrics) < IN_TOUCH && (is_gone || answers)
        })
    }
}

/// Who leaves by a change.
fn leaving(proposal: &Proposal) -> Option<u64> {
    match proposal.change {
        Change::Remove(out) | Change::Swap { out, .. } => Some(out),
        Change::Finish | Change::Begin | Change::BeginCold | Change::Add(_) | Change::Restore => None,
    }
}

/// How long ago something was sent that a server has acknowledged to this leader.
fn acknowledged(id: u64, metrics: &Metrics) -> Option<Duration> {
    metrics.heartbeat.as_ref()?.get(&id).copied().flatten().map(|at| at.elapsed())
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
    let mut metrics = raft.metrics();
    loop {
        while changes.try_join_next().is_some() {}
        let now = metrics.borrow_watched().clone();
        if now.running_state.is_err() {
            return;
        }
        if now.state == ServerState::Leader {
            if leadership.term != now.current_term {
                leadership = Leadership::of(now.current_term);
            }
            let newest = survivor.log_watch.configurations.newest();
            let proposal = propose(&survivor, &newest, &now, &mut leadership);
            let proposal = proposal.filter(|proposal| proposal.change != Change::Begin || !paused());
            let out = proposal.as_ref().and_then(leaving);
            let is_gone =
                out.and_then(|out| newest.rule.in_sync.get(&out)).is_some_and(|out| survivor.deaths.is_gone(*out));
            let is_in_touch = leadership.is_in_touch(survivor.own.id, proposal.as_ref(), &now, is_gone);
            let proposal = proposal.filter(|_| is_in_touch);
            if let Some(proposal) = proposal {
                tracing::info!(change = ?proposal.change, in_sync = ?proposal.in_sync.keys(), "changing the in-sync set");
                make(&raft, &survivor, &newest, &proposal, &mut changes).await;
                continue;
            }
        }
        // Writes wait for the dead to be removed: the next step is looked for at once.
        let newest = survivor.log_watch.configurations.newest().rule;
        let is_urgent = newest.in_sync.values().any(|listed| survivor.deaths.is_dead(*listed));
        tokio::select! {
            biased;
            () = sleep(LOOK) => {}
            changed = deaths.changed() => if changed.is_err() { return },
            changed = metrics.changed(), if is_urgent => if changed.is_err() { return },
        }
    }
}

fn propose(survivor: &Survivor, newest: &Placed, metrics: &Metrics, leadership: &mut Leadership) -> Option<Proposal> {
    if !newest.rule.survivor_mode {
        return None;
    }
    let persisted = persisted(metrics).indices;
    let here = survivor.deaths.standing();
    let listed = newest.rule.in_sync.values().copied();
    let dead = listed.filter(|listed| survivor.deaths.is_gone(*listed)).collect::<BTreeSet<_>>();
    let others = newest.stored.membership().nodes().map(|(id, _)| *id).filter(|id| *id != survivor.own.id);
    let peers = others.map(|id| {
        let index = persisted.get(&id).copied();
        let run = survivor.deaths.latest(id);
        let listed = newest.rule.in_sync.get(&id);
        let is_dead = listed.is_some_and(|listed| survivor.deaths.is_dead(*listed) && run == Some(*listed));
        let last = metrics.last_log_index.unwrap_or(0);
        let limit = match hold_back(survivor.own, &newest.rule, id, run, &persisted, &dead) {
            Sendable::Everything => last,
            Sendable::UpTo(index) => index.min(last),
            Sendable::Nothing => 0,
        };
        let view = PeerView {
            incarnation: run,
            is_healthy: leadership.is_healthy(id, metrics, index, limit) && !is_dead,
            persisted: index,
            is_caught_up: index.is_some_and(|index| index + LAG_ENTRIES >= limit),
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

#[cfg(test)]
mod tests {
    use threefold_rules::Incarnation;

    use super::*;

    /// What a leader sees when these have acknowledged what was sent so long ago, now.
    fn heard(milliseconds: &[(u64, u64)]) -> Metrics {
        let mut metrics = Metrics::new_initial(1);
        let at = |ago: u64| (openraft_rt_tokio::TokioInstant::now() - Duration::from_millis(ago)).into();
        metrics.heartbeat = Some(milliseconds.iter().map(|(id, ago)| (*id, Some(at(*ago)))).collect());
        metrics
    }

    fn removal(out: u64) -> Proposal {
        let incarnation = |directory| Incarnation { directory, counter: 1 };
        let in_sync = [1, 2, 3].into_iter().filter(|id| *id != out).map(|id| (id, incarnation(id))).collect();
        Proposal { change: Change::Remove(out), voters: BTreeSet::from([1, 2, 3]), in_sync }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_leaves_before_those_that_stay_have_answered_anew() {
        let mut leadership = Leadership::of(1);
        tokio::time::advance(Duration::from_secs(1)).await;
        // Server 2 was slow; then nobody is heard any more, server 3 since an instant only.
        let mut may =
            |ago, is_gone| leadership.is_in_touch(1, Some(&removal(2)), &heard(&[(2, 900), (3, ago)]), is_gone);
        assert!(!may(50, false), "it was well, and may be as silent as the other from now on");
        assert!(may(50, true), "who is dead leaves at once");
        assert!(!may(400, true), "but not where nobody answers");
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(!may(150, false), "nothing new");
        assert!(may(60, false), "it answers");
        assert!(leadership.is_in_touch(1, None, &heard(&[(2, 0), (3, 0)]), false));
        let again = heard(&[(2, 900), (3, 60)]);
        assert!(!leadership.is_in_touch(1, Some(&removal(2)), &again, false), "another time is another decision");
    }
}
