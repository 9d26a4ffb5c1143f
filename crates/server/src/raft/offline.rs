//! A server's log and state, looked at and rewritten while it does not run: the part of `recover --force` that knows Raft.
//!
//! A new history begins with everything this server has, committed or not: its whole log is applied, and the state then
//! stands, as after a received snapshot, at a log id of a new epoch and at the end of an empty log, under a configuration of
//! this server alone and a new recovery id. Nothing of the old history is left in the log, so whoever joins receives the
//! state, which knows the new recovery id only. Must be atomic by other means: see [`crate::recover`].
//!
//! Where it begins follows from the clock: at the number of milliseconds since 2024. A history that began so and writes fewer than a
//! thousand entries a second stays behind the clock, and so does one that was founded, at zero. So a later one begins beyond all that any
//! before it has come to, whichever server or backup it is made from, and however long the others went on. No position, and so no id of an event, an account
//! or a conversation, is ever given to another, and what a client remembers as seen is never ahead. Instances are counted beyond the same number.
//! Where the state is ahead of the clock, which is then wrong or was once, it begins a jump behind that state: which is beyond what that one history
//! has lost, though not beyond others.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    sync::mpsc,
};

use threefold_core::{
    backup::{CHANGED_TABLE, goes_on_at, restored},
    store::{Changes, StoreError},
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

/// Log positions left out before a new history where the clock does not say where it begins, many more than any server of the old one can have
/// been ahead.
pub const SKIPPED_INDICES: u64 = 1 << 20;
/// The same for the history of a state that was restored from a backup: its old cluster may have gone on for years since.
/// At ten entries a second these are thirteen years.
pub const SKIPPED_BY_RESTORING: u64 = 1 << 32;
/// Event ids, which are log positions times 4096, stay below 2^53.
const INDEX_LIMIT: u64 = 1 << 41;
/// A history does not begin without so many positions before it: eight years of a thousand entries a second, or 64 of the larger jumps. The
/// clock begins to take them up in December 2084.
const ROOM: u64 = 1 << 38;
/// The beginning of 2024, in milliseconds since 1970: where the clock of positions begins.
pub const FIRST_MS: u64 = 1_704_067_200_000;
/// Bytes of entries read at once, and of records.
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
    State(#[from] StoreError),
    /// The disk fails, or an entry cannot be applied.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not a member of anything.
    #[error("this server has never been a member of a cluster: there is nothing to recover")]
    NoMember,
    /// Terms or positions are used up.
    #[error("there is no room for another history: terms or log positions are used up")]
    UsedUp,
    /// The clock cannot be right.
    #[error("this machine's clock is beyond the year 2084: set it, for where a history begins follows from it")]
    Clock,
}

impl OfflineError {
    /// Whether the disk has failed: nothing is wrong with what is asked for.
    #[must_use]
    pub fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Io(_) | Self::State(StoreError::Io(_)))
    }
}

/// The position before the first entry of a history that begins at this time with a state that has come to `last`, `skipped` behind it where the clock
/// does not tell.
///
/// # Errors
/// When the clock cannot be right, or positions are used up.
pub fn beginning_behind(last: u64, skipped: u64, now_ms: u64) -> Result<u64, OfflineError> {
    let floor = now_ms.saturating_sub(FIRST_MS);
    if floor >= INDEX_LIMIT - ROOM {
        return Err(OfflineError::Clock);
    }
    let index = goes_on_at(last, skipped, floor);
    if index < INDEX_LIMIT - ROOM { Ok(index) } else { Err(OfflineError::UsedUp) }
}

/// Says what the server with this id has.
///
/// # Errors
/// When log or state cannot be read, or contradict each other.
pub fn examine(id: u64, log: &dyn LogStore, state: &dyn StateStore) -> Result<Findings, OfflineError> {
    Ok(found(id, log, state)?.0)
}

