//! A server's log and state, looked at and rewritten while it does not run: the part of `recover --force` that knows Raft.
//!
//! A new history begins with everything this server has, committed or not: its whole log is applied, and the state then
//! stands, as after a received snapshot, at a log id of a new epoch and at the end of an empty log, under a configuration of
//! this server alone and a new recovery id. Nothing of the old history is left in the log, so whoever joins receives the
//! state, which knows the new recovery id only. Must be atomic by other means: see [`crate::recover`].

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    sync::mpsc,
};

use threefold_rules::next_epoch;

use super::{
    Peer,
    log::purged_log_id,
    machine::{self, APPLY_ENTRIES},
    membership::peers_of,
    recovery::{self, Unfit},
    types::{
        CommittedLeader, Malformed, Member, RaftEntry, RaftLogId, RaftMembership, RaftStoredMembership, RaftVote,
        Standing, entry_from_wire, from_record, log_id_to_wire, to_record, vote_from_wire, vote_to_wire,
    },
};
use crate::storage::{Done, LogStore, StateStore};

/// Log positions left out before a new history, many more than any server of the old one can have been ahead: so no id of
/// an event that somebody may have seen and that is lost is ever given to another, and what a client remembers as seen is
/// never ahead of this server.
pub const SKIPPED_INDICES: u64 = 1 << 20;
/// Log positions left out before the history of a state that was restored from a backup: its old cluster may have gone on for years since.
/// At ten entries a second these are thirteen years, and there is room for 512 restorations, one of the other.
pub const SKIPPED_BY_RESTORING: u64 = 1 << 32;
/// Event ids, which are log positions times 4096, stay below 2^53.
const INDEX_LIMIT: u64 = 1 << 41;
/// Bytes of entries read at once.
const SLICE_BYTES: usize = 4 * 1024 * 1024;

/// What a server that does not run has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Its node id.
    pub id: u64,
    /// The term it last voted in.
    pub term: u64,
    /// The end of its log; none: nothing was ever written.
    pub last: Option<RaftLogId>,
    /// What it has applied, and so may have shown to clients.
    pub applied: Option<RaftLogId>,
    /// The members, by the newest configuration that it has.
    pub members: Vec<Peer>,
    /// The recovery id of its history; empty: none.
    pub recovery_id: Vec<u8>,
}

impl Findings {
    /// The end of its log: term and index.
    #[must_use]
    pub fn last(&self) -> Option<(u64, u64)> {
        self.last.map(|log_id| (log_id.leader_id.term, log_id.index))
    }

    /// What it has applied: term and index.
    #[must_use]
    pub fn applied(&self) -> Option<(u64, u64)> {
        self.applied.map(|log_id| (log_id.leader_id.term, log_id.index))
    }
}

/// Where a new history begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The first term of the new epoch.
    pub term: u64,
    /// The position before its first entry.
    pub index: u64,
}

/// Why a server's log and state cannot be read or rewritten.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// They do not belong together.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A record makes no sense.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] threefold_core::store::StoreError),
    /// The disk fails, or an entry cannot be applied.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not a member of anything.
    #[error("this server has never been a member of a cluster: there is nothing to recover")]
    NoMember,
    /// Terms or positions are used up.
    #[error("there is no room for another history: terms or log positions are used up")]
    UsedUp,
}

/// Says what the server with this id has.
///
/// # Errors
/// When log or state cannot be read, or contradict each other.
pub fn examine(id: u64, log: &dyn LogStore, state: &dyn StateStore) -> Result<Findings, OfflineError> {
    Ok(found(id, log, state)?.0)
}

/// Gives the server with this id a history of its own, under `recovery_id`. Everything is durable when this returns; until
/// then log and state are not to be used.
///
/// # Errors
/// When it is not a member, or log or state cannot be read or written.
pub fn begin_history(
    id: u64,
    log: &dyn LogStore,
    state: &dyn StateStore,
    recovery_id: [u8; 16],
) -> Result<Beginning, OfflineError> {
    let (findings, configuration) = found(id, log, state)?;
    let own = findings.members.iter().find(|peer| peer.id == id).ok_or(OfflineError::NoMember)?;
    let last = findings.last.ok_or(OfflineError::NoMember)?;
    let term = next_epoch(findings.term.max(last.leader_id.term)).ok_or(OfflineError::UsedUp)?;
    let index = last.index.saturating_add(SKIPPED_INDICES);
    if index >= INDEX_LIMIT {
        return Err(OfflineError::UsedUp);
    }
    let standing = Standing { survivor_mode: super::membership::survivor_mode(&configuration), ..Standing::default() };
    let alone = Member { standing, ..own.member.clone() };
    let membership = RaftMembership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, alone)]))
        .map_err(|_| Malformed("configuration of one server"))?;
    let beginning = RaftLogId::new(CommittedLeader::new(term), index);
    // First the vote: whatever becomes of the rest, this server takes no part in an older term.
    let vote = to_record(&vote_to_wire(&RaftVote::new(term, id)));
    wait(|done| log.save_vote(vote, done))?;
    apply_all(log, state)?;
    begin_at(log, state, beginning, membership, recovery_id)
}

