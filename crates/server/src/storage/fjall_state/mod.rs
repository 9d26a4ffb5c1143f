//! The state on disk: changes gather in memory and move to a fjall database in checkpoints.
//!
//! Promises what [`StateStore`] asks for. The Raft log is the state's write-ahead log, so nothing needs to reach the
//! disk a commit at a time: a commit changes the active layer (`layers`) and returns; a thread moves whole layers to the
//! database, each as one table, in one atomic step, that ends at a commit boundary. So a hot key (a counter, a window of replies)
//! that changes with every message is written once a checkpoint, and after a crash the database holds a prefix of the commits.
//! `persist` does the same at once.
//!
//! Leaves out: replaying the log after a crash (the `meta/applied` record, which is ordinary data here, says from where).
//!
//! On disk, format 1 (`generation`): a directory for each generation, and `CURRENT`, which names the one that counts.

mod generation;
mod install;
mod layer;
mod layers;
#[cfg(test)]
mod tests;
mod view;

use std::{
    io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use fjall::{AbstractTree as _, PersistMode, Slice};
use threefold_core::store::{Changes, Direction, Read, StoreError, Visit};

use self::{generation::Generation, install::FjallInstall, layer::Layer, layers::Layers};
use super::{
    ReceivedState, StateInstall, StateSnapshot, StateStore,
    database::io_error,
    files::{Failure, lock},
};

/// When changes are moved from memory to the database.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoints {
    /// The active layer is this large, in bytes.
    pub bytes: usize,
    /// So many bytes were changed, whatever is left of them: a few records that change over and over weigh little, and each change is applied again after a
    /// crash.
    pub changed_bytes: u64,
    /// Its oldest change is this old.
    pub age: Duration,
}

impl Default for Checkpoints {
    /// 8 MiB are some ten thousand changes, written and synced within tens of milliseconds beside the log on the same disk. Each checkpoint is a
    /// table, and four of them are merged with what they overlap, up to 256 MiB: a quiet conversation should not rewrite the history for a
    /// few messages, so age alone makes one an hour.
    fn default() -> Self {
        Self { bytes: 8 << 20, changed_bytes: 32 << 20, age: Duration::from_secs(60 * 60) }
    }
}

/// With so many tables above another that no compaction has taken yet reading slows down, and the next checkpoint waits while one goes on.
const RUNS_WAITING: usize = 16;
/// So long at most: then the disk is slower than the changes come, but what is in memory must go somewhere.
const RUNS_PATIENCE: Duration = Duration::from_secs(10);
const RUNS_LOOK: Duration = Duration::from_millis(5);
/// With so many it waits as long as one goes on: the database cannot count beyond 255.
const RUNS: usize = 250;
/// Commits wait when the active layer is this large: then the disk is slower than the changes come for seconds on end.
const ACTIVE_BYTES: usize = 32 << 20;

/// The state of one server, on disk.
pub struct FjallState {
    shared: Arc<Shared>,
    checkpoints: Option<JoinHandle<()>>,
}

struct Shared {
    directory: PathBuf,
    layers: Mutex<Layers>,
    /// Changes wait to be moved, or the state closes.
    work: Condvar,
    /// The active layer became empty.
    room: Condvar,
    /// Held while a layer moves, and while the generation changes.
    moving: Mutex<()>,
}

impl FjallState {
    /// Opens the state in the directory at `path`; creates an empty one if there is none.
    ///
    /// # Errors
    /// When the disk fails, or what is there is damaged, in use or newer than this program.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, Checkpoints::default())
    }

    /// The same, with checkpoints of another pace.
    ///
    /// # Errors
    /// As [`FjallState::open`].
    pub fn open_with(path: &Path, checkpoints: Checkpoints) -> io::Result<Self> {
        let base = Generation::open_current(path)?;
        let shared = Arc::new(Shared {
            directory: path.to_owned(),
            layers: Mutex::new(Layers::new(base, checkpoints)),
            work: Condvar::new(),
            room: Condvar::new(),
            moving: Mutex::new(()),
        });
        let checkpoints = thread::Builder::new().name("state-checkpoints".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run_checkpoints()
        })?;
        Ok(Self { shared, checkpoints: Some(checkpoints) })
    }

    /// Whether there is a state at `path`.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn is_present(path: &Path) -> io::Result<bool> {
        Generation::is_present(path)
    }
}

