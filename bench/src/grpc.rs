//! gRPC with as little as possible between the generator and the socket.
//!
//! The generator shares the machine with the servers it measures, so what it costs is taken from them. A call here is
//! an HTTP/2 stream and nothing else: no channel, no middleware, no task of its own. Left out: compression,
//! deadlines, TLS, and everything a product needs of a client; that is `threefold-client`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::{RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, HeaderValue, Request, header};
use prost::Message;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// How long a connection may take to open.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may take.
const CALL_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes before a message: a flag and the length (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;
/// What a server may send on one stream before it is read: more than a burst.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What it may send on all streams of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// The longest message taken: what the servers' own limits let through, and some more.
const MESSAGE_BYTES: usize = 8 << 20;

/// A call that the server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The gRPC status code; 14 is "unavailable".
    pub code: u32,
    /// The server's words.
    pub message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused with status {}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refused {}

/// An HTTP/2 connection to one server. Clones share it.
#[derive(Clone)]
pub struct Connection {
    requests: SendRequest<Bytes>,
    authority: String,
}

impl Connection {
    /// Connects to `address` (HOST:PORT).
    ///
    /// # Errors
    /// When nobody answers within five seconds.
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        Self::open_from(address, None).await
    }

    /// Connects, with a source address of this machine's choice: one source has too few ports for very many connections.
    ///
    /// # Errors
    /// When nobody answers within five seconds, or the source cannot be used.
    pub async fn open_from(address: &str, source: Option<IpAddr>) -> anyhow::Result<Self> {
        let opening = async {
            let socket = match source {
                None => TcpStream::connect(address).await?,
                Some(source) => {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind(SocketAddr::new(source, 0))?;
                    socket.connect(address.parse()?).await?
                }
            };
            socket.set_nodelay(true)?;
            let (requests, connection) = h2::client::Builder::new()
                .initial_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .enable_push(false)
                .handshake(socket)
                .await?;
            // Its end shows on its streams.
            tokio::spawn(async move { drop(connection.await) });
            anyhow::Ok(Self { requests, authority: address.to_owned() })
        };
        let opened = timeout(CONNECT_PATIENCE, opening).await.map_err(|_| anyhow!("no answer"));
        opened.flatten().with_context(|| format!("cannot connect to {address}"))
    }

    /// Opens a stream in both directions. `path` is "/package.Service/Method".
    ///
    /// # Errors
    /// When the connection is lost or the server refuses at once.
    pub async fn stream(&self, path: &str, token: Option<&HeaderValue>) -> anyhow::Result<(Outgoing, Incoming)> {
        let mut requests = self.requests.clone().ready().await?;
        let (answer, body) = requests.send_request(self.request(path, token)?, false)?;
        Ok((Outgoing { body }, Incoming { state: State::Waiting(answer), buffer: BytesMut::new() }))
    }

    /// One question and its answer.
    ///
    /// # Errors
    /// [`Refused`] when the server says no; anything else when the connection is lost, or no answer comes in half a minute.
    pub async fn call<Q: Message, A: Message + Default>(
        &self,
        path: &str,
        token: Option<&HeaderValue>,
        question: &Q,
    ) -> anyhow::Result<A> {
        let calling = async {
            let (mut outgoing, mut incoming) = self.stream(path, token).await?;
            let mut buffer = BytesMut::new();
            encode(question, &mut buffer)?;
            outgoing.body.send_data(buffer.freeze(), true)?;
            let answer = incoming.next().await?.context("an answer without a message")?;
            // The status comes behind the message.
            while incoming.next::<A>().await?.is_some() {}
            Ok(answer)
        };
        timeout(CALL_PATIENCE, calling).await.with_context(|| format!("no answer to {path}"))?
    }

    fn request(&self, path: &str, token: Option<&HeaderValue>) -> anyhow::Result<Request<()>> {
        let mut request = Request::post(format!("http://{}{path}", self.authority))
            .version(http::Version::HTTP_2)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        Ok(request.body(())?)
    }
}

/// Appends a message with its prefix.
///
/// # Errors
/// When it is longer than four bytes can say.
pub fn encode(message: &impl Message, buffer: &mut BytesMut) -> anyhow::Result<()> {
    let length = message.encoded_len();
    buffer.reserve(PREFIX_BYTES + length);
    buffer.put_u8(0);
    buffer.put_u32(u32::try_from(length)?);
    message.encode(buffer)?;
    Ok(())
}

