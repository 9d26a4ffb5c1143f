//! Scans that can fail half way: the visitor's errors come out, and ranges are given as [`Range`].
//!
//! A visitor must not read the store: a store may hold a lock while it scans.

use std::ops::ControlFlow;

use crate::{
    key::{Range, last_id},
    record::{self, Record},
    store::{Direction, Read, StoreError},
};

/// Visits the keys of a range until `visit` breaks or fails.
pub(crate) fn scan(
    store: &dyn Read,
    range: &Range,
    direction: Direction,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let mut failure = None;
    store.scan(&range.start, &range.end, direction, &mut |key, value| match visit(key, value) {
        Ok(flow) => flow,
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failure.map_or(Ok(()), Err)
}

/// The first record of a range in that order, with the id its key ends with.
pub(crate) fn first<R: Record>(
    store: &dyn Read,
    range: &Range,
    direction: Direction,
) -> Result<Option<(u64, R)>, StoreError> {
    let mut found = None;
    scan(store, range, direction, |key, value| {
        found = Some((last_id(key)?, record::decode(value)?));
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// The first records of a range, at most `limit`, with the ids their keys end with.
pub(crate) fn collect<R: Record>(store: &dyn Read, range: &Range, limit: usize) -> Result<Vec<(u64, R)>, StoreError> {
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    scan(store, range, Direction::Ascending, |key, value| {
        found.push((last_id(key)?, record::decode(value)?));
        Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}

/// The first keys of a range, at most `limit`.
pub(crate) fn keys(store: &dyn Read, range: &Range, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    scan(store, range, Direction::Ascending, |key, _| {
        found.push(key.to_vec());
        Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}
