//! How to reach a cluster.

use std::{fmt, future::Future, io, pin::Pin, sync::Arc, time::Duration};

use tokio::io::{AsyncRead, AsyncWrite};

/// How long an operation may take, with all its retries, unless asked otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What carries the bytes to one server.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection being opened.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Transport>>> + Send>>;

/// Opens connections in place of the operating system's TCP: for tests and simulated networks.
///
/// Obligations: `connect` takes an address with scheme, host and port; dropping its future abandons the attempt.
pub trait Connector: Send + Sync {
    /// Connects to the server at `address`.
    fn connect(&self, address: &str) -> Connecting;
}

/// How to reach a cluster.
#[derive(Clone)]
pub struct Options {
    /// Addresses to begin with, as [`crate::parse_servers`] gives them; further ones are learned from replies.
    pub servers: Vec<String>,
    /// For each operation with all its retries.
    pub timeout: Duration,
    /// For opening one connection. Short: another server is usually there.
    pub connect_timeout: Duration,
    /// For one try of an operation at one server, so that a server cut off from the rest does not use up the whole
    /// time.
    pub attempt_timeout: Duration,
    /// The authority that signed the certificates of `https` servers, in PEM form.
    pub certificate_authority: Option<Vec<u8>>,
    /// In place of TCP. Not used for `https`.
    pub connector: Option<Arc<dyn Connector>>,
    /// Makes the choice of servers and the jitter of waiting times repeatable, for simulations. Tokens always come
    /// from the operating system.
    pub seed: Option<u64>,
}

impl Options {
    /// The usual times, for a cluster that includes these servers.
    #[must_use]
    pub fn new(servers: Vec<String>) -> Self {
        Self {
            servers,
            timeout: DEFAULT_TIMEOUT,
            connect_timeout: Duration::from_secs(1),
            attempt_timeout: Duration::from_secs(3),
            certificate_authority: None,
            connector: None,
            seed: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("servers", &self.servers)
            .field("timeout", &self.timeout)
            .field("connector", &self.connector.is_some())
            .finish_non_exhaustive()
    }
}
