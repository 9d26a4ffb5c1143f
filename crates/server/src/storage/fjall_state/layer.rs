//! A layer: changes of keys that are not in the database yet, as a stack of sorted runs.
//!
//! Each commit is a run, in key order already, that nobody changes any more: so a reader takes a layer by taking its runs, and keeps it
//! however many commits follow. A new run is merged with those below it while they are not much larger, so a layer of n changes has
//! about log n runs, and a change is moved about as often. That costs a third of what putting it into a persistent ordered map does
//! (one key at a time, with a copy of each node that some reader still holds).

use std::{cmp::Ordering, ops::Bound, sync::Arc};

use fjall::Slice;
use threefold_core::store::Direction;

/// What a change weighs in memory besides key and value: its place in a run, and the allocations.
pub(super) const CHANGE_OVERHEAD_BYTES: usize = 96;

/// A run is merged with the one below unless that is more than this many times as large: fewer runs to look through, or fewer moves.
const TIMES_AS_LARGE: usize = 2;

/// A key, and its value; none where it is removed.
pub(super) type Change = (Slice, Option<Slice>);
/// The keys between two bounds.
pub(super) type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// About the memory that a change takes.
pub(super) fn weight((key, value): &Change) -> usize {
    CHANGE_OVERHEAD_BYTES + key.len() + value.as_ref().map_or(0, |value| value.len())
}

/// Changes in the order of their keys, each key once.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    changes: Vec<Change>,
    bytes: usize,
}

impl Run {
    /// `changes` are in the order of their keys, each key once.
    pub(super) fn new(changes: Vec<Change>) -> Self {
        debug_assert!(changes.is_sorted_by(|(one, _), (next, _)| one < next));
        let bytes = changes.iter().map(weight).sum();
        Self { changes, bytes }
    }

    /// About the memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn get(&self, key: &[u8]) -> Option<&Option<Slice>> {
        let place = self.changes.binary_search_by(|(other, _)| (**other).cmp(key)).ok()?;
        self.changes.get(place).map(|(_, value)| value)
    }

    /// What is in `range`.
    fn within(&self, (start, end): Range<'_>) -> &[Change] {
        let start = self.changes.partition_point(|(key, _)| match start {
            Bound::Unbounded => false,
            Bound::Included(start) => **key < *start,
            Bound::Excluded(start) => **key <= *start,
        });
        let end = self.changes.partition_point(|(key, _)| match end {
            Bound::Unbounded => true,
            Bound::Included(end) => **key <= *end,
            Bound::Excluded(end) => **key < *end,
        });
        self.changes.get(start..end).unwrap_or_default()
    }

    /// Both as one; where both have a key, `newer` counts.
    fn merge(older: Self, newer: Self) -> Self {
        let mut changes = Vec::with_capacity(older.changes.len() + newer.changes.len());
        let mut bytes = older.bytes + newer.bytes;
        let mut older = older.changes.into_iter().peekable();
        for change in newer.changes {
            while let Some(before) = older.next_if(|(key, _)| *key < change.0) {
                changes.push(before);
            }
            if let Some(replaced) = older.next_if(|(key, _)| *key == change.0) {
                bytes -= weight(&replaced);
            }
            changes.push(change);
        }
        changes.extend(older);
        Self { changes, bytes }
    }
}

/// Changes of keys, as of some commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    /// The oldest first. What a later one says of a key counts.
    runs: Vec<Arc<Run>>,
}

impl Layer {
    /// No changes.
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// About the memory that it takes. A key that several runs have counts several times, until they are merged.
    pub(super) fn bytes(&self) -> usize {
        self.runs.iter().map(|run| run.bytes).sum()
    }

    /// Makes the changes of a run on top.
    pub(super) fn push(&mut self, run: Run) {
        let mut newest = run;
        while let Some(below) = self.runs.pop_if(|below| below.changes.len() / TIMES_AS_LARGE <= newest.changes.len()) {
            // Moved, unless some reader still holds it.
            newest = Run::merge(Arc::unwrap_or_clone(below), newest);
        }
        self.runs.push(Arc::new(newest));
    }

    /// What became of `key`, if it was changed: its value, or none where it was removed.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Option<Slice>> {
        self.runs.iter().rev().find_map(|run| run.get(key))
    }

    /// What became of each key in `range` that was changed.
    pub(super) fn range(&self, range: Range<'_>, direction: Direction) -> Changes<'_> {
        let runs = self.runs.iter().rev().map(|run| run.within(range)).filter(|run| !run.is_empty()).collect();
        Changes { runs, direction }
    }
}

/// Changes of a layer, in the order of their keys.
pub(super) struct Changes<'a> {
    /// What is left of each run, the newest first; none is empty.
    runs: Vec<&'a [Change]>,
    direction: Direction,
}

