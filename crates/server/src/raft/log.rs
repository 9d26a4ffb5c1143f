//! The log as openraft sees it, over any [`LogStore`].
//!
//! Entries and the vote are records of `peer.proto` messages. Committed log ids are deliberately not saved:
//! after a restart nothing may be applied that the cluster has not again declared visible.

use std::{fmt::Debug, io, ops::RangeBounds, sync::Arc};

use openraft::{
    OptionalSend, RaftLogReader,
    entry::RaftEntry as _,
    storage::{IOFlushed, LogState, RaftLogStorage},
};
use tokio::sync::oneshot;

use super::types::{
    RaftEntry, RaftLogId, RaftVote, TypeConfig, entry_from_wire, entry_to_wire, from_record, log_id_from_wire,
    log_id_to_wire, to_record, vote_from_wire, vote_to_wire,
};
use crate::storage::LogStore;

/// Bytes of entries in one append to a follower: below gRPC's message limit even with one entry over it.
const APPEND_BYTES: usize = 1024 * 1024;

/// openraft's log, over a [`LogStore`].
#[derive(Clone)]
pub struct Log {
    store: Arc<dyn LogStore>,
}

impl Log {
    /// The log in `store`.
    pub fn new(store: Arc<dyn LogStore>) -> Self {
        Self { store }
    }

    async fn done(&self, write: impl FnOnce(&dyn LogStore, crate::storage::Done)) -> io::Result<()> {
        let (tx, rx) = oneshot::channel();
        write(
            &*self.store,
            Box::new(move |result| {
                let _ = tx.send(result);
            }),
        );
        rx.await.map_err(|_| io::Error::other("the log was closed during a write"))?
    }

    fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<RaftEntry>> {
        self.store
            .read(start..end, max_bytes)?
            .into_iter()
            .map(|record| from_record(record).and_then(entry_from_wire).map_err(io::Error::other))
            .collect()
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<RaftEntry>> {
        use std::ops::Bound;
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start, end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<RaftEntry>> {
        self.read(start, end, APPEND_BYTES)
    }

    async fn read_vote(&mut self) -> io::Result<Option<RaftVote>> {
        let Some(record) = self.store.extent().vote else { return Ok(None) };
        let vote = from_record(record).map_err(io::Error::other)?;
        vote_from_wire(Some(vote)).map(Some).map_err(io::Error::other)
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let extent = self.store.extent();
        let last_purged_log_id = match extent.purged {
            Some(record) => Some(log_id_from_wire(from_record(record).map_err(io::Error::other)?)),
            None => None,
        };
        let last = match extent.indices.end.checked_sub(1) {
            Some(last) if !extent.indices.is_empty() => self.read(last, last + 1, usize::MAX)?.pop(),
            _ => None,
        };
        let last_log_id = last.map(|entry| entry.log_id()).or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> io::Result<()> {
        let record = to_record(&vote_to_wire(vote));
        self.done(|store, done| store.save_vote(record, done)).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut first_index = None;
        let records = entries
            .into_iter()
            .map(|entry| {
                first_index.get_or_insert(entry.log_id.index);
                to_record(&entry_to_wire(&entry))
            })
            .collect::<Vec<_>>();
        match first_index {
            Some(index) => self.store.append(index, records, Box::new(move |result| callback.io_completed(result))),
            None => callback.io_completed(Ok(())),
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<RaftLogId>) -> io::Result<()> {
        let from_index = last_log_id.map_or(0, |log_id| log_id.index + 1);
        self.done(|store, done| store.truncate(from_index, done)).await
    }

    async fn purge(&mut self, log_id: RaftLogId) -> io::Result<()> {
        let record = to_record(&log_id_to_wire(&log_id));
        self.done(|store, done| store.purge(log_id.index, record, done)).await
    }
}
