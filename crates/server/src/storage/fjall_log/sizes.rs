//! How large each entry of the log is, whether it is in memory or on disk: so that the log knows what it holds.

use std::collections::VecDeque;

/// The sizes of all entries held, in order: four bytes each, of some ten thousands.
#[derive(Default)]
pub(super) struct Sizes {
    sizes: VecDeque<u32>,
    bytes: u64,
}

impl Sizes {
    /// Of entries whose sizes are known only on average.
    pub(super) fn estimate(entries: u64, average_bytes: u32) -> Self {
        let sizes = (0..entries).map(|_| average_bytes).collect();
        Self { sizes, bytes: entries * u64::from(average_bytes) }
    }

    /// All together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// An entry was appended.
    pub(super) fn push(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.sizes.push_back(bytes);
        self.bytes += u64::from(bytes);
    }

    /// Only the first `entries` are left.
    pub(super) fn truncate(&mut self, entries: u64) {
        while self.sizes.len() as u64 > entries
            && let Some(bytes) = self.sizes.pop_back()
        {
            self.bytes -= u64::from(bytes);
        }
    }

    /// The first `entries` are gone.
    pub(super) fn purge(&mut self, entries: u64) {
        let entries = usize::try_from(entries).unwrap_or(usize::MAX).min(self.sizes.len());
        self.bytes -= self.sizes.drain(..entries).map(u64::from).sum::<u64>();
    }
}