impl Changes<'_> {
    /// What comes next of a run.
    fn head(direction: Direction, run: &[Change]) -> Option<&Change> {
        match direction {
            Direction::Ascending => run.first(),
            Direction::Descending => run.last(),
        }
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = &'a Change;

    fn next(&mut self) -> Option<&'a Change> {
        let direction = self.direction;
        let mut next: Option<&'a Change> = None;
        for head in self.runs.iter().filter_map(|run| Self::head(direction, run)) {
            let is_earlier = next.is_none_or(|(key, _)| match direction {
                Direction::Ascending => head.0 < *key,
                Direction::Descending => head.0 > *key,
            });
            // Of the same key the newest counts, which comes first here.
            if is_earlier {
                next = Some(head);
            }
        }
        let (key, _) = next?;
        self.runs.retain_mut(|run| {
            if Self::head(direction, run).is_some_and(|head| head.0.cmp(key) == Ordering::Equal) {
                let rest = match direction {
                    Direction::Ascending => run.split_first().map(|(_, rest)| rest),
                    Direction::Descending => run.split_last().map(|(_, rest)| rest),
                };
                *run = rest.unwrap_or_default();
            }
            !run.is_empty()
        });
        next
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{
        collection::{btree_map, vec},
        option,
        prelude::*,
    };

    use super::*;

    type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    fn run(changes: &Model) -> Run {
        let change =
            |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| (Slice::from(&key[..]), value.as_deref().map(Slice::from));
        Run::new(changes.iter().map(change).collect())
    }

    fn plain((key, value): &Change) -> (Vec<u8>, Option<Vec<u8>>) {
        (key.to_vec(), value.as_ref().map(|value| value.to_vec()))
    }

    fn bound(kind: u8, key: &[u8]) -> Bound<&[u8]> {
        match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        }
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        vec(0u8..4, 0..4)
    }

    fn changes() -> impl Strategy<Value = Model> {
        btree_map(key(), option::of(vec(any::<u8>(), 0..2)), 1..9)
    }

    proptest! {
        /// A layer says of each key what was last said of it, and a copy says what it said when it was made.
        #[test]
        fn a_layer_reads_as_one_map_of_all_that_was_pushed(
            commits in vec(changes(), 0..24),
            copied in 0usize..24,
            (start, end) in (key(), key()),
            (start_kind, end_kind) in (0u8..3, 0u8..3),
        ) {
            let (mut layer, mut model) = (Layer::new(), Model::new());
            let (mut earlier, mut earlier_model) = (Layer::new(), Model::new());
            for (number, commit) in commits.iter().enumerate() {
                if number == copied {
                    (earlier, earlier_model) = (layer.clone(), model.clone());
                }
                layer.push(run(commit));
                model.extend(commit.clone());
            }
            for (layer, model) in [(layer, model), (earlier, earlier_model)] {
                prop_assert_eq!(layer.is_empty(), model.is_empty());
                for (key, value) in &model {
                    prop_assert_eq!(layer.get(key).map(|value| value.as_ref().map(|value| value.to_vec())), Some(value.clone()));
                }
                prop_assert_eq!(layer.get(&start).is_some(), model.contains_key(&start));
                let range = (bound(start_kind, &start), bound(end_kind, &end));
                let is_within = |key: &[u8]| {
                    (match range.0 { Bound::Unbounded => true, Bound::Included(start) => key >= start, Bound::Excluded(start) => key > start })
                        && match range.1 { Bound::Unbounded => true, Bound::Included(end) => key <= end, Bound::Excluded(end) => key < end }
                };
                let mut expected: Vec<_> = model.iter().filter(|(key, _)| is_within(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
                let found: Vec<_> = layer.range(range, Direction::Ascending).map(plain).collect();
                prop_assert_eq!(&found, &expected);
                expected.reverse();
                let found: Vec<_> = layer.range(range, Direction::Descending).map(plain).collect();
                prop_assert_eq!(found, expected);
                // What is counted is never less than what it takes.
                let weights: usize = layer.range((Bound::Unbounded, Bound::Unbounded), Direction::Ascending).map(weight).sum();
                prop_assert!(layer.bytes() >= weights);
            }
        }
    }

    #[test]
    fn a_layer_has_few_runs_and_forgets_what_was_replaced() {
        let mut layer = Layer::new();
        for number in 0..10_000u32 {
            layer.push(run(&Model::from([
                (b"counter".to_vec(), Some(number.to_be_bytes().to_vec())),
                (number.to_be_bytes().to_vec(), Some(vec![0; 100])),
            ])));
        }
        assert!(layer.runs.len() <= 14, "{} runs", layer.runs.len());
        let kept: usize = layer.range((Bound::Unbounded, Bound::Unbounded), Direction::Ascending).map(weight).sum();
        assert!(layer.bytes() <= kept + 100 * CHANGE_OVERHEAD_BYTES * 14, "{} for {kept}", layer.bytes());
    }
}
