//! What both databases of a server share: how one is opened, created, and recognised.
//!
//! A database is created under another name and renamed when it is complete, because fjall refuses a directory in
//! which its own creation was cut short. Each holds a keyspace `meta` with the version of its format.

use std::{
    io,
    path::{Path, PathBuf},
};

use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode};

use super::files::{remove_directory, sync_directory};

/// Threads that flush and compact. One of them never compacts, so that no long compaction keeps a full memtable waiting; but while the
/// others all do and there is more to compact, it hands that to itself over and over, without a pause. After a flush, as many looks for
/// something to compact are asked for as there are threads, of which there is seldom work for two: with two threads in all a processor
/// was spinning through every compaction, with three it is not.
const WORKERS: usize = 3;
/// A journal is 64 MB; two of them bound what is replayed at a start, and the disk space that is taken for good.
const JOURNAL_BYTES: u64 = 128 << 20;
const META: &str = "meta";
const FORMAT_KEY: &[u8] = b"format";

/// How a database differs from the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// In errors.
    pub(super) name: &'static str,
    /// The newest format known, and the one written.
    pub(super) format: u8,
    /// The keyspace of the records.
    pub(super) records: &'static str,
    /// Its options.
    pub(super) options: fn() -> KeyspaceCreateOptions,
    /// Blocks kept in memory.
    pub(super) cache_bytes: u64,
}

/// An open database.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) meta: Keyspace,
    pub(super) records: Keyspace,
}

/// fjall's errors as those of the disk: nearly all are, and what is not is as final.
pub(super) fn io_error(error: fjall::Error) -> io::Error {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => error,
        fjall::Error::Poisoned => io::Error::other("an earlier write to the database failed"),
        fjall::Error::Locked => io::Error::new(io::ErrorKind::ResourceBusy, "the database is in use"),
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

/// Opens the database at `path`; creates it if there is none.
pub(super) fn open_or_create(path: &Path, kind: Kind) -> io::Result<Opened> {
    if !path.try_exists()? {
        let unfinished = path.with_extension("new");
        remove_directory(&unfinished)?;
        drop(create(&unfinished, kind)?);
        std::fs::rename(&unfinished, path)?;
        if let Some(parent) = path.parent() {
            sync_directory(parent)?;
        }
    }
    open(path, kind)
}

/// Creates an empty database at `path`, durably but for the name `path` itself.
pub(super) fn create(path: &Path, kind: Kind) -> io::Result<Opened> {
    let opened = attach(path, kind)?;
    opened.meta.insert(FORMAT_KEY, [kind.format]).map_err(io_error)?;
    opened.database.persist(PersistMode::SyncAll).map_err(io_error)?;
    sync_all_names(path)?;
    Ok(opened)
}

/// Opens an existing database.
pub(super) fn open(path: &Path, kind: Kind) -> io::Result<Opened> {
    let opened = attach(path, kind)?;
    let format = opened.meta.get(FORMAT_KEY).map_err(io_error)?;
    match format.as_deref() {
        Some([found]) if *found <= kind.format => Ok(opened),
        Some([found]) => Err(unusable(
            path,
            kind,
            &format!("was written by a newer Threefold: format {found}, this program knows {}", kind.format),
        )),
        _ => Err(unusable(path, kind, "does not say its format")),
    }
}

/// Makes the names of everything fjall created durable: it syncs its files and most directories, but not the one that
/// names the keyspaces.
pub(super) fn sync_all_names(path: &Path) -> io::Result<()> {
    sync_directory(&path.join("keyspaces"))?;
    sync_directory(path)
}

fn attach(path: &Path, kind: Kind) -> io::Result<Opened> {
    let attempt = || {
        let database = Database::builder(path)
            .worker_threads(WORKERS)
            .max_journaling_size(JOURNAL_BYTES)
            .cache_size(kind.cache_bytes)
            // Compressing a message costs more CPU than writing it.
            .journal_compression(CompressionType::None)
            .open()?;
        let meta = database.keyspace(META, KeyspaceCreateOptions::default)?;
        let records = database.keyspace(kind.records, kind.options)?;
        Ok(Opened { database, meta, records })
    };
    attempt().map_err(|error: fjall::Error| {
        let error = io_error(error);
        io::Error::new(error.kind(), format!("cannot open the {} in {}: {error}", kind.name, path.display()))
    })
}

fn unusable(path: &Path, kind: Kind, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the {} in {} {why}", kind.name, PathBuf::from(path).display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const KIND: Kind = Kind {
        name: "log",
        format: 1,
        records: "records",
        options: KeyspaceCreateOptions::default,
        cache_bytes: 1 << 20,
    };

    #[test]
    fn a_database_of_a_newer_program_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database");
        drop(open_or_create(&path, Kind { format: 3, ..KIND }).unwrap());
        let error = open_or_create(&path, KIND).err().unwrap().to_string();
        assert!(error.contains("was written by a newer Threefold: format 3, this program knows 1"), "{error}");
        assert!(open_or_create(&path, Kind { format: 4, ..KIND }).is_ok());
    }

    #[test]
    fn a_creation_that_was_cut_short_is_started_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database");
        // What a kill leaves: a journal, but nothing that says this is a database.
        std::fs::create_dir_all(directory.path().join("database.new")).unwrap();
        std::fs::write(directory.path().join("database.new/0.jnl"), "").unwrap();
        assert!(open_or_create(&path, KIND).is_ok());
    }

    #[test]
    fn a_database_in_use_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database");
        let _open = open_or_create(&path, KIND).unwrap();
        let error = open_or_create(&path, KIND).err().unwrap().to_string();
        assert!(error.contains("the database is in use") && error.contains("database"), "{error}");
    }
}
