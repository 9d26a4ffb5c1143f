//! A server's disk: outlives its processes, takes its time, forgets what was not synced, and may fail.
//!
//! The log and the state are the server's own stores in memory. Writes to the log become durable some time after they
//! were made, many at once, as a group commit does. A crash keeps of the writes that waited a part chosen by lot, from
//! the oldest on: they may have reached the disk although nobody was told. The state keeps at least what was persisted last.

use std::{
    io,
    ops::{ControlFlow, Range, RangeInclusive},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use threefold_core::store::{Changes, Direction, Read, StoreError, Visit};
use threefold_server::{
    raft::machine::applied_mark,
    storage::{
        Done, LogExtent, LogStore, ReceivedState, StateInstall, StateSnapshot, StateStore,
        memory::{MemoryLog, MemoryState},
    },
};
use tokio::{sync::Notify, time::sleep};

use crate::{fact::Fact, world::World};

/// One server's disk.
pub struct Disk {
    server: String,
    world: Arc<World>,
    inner: Mutex<Inner>,
}

struct Inner {
    log: Arc<SlowLog>,
    state: MemoryState,
    node_id: u64,
    incarnation: u64,
    dice: StdRng,
    flush: RangeInclusive<Duration>,
    has_failed: bool,
}

/// What a process that starts finds.
pub struct Found {
    /// The directory's number.
    pub node_id: u64,
    /// How often it was opened, this time included.
    pub incarnation: u64,
    /// The log.
    pub log: Arc<dyn LogStore>,
    /// The state.
    pub state: Arc<dyn StateStore>,
}

impl Disk {
    /// A new disk of this server, with a directory of this number.
    #[must_use]
    pub fn new(server: &str, node_id: u64, seed: u64, flush: RangeInclusive<Duration>, world: Arc<World>) -> Arc<Self> {
        let inner = Inner {
            log: SlowLog::over(MemoryLog::manual()),
            state: MemoryState::new(),
            node_id,
            incarnation: 0,
            dice: StdRng::seed_from_u64(seed),
            flush,
            has_failed: false,
        };
        Arc::new(Self { server: server.to_owned(), world, inner: Mutex::new(inner) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the directory, in a process that starts. Its writes become durable while that process runs.
    pub fn open(self: &Arc<Self>) -> Result<Found, StoreError> {
        let (found, log, state) = {
            let mut inner = self.lock();
            inner.incarnation += 1;
            let (log, state) = (inner.log.clone(), inner.state.clone());
            let (server, world) = (self.server.clone(), self.world.clone());
            let watched = WatchedState { server, world, digest: Mutex::new(digest_of(&state)?), state: state.clone() };
            let found = Found {
                node_id: inner.node_id,
                incarnation: inner.incarnation,
                log: log.clone(),
                state: Arc::new(watched),
            };
            (found, log, state)
        };
        drop(state);
        tokio::spawn(self.clone().flush(log));
        Ok(found)
    }

    /// Makes what waits durable, again and again, each time all that waited when the sync began.
    async fn flush(self: Arc<Self>, log: Arc<SlowLog>) {
        loop {
            let waiting = log.waiting.load(Ordering::SeqCst);
            if waiting == 0 {
                log.written.notified().await;
                continue;
            }
            let takes = {
                let mut inner = self.lock();
                let flush = inner.flush.clone();
                inner.dice.random_range(flush)
            };
            sleep(takes).await;
            let synced = log.log.sync(waiting);
            log.waiting.fetch_sub(synced, Ordering::SeqCst);
        }
    }

    /// The process is gone: what was not durable may be too.
    pub fn crash(&self) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let waiting = inner.log.waiting.load(Ordering::SeqCst);
        let reached = inner.dice.random_range(0..=waiting);
        inner.log.log.sync(reached);
        inner.log = SlowLog::over(inner.log.log.crash());
        if inner.dice.random_bool(0.5) {
            // The state reached the disk by itself. A state in memory does not fail.
            let _ = inner.state.persist();
        }
        inner.state = inner.state.crash();
        inner.has_failed = false;
    }

    /// Every write fails from now on, until the next crash.
    pub fn fail(&self) {
        let log = {
            let mut inner = self.lock();
            inner.has_failed = true;
            inner.log.clone()
        };
        log.log.fail(&io::Error::other("input/output error"));
    }

    /// Whether writes fail.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// A sync takes this long from now on.
    pub fn set_flush(&self, flush: RangeInclusive<Duration>) {
        self.lock().flush = flush;
    }

    /// The index after the last entry written, durable or not.
    #[must_use]
    pub fn log_end(&self) -> u64 {
        self.lock().log.extent().indices.end
    }
}

/// A log whose writes wait to become durable.
struct SlowLog {
    log: MemoryLog,
    waiting: AtomicUsize,
    written: Notify,
}

impl SlowLog {
    fn over(log: MemoryLog) -> Arc<Self> {
        Arc::new(Self { log, waiting: AtomicUsize::new(0), written: Notify::new() })
    }

    /// A write that is refused at once does not wait; `done` says which.
    fn submit(&self, done: Done, write: impl FnOnce(&MemoryLog, Done)) {
        let refused = Arc::new(Mutex::new(Some(done)));
        let taken = refused.clone();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let outcome: Done = Box::new(move |result| {
            let done = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(done) = done {
                done(result);
            }
        });
        write(&self.log, outcome);
        if refused.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        self.written.notify_one();
    }
}

impl LogStore for SlowLog {
    fn extent(&self) -> LogExtent {
        self.log.extent()
    }

    fn append(&self, first_index: u64, entries: Vec<Bytes>, done: Done) {
        self.submit(done, |log, done| log.append(first_index, entries, done));
    }

    fn save_vote(&self, vote: Bytes, done: Done) {
        self.submit(done, |log, done| log.save_vote(vote, done));
    }

    fn truncate(&self, from_index: u64, done: Done) {
        self.submit(done, |log, done| log.truncate(from_index, done));
    }

    fn purge(&self, to_index: u64, purged: Bytes, done: Done) {
        self.submit(done, |log, done| log.purge(to_index, purged, done));
    }

    fn held_bytes(&self) -> u64 {
        self.log.held_bytes()
    }

    fn read_from_memory(&self, indices: Range<u64>, max_bytes: usize) -> Option<Vec<Bytes>> {
        self.log.read_from_memory(indices, max_bytes)
    }

    fn read(&self, indices: Range<u64>, max_bytes: usize) -> io::Result<Vec<Bytes>> {
        self.log.read(indices, max_bytes)
    }
}

/// A state that tells of every commit: how far it is, and what all of it comes to.
struct WatchedState {
    server: String,
    world: Arc<World>,
    state: MemoryState,
    digest: Mutex<u64>,
}

/// One record's part in the digest of a state: the digest is their sum, so it can be kept up with every change.
fn digest_of_record(key: &[u8], value: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    key.iter().copied().for_each(&mut mix);
    (key.len() as u64).to_le_bytes().into_iter().for_each(&mut mix);
    value.iter().copied().for_each(&mut mix);
    // The last byte has barely been mixed in.
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

fn digest_of(state: &MemoryState) -> Result<u64, StoreError> {
    let mut digest = 0_u64;
    state.scan(&[], &[0xff; 32], Direction::Ascending, &mut |key, value| {
        digest = digest.wrapping_add(digest_of_record(key, value));
        ControlFlow::Continue(())
    })?;
    Ok(digest)
}

impl WatchedState {
    fn told(&self, digest: u64) -> io::Result<()> {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = digest;
        let (applied, _) = applied_mark(&self.state).map_err(io::Error::other)?;
        if let Some(applied) = applied {
            self.world.tell(Fact::Applied { server: self.server.clone(), index: applied.index, digest });
        }
        Ok(())
    }
}

impl Read for WatchedState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.state.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.state.scan(start, end, direction, visit)
    }
}

impl StateStore for WatchedState {
    fn commit(&self, changes: Changes) -> io::Result<()> {
        let mut digest = *self.digest.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in &changes {
            if let Some(old) = self.state.get(key).map_err(io::Error::other)? {
                digest = digest.wrapping_sub(digest_of_record(key, &old));
            }
            if let Some(value) = value {
                digest = digest.wrapping_add(digest_of_record(key, value));
            }
        }
        self.state.commit(changes)?;
        self.told(digest)
    }

    fn persist(&self) -> io::Result<()> {
        self.state.persist()
    }

    fn snapshot(&self) -> io::Result<Box<dyn StateSnapshot>> {
        self.state.snapshot()
    }

    fn begin_install(&self) -> io::Result<Box<dyn StateInstall>> {
        self.state.begin_install()
    }

    fn finish_install(&self, received: ReceivedState) -> io::Result<()> {
        self.state.finish_install(received)?;
        self.told(digest_of(&self.state).map_err(io::Error::other)?)
    }
}
