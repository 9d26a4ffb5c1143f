//! A connection on which what is written at about the same time leaves together.
//!
//! An HTTP/2 connection flushes whenever it has written what one of its streams had to say. When an entry is applied, dozens of
//! streams of one connection have something to say, one after the other within the same microseconds, and each would cost a
//! system call and a packet. Here a flush first lets everything else run that is ready to, once; what is written
//! meanwhile goes out with it. A connection that nobody else has anything to say on is delayed by nothing but that.
//!
//! An HTTP/1 connection has nothing to gather: what is said on it is one thing after the other. There a flush is a flush. Its library
//! moreover takes no notice of one that is not finished when it hands the connection over after an upgrade, so that the answer to
//! it would stay here until the new owner had something to say.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is gathered at most; beyond it a write waits until the connection has taken it.
const GATHER_BYTES: usize = 64 << 10;

/// How an HTTP/2 connection begins (RFC 9113, section 3.4), and no other.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// So much leaves at once: it fills packets anyway, and whoever writes it (a state, a page of history) has more to say.
const ENOUGH_BYTES: usize = 4 << 10;

/// The connection.
#[derive(Debug)]
pub struct Gathered<S> {
    inner: S,
    /// Written, and not yet passed on. Without memory when empty: most connections are idle.
    waiting: Vec<u8>,
    /// How much of it was passed on.
    passed: usize,
    /// How much of [`PREFACE`] the other side has said. All of it, or known without: there are streams, and so something to gather.
    recognised: usize,
    /// The first words were something else.
    is_plain: bool,
    /// The others had their turn since the last flush was asked for.
    has_yielded: bool,
}

impl<S> Gathered<S> {
    /// One that is known to be HTTP/2.
    pub fn new(inner: S) -> Self {
        Self { recognised: PREFACE.len(), ..Self::recognising(inner) }
    }

    /// One of which the other side's first words tell what it is.
    pub fn recognising(inner: S) -> Self {
        Self { inner, waiting: Vec::new(), passed: 0, recognised: 0, is_plain: false, has_yielded: false }
    }

    /// Looks at what the other side says first.
    fn recognise(&mut self, heard: &[u8]) {
        if self.is_plain || self.recognised == PREFACE.len() {
            return;
        }
        let expected = &PREFACE[self.recognised..];
        let common = expected.len().min(heard.len());
        self.is_plain = heard[..common] != expected[..common];
        self.recognised += common;
    }

