//! What is committed but not yet in the database: two layers of changes above it.
//!
//! Changes go into the active layer. A checkpoint freezes it, moves the frozen layer to the database in one step, and then
//! drops it; until that is done, readers find the changes in the frozen layer, so a key on its way down is never
//! invisible. A reader takes both, a few references, and keeps a view of one commit (`layer`).
//!
//! Beside them is what was read last, the newest values by their keys: `apply` reads the same few records (a session, a
//! window, a conversation) with every message, and would find them in the database each time.

use std::{io, sync::Arc, time::Instant};

use fjall::Slice;
use foldhash::fast::RandomState;
use quick_cache::{
    Weighter,
    unsync::{Cache, DefaultLifecycle},
};
use threefold_core::store::Changes;

use super::{
    Checkpoints,
    generation::Generation,
    layer::{CHANGE_OVERHEAD_BYTES, Layer, Run},
    view::View,
};
use crate::storage::files::Failure;

/// What the values read last may weigh in memory: the records of some ten thousand people who are talking.
const READ_BYTES: u64 = 32 << 20;
/// What one of them weighs on average, for the cache's own bookkeeping.
const READ_RECORD_BYTES: usize = 512;

/// Larger values are not kept: they are chunks of attachments, each read once for each reader, and a single file would drive out
/// everything that is talked about.
const KEPT_BYTES: usize = 32 << 10;

/// A point between two commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AsOf(u64);

/// Weighs what was read last.
#[derive(Clone)]
struct ByBytes;

impl Weighter<Slice, Option<Slice>> for ByBytes {
    fn weight(&self, key: &Slice, value: &Option<Slice>) -> u64 {
        (CHANGE_OVERHEAD_BYTES + key.len() + value.as_ref().map_or(0, |value| value.len())) as u64
    }
}

fn is_kept(value: Option<&[u8]>) -> bool {
    value.is_none_or(|value| value.len() <= KEPT_BYTES)
}

/// Everything a reader needs.
pub(super) struct Layers {
    pub(super) active: Layer,
    /// Bytes of all changes that were made to the active layer, of those too that later ones replaced.
    pub(super) changed_bytes: u64,
    /// When the oldest change of the active layer was made.
    pub(super) oldest: Option<Instant>,
    /// Empty unless a flush is going on.
    pub(super) frozen: Layer,
    pub(super) base: Arc<Generation>,
    pub(super) checkpoints: Checkpoints,
    /// The newest values of what was read last; none: there is no such key.
    read: Cache<Slice, Option<Slice>, ByBytes, RandomState>,
    /// Counts the commits.
    commits: u64,
    pub(super) failure: Option<Failure>,
    pub(super) closing: bool,
}

impl Layers {
    pub(super) fn new(base: Arc<Generation>, checkpoints: Checkpoints) -> Self {
        let (active, frozen) = (Layer::new(), Layer::new());
        // Clients choose some of the keys (names): the hash is seeded, so that they cannot choose those that collide.
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        let read = Cache::with(READ_BYTES as usize / READ_RECORD_BYTES, READ_BYTES, ByBytes, hasher, lifecycle);
        Self {
            active,
            changed_bytes: 0,
            oldest: None,
            frozen,
            base,
            checkpoints,
            read,
            commits: 0,
            failure: None,
            closing: false,
        }
    }

    /// Empty ones above `base`, a state that takes the place of this one: what was asked of this one is not said of that.
    pub(super) fn successor(&self, base: Arc<Generation>) -> Self {
        Self { commits: self.commits + 1, ..Self::new(base, self.checkpoints) }
    }

    /// The failure, if there was one.
    pub(super) fn check(&self) -> io::Result<()> {
        self.failure.as_ref().map_or(Ok(()), |failure| Err(failure.error()))
    }

    /// Makes `changes`.
    pub(super) fn merge(&mut self, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        self.oldest.get_or_insert_with(Instant::now);
        self.commits += 1;
        let changes = changes.into_iter().map(|(key, value)| {
            let (key, value) = (Slice::from(key), value.map(Slice::from));
            if !is_kept(value.as_deref()) {
                self.read.remove(&key);
            } else if let Some(mut known) = self.read.get_mut(&key) {
                known.clone_from(&value);
            }
            (key, value)
        });
        let run = Run::new(changes.collect());
        self.changed_bytes += run.bytes() as u64;
        self.active.push(run);
    }

    /// Whether a checkpoint is due, however old the active layer is.
    pub(super) fn is_large(&self) -> bool {
        self.active.bytes() >= self.checkpoints.bytes || self.changed_bytes >= self.checkpoints.changed_bytes
    }

    /// The value of `key`, or none where it is removed, if that can be said without the database; else when it was asked.
    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<Slice>, AsOf> {
        if let Some(value) = self.at_hand(key) {
            return Ok(value.clone());
        }
        let change = self.active.get(key).or_else(|| self.frozen.get(key));
        let value = change.ok_or(AsOf(self.commits))?.clone();
        if is_kept(value.as_deref()) {
            self.read.insert(Slice::from(key), value.clone());
        }
        Ok(value)
    }

    /// The value of `key`, or none where there is no such key, if it was read lately.
    pub(super) fn at_hand(&self, key: &[u8]) -> Option<&Option<Slice>> {
        self.read.get(key)
    }

    /// Keeps what the database said about `key`, unless something was committed since it was asked.
    pub(super) fn keep(&mut self, key: &[u8], value: Option<&[u8]>, as_of: AsOf) {
        if as_of == AsOf(self.commits) && is_kept(value) {
            // A copy: what the database gives is a part of a whole block, which would stay in memory with it.
            self.read.insert(Slice::from(key), value.map(Slice::from));
        }
    }

    /// Everything as it is now.
    pub(super) fn view(&self) -> View {
        // The database's snapshot is taken under the lock too: with a flush going on it may or may not hold what is
        // frozen, and the frozen layer says the same on top of either.
        View::new(self.active.clone(), self.frozen.clone(), Arc::clone(&self.base))
    }

    /// Freezes the active layer.
    pub(super) fn freeze(&mut self) -> Layer {
        self.frozen = std::mem::take(&mut self.active);
        self.changed_bytes = 0;
        self.oldest = None;
        self.frozen.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader found in the state before is told only after another has taken its place.
    #[test]
    fn what_the_state_before_did_not_hold_is_not_said_of_its_successor() {
        let directory = tempfile::tempdir().unwrap();
        let generation = || Generation::create(directory.path()).unwrap();
        let mut before = Layers::new(Arc::new(generation()), Checkpoints::default());
        let Err(asked) = before.get(b"key") else { panic!("nothing was read yet") };
        let mut after = before.successor(Arc::new(generation()));
        after.keep(b"key", None, asked);
        assert!(after.get(b"key").is_err(), "the database is to be asked");
    }
}
