//! Keeps the log small where openraft's policy, which counts entries since the last snapshot, does not.
//!
//! Entries differ in size by a factor of ten thousand, so their bytes have a bound of their own. And openraft takes the
//! state found at a start for a snapshot, so a server that is restarted often would count from there, and never purge.
//! What is done about either is the same: make the state durable, then purge behind it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use openraft::{Raft, async_runtime::WatchReceiver as _};
use tokio::time::{sleep, timeout};

use super::{machine::Machine, types::TypeConfig};
use crate::{
    ambient,
    config::Tuning,
    storage::{LogStore, StateStore},
};

/// Between two looks at the log: even a fast disk writes no more than some hundred megabytes meanwhile.
const INTERVAL: Duration = Duration::from_millis(500);
/// A purge can be held up, on a leader by a follower that is being sent the entries: then the state is not saved again
/// sooner than this.
const PAUSE: Duration = Duration::from_secs(5);

/// What bounds the log.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Applied entries.
    entries: u64,
    bytes: u64,
    /// Entries kept behind a snapshot.
    keep_entries: u64,
}

/// What the log holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Entries that are applied, but not purged.
    applied_entries: u64,
    /// All entries.
    entries: u64,
    bytes: u64,
}

impl Bounds {
    /// How many applied entries to keep in a log that holds so much; none if it holds no more than it may.
    ///
    /// By bytes only half of the bound is kept, so that this is not needed again at once; how many entries that is
    /// follows from their average, which is good enough: less than half of them at any rate.
    fn entries_to_keep(self, held: Held) -> Option<u64> {
        if held.bytes > self.bytes {
            let share = u128::from(held.entries) * u128::from(self.bytes / 2) / u128::from(held.bytes);
            return Some(u64::try_from(share).unwrap_or(u64::MAX).min(self.keep_entries));
        }
        (held.applied_entries > self.entries).then_some(self.keep_entries)
    }
}

/// Looks after the log until Raft has ended. Holds the stores only while it works, for whoever ends Raft wants to open
/// them again.
pub(super) async fn run(
    raft: Raft<TypeConfig, Machine>,
    log: Weak<dyn LogStore>,
    state: Weak<dyn StateStore>,
    tuning: Tuning,
) {
    let bounds = Bounds {
        entries: tuning.snapshot_entries.saturating_add(tuning.keep_entries),
        bytes: tuning.log_bytes,
        keep_entries: tuning.keep_entries,
    };
    loop {
        sleep(INTERVAL).await;
        let metrics = raft.metrics().borrow_watched().clone();
        let Some(log) = log.upgrade().filter(|_| metrics.running_state.is_ok()) else { return };
        let next = |index: Option<u64>| index.map_or(0, |index| index + 1);
        let (end, applied) = (next(metrics.last_log_index), next(metrics.last_applied.map(|log_id| log_id.index)));
        let purged = next(metrics.purged.map(|log_id| log_id.index));
        let held = Held {
            applied_entries: applied.saturating_sub(purged),
            entries: end.saturating_sub(purged),
            bytes: log.held_bytes(),
        };
        drop(log);
        let Some(keep) = bounds.entries_to_keep(held) else { continue };
        // Nothing to be purged yet: what fills the log is not applied.
        if held.applied_entries <= keep {
            continue;
        }
        let Some(state) = state.upgrade() else { return };
        if shrink(&raft, state, applied, keep).await.is_none() {
            tracing::warn!("the log could not be shortened; trying again");
        }
        sleep(PAUSE).await;
    }
}

/// Saves the state, which has applied the entries before `applied` at least, and purges all but the last `keep` of them. None: the server
/// is about to end.
async fn shrink(raft: &Raft<TypeConfig, Machine>, state: Arc<dyn StateStore>, applied: u64, keep: u64) -> Option<()> {
    raft.trigger().snapshot().await.ok()?;
    let mut metrics = raft.metrics();
    // What was found at the start counts as a snapshot, so there may be nothing to wait for; and one that is late, or
    // was being built already, only makes this purge a smaller one.
    let taken = async {
        while metrics.borrow_watched().snapshot.is_none_or(|log_id| log_id.index + 1 < applied) {
            metrics.changed().await.ok()?;
        }
        Some(())
    };
    let _ = timeout(PAUSE, taken).await;
    let snapshot = raft.metrics().borrow_watched().snapshot?.index + 1;
    // And so it may never have been synced.
    ambient::blocking(move || state.persist()).await.ok()?.ok()?;
    if let Some(upto) = snapshot.min(applied).checked_sub(keep + 1) {
        raft.trigger().purge_log(upto).await.ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { entries: 30, bytes: 1000, keep_entries: 10 };

    fn keep(applied_entries: u64, entries: u64, bytes: u64) -> Option<u64> {
        BOUNDS.entries_to_keep(Held { applied_entries, entries, bytes })
    }

    #[test]
    fn a_log_within_its_bounds_is_left_alone() {
        assert_eq!(keep(0, 0, 0), None);
        assert_eq!(keep(30, 90, 1000), None);
    }

    #[test]
    fn many_entries_are_purged_to_the_configured_rest() {
        assert_eq!(keep(31, 31, 31), Some(10));
    }

    #[test]
    fn large_entries_are_purged_to_half_of_the_bound() {
        assert_eq!(keep(8, 8, 2000), Some(2));
        assert_eq!(keep(1, 1, 2000), Some(0));
        assert_eq!(keep(100, 100, 1100), Some(10), "never more than configured");
    }
}
