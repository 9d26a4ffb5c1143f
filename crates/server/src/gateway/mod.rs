//! The gateways: how clients reach a server.
//!
//! A [`Gateway`] holds the operations themselves, in terms of the chat protocol's messages: it
//! authenticates, turns wire types into the domain's, submits and reads through the one [`Door`], and turns answers
//! back. Each transport ([`grpc`] and [`websocket`], both served by [`http`]) is a thin layer that carries frames and statuses; [`page`] are the files
//! of the page, which then speaks WebSocket. Promises: no
//! operation depends on its transport; nothing here knows who leads; every queue, body and count is
//! bounded. Left out on purpose: any rule about content or membership, which is the state machine's,
//! and recognising retries, which it does too.

mod accounts;
mod administration;
mod attachments;
mod auth;
mod bots;
mod cluster;
mod control;
mod cors;
mod crowd;
mod directory;
mod door;
pub mod grpc;
mod hooks;
pub mod http;
mod messages;
mod page;
mod password;
mod places;
mod reactions;
mod rooms;
mod search;
mod stream;
pub mod tcp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod turns;
mod typing;
mod websocket;
mod writes;

use std::{path::PathBuf, sync::Arc, time::Duration};

use threefold_core::{AccountId, Command, Position, Reply};
use threefold_proto::{
    chat,
    convert::{Refusal, error_of},
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use crate::{
    clock::{self, WallClock},
    config::{AttachmentLimits, Control},
    node::{Node, Unavailable},
};

pub(crate) use attachments::http::{parameters, range};
pub use attachments::{THUMBNAIL_ARGUMENT, answer_damaged, make_thumbnail};
pub use auth::Caller;
pub use door::{Door, Follow};
pub(crate) use hooks::read as posted;
pub use password::{CannotHash, Cost, Passwords};
pub use websocket::Origins;
pub(crate) use websocket::understood;

/// Looks through names (of accounts, rooms, who is online) at once, of each account and its bots one: each may read all there are. Not among the searches in
/// messages, for a person who writes `@` and a name should not wait for them.
const LOOKUPS: usize = 2;

/// A server's operations, for every transport. Cheap to clone.
pub struct Gateway<D = Node> {
    shared: Arc<Shared<D>>,
}

impl<D> Clone for Gateway<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<D> {
    door: D,
    passwords: Passwords,
    clock: WallClock,
    auth: auth::Auth,
    directory: directory::Directory,
    administrators: administration::Administrators,
    attachments: attachments::Attachments,
    control: Option<Control>,
    streams: Arc<Semaphore>,
    searches: turns::Line,
    lookups: turns::Line,
    hooks: hooks::Hooks,
    gathered: cluster::Gathered,
    closing: watch::Sender<bool>,
}

impl<D: Door> Gateway<D> {
    /// Operations behind `door`, with the system's clock.
    pub fn new(door: D, passwords: Passwords) -> Self {
        Self::with_clock(door, passwords, clock::system())
    }

    /// Operations behind `door`, with this clock.
    pub fn with_clock(door: D, passwords: Passwords, clock: WallClock) -> Self {
        let shared = Shared {
            door,
            passwords,
            clock,
            auth: auth::Auth::default(),
            directory: directory::Directory::default(),
            administrators: administration::Administrators::default(),
            attachments: attachments::Attachments::new(AttachmentLimits::default(), None),
            control: None,
            streams: Arc::new(Semaphore::new(stream::STREAMS)),
            searches: turns::Line::new("searches", search::SEARCHES),
            lookups: turns::Line::new("searches for names", LOOKUPS),
            hooks: hooks::Hooks::default(),
            gathered: cluster::Gathered::default(),
            closing: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The same with these accounts, by name, as administrators, whatever the state says. For a gateway that nobody uses yet.
    #[must_use]
    pub fn with_administrators(mut self, names: &[String]) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.administrators = administration::Administrators::new(names);
        }
        self
    }

    /// The same with these limits on attachments, and with the program that makes thumbnails (none: this process). For a gateway
    /// that nobody uses yet.
    #[must_use]
    pub fn with_attachments(mut self, limits: AttachmentLimits, thumbnailer: Option<PathBuf>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.attachments = attachments::Attachments::new(limits, thumbnailer);
        }
        self
    }

    /// The same with the control endpoint of `up`. For a gateway that nobody uses yet.
    #[must_use]
    pub fn with_control(mut self, control: Option<Control>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.control = control;
        }
        self
    }

    /// Ends every stream with "unavailable", so that its client goes to another server.
    pub fn close(&self) {
        self.shared.closing.send_replace(true);
    }

    /// Waits for [`Gateway::close`].
    pub async fn closed(&self) {
        // The sender lives in `self`, so there is no other way for the wait to end.
        let _ = self.shared.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Waits until this server is not a member of the cluster any more, and says why.
    async fn retired(&self) -> String {
        let mut retired = self.door().retired();
        let why = retired.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            // The server ends, which is noticed elsewhere.
            None => std::future::pending().await,
        }
    }

    fn door(&self) -> &D {
        &self.shared.door
    }

    fn passwords(&self) -> &Passwords {
        &self.shared.passwords
    }

    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64 {
        let (now, _) = (self.shared.clock)();
        now.as_millis() as u64
    }

    fn control(&self) -> Option<&Control> {
        self.shared.control.as_ref()
    }

    fn auth(&self) -> &auth::Auth {
        &self.shared.auth
    }

    fn directory(&self) -> &directory::Directory {
        &self.shared.directory
    }

    async fn submit(&self, command: Command, deadline: Instant) -> Result<(Reply, Position), Refusal> {
        let committed = self.door().submit(&command, deadline).await.map_err(unavailable)?;
        Ok((committed.reply, committed.position))
    }

    /// For commands whose success says it all.
    async fn submit_plain(&self, command: Command, deadline: Instant) -> Result<Position, Refusal> {
        match self.submit(command, deadline).await? {
            (Reply::Done, position) => Ok(position),
            (Reply::Rejected(rejection), _) => Err(rejection.into()),
            (
                Reply::SessionOpened { .. }
                | Reply::InstanceOpened { .. }
                | Reply::MessageSent { .. }
                | Reply::RoomCreated { .. }
                | Reply::UploadReached { .. }
                | Reply::AttachmentFinished(_)
                | Reply::BotCreated { .. }
                | Reply::WebhookCreated { .. },
                _,
            ) => Err(unexpected_reply()),
        }
    }

    /// Looks through names when it is the caller's turn, away from the async tasks.
    async fn look_up<T: Send + 'static>(
        &self,
        caller: &Caller,
        deadline: Instant,
        query: impl FnOnce(&Self, AccountId) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (gateway, reader) = (self.clone(), caller.session.account);
        self.shared.lookups.work(caller.counted_as, deadline, move || query(&gateway, reader)).await
    }

    async fn wait_consistent(&self, deadline: Instant) -> Result<(), Refusal> {
        self.door().wait_consistent(deadline).await.map_err(unavailable)
    }

    async fn wait_for(&self, position: Position, deadline: Instant) -> Result<(), Refusal> {
        self.door().wait_for(position, deadline).await.map_err(unavailable)
    }
}

fn millis(wait: Duration) -> u64 {
    wait.as_millis().max(1) as u64
}

/// A refusal as a client is told it; what is this server's own fault its operator is told too.
fn told(refusal: &Refusal) -> chat::Error {
    if let Refusal::Internal(words) = refusal {
        tracing::error!(words, "a request failed by this server's fault");
    }
    error_of(refusal)
}

fn unavailable(error: Unavailable) -> Refusal {
    Refusal::Unavailable(error.0)
}

fn unexpected_reply() -> Refusal {
    Refusal::Internal("the state machine answered another kind of request".into())
}
