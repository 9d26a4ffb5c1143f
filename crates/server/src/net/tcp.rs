//! The real network: TCP, and mutual TLS between servers.

use std::{io, pin::Pin, task, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use rustls::pki_types::CertificateDer;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::server::TlsStream;

use super::{
    Caller, ClientListener, ClientSocket, Connection, DeathStream, Ends, PeerListener, PeerNetwork, PeerStream,
    boundary::Watched, resetting::Resetting,
};
use crate::peer::tls::{DEATH_ALPN, Identity, bears_name};

impl PeerNetwork for Identity {
    fn dial(&self, name: &str, address: &str) -> BoxFuture<'static, io::Result<Connection>> {
        let (identity, name, address) = (self.clone(), name.to_owned(), address.to_owned());
        async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(identity.connect(&name, stream).await?) as Connection)
        }
        .boxed()
    }

    fn dial_death(&self, name: &str, address: &str) -> BoxFuture<'static, io::Result<DeathStream>> {
        let (identity, name, address) = (self.clone(), name.to_owned(), address.to_owned());
        async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let ends = ends(&stream)?;
            let connection = identity.connect_death(&name, Resetting::new(stream)).await?;
            Ok(DeathStream { connection: Box::new(connection), ends })
        }
        .boxed()
    }

    fn knock(&self, address: &str) -> BoxFuture<'static, io::Result<()>> {
        let address = address.to_owned();
        async move { TcpStream::connect(address).await.map(drop) }.boxed()
    }
}

fn ends(stream: &TcpStream) -> io::Result<Ends> {
    Ok(Ends { local: stream.local_addr()?, remote: stream.peer_addr()? })
}

/// A port on which other servers are asked for their certificates.
pub struct TlsListener {
    listener: TcpListener,
    identity: Identity,
}

impl TlsListener {
    /// On `listener`, with this server's own certificate.
    pub fn new(listener: TcpListener, identity: Identity) -> Self {
        Self { listener, identity }
    }
}

impl PeerListener for TlsListener {
    type Stream = TlsPeer;

    async fn accept(&mut self) -> io::Result<impl Future<Output = io::Result<TlsPeer>> + Send + 'static> {
        let (stream, _) = self.listener.accept().await?;
        let identity = self.identity.clone();
        Ok(async move {
            stream.set_nodelay(true)?;
            identity.accept(stream).await.map(TlsPeer)
        })
    }
}

/// An authenticated connection from another server.
pub struct TlsPeer(TlsStream<Watched<TcpStream>>);

impl PeerStream for TlsPeer {
    fn caller(&self) -> Caller {
        let certificates = self.0.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate = certificates.first().cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()));
        Caller::new(move |name| bears_name(&certificate, name))
    }

    fn is_death_stream(&self) -> bool {
        self.0.get_ref().1.alpn_protocol() == Some(DEATH_ALPN)
    }

    fn ends(&self) -> io::Result<Ends> {
        ends(self.0.get_ref().0.get_ref())
    }

    fn ended_cleanly(&self) -> bool {
        self.0.get_ref().0.ended_at_boundary()
    }
}

impl AsyncRead for TlsPeer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsPeer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, buf: &[u8]) -> task::Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> task::Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl ClientListener for TcpListener {
    type Socket = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Ends)> {
        loop {
            let (socket, remote) = TcpListener::accept(self).await?;
            // One that is gone already may say no to that, and is no reason to pause for the others' sake.
            match socket.set_nodelay(true).and_then(|()| socket.local_addr()) {
                Ok(local) => return Ok((socket, Ends { local, remote })),
                Err(error) => tracing::debug!(%error, "a connection was gone as soon as it came"),
            }
        }
    }
}

impl ClientSocket for TcpStream {
    async fn first_word(&mut self) -> io::Result<()> {
        self.peek(&mut [0]).await.map(drop)
    }
}

/// A silent connection is asked after this time whether the other side is still there.
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(30);
/// Between two such questions.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// So many unanswered ones end it.
const KEEP_ALIVE_RETRIES: u32 = 3;
/// What is sent and not acknowledged for this long ends it as well: while something is under way nobody asks.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// A port for protocols that have no pings of their own: the kernel finds out who has vanished, within a minute.
pub struct KeptAlive {
    listener: TcpListener,
}

impl KeptAlive {
    /// On `listener`.
    pub fn new(listener: TcpListener) -> Self {
        Self { listener }
    }
}

impl ClientListener for KeptAlive {
    type Socket = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Ends)> {
        loop {
            let (socket, ends) = ClientListener::accept(&mut self.listener).await?;
            match keep_alive(&socket) {
                Ok(()) => return Ok((socket, ends)),
                Err(error) => tracing::debug!(%error, "a connection was gone as soon as it came"),
            }
        }
    }
}

fn keep_alive(socket: &TcpStream) -> io::Result<()> {
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE_TIME)
        .with_interval(KEEP_ALIVE_INTERVAL)
        .with_retries(KEEP_ALIVE_RETRIES);
    let options = SockRef::from(socket);
    options.set_tcp_keepalive(&keep_alive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    options.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}
