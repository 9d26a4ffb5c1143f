use std::{collections::BTreeMap, sync::Arc};

use openraft::EntryPayload;
use threefold_core::{Command, Reply, TokenHash, backup::SKIPPED_INSTANCES, entry, store::Overlay};

use super::*;
use crate::{
    raft::types::{Payload, entry_to_wire},
    storage::{
        fjall_log::FjallLog,
        fjall_state::FjallState,
        memory::{MemoryLog, MemoryState},
    },
};

fn log_id(term: u64, index: u64) -> RaftLogId {
    RaftLogId::new(CommittedLeader::new(term), index)
}

fn members(ids: &[u64]) -> RaftMembership {
    let standing = Standing { in_sync: 3, awaited: false, survivor_mode: true };
    let member = |id: u64| Member { standing, ..Member::at(format!("server-{id}"), format!("host-{id}:7500"), "") };
    RaftMembership::new(
        vec![ids.iter().copied().collect()],
        ids.iter().map(|id| (*id, member(*id))).collect::<BTreeMap<_, _>>(),
    )
    .unwrap()
}

fn raft_entry(term: u64, index: u64, payload: EntryPayload<Payload, u64, Member>) -> RaftEntry {
    RaftEntry { log_id: log_id(term, index), payload }
}

/// A command that changes nothing, for nobody is logged in.
fn command() -> Payload {
    let commands = [entry::encode_command(&Command::RenewSession { session: TokenHash([7; 32]) })];
    Payload(entry::pack(1, commands.iter()))
}

/// The history of a server with two others: founded, then entries of which the last two are not known to be committed.
fn entries() -> Vec<RaftEntry> {
    vec![
        raft_entry(1, 0, EntryPayload::Membership(members(&[1]))),
        raft_entry(1, 1, EntryPayload::Normal(machine::found_cluster([9; 16]))),
        raft_entry(1, 2, EntryPayload::Membership(members(&[1, 2, 3]))),
        raft_entry(3, 3, EntryPayload::Blank),
        raft_entry(3, 4, EntryPayload::Normal(command())),
        raft_entry(3, 5, EntryPayload::Normal(command())),
    ]
}

fn fill(log: &dyn LogStore, state: &dyn StateStore, applied: usize) {
    let entries = entries();
    machine::apply_entries(state, &entries[..applied], RaftStoredMembership::default()).unwrap();
    let records = entries.iter().map(|entry| to_record(&entry_to_wire(entry))).collect();
    wait(|done| log.append(0, records, done)).unwrap();
    wait(|done| log.save_vote(to_record(&vote_to_wire(&RaftVote::new(5, 2))), done)).unwrap();
}

fn check_new_history(log: &dyn LogStore, state: &dyn StateStore, epoch: u64, last: u64) {
    let beginning = log_id(epoch << 32, last + SKIPPED_INDICES);
    let (applied, membership) = machine::applied_mark(state).unwrap();
    assert_eq!(applied, Some(beginning));
    assert_eq!(*membership.log_id(), Some(beginning));
    assert_eq!(membership.membership().get_joint_config(), &vec![BTreeSet::from([1])]);
    let nodes = membership.membership().nodes().collect::<Vec<_>>();
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].1.name, "server-1");
    assert_eq!(nodes[0].1.standing, Standing { survivor_mode: true, ..Standing::default() }, "the switch is kept");
    let extent = log.extent();
    assert!(extent.indices.is_empty() && extent.indices.start == beginning.index + 1, "{extent:?}");
    assert_eq!(purged_log_id(&extent).unwrap(), Some(beginning));
    let vote = vote_from_wire(Some(from_record(extent.vote.clone().unwrap()).unwrap())).unwrap();
    assert_eq!(vote, RaftVote::new(epoch << 32, 1));
    assert!(recovery::check(&extent, applied).is_ok());
}

