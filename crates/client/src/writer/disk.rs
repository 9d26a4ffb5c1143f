//! The outbox on disk: what was accepted, under which name it went out, and what was answered.
//!
//! Promises: when [`DiskOutbox::save`] has returned, the changes are on disk, all of one call or, after a crash, none; a file that was torn by a
//! crash is cut where the last whole call ended; one that is damaged before its end, of a newer version, of another session, or in use is
//! refused with words and left alone. One process has it, by a lock beside it. Only its owner can read it. It is written anew, under another name
//! and then renamed, when most of it is of writes that were answered long ago, so that it stays small.
//!
//! ```text
//! file  = "3FOUTBOX" version:1 frame*
//! frame = "frm1" bytes:4 checksum:8 change*      the checksum: the beginning of the SHA-256 of the changes
//! ```
//!
//! The first change names the session, how many writes were accepted before, and the latest instance they used; numbers are little-endian. A file that was written anew
//! has the fingerprint of all that were ever accepted, behind those that wait (an earlier version's has none: then nobody can tell what was accepted). Each frame is on disk before the next
//! is written: so only the last one can be torn.

mod content;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use content::{Content, Owner, encode};
use threefold_core::content::ContentHash;
use threefold_proto::chat::write::Operation;

use super::{
    Fingerprint,
    change::{Change, Kept, Why, text},
};
use crate::{Error, Session};

const MAGIC: &[u8; 8] = b"3FOUTBOX";
/// A newer one is refused.
const VERSION: u8 = 1;
const FRAME: &[u8; 4] = b"frm1";
const FRAME_HEAD: usize = 4 + 4 + 8;
/// A file of fewer bytes is not worth writing anew.
const WORTH_WRITING_ANEW: u64 = 256 * 1024;
/// More than an outbox with its most writes ever has: a file beyond it is none of ours.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// A file in which a [`crate::Writer`] keeps its writes until they are answered, so that they outlive the program.
///
/// It belongs to one session and, while it is open, to one process. It holds what was written, so only its owner can read it, as it is with
/// the session. When the session is over, what waits can never be sent. [`DiskOutbox::open`] says then how much was taken and how much of that is not known to be
/// acknowledged, and [`DiskOutbox::left`] what that is: go on behind it with another file, and look what has become of the last ones.
#[derive(Debug)]
pub struct DiskOutbox {
    path: PathBuf,
    file: File,
    bytes: u64,
    content: Content,
    /// Held while this is there.
    _lock: File,
}

/// What an outbox holds.
#[derive(Debug)]
pub struct Left {
    place: PathBuf,
    owner: Option<Owner>,
    /// Held while this is there, so that nobody opens it meanwhile; none where nobody ever had it open.
    _lock: Option<File>,
    /// What is not known to be acknowledged, the oldest first.
    pub writes: Vec<LeftBehind>,
    /// What was kept beside them ([`crate::Writer::keep_draft`]), in the order in which it was.
    pub drafts: Vec<Vec<u8>>,
}

impl Left {
    /// Whether this session can still send it.
    #[must_use]
    pub fn is_of(&self, session: &Session) -> bool {
        self.owner.as_ref() == Some(&Owner::of(session))
    }

    /// Gives the file another name, in the same file system; nobody has it open meanwhile.
    ///
    /// # Errors
    /// As the system says.
    pub fn move_to(self, place: &Path) -> io::Result<()> {
        fs::rename(&self.place, place)
    }

    /// Removes the file; nobody has it open meanwhile.
    ///
    /// # Errors
    /// As the system says.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.place)
    }
}

/// A write that an outbox holds.
#[derive(Debug)]
pub struct LeftBehind {
    /// Its place in the order of all writes that the outbox ever accepted; the first has 1.
    pub number: u64,
    /// What it was to do.
    pub operation: Operation,
    /// It came to nothing: why.
    pub failed: Option<Error>,
    /// Without a failure: it may have taken effect. Else it certainly did not.
    pub may_have_been_sent: bool,
}

impl LeftBehind {
    /// What it was to say, where it was a message, or the new text of one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        text(&self.operation)
    }
}

