//! A connection that a living process never ends cleanly.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A connection whose kernel must not end it cleanly while this process lives: dropping it resets it.
pub struct Resetting(TcpStream);

impl Resetting {
    /// From now on.
    pub fn new(stream: TcpStream) -> Self {
        Self(stream)
    }
}

impl Drop for Resetting {
    fn drop(&mut self) {
        if let Err(error) = self.0.set_zero_linger() {
            // A clean end would prove this process dead while it lives.
            tracing::error!(%error, "cannot reset a death stream: the server stops");
            std::process::abort();
        }
    }
}

impl AsyncRead for Resetting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Resetting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