/// Takes one message off the front, if it is there as a whole.
fn decode<A: Message + Default>(buffer: &mut BytesMut) -> anyhow::Result<Option<A>> {
    if buffer.len() < PREFIX_BYTES {
        return Ok(None);
    }
    let length = u32::from_be_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]) as usize;
    if buffer[0] != 0 || length > MESSAGE_BYTES {
        bail!("a compressed or oversized message ({length} bytes)");
    }
    if buffer.len() < PREFIX_BYTES + length {
        return Ok(None);
    }
    buffer.advance(PREFIX_BYTES);
    Ok(Some(A::decode(buffer.split_to(length))?))
}

/// What this side sends on a stream.
pub struct Outgoing {
    body: SendStream<Bytes>,
}

impl Outgoing {
    /// Sends encoded messages (see [`encode`]), however many. Buffers what the server does not take yet.
    ///
    /// # Errors
    /// When the stream is over.
    pub fn send(&mut self, messages: Bytes) -> anyhow::Result<()> {
        Ok(self.body.send_data(messages, false)?)
    }
}

/// What the server sends on a stream.
pub struct Incoming {
    state: State,
    buffer: BytesMut,
}

enum State {
    Waiting(h2::client::ResponseFuture),
    Open(RecvStream),
}

impl Incoming {
    /// The next message; none at a good end. May be dropped while it waits.
    ///
    /// # Errors
    /// [`Refused`] when the server ends the stream with a status; anything else when the connection is lost.
    pub async fn next<A: Message + Default>(&mut self) -> anyhow::Result<Option<A>> {
        loop {
            if let Some(message) = self.next_buffered()? {
                return Ok(Some(message));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// The next message of what has been read already.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn next_buffered<A: Message + Default>(&mut self) -> anyhow::Result<Option<A>> {
        decode(&mut self.buffer)
    }

    /// Reads some more; false at the end. May be dropped while it waits.
    async fn read(&mut self) -> anyhow::Result<bool> {
        if let State::Waiting(answer) = &mut self.state {
            let answer = answer.await?;
            // A refusal may come as headers alone.
            if let Some(refused) = refusal(answer.headers()) {
                return Err(refused.into());
            }
            if !answer.status().is_success() {
                bail!("HTTP status {}", answer.status());
            }
            self.state = State::Open(answer.into_body());
        }
        let State::Open(body) = &mut self.state else { return Ok(false) };
        if let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            self.buffer.extend_from_slice(&data);
            return Ok(true);
        }
        match body.trailers().await?.as_ref().and_then(refusal) {
            Some(refused) => Err(refused.into()),
            None => Ok(false),
        }
    }
}

/// The status in headers or trailers, if there is one and it is not "ok".
fn refusal(headers: &HeaderMap) -> Option<Refused> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?.parse().unwrap_or(2);
    let message = text("grpc-message").unwrap_or_default().replace("%20", " ");
    (code != 0).then_some(Refused { code, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use threefold_proto::chat::Ping;

    #[test]
    fn messages_are_taken_off_one_by_one_and_only_as_a_whole() {
        let mut buffer = BytesMut::new();
        encode(&Ping { number: 7 }, &mut buffer).unwrap();
        encode(&Ping { number: 300 }, &mut buffer).unwrap();
        let whole = buffer.clone().freeze();
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            let mut numbers = Vec::new();
            while let Some(Ping { number }) = decode(&mut part).unwrap() {
                numbers.push(number);
            }
            assert_eq!(numbers, if cut < PREFIX_BYTES + 2 { vec![] } else { vec![7] });
        }
        let mut both = BytesMut::from(&whole[..]);
        assert_eq!(decode::<Ping>(&mut both).unwrap(), Some(Ping { number: 7 }));
        assert_eq!(decode::<Ping>(&mut both).unwrap(), Some(Ping { number: 300 }));
        assert_eq!(decode::<Ping>(&mut both).unwrap(), None);
    }

    #[test]
    fn oversized_and_compressed_messages_are_errors() {
        assert!(decode::<Ping>(&mut BytesMut::from(&[0, 255, 0, 0, 0][..])).is_err());
        assert!(decode::<Ping>(&mut BytesMut::from(&[1, 0, 0, 0, 0][..])).is_err());
    }

    #[test]
    fn a_status_other_than_ok_is_a_refusal() {
        let mut headers = HeaderMap::new();
        assert_eq!(refusal(&headers), None);
        headers.insert("grpc-status", HeaderValue::from_static("0"));
        assert_eq!(refusal(&headers), None);
        headers.insert("grpc-status", HeaderValue::from_static("14"));
        headers.insert("grpc-message", HeaderValue::from_static("no%20leader"));
        assert_eq!(refusal(&headers), Some(Refused { code: 14, message: "no leader".into() }));
    }
}
