//! The log's database: its layout, its recovery, and the reading and writing of whole groups.

use std::{collections::BTreeMap, io, ops::Range, path::Path};

use bytes::{Buf, BufMut, Bytes};
use fjall::{
    KeyspaceCreateOptions, PersistMode, Readable, Slice,
    config::{CompressionPolicy, FilterPolicy},
};

use super::sizes::Sizes;
use crate::storage::database::{Kind, Opened, io_error, open_or_create};

const VOTE_KEY: &[u8] = b"vote";
const PURGED_KEY: &[u8] = b"purged";
const LOG: Kind = Kind {
    name: "log",
    format: 1,
    records: "log",
    options,
    // Nearly all reads are served by the tail in memory.
    cache_bytes: 8 << 20,
};

/// A flush writes a memtable and syncs it at once, and entries that are to be synced meanwhile wait behind it: with 32 MiB, on three servers of
/// one machine, for 150 ms every few seconds while files go up. And the newest entries are in memory once already.
const MEMTABLE_BYTES: u64 = 8 << 20;

/// Entries looked at to guess the size of those that an earlier run wrote.
const SAMPLES: u64 = 64;

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        // Entries live for minutes and are read by range only: neither compression nor filters would pay.
        .data_block_compression_policy(CompressionPolicy::disabled())
        .filter_policy(FilterPolicy::disabled())
        // Entries are large and read in order.
        .data_block_size_policy(fjall::config::BlockSizePolicy::all(32 << 10))
}

/// The database.
pub(super) struct Disk {
    opened: Opened,
}

/// What was found at opening.
pub(super) struct Recovered {
    pub(super) vote: Option<Bytes>,
    pub(super) purged: Option<(u64, Bytes)>,
    pub(super) indices: Range<u64>,
    pub(super) sizes: Sizes,
    /// Purged entries that are still on disk.
    pub(super) garbage: Range<u64>,
}

/// Changes that reach the disk together. Later changes of an index replace earlier ones: within one batch the database
/// would not tell them apart.
#[derive(Default)]
pub(super) struct Group {
    pub(super) vote: Option<Bytes>,
    pub(super) purged: Option<(u64, Bytes)>,
    pub(super) entries: BTreeMap<u64, Option<Bytes>>,
}

impl Disk {
    pub(super) fn open(path: &Path) -> io::Result<(Self, Recovered)> {
        let disk = Self { opened: open_or_create(path, LOG)? };
        let recovered = disk.recover().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot read the log in {}: {error}", path.display()))
        })?;
        Ok((disk, recovered))
    }

    fn recover(&self) -> io::Result<Recovered> {
        let vote = self.opened.meta.get(VOTE_KEY).map_err(io_error)?.map(|vote| Bytes::copy_from_slice(&vote));
        let purged = self.opened.meta.get(PURGED_KEY).map_err(io_error)?.map(|mark| decode_mark(&mark)).transpose()?;
        let records = &self.opened.records;
        let first_on_disk = records.first_key_value().map(|guard| decode_index(&guard.key().map_err(io_error)?));
        let first_on_disk = first_on_disk.transpose()?;
        let start = purged.as_ref().map_or(first_on_disk.unwrap_or(0), |(mark, _)| mark + 1);
        let last_below = records.range(..encode_index(start)).next_back();
        let garbage = match last_below.map(|guard| decode_index(&guard.key().map_err(io_error)?)).transpose()? {
            Some(last) => first_on_disk.unwrap_or(last)..last + 1,
            None => start..start,
        };
        // Below the mark the removal was going on; from there on every entry must be present.
        let mut ends = records.range(encode_index(start)..).map(|guard| guard.key().map_err(io_error));
        let indices = match (ends.next().transpose()?, ends.next_back().transpose()?) {
            (None, _) => start..start,
            (Some(first), last) => {
                let first = decode_index(&first)?;
                if first != start {
                    return Err(corrupt(format!("entries {start} to {} are missing", first - 1)));
                }
                first..last.map_or(Ok(first), |last| decode_index(&last))? + 1
            }
        };
        let sizes = Sizes::estimate(indices.end - indices.start, self.average_bytes(&indices)?);
        Ok(Recovered { vote, purged, indices, sizes, garbage })
    }

    /// About the size of an entry. Reading them all would make a start slow.
    fn average_bytes(&self, indices: &Range<u64>) -> io::Result<u32> {
        let entries = indices.end - indices.start;
        let step = entries.div_ceil(SAMPLES).max(1);
        let (mut bytes, mut samples) = (0, 0);
        for index in indices.clone().step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
            let size = self.opened.records.size_of(encode_index(index)).map_err(io_error)?;
            bytes += u64::from(size.unwrap_or(0));
            samples += 1;
        }
        Ok(u32::try_from(bytes / samples.max(1)).unwrap_or(u32::MAX))
    }

    /// Makes `group` durable.
    pub(super) fn commit(&self, group: Group) -> io::Result<()> {
        let Opened { database, meta, records } = &self.opened;
        let mut batch = database.batch().durability(Some(PersistMode::SyncData));
        if let Some(vote) = group.vote {
            batch.insert(meta, VOTE_KEY, &vote[..]);
        }
        if let Some((to_index, purged)) = group.purged {
            let mut mark = Vec::with_capacity(8 + purged.len());
            mark.put_u64(to_index);
            mark.extend_from_slice(&purged);
            batch.insert(meta, PURGED_KEY, mark);
        }
        for (index, entry) in group.entries {
            match entry {
                Some(entry) => batch.insert(records, encode_index(index), &entry[..]),
                None => batch.remove(records, encode_index(index)),
            }
        }
        batch.commit().map_err(io_error)
    }

    /// Removes purged entries. Not synced: what a crash brings back is removed again at the next opening.
    pub(super) fn remove(&self, indices: Range<u64>) -> io::Result<()> {
        let mut batch = self.opened.database.batch();
        for index in indices {
            batch.remove(&self.opened.records, encode_index(index));
        }
        batch.commit().map_err(io_error)
    }

    /// Reads entries, at most `max_bytes` of them, at least one; and says how many bytes they are.
    pub(super) fn read(&self, indices: Range<u64>, max_bytes: usize) -> io::Result<(Vec<Bytes>, usize)> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let snapshot = self.opened.database.snapshot();
        let range = encode_index(indices.start)..encode_index(indices.end);
        for (expected, guard) in indices.clone().zip(snapshot.range(&self.opened.records, range)) {
            let (key, entry) = guard.into_inner().map_err(io_error)?;
            if decode_index(&key)? != expected {
                return Err(corrupt(format!("entry {expected} is missing")));
            }
            if !entries.is_empty() && entry.len() > max_bytes.saturating_sub(bytes) {
                return Ok((entries, bytes));
            }
            bytes += entry.len();
            entries.push(Bytes::copy_from_slice(&entry));
        }
        let end = indices.start + entries.len() as u64;
        if end < indices.end {
            return Err(corrupt(format!("entry {end} is missing")));
        }
        Ok((entries, bytes))
    }
}

fn encode_index(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

fn decode_index(key: &Slice) -> io::Result<u64> {
    key[..].try_into().map(u64::from_be_bytes).map_err(|_| corrupt(format!("{:?} is no index", &key[..])))
}

fn decode_mark(mark: &Slice) -> io::Result<(u64, Bytes)> {
    let mut mark = Bytes::copy_from_slice(mark);
    let to_index = mark.try_get_u64().map_err(|_| corrupt("the mark of the last purge is too short".to_owned()))?;
    Ok((to_index, mark))
}

fn corrupt(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