#[test]
fn a_server_is_examined_without_a_change() {
    let (log, state) = (MemoryLog::new(), MemoryState::default());
    fill(&log, &state, 4);
    let before = (log.extent(), machine::applied_mark(&state).unwrap());
    let findings = examine(1, &log, &state).unwrap();
    assert_eq!((findings.term, findings.last, findings.applied), (5, Some(log_id(3, 5)), Some(log_id(3, 3))));
    assert_eq!(findings.members.iter().map(|peer| peer.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(findings.recovery_id, [9; 16]);
    assert_eq!((log.extent(), machine::applied_mark(&state).unwrap()), before);
}

#[test]
fn the_newest_configuration_is_found_in_the_log_when_it_is_not_applied() {
    let (log, state) = (MemoryLog::new(), MemoryState::default());
    fill(&log, &state, 1);
    assert_eq!(examine(1, &log, &state).unwrap().members.len(), 3);
}

#[test]
fn a_new_history_begins_with_the_whole_log_applied_and_can_be_begun_again() {
    let (log, state) = (MemoryLog::new(), MemoryState::default());
    fill(&log, &state, 1);
    let beginning = begin_history(1, &log, &state, ([7; 16], 0)).unwrap();
    assert_eq!(beginning, Beginning { term: 1 << 32, index: 5 + SKIPPED_INDICES });
    check_new_history(&log, &state, 1, 5);
    assert_eq!(machine::recovery_id(&state).unwrap(), Some(vec![7; 16]));
    begin_history(1, &log, &state, ([8; 16], 0)).unwrap();
    check_new_history(&log, &state, 2, 5 + SKIPPED_INDICES);
    assert_eq!(machine::recovery_id(&state).unwrap(), Some(vec![8; 16]));
}

#[test]
fn a_recovery_that_was_cut_short_before_the_log_was_emptied_is_begun_again() {
    let (log, state) = (MemoryLog::new(), MemoryState::default());
    fill(&log, &state, 6);
    // The state has arrived in the new history, the log has not.
    let half = log_id(1 << 32, 5 + SKIPPED_INDICES);
    machine::begin_history(&state, &half, &RaftStoredMembership::new(Some(half), members(&[1])), [7; 16]).unwrap();
    begin_history(1, &log, &state, ([8; 16], 0)).unwrap();
    check_new_history(&log, &state, 2, 5 + SKIPPED_INDICES);
}

#[test]
fn a_stranger_and_an_empty_server_cannot_be_recovered() {
    let (log, state) = (MemoryLog::new(), MemoryState::default());
    assert!(matches!(begin_history(1, &log, &state, ([7; 16], 0)), Err(OfflineError::NoMember)));
    fill(&log, &state, 4);
    assert!(matches!(begin_history(4, &log, &state, ([7; 16], 0)), Err(OfflineError::NoMember)));
    assert_eq!(examine(1, &log, &state).unwrap().term, 5, "nothing was changed");
}

#[test]
fn a_new_history_is_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let log = Arc::new(FjallLog::open(&directory.path().join("log")).unwrap());
        (log, Arc::new(FjallState::open(&directory.path().join("state")).unwrap()))
    };
    let (log, state) = open();
    fill(&*log, &*state, 3);
    drop((log, state));
    let (log, state) = open();
    begin_history(1, &*log, &*state, ([7; 16], 0)).unwrap();
    drop((log, state));
    let (log, state) = open();
    check_new_history(&*log, &*state, 1, 5);
    assert_eq!(machine::recovery_id(&*state).unwrap(), Some(vec![7; 16]));
}

#[test]
fn a_restored_state_is_the_first_server_of_a_new_cluster_far_behind_what_anybody_has_seen() {
    let (old_log, state) = (MemoryLog::new(), MemoryState::default());
    fill(&old_log, &state, 4);
    let log = MemoryLog::new();
    let standing = Standing { survivor_mode: true, ..Standing::default() };
    let founder = Member { standing, ..Member::at("other-1", "elsewhere:7500", "elsewhere:7400") };
    let beginning = begin_restored((77, founder.clone()), &log, &state, ([7; 16], 3_000)).unwrap();
    assert_eq!(beginning, Beginning { term: 1 << 32, index: 3_000 });
    let (applied, membership) = machine::applied_mark(&state).unwrap();
    assert_eq!(applied, Some(log_id(1 << 32, 3_000)));
    assert_eq!(membership.membership().nodes().collect::<Vec<_>>(), [(&77, &founder)]);
    let extent = log.extent();
    assert!(extent.indices.is_empty() && recovery::check(&extent, applied).is_ok(), "{extent:?}");
    assert_eq!(machine::recovery_id(&state).unwrap(), Some(vec![7; 16]));
    assert!(machine::has_replaced(&state, &[9; 16]).unwrap(), "servers of the old cluster are told");
    let nothing = begin_restored((77, founder), &MemoryLog::new(), &MemoryState::default(), ([7; 16], 3_000));
    assert!(matches!(nothing, Err(OfflineError::NoMember)));
}

#[test]
fn what_operators_said_of_servers_is_not_restored() {
    assert!(machine::is_kept_when_restored(&[0x02, 1]) && machine::is_kept_when_restored(&[0x00, 2]));
    assert!(!machine::is_kept_when_restored(b"\x00\x03server-4"));
}

