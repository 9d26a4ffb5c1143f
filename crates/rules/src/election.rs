//! Rules 4 and 9: who may stand, who may vote, and the cold start.
//!
//! Raft's own rules (one vote a term, the longer log wins, a majority elects) hold besides; these only ever say no.

use std::collections::BTreeSet;

use crate::{Configuration, LogId, Member, ServerId};

/// How a server stands for election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// It is in sync (or this is plain Raft): a majority of the voters elects it.
    Normal,
    /// It is not: every disk of its newest in-sync set must agree too.
    Cold,
}

/// What a request for a vote carries besides Raft's term and log id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VoteRequest {
    /// Who asks, in which incarnation.
    pub candidate: Member,
    /// How it stands.
    pub mode: Mode,
    /// The last entry of its log.
    pub last_log_id: LogId,
}

/// Why a vote is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A cold candidate, but this server is still in sync: it never stopped, and may lead or follow a leader that the candidate
    /// cannot see.
    InSync,
    /// As [`Refusal::InSync`], and the candidate's log outranks this server's, which therefore can hardly lead either. If
    /// nobody leads for long, this server must restart itself: then it may vote cold.
    InSyncButBehind,
    /// The request is of an incarnation that has been succeeded: it comes from the dead.
    Succeeded,
}

/// Rule 4: how a server may stand for election, if at all.
///
/// `latest` is the newest configuration in its *own* log. Ask at every vote request sent (pre-votes too) and before
/// the transfer path is taken: the configuration may have changed since the server became a candidate.
///
/// Counterexample without it (a restarted server stands as in plain Raft): B was down while A and C, then C alone after A died, went
/// on. C dies; B and A come back, are a majority, and elect a leader that lacks what C acknowledged.
///
/// A server without a vote does not stand. With an empty in-sync set any voter stands, as in plain Raft.
#[must_use]
pub fn may_stand(server: Member, latest: &Configuration) -> Option<Mode> {
    if !latest.voters.contains(server.id) {
        return None;
    }
    Some(if latest.is_plain() || latest.lists(server) { Mode::Normal } else { Mode::Cold })
}

/// Rules 4 and 9: whether a server may grant a vote, as far as survivor mode is concerned. Raft's log rule decides besides.
///
/// `latest` is the newest configuration in the voter's own log, `last_log_id` the end of that log.
///
/// A restarted server may vote for a listed candidate. It must: after one of three was restarted and another died, the third
/// has no other voter. It is safe, since its disk, by the log rule, speaks for what it had persisted.
///
/// A server that is in sync and never stopped refuses cold candidates. Counterexample without it: A restarts and is elected cold by B and C, which
/// never stopped. C takes its first entry and dies. To B, every other listed incarnation is dead now, so it goes on alone; A
/// commits with what C acknowledged. Two histories.
///
/// # Errors
/// The reason for which no vote is given.
pub fn may_vote(
    voter: Member,
    latest: &Configuration,
    last_log_id: LogId,
    request: &VoteRequest,
) -> Result<(), Refusal> {
    let candidate = request.candidate;
    let listed = latest.in_sync.get(&candidate.id);
    if !latest.is_plain() && listed.is_some_and(|listed| listed.succeeds(candidate.incarnation)) {
        return Err(Refusal::Succeeded);
    }
    match request.mode {
        Mode::Cold if latest.lists(voter) && request.last_log_id > last_log_id => Err(Refusal::InSyncButBehind),
        Mode::Cold if latest.lists(voter) => Err(Refusal::InSync),
        Mode::Cold | Mode::Normal => Ok(()),
    }
}

/// Rule 9: whose grants a candidate still lacks, beyond Raft's majority. As long as there are any, the grants it has are
/// withheld from the consensus library, which counts plain majorities. `granted` need not contain the candidate itself.
///
/// Counterexample without it (a majority elects a cold candidate): all three stop, C last, having gone on by force. A and
/// B alone come back, are a majority, and go on without what C acknowledged. The last to fail may know more: its disk is needed.
#[must_use]
pub fn withheld_for(
    candidate: Member,
    latest: &Configuration,
    mode: Mode,
    granted: &BTreeSet<ServerId>,
) -> BTreeSet<ServerId> {
    match mode {
        Mode::Normal => BTreeSet::new(),
        Mode::Cold if latest.is_plain() => BTreeSet::new(),
        Mode::Cold => {
            let lacks = |server: &&ServerId| **server != candidate.id && !granted.contains(server);
            latest.in_sync.keys().filter(lacks).copied().collect()
        }
    }
}

/// Whether a cold start may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColdStart {
    /// This server stands normally, or has no vote: a cold start is not for it.
    NotForThis,
    /// These must be reachable first: any of them may know more, or votes are lacking.
    WaitFor(BTreeSet<ServerId>),
    /// It may stand, cold.
    Begin,
}

