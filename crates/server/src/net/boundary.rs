//! A byte stream under TLS that knows whether it ended between two TLS records.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TLS record begins with its type (1 byte), a version (2) and its length (2, big endian).
const HEADER_BYTES: usize = 5;

/// Where a reader is within the records.
#[derive(Debug, Default)]
struct Place {
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    body_left: usize,
}

impl Place {
    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let step = self.body_left.min(bytes.len());
                self.body_left -= step;
                bytes = &bytes[step..];
                continue;
            }
            let step = (HEADER_BYTES - self.header_bytes).min(bytes.len());
            self.header[self.header_bytes..self.header_bytes + step].copy_from_slice(&bytes[..step]);
            self.header_bytes += step;
            bytes = &bytes[step..];
            if self.header_bytes == HEADER_BYTES {
                self.body_left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
                self.header_bytes = 0;
            }
        }
    }

    fn is_boundary(&self) -> bool {
        self.header_bytes == 0 && self.body_left == 0
    }
}

/// A byte stream that is watched while TLS reads it.
#[derive(Debug)]
pub struct Watched<S> {
    inner: S,
    place: Place,
    has_ended: bool,
}

impl<S> Watched<S> {
    /// From its first byte on.
    pub fn new(inner: S) -> Self {
        Self { inner, place: Place::default(), has_ended: false }
    }

    /// Whether the other end closed it (no error, no reset), and not in the midst of a record.
    pub fn ended_at_boundary(&self) -> bool {
        self.has_ended && self.place.is_boundary()
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let has_room = buf.remaining() > 0;
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        self.has_ended |= read.is_empty() && has_room;
        self.place.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn an_end_within_a_record_is_told_from_one_between_two() {
        let records = [22, 3, 3, 0, 2, 7, 7, 23, 3, 3, 0, 3, 1, 2, 3];
        for end in 0..=records.len() {
            let mut stream = Watched::new(&records[..end]);
            let mut one = [0; 4];
            while stream.read(&mut one).await.unwrap() > 0 {
                assert!(!stream.ended_at_boundary());
            }
            assert_eq!(stream.ended_at_boundary(), [0, 7, 15].contains(&end), "after {end} bytes");
        }
    }
}