impl DiskOutbox {
    /// Opens the outbox of this session at `path`, or begins it. Reads and writes the file at once: a few milliseconds.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is not there to be read or written, if another process has it, if it is of another session or a newer version of
    /// this library, or if it is damaged; [`Error::Local`] if the disk fails.
    pub fn open(path: impl AsRef<Path>, session: &Session) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |error: io::Error| unusable(path, &error);
        // By whatever name it is called, there is one lock beside it, and it is replaced itself and not the name.
        let place = resolved(path).map_err(failed)?;
        let lock = locked(path, &place)?;
        let owner = Owner::of(session);
        let bytes = read(&place).map_err(failed)?;
        let parsed = bytes.map(|bytes| parse(&bytes)).transpose().map_err(|why| refused(path, &why))?;
        let Some((content, whole)) = parsed else {
            let content = Content { owner: Some(owner), fingerprint: Some(Fingerprint::new()), ..Content::default() };
            let (file, bytes) = written(&place, &content).map_err(failed)?;
            return Ok(Self { path: place, file, bytes, content, _lock: lock });
        };
        if content.owner.as_ref() != Some(&owner) {
            return Err(refused(path, &content.of_another()));
        }
        let file = OpenOptions::new().append(true).open(&place).map_err(failed)?;
        // What a crash tore off must not stand before what comes next.
        file.set_len(whole).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(Self { path: place, file, bytes: whole, content, _lock: lock })
    }

    /// What the outbox at `path` holds, of whatever session; none where there is no file. Changes nothing, and needs no session. What a program
    /// has open is not left: that program is sending it; and nobody can open it while the answer is held.
    ///
    /// # Errors
    /// As for [`DiskOutbox::open`].
    pub fn left(path: impl AsRef<Path>) -> Result<Option<Left>, Error> {
        let path = path.as_ref();
        let failed = |error: io::Error| unusable(path, &error);
        let place = resolved(path).map_err(failed)?;
        if !place.exists() {
            return Ok(None);
        }
        // One that nobody ever had open has no lock beside it, and gets none: it may be a copy, somewhere where nothing can be written.
        let lock = if beside(&place, "lock").exists() { Some(locked(path, &place)?) } else { None };
        let Some(bytes) = read(&place).map_err(failed)? else { return Ok(None) };
        let (content, _) = parse(&bytes).map_err(|why| refused(path, &why))?;
        let unknown = || refused(path, &"it holds a write that this version does not know");
        let kept = content.kept().ok_or_else(unknown)?;
        let writes = kept.into_iter().map(|Kept { key, request, operation, failed }| LeftBehind {
            number: key,
            operation,
            failed: failed.map(Why::into_error),
            may_have_been_sent: request.is_some(),
        });
        let writes = writes.collect();
        let drafts = content.drafts.into_values().collect();
        Ok(Some(Left { place, owner: content.owner, _lock: lock, writes, drafts }))
    }

    /// How many writes it has accepted so far, in all runs of all programs: whoever sends a list, one write an entry, goes on behind
    /// that many of them.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.content.accepted
    }

    /// What they were, in a few bytes: whoever sends a list can tell that it still begins with them. None where a version of this library accepted some that
    /// did not write it down.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&Fingerprint> {
        self.content.fingerprint.as_ref()
    }

    /// How many of them are not answered yet, as far as it knows, which go out first, or came to nothing without anybody having been told.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.content.waiting.len()
    }

    /// What programs kept beside their writes and did not forget yet ([`crate::Writer::keep_draft`]), by its numbers.
    pub fn drafts(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.content.drafts.iter().map(|(number, content)| (*number, &content[..]))
    }

    /// The latest instance that was used for any of its writes.
    pub(crate) fn instance(&self) -> u64 {
        self.content.instance
    }

    pub(crate) fn is_of(&self, session: &Session) -> bool {
        self.content.owner.as_ref() == Some(&Owner::of(session))
    }

    /// What waits, in order.
    pub(crate) fn kept(&self) -> Result<Vec<Kept>, Error> {
        let unknown = || refused(&self.path, &"it holds a write that this version does not know");
        self.content.kept().ok_or_else(unknown)
    }

    /// Writes changes, in order, and returns when they are on disk. After a failure it must not be used any more.
    pub(crate) fn save(&mut self, changes: &[Change]) -> io::Result<()> {
        let mut payload = Vec::new();
        for change in changes {
            encode(change, &mut payload);
            self.content.apply(change);
        }
        let frame = framed(&payload)?;
        self.file.write_all(&frame)?;
        self.file.sync_data()?;
        self.bytes += frame.len() as u64;
        if self.bytes > WORTH_WRITING_ANEW && self.content.bytes() < self.bytes / 2 {
            (self.file, self.bytes) = written(&self.path, &self.content)?;
        }
        Ok(())
    }
}