    fn gathers(&self) -> bool {
        !self.is_plain && self.recognised == PREFACE.len()
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Passes on everything that waits.
    fn poll_pass_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.passed < self.waiting.len() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.waiting[self.passed..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                passed => self.passed += passed,
            }
        }
        self.waiting = Vec::new();
        self.passed = 0;
        self.has_yielded = false;
        Poll::Ready(Ok(()))
    }

    /// Makes room for more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting.len() < GATHER_BYTES { Poll::Ready(Ok(())) } else { self.poll_pass_on(cx) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.recognise(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        self.waiting.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        self.waiting.reserve(bufs.iter().map(|buf| buf.len()).sum());
        bufs.iter().for_each(|buf| self.waiting.extend_from_slice(buf));
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.waiting.is_empty() {
            if self.gathers() && !self.has_yielded && self.passed == 0 && self.waiting.len() < ENOUGH_BYTES {
                self.has_yielded = true;
                // Woken by itself, a task goes to the end of the line.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(self.poll_pass_on(cx))?;
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pass_on(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        task::Waker,
    };

    use futures::future::poll_fn;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::mpsc,
    };

    use super::*;

    /// Takes every write, at most so many bytes of it, and remembers each.
    struct Taken {
        writes: Arc<Mutex<Vec<Vec<u8>>>>,
        at_most: usize,
    }

    impl AsyncWrite for Taken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let taken = &buf[..buf.len().min(self.at_most)];
            self.writes.lock().unwrap().push(taken.to_vec());
            Poll::Ready(Ok(taken.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A connection's own task, as an HTTP/2 library has it: it writes what its streams say, and flushes.
    async fn connect(mut stream: Gathered<Taken>, mut said: mpsc::UnboundedReceiver<[u8; 3]>) {
        let serve = poll_fn(|cx| {
            loop {
                while let Poll::Ready(Some(words)) = said.poll_recv(cx) {
                    assert!(Pin::new(&mut stream).poll_write(cx, &words).is_ready());
                }
                if ready!(Pin::new(&mut stream).poll_flush(cx)).is_err() || said.is_empty() {
                    return if said.is_closed() { Poll::Ready(()) } else { Poll::Pending };
                }
            }
        });
        serve.await;
    }

    #[tokio::test]
    async fn what_streams_say_one_after_the_other_leaves_in_one_write() {
        let writes = Arc::default();
        let inner = Taken { writes: Arc::clone(&writes), at_most: usize::MAX };
        let (say, said) = mpsc::unbounded_channel();
        say.send([0; 3]).unwrap();
        // It runs before the streams, each of which has something to say by then.
        let connection = tokio::spawn(connect(Gathered::new(inner), said));
        let streams = (1..5).map(|n| {
            let say = say.clone();
            tokio::spawn(async move { say.send([n; 3]).unwrap() })
        });
        for stream in streams.collect::<Vec<_>>() {
            stream.await.unwrap();
        }
        tokio::task::yield_now().await;
        drop(say);
        connection.await.unwrap();
        let all: Vec<u8> = (0..5).flat_map(|n| [n; 3]).collect();
        assert_eq!(*writes.lock().unwrap(), [all]);
    }

    #[tokio::test]
    async fn everything_arrives_in_order_however_little_the_connection_takes() {
        let writes = Arc::default();
        let mut stream = Gathered::new(Taken { writes: Arc::clone(&writes), at_most: 1000 });
        let all: Vec<u8> = (0..300_000).map(|n| (n % 251) as u8).collect();
        for part in all.chunks(777) {
            stream.write_all(part).await.unwrap();
            assert!(stream.waiting.len() < GATHER_BYTES + 777, "bounded");
        }
        stream.flush().await.unwrap();
        assert_eq!(writes.lock().unwrap().concat(), all);
        stream.write_all(b"the last words").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(writes.lock().unwrap().concat()[all.len()..], *b"the last words");
    }

    #[test]
    fn only_streams_are_waited_for() {
        let flushes = |heard: &[&[u8]]| {
            let writes = Arc::default();
            let mut stream = Gathered::recognising(Taken { writes: Arc::clone(&writes), at_most: usize::MAX });
            heard.iter().for_each(|heard| stream.recognise(heard));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut stream).poll_write(&mut cx, b"words").is_ready());
            let flushed = Pin::new(&mut stream).poll_flush(&mut cx).is_ready();
            assert_eq!(writes.lock().unwrap().len(), usize::from(flushed));
            flushed
        };
        // An HTTP/1 library asks once and hands the connection over, flushed or not.
        assert!(flushes(&[b"GET /ws HTTP/1.1\r\n"]));
        assert!(flushes(&[b"P", b"OST / HTTP/1.1\r\n"]));
        assert!(flushes(&[b"PRI * HTTP/1.1\r\n"]));
        assert!(flushes(&[]));
        assert!(!flushes(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]));
        assert!(!flushes(&[b"PRI", b" * HTTP/2", b".0\r\n\r\nSM\r\n\r\n", b"anything"]));
    }

    #[tokio::test]
    async fn a_closed_connection_is_an_error_and_reading_is_left_alone() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut stream = Gathered::new(near);
        far.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        drop(far);
        stream.write_all(b"anybody?").await.unwrap();
        assert!(stream.flush().await.is_err());
    }
}
