//! The log as openraft sees it, over any [`LogStore`].
//!
//! Entries and the vote are records of `peer.proto` messages. Committed log ids are deliberately not saved:
//! after a restart nothing may be applied that the cluster has not again declared visible.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, Range, RangeBounds},
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _, stream};
use openraft::{
    EntryPayload, OptionalSend, RaftLogReader,
    entry::RaftEntry as _,
    storage::{IOFlushed, LogState, RaftLogStorage},
};
use tokio::sync::oneshot;

use super::{
    survivor::configurations::Configurations,
    types::{
        Malformed, RaftEntry, RaftLogId, RaftStoredMembership, RaftVote, TypeConfig, entry_from_wire, entry_to_wire,
        from_record, log_id_from_wire, log_id_to_wire, to_record, vote_from_wire, vote_to_wire,
    },
};
use crate::{
    ambient,
    peer::death::Announcer,
    storage::{LogExtent, LogStore},
};

/// Bytes of entries in one append to a follower: below gRPC's message limit even with one entry over it.
const APPEND_BYTES: usize = 1024 * 1024;

/// Bytes of entries read at once to apply them: what a replay holds in memory, however long the log is.
const SLICE_BYTES: usize = 4 * 1024 * 1024;

/// The log id up to which a log of this extent was purged.
pub(super) fn purged_log_id(extent: &LogExtent) -> Result<Option<RaftLogId>, Malformed> {
    extent.purged.clone().map(|record| from_record(record).map(log_id_from_wire)).transpose()
}

/// Told of everything that enters the log. A configuration is announced to the other servers before it is written
/// or acted on (rule 6 of survivor mode).
#[derive(Clone, Debug)]
pub struct LogWatch {
    /// The configurations in the log.
    pub configurations: Arc<Configurations>,
    /// Announces them.
    pub announcer: Arc<Announcer>,
}

impl LogWatch {
    /// Of a log that is about to be opened: `applied` is the state's configuration.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn open(
        store: Arc<dyn LogStore>,
        applied: (Option<RaftLogId>, RaftStoredMembership),
        announcer: Arc<Announcer>,
    ) -> io::Result<Self> {
        let (last_applied, membership) = applied;
        let first = last_applied.map_or(0, |log_id| log_id.index + 1).max(store.extent().indices.start);
        let end = store.extent().indices.end;
        let watch = Self { configurations: Arc::default(), announcer: announcer.clone() };
        let mut log = Log::new(store, watch);
        let later = {
            let entries = std::pin::pin!(log.entries_stream(first..end.max(first)).await);
            entries
                .try_filter_map(|entry| std::future::ready(Ok(membership_of(&entry))))
                .try_collect::<Vec<_>>()
                .await?
        };
        Ok(Self { configurations: Arc::new(Configurations::new(membership, later)), announcer })
    }

    async fn appending(&self, entries: &[RaftEntry]) {
        let mut announced = false;
        for stored in entries.iter().filter_map(membership_of) {
            self.configurations.announcing(stored.clone());
            self.announcer.announce(&stored).await;
            announced = true;
        }
        if let Some(last) = entries.last().filter(|_| announced) {
            self.configurations.appended(last.log_id.index);
        }
        for entry in entries {
            self.configurations.note_entry(entry.log_id.leader_id.term, entry.log_id.index);
        }
    }

    /// A whole state is about to take the place of the present one, and with it its configuration.
    pub async fn received(&self, stored: &RaftStoredMembership, last_index: u64) {
        self.configurations.announcing(stored.clone());
        self.announcer.announce(stored).await;
        self.configurations.replaced(stored.clone(), last_index);
    }
}

fn membership_of(entry: &RaftEntry) -> Option<RaftStoredMembership> {
    match &entry.payload {
        EntryPayload::Membership(membership) => Some(RaftStoredMembership::new(Some(entry.log_id), membership.clone())),
        EntryPayload::Blank | EntryPayload::Normal(_) => None,
    }
}

/// openraft's log, over a [`LogStore`].
#[derive(Clone)]
pub struct Log {
    store: Arc<dyn LogStore>,
    watch: LogWatch,
}

impl Log {
    /// The log in `store`.
    pub fn new(store: Arc<dyn LogStore>, watch: LogWatch) -> Self {
        Self { store, watch }
    }

