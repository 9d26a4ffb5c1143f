//! Files: sent from any reader and received into any writer, in pieces, through any failover.
//!
//! An upload keeps only what no server has said to be safe yet; after an interruption it asks the next server how far it is and
//! goes on from there. A download goes on behind what it has written. Either gives up when nothing has moved for as long as an
//! operation may take. What arrives is checked against the hash of the whole.

mod download;
mod upload;

use std::{io, time::Duration};

use threefold_proto::chat::{Attachment, DiscardAttachmentRequest, ListAttachmentsReply, ListAttachmentsRequest};
use tokio::time::Instant;

use crate::{Client, Error, route::Route, verdict::Verdict};

/// A file as it is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without a path.
    pub name: String,
    /// What it is, such as `image/png`; may be empty.
    pub content_type: String,
    /// Its size.
    pub bytes: u64,
}

impl Client {
    /// What is attached to a message, and the conversation that is in.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn attachments(&self, message: u64) -> Result<ListAttachmentsReply, Error> {
        self.require_identity()?;
        let request = ListAttachmentsRequest { conversation: 0, message };
        Ok(self.call(request, |mut chat, request| async move { chat.list_attachments(request).await }).await?)
    }

    /// Takes back an upload that no message has yet.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn discard(&self, attachment: &Attachment) -> Result<(), Error> {
        self.require_identity()?;
        let request = DiscardAttachmentRequest { attachment: attachment.attachment };
        self.call(request, |mut chat, request| async move { chat.discard_attachment(request).await }).await?;
        Ok(())
    }
}

/// Why one try at one server came to nothing.
enum Stopped {
    /// Another server, or the same one later, may do better.
    Verdict(Verdict),
    /// Nobody can help.
    Error(Error),
}

impl From<Verdict> for Stopped {
    fn from(verdict: Verdict) -> Self {
        Self::Verdict(verdict)
    }
}

fn stalled() -> Verdict {
    Verdict::Unavailable { cause: "nothing has moved for too long".to_owned(), broken: true }
}

fn local(what: &str, error: &io::Error) -> Error {
    Error::Usage(format!("{what}: {error}"))
}

/// The tries of one transfer: at one server after another, for as long as something moves.
struct Tries {
    route: Route,
    timeout: Duration,
    deadline: Instant,
    /// How far the transfer was at the last try.
    moved: u64,
}

impl Tries {
    fn new(timeout: Duration) -> Self {
        Self { route: Route::default(), timeout, deadline: Instant::now() + timeout, moved: 0 }
    }

    /// After a try that ended `at` so many bytes: waits for the next one, or says why there is none.
    async fn again(&mut self, client: &Client, server: &str, verdict: Verdict, at: u64) -> Result<(), Error> {
        if at > self.moved {
            self.moved = at;
            self.deadline = Instant::now() + self.timeout;
        }
        if let Verdict::Unavailable { broken: true, .. } = verdict {
            client.pool.forget(server);
        }
        let wait = self.route.failed(&client.pool.servers, server, verdict);
        if Instant::now() + wait >= self.deadline {
            return Err(self.route.error());
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
