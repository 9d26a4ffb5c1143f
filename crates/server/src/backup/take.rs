//! Taking a backup: a state as it comes from a server, into a file.
//!
//! Promises: nothing is ever under the file's name but a whole backup, synced; what is there already stays. A server that dies, or cannot, or gives
//! what makes no sense, is left for the next one, and everything begins anew there, for its state is as of another position. Memory holds a few
//! chunks. What was given up leaves nothing; what was killed leaves a file that the next backup of that name removes.

use std::{
    io::{self, BufWriter},
    path::{Path, PathBuf},
    time::Duration,
};

use threefold_proto::peer;
use tokio::time::{Instant, sleep, timeout};
use tonic::Streaming;

use super::{
    file::{BackupError, Header, READ_BYTES, Summary, Writer},
    part::Part,
};
use crate::{ambient, clock::now_ms, config::PeerConfig, peer::operator::Operator};

/// Between two rounds of asking.
const RETRY: Duration = Duration::from_millis(200);
/// A server begins within this: longer than it waits for a leader's word.
const BEGIN_PATIENCE: Duration = Duration::from_secs(10);
/// The next part comes within this, or the server has stalled.
const CHUNK_PATIENCE: Duration = Duration::from_secs(30);
/// Backups that were begun and cut short, at most: a cluster where each server dies on the way gives none.
const BEGINNINGS: usize = 10;

