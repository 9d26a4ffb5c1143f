//! Thumbnails made by a program of their own, one process each.
//!
//! Files come from anybody. What a decoder does wrong with one of them should end nothing but the decoding: a server that fell over a
//! picture would be followed by the next one that the same page asks.

use std::{
    io::{self, Read, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    time::timeout,
};

use super::{
    FILE_BYTES,
    scaled::{self, Scaled, Unscalable},
};

/// Its allocator takes what it uses, and maps no gigabyte in advance: a limit of memory counts what is mapped.
const ENVIRONMENT: [(&str, &str); 1] = [("MIMALLOC_ARENA_EAGER_COMMIT", "0")];
/// What the program is called with.
pub const ARGUMENT: &str = "make-thumbnail";
/// How long one may take. The largest take seconds, where people talk meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);
/// What it answers, at most: its points as they are have less.
const ANSWER_BYTES: u64 = 2 << 20;

/// An answer's first byte; behind it, of the last two, the thumbnail.
mod outcome {
    pub(super) const NO_PICTURE: u8 = 0;
    pub(super) const TOO_LARGE: u8 = 1;
    pub(super) const DAMAGED: u8 = 2;
    pub(super) const JPEG: u8 = 3;
    pub(super) const PNG: u8 = 4;
}

/// Makes the thumbnail of the file that is read: what the program does that is called with [`ARGUMENT`].
///
/// # Errors
/// When it cannot read or write. A picture that is none, or damaged, is answered as such.
pub fn make_thumbnail(file: impl Read, mut answer: impl Write) -> io::Result<()> {
    let mut content = Vec::new();
    file.take(FILE_BYTES + 1).read_to_end(&mut content)?;
    let (first, thumbnail) = match scaled::scaled(&content) {
        Ok(Scaled { content_type: scaled::PNG, bytes }) => (outcome::PNG, bytes),
        Ok(Scaled { bytes, .. }) => (outcome::JPEG, bytes),
        Err(Unscalable::NoPicture) => (outcome::NO_PICTURE, Vec::new()),
        Err(Unscalable::TooLarge) => (outcome::TOO_LARGE, Vec::new()),
        Err(Unscalable::Damaged) => (outcome::DAMAGED, Vec::new()),
    };
    answer.write_all(&[first])?;
    answer.write_all(&thumbnail)?;
    answer.flush()
}

/// Says that the file is damaged: what the program does where making a thumbnail ends in a panic.
///
/// # Errors
/// When it cannot write.
pub fn answer_damaged(mut answer: impl Write) -> io::Result<()> {
    answer.write_all(&[outcome::DAMAGED])?;
    answer.flush()
}

/// What came of calling the program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Called {
    /// What it said, before it ended in order.
    Answered(Result<Scaled, Unscalable>),
    /// It died, said nothing that has sense, or took too long: of the picture, of another process that took the memory or the processors,
    /// or because somebody killed it. So nothing is known of the picture; the words are for an operator.
    Failed(String),
}

/// The thumbnail of a file, by that program. It ends with whoever waits for it.
pub(super) async fn made_by(program: &Path, file: &[u8]) -> io::Result<Called> {
    let mut command = Command::new(program);
    // It has what it needs: no directory that could not be unmounted, and no secret in its environment.
    command.arg(ARGUMENT).env_clear().envs(ENVIRONMENT).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("a process without its streams"));
    };
    let made = async {
        // It may have its answer, or be dead, before it has read everything.
        let told = async {
            let _ = input.write_all(file).await;
            drop(input);
        };
        let mut answer = Vec::new();
        let mut output = output.take(ANSWER_BYTES);
        let ((), heard) = tokio::join!(told, output.read_to_end(&mut answer));
        heard?;
        let ended = child.wait().await?;
        Ok(match read(&answer) {
            Some(said) if ended.success() => Called::Answered(said),
            Some(_) | None => Called::Failed(format!("its process ended without an answer: {ended}")),
        })
    };
    let late = |_| Ok(Called::Failed(format!("its process took more than {} s", PATIENCE.as_secs())));
    timeout(PATIENCE, made).await.unwrap_or_else(late)
}

