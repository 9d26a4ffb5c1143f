//! What is committed but not yet in the database: two layers of changes above it.
//!
//! Changes go into the active layer. A flush freezes it, moves the frozen layer to the database in one batch, and then
//! drops it; until the batch is in, readers find the changes in the frozen layer, so a key on its way down is never
//! invisible. The layers are persistent maps: a reader takes both in constant time and keeps a view of one commit.

use std::{io, sync::Arc, time::Instant};

use fjall::Slice;
use imbl::OrdMap;
use threefold_core::store::Changes;

use super::{generation::Generation, view::View};
use crate::storage::files::Failure;

/// Changes of keys: a value, or none where the key is removed.
pub(super) type Layer = OrdMap<Slice, Option<Slice>>;

/// What a change weighs in memory besides key and value: their places in the map, and the allocations.
const CHANGE_OVERHEAD_BYTES: usize = 128;

/// Everything a reader needs.
pub(super) struct Layers {
    pub(super) active: Layer,
    /// About the memory that the active layer takes.
    pub(super) active_bytes: usize,
    /// When the oldest change of the active layer was made.
    pub(super) oldest: Option<Instant>,
    /// Empty unless a flush is going on.
    pub(super) frozen: Layer,
    pub(super) base: Arc<Generation>,
    pub(super) failure: Option<Failure>,
    pub(super) closing: bool,
}

impl Layers {
    pub(super) fn new(base: Arc<Generation>) -> Self {
        let (active, frozen) = (Layer::new(), Layer::new());
        Self { active, active_bytes: 0, oldest: None, frozen, base, failure: None, closing: false }
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
        for (key, value) in changes {
            let value_bytes = value.as_ref().map_or(0, Vec::len);
            self.active_bytes += value_bytes;
            let key_bytes = key.len();
            match self.active.insert(Slice::from(key), value.map(Slice::from)) {
                Some(replaced) => self.active_bytes -= replaced.map_or(0, |value| value.len()),
                None => self.active_bytes += key_bytes + CHANGE_OVERHEAD_BYTES,
            }
        }
    }

    /// What the layers say about `key`: nothing, that it is removed, or its value.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let change = self.active.get(key).or_else(|| self.frozen.get(key))?;
        Some(change.as_ref().map(|value| value.to_vec()))
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
        self.active_bytes = 0;
        self.oldest = None;
        self.frozen.clone()
    }
}
