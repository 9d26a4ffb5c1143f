//! Generations: complete states side by side, of which the file `CURRENT` names the one that counts.
//!
//! A state received from another server is built as a new generation; replacing `CURRENT` puts it in place, atomically.
//! Whatever `CURRENT` does not name when the store is opened is left over from an interrupted step, and removed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode,
    config::CompressionPolicy,
};

use crate::storage::{
    database::{self, Kind, Opened, io_error},
    files::{remove_directory, remove_in_background, replace_file, sync_directory},
};

/// Where a keyspace has its large values.
const SEPARATED_DIRECTORY: &str = "blobs";
const CURRENT_FILE: &str = "CURRENT";
const PREFIX: &str = "generation-";
const STATE: Kind = Kind {
    name: "state",
    format: 1,
    records: "state",
    options,
    // The blocks around what is being talked about, for three servers on one laptop as well.
    cache_bytes: 64 << 20,
};

/// Values from this size on, which are chunks of attachments, lie in files of their own: compactions then move 20 bytes for each
/// instead of a quarter of a megabyte, over and over. Their space comes back when a good part of such a file is stale. (A
/// database keeps the options that it was created with: one of before this keeps its chunks among the rest, which only costs more.)
///
/// What it costs grows with the files that people attach. A checkpoint makes a file of the chunks in it, of 8 to 12 MiB, and every checkpoint and
/// compaction writes the list of them all anew, at 25 bytes each: 20 GB of files are some 2,000 and 50 KB each time, 100 GB 250 KB. A terabyte would be
/// 100,000 and 2.5 MB, a quarter of a checkpoint, and opening the state would take many seconds, for each file is opened and looked up in the
/// list from its beginning: chunks would want a keyspace of their own then.
pub(super) const SEPARATED_BYTES: u32 = 64 << 10;

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        // What people attach is compressed already, or will not be the most of it.
        .with_kv_separation(Some(
            KvSeparationOptions::default().separation_threshold(SEPARATED_BYTES).compression(CompressionType::None),
        ))
        // History is large and read seldom: it is compressed where most of it lies, below the first two levels.
        .data_block_compression_policy(CompressionPolicy::new([
            CompressionType::None,
            CompressionType::None,
            CompressionType::Lz4,
        ]))
}

/// An open generation. Dropped after [`Generation::retire`], it removes itself.
pub(super) struct Generation {
    path: PathBuf,
    opened: Opened,
    is_retired: AtomicBool,
}

impl Generation {
    /// Opens the current generation below `directory`; creates an empty first one if there is none.
    ///
    /// Generations of which none is named current were created by no crash (see [`Self::create_first`]): somebody lost
    /// the name. They are kept, for one of them is the state.
    pub(super) fn open_current(directory: &Path) -> io::Result<Arc<Self>> {
        let current = match fs::read_to_string(directory.join(CURRENT_FILE)) {
            Ok(name) => name.trim_end().to_owned(),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) if directory.is_dir() && !generations(directory)?.is_empty() => {
                let message = format!("{} is missing, which names the state", directory.join(CURRENT_FILE).display());
                return Err(io::Error::new(io::ErrorKind::NotFound, message));
            }
            Err(_) => Self::create_first(directory)?,
        };
        if parse_number(&current).is_none() {
            let message = format!("{} names no generation: {current:?}", directory.join(CURRENT_FILE).display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let opened = Self::open(directory.join(&current))?;
        for name in generations(directory)?.into_iter().filter(|name| *name != current) {
            remove_directory(&directory.join(name))?;
        }
        Ok(opened)
    }

    /// Creates `directory` with an empty generation, and says its name. All of it is built under another name: a crash on
    /// the way leaves nothing that could be mistaken for a state that was lost.
    fn create_first(directory: &Path) -> io::Result<String> {
        let unfinished = directory.with_extension("new");
        remove_directory(&unfinished)?;
        fs::create_dir_all(&unfinished)?;
        let first = Self::create(&unfinished)?;
        first.persist()?;
        first.make_current()?;
        drop(first);
        fs::rename(&unfinished, directory)?;
        if let Some(parent) = directory.parent() {
            sync_directory(parent)?;
        }
        Ok(format!("{PREFIX}1"))
    }

    /// Whether there is a state in `directory`.
    pub(super) fn is_present(directory: &Path) -> io::Result<bool> {
        directory.join(CURRENT_FILE).try_exists()
    }

    /// Opens the generation at `path`.
    pub(super) fn open(path: PathBuf) -> io::Result<Arc<Self>> {
        if !path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no state at {}", path.display())));
        }
        let opened = database::open(&path, STATE)?;
        Ok(Arc::new(Self { path, opened, is_retired: AtomicBool::new(false) }))
    }

    /// Creates an empty generation with a name that is not in use.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        let last = generations(directory)?.iter().filter_map(|name| parse_number(name)).max().unwrap_or(0);
        let path = directory.join(format!("{PREFIX}{}", last + 1));
        let opened = database::create(&path, STATE)?;
        Ok(Self { path, opened, is_retired: AtomicBool::new(false) })
    }

    /// Makes this the generation that the next opening finds.
    pub(super) fn make_current(&self) -> io::Result<()> {
        let misplaced = || io::Error::new(io::ErrorKind::InvalidInput, format!("{} has no name", self.path.display()));
        let name = self.path.file_name().and_then(|name| name.to_str()).ok_or_else(misplaced)?;
        let directory = self.path.parent().ok_or_else(misplaced)?;
        // Its own name first: CURRENT must never name what a loss of power can still take.
        sync_directory(directory)?;
        replace_file(directory, CURRENT_FILE, format!("{name}\n").as_bytes())
    }

    /// Makes everything in it durable.
    pub(super) fn persist(&self) -> io::Result<()> {
        self.opened.database.persist(PersistMode::SyncAll).map_err(io_error)
    }

    /// Makes the names of the files of large values durable: the database syncs those files, but not the directory that names them.
    pub(super) fn persist_separated(&self) -> io::Result<()> {
        let directory = self.records().path().join(SEPARATED_DIRECTORY);
        if directory.is_dir() { sync_directory(&directory) } else { Ok(()) }
    }

    /// Makes the names of all its files durable.
    pub(super) fn persist_names(&self) -> io::Result<()> {
        database::sync_all_names(&self.path)
    }

    /// Has it removed when its last reader is gone.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// Takes [`Generation::retire`] back.
    pub(super) fn keep(&self) {
        self.is_retired.store(false, Ordering::Relaxed);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> &Database {
        &self.opened.database
    }

    pub(super) fn records(&self) -> &Keyspace {
        &self.opened.records
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if !self.is_retired.load(Ordering::Relaxed) {
            return;
        }
        let opened = self.opened.clone();
        remove_in_background(std::mem::take(&mut self.path), move || drop(opened));
    }
}

/// The names of the generations in `directory`.
fn generations(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        if let Ok(name) = entry?.file_name().into_string()
            && parse_number(&name).is_some()
        {
            names.push(name);
        }
    }
    Ok(names)
}

fn parse_number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}
