//! Survivor mode: what the pure decisions of `threefold_rules` need to know, and what becomes of their answers.
//!
//! [`Survivor`] holds the facts and asks the rules: who may stand and vote, and what may be sent to whom. `leading` raises the
//! visible log id and changes the in-sync set while this server leads; `alone` takes the way of a sole survivor. The
//! decisions themselves are elsewhere, and checked there.

mod alone;
mod ballots;
pub mod condition;
pub mod configuration;
pub mod configurations;
mod leading;
mod observing;
mod pausing;
#[cfg(test)]
mod review;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use threefold_rules::{
    Incarnation, Member, Mode, Refusal, Sendable, VoteRequest, hold_back, may_force, may_stand, may_vote,
};
use tokio::{sync::watch, time::Instant};

use ballots::Ballots;
pub use leading::{change_in_sync, raise_visibility};
pub(super) use observing::unknown;

use super::{
    log::LogWatch,
    sending::Told,
    types::{RaftLogId, RaftVote},
};
use crate::{
    peer::death::Deaths,
    sabotage::{self, Sabotage},
};
use configuration::{incarnation, member, rule_log_id};

/// A server in sync that nobody leads, and that may not lead since the others know more, restarts after this long: then
/// it may vote for them.
const STUCK: Duration = Duration::from_secs(3);

/// What a leader knows to be on each server's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Persisted {
    /// The term it leads in.
    pub term: u64,
    /// For each server the highest index of the leader's log.
    pub indices: BTreeMap<u64, u64>,
}

/// The facts of one server.
pub struct Survivor {
    /// This server in its current incarnation.
    pub own: Member,
    /// Its log's configurations, and how new ones are announced.
    pub log_watch: LogWatch,
    /// What it has heard of deaths.
    pub deaths: Arc<Deaths>,
    /// What the appends to followers have told them.
    pub told: Arc<Told>,
    persisted: watch::Sender<Persisted>,
    ballots: Ballots,
    /// Since when this server, in sync, has refused candidates that know more than it does.
    behind_since: watch::Sender<Option<Instant>>,
}

impl Survivor {
    /// Of the server `id`, whose directory was opened `counter` times.
    pub fn new(id: u64, counter: u64, log_watch: LogWatch, deaths: Arc<Deaths>) -> Self {
        Self {
            own: member(id, counter),
            log_watch,
            deaths,
            told: Arc::default(),
            persisted: watch::Sender::default(),
            ballots: Ballots::default(),
            behind_since: watch::Sender::default(),
        }
    }

    /// Rule 4: how this server may stand for election now, if at all.
    pub fn may_stand(&self) -> Option<Mode> {
        if sabotage::is(Sabotage::RestartedVotes) {
            return Some(Mode::Normal);
        }
        may_stand(self.own, &self.log_watch.configurations.newest().rule)
    }

    /// Rules 4 and 9: whether this server may grant a vote.
    ///
    /// # Errors
    /// Why not.
    pub fn may_vote(
        &self,
        candidate: &RaftVote,
        counter: u64,
        is_cold: bool,
        theirs: Option<RaftLogId>,
        ours: Option<RaftLogId>,
    ) -> Result<(), Refusal> {
        if sabotage::is(Sabotage::RestartedVotes) {
            return Ok(());
        }
        let request = VoteRequest {
            candidate: member(candidate.leader_id.voted_for, counter),
            mode: if is_cold { Mode::Cold } else { Mode::Normal },
            last_log_id: theirs.map(rule_log_id).unwrap_or_default(),
        };
        let latest = self.log_watch.configurations.newest().rule;
        let decision = may_vote(self.own, &latest, ours.map(rule_log_id).unwrap_or_default(), &request);
        if decision == Err(Refusal::InSyncButBehind) {
            self.behind_since.send_if_modified(|since| since.replace(since.unwrap_or_else(Instant::now)).is_none());
        }
        decision
    }

    /// Rule 9: waits until the grants of everybody who must give one are there.
    pub async fn ballot_complete(&self, mode: Mode, term: u64, is_question: bool, voter: u64) {
        let configurations = &self.log_watch.configurations;
        self.ballots.complete(self.own, mode, (term, is_question), voter, configurations).await;
    }