/// Where a history of its own would begin for a server that has this, at this time; nothing is changed.
///
/// # Errors
/// When it is not a member, the clock cannot be right, or there is no room for another history.
pub fn may_begin(findings: &Findings, now_ms: u64) -> Result<Beginning, OfflineError> {
    let is_member = findings.members.iter().any(|peer| peer.id == findings.id);
    let last = findings.last.filter(|_| is_member).ok_or(OfflineError::NoMember)?;
    let term = next_epoch(findings.term.max(last.leader_id.term)).ok_or(OfflineError::UsedUp)?;
    let index = beginning_behind(last.index, SKIPPED_INDICES, now_ms)?;
    Ok(Beginning { term, index })
}

/// Gives the server with this id a history of its own, under `recovery_id`, that begins now. Everything is durable when this returns; until
/// then log and state are not to be used.
///
/// # Errors
/// When it is not a member, the clock cannot be right, or log or state cannot be read or written.
pub fn begin_history(
    id: u64,
    log: &dyn LogStore,
    state: &dyn StateStore,
    (recovery_id, now_ms): ([u8; 16], u64),
) -> Result<Beginning, OfflineError> {
    let (findings, configuration) = found(id, log, state)?;
    let Beginning { term, index } = may_begin(&findings, now_ms)?;
    let own = findings.members.iter().find(|peer| peer.id == id).ok_or(OfflineError::NoMember)?;
    let standing = Standing { survivor_mode: super::membership::survivor_mode(&configuration), ..Standing::default() };
    let alone = Member { standing, ..own.member.clone() };
    let membership = RaftMembership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, alone)]))
        .map_err(|_| Malformed("configuration of one server"))?;
    let beginning = RaftLogId::new(CommittedLeader::new(term), index);
    // First the vote: whatever becomes of the rest, this server takes no part in an older term.
    let vote = to_record(&vote_to_wire(&RaftVote::new(term, id)));
    wait(|done| log.save_vote(vote, done))?;
    apply_all(log, state)?;
    raise_counts(state, index, SLICE_BYTES)?;
    begin_at(log, state, beginning, membership, recovery_id)
}

/// Gives a state that was copied from another cluster, and an empty log, to the server with this id: the first of a new cluster, as
/// `founder`, with a history of its own under `recovery_id` that begins behind position `index`. The counts in the state are raised already. Everything is
/// durable when this returns; until then log and state are not to be used.
///
/// # Errors
/// When the state is none that was ever applied to, or log or state cannot be read or written.
pub fn begin_restored(
    (id, founder): (u64, Member),
    log: &dyn LogStore,
    state: &dyn StateStore,
    (recovery_id, index): ([u8; 16], u64),
) -> Result<Beginning, OfflineError> {
    let (applied, _) = machine::applied_mark(state)?;
    let last = applied.ok_or(OfflineError::NoMember)?;
    if index <= last.index {
        return Err(OfflineError::UsedUp);
    }
    let term = next_epoch(last.leader_id.term).ok_or(OfflineError::UsedUp)?;
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

/// Lets what is counted go on beyond what the lost rest of this history may have given out. Done again after an interruption it does no harm.
fn raise_counts(state: &dyn StateStore, floor: u64, chunk_bytes: usize) -> Result<(), OfflineError> {
    let snapshot = state.snapshot()?;
    let mut after = vec![CHANGED_TABLE];
    loop {
        let records = snapshot.chunk(Some(&after), chunk_bytes)?;
        let count = records.len();
        let ours = records.into_iter().take_while(|(key, _)| key.first() == Some(&CHANGED_TABLE));
        let mut changes = Changes::new();
        for (key, value) in ours {
            after = key.to_vec();
            if let Some(value) = restored(&key, &value, floor)? {
                changes.insert(after.clone(), Some(value));
            }
        }
        let (changed, is_last) = (changes.len(), changes.len() < count);
        if changed > 0 {
            state.commit(changes)?;
        }
        if changed == 0 || is_last {
            return Ok(());
        }
    }
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
