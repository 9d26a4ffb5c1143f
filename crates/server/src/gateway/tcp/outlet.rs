//! What a connection says: whole frames, to a client that reads.

use std::{io, time::Duration};

use threefold_proto::framing::{Framing, Reply};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

use crate::net::ClientSocket;

/// How long a client may read nothing of what it is sent. Below a minute, after which the other side of a connection that is
/// cut counts as gone as well.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long, and how much, a client that is told a last word may still say before the connection is closed for good: closing it
/// with something unread would take the last word away from it.
const FAREWELL: Duration = Duration::from_secs(1);
/// See [`FAREWELL`].
const FAREWELL_BYTES: usize = 256 * 1024;
/// Read at once.
const CHUNK_BYTES: usize = 4 * 1024;

/// A connection's socket, and whether a frame was begun and not ended on it.
pub(super) struct Outlet<S> {
    pub socket: S,
    torn: bool,
}

impl<S: ClientSocket> Outlet<S> {
    pub fn new(socket: S) -> Self {
        Self { socket, torn: false }
    }

    /// Sends frames.
    pub async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.torn = true;
        let mut rest = frames;
        while !rest.is_empty() {
            let written = timeout(PATIENCE, self.socket.write(rest)).await;
            match written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => rest = &rest[written..],
            }
        }
        timeout(PATIENCE, self.socket.flush()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.torn = false;
        Ok(())
    }

    /// What there is to read; nothing at the end. Waits for [`ClientSocket::first_word`] to come before it, so that no
    /// buffer waits with it.
    pub async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        self.socket.read_buf(&mut chunk).await?;
        Ok(chunk)
    }

    /// Says a last word, unless a frame would be torn by it, and closes the connection.
    pub async fn close(mut self, framing: Framing, word: Option<Reply>) {
        if let Some(word) = word.filter(|_| !self.torn) {
            let mut frame = Vec::new();
            framing.encode(&word, &mut frame);
            if timeout(FAREWELL, self.send(&frame)).await.is_err() {
                return;
            }
        }
        let until = Instant::now() + FAREWELL;
        let drain = async {
            self.socket.shutdown().await?;
            let mut drained = 0;
            while drained < FAREWELL_BYTES {
                match self.read().await?.len() {
                    0 => break,
                    read => drained += read,
                }
            }
            Ok::<(), io::Error>(())
        };
        // Whatever comes of it, the connection is over.
        let _ = timeout_at(until, drain).await;
    }
}
