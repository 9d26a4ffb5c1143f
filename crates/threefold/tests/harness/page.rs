//! Somebody with a WebSocket client, as a page would be.

use std::net::TcpStream;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client::client, protocol::CloseFrame};

use super::{PATIENCE, person::PASSWORD};

/// One connection.
pub struct Page {
    socket: WebSocket<TcpStream>,
    calls: u64,
    /// What was heard while an answer was waited for.
    heard: Vec<Value>,
}

impl Page {
    /// Opens one.
    pub fn open(address: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let (socket, _) = client(format!("ws://{address}/ws"), stream)
            .map_err(|error| Error::Io(std::io::Error::other(error.to_string())))?;
        Ok(Self { socket, calls: 0, heard: Vec::new() })
    }

    /// Registers somebody, and gives the token and what was answered.
    pub fn register(&mut self, name: &str) -> (String, Value) {
        let token: String = (0..64).map(|_| char::from_digit(rand::random_range(0..16), 16).unwrap()).collect();
        let with = json!({"name": name, "password": PASSWORD, "token": token, "device": "page"});
        (token, self.call("register", with).unwrap().unwrap())
    }

    /// Says something.
    pub fn say(&mut self, frame: &Value) -> Result<(), Error> {
        self.socket.send(Message::text(frame.to_string()))
    }

    /// Waits for the next frame. An end is an error.
    pub fn hear(&mut self) -> Result<Value, Error> {
        if !self.heard.is_empty() {
            return Ok(self.heard.remove(0));
        }
        self.read()
    }

    fn read(&mut self) -> Result<Value, Error> {
        loop {
            match self.socket.read()? {
                Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return Err(Error::ConnectionClosed),
                _ => {}
            }
        }
    }

    /// Waits for the close frame.
    pub fn ended(&mut self) -> CloseFrame {
        loop {
            if let Message::Close(Some(frame)) = self.socket.read().unwrap() {
                return frame;
            }
        }
    }

    /// Calls, and waits for the answer: the reply, or the error.
    pub fn call(&mut self, name: &str, with: Value) -> Result<Result<Value, Value>, Error> {
        self.calls += 1;
        self.say(&json!({"id": self.calls, "call": name, "with": with}))?;
        loop {
            let mut frame = self.read()?;
            if frame["id"] != self.calls {
                self.heard.push(frame);
            } else if frame["error"].is_object() {
                return Ok(Err(frame["error"].take()));
            } else {
                return Ok(Ok(frame["reply"].take()));
            }
        }
    }
}
