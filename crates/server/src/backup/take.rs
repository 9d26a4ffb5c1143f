//! Taking a backup: a state as it comes from a server, into a file.
//!
//! Promises: nothing is ever under the file's name but a whole backup, synced; what is there already stays. A server that dies, or cannot,
//! is left for the next one, and everything begins anew there, for its state is as of another position. Memory holds a few chunks.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Seek as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use threefold_proto::peer;
use tokio::time::{Instant, sleep, timeout};
use tonic::Streaming;

use super::file::{BackupError, Header, READ_BYTES, Summary, Writer};
use crate::{ambient, config::PeerConfig, peer::operator::Operator, storage::sync_directory};

/// Between two rounds of asking.
const RETRY: Duration = Duration::from_millis(200);
/// A server begins within this: longer than it waits for a leader's word.
const BEGIN_PATIENCE: Duration = Duration::from_secs(10);
/// The next part comes within this, or the server has stalled.
const CHUNK_PATIENCE: Duration = Duration::from_secs(30);
/// Backups that were begun and cut short, at most: a cluster where each server dies on the way gives none.
const BEGINNINGS: usize = 10;
/// Password hashes and messages are in it.
const MODE: u32 = 0o600;
/// Unfinished files of other backups of this name, at most.
const OTHER_PARTS: u32 = 100;

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
    /// What comes is nothing that this program knows.
    #[error("what the server gives cannot be kept: {0}; is this program as new as the servers?")]
    Unknown(BackupError),
    /// No server gave all of its state in time.
    #[error("{0}")]
    Unavailable(String),
}

/// Why one attempt has failed.
enum Failed {
    /// The server's part: whether it had begun, and why it ended.
    Server(bool, String),
    /// This side's part.
    Here(NotTaken),
}

/// Takes a backup from one of the servers into a new file. Begins for at most `patience`, and after each cut for as long again.
///
/// # Errors
/// When there is such a file, it cannot be written, or no server gives all of its state.
pub async fn take(
    operator: &Operator,
    path: &Path,
    patience: Duration,
    mut told: impl FnMut(Step<'_>),
) -> Result<(Header, Summary), NotTaken> {
    let part = Part::create(path)?;
    let mut give_up = Instant::now() + patience;
    let mut beginnings = 0;
    let mut why = "no server to ask is known".to_owned();
    loop {
        for server in operator.servers() {
            let left = give_up.saturating_duration_since(Instant::now());
            match attempt(operator, server, &part, left.min(BEGIN_PATIENCE), &mut told).await {
                Ok(taken) => {
                    ambient::blocking(move || part.keep()).await.map_err(|error| file_error(path, error))??;
                    return Ok(taken);
                }
                Err(Failed::Here(error)) => return Err(error),
                Err(Failed::Server(had_begun, said)) => {
                    why = format!("{}: {said}", server.name);
                    if had_begun {
                        told(Step::Lost(&why));
                        beginnings += 1;
                        give_up = Instant::now() + patience;
                    }
                }
            }
            if beginnings >= BEGINNINGS {
                return Err(NotTaken::Unavailable(format!("{why}; a backup was begun {beginnings} times")));
            }
        }
        if Instant::now() + RETRY >= give_up {
            return Err(NotTaken::Unavailable(why));
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
    let (path, first) = (part.path.clone(), header.clone());
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
        error => Failed::Here(NotTaken::Unknown(error)),
    })
}

fn file_error(path: &Path, source: io::Error) -> NotTaken {
    NotTaken::File { path: path.to_owned(), source }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A file that is not finished, beside the one that is to be. Removed when dropped.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    part: PathBuf,
    file: File,
}

impl Part {
    fn create(path: &Path) -> Result<Self, NotTaken> {
        if path.try_exists().map_err(|error| file_error(path, error))? {
            return Err(NotTaken::Exists(path.to_owned()));
        }
        let missing = || file_error(path, io::Error::new(io::ErrorKind::InvalidInput, "it has no name"));
        let name = path.file_name().ok_or_else(missing)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(MODE);
        let mut number = 1;
        loop {
            let mut part = name.to_owned();
            part.push(format!(".part-{}-{number}", std::process::id()));
            let part = path.with_file_name(part);
            match options.open(&part) {
                Ok(file) => return Ok(Self { path: path.to_owned(), part, file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < OTHER_PARTS => number += 1,
                Err(error) => return Err(file_error(&part, error)),
            }
        }
    }

    /// The file, empty.
    fn again(&self) -> Result<File, NotTaken> {
        let empty = || {
            let mut file = self.file.try_clone()?;
            file.set_len(0)?;
            file.rewind()?;
            Ok(file)
        };
        empty().map_err(|error| file_error(&self.part, error))
    }

    /// Gives it its name, unless something has that by now.
    fn keep(self) -> Result<(), NotTaken> {
        let named = match fs::hard_link(&self.part, &self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(NotTaken::Exists(self.path.clone()));
            }
            // Not everything that holds files knows two names for one.
            Err(_) if !self.path.exists() => fs::rename(&self.part, &self.path),
            named => named,
        };
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        named.and_then(|()| sync_directory(parent)).map_err(|error| file_error(&self.path, error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Where it has its name already, this takes the other one; that it cannot be removed is the lesser news.
        let _ = fs::remove_file(&self.part);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_gets_its_name_in_the_end_or_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.backup");
        drop(Part::create(&path).unwrap());
        assert!(names(directory.path()).is_empty());
        let part = Part::create(&path).unwrap();
        part.again().unwrap().write_all(b"what a server gave that has died").unwrap();
        part.again().unwrap().write_all(b"whole").unwrap();
        part.keep().unwrap();
        assert_eq!(names(directory.path()), ["x.backup"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, MODE);
    }

    #[test]
    fn what_has_the_name_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.backup");
        let part = Part::create(&path).unwrap();
        fs::write(&path, "of somebody else").unwrap();
        assert!(matches!(part.keep(), Err(NotTaken::Exists(_))));
        assert!(matches!(Part::create(&path), Err(NotTaken::Exists(_))));
        assert_eq!(names(directory.path()), ["x.backup"]);
        assert_eq!(fs::read(&path).unwrap(), b"of somebody else");
    }
}