/// Gives a state that was copied from another cluster, and an empty log, to the server with this id: the first of a new cluster, as
/// `founder`, with a history of its own under `recovery_id`. Everything is durable when this returns; until then log and
/// state are not to be used.
///
/// # Errors
/// When the state is none that was ever applied to, or log or state cannot be read or written.
pub fn begin_restored(
    (id, founder): (u64, Member),
    log: &dyn LogStore,
    state: &dyn StateStore,
    recovery_id: [u8; 16],
) -> Result<Beginning, OfflineError> {
    let (applied, _) = machine::applied_mark(state)?;
    let last = applied.ok_or(OfflineError::NoMember)?;
    let term = next_epoch(last.leader_id.term).ok_or(OfflineError::UsedUp)?;
    let index = last.index.saturating_add(SKIPPED_BY_RESTORING);
    if index >= INDEX_LIMIT {
        return Err(OfflineError::UsedUp);
    }
    let membership = RaftMembership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, founder)]))
        .map_err(|_| Malformed("configuration of one server"))?;
    let vote = to_record(&vote_to_wire(&RaftVote::new(term, id)));
    wait(|done| log.save_vote(vote, done))?;
    begin_at(log, state, RaftLogId::new(CommittedLeader::new(term), index), membership, recovery_id)
}

/// Puts the state behind `beginning`, and the log too.
fn begin_at(
    log: &dyn LogStore,
    state: &dyn StateStore,
    beginning: RaftLogId,
    membership: RaftMembership,
    recovery_id: [u8; 16],
) -> Result<Beginning, OfflineError> {
    machine::begin_history(state, &beginning, &RaftStoredMembership::new(Some(beginning), membership), recovery_id)?;
    state.persist()?;
    let mark = to_record(&log_id_to_wire(&beginning));
    wait(|done| log.purge(beginning.index, mark, done))?;
    Ok(Beginning { term: beginning.leader_id.term, index: beginning.index })
}

/// What a server has, and the newest configuration among it.
fn found(
    id: u64,
    log: &dyn LogStore,
    state: &dyn StateStore,
) -> Result<(Findings, RaftStoredMembership), OfflineError> {
    let extent = log.extent();
    let (applied, mut configuration) = machine::applied_mark(state)?;
    recovery::check(&extent, applied)?;
    let vote = extent.vote.clone().map(|record| vote_from_wire(Some(from_record(record)?))).transpose()?;
    let mut last = applied.max(purged_log_id(&extent)?);
    let after = applied.map_or(extent.indices.start, |applied| applied.index + 1);
    each_slice(log, after.max(extent.indices.start)..extent.indices.end, |entries| {
        for entry in entries {
            last = last.max(Some(entry.log_id));
            if let openraft::EntryPayload::Membership(membership) = entry.payload {
                configuration = RaftStoredMembership::new(Some(entry.log_id), membership);
            }
        }
        Ok(())
    })?;
    let findings = Findings {
        id,
        term: vote.map_or(0, |vote: RaftVote| vote.leader_id.term),
        last,
        applied,
        members: peers_of(&configuration),
        recovery_id: machine::recovery_id(state)?.unwrap_or_default(),
    };
    Ok((findings, configuration))
}

/// Applies what is in the log and not yet in the state.
fn apply_all(log: &dyn LogStore, state: &dyn StateStore) -> Result<(), OfflineError> {
    let (applied, mut membership) = machine::applied_mark(state)?;
    let indices = log.extent().indices;
    let start = applied.map_or(indices.start, |applied| applied.index + 1).max(indices.start);
    each_slice(log, start..indices.end, |entries| {
        for step in entries.chunks(APPLY_ENTRIES) {
            membership = machine::apply_entries(state, step, membership.clone())?.membership;
        }
        Ok(())
    })
}

/// Reads entries slice by slice, all of `indices`.
fn each_slice(
    log: &dyn LogStore,
    indices: Range<u64>,
    mut visit: impl FnMut(Vec<RaftEntry>) -> Result<(), OfflineError>,
) -> Result<(), OfflineError> {
    let mut next = indices.start;
    while next < indices.end {
        let records = log.read(next..indices.end, SLICE_BYTES)?;
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let entry = entry_from_wire(from_record(record)?)?;
            if entry.log_id.index != next {
                break;
            }
            next += 1;
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err(io::Error::other(format!("entry {next} is missing in the log")).into());
        }
        visit(entries)?;
    }
    Ok(())
}

/// Waits for a write of the log.
fn wait(write: impl FnOnce(Done)) -> io::Result<()> {
    let (done, told) = mpsc::channel();
    write(Box::new(move |result| drop(done.send(result))));
    told.recv().map_err(|_| io::Error::other("the log was closed during a write"))?
}

#[cfg(test)]
mod tests;
