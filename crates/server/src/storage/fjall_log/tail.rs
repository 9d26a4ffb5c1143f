//! The newest entries of the log, in memory.
//!
//! Holds every entry that the disk does not have yet, and of those it has as many as fit a bound. Entries below
//! [`Tail::first_index`] are on disk, and only there.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;

/// What stays in memory of entries that are on disk already: some seconds of full load, so that a follower that lags
/// by a hiccup, and apply, are served from here.
const TAIL_BYTES: usize = 64 << 20;
/// The same bound for small entries, whose bookkeeping weighs more than they do.
const TAIL_ENTRIES: usize = 1 << 15;

pub(super) struct Tail {
    first_index: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
}

struct Entry {
    bytes: Bytes,
    /// The number of the write that brings it to disk.
    number: u64,
}

impl Tail {
    /// Empty; the next entry will have `next_index`.
    pub(super) fn new(next_index: u64) -> Self {
        Self { first_index: next_index, entries: VecDeque::new(), bytes: 0 }
    }

    /// The first index held (the next one, if nothing is).
    pub(super) fn first_index(&self) -> u64 {
        self.first_index
    }

    /// Adds the next entry, which write `number` brings to disk.
    pub(super) fn push(&mut self, bytes: Bytes, number: u64) {
        self.bytes += bytes.len();
        self.entries.push_back(Entry { bytes, number });
    }

    /// Forgets everything from `from_index` on.
    pub(super) fn truncate(&mut self, from_index: u64) {
        while self.first_index + self.entries.len() as u64 > from_index
            && let Some(entry) = self.entries.pop_back()
        {
            self.bytes -= entry.bytes.len();
        }
        // Below what was held: the next entry is the one after what is left on disk.
        self.first_index = self.first_index.min(from_index);
    }

    /// Forgets everything before `first_index`.
    pub(super) fn purge(&mut self, first_index: u64) {
        while self.first_index < first_index && self.pop_front() {}
        self.first_index = self.first_index.max(first_index);
    }

    /// Forgets the oldest entries beyond the bound, but none that write `written` or an earlier one has not brought to disk.
    pub(super) fn evict(&mut self, written: u64) {
        while (self.bytes > TAIL_BYTES || self.entries.len() > TAIL_ENTRIES)
            && self.entries.front().is_some_and(|entry| entry.number <= written)
        {
            self.pop_front();
        }
    }

    /// The entries of `indices` (which start at or after the first index), at most `max_bytes`, at least one.
    pub(super) fn read(&self, indices: Range<u64>, max_bytes: usize) -> Vec<Bytes> {
        let mut left = max_bytes;
        let mut read = Vec::new();
        let skip = usize::try_from(indices.start.saturating_sub(self.first_index)).unwrap_or(usize::MAX);
        let take = usize::try_from(indices.end.saturating_sub(indices.start)).unwrap_or(usize::MAX);
        let first = skip.min(self.entries.len());
        for entry in self.entries.range(first..).take(take) {
            if entry.bytes.len() > left && !read.is_empty() {
                break;
            }
            left = left.saturating_sub(entry.bytes.len());
            read.push(entry.bytes.clone());
        }
        read
    }

    fn pop_front(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        self.bytes -= entry.bytes.len();
        self.first_index += 1;
        true
    }
}