    /// Appends an entry and waits until it is on disk. For an entry that Raft, which does not run, knows nothing of.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn append_durably(&mut self, entry: RaftEntry) -> io::Result<()> {
        let (index, record) = (entry.log_id.index, to_record(&entry_to_wire(&entry)));
        self.watch.appending(&[entry]).await;
        self.done(|store, done| store.append(index, vec![record], done)).await
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

    /// Reads what is there of `indices`. The disk is read off the async runtime, but seldom: the newest entries are in
    /// memory.
    async fn read(&self, indices: Range<u64>, max_bytes: usize) -> io::Result<Vec<RaftEntry>> {
        if let Some(records) = self.store.read_from_memory(indices.clone(), max_bytes) {
            return decode(records);
        }
        let store = self.store.clone();
        ambient::blocking(move || store.read(indices, max_bytes).and_then(decode)).await?
    }

    /// Reads the first of `indices`: none only if the log ends before them, and then it must go on from there.
    async fn slice(&self, indices: Range<u64>, max_bytes: usize) -> io::Result<Vec<RaftEntry>> {
        let entries = self.read(indices.clone(), max_bytes).await?;
        let missing = indices.clone().zip(&entries).find(|(expected, entry)| *expected != entry.log_id.index);
        let missing = missing.map(|(expected, _)| expected);
        let is_short = entries.is_empty() && indices.start < self.store.extent().indices.end;
        match missing.or(is_short.then_some(indices.start)) {
            Some(missing) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("entry {missing} is missing in the log")))
            }
            None => Ok(entries),
        }
    }

    /// The indices of a range; where it has no bound, those that are there.
    fn indices(&self, range: &impl RangeBounds<u64>) -> Range<u64> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => self.store.extent().indices.start,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.store.extent().indices.end,
        };
        start..end
    }
}

