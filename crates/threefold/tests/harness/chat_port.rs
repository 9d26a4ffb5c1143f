//! Somebody at the chat TCP port, with JSON lines or with the binary framing.

use std::{
    io::{BufRead as _, BufReader, Read as _, Result, Write as _},
    net::TcpStream,
};

use serde_json::{Value, json};

use super::{PATIENCE, person::PASSWORD, until};

fn connect(address: &str) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// Somebody who speaks JSON lines.
#[derive(Debug)]
pub struct Lines {
    stream: BufReader<TcpStream>,
}

impl Lines {
    pub fn connect(address: &str) -> Result<Self> {
        Ok(Self { stream: connect(address)? })
    }

    /// Logged in; tried again while the servers are at it.
    pub fn user(address: &str, cmd: &str, name: &str) -> Self {
        until("a log-in", || Self::try_user(address, cmd, name))
    }

    /// Logged in, if there is a server at this address that can do it now.
    pub fn try_user(address: &str, cmd: &str, name: &str) -> Option<Self> {
        let mut lines = Self::connect(address).ok()?;
        lines.say(&json!({ "cmd": cmd, "src": name, "body": PASSWORD })).ok()?;
        let reply = lines.hear()?;
        assert!(reply["error"] == false || reply["code"] == "UNAVAILABLE", "{reply}");
        (reply["error"] == false).then_some(lines)
    }

    pub fn say(&mut self, request: &Value) -> Result<()> {
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes())
    }

    /// The next line; none where the connection has ended.
    pub fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    pub fn ask(&mut self, request: &Value) -> Value {
        self.say(request).unwrap();
        self.hear().unwrap()
    }

    /// The bodies of the messages that come before the answer to a question.
    pub fn messages(&mut self) -> Vec<String> {
        self.say(&json!({ "cmd": "help" })).unwrap();
        let mut bodies = Vec::new();
        loop {
            let line = self.hear().unwrap();
            match line["cmd"].as_str().unwrap() {
                "message" => bodies.push(line["body"].as_str().unwrap().to_owned()),
                _ => return bodies,
            }
        }
    }
}

/// What a frame of the binary framing says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub cmd: String,
    pub src: String,
    pub to: String,
    pub body: String,
    pub error: bool,
}

impl Frame {
    pub fn new(cmd: &str, src: &str, to: &str, body: &str) -> Self {
        Self { cmd: cmd.to_owned(), src: src.to_owned(), to: to.to_owned(), body: body.to_owned(), error: false }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in [&self.cmd, &self.src, &self.to] {
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(u16::try_from(self.body.len()).unwrap().to_be_bytes());
        bytes.extend(self.body.as_bytes());
        bytes.push(u8::from(self.error));
        bytes
    }
}

/// Somebody who speaks the binary framing.
#[derive(Debug)]
pub struct Frames {
    stream: BufReader<TcpStream>,
}

impl Frames {
    pub fn connect(address: &str) -> Result<Self> {
        Ok(Self { stream: connect(address)? })
    }

    /// Logged in, if there is a server at this address that can do it now.
    pub fn try_user(address: &str, cmd: &str, name: &str) -> Option<Self> {
        let mut frames = Self::connect(address).ok()?;
        frames.say(&Frame::new(cmd, name, "", PASSWORD)).ok()?;
        frames.hear().filter(|reply| !reply.error).map(|_| frames)
    }

    pub fn say(&mut self, frame: &Frame) -> Result<()> {
        self.stream.get_mut().write_all(&frame.to_bytes())
    }

    /// The next frame; none where the connection has ended.
    pub fn hear(&mut self) -> Option<Frame> {
        let (cmd, src, to) = (self.text(1)?, self.text(1)?, self.text(1)?);
        let body = self.text(2)?;
        let error = self.bytes(1)?[0];
        assert!(error <= 1, "out of step: {error} behind {cmd:?} {src:?} {to:?} {body:?}");
        Some(Frame { cmd, src, to, body, error: error == 1 })
    }

    pub fn ask(&mut self, cmd: &str, to: &str, body: &str) -> Frame {
        self.say(&Frame::new(cmd, "", to, body)).unwrap();
        self.hear().unwrap()
    }

    fn text(&mut self, length_bytes: usize) -> Option<String> {
        let length = self.bytes(length_bytes)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        Some(String::from_utf8(self.bytes(length)?).unwrap())
    }

    fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).ok().map(|()| bytes)
    }
}
