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

/// The thumbnail of a file, by that program. It ends with whoever waits for it.
pub(super) async fn made_by(program: &Path, file: &[u8]) -> io::Result<Result<Scaled, Unscalable>> {
    let mut command = Command::new(program);
    command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
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
        Ok(if ended.success() { read(&answer) } else { Err(Unscalable::Damaged) })
    };
    // One that takes for ever is as good as damaged.
    timeout(PATIENCE, made).await.unwrap_or(Ok(Err(Unscalable::Damaged)))
}

fn read(answer: &[u8]) -> Result<Scaled, Unscalable> {
    match answer.split_first() {
        Some((&outcome::NO_PICTURE, _)) => Err(Unscalable::NoPicture),
        Some((&outcome::TOO_LARGE, _)) => Err(Unscalable::TooLarge),
        Some((&outcome::JPEG, bytes)) => Ok(Scaled { content_type: scaled::JPEG, bytes: bytes.to_vec() }),
        Some((&outcome::PNG, bytes)) => Ok(Scaled { content_type: scaled::PNG, bytes: bytes.to_vec() }),
        Some(_) | None => Err(Unscalable::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

    use tempfile::TempDir;

    use super::*;

    /// A program that does this instead.
    fn script(directory: &TempDir, lines: &str) -> PathBuf {
        let path = directory.path().join("program");
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    async fn made(lines: &str) -> Result<Scaled, Unscalable> {
        let directory = TempDir::new().unwrap();
        // More than a pipe holds, so that who does not read it is written to in vain.
        made_by(&script(&directory, lines), &[7; 300_000]).await.unwrap()
    }

    #[test]
    fn what_is_answered_is_what_is_read() {
        let answer_of = |file: &[u8]| {
            let mut answer = Vec::new();
            make_thumbnail(file, &mut answer).unwrap();
            read(&answer)
        };
        assert_eq!(answer_of(b"plain text"), Err(Unscalable::NoPicture));
        let mut picture = io::Cursor::new(Vec::new());
        image::RgbImage::new(2, 2).write_to(&mut picture, image::ImageFormat::Png).unwrap();
        let picture = picture.into_inner();
        assert_eq!(answer_of(&picture), scaled::scaled(&picture));
        assert!(answer_of(&picture).is_ok());
        assert_eq!(answer_of(&picture[..40]), Err(Unscalable::Damaged));
    }

    #[tokio::test]
    async fn a_program_that_dies_of_a_picture_says_that_it_is_damaged() {
        assert_eq!(made("cat > /dev/null; printf '\\003some'; kill -ABRT $$").await, Err(Unscalable::Damaged));
        assert_eq!(made("exit 1").await, Err(Unscalable::Damaged));
        assert_eq!(made("exit 0").await, Err(Unscalable::Damaged), "without a word");
        let jpeg = Scaled { content_type: scaled::JPEG, bytes: b"some".to_vec() };
        assert_eq!(made("cat > /dev/null; printf '\\003some'").await, Ok(jpeg));
        assert_eq!(made("printf '\\001'").await, Err(Unscalable::TooLarge), "though it has not read to the end");
    }

    #[tokio::test]
    async fn without_the_program_nothing_is_said_of_the_picture() {
        assert!(made_by(Path::new("/nonexistent"), b"x").await.is_err());
    }
}
