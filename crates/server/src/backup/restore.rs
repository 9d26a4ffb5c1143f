//! Restoring: the data directory of a new cluster's first server, from a backup.
//!
//! Offline. Promises: the whole file is read and found right before anything is made; then a mark in the directory says that it is unfinished,
//! until everything in it is durable. A server does not start on such a directory, and restoring may be begun again. The cluster
//! is a new one, with a history of its own: cursors and servers of the old one are told apart from it for ever. Sessions stay as
//! they were, so nobody has to log in again. Left out: the other servers, which join it empty.

use std::path::Path;

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
        offline::{self, Beginning, OfflineError},
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
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Log or state cannot be written.
    #[error("cannot write the {0}: {1}")]
    Store(&'static str, std::io::Error),
    /// Log and state make no sense together.
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

/// Makes the directory `data_dir` of the server `founder` from the backup at `path`.
///
/// # Errors
/// When the backup cannot be read to its end, the directory is not empty, or the disk fails. Until the backup is found right nothing is made;
/// from then on the directory is marked as unfinished.
pub fn restore(
    path: &Path,
    data_dir: &Path,
    founder: &Founder,
    mut told: impl FnMut(Step),
) -> Result<Restored, RestoreError> {
    Directory::may_restore(data_dir)?;
    let (_, expected) = super::check(path, |at, total| told(Step::Checking(at, total)))?;
    let recovery_id = ambient::random().map_err(OfflineError::Io)?;
    let mut directory = Directory::open_to_restore(data_dir, &founder.name)?;
    let log = FjallLog::open(&directory.log_path()).map_err(|error| RestoreError::Store("log", error))?;
    let state = FjallState::open(&directory.state_path()).map_err(|error| RestoreError::Store("state", error))?;
    let (header, summary) = fill(path, &state, &mut told)?;
    if summary != expected || described(&state)? != (header.recovery_id().to_vec(), header.position()) {
        let what = "its header is of another state, or it was changed while it was read,";
        return Err(BackupError::Damaged { what, at: summary.file_bytes }.into());
    }
    let member = Member {
        standing: Standing { survivor_mode: founder.survivor_mode, ..Standing::default() },
        ..Member::at(&founder.name, &founder.peer_address, &founder.client_address)
    };
    let beginning = offline::begin_restored((directory.node_id(), member), &log, &state, recovery_id)?;
    // Closed before the directory is declared whole.
    drop((log, state));
    directory.record_restored()?;
    Ok(Restored { header, summary, beginning, recovery_id })
}

/// Writes all records of the backup into the state.
fn fill(path: &Path, state: &FjallState, told: &mut impl FnMut(Step)) -> Result<(Header, Summary), RestoreError> {
    let failed = |error| RestoreError::Store("state", error);
    let (mut reader, total) = open(path)?;
    let mut install = state.begin_install().map_err(failed)?;
    while let Some(records) = reader.next_records()? {
        let records = records.into_iter().filter(|(key, _)| machine::is_kept_when_restored(key)).map(anew);
        install.write(&records.collect::<Result<Vec<_>, _>>()?).map_err(failed)?;
        told(Step::Writing(reader.at(), total));
    }
    let received = install.finish().map_err(failed)?;
    state.finish_install(received).map_err(failed)?;
    let summary = reader.summary();
    Ok((reader.into_header(), summary))
}

/// A record as it begins anew.
fn anew((key, value): Record) -> Result<Record, BackupError> {
    let changed = restored(&key, &value)?;
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
