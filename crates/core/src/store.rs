//! What `apply` and the queries need of a store: ordered bytes to bytes. The server puts a database
//! behind it; tests and simulations use [`MemoryStore`].

use std::{collections::BTreeMap, ops::ControlFlow};

/// The order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// The store cannot be read, or holds what cannot be understood. For `apply` both are a broken
/// invariant: the server must stop, for a replica that guesses would diverge.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("cannot read the store: {0}")]
    Io(#[from] std::io::Error),
    /// A record does not decode, or two records contradict each other; the words say which.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
}

/// Called with each key and value of a scan; breaks to stop it.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Reading.
///
/// Each call sees one commit, whole. That several calls see the same one is not promised here: `apply` is the only
/// writer and reads what it wrote, and a query is given a view that nobody writes to (see [`crate::query`]).
pub trait Read {
    /// The value of `key`, if there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Shows the value of `key`, if there is one, and says whether there is: the same as [`Read::get`], without a copy where the store can. `show` does not read the store: it may be locked meanwhile.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn look(&self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        Ok(self.get(key)?.inspect(|value| show(value)).is_some())
    }

    /// Visits every key in `start..end` (end excluded) in the given order until `visit` breaks. A visitor
    /// does not read the store: it may be locked meanwhile.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn scan(&self, start: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// Writing. What was written is seen by later reads through the same value.
pub trait Write: Read {
    /// Sets `key` to `value`.
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>);
    /// Removes `key`.
    fn delete(&mut self, key: Vec<u8>);
}

/// Changes of keys: a value, or none where the key is removed.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A store in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    /// Everything, in key order.
    pub entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Read for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.entries.get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if start >= end {
            return Ok(());
        }
        let mut range = self.entries.range(start.to_vec()..end.to_vec());
        while let Some((key, value)) = match direction {
            Direction::Ascending => range.next(),
            Direction::Descending => range.next_back(),
        } {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Write for MemoryStore {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.entries.insert(key, value);
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.entries.remove(&key);
    }
}

/// Pending changes on top of a store that itself stays as it is: `apply` writes here and sees its own
/// writes; the server then commits [`Overlay::into_changes`] at once.
pub struct Overlay<'a, R: Read + ?Sized> {
    base: &'a R,
    changes: Changes,
}

impl<'a, R: Read + ?Sized> Overlay<'a, R> {
    /// No changes yet.
    pub fn new(base: &'a R) -> Self {
        Self { base, changes: Changes::new() }
    }

    /// The changes, to be committed atomically.
    #[must_use]
    pub fn into_changes(self) -> Changes {
        self.changes
    }
}

impl<R: Read + ?Sized> Read for Overlay<'_, R> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.base.get(key),
        }
    }

    fn look(&self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.as_deref().inspect(|value| show(value)).is_some()),
            None => self.base.look(key, show),
        }
    }

    fn scan(&self, start: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan_merged(&self.changes, self.base, start, end, direction, visit)
    }
}

impl<R: Read + ?Sized> Write for Overlay<'_, R> {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }
}

/// Scans `base` as if `changes` had been made to it.
///
/// # Errors
/// When `base` cannot be read.
pub fn scan_merged(
    changes: &Changes,
    base: &(impl Read + ?Sized),
    start: &[u8],
    end: &[u8],
    direction: Direction,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    if start >= end {
        return Ok(());
    }
    let mut range = changes.range(start.to_vec()..end.to_vec());
    let mut advance = move || match direction {
        Direction::Ascending => range.next(),
        Direction::Descending => range.next_back(),
    };
    let mut pending = advance();
    let mut stopped = false;
    base.scan(start, end, direction, &mut |key, value| {
        // Everything pending that comes before this key of the base goes first.
        while let Some((changed, change)) = pending {
            let before = match direction {
                Direction::Ascending => changed.as_slice() < key,
                Direction::Descending => changed.as_slice() > key,
            };
            if !before {
                break;
            }
            pending = advance();
            if let Some(value) = change
                && visit(changed, value).is_break()
            {
                stopped = true;
                return ControlFlow::Break(());
            }
        }
        let flow = match pending {
            Some((changed, change)) if changed.as_slice() == key => {
                pending = advance();
                change.as_ref().map_or(ControlFlow::Continue(()), |value| visit(key, value))
            }
            _ => visit(key, value),
        };
        stopped = flow.is_break();
        flow
    })?;
    while !stopped && let Some((changed, change)) = pending {
        pending = advance();
        if let Some(value) = change {
            stopped = visit(changed, value).is_break();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, collection::vec, prelude::*};

    use super::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        vec(0u8..3, 0..4)
    }

    fn visited(
        store: &dyn Read,
        start: &[u8],
        end: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut visited = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            visited.push((key.to_vec(), value.to_vec()));
            if visited.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        store.scan(start, end, direction, &mut visit).unwrap();
        visited
    }

    proptest! {
        /// An overlay reads as the store does once the changes are made.
        #[test]
        fn an_overlay_reads_like_the_changed_store(
            entries in btree_map(key(), vec(any::<u8>(), 0..2), 0..12),
            changes in vec((key(), proptest::option::of(vec(any::<u8>(), 0..2))), 0..12),
            start in key(),
            end in key(),
            limit in 1usize..6,
        ) {
            let base = MemoryStore { entries };
            let mut overlay = Overlay::new(&base);
            let mut model = base.clone();
            for (key, change) in changes {
                match change {
                    Some(value) => {
                        overlay.put(key.clone(), value.clone());
                        model.put(key, value);
                    }
                    None => {
                        overlay.delete(key.clone());
                        model.delete(key);
                    }
                }
            }
            for direction in [Direction::Ascending, Direction::Descending] {
                let found = visited(&overlay, &start, &end, direction, limit);
                let all = model.entries.iter().filter(|(key, _)| **key >= start && **key < end);
                let mut all: Vec<_> = all.map(|(key, value)| (key.clone(), value.clone())).collect();
                if direction == Direction::Descending {
                    all.reverse();
                }
                all.truncate(limit);
                prop_assert_eq!(&found, &all);
                prop_assert_eq!(visited(&model, &start, &end, direction, limit), all);
            }
            prop_assert_eq!(overlay.get(&start).unwrap(), model.get(&start).unwrap());
            let mut shown = None;
            let is_there = overlay.look(&start, &mut |value| shown = Some(value.to_vec())).unwrap();
            prop_assert_eq!((is_there, &shown), (shown.is_some(), &model.get(&start).unwrap()));
            let mut committed = base.clone();
            for (key, change) in overlay.into_changes() {
                match change {
                    Some(value) => committed.put(key, value),
                    None => committed.delete(key),
                }
            }
            prop_assert_eq!(committed, model);
        }
    }
}