    /// Rule 3: waits until the entries up to `last_index` may be sent to a server in this incarnation, by a leader of this term.
    pub async fn wait_until_sendable(&self, term: u64, target: u64, counter: Option<u64>, last_index: u64) {
        let mut persisted = self.persisted.subscribe();
        let mut changes = self.log_watch.configurations.changes();
        let mut deaths = self.deaths.changes();
        loop {
            let newest = self.log_watch.configurations.newest().rule;
            if newest.is_plain() {
                return;
            }
            let known = persisted.borrow_and_update().clone();
            let indices = if known.term == term { known.indices } else { BTreeMap::new() };
            let listed = newest.in_sync.values().copied();
            let dead = listed.filter(|listed| self.deaths.is_gone(*listed)).collect::<BTreeSet<_>>();
            let target_run = counter.map(|counter| incarnation(target, counter));
            match hold_back(self.own, &newest, target, target_run, &indices, &dead) {
                Sendable::Everything => return,
                Sendable::UpTo(index) if last_index <= index => return,
                Sendable::UpTo(_) | Sendable::Nothing => {}
            }
            let changed = tokio::select! {
                biased;
                changed = persisted.changed() => changed,
                changed = changes.changed() => changed,
                changed = deaths.changed() => changed,
            };
            if changed.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// The other servers in sync that lack entries of this leader's log; all of them, if it does not lead or none does.
    pub fn behind(&self) -> BTreeSet<u64> {
        let newest = self.log_watch.configurations.newest().rule;
        let indices = self.persisted.borrow().indices.clone();
        let others = || newest.in_sync.keys().copied().filter(|id| *id != self.own.id);
        let own = indices.get(&self.own.id).copied();
        let behind = others().filter(|id| indices.get(id).copied() < own).collect::<BTreeSet<_>>();
        if behind.is_empty() { others().collect() } else { behind }
    }

    /// The pairs of in-sync servers of which one does not hear the other's death stream, as far as this server can tell: neither could be
    /// proven dead to the other one.
    pub fn deaf(&self, in_sync: &BTreeMap<u64, Incarnation>) -> BTreeSet<(u64, u64)> {
        let (own, here) = (self.own.incarnation, self.deaths.standing());
        let hears = |one: Incarnation, other: Incarnation| match one == own {
            true => here.contains(&other),
            false => self.deaths.standing_at(one).contains(&other),
        };
        // Of those that are not heard here, only what this server hears itself is known.
        let is_known = |one, other| one == own || other == own || (here.contains(&one) && here.contains(&other));
        let is_deaf = |one, other| is_known(one, other) && !(hears(one, other) && hears(other, one));
        let living = in_sync.iter().filter(|(_, run)| !self.deaths.is_dead(**run)).collect::<Vec<_>>();
        let pairs =
            living.iter().enumerate().flat_map(|(n, one)| living[n + 1..].iter().map(move |other| (*one, *other)));
        pairs
            .filter(|((_, one), (_, other))| is_deaf(**one, **other))
            .map(|((one, _), (other, _))| (*one, *other))
            .collect()
    }

    /// Rule 7: whether this server may go on alone.
    pub fn may_force(&self) -> Result<(), threefold_rules::Blocked> {
        may_force(self.own, &self.log_watch.configurations.rules(), &self.deaths.dead())
    }

    /// Somebody leads: nothing is stuck.
    pub fn unstuck(&self) {
        self.behind_since.send_if_modified(|since| since.take().is_some());
    }

    /// Waits until this server can neither lead nor vote for those who could (rule 9): it must restart itself.
    pub async fn stuck(&self) {
        let mut since = self.behind_since.subscribe();
        loop {
            let at = *since.borrow_and_update();
            tokio::select! {
                biased;
                changed = since.changed() => if changed.is_err() { return std::future::pending().await },
                () = async { match at { Some(at) => tokio::time::sleep_until(at + STUCK).await, None => std::future::pending().await } } => return,
            }
        }
    }
}
