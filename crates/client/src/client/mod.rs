//! Single questions and changes: each tried at one server after another until it succeeds, is refused, or its
//! deadline passes.
//!
//! The changes here (other than messages, which go through a [`crate::Writer`]) are harmless to repeat, because the
//! state they lead to is recognised: a log-in by its token, a log-out by the session being gone.

mod accounts;
mod reads;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use reads::{Page, Search};
use threefold_proto::chat::{Condition, ErrorCode, chat_client::ChatClient};
use tokio::{sync::watch, time::Instant};
use tonic::{Request, Response, Status, metadata::AsciiMetadataValue, transport::Channel};

use crate::{
    Cursor, DiskOutbox, Error, Options, Session, Subscription, Writer, pool::Pool, route::Route, subscription,
    verdict::Verdict, writer,
};

/// Talks with one cluster, as one account or as nobody yet. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) pool: Arc<Pool>,
    identity: Option<Arc<Identity>>,
}

/// On whose behalf.
#[derive(Debug)]
pub(crate) struct Identity {
    session: Session,
    bearer: AsciiMetadataValue,
    /// The highest log position seen in any reply.
    position: AtomicU64,
}

/// A failed operation.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// An earlier try got no answer, so the operation may have been carried out before it was refused.
    pub(crate) unsure: bool,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl Client {
    /// A client that is not logged in. Connects when first needed.
    ///
    /// # Errors
    /// [`Error::Usage`] for malformed or missing addresses.
    pub fn new(options: Options) -> Result<Self, Error> {
        Ok(Self { pool: Arc::new(Pool::new(options)?), identity: None })
    }

    /// The same cluster, as the account of this session.
    ///
    /// # Errors
    /// None in practice; a token is always printable.
    pub fn with_session(&self, session: Session) -> Result<Self, Error> {
        let bearer = AsciiMetadataValue::try_from(format!("Bearer {}", session.token.to_hex()))
            .map_err(|error| Error::Usage(error.to_string()))?;
        let known: Vec<String> = session.servers.clone();
        self.pool.servers.learn(&self.scheme(), &known);
        let position = AtomicU64::new(session.position);
        Ok(Self { pool: Arc::clone(&self.pool), identity: Some(Arc::new(Identity { session, bearer, position })) })
    }

    /// The session this client acts for, with the highest position and the servers it knows by now.
    #[must_use]
    pub fn session(&self) -> Option<Session> {
        let identity = self.identity.as_ref()?;
        Some(Session { position: self.position(), servers: self.servers(), ..identity.session.clone() })
    }

    /// Every server known by now, as `host:port` (with `https://` before it if it speaks TLS).
    #[must_use]
    pub fn servers(&self) -> Vec<String> {
        self.pool.servers.known().iter().map(|server| crate::addresses::display(server).to_owned()).collect()
    }

    /// The cluster's condition in words, as the servers that this client talks with tell it over its streams: a program can
    /// say that the cluster is frozen, and why, instead of nothing. None: none has told (so it is normal, or no stream is open).
    #[must_use]
    pub fn condition(&self) -> watch::Receiver<Option<Condition>> {
        self.pool.condition.subscribe()
    }

    /// The highest log position seen: reads are never older.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.identity.as_ref().map_or(0, |identity| identity.position.load(Ordering::Relaxed))
    }

    /// An outbox for this account's writes. Opens its stream at the first one.
    ///
    /// # Errors
    /// If this client is not logged in.
    pub fn writer(&self) -> Result<Writer, Error> {
        self.require_identity()?;
        writer::start(self.clone(), None)
    }

    /// The same with an outbox on disk: a write is there before its receipt is given out, until it is answered. What an earlier run has left goes
    /// out first, at once. The file is open until all clones of the writer are dropped and what they wait for is answered or given up.
    ///
    /// # Errors
    /// If this client is not logged in, or with another session than that of the outbox.
    pub fn writer_with(&self, outbox: DiskOutbox) -> Result<Writer, Error> {
        if !outbox.is_of(&self.require_identity()?.session) {
            return Err(Error::Usage("the outbox is of another session".to_owned()));
        }
        writer::start(self.clone(), Some(outbox))
    }

    /// This account's events after `cursor`. Must be called within a Tokio runtime. With `invisible`, the account does
    /// not count as online because of it.
    ///
    /// # Errors
    /// If this client is not logged in.
    pub fn subscribe(&self, cursor: Cursor, invisible: bool) -> Result<Subscription, Error> {
        self.require_identity()?;
        Ok(subscription::start(self.clone(), cursor, invisible))
    }

    pub(crate) fn require_identity(&self) -> Result<&Identity, Error> {
        self.identity
            .as_deref()
            .ok_or_else(|| Error::Refused { code: ErrorCode::SessionInvalid, message: "not logged in".to_owned() })
    }

    fn scheme(&self) -> String {
        self.pool.servers.known().first().cloned().unwrap_or_default()
    }

    /// Remembers a position seen in a reply.
    pub(crate) fn saw(&self, position: u64) {
        if let Some(identity) = &self.identity {
            identity.position.fetch_max(position, Ordering::Relaxed);
        }
    }

    /// Forgets it: the cluster's history was replaced, and its positions begin anew.
    pub(crate) fn forget_position(&self) {
        if let Some(identity) = &self.identity {
            identity.position.store(0, Ordering::Relaxed);
        }
    }

    /// `message` as a request on this account's behalf.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(identity) = &self.identity {
            request.metadata_mut().insert("authorization", identity.bearer.clone());
        }
        request
    }

    /// Carries out one operation of the chat service, at whichever server can.
    pub(crate) async fn call<Q, R, F, Fut>(&self, message: Q, operation: F) -> Result<R, Failure>
    where
        Q: Clone,
        F: Fn(ChatClient<Channel>, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        self.call_any(message, |channel, request| operation(ChatClient::new(channel), request)).await
    }

    /// Carries out one operation of any service.
    pub(crate) async fn call_any<Q, R, F, Fut>(&self, message: Q, operation: F) -> Result<R, Failure>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let deadline = Instant::now() + self.pool.options.timeout;
        let mut route = Route::default();
        let mut unsure = false;
        loop {
            let Some(server) = route.next(&self.pool.servers) else {
                return Err(Failure { error: route.error(), unsure });
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let budget = left.min(self.pool.options.attempt_timeout);
            let verdict = match self.attempt(&server, budget, &message, &operation, &mut unsure).await {
                Ok(reply) => {
                    route.worked(&self.pool.servers, &server);
                    return Ok(reply);
                }
                Err(verdict @ Verdict::Refused { .. }) => {
                    route.worked(&self.pool.servers, &server);
                    return Err(Failure { error: verdict.into_error(Vec::new()), unsure });
                }
                Err(verdict) => verdict,
            };
            let wait = route.failed(&self.pool.servers, &server, verdict);
            if Instant::now() + wait >= deadline {
                return Err(Failure { error: route.error(), unsure });
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// One try at one server. Sets `unsure` if it may have been carried out although it failed.
    async fn attempt<Q, R, F, Fut>(
        &self,
        server: &str,
        budget: Duration,
        message: &Q,
        operation: &F,
        unsure: &mut bool,
    ) -> Result<R, Verdict>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let until = Instant::now() + budget;
        let no_answer = || Verdict::Unavailable { cause: "no answer in time".to_owned(), broken: true };
        let channel =
            tokio::time::timeout_at(until, self.pool.channel(server)).await.unwrap_or_else(|_| Err(no_answer()));
        let channel = channel.inspect_err(|_| self.pool.forget(server))?;
        let mut request = self.request(message.clone());
        // Tells the server how long an answer is of use.
        request.set_timeout(until.saturating_duration_since(Instant::now()));
        let verdict = match tokio::time::timeout_at(until, operation(channel, request)).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => Verdict::of(&status),
            Err(_) => no_answer(),
        };
        if let Verdict::Unavailable { broken, .. } = verdict {
            *unsure = true;
            if broken {
                self.pool.forget(server);
            }
        }
        Err(verdict)
    }
}
