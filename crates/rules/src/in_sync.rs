//! Which change of the configuration the leader proposes next (rules 1, 2, 3, 5, 8, 9).

use std::collections::{BTreeMap, BTreeSet};

use crate::{Configuration, Incarnation, LogId, Member, ServerId, Voters};

/// What the leader knows of another server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerView {
    /// The incarnation that runs there now, as far as known.
    pub incarnation: Option<Incarnation>,
    /// It answers in time. A guess: a wrong one costs availability, never safety.
    pub is_healthy: bool,
    /// The highest index of the leader's log known to be on its disk.
    pub persisted: Option<u64>,
    /// It has all that [`crate::hold_back`] lets it have, but for the lag the caller allows.
    pub is_caught_up: bool,
    /// The servers (by id) between whose current incarnations and its own the death streams stand *both ways*.
    pub death_streams: BTreeSet<ServerId>,
}

/// What the leader knows when it asks what to change.
#[derive(Clone, Debug)]
pub struct LeaderView<'a> {
    /// The leader, in its current incarnation.
    pub leader: Member,
    /// The term it leads in.
    pub term: u64,
    /// The newest entry it knows committed.
    pub committed: Option<LogId>,
    /// The newest configuration in its log, committed or not.
    pub newest: &'a Configuration,
    /// The others it knows.
    pub peers: &'a BTreeMap<ServerId, PeerView>,
}

/// Why a change is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// A dead leader left a change of the voters half done: the joint configuration is finished.
    Finish,
    /// Survivor mode begins: the first in-sync set.
    Begin,
    /// A leader elected cold: it alone is in sync (rule 9).
    BeginCold,
    /// A member that stopped, restarted or lags leaves.
    Remove(ServerId),
    /// It leaves, and another takes its place in the same change (perhaps the same server, restarted), since without it
    /// the set would fall below a majority.
    Swap {
        /// Who leaves.
        out: ServerId,
        /// Who comes.
        into: ServerId,
    },
    /// A caught-up server is admitted, in its current incarnation.
    Add(ServerId),
    /// The first servers are back after a force: the chosen voters vote again (rule 8).
    Restore,
}

/// A change to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Why.
    pub change: Change,
    /// The voters strived for. Where they differ from the present ones, Raft goes there by a joint configuration, which
    /// already carries `in_sync`.
    pub voters: BTreeSet<ServerId>,
    /// The new in-sync set.
    pub in_sync: BTreeMap<ServerId, Incarnation>,
}

impl Proposal {
    /// The configuration that enters the log first: joint where the voters change.
    #[must_use]
    pub fn configuration(&self, newest: &Configuration, log_id: LogId) -> Configuration {
        let target = newest.voters.target();
        let voters = if newest.voters.is_joint() || target == self.voters {
            Voters::new(self.voters.clone())
        } else {
            Voters::joint(vec![target, self.voters.clone()])
        };
        Configuration { log_id, voters, in_sync: self.in_sync.clone(), ..newest.clone() }
    }
}

/// Which change of the configuration a leader proposes now, if any.
///
/// - **Only with everything before it committed** (rule 1): an entry of the leader's own term, and the newest configuration. This is Raft's own
///   rule for changes of its configuration, and keeps short what a sole survivor must look at. The model knows no counterexample without it.
/// - **Never below a majority of the voters** (rule 3), but by the swap of one for another. Counterexample: an in-sync set of the leader alone; its
///   process dies, the two others are healthy and may not stand.
/// - **Admitted only with death streams standing both ways** between the newcomer and every member (rule 5). Counterexample: admitted
///   without, the others die, and it has no proof of it: two of three crashed, and the third waits for ever.
/// - **Admitted only with the newest configuration on its disk** (rule 5), whatever lag is allowed. Counterexample: a member was removed, missed
///   a write, and is admitted again, still the same incarnation; the others announce that to it and die before it has the entries between. Both
///   configurations it knows of list it, and it goes on without the write.
/// - A member that alone is not well leaves before a restarted one. Counterexample where the restarted one goes first: A leads, B's machine
///   is gone, C was started again. Without C's earlier run the set is A and B, which needs B's disk; with C's, it needs only C's, which answers:
///   two of three are well, and frozen.
///
/// One change at a time, always the same for the same view. None where survivor mode is off.
#[must_use]
pub fn next_in_sync(view: &LeaderView<'_>) -> Option<Proposal> {
    let newest = view.newest;
    let own_term = view.committed.is_some_and(|committed| committed.term == view.term);
    let all_committed = view.committed.is_some_and(|committed| committed >= newest.log_id);
    if !newest.survivor_mode || !own_term || !all_committed || !newest.voters.contains(view.leader.id) {
        return None;
    }
    let unchanged = |change, in_sync| Proposal { change, voters: newest.voters.target(), in_sync };
    if newest.voters.is_joint() {
        return Some(unchanged(Change::Finish, newest.in_sync.clone()));
    }
    if newest.in_sync.is_empty() {
        return begin(view);
    }
    if !newest.lists(view.leader) {
        let alone = BTreeMap::from([(view.leader.id, view.leader.incarnation)]);
        return Some(unchanged(Change::BeginCold, alone));
    }
    leaving(view).or_else(|| returning(view)).or_else(|| coming(view))
}

