//! The walls of a server: how it dials other servers, and where it is dialled by them and by clients.
//!
//! The rest of the server sees these traits only, so that a whole cluster also runs over a simulated network. On a real
//! one ([`tcp`]) they are TCP, between servers under mutual TLS.

pub mod boundary;
pub mod gathered;
pub mod resetting;
pub mod tcp;

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes in both directions.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for T {}

/// A connection that was dialled.
pub type Connection = Box<dyn Transport>;

/// Reaches other servers.
///
/// Obligations: a connection that was dialled is to the server of that name and no other. Dropping a future abandons
/// its attempt. The end of a process ends its connections, and from then on its address refuses new ones.
pub trait PeerNetwork: Send + Sync + 'static {
    /// Connects to the server called `name` at `address` (host:port). Waits for as long as the network does.
    fn dial(&self, name: &str, address: &str) -> BoxFuture<'static, io::Result<Connection>>;

    /// Opens a death stream to the server called `name` at `address`.
    ///
    /// Obligations: as long as this process lives nothing ends the stream cleanly; dropping it resets it. When the process dies the
    /// receiver reads everything that was written, and then, if nothing stands between the two, a clean end.
    fn dial_death(&self, name: &str, address: &str) -> BoxFuture<'static, io::Result<DeathStream>>;

    /// Connects to whoever is at `address`, says nothing and leaves. An error of the kind
    /// [`io::ErrorKind::ConnectionRefused`] means that no process listens there.
    fn knock(&self, address: &str) -> BoxFuture<'static, io::Result<()>>;
}

/// A death stream that was dialled.
pub struct DeathStream {
    /// The stream.
    pub connection: Connection,
    /// Its ends, as this side sees them.
    pub ends: Ends,
}

/// The addresses of a connection's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// This side.
    pub local: SocketAddr,
    /// The other side.
    pub remote: SocketAddr,
}

/// Where other servers connect.
pub trait PeerListener: Send + 'static {
    /// A connection from another server.
    type Stream: PeerStream;

    /// Waits for the next connection; the future that it gives finds out who is there. Cancel safe.
    fn accept(
        &mut self,
    ) -> impl Future<Output = io::Result<impl Future<Output = io::Result<Self::Stream>> + Send + 'static>> + Send;
}

/// A connection from another server, which has shown who it is.
pub trait PeerStream: Transport {
    /// Who it is.
    fn caller(&self) -> Caller;

    /// Whether it is a death stream, not one of calls. Where such a stream ends without a farewell, reading it gives an
    /// error of the kind [`io::ErrorKind::UnexpectedEof`].
    fn is_death_stream(&self) -> bool;

    /// Its ends.
    ///
    /// # Errors
    /// When the connection is gone.
    fn ends(&self) -> io::Result<Ends>;

    /// After reading has ended: whether the other side's kernel closed it, without an error or a reset, and after a whole
    /// record.
    fn ended_cleanly(&self) -> bool;
}

/// The server at the other end of a connection. Cheap to clone.
#[derive(Clone)]
pub struct Caller(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Caller {
    /// One of whom `bears_name` says which names it may use.
    pub fn new(bears_name: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(bears_name))
    }

    /// Whether it may call itself so.
    #[must_use]
    pub fn bears_name(&self, name: &str) -> bool {
        (self.0)(name)
    }
}

/// Where clients connect.
pub trait ClientListener: Send + 'static {
    /// A client's connection.
    type Socket: ClientSocket;

    /// Waits for the next connection, and says between which addresses it is: asked later, one that was reset would not tell any more, and whose
    /// address is not known cannot be counted. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Socket, Ends)>> + Send;
}

/// A client's connection.
pub trait ClientSocket: Transport {
    /// Waits until there is something to read, or the end.
    fn first_word(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}
