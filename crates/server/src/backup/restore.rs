//! Restoring: the data directory of a new cluster's first server, from a backup.
//!
//! Offline. Promises: the whole file is read and found right before anything is made; then a mark in the directory says that it is unfinished,
//! until everything in it is durable and the caller says that all else is as it must be. A server does not start on such a directory, and
//! restoring may be begun again. The cluster is a new one, with a history of its own: cursors and servers of the old one are told apart from it for
//! ever, and so are those of other clusters from the same backup. Sessions stay as they were, so nobody has to log in again. Left out: the other
//! servers, which join it empty, and looking whether the old ones run, which is the command line's.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use threefold_core::backup::restored;

use super::{
    file::{BackupError, Header, Record, Summary},
    open,
};
use crate::{
    ambient,
    raft::{
        machine,
        offline::{self, Beginning, OfflineError, SKIPPED_BY_RESTORING},
        types::{Member, Standing},
    },
    storage::{
        StateStore as _,
        directory::{Directory, DirectoryError},
        fjall_log::FjallLog,
        fjall_state::FjallState,
    },
};

/// The first server of the new cluster.
#[derive(Clone, Debug)]
pub struct Founder {
    /// Its name.
    pub name: String,
    /// Where servers reach it (host:port).
    pub peer_address: String,
    /// Where clients reach it (host:port).
    pub client_address: String,
    /// The cluster begins with survivor mode switched on.
    pub survivor_mode: bool,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is a pipe, or something else that gives its bytes once.
    #[error("{} cannot be read twice: name a file", .0.display())]
    NoFile(PathBuf),
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Log or state cannot be written.
    #[error("cannot write the {0}: {1}")]
    Store(&'static str, std::io::Error),
    /// Log and state make no sense together, or cannot be rewritten.
    #[error(transparent)]
    Offline(#[from] OfflineError),
}

/// How far it is: bytes of the file, of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Being looked through.
    Checking(u64, u64),
    /// Being written.
    Writing(u64, u64),
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What it was made from.
    pub header: Header,
    /// What is in it.
    pub summary: Summary,
    /// Where the new history begins.
    pub beginning: Beginning,
    /// Its recovery id.
    pub recovery_id: [u8; 16],
}

/// A backup that was found right, and a directory that it may be restored into.
#[derive(Debug)]
pub struct Checked<'a> {
    path: &'a Path,
    data_dir: &'a Path,
    expected: Summary,
}

/// A directory with everything in it, still marked as unfinished.
#[derive(Debug)]
pub struct Unfinished {
    directory: Directory,
    restored: Restored,
}

/// Reads the whole backup at `path`. Changes nothing.
///
/// # Errors
/// When it cannot be read to its end, and twice, or the directory `data_dir` is not empty.
pub fn check<'a>(path: &'a Path, data_dir: &'a Path, told: &mut impl FnMut(Step)) -> Result<Checked<'a>, RestoreError> {
    Directory::may_restore(data_dir)?;
    let kind = fs::metadata(path).map_err(BackupError::Io)?;
    if !kind.is_file() && !kind.is_dir() {
        return Err(RestoreError::NoFile(path.to_owned()));
    }
    let (_, expected) = super::check(path, |at, total| told(Step::Checking(at, total)))?;
    Ok(Checked { path, data_dir, expected })
}

impl Checked<'_> {
    /// Makes the directory of the server `founder`. `now_ms` is the time since 1970: the new history begins at a place that follows from it.
    ///
    /// # Errors
    /// When the file has changed, the directory is not empty any more, the clock cannot be right, or the disk fails. The directory is marked as
    /// unfinished then, or as it was.
    pub fn make(self, founder: &Founder, now_ms: u64, told: &mut impl FnMut(Step)) -> Result<Unfinished, RestoreError> {
        let (path, recovery_id) = (self.path, ambient::random().map_err(OfflineError::Io)?);
        let (_, last) = open(path)?.0.header().position();
        let index = offline::beginning_behind(last, SKIPPED_BY_RESTORING, now_ms)?;
        let directory = Directory::open_to_restore(self.data_dir, &founder.name)?;
        let log = FjallLog::open(&directory.log_path()).map_err(|error| RestoreError::Store("log", error))?;
        let state = FjallState::open(&directory.state_path()).map_err(|error| RestoreError::Store("state", error))?;
        let (header, summary) = fill(path, &state, index, told)?;
        if summary != self.expected || described(&state)? != (header.recovery_id().to_vec(), header.position()) {
            let what = "its header is of another state, or it was changed while it was read,";
            return Err(BackupError::Damaged { what, at: summary.file_bytes }.into());
        }
        let member = Member {
            standing: Standing { survivor_mode: founder.survivor_mode, ..Standing::default() },
            ..Member::at(&founder.name, &founder.peer_address, &founder.client_address)
        };
        let founder = (directory.node_id(), member);
        let beginning = offline::begin_restored(founder, &log, &state, (recovery_id, index))?;
        // Closed before the directory is declared whole.
        drop((log, state));
        Ok(Unfinished { directory, restored: Restored { header, summary, beginning, recovery_id } })
    }
}

impl Unfinished {
    /// The server's name.
    #[must_use]
    pub fn server(&self) -> &str {
        self.directory.server()
    }

    /// Declares it whole: a server starts on it from now on.
    ///
    /// # Errors
    /// When the disk fails: then it is unfinished, or whole.
    pub fn finish(mut self) -> Result<Restored, RestoreError> {
        self.directory.record_restored()?;
        Ok(self.restored)
    }
}

/// Writes all records of the backup into the state, what is counted at `floor` or beyond.
fn fill(
    path: &Path,
    state: &FjallState,
    floor: u64,
    told: &mut impl FnMut(Step),
) -> Result<(Header, Summary), RestoreError> {
    let failed = |error| RestoreError::Store("state", error);
    let (mut reader, total) = open(path)?;
    let mut install = state.begin_install().map_err(failed)?;
    while let Some(records) = reader.next_records()? {
        let records = records.into_iter().filter(|(key, _)| machine::is_kept_when_restored(key));
        let records = records.map(|record| anew(record, floor));
        install.write(&records.collect::<Result<Vec<_>, _>>()?).map_err(failed)?;
        told(Step::Writing(reader.at(), total));
    }
    let received = install.finish().map_err(failed)?;
    state.finish_install(received).map_err(failed)?;
    let summary = reader.summary();
    Ok((reader.into_header(), summary))
}

/// A record as it begins anew.
fn anew((key, value): Record, floor: u64) -> Result<Record, BackupError> {
    let changed = restored(&key, &value, floor)?;
    Ok((key, changed.map_or(value, Bytes::from)))
}

/// What the state says of itself: its recovery id, and how far it has got.
fn described(state: &FjallState) -> Result<(Vec<u8>, (u64, u64)), RestoreError> {
    let (recovery_id, header) = machine::described(state).map_err(BackupError::Record)?;
    let last = header.last_log_id.map_or((0, 0), |log_id| (log_id.term, log_id.index));
    Ok((recovery_id, last))
}

#[cfg(test)]
mod tests;
