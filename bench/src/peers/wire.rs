//! A buffered connection for protocols that are simple enough to write by hand.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long a connection may take to open.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// What is read at once, at least.
const READ_BYTES: usize = 16 * 1024;

/// A connection, what has been read of it and not yet understood, and what is to be sent.
pub struct Wire {
    socket: TcpStream,
    /// Read, and not yet understood.
    pub input: BytesMut,
    /// To be sent by [`Wire::flush`].
    pub output: BytesMut,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let opened = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await;
        let socket = opened.map_err(|_| anyhow!("no answer")).and_then(|socket| Ok(socket?));
        let socket = socket.with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, input: BytesMut::new(), output: BytesMut::new() })
    }

    /// Sends everything that is to be sent.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        if !self.output.is_empty() {
            self.socket.write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }

    /// Waits for more input. May be dropped while it waits.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn read(&mut self) -> anyhow::Result<()> {
        self.input.reserve(READ_BYTES);
        match self.socket.read_buf(&mut self.input).await? {
            0 => bail!("the server closed the connection"),
            _ => Ok(()),
        }
    }
}
