//! The format of a backup: blocks that are chained by their hashes, and an end that says how much there was.
//!
//! ```text
//! 8 bytes  "3FBACKUP"
//! 4 bytes  the version of the format, big endian
//! blocks, each:
//!   1 byte    its kind: 1 the header, 2 records, 3 the end
//!   4 bytes   the length of its content, big endian
//!   content   protobuf: BackupHeader; SnapshotChunk, as servers send each other their state; BackupEnd
//!   32 bytes  SHA-256 of the 32 bytes at the end of the block before (of the first block: of the first twelve bytes'
//!             SHA-256), its kind, its length and its content
//! ```
//!
//! First comes the header, then blocks of records whose keys ascend over all of them, then the end, and nothing behind it. So a block that is
//! changed, left out, doubled or moved is noticed, and so is a file without its end. The last 32 bytes stand for the whole file.

use std::io::{self, Read, Write};

use bytes::Bytes;
use prost::Message as _;
use threefold_core::{
    backup::Contents,
    content::{ContentHash, Hasher},
    store::StoreError,
};
use threefold_proto::peer;

/// The version that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"3FBACKUP";
const HEADER: u8 = 1;
const RECORDS: u8 = 2;
const END: u8 = 3;
/// The content of a block, at most: no length that is damaged takes more memory. (Servers send half a megabyte at a time, and a record that is
/// larger by itself.)
const BLOCK_BYTES: usize = 16 << 20;
/// Read from the disk, or written to it, at once.
pub const READ_BYTES: usize = 1 << 20;

/// A record: key and value.
pub type Record = (Bytes, Bytes);

/// Why a backup cannot be read: a part of a sentence that begins with its name.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The disk fails, or there is no such file.
    #[error("{0}")]
    Io(io::Error),
    /// It is something else.
    #[error("it is no backup of Threefold")]
    NotABackup,
    /// The format is unknown here.
    #[error("it was written by a newer Threefold: format {0}, this program knows {FORMAT}")]
    Newer(u32),
    /// It ends before its end.
    #[error("it was cut short at byte {0}")]
    Truncated(u64),
    /// It is not what was written.
    #[error("it is damaged: {what} at byte {at}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Where the block begins.
        at: u64,
    },
    /// A record makes no sense here, though it is what was written.
    #[error("it holds what this program cannot read: {0}")]
    Record(#[from] StoreError),
}

/// What a backup is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Header(peer::BackupHeader);

impl Header {
    /// As a server gave it; none where it makes no sense.
    #[must_use]
    pub fn of(header: peer::BackupHeader) -> Option<Self> {
        let is_known = header.snapshot.as_ref().is_some_and(|snapshot| snapshot.version == 1);
        let has_place = header.snapshot.as_ref().is_some_and(|snapshot| snapshot.last_log_id.is_some());
        (is_known && has_place).then_some(Self(header))
    }

    /// The recovery id of the history it belongs to; empty: none.
    #[must_use]
    pub fn recovery_id(&self) -> &[u8] {
        &self.0.recovery_id
    }

    /// The position: term and index.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        let last = self.0.snapshot.as_ref().and_then(|snapshot| snapshot.last_log_id);
        last.map_or((0, 0), |log_id| (log_id.term, log_id.index))
    }

    /// When it was taken.
    #[must_use]
    pub fn taken_at_ms(&self) -> u64 {
        self.0.taken_at_ms
    }

    /// The name of the server that gave it.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.0.server
    }

    /// That server's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// About how many bytes it has.
    #[must_use]
    pub fn about_bytes(&self) -> u64 {
        self.0.about_bytes
    }
}

/// What a whole backup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its records.
    pub contents: Contents,
    /// The file's length.
    pub file_bytes: u64,
    /// The hash that stands for all of it.
    pub hash: ContentHash,
}

/// What both sides keep: how far, and the hash so far.
#[derive(Debug)]
struct Progress {
    at: u64,
    chain: ContentHash,
    contents: Contents,
    last_key: Option<Bytes>,
}

impl Progress {
    fn new(preamble: &[u8]) -> Self {
        let (at, chain) = (preamble.len() as u64, ContentHash::of(preamble));
        Self { at, chain, contents: Contents::default(), last_key: None }
    }

    /// The hash behind one more block.
    fn chained(&self, head: &[u8], content: &[u8]) -> ContentHash {
        let mut hasher = Hasher::default();
        [&self.chain.0, head, content].iter().for_each(|part| hasher.update(part));
        hasher.finish()
    }

    /// Counts records; false: their keys do not ascend.
    fn count(&mut self, records: &[peer::KeyValue]) -> Result<bool, StoreError> {
        for record in records {
            if self.last_key.as_ref().is_some_and(|last| record.key <= *last) {
                return Ok(false);
            }
            self.contents.count(&record.key, &record.value)?;
            self.last_key = Some(record.key.clone());
        }
        Ok(true)
    }

    fn end(&self) -> peer::BackupEnd {
        peer::BackupEnd { records: self.contents.records, bytes: self.contents.bytes }
    }

    fn summary(&self) -> Summary {
        Summary { contents: self.contents, file_bytes: self.at, hash: self.chain }
    }
}

fn preamble(format: u32) -> [u8; 12] {
    let mut preamble = [0; 12];
    preamble[..8].copy_from_slice(MAGIC);
    preamble[8..].copy_from_slice(&format.to_be_bytes());
    preamble
}

/// Writes a backup.
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    progress: Progress,
}