/// What was said; none: nothing that has sense.
fn read(answer: &[u8]) -> Option<Result<Scaled, Unscalable>> {
    let (first, bytes) = answer.split_first()?;
    match *first {
        outcome::NO_PICTURE => Some(Err(Unscalable::NoPicture)),
        outcome::TOO_LARGE => Some(Err(Unscalable::TooLarge)),
        outcome::DAMAGED => Some(Err(Unscalable::Damaged)),
        outcome::JPEG if !bytes.is_empty() => Some(Ok(Scaled { content_type: scaled::JPEG, bytes: bytes.to_vec() })),
        outcome::PNG if !bytes.is_empty() => Some(Ok(Scaled { content_type: scaled::PNG, bytes: bytes.to_vec() })),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

    use tempfile::TempDir;

    use super::*;

    /// A program that does this instead; it finds the directory's path in `$here`.
    pub(in super::super) fn script(directory: &TempDir, lines: &str) -> PathBuf {
        let path = directory.path().join("program");
        let begun = format!("#!/bin/sh\n[ \"$1\" = try ] && exit 0\nhere={}", directory.path().display());
        fs::write(&path, format!("{begun}\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        // A process that another test has just begun has it open for writing until it is another program.
        let is_busy =
            |tried: io::Result<_>| tried.is_err_and(|error| error.kind() == io::ErrorKind::ExecutableFileBusy);
        while is_busy(std::process::Command::new(&path).arg("try").status()) {
            std::thread::yield_now();
        }
        path
    }

    async fn called(lines: &str) -> Called {
        let directory = TempDir::new().unwrap();
        // More than a pipe holds, so that who does not read it is written to in vain.
        made_by(&script(&directory, lines), &[7; 300_000]).await.unwrap()
    }

    #[test]
    fn what_is_answered_is_what_is_read() {
        let answer_of = |file: &[u8]| {
            let mut answer = Vec::new();
            make_thumbnail(file, &mut answer).unwrap();
            read(&answer).unwrap()
        };
        assert_eq!(answer_of(b"plain text"), Err(Unscalable::NoPicture));
        let mut picture = io::Cursor::new(Vec::new());
        image::RgbImage::new(2, 2).write_to(&mut picture, image::ImageFormat::Png).unwrap();
        let picture = picture.into_inner();
        assert_eq!(answer_of(&picture), scaled::scaled(&picture));
        assert!(answer_of(&picture).is_ok());
        assert_eq!(answer_of(&picture[..40]), Err(Unscalable::Damaged));
        let mut panicked = Vec::new();
        answer_damaged(&mut panicked).unwrap();
        assert_eq!(read(&panicked), Some(Err(Unscalable::Damaged)));
    }

    #[tokio::test]
    async fn only_what_the_program_says_and_ends_in_order_after_is_said_of_the_picture() {
        for lines in [
            "cat > /dev/null; printf '\\003some'; kill -ABRT $$",
            "printf '\\002'; kill -KILL $$",
            "printf '\\002'; exit 1",
            "exit 1",
            "exit 0",
            "printf '\\003'",
            "printf '\\077some'",
        ] {
            assert!(matches!(called(lines).await, Called::Failed(_)), "{lines}");
        }
        let jpeg = Scaled { content_type: scaled::JPEG, bytes: b"some".to_vec() };
        assert_eq!(called("cat > /dev/null; printf '\\003some'").await, Called::Answered(Ok(jpeg)));
        assert_eq!(called("printf '\\002'").await, Called::Answered(Err(Unscalable::Damaged)));
        let early = called("printf '\\001'").await;
        assert_eq!(early, Called::Answered(Err(Unscalable::TooLarge)), "though it has not read to the end");
    }

    #[tokio::test]
    async fn the_program_has_of_its_server_what_it_needs() {
        // Cargo gives its tests the first of these two; whoever runs it has the other.
        let lines = "[ \"$(pwd)\" = / ] && [ \"$MIMALLOC_ARENA_EAGER_COMMIT\" = 0 ] && [ -z \"$CARGO_PKG_NAME$HOME\" ] && printf '\\001'";
        assert_eq!(called(lines).await, Called::Answered(Err(Unscalable::TooLarge)));
    }

    #[tokio::test]
    async fn without_the_program_nothing_is_said_of_the_picture() {
        assert!(made_by(Path::new("/nonexistent"), b"x").await.is_err());
    }
}