/// The first in-sync set: everybody fit, if that is a majority.
fn begin(view: &LeaderView<'_>) -> Option<Proposal> {
    let voters = view.newest.voters.target();
    let leader = BTreeMap::from([(view.leader.id, view.leader.incarnation)]);
    let in_sync = with_all_fit(view, &voters, leader);
    let change = Change::Begin;
    is_majority(&in_sync, &voters).then_some(Proposal { change, voters, in_sync })
}

/// Somebody leaves: one that alone is not well, else one that has restarted.
///
/// Counterexample where one of two silent members leaves: A leads, B only seemed silent, C hangs. The removal of B is held back from B until C
/// has it, C takes nothing, and nobody can commit it: A and B are well, and frozen. It would be of no use anyway: what it frees
/// needs the disk of the other silent one.
fn leaving(view: &LeaderView<'_>) -> Option<Proposal> {
    let others = || view.newest.in_sync.iter().filter(|(id, _)| **id != view.leader.id);
    let unfit = |peer: Option<&PeerView>| peer.is_none_or(|peer| !peer.is_healthy);
    let restarted = |id: &ServerId, listed: &Incarnation| {
        let now = view.peers.get(id).and_then(|peer| peer.incarnation);
        now.is_some_and(|now| now.succeeds(*listed))
    };
    let gone = others().find(|(id, listed)| restarted(id, listed));
    let alone_unfit = || {
        let mut unfit = others().filter(|(id, _)| unfit(view.peers.get(*id)));
        unfit.next().filter(|_| unfit.next().is_none())
    };
    let (out, _) = alone_unfit().or(gone)?;
    let voters = view.newest.voters.target();
    let mut in_sync = view.newest.in_sync.clone();
    in_sync.remove(out);
    if is_majority(&in_sync, &voters) {
        return Some(Proposal { change: Change::Remove(*out), voters, in_sync });
    }
    let (into, incarnation) = fit(view, &voters, &in_sync).next()?;
    in_sync.insert(into, incarnation);
    is_majority(&in_sync, &voters).then_some(Proposal { change: Change::Swap { out: *out, into }, voters, in_sync })
}

/// The chosen voters vote again, as soon as enough of them are back to be in sync.
fn returning(view: &LeaderView<'_>) -> Option<Proposal> {
    let voters = view.newest.chosen.clone();
    if voters == view.newest.voters.target() || !voters.contains(&view.leader.id) {
        return None;
    }
    let in_sync = with_all_fit(view, &voters, view.newest.in_sync.clone());
    let change = Change::Restore;
    is_majority(&in_sync, &voters).then_some(Proposal { change, voters, in_sync })
}

/// A voter outside is admitted.
fn coming(view: &LeaderView<'_>) -> Option<Proposal> {
    let voters = view.newest.voters.target();
    let mut in_sync = view.newest.in_sync.clone();
    let (into, incarnation) = fit(view, &voters, &in_sync).next()?;
    in_sync.insert(into, incarnation);
    Some(Proposal { change: Change::Add(into), voters, in_sync })
}

/// Those of `voters` that may be admitted to `in_sync` now.
fn fit<'a>(
    view: &'a LeaderView<'_>,
    voters: &'a BTreeSet<ServerId>,
    in_sync: &'a BTreeMap<ServerId, Incarnation>,
) -> impl Iterator<Item = (ServerId, Incarnation)> + 'a {
    view.peers.iter().filter_map(move |(id, peer)| {
        let is_voter = voters.contains(id) && !in_sync.contains_key(id);
        let streams_stand = in_sync.keys().all(|member| peer.death_streams.contains(member));
        let has_newest = peer.persisted.is_some_and(|index| index >= view.newest.log_id.index);
        let is_fit = is_voter && peer.is_healthy && peer.is_caught_up && has_newest && streams_stand;
        peer.incarnation.filter(|_| is_fit).map(|incarnation| (*id, incarnation))
    })
}

/// `in_sync` and everybody who may join it, one after another, so that the newcomers' streams among each other count too.
fn with_all_fit(
    view: &LeaderView<'_>,
    voters: &BTreeSet<ServerId>,
    mut in_sync: BTreeMap<ServerId, Incarnation>,
) -> BTreeMap<ServerId, Incarnation> {
    for _ in view.peers {
        let Some((id, incarnation)) = fit(view, voters, &in_sync).next() else { break };
        in_sync.insert(id, incarnation);
    }
    in_sync
}

fn is_majority(in_sync: &BTreeMap<ServerId, Incarnation>, voters: &BTreeSet<ServerId>) -> bool {
    Voters::new(voters.clone()).are_majority(|voter| in_sync.contains_key(&voter))
}

#[cfg(test)]
#[path = "in_sync_tests.rs"]
mod tests;