fn checksum(payload: &[u8]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = ContentHash::of(payload).0;
    [a, b, c, d, e, f, g, h]
}

fn framed(payload: &[u8]) -> io::Result<Vec<u8>> {
    let bytes = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut frame = FRAME.to_vec();
    frame.extend(bytes.to_le_bytes());
    frame.extend(checksum(payload));
    frame.extend(payload);
    Ok(frame)
}

/// The payload of the whole frame with which `bytes` begin, and what is behind it.
fn unframed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(FRAME)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let (payload, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    (checksum(payload) == *sum).then_some((payload, rest))
}

/// The lock of the outbox at `place`, which is called `path`.
fn locked(path: &Path, place: &Path) -> Result<File, Error> {
    let failed = |error: io::Error| unusable(path, &error);
    let lock = private(&beside(place, "lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(refused(path, &"another program has it open")),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The place itself, whatever links lead to it; where there is nothing yet, by its directory.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            let name = path.file_name().ok_or(error)?;
            let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            Ok(fs::canonicalize(directory)?.join(name))
        }
        place => place,
    }
}

/// What is in the file; none where there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > MOST_BYTES => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it is no outbox: it is too large"))
        }
        Ok(_) => fs::read(path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a file amounts to, and up to where it is whole.
fn parse(bytes: &[u8]) -> Result<(Content, u64), String> {
    let not_ours = || "it is no outbox".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(not_ours)?;
    let (version, mut rest) = rest.split_first().ok_or_else(not_ours)?;
    if *version != VERSION {
        return Err(format!("it is of version {version}, and this program knows version {VERSION}"));
    }
    let mut content = Content::default();
    while let Some((payload, behind)) = unframed(rest) {
        content.take(payload).ok_or("it holds what this version does not know")?;
        rest = behind;
    }
    // The beginning is renamed into its place when it is whole: it is never torn.
    if content.owner.is_none() {
        return Err("it is damaged at its beginning".to_owned());
    }
    // A frame that a crash tore is the last. With another behind it, the file was damaged later, and writes would be lost unnoticed.
    let heads = rest.windows(FRAME_HEAD).enumerate().skip(1).filter(|(_, head)| head.starts_with(FRAME));
    if heads.into_iter().any(|(at, _)| unframed(&rest[at..]).is_some()) {
        return Err("it is damaged in its middle".to_owned());
    }
    Ok((content, (bytes.len() - rest.len()) as u64))
}

/// Writes a whole file beside its place, and renames it into it.
fn written(path: &Path, content: &Content) -> io::Result<(File, u64)> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    bytes.extend(framed(&content.encoded())?);
    let new = beside(path, "new");
    // A left-over of a program that died.
    drop(fs::remove_file(&new));
    let mut file = private(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    #[cfg(unix)]
    File::open(path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")))?.sync_all()?;
    Ok((file, bytes.len() as u64))
}

/// A file to append to that only its owner can read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{suffix}"));
    path.with_file_name(name)
}

/// The wrong file was named, or the disk fails.
fn unusable(path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound
        | Kind::PermissionDenied
        | Kind::AlreadyExists
        | Kind::IsADirectory
        | Kind::NotADirectory
        | Kind::InvalidFilename
        | Kind::InvalidInput
        | Kind::InvalidData => refused(path, error),
        _ => Error::Local(format!("the outbox {} cannot be used: {error}", path.display())),
    }
}

fn refused(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Usage(format!("the outbox {} cannot be used: {why}", path.display()))
}

#[cfg(test)]
mod tests;
