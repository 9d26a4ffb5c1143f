//! Which change is proposed when.

use super::*;
use crate::{
    forced_configuration,
    testing::{configuration, id, member, plain, restarted, with},
};

/// A server that answers, has everything, and has its streams to the two others.
fn well(server: Member) -> (ServerId, PeerView) {
    let death_streams = (1..=3).filter(|other| *other != server.id).collect();
    let incarnation = Some(server.incarnation);
    (server.id, PeerView { incarnation, is_healthy: true, persisted: Some(9), is_caught_up: true, death_streams })
}

/// The same, but it does not answer.
fn silent(server: Member) -> (ServerId, PeerView) {
    let (id, peer) = well(server);
    (id, PeerView { is_healthy: false, ..peer })
}

/// What server 1 proposes, leading in term 1 with everything up to index 9 committed.
fn proposed(newest: &Configuration, peers: &[(ServerId, PeerView)]) -> Option<Proposal> {
    proposed_with(newest, peers, Some((1, 9)))
}

fn proposed_with(
    newest: &Configuration,
    peers: &[(ServerId, PeerView)],
    committed: Option<(u64, u64)>,
) -> Option<Proposal> {
    let peers = peers.iter().cloned().collect();
    let committed = committed.map(id);
    next_in_sync(&LeaderView { leader: member(1), term: 1, committed, newest, peers: &peers })
}

fn members(proposal: Option<Proposal>) -> (Change, Vec<Member>) {
    let proposal = proposal.unwrap();
    let members = proposal.in_sync.into_iter().map(|(id, incarnation)| Member { id, incarnation });
    (proposal.change, members.collect())
}

#[test]
fn all_is_well_and_nothing_changes() {
    let all = configuration((1, 1), &[1, 2, 3]);
    assert_eq!(proposed(&all, &[well(member(2)), well(member(3))]), None);
    assert_eq!(proposed(&plain((1, 1)), &[silent(member(2)), well(member(3))]), None, "survivor mode is off");
}

#[test]
fn a_silent_member_leaves_once_everything_is_committed() {
    let all = configuration((1, 5), &[1, 2, 3]);
    let peers = [well(member(2)), silent(member(3))];
    let removed = (Change::Remove(3), vec![member(1), member(2)]);
    assert_eq!(members(proposed(&all, &peers)), removed);
    assert_eq!(proposed_with(&all, &peers, Some((1, 4))), None, "the configuration is not committed");
    assert_eq!(proposed_with(&all, &peers, None), None);
    let older = configuration((0, 5), &[1, 2, 3]);
    assert_eq!(proposed_with(&older, &peers, Some((0, 5))), None, "nothing of its own term is committed");
}

#[test]
fn a_silent_member_leaves_before_a_restarted_one_that_answers() {
    let all = configuration((1, 1), &[1, 2, 3]);
    let removed = members(proposed(&all, &[silent(member(2)), well(restarted(3))]));
    assert_eq!(removed, (Change::Remove(2), vec![member(1), member(3)]));
    let rest = configuration((1, 5), &[1, 3]);
    let swapped = members(proposed(&rest, &[silent(member(2)), well(restarted(3))]));
    assert_eq!(swapped, (Change::Swap { out: 3, into: 3 }, vec![member(1), restarted(3)]));
    let neither_is_well = members(proposed(&all, &[silent(member(2)), silent(restarted(3))]));
    assert_eq!(neither_is_well, (Change::Remove(3), vec![member(1), member(2)]));
}

#[test]
fn a_restarted_member_leaves_and_returns_as_itself() {
    let all = configuration((1, 1), &[1, 2, 3]);
    let removed = members(proposed(&all, &[well(member(2)), well(restarted(3))]));
    assert_eq!(removed, (Change::Remove(3), vec![member(1), member(2)]));
    let two = configuration((1, 5), &[1, 2]);
    let added = members(proposed(&two, &[well(member(2)), well(restarted(3))]));
    assert_eq!(added, (Change::Add(3), vec![member(1), member(2), restarted(3)]));
}

#[test]
fn below_a_majority_only_a_swap_will_do() {
    let two = configuration((1, 5), &[1, 2]);
    let swapped = members(proposed(&two, &[silent(member(2)), well(restarted(3))]));
    assert_eq!(swapped, (Change::Swap { out: 2, into: 3 }, vec![member(1), restarted(3)]));
    assert_eq!(proposed(&two, &[silent(member(2)), silent(member(3))]), None);
    let itself = members(proposed(&two, &[well(restarted(2)), silent(member(3))]));
    assert_eq!(itself, (Change::Swap { out: 2, into: 2 }, vec![member(1), restarted(2)]));
}

#[test]
fn nobody_is_admitted_without_death_streams_to_all_or_far_behind() {
    let two = configuration((1, 5), &[1, 2]);
    let (id, newcomer) = well(restarted(3));
    let halfway = PeerView { death_streams: BTreeSet::from([1]), ..newcomer.clone() };
    assert_eq!(proposed(&two, &[well(member(2)), (id, halfway)]), None);
    let behind = PeerView { is_caught_up: false, ..newcomer.clone() };
    assert_eq!(proposed(&two, &[well(member(2)), (id, behind)]), None);
    let unaware = PeerView { persisted: Some(4), ..newcomer };
    assert_eq!(proposed(&two, &[well(member(2)), (id, unaware)]), None, "it lacks the newest configuration");
}

#[test]
fn a_cold_leader_begins_alone() {
    let all = with((1, 5), &[restarted(1), member(2), member(3)]);
    let alone = members(proposed(&all, &[well(restarted(2)), well(restarted(3))]));
    assert_eq!(alone, (Change::BeginCold, vec![member(1)]));
}

#[test]
fn the_first_to_come_back_restores_the_voters() {
    let sole = forced_configuration(member(1), &configuration((0, 1), &[1, 2, 3]), id((1, 5)));
    assert_eq!(proposed(&sole, &[]), None);
    let proposal = proposed(&sole, &[well(restarted(2))]).unwrap();
    assert_eq!(proposal.voters, BTreeSet::from([1, 2, 3]));
    let joint = proposal.configuration(&sole, id((1, 6)));
    assert!(joint.voters.is_joint() && joint.lists(restarted(2)));
    assert_eq!(members(Some(proposal)), (Change::Restore, vec![member(1), restarted(2)]));
    let finish = proposed(&joint, &[well(restarted(2))]).unwrap();
    assert_eq!(finish.change, Change::Finish);
    assert_eq!(finish.configuration(&joint, id((1, 7))).voters, Voters::new(BTreeSet::from([1, 2, 3])));
}

#[test]
fn survivor_mode_begins_with_all_that_are_fit() {
    let off = Configuration { survivor_mode: true, ..plain((1, 1)) };
    assert_eq!(proposed(&off, &[silent(member(2)), silent(member(3))]), None);
    let all = members(proposed(&off, &[well(member(2)), well(member(3))]));
    assert_eq!(all, (Change::Begin, vec![member(1), member(2), member(3)]));
}

/// Counterexample of review: leader 1, 3 hangs, 2 is well but late once. Without 2 the set is {1, 3}; from then on 2 is
/// sent nothing that 3 has not, 3 takes nothing, and the change can be committed by nobody, though 1 and 2 are well.
#[test]
fn nobody_leaves_for_being_silent_while_another_who_would_stay_is_silent_too() {
    let all = configuration((1, 5), &[1, 2, 3]);
    assert_eq!(proposed(&all, &[silent(member(2)), silent(member(3))]), None);
}
