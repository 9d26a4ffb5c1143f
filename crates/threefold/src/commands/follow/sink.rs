//! Where `follow` puts its lines: standard output, or a file that holds each event exactly once.
//!
//! The file is its own cursor: each line is one event with its id, so after a death at any moment the last complete
//! line tells where to go on, and a torn line behind it is cut off. A file that does not look like one of these is refused and left as it is. (What the operating system has taken survives the
//! death of the process; after a power failure the file may be shorter, and goes on from there all the same.)

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use tokio::{io::AsyncWriteExt as _, time::Instant};

use crate::commands::Failure;

/// How much of the end of a file is looked at first; enough for most lines.
const FIRST_LOOK: u64 = 64 * 1024;
/// How each line begins; a torn one may be as short as nothing of it.
const BEGINNING: &[u8] = b"{\"type\":\"";
/// A process that was just killed may hold its lock for a moment.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Between two tries to lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Takes lines.
pub enum Sink {
    /// Standard output.
    Stdout(tokio::io::Stdout),
    /// A file, only appended to.
    File(PathBuf, File),
}

#[derive(Deserialize)]
struct Numbered {
    id: u64,
}

impl Sink {
    /// Opens a file to append to, cuts off a torn last line, and tells the id in the last complete one. A new one is its owner's alone to read.
    pub async fn file(path: &Path) -> Result<(Self, Option<u64>), Failure> {
        let failed = |error: io::Error| Failure::file(path, &error);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Failure::usage(format!("{} is not a regular file", path.display())));
        }
        lock(path, &file).await?;
        // It is known to be ours before anything of it is cut off.
        let (id, end) = match last_line(&mut file).map_err(failed)? {
            Last::Whole { line, end, behind } => {
                let numbered = serde_json::from_slice::<Numbered>(&line).ok().filter(|_| line.starts_with(BEGINNING));
                let id = numbered.filter(|_| is_torn(&behind)).ok_or_else(|| other_content(path))?.id;
                (Some(id), end)
            }
            Last::Torn(line) if is_torn(&line) => (None, 0),
            Last::Torn(_) => return Err(other_content(path)),
        };
        if end != file.metadata().map_err(failed)?.len() {
            file.set_len(end).map_err(failed)?;
        }
        Ok((Self::File(path.to_owned(), file), id))
    }

    /// Writes complete lines, and returns once they are out of this process's hands.
    pub async fn write(&mut self, lines: &str) -> Result<(), Failure> {
        match self {
            Self::Stdout(stdout) => {
                stdout.write_all(lines.as_bytes()).await?;
                Ok(stdout.flush().await?)
            }
            Self::File(path, file) => file.write_all(lines.as_bytes()).map_err(|error| Failure::file(path, &error)),
        }
    }
}

async fn lock(path: &Path, file: &File) -> Result<(), Failure> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(Failure::file(path, &error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                return Err(Failure::usage(format!("another follow writes to {}", path.display())));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
        }
    }
}

fn other_content(path: &Path) -> Failure {
    Failure::usage(format!("{} ends with something that follow --json did not write: use another file", path.display()))
}

/// Whether a line of ours may begin so.
fn is_torn(line: &[u8]) -> bool {
    line.starts_with(BEGINNING) || BEGINNING.starts_with(line)
}

/// What a file ends with.
enum Last {
    /// This line, without its line feed; where it ends with it; and what is behind it, which is torn.
    Whole { line: Vec<u8>, end: u64, behind: Vec<u8> },
    /// There is no whole line: only this, or nothing.
    Torn(Vec<u8>),
}