#[test]
fn a_history_begins_where_the_clock_says_or_a_jump_behind_what_is_ahead_of_it() {
    let at = |last, ms| beginning_behind(last, SKIPPED_INDICES, FIRST_MS + ms);
    // Whatever a copy has, if histories write less than a thousand entries a second.
    assert_eq!((at(0, 1 << 30).unwrap(), at((1 << 30) - 1, 1 << 30).unwrap()), (1 << 30, 1 << 30));
    assert!(at(7, 5_001).unwrap() > at(5_000 - 1, 5_000).unwrap());
    // The clock does not say it: a wrong one, or one that was wrong.
    assert_eq!(at(1 << 30, 1 << 30).unwrap(), (1 << 30) + SKIPPED_INDICES);
    assert_eq!(beginning_behind(7, SKIPPED_BY_RESTORING, 0).unwrap(), 7 + SKIPPED_BY_RESTORING);
    // There must be room behind it.
    assert!(matches!(at(0, INDEX_LIMIT - ROOM), Err(OfflineError::Clock)));
    assert!(matches!(at(INDEX_LIMIT - ROOM, 0), Err(OfflineError::UsedUp)));
    let year_2083 = 60 * 31_557_600_000 - 86_400_000;
    assert!(at(0, year_2083).is_ok(), "as the refusal says");
}

#[test]
fn a_recovery_made_second_begins_behind_one_made_first_from_a_server_that_had_more() {
    let begin = |applied, recovery: u8, ms| {
        let (log, state) = (MemoryLog::new(), MemoryState::default());
        fill(&log, &state, applied);
        begin_history(1, &log, &state, ([recovery; 16], FIRST_MS + ms)).unwrap().index
    };
    assert_eq!((begin(6, 7, 1 << 30), begin(4, 8, (1 << 30) + 1)), (1 << 30, (1 << 30) + 1));
}

fn packed(command: &Command) -> Payload {
    Payload(entry::pack(1, [entry::encode_command(command)].iter()))
}

/// The instance that the next process with this session is given.
fn next_instance(state: &dyn StateStore, session: TokenHash) -> u64 {
    let index = machine::applied_mark(state).unwrap().0.unwrap().index + 1;
    let entry = entry::unpack(&packed(&Command::OpenInstance { session, nonce: index }).0).unwrap();
    let mut replies = threefold_core::apply(&mut Overlay::new(state), index, &entry).unwrap().replies;
    match replies.pop() {
        Some(Reply::InstanceOpened { instance }) => instance,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_recovery_gives_no_instance_that_the_lost_rest_has_given_out_however_often_it_is_begun() {
    let (log, state) = (MemoryLog::new(), MemoryState::default());
    fill(&log, &state, 4);
    // More than one, and all in one chunk or not: each has its count.
    let sessions = [7, 8, 9].map(|byte| TokenHash([byte; 32]));
    let register = |(place, session): (usize, TokenHash)| Command::Register {
        name: format!("ann-{place}"),
        password_hash: "$argon2id$".to_owned(),
        token_hash: session,
        device: "desk".to_owned(),
    };
    for (index, command) in (6..).zip(sessions.into_iter().enumerate().map(register)) {
        let entry = raft_entry(3, index, EntryPayload::Normal(packed(&command)));
        wait(|done| log.append(index, vec![to_record(&entry_to_wire(&entry))], done)).unwrap();
    }
    let mut known = [2; 3];
    for (time, ms) in [(1, 0), (2, 0), (3, 1 << 40), (4, 0)] {
        let beginning = begin_history(1, &log, &state, ([time; 16], FIRST_MS + ms)).unwrap();
        let given = sessions.map(|session| next_instance(&state, session));
        let least = if ms > 0 { [beginning.index + 1; 3] } else { known.map(|known| known + SKIPPED_INSTANCES) };
        assert!(given.iter().zip(least).all(|(given, least)| *given >= least), "{given:?}, {least:?}");
        known = given;
    }
}

#[test]
fn counts_are_raised_chunk_by_chunk() {
    let (log, state) = (MemoryLog::new(), MemoryState::default());
    fill(&log, &state, 6);
    let sessions = (0..20).map(|byte| TokenHash([byte; 32])).collect::<Vec<_>>();
    for (index, session) in (6..).zip(&sessions) {
        let (name, password_hash) = (format!("n{index}"), "$argon2id$".to_owned());
        let command = Command::Register { name, password_hash, token_hash: *session, device: "desk".to_owned() };
        let entry = raft_entry(3, index, EntryPayload::Normal(packed(&command)));
        machine::apply_entries(&state, &[entry], RaftStoredMembership::default()).unwrap();
    }
    raise_counts(&state, 1 << 30, 100).unwrap();
    assert!(sessions.iter().all(|session| next_instance(&state, *session) == (1 << 30) + 1));
}