fn decode(records: Vec<Bytes>) -> io::Result<Vec<RaftEntry>> {
    let decode = |record| from_record(record).and_then(entry_from_wire).map_err(io::Error::other);
    records.into_iter().map(decode).collect()
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<RaftEntry>> {
        let indices = self.indices(&range);
        self.read(indices, usize::MAX).await
    }

    /// In slices; and up to the end of the log every entry of the range must be there: one that is skipped is a state
    /// that diverges.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<RaftEntry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let slices = stream::try_unfold((self.clone(), self.indices(&range)), |(log, left)| async move {
            if left.is_empty() {
                return Ok::<_, io::Error>(None);
            }
            let entries = log.slice(left.clone(), SLICE_BYTES).await?;
            // openraft asks for nothing beyond the end, though it may.
            if entries.is_empty() {
                return Ok(None);
            }
            let left = left.start + entries.len() as u64..left.end;
            Ok(Some((stream::iter(entries.into_iter().map(Ok)), (log, left))))
        });
        slices.try_flatten()
    }

    /// None where the first one asked for was purged: openraft then tries again later, and so sees the purge. (An error
    /// would end the server.)
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<RaftEntry>> {
        let entries = self.read(start..end, APPEND_BYTES).await?;
        let follows = entries.first().is_some_and(|entry| entry.log_id.index == start);
        Ok(if follows { entries } else { Vec::new() })
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
        let last_purged_log_id = purged_log_id(&extent).map_err(io::Error::other)?;
        let last = match extent.indices.end.checked_sub(1) {
            Some(last) if !extent.indices.is_empty() => self.read(last..last + 1, usize::MAX).await?.pop(),
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
        let entries = entries.into_iter().collect::<Vec<_>>();
        self.watch.appending(&entries).await;
        let records = entries.iter().map(|entry| to_record(&entry_to_wire(entry))).collect::<Vec<_>>();
        match entries.first().map(|entry| entry.log_id.index) {
            Some(index) => self.store.append(index, records, Box::new(move |result| callback.io_completed(result))),
            None => callback.io_completed(Ok(())),
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<RaftLogId>) -> io::Result<()> {
        let from_index = last_log_id.map_or(0, |log_id| log_id.index + 1);
        self.watch.configurations.truncated(from_index);
        self.done(|store, done| store.truncate(from_index, done)).await
    }

    async fn purge(&mut self, log_id: RaftLogId) -> io::Result<()> {
        let record = to_record(&log_id_to_wire(&log_id));
        self.done(|store, done| store.purge(log_id.index, record, done)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        raft::types::{CommittedLeader, Payload},
        storage::{fjall_log::FjallLog, memory::MemoryLog},
    };
    use futures::StreamExt as _;

    fn watch() -> LogWatch {
        LogWatch { configurations: Arc::default(), announcer: Arc::default() }
    }

    fn entry(index: u64, bytes: usize) -> RaftEntry {
        let log_id = RaftLogId::new(CommittedLeader::new(1), index);
        RaftEntry { log_id, payload: EntryPayload::Normal(Payload(vec![0; bytes].into())) }
    }

    /// A log of entries with these indices, wherever it may put them.
    fn append(store: &dyn LogStore, first_index: u64, indices: impl IntoIterator<Item = u64>, bytes: usize) {
        let records = indices.into_iter().map(|index| to_record(&entry_to_wire(&entry(index, bytes)))).collect();
        let (told, tell) = std::sync::mpsc::channel();
        store.append(first_index, records, Box::new(move |result| told.send(result).unwrap()));
        tell.recv().unwrap().unwrap();
    }

    async fn applied(log: &mut Log, range: Range<u64>) -> Result<Vec<u64>, (Vec<u64>, String)> {
        let mut stream = std::pin::pin!(log.entries_stream(range).await);
        let mut indices = Vec::new();
        while let Some(entry) = stream.next().await {
            match entry {
                Ok(entry) => indices.push(entry.log_id.index),
                Err(error) => return Err((indices, error.to_string())),
            }
        }
        Ok(indices)
    }

    #[tokio::test]
    async fn an_entry_that_is_missing_is_never_skipped() {
        let store = Arc::new(MemoryLog::new());
        append(&*store, 4, 4..9, 10);
        let mut log = Log::new(store, watch());
        assert_eq!(applied(&mut log, 4..9).await, Ok((4..9).collect()));
        assert_eq!(applied(&mut log, 6..6).await, Ok(Vec::new()));
        let (indices, error) = applied(&mut log, 2..9).await.unwrap_err();
        assert!(indices.is_empty() && error.contains("entry 2 is missing"), "{error}");
        assert_eq!(applied(&mut log, 7..12).await, Ok(vec![7, 8]));
        assert!(log.limited_get_log_entries(2, 9).await.unwrap().is_empty());

        let store = Arc::new(MemoryLog::new());
        append(&*store, 0, [0, 1, 3, 4], 10);
        let (_, error) = applied(&mut Log::new(store, watch()), 0..4).await.unwrap_err();
        assert!(error.contains("entry 2 is missing"), "{error}");
    }

    #[tokio::test]
    async fn a_replay_reads_slice_by_slice_from_disk() {
        const ENTRIES: u64 = 24;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let store = FjallLog::open(&path).unwrap();
        append(&store, 0, 0..ENTRIES, 1 << 20);
        let held = store.held_bytes();
        assert!((24 << 20..25 << 20).contains(&held), "{held}");
        drop(store);

        let store = Arc::new(FjallLog::open(&path).unwrap());
        assert!(store.held_bytes().abs_diff(held) < 1 << 10, "{} of {held}", store.held_bytes());
        assert!(store.read_from_memory(0..1, 1).is_none(), "only on disk");
        let mut log = Log::new(store.clone(), watch());
        let slice = log.slice(0..ENTRIES, SLICE_BYTES).await.unwrap();
        assert_eq!(slice.len(), 3, "a fourth would be more than a slice");
        assert_eq!(applied(&mut log, 0..ENTRIES).await, Ok((0..ENTRIES).collect()));
        assert_eq!(log.limited_get_log_entries(5, 9).await.unwrap().len(), 1);
        append(&*store, ENTRIES, [ENTRIES], 10);
        assert!(store.read_from_memory(ENTRIES..ENTRIES + 1, 1).is_some(), "the newest are in memory");
        assert_eq!(applied(&mut log, 20..ENTRIES + 1).await, Ok((20..ENTRIES + 1).collect()));
        log.purge(RaftLogId::new(CommittedLeader::new(1), 11)).await.unwrap();
        assert!((12 << 20..13 << 20).contains(&store.held_bytes()), "{}", store.held_bytes());
        log.truncate_after(Some(RaftLogId::new(CommittedLeader::new(1), 15))).await.unwrap();
        assert!((4 << 20..5 << 20).contains(&store.held_bytes()), "{}", store.held_bytes());
    }
}