/// Looks from the end of the file as far back as it takes.
fn last_line(file: &mut File) -> io::Result<Last> {
    let length = file.metadata()?.len();
    let mut look = FIRST_LOOK;
    loop {
        let start = length.saturating_sub(look);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(look).read_to_end(&mut tail)?;
        let end = tail.iter().rposition(|byte| *byte == b'\n');
        let before = end.and_then(|end| tail[..end].iter().rposition(|byte| *byte == b'\n'));
        // A usize always fits: memory is smaller than 2^64.
        let whole = |from: usize, to: usize| Last::Whole {
            line: tail[from..to].to_vec(),
            end: start + to as u64 + 1,
            behind: tail[to + 1..].to_vec(),
        };
        // The last line is complete in what was read if its beginning is: a line feed, or the file's.
        match (end, before) {
            (Some(end), Some(before)) => return Ok(whole(before + 1, end)),
            (Some(end), None) if start == 0 => return Ok(whole(0, end)),
            (None, _) if start == 0 => return Ok(Last::Torn(tail)),
            _ => look = look.saturating_mul(4),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[tokio::test]
    async fn a_new_file_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        Sink::file(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    async fn recover(content: &str) -> (String, Result<Option<u64>, u8>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        fs::write(&path, content).unwrap();
        let id = match Sink::file(&path).await {
            Ok((mut sink, id)) => {
                sink.write("").await.unwrap();
                Ok(id)
            }
            Err(failure) => Err(failure.exit_code()),
        };
        (fs::read_to_string(&path).unwrap(), id)
    }

    #[tokio::test]
    async fn goes_on_after_the_last_complete_line_wherever_the_process_died() {
        let whole = concat!(
            "{\"type\":\"read\",\"id\":1}\n",
            "{\"type\":\"read\",\"id\":22}\n",
            "{\"type\":\"message\",\"id\":333,\"body\":\"größe\"}\n"
        );
        for end in (0..=whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let complete = whole[..end].rfind('\n').map_or("", |last| &whole[..=last]);
            let expected = match complete.lines().count() {
                0 => None,
                1 => Some(1),
                2 => Some(22),
                _ => Some(333),
            };
            assert_eq!(recover(&whole[..end]).await, (complete.to_owned(), Ok(expected)), "{end}");
        }
    }

    #[tokio::test]
    async fn lines_longer_than_the_first_look_are_found() {
        let long = "x".repeat(usize::try_from(FIRST_LOOK).unwrap() * 3);
        let first = "{\"type\":\"read\",\"id\":1}\n";
        let whole = format!("{first}{{\"type\":\"message\",\"id\":2,\"body\":\"{long}\"}}\n");
        assert_eq!(recover(&whole).await.1, Ok(Some(2)));
        let torn = &whole[..whole.len() - 2];
        assert_eq!(recover(torn).await, (first.to_owned(), Ok(Some(1))));
    }

    #[tokio::test]
    async fn a_file_with_other_content_is_refused_and_left_alone() {
        assert_eq!(recover("my diary\n").await, ("my diary\n".to_owned(), Err(2)));
        assert_eq!(recover("{\"a\":1}\n").await, ("{\"a\":1}\n".to_owned(), Err(2)));
        // Without a line feed at its end, or at all; a picture has one anywhere.
        // Lines of another program, and something behind lines of ours.
        for other in [
            "{\"id\":1}\n",
            "{\"event\":\"x\",\"id\":1}\n",
            "{\"type\":\"read\",\"id\":1}\nmy diary",
            "{\"type\":\"read\",\"id\":1}\n{\"a\"",
        ] {
            assert_eq!(recover(other).await, (other.to_owned(), Err(2)), "{other}");
        }
        for other in ["my diary", "{\"a\":1}", "{ }", "first\nsecond", "PNG\u{1}\n\u{2}\n\u{3}"] {
            assert_eq!(recover(other).await, (other.to_owned(), Err(2)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_do_not_write_to_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        let (sink, _) = Sink::file(&path).await.unwrap();
        assert_eq!(Sink::file(&path).await.err().map(|failure| failure.exit_code()), Some(2));
        drop(sink);
        assert!(Sink::file(&path).await.is_ok());
    }
}
