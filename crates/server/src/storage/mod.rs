//! Storage: the log and the state of one server, and the directory that holds both.
//!
//! This module is the only one that knows the database. The rest of the server sees [`LogStore`] and
//! [`StateStore`], so that a simulation can put other disks in their place. Nothing here knows Raft: votes
//! and entries are opaque bytes.

mod backup;
mod database;
pub mod directory;
mod files;
pub mod fjall_log;
pub mod fjall_state;
pub mod memory;

pub(crate) use files::sync_directory;

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use threefold_core::store::{Changes, Read, StoreError};

/// Called once when the write it was given for is on disk (or failed for good).
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// What a log holds when it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogExtent {
    /// The last vote saved.
    pub vote: Option<Bytes>,
    /// What was given with the last purge.
    pub purged: Option<Bytes>,
    /// The indices present; empty when there are none.
    pub indices: Range<u64>,
}

/// The log of one server: consecutive entries by index, and one vote.
///
/// Obligations: writes take effect in the order of the calls. A write that was reported done survives
/// the loss of the process and of power; one that was not may be lost, but only together with
/// everything after it. What was appended is readable as soon as `append` returns, before it is durable.
/// Any failure to write is final: the store reports it to every later call, for a log that may have
/// lost a write must not go on.
pub trait LogStore: Send + Sync + 'static {
    /// What is there.
    fn extent(&self) -> LogExtent;

    /// Appends entries, the first at `first_index`, which must be the next one (any, in a log that is empty and was
    /// never purged); otherwise `done` is told so at once, and nothing changes. Waits while far too much is queued.
    fn append(&self, first_index: u64, entries: Vec<Bytes>, done: Done);

    /// Saves the vote.
    fn save_vote(&self, vote: Bytes, done: Done);

    /// Removes every entry from `from_index` on.
    fn truncate(&self, from_index: u64, done: Done);

    /// Removes every entry up to and including `to_index`, and remembers `purged`. Entries beyond the
    /// end of the log are fine: the log then starts after `to_index`. Done when the mark is durable; the removal
    /// itself goes on in the background, in slices. A mark never moves back: an earlier `to_index` changes nothing.
    fn purge(&self, to_index: u64, purged: Bytes, done: Done);

    /// About the bytes of the entries that are there: exact for those appended since the log was opened. Cheap.
    fn held_bytes(&self) -> u64;

    /// The same as [`LogStore::read`], if it takes no disk; else none. Never waits, so that async code may call it.
    fn read_from_memory(&self, indices: Range<u64>, max_bytes: usize) -> Option<Vec<Bytes>>;

    /// Reads entries: as many of `indices` as are there (so what was purged is skipped), in order, but no more than
    /// `max_bytes` (always at least one, if there is one).
    ///
    /// # Errors
    /// When the disk cannot be read.
    fn read(&self, indices: Range<u64>, max_bytes: usize) -> io::Result<Vec<Bytes>>;
}

/// The state of one server: ordered keys and values, changed in atomic steps.
///
/// Obligations: a commit is visible to readers as a whole, as soon as it returns. It need not be
/// durable: after a crash the store holds everything up to *some* earlier commit, at least the last one
/// followed by a successful `persist`. (The log is replayed from there.)
pub trait StateStore: Read + Send + Sync + 'static {
    /// Makes the changes, all or none.
    ///
    /// # Errors
    /// When the disk fails; the server must then stop.
    fn commit(&self, changes: Changes) -> io::Result<()>;

    /// Whether a commit would be taken at once. False: the disk is behind, and it would wait.
    fn has_room(&self) -> bool {
        true
    }

    /// Makes every commit so far durable.
    ///
    /// # Errors
    /// When the disk fails; the server must then stop.
    fn persist(&self) -> io::Result<()>;

    /// A consistent view of everything committed so far, that later commits do not change.
    ///
    /// # Errors
    /// When the disk fails.
    fn snapshot(&self) -> io::Result<Box<dyn StateSnapshot>>;

    /// A place to receive another server's state into, beside the present one.
    ///
    /// # Errors
    /// When the disk fails.
    fn begin_install(&self) -> io::Result<Box<dyn StateInstall>>;

    /// Puts a received state in the place of the present one: durably, atomically (after a crash either
    /// the old or the new one is there), and visible to readers at once.
    ///
    /// # Errors
    /// When the disk fails; the server must then stop.
    fn finish_install(&self, received: ReceivedState) -> io::Result<()>;
}

/// A consistent view of a state.
pub trait StateSnapshot: Read + Send + Sync {
    /// The next records in key order after `after` (from the first one if none), at most about `max_bytes`
    /// of them (always at least one, if there is one).
    ///
    /// # Errors
    /// When the disk fails.
    fn chunk(&self, after: Option<&[u8]>, max_bytes: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError>;

    /// About how many bytes its records take, where that can be told without reading them; else zero.
    fn about_bytes(&self) -> u64 {
        0
    }
}

/// A state being received. Dropped unfinished, it leaves nothing behind.
pub trait StateInstall: Send {
    /// Adds records; keys must ascend over all calls.
    ///
    /// # Errors
    /// When the disk fails or a key does not ascend.
    fn write(&mut self, records: &[(Bytes, Bytes)]) -> io::Result<()>;

    /// All records are there: makes them durable.
    ///
    /// # Errors
    /// When the disk fails.
    fn finish(self: Box<Self>) -> io::Result<ReceivedState>;
}

/// A complete received state, not yet in its place. Dropped before [`StateStore::finish_install`] took it, it leaves
/// nothing behind: Raft may find that it does not want it, as often as a leader sends one.
#[derive(Debug)]
pub enum ReceivedState {
    /// In a directory beside the present one.
    Directory(ReceivedDirectory),
    /// In memory.
    Memory(threefold_core::store::MemoryStore),
}

/// The directory of a received state. Removes it when dropped.
#[derive(Debug)]
pub struct ReceivedDirectory {
    /// None once it was taken.
    path: Option<PathBuf>,
}

impl ReceivedDirectory {
    fn new(path: PathBuf) -> Self {
        Self { path: Some(path) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// It is somebody else's from now on.
    fn take(mut self) -> Option<PathBuf> {
        self.path.take()
    }
}

impl Drop for ReceivedDirectory {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            files::remove_in_background(path, || {});
        }
    }
}
