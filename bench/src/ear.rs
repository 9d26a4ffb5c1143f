//! One connection that listens, over whichever protocol: what `idle` holds very many of, and `fanout` counts the deliveries to.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, BytesMut};
use clap::ValueEnum;
use futures::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use crate::{
    device::{Account, Device, Heard, PASSWORD},
    grpc::Connection,
};

/// What a read makes room for: a frame or two.
const READ_BYTES: usize = 1024;

/// How listeners are connected.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// A stream of gRPC on a connection of its own.
    #[default]
    Grpc,
    /// JSON over WebSocket.
    #[value(name = "websocket")]
    WebSocket,
    /// The chat TCP port, binary framing. Each log-in costs the servers a password hash.
    Tcp,
}

impl Over {
    /// Connections opened at once. A server lets few password hashes wait.
    pub fn at_once(self) -> usize {
        match self {
            Self::Grpc | Self::WebSocket => 16,
            Self::Tcp => 4,
        }
    }

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "gRPC",
            Self::WebSocket => "WebSocket",
            Self::Tcp => "TCP",
        }
    }
}

/// Where a server listens.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Address {
    /// For gRPC and WebSocket.
    pub client: String,
    /// The chat TCP port; empty where there is none.
    pub chat: String,
}

/// A connection that is logged in and hears what is new.
pub enum Ear {
    /// See [`Over::Grpc`].
    Grpc(Box<Device>),
    /// See [`Over::WebSocket`].
    WebSocket(Box<WebSocketStream<TcpStream>>),
    /// See [`Over::Tcp`].
    Tcp(TcpStream, BytesMut),
}

impl Ear {
    /// Connects, from this machine's address `source` if that matters, and hears what happens after the position `after`. (The
    /// chat TCP port knows no positions: there it is what the account has not had.)
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(
        over: Over,
        at: &Address,
        source: Option<IpAddr>,
        account: &Account,
        after: u64,
    ) -> anyhow::Result<Self> {
        match over {
            Over::Grpc => {
                let connection = Connection::open_from(&at.client, source).await?;
                let mut device = Device::open(&connection, account, account.instance).await?;
                device.subscribe(after).await?;
                Ok(Self::Grpc(Box::new(device)))
            }
            Over::WebSocket => open_websocket(&at.client, source, account, after).await,
            Over::Tcp => {
                ensure!(!at.chat.is_empty(), "the server at {} has no chat TCP port", at.client);
                open_tcp(&at.chat, source, account).await
            }
        }
    }

    /// The text of the next message. May be dropped while it waits.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn message(&mut self) -> anyhow::Result<String> {
        match self {
            Self::Grpc(device) => loop {
                if let Heard::Message(message) = device.hear().await? {
                    return Ok(message.body);
                }
            },
            Self::WebSocket(socket) => loop {
                let frame = text(socket).await?;
                if let Some(Event { body: Body { message: Some(message) } }) = understand(&frame)?.event {
                    return Ok(message.body.into_owned());
                }
            },
            Self::Tcp(socket, buffer) => loop {
                let (cmd, body) = framed(socket, buffer).await?;
                if cmd == "message" {
                    return Ok(body);
                }
            },
        }
    }
}

async fn dial(address: &str, source: Option<IpAddr>) -> anyhow::Result<TcpStream> {
    let socket = match source {
        None => TcpStream::connect(address).await?,
        Some(source) => {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(source, 0))?;
            socket.connect(address.parse()?).await?
        }
    };
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn open_websocket(address: &str, source: Option<IpAddr>, account: &Account, after: u64) -> anyhow::Result<Ear> {
    // The library's own buffer has 128 KiB, which for ten thousand listeners would be a gigabyte of this process.
    let small = WebSocketConfig::default().read_buffer_size(2 * READ_BYTES);
    let socket = dial(address, source).await?;
    let (mut socket, _) = client_async_with_config(format!("ws://{address}/ws"), socket, Some(small)).await?;
    let token = account.token.to_str()?.trim_start_matches("Bearer ");
    let resume = serde_json::json!({ "id": 1, "call": "resume", "with": { "token": token } });
    socket.feed(Message::text(resume.to_string())).await?;
    let subscribe = serde_json::json!({ "subscribe": { "after": after } });
    socket.send(Message::text(subscribe.to_string())).await?;
    loop {
        let frame = text(&mut socket).await?;
        let said = understand(&frame)?;
        if said.error.is_some() {
            bail!("refused: {frame}");
        }
        if said.subscribed.is_some() {
            return Ok(Ear::WebSocket(Box::new(socket)));
        }
    }
}