impl Shared {
    /// Moves layers to the database whenever one is large or old enough, until the state closes or the disk fails.
    fn run_checkpoints(&self) {
        while self.wait_until_due() {
            let moving = lock(&self.moving);
            if self.move_down().is_err() {
                // Kept in the layers, for every later call.
                return;
            }
            drop(moving);
        }
    }

    /// Waits until a checkpoint is due; false when the state closes or has failed.
    fn wait_until_due(&self) -> bool {
        let mut layers = lock(&self.layers);
        loop {
            if layers.closing || layers.failure.is_some() {
                return false;
            }
            let left = layers.oldest.map(|oldest| layers.checkpoints.age.saturating_sub(oldest.elapsed()));
            layers = match left {
                Some(_) if layers.is_large() => return true,
                Some(Duration::ZERO) => return true,
                Some(left) => self.work.wait_timeout(layers, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.work.wait(layers).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Moves the active layer to the database. The caller holds `moving`.
    fn move_down(&self) -> io::Result<Arc<Generation>> {
        let (frozen, base) = {
            let mut layers = lock(&self.layers);
            layers.check()?;
            (layers.freeze(), Arc::clone(&layers.base))
        };
        self.room.notify_all();
        let result = write_layer(&base, &frozen);
        let mut layers = lock(&self.layers);
        match result {
            // The layer itself is dropped without the lock, by `frozen`.
            Ok(()) => layers.frozen = Layer::new(),
            Err(error) => {
                let failure = Failure::new("the state cannot be written", &error);
                layers.failure = Some(failure.clone());
                drop(layers);
                self.room.notify_all();
                return Err(failure.error());
            }
        }
        drop(layers);
        Ok(base)
    }

    /// Runs `step`, after whose failure the state must not go on.
    fn finally<T>(&self, what: &str, step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        step().map_err(|error| {
            let failure = Failure::new(what, &error);
            lock(&self.layers).failure.get_or_insert_with(|| failure.clone());
            self.room.notify_all();
            failure.error()
        })
    }
}

/// Writes a layer as a table of its own, in one atomic step, and durably. The database's journal and memtables are passed by: the Raft
/// log is a journal already, and a layer is in order.
fn write_layer(base: &Generation, layer: &Layer) -> io::Result<()> {
    if layer.is_empty() {
        return Ok(());
    }
    // Loading does not look whether the database has failed; this does.
    base.database().persist(PersistMode::Buffer).map_err(io_error)?;
    wait_for_compactions(base)?;
    let mut table = base.records().start_ingestion().map_err(io_error)?;
    let mut is_separated = false;
    for (key, value) in layer.range((Bound::Unbounded, Bound::Unbounded), Direction::Ascending) {
        match value {
            Some(value) => {
                is_separated |= value.len() >= generation::SEPARATED_BYTES as usize;
                table.write(key.clone(), value.clone())
            }
            None => table.write_tombstone(key.clone()),
        }
        .map_err(io_error)?;
    }
    table.finish().map_err(io_error)?;
    if is_separated { base.persist_separated() } else { Ok(()) }
}

/// Waits while many tables wait to be compacted, and any is. (Where none is, the next table begins it.)
///
/// # Errors
/// When there are so many that nothing compacts them any more.
fn wait_for_compactions(base: &Generation) -> io::Result<()> {
    let (mut waited, mut idle) = (Duration::ZERO, Duration::ZERO);
    loop {
        let runs = base.records().tree.l0_run_count();
        let is_compacting = base.database().active_compactions() > 0;
        let may_go_on = runs < RUNS_WAITING || !is_compacting || waited >= RUNS_PATIENCE;
        if runs < RUNS && may_go_on {
            return Ok(());
        }
        idle = if is_compacting { Duration::ZERO } else { idle + RUNS_LOOK };
        if idle >= RUNS_PATIENCE {
            let words = format!("{runs} tables of the state wait to be compacted, and nothing does it");
            return Err(io::Error::other(words));
        }
        thread::sleep(RUNS_LOOK);
        waited += RUNS_LOOK;
    }
}

impl FjallState {
    fn value(&self, key: &[u8]) -> io::Result<Option<Slice>> {
        let (base, as_of) = {
            let mut layers = lock(&self.shared.layers);
            match layers.get(key) {
                Ok(value) => return Ok(value),
                Err(as_of) => (Arc::clone(&layers.base), as_of),
            }
        };
        // Not in the layers a moment ago: what the database says now is that, or something newer.
        let value = base.records().get(key).map_err(io_error)?;
        lock(&self.shared.layers).keep(key, value.as_deref(), as_of);
        Ok(value)
    }
}

impl Read for FjallState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.value(key)?.map(|value| value.to_vec()))
    }

    fn look(&self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        // Shown in place: what is shown is decoded, which takes no longer than a copy and its end.
        if let Some(value) = lock(&self.shared.layers).at_hand(key) {
            return Ok(value.as_deref().inspect(|value| show(value)).is_some());
        }
        Ok(self.value(key)?.inspect(|value| show(value)).is_some())
    }

    fn scan(&self, start: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let view = lock(&self.shared.layers).view();
        view.scan(start, end, direction, visit)
    }
}

impl StateStore for FjallState {
    fn commit(&self, changes: Changes) -> io::Result<()> {
        let mut layers = lock(&self.shared.layers);
        layers.check()?;
        while layers.active.bytes() > ACTIVE_BYTES {
            layers = self.shared.room.wait(layers).unwrap_or_else(PoisonError::into_inner);
            layers.check()?;
        }
        let (was_empty, was_large) = (layers.oldest.is_none(), layers.is_large());
        layers.merge(changes);
        // The thread is woken once to watch the clock, and once when the layer is large.
        let wake = was_empty || (!was_large && layers.is_large());
        drop(layers);
        if wake {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        lock(&self.shared.layers).active.bytes() <= ACTIVE_BYTES
    }

    fn persist(&self) -> io::Result<()> {
        let moving = lock(&self.shared.moving);
        let base = self.shared.move_down()?;
        drop(moving);
        self.shared.finally("the state cannot be synced", || base.persist())
    }

    fn snapshot(&self) -> io::Result<Box<dyn StateSnapshot>> {
        let layers = lock(&self.shared.layers);
        layers.check()?;
        Ok(Box::new(layers.view()))
    }

    fn begin_install(&self) -> io::Result<Box<dyn StateInstall>> {
        Ok(Box::new(FjallInstall::begin(Generation::create(&self.shared.directory)?)?))
    }

    fn finish_install(&self, received: ReceivedState) -> io::Result<()> {
        let ReceivedState::Directory(received) = received else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a state in memory cannot be installed on disk"));
        };
        let parent = received.path().and_then(Path::parent);
        if parent != Some(&self.shared.directory) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a state that was not received by this store"));
        }
        let _moving = lock(&self.shared.moving);
        lock(&self.shared.layers).check()?;
        // Taken before it is named: after a failure nobody knows whether `CURRENT` names it, so it must stay.
        let path = received.take().ok_or_else(|| io::Error::other("a received state without a place"))?;
        let next = self.shared.finally("the received state cannot be put in place", || {
            let next = Generation::open(path)?;
            next.make_current()?;
            Ok(next)
        })?;
        let previous = {
            let mut layers = lock(&self.shared.layers);
            let successor = layers.successor(next);
            std::mem::replace(&mut *layers, successor)
        };
        previous.base.retire();
        self.shared.room.notify_all();
        Ok(())
    }
}

impl Drop for FjallState {
    fn drop(&mut self) {
        lock(&self.shared.layers).closing = true;
        self.shared.work.notify_one();
        if let Some(checkpoints) = self.checkpoints.take() {
            let _ = checkpoints.join();
        }
        // A clean stop leaves nothing to replay; after a failure there is nothing to save.
        if let Err(error) = self.persist() {
            tracing::warn!(%error, "the state was not saved at the end; the log will be replayed");
        }
    }
}