impl<W: Write> Writer<W> {
    /// Begins one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(mut sink: W, header: &Header) -> Result<Self, BackupError> {
        let preamble = preamble(FORMAT);
        sink.write_all(&preamble).map_err(BackupError::Io)?;
        let mut writer = Self { sink, progress: Progress::new(&preamble) };
        writer.block(HEADER, &header.0.encode_to_vec())?;
        Ok(writer)
    }

    /// The next records.
    ///
    /// # Errors
    /// When they cannot be written, make no sense, or do not ascend.
    pub fn records(&mut self, records: Vec<peer::KeyValue>) -> Result<(), BackupError> {
        let at = self.progress.at;
        if !self.progress.count(&records)? {
            return Err(BackupError::Damaged { what: "keys that do not ascend", at });
        }
        let chunk = peer::SnapshotChunk { records, ..peer::SnapshotChunk::default() };
        self.block(RECORDS, &chunk.encode_to_vec())
    }

    /// How many bytes are written.
    pub fn at(&self) -> u64 {
        self.progress.at
    }

    /// Records so far.
    pub fn count(&self) -> u64 {
        self.progress.contents.records
    }

    /// All records are there. What was written is handed over to the disk, and not synced.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<(W, Summary), BackupError> {
        self.block(END, &self.progress.end().encode_to_vec())?;
        self.sink.flush().map_err(BackupError::Io)?;
        Ok((self.sink, self.progress.summary()))
    }

    fn block(&mut self, kind: u8, content: &[u8]) -> Result<(), BackupError> {
        let at = self.progress.at;
        let length = u32::try_from(content.len()).ok().filter(|_| content.len() <= BLOCK_BYTES);
        let length = length.ok_or(BackupError::Damaged { what: "a record that is too large", at })?.to_be_bytes();
        let head = [kind, length[0], length[1], length[2], length[3]];
        let hash = self.progress.chained(&head, content);
        for part in [&head[..], content, &hash.0] {
            self.sink.write_all(part).map_err(BackupError::Io)?;
            self.progress.at += part.len() as u64;
        }
        self.progress.chain = hash;
        Ok(())
    }
}

/// Reads a backup, and believes nothing that is not as it was written.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    header: Header,
    progress: Progress,
    is_at_end: bool,
}

impl<R: Read> Reader<R> {
    /// Begins with the header.
    ///
    /// # Errors
    /// When it is no backup, a newer one, or damaged.
    pub fn begin(mut source: R) -> Result<Self, BackupError> {
        let mut found = [0; 12];
        match source.read_exact(&mut found) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(BackupError::NotABackup),
            Err(error) => return Err(BackupError::Io(error)),
        }
        let [m0, m1, m2, m3, m4, m5, m6, m7, v0, v1, v2, v3] = found;
        if [m0, m1, m2, m3, m4, m5, m6, m7] != *MAGIC {
            return Err(BackupError::NotABackup);
        }
        match u32::from_be_bytes([v0, v1, v2, v3]) {
            FORMAT => {}
            0 => return Err(BackupError::NotABackup),
            newer => return Err(BackupError::Newer(newer)),
        }
        let mut progress = Progress::new(&found);
        let at = progress.at;
        let (kind, content) = block(&mut source, &mut progress)?;
        let header = peer::BackupHeader::decode(content).ok().filter(|_| kind == HEADER).and_then(Header::of);
        let header = header.ok_or(BackupError::Damaged { what: "no header", at })?;
        Ok(Self { source, header, progress, is_at_end: false })
    }

    /// What it is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The same, in the end.
    pub fn into_header(self) -> Header {
        self.header
    }

    /// How many bytes are read.
    pub fn at(&self) -> u64 {
        self.progress.at
    }

    /// The next records; none: that was all, and all of it is as it was written.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or ends too early.
    pub fn next_records(&mut self) -> Result<Option<Vec<Record>>, BackupError> {
        if self.is_at_end {
            return Ok(None);
        }
        let at = self.progress.at;
        let damaged = |what| BackupError::Damaged { what, at };
        let (kind, content) = block(&mut self.source, &mut self.progress)?;
        match kind {
            RECORDS => {
                let chunk = peer::SnapshotChunk::decode(content).map_err(|_| damaged("a block without records"))?;
                if !self.progress.count(&chunk.records)? {
                    return Err(damaged("keys that do not ascend"));
                }
                Ok(Some(chunk.records.into_iter().map(|record| (record.key, record.value)).collect()))
            }
            END => {
                let end = peer::BackupEnd::decode(content).map_err(|_| damaged("a wrong end"))?;
                if end != self.progress.end() {
                    return Err(damaged("an end that counts other records"));
                }
                let at = self.progress.at;
                if self.source.read(&mut [0]).map_err(BackupError::Io)? > 0 {
                    return Err(BackupError::Damaged { what: "something behind the end", at });
                }
                self.is_at_end = true;
                Ok(None)
            }
            _ => Err(damaged("a block of a kind that is not known")),
        }
    }

    /// What there was, up to here.
    pub fn summary(&self) -> Summary {
        self.progress.summary()
    }
}

/// Reads a block whose hash is right.
fn block(source: &mut impl Read, progress: &mut Progress) -> Result<(u8, Bytes), BackupError> {
    let at = progress.at;
    let mut fill = |buffer: &mut [u8]| {
        source.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::Truncated(at),
            _ => BackupError::Io(error),
        })
    };
    let mut head = [0; 5];
    fill(&mut head)?;
    let [kind, length @ ..] = head;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > BLOCK_BYTES {
        return Err(BackupError::Damaged { what: "a block that is too long", at });
    }
    let mut content = vec![0; length];
    fill(&mut content)?;
    let mut hash = [0; 32];
    fill(&mut hash)?;
    let expected = progress.chained(&head, &content);
    if expected.0 != hash {
        return Err(BackupError::Damaged { what: "a block that is not what was written", at });
    }
    progress.chain = expected;
    progress.at += (head.len() + length + hash.len()) as u64;
    Ok((kind, content.into()))
}

#[cfg(test)]
mod tests;
