//! The state in memory: what is committed, and what was persisted last.

use std::{
    io,
    ops::Bound,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use threefold_core::store::{Changes, Direction, MemoryStore, Read, StoreError, Visit};

use crate::storage::{ReceivedState, StateInstall, StateSnapshot, StateStore, files::lock};

/// A state in memory.
#[derive(Clone, Default)]
pub struct MemoryState {
    inner: Arc<Mutex<StateInner>>,
}

#[derive(Default)]
struct StateInner {
    /// Shared with readers, who are called back in the middle of a scan and so must not hold the lock.
    visible: Arc<MemoryStore>,
    durable: Arc<MemoryStore>,
}

impl MemoryState {
    /// An empty state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The state that a restart finds after power was lost now: that of the last `persist`.
    #[must_use]
    pub fn crash(&self) -> Self {
        let durable = Arc::clone(&lock(&self.inner).durable);
        Self { inner: Arc::new(Mutex::new(StateInner { visible: Arc::clone(&durable), durable })) }
    }

    fn visible(&self) -> Arc<MemoryStore> {
        Arc::clone(&lock(&self.inner).visible)
    }
}

impl Read for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.visible().get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.visible().scan(start, end, direction, visit)
    }
}

impl StateStore for MemoryState {
    fn commit(&self, changes: Changes) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        let entries = &mut Arc::make_mut(&mut inner.visible).entries;
        for (key, value) in changes {
            match value {
                Some(value) => drop(entries.insert(key, value)),
                None => drop(entries.remove(&key)),
            }
        }
        Ok(())
    }

    fn persist(&self) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        inner.durable = Arc::clone(&inner.visible);
        Ok(())
    }

    fn snapshot(&self) -> io::Result<Box<dyn StateSnapshot>> {
        Ok(Box::new(MemorySnapshot(self.visible())))
    }

    fn begin_install(&self) -> io::Result<Box<dyn StateInstall>> {
        Ok(Box::new(MemoryInstall(MemoryStore::default())))
    }

    fn finish_install(&self, received: ReceivedState) -> io::Result<()> {
        let ReceivedState::Memory(store) = received else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a state on disk cannot be installed in memory"));
        };
        let mut inner = lock(&self.inner);
        inner.visible = Arc::new(store);
        inner.durable = Arc::clone(&inner.visible);
        Ok(())
    }
}

struct MemorySnapshot(Arc<MemoryStore>);

impl Read for MemorySnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.scan(start, end, direction, visit)
    }
}

impl StateSnapshot for MemorySnapshot {
    fn chunk(&self, after: Option<&[u8]>, max_bytes: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut records = Vec::new();
        let mut left = max_bytes;
        for (key, value) in self.0.entries.range::<[u8], _>((start, Bound::Unbounded)) {
            let bytes = key.len() + value.len();
            if bytes > left && !records.is_empty() {
                break;
            }
            left = left.saturating_sub(bytes);
            records.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        }
        Ok(records)
    }
}

struct MemoryInstall(MemoryStore);

impl StateInstall for MemoryInstall {
    fn write(&mut self, records: &[(Bytes, Bytes)]) -> io::Result<()> {
        for (key, value) in records {
            if self.0.entries.last_key_value().is_some_and(|(last, _)| key[..] <= last[..]) {
                let message = "the records of a received state must ascend by key";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            self.0.entries.insert(key.to_vec(), value.to_vec());
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<ReceivedState> {
        Ok(ReceivedState::Memory(self.0))
    }
}
