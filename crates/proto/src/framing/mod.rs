//! The two framings of the chat TCP port, as pure codecs: bytes in, requests out; replies in, bytes out.
//!
//! *JSON lines*: one object a line, with the fields `cmd`, `src`, `to`, `body` and `error`, of which a request may leave
//! out all but `cmd`. *Binary*: the same five fields, each text behind its length (see [`binary`]). The first byte of a
//! connection tells which one it speaks: `{` or white space is JSON, anything else binary. That is not ambiguous, for
//! no command has a name as long as one of these bytes says (123, 32, 13, 10 or 9).
//!
//! They promise: whatever the bytes are, and however they are cut, nothing panics and at most one request is held,
//! within [`LINE_BYTES`]; what is malformed within its frame is told and the next frame is read; where the frames
//! themselves are lost, that is told and nothing more is read. Left out: what commands mean.

pub mod binary;
mod decoder;
pub mod json;
mod reply;
#[cfg(test)]
mod tests;

pub use decoder::{Broken, Decoder, Input};
pub use reply::{Conversation, Details, LISTED_BYTES, Message, Reply, Server, listed};

/// A line's greatest length without its end: a message of 16 KiB, three times as long where a library writes what is not
/// ASCII as `\u00e9`, and the other fields.
pub const LINE_BYTES: usize = 64 * 1024;

/// How a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One JSON object a line.
    Json,
    /// Fields behind their lengths.
    Binary,
}

impl Framing {
    /// The framing of a connection that begins with this byte.
    #[must_use]
    pub fn of_first_byte(byte: u8) -> Self {
        match byte {
            b'{' | b' ' | b'\t' | b'\r' | b'\n' => Self::Json,
            _ => Self::Binary,
        }
    }

    /// Adds a reply to what is to be sent.
    pub fn encode(self, reply: &Reply, to: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode(reply, to),
            Self::Binary => binary::encode(reply, to),
        }
    }
}

/// What a client asks, with the fields as it wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The command.
    pub cmd: String,
    /// Who asks: needed only where nobody is logged in yet.
    pub src: String,
    /// A user or a room.
    pub to: String,
    /// What belongs to the command: a password, a text, a number.
    pub body: String,
    /// The client's own name for the request, by which a retry is recognised. JSON only.
    pub request: Option<String>,
}
