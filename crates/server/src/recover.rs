//! `recover --force`: an operator makes one server the beginning of a new cluster, when the others cannot come back.
//!
//! Offline, and never automatic, for it may lose what was acknowledged: only the others can know what they had. Promises:
//! nothing is changed before a copy of the whole directory is on disk; a recovery that was interrupted is noticed by
//! the next start, which refuses, and may be begun again; servers and cursors of the old history are told apart by the
//! recovery id for ever. Leaves out: asking the operator, which is the command line's.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::join_all;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    ambient,
    config::{PeerConfig, PeerTls},
    peer::{
        operator::{LogEnd, Operator},
        tls::TlsError,
    },
    raft::offline::{self, Beginning, Findings, OfflineError},
    storage::{
        directory::{Directory, DirectoryError},
        fjall_log::FjallLog,
        fjall_state::FjallState,
    },
};

/// A server that does not take a connection within this does not run, or cannot be reached.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// A server that runs says what it has within this.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Why a directory cannot be recovered: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Log or state cannot be opened.
    #[error("cannot open the {0}: {1}")]
    Open(&'static str, std::io::Error),
    /// Log and state cannot be read, or rewritten.
    #[error(transparent)]
    Offline(#[from] OfflineError),
}

/// The directory of a server that does not run, locked while this lives.
pub struct Offline {
    directory: Directory,
    findings: Findings,
}

/// What became of a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The copy of the directory as it was.
    pub backup: PathBuf,
    /// Where the new history begins.
    pub beginning: Beginning,
    /// Its recovery id.
    pub recovery_id: [u8; 16],
}

/// How another server looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nobody takes a connection at its address.
    Silent,
    /// Something does, but does not say what it has.
    Listens,
    /// It runs, and has this.
    Runs(LogEnd),
}

impl Offline {
    /// Opens the directory of the server called `name`, and looks what it has. Nothing in log and state is changed.
    ///
    /// # Errors
    /// When the server runs, or there is nothing that can be read.
    pub fn open(data_dir: &Path, name: &str) -> Result<Self, RecoverError> {
        let directory = Directory::open_to_recover(data_dir, name)?;
        let (log, state) = stores(&directory)?;
        let findings = offline::examine(directory.node_id(), &log, &state)?;
        Ok(Self { directory, findings })
    }

    /// What the server has.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Copies the directory, then makes the server a cluster of its own, with all that it has. `now_ms` is the time since 1970: its history
    /// begins at a place that follows from it.
    ///
    /// # Errors
    /// When the disk fails. Before the copy is complete nothing is changed; after that, the directory cannot be used until
    /// this has succeeded.
    pub fn recover(mut self, now_ms: u64) -> Result<Recovered, RecoverError> {
        let recovery_id = ambient::random().map_err(OfflineError::Io)?;
        // Before anything is marked: what is marked and cannot be recovered can never be used again.
        offline::may_begin(&self.findings, now_ms)?;
        let backup = self.directory.back_up()?;
        self.directory.record_recovery(true)?;
        let (log, state) = stores(&self.directory)?;
        let beginning = offline::begin_history(self.directory.node_id(), &log, &state, (recovery_id, now_ms))?;
        // Closed before the directory is declared whole.
        drop((log, state));
        self.directory.record_recovery(false)?;
        Ok(Recovered { backup, beginning, recovery_id })
    }
}

fn stores(directory: &Directory) -> Result<(FjallLog, FjallState), RecoverError> {
    let log = FjallLog::open(&directory.log_path()).map_err(|error| RecoverError::Open("log", error))?;
    let state = FjallState::open(&directory.state_path()).map_err(|error| RecoverError::Open("state", error))?;
    Ok((log, state))
}

/// Looks whether other servers run, all at the same time; in the order given. Without a certificate nothing can be asked, but
/// a connection tells enough.
///
/// # Errors
/// When the certificate cannot be used.
pub async fn look_at(others: &[PeerConfig], tls: Option<&PeerTls>) -> Result<Vec<Seen>, TlsError> {
    let operator = tls.map(|files| Operator::new(files, Vec::new())).transpose()?;
    let look = |other: &PeerConfig| {
        let (other, operator) = (other.clone(), operator.as_ref());
        async move {
            match timeout(CONNECT_PATIENCE, TcpStream::connect(&other.peer_address)).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return Seen::Silent,
            }
            let Some(operator) = operator else { return Seen::Listens };
            operator.log_end(&other, ANSWER_PATIENCE).await.map_or(Seen::Listens, Seen::Runs)
        }
    };
    Ok(join_all(others.iter().map(look)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a server that was started and never admitted, say.
    #[test]
    fn a_directory_in_which_nothing_is_to_be_recovered_stays_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("server-1");
        let mut directory = Directory::open(&path, "server-1").unwrap();
        drop(stores(&directory).unwrap());
        directory.record_stores().unwrap();
        drop(directory);
        let refused = Offline::open(&path, "server-1").unwrap().recover(offline::FIRST_MS + 1).unwrap_err();
        assert!(matches!(refused, RecoverError::Offline(OfflineError::NoMember)), "{refused}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing was copied");
        Directory::open(&path, "server-1").unwrap();
    }
}
