//! Connections to servers: opened when first needed, shared, and dropped when they fail.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use threefold_proto::chat::Condition;
use tokio::sync::{OnceCell, watch};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};

use crate::{
    Error, Options,
    addresses::normalise,
    servers::Servers,
    verdict::{Verdict, describe},
};

/// A connection on which nothing was heard for this long is asked for a sign of life...
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// ...and given up when none comes for this long: a dead machine is noticed within four seconds.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// What one stream may have waiting unread. Small, so that slow readers do not use up the connection's share.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// What all streams of a connection together may have waiting unread.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// The connections to one cluster.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) options: Options,
    pub(crate) servers: Servers,
    /// The cluster's condition, as last told by any server.
    pub(crate) condition: watch::Sender<Option<Condition>>,
    /// A cell a server, so that everybody who needs a connection at the same moment waits for the same one.
    channels: Mutex<HashMap<String, Arc<OnceCell<Channel>>>>,
}

impl Pool {
    /// Checks the options; connects to nothing yet.
    pub(crate) fn new(options: Options) -> Result<Self, Error> {
        let known = options.servers.iter().map(|server| normalise(server)).collect::<Result<Vec<_>, _>>()?;
        if known.is_empty() {
            return Err(Error::Usage("no server is known".to_owned()));
        }
        let servers = Servers::new(known, options.seed);
        let pool = Self { servers, options, condition: watch::Sender::default(), channels: Mutex::default() };
        for server in pool.servers.known() {
            pool.endpoint(&server)?;
        }
        Ok(pool)
    }

    /// The connection to this server; opened if there is none.
    pub(crate) async fn channel(&self, server: &str) -> Result<Channel, Verdict> {
        let cell = Arc::clone(self.lock().entry(server.to_owned()).or_default());
        cell.get_or_try_init(|| self.open(server)).await.cloned()
    }

    /// A server has told the cluster's condition.
    pub(crate) fn note_condition(&self, condition: Condition) {
        self.condition.send_replace(Some(condition));
    }

    /// Drops a connection that failed.
    pub(crate) fn forget(&self, server: &str) {
        self.lock().remove(server);
    }

    async fn open(&self, server: &str) -> Result<Channel, Verdict> {
        let failed = |cause: String| Verdict::Unavailable { cause, broken: true };
        let endpoint = self.endpoint(server).map_err(|error| failed(error.to_string()))?;
        // Around the whole opening, TLS and a connector of the caller's included.
        tokio::time::timeout(self.options.connect_timeout, self.connect(&endpoint, server))
            .await
            .map_err(|_| failed("no connection in time".to_owned()))?
            .map_err(|error| failed(describe(&error)))
    }

    async fn connect(&self, endpoint: &Endpoint, server: &str) -> Result<Channel, tonic::transport::Error> {
        let Some(connector) = self.options.connector.clone() else { return endpoint.connect().await };
        let server = server.to_owned();
        let service = tower::service_fn(move |_: Uri| {
            let connecting = connector.connect(&server);
            async move { connecting.await.map(TokioIo::new) }
        });
        endpoint.connect_with_connector(service).await
    }

    fn endpoint(&self, server: &str) -> Result<Endpoint, Error> {
        let malformed = |error: tonic::transport::Error| Error::Usage(format!("{server}: {}", describe(&error)));
        let endpoint = Endpoint::from_shared(server.to_owned())
            .map_err(malformed)?
            .connect_timeout(self.options.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        if !server.starts_with("https://") {
            return Ok(endpoint);
        }
        let Some(authority) = &self.options.certificate_authority else {
            return Err(Error::Usage(format!("{server} needs the file of the authority that signed its certificate")));
        };
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        endpoint.tls_config(tls).map_err(malformed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<OnceCell<Channel>>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