/// What happens meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A server gives its state.
    Begun(&'a Header),
    /// So many bytes are in the file.
    At(u64),
    /// It does so no more: why. Another one is asked, and all begins anew.
    Lost(&'a str),
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// Something has the name already.
    #[error("{} is there already: name another file", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{}: {}", path.display(), source)]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What comes is nothing that this program can read, from whichever server.
    #[error("{0}; is this program as new as the servers?")]
    Unknown(String),
    /// No server gave all of its state in time.
    #[error("{0}")]
    Unavailable(String),
    /// It was given up.
    #[error("interrupted: there is no backup")]
    Interrupted,
}

/// Why one attempt has failed.
#[derive(Debug)]
enum Failed {
    /// The server's part: whether it had begun, and why it ended.
    Server(bool, String),
    /// What it gives makes no sense, and would not the next time.
    Unreadable(BackupError),
    /// This side's part.
    Here(NotTaken),
}

/// What the attempts so far have come to.
#[derive(Debug)]
struct Tally {
    beginnings: usize,
    /// Why the last one came to nothing.
    why: String,
    /// Servers that are not asked again, and why.
    unreadable: Vec<(String, String)>,
}

impl Tally {
    fn new() -> Self {
        Self { beginnings: 0, why: "no server to ask is known".to_owned(), unreadable: Vec::new() }
    }

    fn is_unreadable(&self, server: &PeerConfig) -> bool {
        self.unreadable.iter().any(|(name, _)| *name == server.name)
    }

    /// Notes an attempt at one of these servers; gives whether it had begun.
    fn note(&mut self, server: &PeerConfig, of: &[PeerConfig], failed: Failed) -> Result<bool, NotTaken> {
        let had_begun = match failed {
            Failed::Here(error) => return Err(error),
            Failed::Server(had_begun, said) => {
                self.why = format!("{}: {said}", server.name);
                had_begun
            }
            Failed::Unreadable(error) => {
                self.why = format!("{} gives what cannot be kept: {error}", server.name);
                self.unreadable.push((server.name.clone(), self.why.clone()));
                true
            }
        };
        self.beginnings += usize::from(had_begun);
        if of.iter().all(|server| self.is_unreadable(server)) {
            return Err(NotTaken::Unknown(self.words()));
        }
        if self.beginnings >= BEGINNINGS {
            let words = format!("{}; a backup was begun {} times", self.words(), self.beginnings);
            return Err(NotTaken::Unavailable(words));
        }
        Ok(had_begun)
    }

    /// Why there is no backup.
    fn words(&self) -> String {
        let unreadable = self.unreadable.iter().map(|(_, why)| why.as_str()).filter(|why| *why != self.why);
        unreadable.chain([self.why.as_str()]).collect::<Vec<_>>().join("; ")
    }
}

/// Takes a backup from one of the servers into a new file. Begins for at most `patience`, and after each cut for as long again. When `stopped`
/// resolves before all of it is there, it is given up.
///
/// # Errors
/// When there is such a file, it cannot be written, no server gives all of its state, or it was given up. Then nothing is there under its name.
pub async fn take(
    operator: &Operator,
    path: &Path,
    patience: Duration,
    stopped: impl Future<Output = ()>,
    told: impl FnMut(Step<'_>),
) -> Result<(Header, Summary), NotTaken> {
    let part = Part::create(path)?;
    let taken = tokio::select! {
        biased;
        () = stopped => return Err(NotTaken::Interrupted),
        taken = fill(operator, &part, patience, told) => taken?,
    };
    // From here on to the end: nobody is told that there is none while it gets its name.
    ambient::blocking(move || part.keep()).await.map_err(|error| file_error(path, error))??;
    Ok(taken)
}

/// Fills the unfinished file.
async fn fill(
    operator: &Operator,
    part: &Part,
    patience: Duration,
    mut told: impl FnMut(Step<'_>),
) -> Result<(Header, Summary), NotTaken> {
    let mut give_up = Instant::now() + patience;
    let mut tally = Tally::new();
    loop {
        for server in operator.servers() {
            if tally.is_unreadable(server) {
                continue;
            }
            let left = give_up.saturating_duration_since(Instant::now());
            match attempt(operator, server, part, left.min(BEGIN_PATIENCE), &mut told).await {
                Ok(taken) => return Ok(taken),
                Err(failed) => {
                    if tally.note(server, operator.servers(), failed)? {
                        told(Step::Lost(&tally.why));
                        give_up = Instant::now() + patience;
                    }
                }
            }
        }
        if Instant::now() + RETRY >= give_up {
            return Err(NotTaken::Unavailable(tally.words()));
        }
        sleep(RETRY).await;
    }
}

/// Takes a backup from one server into the unfinished file.
async fn attempt(
    operator: &Operator,
    server: &PeerConfig,
    part: &Part,
    begin_patience: Duration,
    told: &mut impl FnMut(Step<'_>),
) -> Result<(Header, Summary), Failed> {
    let away = |error: String| Failed::Server(false, error);
    let begun = timeout(begin_patience, async {
        let mut chunks = operator.backup(server).await?;
        let first = chunks.message().await.map_err(|status| status.message().to_owned())?;
        Ok::<_, String>((chunks, first))
    });
    let begun = begun.await.map_err(|_| away("it does not answer in time".to_owned()))?;
    let (mut chunks, first) = begun.map_err(away)?;
    let header = first.and_then(|first| first.header);
    let header = header.map(|header| peer::BackupHeader { taken_at_ms: now_ms(), ..header }).and_then(Header::of);
    let header = header.ok_or_else(|| away("it gives nothing that this program knows".to_owned()))?;
    told(Step::Begun(&header));
    let file = part.again().map_err(Failed::Here)?;
    let (path, first) = (part.path().to_owned(), header.clone());
    let mut writer = here(&path, move || Writer::begin(BufWriter::with_capacity(READ_BYTES, file), &first)).await?;
    loop {
        let chunk = next(&mut chunks).await.map_err(|error| Failed::Server(true, error))?;
        let total = chunk.total;
        writer = here(&path, move || {
            if !chunk.records.is_empty() {
                writer.records(chunk.records)?;
            }
            Ok(writer)
        })
        .await?;
        told(Step::At(writer.at()));
        let Some(total) = total else { continue };
        if total != writer.count() {
            return Err(Failed::Server(true, format!("{} of {total} records have come", writer.count())));
        }
        let finish = move || {
            let (file, summary) = writer.finish()?;
            file.into_inner()
                .map_err(|error| BackupError::Io(error.into_error()))?
                .sync_all()
                .map_err(BackupError::Io)?;
            Ok(summary)
        };
        return here(&path, finish).await.map(|summary| (header, summary));
    }
}

/// The next chunk, if it comes in time.
async fn next(chunks: &mut Streaming<peer::BackupChunk>) -> Result<peer::SnapshotChunk, String> {
    match timeout(CHUNK_PATIENCE, chunks.message()).await {
        Ok(Ok(Some(peer::BackupChunk { chunk: Some(chunk), .. }))) => Ok(chunk),
        Ok(Ok(Some(_))) => Err("it gives nothing that this program knows".to_owned()),
        Ok(Ok(None)) => Err("it ended before the end".to_owned()),
        Ok(Err(status)) => Err(format!("it ended before the end: {}", status.message())),
        Err(_) => Err("it has stalled".to_owned()),
    }
}

/// Does what may wait for the disk.
async fn here<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, Failed> {
    let done = ambient::blocking(work).await.map_err(|error| Failed::Here(file_error(path, error)))?;
    done.map_err(|error| match error {
        BackupError::Io(error) => Failed::Here(file_error(path, error)),
        error => Failed::Unreadable(error),
    })
}

pub(super) fn file_error(path: &Path, source: io::Error) -> NotTaken {
    NotTaken::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_gives_what_makes_no_sense_is_left_for_the_others_and_named() {
        let servers = ["a", "b"].map(|name| PeerConfig { name: name.to_owned(), peer_address: String::new() });
        let damaged = || Failed::Unreadable(BackupError::Damaged { what: "keys that do not ascend", at: 7 });
        let mut tally = Tally::new();
        assert!(tally.note(&servers[0], &servers, damaged()).unwrap(), "beginning again");
        assert!(tally.is_unreadable(&servers[0]) && !tally.is_unreadable(&servers[1]));
        assert!(!tally.note(&servers[1], &servers, Failed::Server(false, "away".to_owned())).unwrap());
        let words = tally.words();
        assert_eq!(words, "a gives what cannot be kept: it is damaged: keys that do not ascend at byte 7; b: away");
        match tally.note(&servers[1], &servers, damaged()) {
            Err(NotTaken::Unknown(words)) => assert!(words.contains("a gives") && words.contains("b gives"), "{words}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn backups_are_begun_so_often_and_what_fails_here_is_the_end() {
        let server = PeerConfig { name: "a".to_owned(), peer_address: String::new() };
        let mut tally = Tally::new();
        let mut note = |failed| tally.note(&server, std::slice::from_ref(&server), failed);
        for _ in 1..BEGINNINGS {
            assert!(note(Failed::Server(true, "it ended".to_owned())).unwrap());
        }
        let last = note(Failed::Server(true, "it ended".to_owned()));
        assert!(matches!(last, Err(NotTaken::Unavailable(words)) if words.contains("begun 10 times")));
        let here = Failed::Here(file_error(Path::new("x"), io::Error::other("full")));
        assert!(matches!(note(here), Err(NotTaken::File { .. })));
    }
}
