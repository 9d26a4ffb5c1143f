//! Backups: the whole state of a running cluster in one file, and a new cluster from such a file.
//!
//! [`file`](mod@file) is the format, [`take`](mod@take) fetches a state from whichever server gives it, and [`restore`](mod@restore) makes the
//! directory of a new cluster's first server. Promises: a file under its final name is whole and on disk; damage and truncation, wherever,
//! are noticed by whoever reads it; a restoration that was interrupted is noticed by the next start, which refuses.
//! Left out: the log (a backup is a state, at a position), the search index (made anew), and secrets of the servers (certificates are not in it).

pub mod file;
mod part;
pub mod restore;
pub mod take;

use std::{fs::File, io::BufReader, path::Path};

pub use file::{BackupError, Header, Summary};
use file::{READ_BYTES, Reader};

/// Reads a whole backup: what it is of, and what is in it. `told` hears how many bytes of how many were read.
///
/// # Errors
/// When it cannot be read to its end, is damaged, or holds what this program does not know.
pub fn check(path: &Path, mut told: impl FnMut(u64, u64)) -> Result<(Header, Summary), BackupError> {
    let (mut reader, total) = open(path)?;
    while reader.next_records()?.is_some() {
        told(reader.at(), total);
    }
    let summary = reader.summary();
    Ok((reader.into_header(), summary))
}

/// Opens a backup; tells its length too.
fn open(path: &Path) -> Result<(Reader<BufReader<File>>, u64), BackupError> {
    let file = File::open(path).map_err(BackupError::Io)?;
    let metadata = file.metadata().map_err(BackupError::Io)?;
    if metadata.is_dir() {
        return Err(BackupError::NotABackup);
    }
    Ok((Reader::begin(BufReader::with_capacity(READ_BYTES, file))?, metadata.len()))
}
