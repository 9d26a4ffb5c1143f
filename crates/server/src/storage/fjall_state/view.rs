//! A view of the state as of one commit: two layers in memory above a snapshot of the database.

use std::{
    cmp::Ordering,
    io,
    iter::Peekable,
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use bytes::Bytes;
use fjall::{Readable, Snapshot};
use threefold_core::store::{Direction, Read, StoreError, Visit};

use super::{
    generation::Generation,
    layer::{Change, Layer, Range},
};
use crate::storage::{StateSnapshot, database::io_error};

/// A consistent view. It keeps the generation, and what the database would otherwise compact away, alive.
pub(super) struct View {
    active: Layer,
    frozen: Layer,
    snapshot: Snapshot,
    // Last, for fields are dropped in order: the snapshot belongs to this database.
    base: Arc<Generation>,
}

type Changes<'a> = Box<dyn Iterator<Item = io::Result<Change>> + 'a>;

impl View {
    pub(super) fn new(active: Layer, frozen: Layer, base: Arc<Generation>) -> Self {
        Self { active, frozen, snapshot: base.database().snapshot(), base }
    }

    /// Visits every key in `range`.
    fn visit(&self, range: Range<'_>, direction: Direction, visit: &mut Visit<'_>) -> io::Result<()> {
        let base = self.base_changes(range, direction);
        let frozen = Merged::boxed(layer_changes(&self.frozen, range, direction), base, direction);
        for change in Merged::boxed(layer_changes(&self.active, range, direction), frozen, direction) {
            if let (key, Some(value)) = change?
                && visit(&key, &value).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn base_changes(&self, range: Range<'_>, direction: Direction) -> Changes<'static> {
        let records = self.snapshot.range::<&[u8], _>(self.base.records(), range);
        let decode = |guard: fjall::Guard| guard.into_inner().map(|(key, value)| (key, Some(value))).map_err(io_error);
        match direction {
            Direction::Ascending => Box::new(records.map(decode)),
            Direction::Descending => Box::new(records.rev().map(decode)),
        }
    }
}

fn layer_changes<'a>(layer: &'a Layer, range: Range<'a>, direction: Direction) -> Changes<'a> {
    if layer.is_empty() {
        return Box::new(std::iter::empty());
    }
    Box::new(layer.range(range, direction).cloned().map(Ok))
}

/// Two sequences of changes in key order as one; where both have a key, the upper one counts.
struct Merged<'a> {
    upper: Peekable<Changes<'a>>,
    lower: Peekable<Changes<'a>>,
    direction: Direction,
}

impl<'a> Merged<'a> {
    fn boxed(upper: Changes<'a>, lower: Changes<'a>, direction: Direction) -> Changes<'a> {
        Box::new(Self { upper: upper.peekable(), lower: lower.peekable(), direction })
    }
}

impl Iterator for Merged<'_> {
    type Item = io::Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.upper.peek(), self.lower.peek()) {
            (Some(Ok((upper, _))), Some(Ok((lower, _)))) => match self.direction {
                Direction::Ascending => upper[..].cmp(&lower[..]),
                Direction::Descending => lower[..].cmp(&upper[..]),
            },
            // An error ends the scan, so it comes first.
            (Some(Err(_)), _) | (_, None) => Ordering::Less,
            (None, _) | (_, Some(Err(_))) => Ordering::Greater,
        };
        match order {
            Ordering::Less => self.upper.next(),
            Ordering::Greater => self.lower.next(),
            Ordering::Equal => {
                self.lower.next();
                self.upper.next()
            }
        }
    }
}

impl Read for View {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(change) = self.active.get(key).or_else(|| self.frozen.get(key)) {
            return Ok(change.as_ref().map(|value| value.to_vec()));
        }
        let value = self.snapshot.get(self.base.records(), key).map_err(io_error)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn look(&self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        if let Some(change) = self.active.get(key).or_else(|| self.frozen.get(key)) {
            return Ok(change.as_ref().inspect(|value| show(value)).is_some());
        }
        let value = self.snapshot.get(self.base.records(), key).map_err(io_error)?;
        Ok(value.inspect(|value| show(value)).is_some())
    }

    fn scan(&self, start: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if start >= end {
            return Ok(());
        }
        Ok(self.visit((Bound::Included(start), Bound::Excluded(end)), direction, visit)?)
    }
}

impl StateSnapshot for View {
    fn chunk(&self, after: Option<&[u8]>, max_bytes: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut records = Vec::new();
        let mut left = max_bytes;
        self.visit((start, Bound::Unbounded), Direction::Ascending, &mut |key, value| {
            let bytes = key.len() + value.len();
            if bytes > left && !records.is_empty() {
                return ControlFlow::Break(());
            }
            left = left.saturating_sub(bytes);
            records.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            ControlFlow::Continue(())
        })?;
        Ok(records)
    }

    fn about_bytes(&self) -> u64 {
        // What still lies in memory is little beside what takes long.
        self.base.records().disk_space()
    }
}