/// What is looked at of a frame.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    event: Option<Event<'a>>,
    subscribed: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    body: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    message: Option<Sent<'a>>,
}

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    body: Cow<'a, str>,
}

fn understand(frame: &str) -> anyhow::Result<Said<'_>> {
    serde_json::from_str(frame).with_context(|| format!("not understood: {frame}"))
}

async fn text(socket: &mut WebSocketStream<TcpStream>) -> anyhow::Result<String> {
    loop {
        match socket.next().await.context("the server ended the connection")?? {
            Message::Text(text) => return Ok(text.as_str().to_owned()),
            Message::Close(close) => bail!("the server closed the connection: {close:?}"),
            _ => {}
        }
    }
}

async fn open_tcp(address: &str, source: Option<IpAddr>, account: &Account) -> anyhow::Result<Ear> {
    let mut socket = dial(address, source).await?;
    socket.write_all(&frame("login", &account.name, PASSWORD)).await?;
    let mut buffer = BytesMut::new();
    let (cmd, body) = framed(&mut socket, &mut buffer).await?;
    ensure!(cmd == "login", "refused: {cmd}: {body}");
    Ok(Ear::Tcp(socket, buffer))
}

fn frame(cmd: &str, src: &str, body: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    for short in [cmd, src, ""] {
        // Both are this program's own, and short.
        frame.push(short.len() as u8);
        frame.extend_from_slice(short.as_bytes());
    }
    frame.extend_from_slice(&(body.len() as u16).to_be_bytes());
    frame.extend_from_slice(body.as_bytes());
    frame.push(0);
    frame
}

/// The next frame's command and body.
async fn framed(socket: &mut TcpStream, buffer: &mut BytesMut) -> anyhow::Result<(String, String)> {
    loop {
        if let Some((cmd, body, error, taken)) = split(buffer) {
            let said = (String::from_utf8(cmd.to_vec())?, String::from_utf8(body.to_vec())?);
            buffer.advance(taken);
            ensure!(!error, "refused: {}: {}", said.0, said.1);
            return Ok(said);
        }
        buffer.reserve(READ_BYTES);
        ensure!(socket.read_buf(buffer).await? > 0, "the server ended the connection");
    }
}

/// Command, body, whether it refuses, and the length of the frame at the beginning, once it is whole.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], bool, usize)> {
    let mut rest = bytes;
    let mut short = || {
        let (&length, tail) = rest.split_first()?;
        let (field, tail) = tail.split_at_checked(usize::from(length))?;
        rest = tail;
        Some(field)
    };
    let (cmd, _, _) = (short()?, short()?, short()?);
    let (length, tail) = rest.split_first_chunk::<2>()?;
    let (body, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (&error, tail) = tail.split_first()?;
    Some((cmd, body, error != 0, bytes.len() - tail.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_apart_once_it_is_whole() {
        let whole = frame("message", "ann", "hello");
        for cut in 0..whole.len() {
            assert!(split(&whole[..cut]).is_none());
        }
        let two = [whole.clone(), whole.clone()].concat();
        assert_eq!(split(&two), Some((b"message".as_slice(), b"hello".as_slice(), false, whole.len())));
    }

    #[test]
    fn a_message_is_found_in_what_is_said() {
        let said =
            understand(r#"{"event": {"id": 7, "body": {"message": {"body": "a \"b\"", "number": 1}}}}"#).unwrap();
        assert_eq!(said.event.unwrap().body.message.unwrap().body, "a \"b\"");
        assert!(
            understand(r#"{"event": {"id": 7, "body": {"read": {}}}}"#).unwrap().event.unwrap().body.message.is_none()
        );
        assert!(understand(r#"{"subscribed": {"position": 7}}"#).unwrap().subscribed.is_some());
    }
}
