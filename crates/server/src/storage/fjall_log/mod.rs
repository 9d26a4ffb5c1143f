//! The log on disk, in a fjall database.
//!
//! Promises what [`LogStore`] asks for. Every call changes the view in memory at once, in call order, and queues its
//! write; one thread (`writer`) takes all that is queued and makes it durable with one `fdatasync` (group commit),
//! so the cost of the disk is shared by whatever arrived while it was busy. The newest entries stay in memory
//! (`tail`), so replication and apply normally never read the disk.
//!
//! Leaves out: any knowledge of what an entry is, and recovery from a failed write: the first one is final.
//!
//! On disk (`disk`), format 1: keyspace `log`, big-endian index to entry; keyspace `meta`, `format`, `vote` and `purged`.

mod disk;
mod sizes;
mod tail;
mod writer;

use std::{
    collections::VecDeque,
    io,
    ops::Range,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use bytes::Bytes;

use self::{disk::Disk, sizes::Sizes, tail::Tail};
use super::{
    Done, LogExtent, LogStore,
    files::{Failure, lock},
};

/// What may wait for the disk before `append` itself waits: some seconds of a slow disk at full load, and far more than
/// Raft keeps in flight.
const QUEUE_BYTES: usize = 128 << 20;
/// What a queued write weighs besides its entries.
const WRITE_OVERHEAD_BYTES: usize = 128;

/// What a log has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounters {
    /// Group commits, one `fdatasync` each.
    pub fsyncs: u64,
    /// Entries made durable.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The log of one server, on disk.
pub struct FjallLog {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What the callers and the writer share.
struct Shared {
    view: Mutex<View>,
    /// Something was queued, or the log closes.
    work: Condvar,
    /// The queue became shorter.
    room: Condvar,
    disk: Disk,
    fsyncs: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
}

/// The log as callers see it, and what the disk has yet to learn of it.
struct View {
    vote: Option<Bytes>,
    purged: Option<(u64, Bytes)>,
    indices: Range<u64>,
    tail: Tail,
    /// Those of all `indices`.
    sizes: Sizes,
    /// Counts the calls that remove entries: a reader that finds it changed reads again.
    removals: u64,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// The number of the last write queued.
    last_number: u64,
    /// The writer waits for work: else it looks at the queue by itself, and waking it is a system call for nothing.
    is_writer_waiting: bool,
    failure: Option<Failure>,
    closing: bool,
}

/// A write waiting for the disk.
struct Queued {
    number: u64,
    bytes: usize,
    write: Write,
    done: Done,
}

enum Write {
    Append {
        first_index: u64,
        entries: Vec<Bytes>,
    },
    Vote(Bytes),
    /// The entries that were there, all to be removed.
    Truncate(Range<u64>),
    Purge {
        to_index: u64,
        purged: Bytes,
        removed: Range<u64>,
    },
}

impl FjallLog {
    /// Opens the log at `path`; creates an empty one if there is none.
    ///
    /// # Errors
    /// When the disk fails, or what is there is damaged, in use or newer than this program.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (disk, recovered) = Disk::open(path)?;
        let shared = Arc::new(Shared {
            view: Mutex::new(View {
                vote: recovered.vote,
                purged: recovered.purged,
                tail: Tail::new(recovered.indices.end),
                sizes: recovered.sizes,
                indices: recovered.indices,
                removals: 0,
                queue: VecDeque::new(),
                queued_bytes: 0,
                last_number: 0,
                is_writer_waiting: false,
                failure: None,
                closing: false,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            disk,
            fsyncs: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let writer = thread::Builder::new().name("log-writer".into()).spawn({
            let shared = Arc::clone(&shared);
            move || writer::run(&shared, recovered.garbage)
        })?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Whether there is a log at `path`.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn is_present(path: &Path) -> io::Result<bool> {
        // One that was there is never an empty directory.
        match std::fs::read_dir(path) {
            Ok(mut files) => Ok(files.next().transpose()?.is_some()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What was done since the log was opened.
    #[must_use]
    pub fn counters(&self) -> LogCounters {
        LogCounters {
            fsyncs: self.shared.fsyncs.load(Ordering::Relaxed),
            entries: self.shared.entries.load(Ordering::Relaxed),
            bytes: self.shared.bytes.load(Ordering::Relaxed),
        }
    }

    /// Changes the view by `change`, which says what to write, and queues that. `done` is told at once what cannot be.
    fn submit(&self, bytes: usize, done: Done, change: impl FnOnce(&mut View, u64) -> io::Result<Write>) {
        let mut view = lock(&self.shared.view);
        while view.failure.is_none() && view.queued_bytes > QUEUE_BYTES {
            view = self.shared.room.wait(view).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        if let Some(failure) = &view.failure {
            let error = failure.error();
            drop(view);
            return done(Err(error));
        }
        let number = view.last_number + 1;
        match change(&mut view, number) {
            Ok(write) => {
                let bytes = bytes + WRITE_OVERHEAD_BYTES;
                view.last_number = number;
                view.queued_bytes += bytes;
                view.queue.push_back(Queued { number, bytes, write, done });
                let is_writer_waiting = view.is_writer_waiting;
                drop(view);
                if is_writer_waiting {
                    self.shared.work.notify_one();
                }
            }
            Err(error) => {
                drop(view);
                done(Err(error));
            }
        }
    }
}

impl LogStore for FjallLog {
    fn extent(&self) -> LogExtent {
        let view = lock(&self.shared.view);
        LogExtent {
            vote: view.vote.clone(),
            purged: view.purged.as_ref().map(|(_, purged)| purged.clone()),
            indices: view.indices.clone(),
        }
    }

    fn append(&self, first_index: u64, entries: Vec<Bytes>, done: Done) {
        let bytes = entries.iter().map(|entry| entry.len() + WRITE_OVERHEAD_BYTES).sum();
        self.submit(bytes, done, |view, number| view.append(first_index, entries, number));
    }

    fn save_vote(&self, vote: Bytes, done: Done) {
        self.submit(vote.len(), done, |view, _| {
            view.vote = Some(vote.clone());
            Ok(Write::Vote(vote))
        });
    }

    fn truncate(&self, from_index: u64, done: Done) {
        self.submit(0, done, |view, _| Ok(view.truncate(from_index)));
    }

    fn purge(&self, to_index: u64, purged: Bytes, done: Done) {
        self.submit(purged.len(), done, |view, _| Ok(view.purge(to_index, purged)));
    }

    fn held_bytes(&self) -> u64 {
        lock(&self.shared.view).sizes.bytes()
    }

    fn read_from_memory(&self, indices: Range<u64>, max_bytes: usize) -> Option<Vec<Bytes>> {
        let view = lock(&self.shared.view);
        let wanted = view.present(&indices);
        (wanted.is_empty() || wanted.start >= view.tail.first_index()).then(|| view.tail.read(wanted, max_bytes))
    }

    fn read(&self, indices: Range<u64>, max_bytes: usize) -> io::Result<Vec<Bytes>> {
        loop {
            let (on_disk, in_memory, removals) = {
                let view = lock(&self.shared.view);
                let wanted = view.present(&indices);
                let split = view.tail.first_index().clamp(wanted.start, wanted.end.max(wanted.start));
                (wanted.start..split, view.tail.read(split..wanted.end, max_bytes), view.removals)
            };
            if on_disk.is_empty() {
                return Ok(in_memory);
            }
            let read = self.shared.disk.read(on_disk.clone(), max_bytes);
            // What was removed meanwhile may be missing on disk, or replaced by entries that do not fit the rest.
            if lock(&self.shared.view).removals != removals {
                continue;
            }
            let (mut entries, bytes) = read?;
            let complete = entries.len() as u64 == on_disk.end - on_disk.start;
            if complete {
                let mut left = max_bytes.saturating_sub(bytes);
                for entry in in_memory {
                    if entry.len() > left {
                        break;
                    }
                    left -= entry.len();
                    entries.push(entry);
                }
            }
            return Ok(entries);
        }
    }
}

impl View {
    /// Those of `indices` that are there.
    fn present(&self, indices: &Range<u64>) -> Range<u64> {
        indices.start.max(self.indices.start)..indices.end.min(self.indices.end)
    }

    fn append(&mut self, first_index: u64, entries: Vec<Bytes>, number: u64) -> io::Result<Write> {
        let unused = self.indices.is_empty() && self.purged.is_none();
        if unused && !entries.is_empty() {
            // A log that never held anything starts wherever its first entry says.
            self.indices = first_index..first_index;
            self.tail = Tail::new(first_index);
        } else if first_index != self.indices.end && !entries.is_empty() {
            let message = format!("entry {first_index} cannot be appended: the log goes on at {}", self.indices.end);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.indices.end += entries.len() as u64;
        for entry in &entries {
            self.tail.push(entry.clone(), number);
            self.sizes.push(entry.len());
        }
        Ok(Write::Append { first_index, entries })
    }

    fn truncate(&mut self, from_index: u64) -> Write {
        let from = from_index.clamp(self.indices.start, self.indices.end);
        let removed = from..self.indices.end;
        self.indices.end = from;
        self.tail.truncate(from);
        self.sizes.truncate(from - self.indices.start);
        self.removals += 1;
        Write::Truncate(removed)
    }

    fn purge(&mut self, to_index: u64, purged: Bytes) -> Write {
        // A mark never moves back: entries below the old one are gone.
        let (to_index, purged) = match self.purged.take() {
            Some((mark, kept)) if mark > to_index => (mark, kept),
            _ => (to_index, purged),
        };
        let start = (to_index + 1).max(self.indices.start);
        let removed = self.indices.start..start.min(self.indices.end);
        self.sizes.purge(removed.end.saturating_sub(removed.start));
        self.indices = start..self.indices.end.max(start);
        self.tail.purge(start);
        self.removals += 1;
        self.purged = Some((to_index, purged.clone()));
        Write::Purge { to_index, purged, removed }
    }
}

impl Drop for FjallLog {
    fn drop(&mut self) {
        lock(&self.shared.view).closing = true;
        self.shared.work.notify_one();
        if let Some(writer) = self.writer.take()
            // The last handle may be dropped by a `done`, on the writer itself, which then ends on its own.
            && writer.thread().id() != thread::current().id()
        {
            let _ = writer.join();
        }
    }
}