/// Rule 9: whether a server that is not in sync may try a cold start, given the servers it can reach; if not, whom it waits
/// for (what `status` shows). Only saves futile elections: what makes a cold start safe is [`withheld_for`].
#[must_use]
pub fn may_begin_cold(server: Member, latest: &Configuration, reachable: &BTreeSet<ServerId>) -> ColdStart {
    if may_stand(server, latest) != Some(Mode::Cold) {
        return ColdStart::NotForThis;
    }
    let missing = withheld_for(server, latest, Mode::Cold, reachable);
    if !missing.is_empty() {
        return ColdStart::WaitFor(missing);
    }
    let here = |voter| voter == server.id || reachable.contains(&voter);
    if latest.voters.are_majority(here) {
        return ColdStart::Begin;
    }
    ColdStart::WaitFor(latest.voters.all().into_iter().filter(|voter| !here(*voter)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{configuration, id, member, plain, restarted, with};

    fn request(candidate: Member, mode: Mode, last: (u64, u64)) -> VoteRequest {
        VoteRequest { candidate, mode, last_log_id: id(last) }
    }

    #[test]
    fn only_a_listed_incarnation_stands_normally() {
        let latest = configuration((1, 1), &[1, 2]);
        assert_eq!(may_stand(member(1), &latest), Some(Mode::Normal));
        assert_eq!(may_stand(member(3), &latest), Some(Mode::Cold), "outside");
        assert_eq!(may_stand(restarted(1), &latest), Some(Mode::Cold), "listed, but as its predecessor");
        assert_eq!(may_stand(member(4), &latest), None, "no voter");
        assert_eq!(may_stand(restarted(1), &plain((1, 1))), Some(Mode::Normal), "plain Raft");
    }

    #[test]
    fn a_restarted_server_votes_for_a_listed_one_and_cold() {
        let latest = configuration((1, 1), &[1, 2, 3]);
        let (voter, end) = (restarted(2), id((1, 5)));
        assert_eq!(may_vote(voter, &latest, end, &request(member(1), Mode::Normal, (1, 5))), Ok(()));
        assert_eq!(may_vote(voter, &latest, end, &request(restarted(3), Mode::Cold, (1, 5))), Ok(()));
    }

    #[test]
    fn a_continuing_member_never_votes_cold() {
        let latest = configuration((1, 1), &[1, 2, 3]);
        let (voter, end) = (member(2), id((1, 5)));
        let refused = |last| may_vote(voter, &latest, end, &request(restarted(3), Mode::Cold, last));
        assert_eq!(refused((1, 5)), Err(Refusal::InSync));
        assert_eq!(refused((1, 6)), Err(Refusal::InSyncButBehind));
        assert_eq!(may_vote(voter, &latest, end, &request(member(1), Mode::Normal, (1, 5))), Ok(()));
        assert_eq!(may_vote(voter, &plain((1, 1)), end, &request(restarted(3), Mode::Cold, (1, 5))), Ok(()));
    }

    #[test]
    fn the_dead_get_no_votes() {
        let latest = with((2, 3), &[member(1), restarted(2)]);
        let late = request(member(2), Mode::Normal, (2, 3));
        assert_eq!(may_vote(member(1), &latest, id((2, 3)), &late), Err(Refusal::Succeeded));
    }

    #[test]
    fn a_cold_candidate_needs_every_in_sync_disk() {
        let latest = configuration((1, 1), &[1, 2]);
        let lacking = |granted: &[ServerId]| -> Vec<ServerId> {
            withheld_for(restarted(3), &latest, Mode::Cold, &granted.iter().copied().collect()).into_iter().collect()
        };
        let none: Vec<ServerId> = Vec::new();
        assert_eq!(lacking(&[1]), vec![2]);
        assert_eq!(lacking(&[1, 2]), none);
        assert!(withheld_for(member(1), &latest, Mode::Normal, &BTreeSet::new()).is_empty());
        assert!(withheld_for(restarted(1), &plain((1, 1)), Mode::Cold, &BTreeSet::new()).is_empty());
    }

    #[test]
    fn a_cold_start_says_whom_it_waits_for() {
        let all = configuration((1, 1), &[1, 2, 3]);
        let begin =
            |reachable: &[ServerId], latest| may_begin_cold(restarted(1), latest, &reachable.iter().copied().collect());
        assert_eq!(begin(&[2], &all), ColdStart::WaitFor(BTreeSet::from([3])));
        assert_eq!(begin(&[2, 3], &all), ColdStart::Begin);
        let alone = configuration((1, 1), &[1]);
        assert_eq!(begin(&[], &alone), ColdStart::WaitFor(BTreeSet::from([2, 3])), "no majority");
        assert_eq!(begin(&[3], &alone), ColdStart::Begin);
        assert_eq!(may_begin_cold(member(1), &all, &BTreeSet::from([2, 3])), ColdStart::NotForThis);
    }
}
