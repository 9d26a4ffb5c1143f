//! A log entry: many commands under one time. Commands are encoded once, at the server that took
//! them, and pass through forwarding, log and replication as the same bytes.
//!
//! Layout: `version u8 | time_ms u64 BE | count u32 BE | (length u32 BE, command)*`. Versions 1 and 2 are laid out alike; the version says by
//! which rule the mentions in texts are read ([`MentionRule`]). What `apply` makes of a command must not change with the program: a log may be applied
//! again by the next one.

use std::convert::Infallible;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::{
    bounds::COMMANDS_PER_ENTRY,
    command::{Command, Operation},
    mention::MentionRule,
};

/// The newest version: the first byte of every entry that this program packs.
pub const ENTRY_VERSION: u8 = version_of(MentionRule::NEWEST);

const fn version_of(mentions: MentionRule) -> u8 {
    match mentions {
        MentionRule::Plain => 1,
        MentionRule::Slanted => 2,
    }
}

const HEADER_BYTES: usize = 13;

/// About what a command or a reply takes without a message's text: its buffer need not grow step by step.
const ENCODED_BYTES: usize = 128;

/// An entry or command that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Written by a newer program.
    #[error("entry version {0} is newer than this program knows ({ENTRY_VERSION})")]
    Version(u8),
    /// Not what its layout says.
    #[error("malformed entry: {0}")]
    Malformed(String),
}

/// Encodes a command.
#[must_use]
pub fn encode_command(command: &Command) -> Bytes {
    let text_bytes = match command {
        Command::Write { operation: Operation::SendMessage { body, .. }, .. }
        | Command::NamedWrite { operation: Operation::SendMessage { body, .. }, .. } => body.len(),
        Command::PutChunk { content, .. } => content.len(),
        _ => 0,
    };
    encode(command, ENCODED_BYTES + text_bytes)
}

/// Decodes a command.
///
/// # Errors
/// When the bytes are not a command this program knows.
pub fn decode_command(bytes: &[u8]) -> Result<Command, DecodeError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let command = decoder.decode().map_err(|error| DecodeError::Malformed(error.to_string()))?;
    if decoder.position() != bytes.len() {
        return Err(DecodeError::Malformed("bytes after the command".to_owned()));
    }
    Ok(command)
}

/// Encodes a reply, for its way back from the leader.
#[must_use]
pub fn encode_reply(reply: &crate::reply::Reply) -> Bytes {
    encode(reply, ENCODED_BYTES)
}

/// Decodes a reply.
///
/// # Errors
/// When the bytes are not a reply this program knows.
pub fn decode_reply(bytes: &[u8]) -> Result<crate::reply::Reply, DecodeError> {
    minicbor::decode(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))
}

fn encode<T: minicbor::Encode<()>>(value: &T, about_bytes: usize) -> Bytes {
    let mut buffer = Vec::with_capacity(about_bytes);
    encode_into(value, &mut buffer);
    Bytes::from(buffer)
}

/// Encodes to what cannot fail: memory, or a hash.
pub(crate) fn encode_into<T, W>(value: &T, to: &mut W)
where
    T: minicbor::Encode<()>,
    W: minicbor::encode::Write<Error = Infallible>,
{
    let written: Result<(), minicbor::encode::Error<Infallible>> = minicbor::encode(value, to);
    if let Err(error) = written {
        unreachable!("encoding to memory: {error}");
    }
}

/// Packs encoded commands into one entry, under the newest rules.
#[must_use]
pub fn pack<'a>(time_ms: u64, commands: impl ExactSizeIterator<Item = &'a Bytes> + Clone) -> Bytes {
    pack_under(MentionRule::NEWEST, time_ms, commands)
}

/// The same under a rule that may be an older one.
#[must_use]
pub fn pack_under<'a>(
    mentions: MentionRule,
    time_ms: u64,
    commands: impl ExactSizeIterator<Item = &'a Bytes> + Clone,
) -> Bytes {
    let bytes = commands.clone().map(|command| 4 + command.len()).sum::<usize>();
    let mut buffer = BytesMut::with_capacity(HEADER_BYTES + bytes);
    buffer.put_u8(version_of(mentions));
    buffer.put_u64(time_ms);
    buffer.put_u32(commands.len() as u32);
    for command in commands {
        buffer.put_u32(command.len() as u32);
        buffer.put_slice(command);
    }
    buffer.freeze()
}

/// An entry taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The leader's clock when it was proposed.
    pub time_ms: u64,
    /// In order.
    pub commands: Vec<Command>,
    /// How mentions in their texts are read.
    pub mentions: MentionRule,
}

impl Unpacked {
    /// As it comes out of what this program packs.
    #[must_use]
    pub fn new(time_ms: u64, commands: Vec<Command>) -> Self {
        Self { time_ms, commands, mentions: MentionRule::NEWEST }
    }
}

/// Takes an entry apart.
///
/// # Errors
/// When the bytes are not an entry this program knows, whole and exactly.
pub fn unpack(entry: &[u8]) -> Result<Unpacked, DecodeError> {
    let malformed = |what: &str| DecodeError::Malformed(what.to_owned());
    let (&version, rest) = entry.split_first().ok_or_else(|| malformed("empty"))?;
    let mentions = [MentionRule::Plain, MentionRule::Slanted].into_iter().find(|rule| version_of(*rule) == version);
    let mentions = mentions.ok_or(DecodeError::Version(version))?;
    let (time_ms, rest) = rest.split_first_chunk::<8>().ok_or_else(|| malformed("no time"))?;
    let (count, mut rest) = rest.split_first_chunk::<4>().ok_or_else(|| malformed("no count"))?;
    let count = u32::from_be_bytes(*count) as usize;
    if count > rest.len() / 4 {
        return Err(malformed("fewer commands than counted"));
    }
    if count > COMMANDS_PER_ENTRY {
        return Err(malformed("more commands than an entry may hold"));
    }
    let mut commands = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(|| malformed("no length"))?;
        let (command, tail) = tail
            .split_at_checked(u32::from_be_bytes(*length) as usize)
            .ok_or_else(|| malformed("truncated command"))?;
        commands.push(decode_command(command)?);
        rest = tail;
    }
    if !rest.is_empty() {
        return Err(malformed("bytes after the last command"));
    }
    Ok(Unpacked { time_ms: u64::from_be_bytes(*time_ms), commands, mentions })
}
