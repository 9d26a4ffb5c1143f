//! The one thread that writes the log.
//!
//! Each round takes what is queued, commits it as one group, and tells the callers in their order. Between rounds it
//! removes purged entries slice by slice, so that a purge of a million entries delays no append by more than a slice.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{PoisonError, atomic::Ordering},
};

use super::{Done, QUEUE_BYTES, Queued, Shared, Write, disk::Group};
use crate::storage::files::{Failure, lock};

/// What one group commit takes from the queue at most: beyond it the cost of the sync no longer shows, while the first
/// caller of the group waits for the last byte.
const GROUP_BYTES: usize = 16 << 20;
/// Purged entries removed between two groups: a third of a millisecond of work, and still more than most groups append,
/// so that the removal keeps pace under full load.
const PURGE_SLICE: u64 = 256;

/// What the writer has taken from the queue.
struct Round {
    group: Group,
    dones: Vec<Done>,
    purged: Vec<Range<u64>>,
    /// The number of the last write in it.
    number: u64,
    entries: u64,
    bytes: u64,
}

/// Purged entries that are still on disk, oldest first.
type Garbage = VecDeque<Range<u64>>;

/// Writes until the log closes and the queue is empty. `left_over` is what an earlier purge left to remove.
pub(super) fn run(shared: &Shared, left_over: Range<u64>) {
    let mut garbage = Garbage::from([left_over]);
    while let Some(round) = take(shared, garbage.is_empty()) {
        let result = match round {
            Some(round) => write(shared, round, &mut garbage),
            None => Ok(()),
        };
        let result = result.and_then(|()| sweep(shared, &mut garbage));
        if let Err(failure) = result {
            return fail(shared, &failure);
        }
    }
}

/// Waits for work: `None` when the log is closed, an empty round when only removal is left to do.
fn take(shared: &Shared, is_swept: bool) -> Option<Option<Round>> {
    let mut view = lock(&shared.view);
    while view.queue.is_empty() {
        if view.closing {
            return None;
        }
        if !is_swept {
            return Some(None);
        }
        view.is_writer_waiting = true;
        view = shared.work.wait(view).unwrap_or_else(PoisonError::into_inner);
        view.is_writer_waiting = false;
    }
    let mut round =
        Round { group: Group::default(), dones: Vec::new(), purged: Vec::new(), number: 0, entries: 0, bytes: 0 };
    let mut taken_bytes = 0;
    while taken_bytes < GROUP_BYTES
        && let Some(queued) = view.queue.pop_front()
    {
        taken_bytes += queued.bytes;
        round.add(queued);
    }
    let was_full = view.queued_bytes > QUEUE_BYTES;
    view.queued_bytes -= taken_bytes;
    drop(view);
    if was_full {
        shared.room.notify_all();
    }
    Some(Some(round))
}

impl Round {
    fn add(&mut self, queued: Queued) {
        self.number = queued.number;
        self.dones.push(queued.done);
        match queued.write {
            Write::Append { first_index, entries } => {
                for (index, entry) in (first_index..).zip(entries) {
                    self.entries += 1;
                    self.bytes += entry.len() as u64;
                    self.group.entries.insert(index, Some(entry));
                }
            }
            Write::Vote(vote) => self.group.vote = Some(vote),
            Write::Truncate(removed) => self.group.entries.extend(removed.map(|index| (index, None))),
            Write::Purge { to_index, purged, removed } => {
                self.group.purged = Some((to_index, purged));
                self.purged.push(removed);
            }
        }
    }
}

/// Commits a round and tells its callers.
fn write(shared: &Shared, round: Round, garbage: &mut Garbage) -> Result<(), Failure> {
    let Round { group, dones, purged, number, entries, bytes } = round;
    if let Err(error) = shared.disk.commit(group) {
        let failure = Failure::new("the log cannot be written", &error);
        // Before the callers hear of it, so that none of them finds the log still willing.
        lock(&shared.view).failure = Some(failure.clone());
        dones.into_iter().for_each(|done| done(Err(failure.error())));
        return Err(failure);
    }
    shared.fsyncs.fetch_add(1, Ordering::Relaxed);
    shared.entries.fetch_add(entries, Ordering::Relaxed);
    shared.bytes.fetch_add(bytes, Ordering::Relaxed);
    lock(&shared.view).tail.evict(number);
    dones.into_iter().for_each(|done| done(Ok(())));
    // Only now: until the mark is durable, a crash would miss them.
    garbage.extend(purged);
    Ok(())
}

/// Removes one slice of what was purged.
fn sweep(shared: &Shared, garbage: &mut Garbage) -> Result<(), Failure> {
    let Some(oldest) = garbage.front_mut() else { return Ok(()) };
    let slice = oldest.start..oldest.end.min(oldest.start + PURGE_SLICE);
    oldest.start = slice.end;
    if oldest.is_empty() {
        garbage.pop_front();
    }
    shared.disk.remove(slice).map_err(|error| Failure::new("purged entries cannot be removed from the log", &error))
}

/// Turns the log away from everybody, for good.
fn fail(shared: &Shared, failure: &Failure) {
    let queue = {
        let mut view = lock(&shared.view);
        view.failure = Some(failure.clone());
        view.queued_bytes = 0;
        std::mem::take(&mut view.queue)
    };
    shared.room.notify_all();
    queue.into_iter().for_each(|queued| (queued.done)(Err(failure.error())));
}
