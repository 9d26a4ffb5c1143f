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

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use prost::Message as _;
use threefold_core::content::ContentHash;
use threefold_proto::chat::{RequestId, Write};

use super::{
    Fingerprint,
    fingerprint::encoded,
    outbox::{Change, Kept},
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

/// Persisted: never reused for something else.
mod kind {
    pub(super) const SESSION: u8 = 1;
    pub(super) const ACCEPTED: u8 = 2;
    pub(super) const NAMED: u8 = 3;
    pub(super) const UNNAMED: u8 = 4;
    pub(super) const REMOVED: u8 = 5;
    pub(super) const FINGERPRINT: u8 = 6;
}

/// Whose outbox it is. Not the token itself, which is a secret; its hash, because two clusters may give out the same numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    account: u64,
    session: u64,
    token: [u8; 32],
}

impl Owner {
    fn of(session: &Session) -> Self {
        Self { account: session.account, session: session.session, token: ContentHash::of(session.token.as_bytes()).0 }
    }
}

/// A write that was not answered.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    request: Option<RequestId>,
    /// A `Write` with nothing but its operation.
    write: Vec<u8>,
}

/// What a file amounts to.
#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    owner: Option<Owner>,
    /// Writes accepted so far, in all runs: the key of the last one.
    accepted: u64,
    /// The latest instance that gave a name to one of them.
    instance: u64,
    waiting: BTreeMap<u64, Stored>,
    /// Of all writes accepted so far; none where an earlier version did not write it down.
    fingerprint: Option<Fingerprint>,
}

/// A file in which a [`crate::Writer`] keeps its writes until they are answered, so that they outlive the program.
///
/// It belongs to one session and, while it is open, to one process. It holds what was written, so only its owner can read it, as it is with
/// the session. When the session is over, what waits can never be sent. [`DiskOutbox::open`] says then how much was taken and how much of that is not known to be
/// acknowledged: go on behind it with another file, and look what has become of the last ones.
#[derive(Debug)]
pub struct DiskOutbox {
    path: PathBuf,
    file: File,
    bytes: u64,
    content: Content,
    /// Held while this is there.
    _lock: File,
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
        let lock = private(&beside(&place, "lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(refused(path, &"another program has it open")),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
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

    /// How many of them are not answered yet, as far as it knows, or came to nothing without anybody having been told: they go out first.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.content.waiting.len()
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
        let kept = |(key, stored): (&u64, &Stored)| {
            let operation = Write::decode(&*stored.write).ok().and_then(|write| write.operation);
            operation.map(|operation| Kept { key: *key, request: stored.request, operation })
        };
        let all: Option<Vec<Kept>> = self.content.waiting.iter().map(kept).collect();
        all.ok_or_else(|| refused(&self.path, &"it holds a write that this version does not know"))
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

impl Content {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Accepted { key, operation } => self.accept(*key, encoded(operation)),
            Change::Named { key, request } => {
                self.instance = self.instance.max(request.instance);
                if let Some(stored) = self.waiting.get_mut(key) {
                    stored.request = Some(*request);
                }
            }
            Change::Unnamed { key } => {
                if let Some(stored) = self.waiting.get_mut(key) {
                    stored.request = None;
                }
            }
            Change::Removed { key } => drop(self.waiting.remove(key)),
        }
    }

    fn accept(&mut self, key: u64, write: Vec<u8>) {
        self.accepted = self.accepted.max(key);
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.add(&write);
        }
        self.waiting.insert(key, Stored { request: None, write });
    }

    /// Why another session cannot go on with it, and where it could without it.
    fn of_another(&self) -> String {
        let (accepted, waiting) = (self.accepted, self.waiting.len());
        format!(
            "it is of another session, which alone can send what waits there. {accepted} writes were taken, {waiting} of them not acknowledged as far as it \
             knows: go on behind them with another file"
        )
    }

    /// About as many as it takes to write it anew.
    fn bytes(&self) -> u64 {
        self.waiting.values().map(|stored| 64 + stored.write.len() as u64).sum()
    }

    /// All of it, as changes.
    fn encoded(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        if let Some(owner) = &self.owner {
            payload.push(kind::SESSION);
            for number in [owner.account, owner.session, self.accepted, self.instance] {
                payload.extend(number.to_le_bytes());
            }
            payload.extend(owner.token);
        }
        for (key, stored) in &self.waiting {
            put_accepted(*key, &stored.write, &mut payload);
            if let Some(request) = stored.request {
                encode(&Change::Named { key: *key, request }, &mut payload);
            }
        }
        // It is of those before it, too.
        if let Some(fingerprint) = &self.fingerprint {
            payload.push(kind::FINGERPRINT);
            payload.extend(fingerprint.bytes());
        }
        payload
    }

    /// Takes in the changes of one frame; none if they make no sense.
    fn take(&mut self, mut payload: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = payload.split_first() {
            payload = rest;
            match *kind {
                kind::SESSION => {
                    let (account, session) = (number(&mut payload)?, number(&mut payload)?);
                    self.accepted = number(&mut payload)?;
                    self.instance = number(&mut payload)?;
                    let (token, rest) = payload.split_first_chunk::<32>()?;
                    payload = rest;
                    self.owner = Some(Owner { account, session, token: *token });
                    self.fingerprint = (self.accepted == 0).then(Fingerprint::new);
                }
                kind::ACCEPTED => {
                    let (key, bytes) = (number(&mut payload)?, usize::try_from(number(&mut payload)?).ok()?);
                    let (write, rest) = payload.split_at_checked(bytes)?;
                    payload = rest;
                    self.accept(key, write.to_vec());
                }
                kind::NAMED => {
                    let (key, instance, number) = (number(&mut payload)?, number(&mut payload)?, number(&mut payload)?);
                    self.apply(&Change::Named { key, request: RequestId { instance, number } });
                }
                kind::UNNAMED => self.apply(&Change::Unnamed { key: number(&mut payload)? }),
                kind::REMOVED => self.apply(&Change::Removed { key: number(&mut payload)? }),
                kind::FINGERPRINT => {
                    let (bytes, rest) = payload.split_first_chunk::<32>()?;
                    payload = rest;
                    self.fingerprint = Some(Fingerprint::of_bytes(*bytes));
                }
                _ => return None,
            }
        }
        Some(())
    }
}

fn encode(change: &Change, payload: &mut Vec<u8>) {
    let mut put = |kind: u8, numbers: &[u64]| {
        payload.push(kind);
        numbers.iter().for_each(|number| payload.extend(number.to_le_bytes()));
    };
    match change {
        Change::Accepted { key, operation } => put_accepted(*key, &encoded(operation), payload),
        Change::Named { key, request } => put(kind::NAMED, &[*key, request.instance, request.number]),
        Change::Unnamed { key } => put(kind::UNNAMED, &[*key]),
        Change::Removed { key } => put(kind::REMOVED, &[*key]),
    }
}

fn put_accepted(key: u64, write: &[u8], payload: &mut Vec<u8>) {
    payload.push(kind::ACCEPTED);
    payload.extend(key.to_le_bytes());
    payload.extend((write.len() as u64).to_le_bytes());
    payload.extend(write);
}

/// The next number of a payload.
fn number(payload: &mut &[u8]) -> Option<u64> {
    let (number, rest) = payload.split_first_chunk::<8>()?;
    *payload = rest;
    Some(u64::from_le_bytes(*number))
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
