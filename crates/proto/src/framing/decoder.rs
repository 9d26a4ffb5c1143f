//! Requests out of bytes as they come.

use super::{Framing, LINE_BYTES, Request, binary, json};

/// What a client has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A request.
    Request(Request),
    /// A frame that holds none; the next one may.
    Malformed {
        /// The command, where it can be told.
        cmd: String,
        /// What is wrong, for people.
        words: String,
    },
}

/// The frames are lost: nothing more can be read. The words are for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// Takes bytes in, gives requests out. The caller takes out what there is before it puts more in, so that never more is
/// held than one frame and what came behind it.
#[derive(Debug, Default)]
pub struct Decoder {
    framing: Option<Framing>,
    /// Without memory when empty: most connections are idle.
    bytes: Vec<u8>,
    /// So many of them were taken out.
    taken: usize,
    /// So many were searched for the end of a line.
    searched: usize,
    /// Within a line that is too long.
    is_skipping: bool,
    /// A whole frame was seen: this is no person who typed something else.
    has_begun: bool,
}

impl Decoder {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How the connection speaks; none before its first byte.
    #[must_use]
    pub fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// How many bytes are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.bytes.len()
    }

    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.framing.is_none() {
            self.framing = bytes.first().map(|byte| Framing::of_first_byte(*byte));
        }
        self.compact();
        self.bytes.extend_from_slice(bytes);
    }

    /// The next request, if it is whole.
    ///
    /// # Errors
    /// When the frames are lost.
    pub fn take(&mut self) -> Result<Option<Input>, Broken> {
        match self.framing {
            None => Ok(None),
            Some(Framing::Json) => Ok(self.take_line()),
            Some(Framing::Binary) => self.take_frame(),
        }
    }

    /// What is left at the end of a connection: a last line without its end.
    ///
    /// # Errors
    /// When it ends within a frame.
    pub fn finish(&mut self) -> Result<Option<Input>, Broken> {
        let left = self.bytes.split_off(self.taken);
        self.bytes = Vec::new();
        (self.taken, self.searched) = (0, 0);
        match self.framing {
            Some(Framing::Json) if !self.is_skipping => Ok(json::decode(&left)),
            Some(Framing::Binary) if !left.is_empty() => Err(Broken("the connection ended within a frame".to_owned())),
            Some(Framing::Json | Framing::Binary) | None => Ok(None),
        }
    }

    fn take_line(&mut self) -> Option<Input> {
        loop {
            let from = self.taken.max(self.searched);
            let Some(length) = self.bytes[from..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.bytes.len();
                return self.skip_if_too_long();
            };
            let end = from + length;
            let line = &self.bytes[self.taken..end];
            let too_long = line.len() > LINE_BYTES && !self.is_skipping;
            let found = if self.is_skipping || too_long { None } else { json::decode(line) };
            self.taken = end + 1;
            self.is_skipping = false;
            self.compact();
            if too_long {
                return Some(line_too_long());
            }
            if found.is_some() {
                return found;
            }
        }
    }

    /// Tells once that a line is too long, and passes over it without keeping it.
    fn skip_if_too_long(&mut self) -> Option<Input> {
        let too_long = self.bytes.len() - self.taken > LINE_BYTES;
        let tell = too_long && !self.is_skipping;
        self.is_skipping |= too_long;
        if self.is_skipping {
            self.taken = self.bytes.len();
            self.compact();
        }
        tell.then(line_too_long)
    }

    fn take_frame(&mut self) -> Result<Option<Input>, Broken> {
        let left = &self.bytes[self.taken..];
        match binary::decode(left)? {
            Some((input, taken)) => {
                self.taken += taken;
                self.has_begun = true;
                self.compact();
                Ok(Some(input))
            }
            None if !self.has_begun && is_typed(left) => Err(Broken(
                "this port speaks JSON, one object a line, such as {\"cmd\": \"help\"}; or a binary framing".to_owned(),
            )),
            None => Ok(None),
        }
    }

    /// Gives back the memory of what was taken out.
    fn compact(&mut self) {
        if self.taken == 0 {
            return;
        }
        if self.taken == self.bytes.len() {
            self.bytes = Vec::new();
        } else if self.taken > LINE_BYTES / 2 {
            self.bytes.drain(..self.taken);
        } else {
            return;
        }
        self.searched = self.searched.saturating_sub(self.taken);
        self.taken = 0;
    }
}

/// Whether a first frame is a line of plain text: a length as long as a letter says, which no command has, and an end of
/// line before the frame is whole.
fn is_typed(bytes: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    bytes.first().is_some_and(u8::is_ascii_graphic) && bytes.ends_with(b"\n") && bytes.iter().all(plain)
}

fn line_too_long() -> Input {
    Input::Malformed {
        cmd: String::new(),
        words: format!("a line has at most {LINE_BYTES} bytes: this one is passed over"),
    }
}
