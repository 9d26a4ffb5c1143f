//! The one door: every gateway submits, reads and follows here, and knows neither who leads nor how
//! anything is replicated or stored.

mod hub;
pub mod last_seen;
pub mod limits;
pub mod presence;
pub mod router;
mod status;
pub mod typing;
mod view;

use std::{future::Future, sync::Arc, time::Duration};

use threefold_core::{
    AccountId, Command, Position, entry,
    store::{Read, StoreError},
};
use threefold_proto::peer;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

pub use crate::raft::survivor::condition::{Condition, Word};
#[cfg(test)]
pub use hub::Common;
pub use hub::{Followed, Follower, Hub, Seen};
pub use presence::Present;
pub use router::Committed;

use crate::{
    config::Config,
    peer::channels::{ATTEMPT_TIMEOUT, Channels, Lane, answered},
    raft::{Engine, machine, meter::Meter, position_of},
    search::{self, Found, Search, Wanted},
    storage::StateStore,
};
use presence::Presence;
use router::Router;

/// Between two attempts to learn a consistent position while nobody leads.
const READ_INDEX_RETRY: Duration = Duration::from_millis(20);

/// Nothing is known of the outcome; safe to retry with the same request id.
#[derive(Clone, Debug, thiserror::Error)]
#[error("unavailable: {0}")]
pub struct Unavailable(pub String);

/// A server whose disk has failed ends by itself within this.
const ORDERLY_END: Duration = Duration::from_secs(2);

/// Stops the server: its store cannot be trusted, and a replica that goes on regardless would spread that.
pub(crate) fn stop(error: &StoreError) -> ! {
    tracing::error!(%error, "the server stops: its state cannot be read");
    if matches!(error, StoreError::Io(_)) && !crate::ambient::is_simulated() {
        // A disk that fails for readers fails for consensus too, which then ends the server in order and says why. This task
        // has nothing left to do; the others need their threads for that.
        let wait = || std::thread::sleep(ORDERLY_END);
        match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            _ => wait(),
        }
    }
    std::process::abort()
}

/// A server's door. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

/// What a door opens to.
pub struct Inner {
    /// The configuration.
    pub config: Config,
    /// When the server started.
    pub started: Instant,
    /// Raft.
    pub engine: Arc<Engine>,
    /// What its leadership has come to.
    pub meter: Arc<Meter>,
    /// The way of commands.
    pub router: Router,
    /// The way of chunks of attachments.
    pub bulk: Router,
    /// The followers.
    pub hub: Arc<Hub>,
    /// Who is connected.
    pub presence: Arc<Presence>,
    /// Who is typing.
    pub typing: Arc<typing::Typing>,
    /// The state.
    pub state: Arc<dyn StateStore>,
    /// The search index, if there is one.
    pub search: Option<Arc<Search>>,
    /// The connections to other servers.
    pub channels: Arc<Channels>,
    /// This server's part in the rate limits.
    pub limits: Arc<limits::Keeper>,
    /// Its questions to the leader how far everything is.
    pub asking: Asking,
}

/// One question to the leader at a time how far everything acknowledged is, whose answer is good for all who came before it was put:
/// a flood of log-ins costs the cluster no more rounds than a few do.
#[derive(Debug, Default)]
pub struct Asking {
    /// When the last one was put, and the answer.
    last: Mutex<Option<(Instant, u64)>>,
}

impl Asking {
    /// The answer to a question that is put after this call began.
    async fn answer(&self, ask: impl Future<Output = u64>) -> u64 {
        let called = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((put, index)) = *last
            && put > called
        {
            return index;
        }
        let put = Instant::now();
        let index = ask.await;
        *last = Some((put, index));
        index
    }
}

impl Node {
    /// A door to these.
    pub fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Submits a command and waits for its answer, at most until `deadline`.
    ///
    /// # Errors
    /// When the deadline passes first; the command may then have been carried out or not.
    pub async fn submit(&self, command: &Command, deadline: Instant) -> Result<Committed, Unavailable> {
        let outcome = self.enqueue(command, deadline).await?;
        timeout_at(deadline, outcome)
            .await
            .unwrap_or_else(|_| Err(Unavailable("no leader confirmed the command in time".to_owned())))
    }

    /// Puts a command in line; the answer comes by the returned future. Commands enqueued one after
    /// another are proposed in that order. Waits while the line is full.
    ///
    /// # Errors
    /// When there is no room before the deadline.
    pub async fn enqueue(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> Result<impl Future<Output = Result<Committed, Unavailable>> + Send + 'static, Unavailable> {
        self.inner.router.enqueue(entry::encode_command(command), deadline).await
    }

    /// Submits a command about an attachment, behind all others' messages, and waits for its answer. They are in no order:
    /// who sends a file waits for each answer.
    ///
    /// # Errors
    /// When the deadline passes first; the command may then have been carried out or not.
    pub async fn submit_bulk(&self, command: &Command, deadline: Instant) -> Result<Committed, Unavailable> {
        let outcome = self.inner.bulk.enqueue(entry::encode_command(command), deadline).await?;
        timeout_at(deadline, outcome)
            .await
            .unwrap_or_else(|_| Err(Unavailable("no leader confirmed the command in time".to_owned())))
    }

    /// Waits until this server's visible state includes `position`.
    ///
    /// # Errors
    /// When the deadline passes first.
    pub async fn wait_for(&self, position: Position, deadline: Instant) -> Result<(), Unavailable> {
        let mut reached = self.inner.hub.position();
        let waiting = timeout_at(deadline, reached.wait_for(|reached| *reached >= position)).await;
        match waiting {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Unavailable("the server is stopping".to_owned())),
            Err(_) => Err(Unavailable("this server is behind what the client has seen".to_owned())),
        }
    }

    /// Waits until this server's visible state includes everything acknowledged anywhere before this
    /// call (ReadIndex).
    ///
    /// # Errors
    /// When the deadline passes first.
    pub async fn wait_consistent(&self, deadline: Instant) -> Result<(), Unavailable> {
        let asking = self.inner.asking.answer(until_known(|| self.read_index()));
        let index = timeout_at(deadline, asking)
            .await
            .map_err(|_| Unavailable("no leader confirmed the read in time".to_owned()))?;
        self.wait_for(position_of(index), deadline).await
    }

    async fn read_index(&self) -> Option<u64> {
        let engine = &self.inner.engine;
        let leader = (*engine.leader().borrow())?;
        if leader == engine.id() {
            return engine.read_index().await;
        }
        let member = engine.others().into_iter().find(|peer| peer.id == leader)?.member;
        let mut client = self.inner.channels.client(&member, Lane::Control);
        let reply =
            answered(client.read_index(engine.cluster().address(leader, peer::ReadIndexRequest {}))).await.ok()?;
        reply.leader.then_some(reply.index)
    }

    /// Reads the visible state, as of one commit. A store that cannot be read stops the server.
    pub fn read<T>(&self, query: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> T {
        view::query(&*self.inner.state, query).unwrap_or_else(|error| stop(&error))
    }

    /// Counts a write of the account; if that is too much now, says how long to wait.
    ///
    /// # Errors
    /// How long.
    pub fn count_write(&self, account: AccountId) -> Result<(), Duration> {
        self.inner.limits.count_write(account)
    }

    /// Takes one of each of the cluster's buckets for these: all or none. The inner error: how long to wait.
    ///
    /// # Errors
    /// When the deadline passes before a leader answers.
    pub async fn take(&self, keys: &[limits::Key], deadline: Instant) -> Result<Result<(), Duration>, Unavailable> {
        let taking = async {
            loop {
                match limits::take(self, keys).await {
                    Some(taken) => return taken,
                    None => sleep(READ_INDEX_RETRY).await,
                }
            }
        };
        timeout_at(deadline, taking)
            .await
            .map_err(|_| Unavailable("no leader answered in time, and it keeps the limits".to_owned()))
    }

    /// As the leader: what another server takes or gives back.
    pub fn answer_charges(&self, request: peer::ChargeRequest) -> peer::ChargeReply {
        self.inner.limits.answer(request)
    }

    /// Puts back what was taken for nothing.
    pub async fn give_back(&self, keys: Vec<limits::Key>) {
        limits::give_back(self, keys).await;
    }

    /// Searches in messages. Reads much: not for async code.
    pub fn search(&self, wanted: &Wanted) -> Found {
        let search = self.inner.search.as_deref();
        // The index first: what happens in between is then read from the state.
        let index = search.and_then(Search::published);
        let found = self.read(|store| search::find(store, index.as_deref(), wanted));
        if found.damaged {
            search.into_iter().for_each(Search::rebuild);
        }
        found
    }

    /// How far the visible state is.
    pub fn position(&self) -> Position {
        *self.inner.hub.position().borrow()
    }

    /// The cluster's history: a cursor of another history is void. 16 bytes; empty before the cluster is founded.
    pub fn recovery_id(&self) -> Vec<u8> {
        self.read(machine::recovery_id).unwrap_or_default()
    }

    /// Everything `account` may see after `after`, for ever: what is there, then what comes.
    pub fn follow(&self, account: AccountId, after: Position) -> Follower {
        self.inner.hub.follow(account, after)
    }

    /// Marks one more connection of the account as present here, until the guard is dropped.
    pub fn arrive(&self, account: AccountId) -> Present {
        self.inner.presence.arrive(account)
    }

    /// Who is connected, anywhere in the cluster; sorted.
    pub fn online(&self) -> Vec<AccountId> {
        self.inner.presence.everywhere()
    }

    /// Whether it may be looked at that an account types, wherever it says so: not if it often was just now.
    pub fn begins_typing(&self, account: AccountId) -> bool {
        self.inner.typing.begin(account)
    }

    /// Tells those who should see it, at whichever server, that somebody types. What is one too many is dropped.
    pub fn tell_typing(&self, notice: typing::Notice) {
        if self.inner.typing.take(notice) {
            self.inner.hub.tell_typing(notice);
        }
    }

    /// Why this server is not a member of the cluster any more, if so; changes are seen.
    pub fn retired(&self) -> watch::Receiver<Option<String>> {
        self.inner.engine.retired()
    }

    /// The cluster's condition, as this server sees it; changes are seen.
    pub fn condition(&self) -> tokio::sync::watch::Receiver<Condition> {
        self.inner.engine.condition()
    }

    /// The client addresses of all servers.
    pub fn client_addresses(&self) -> Vec<String> {
        let peers = self.inner.engine.overview().peers;
        peers.into_iter().map(|peer| peer.member.client_address).filter(|address| !address.is_empty()).collect()
    }
}

/// Attempts until one gives an answer. One that stalls, as with a leader that is frozen or cut off, is given up for the
/// next: by then another may lead.
async fn until_known<F: Future<Output = Option<u64>>>(mut attempt: impl FnMut() -> F) -> u64 {
    loop {
        if let Ok(Some(index)) = timeout(ATTEMPT_TIMEOUT, attempt()).await {
            return index;
        }
        sleep(READ_INDEX_RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_good_for_all_who_came_before_the_question() {
        let asking = Asking::default();
        let asked = Cell::new(0);
        let start = Instant::now();
        let one = |after_ms: u64| {
            let (asking, asked) = (&asking, &asked);
            async move {
                sleep(Duration::from_millis(after_ms)).await;
                let ask = async {
                    asked.set(asked.get() + 1);
                    let answer = asked.get();
                    sleep(Duration::from_millis(100)).await;
                    answer
                };
                (asking.answer(ask).await, start.elapsed().as_millis())
            }
        };
        // The first asks; whoever comes meanwhile may not rely on that, and all of them on the next.
        let all = futures::future::join_all([0, 10, 20, 99, 110].map(one)).await;
        assert_eq!(all, [(1, 100), (2, 200), (2, 200), (2, 200), (3, 300)]);
        // One that is given up holds up nobody.
        assert!(timeout(Duration::from_millis(10), asking.answer(std::future::pending())).await.is_err());
        assert_eq!(one(0).await.0, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_stalls_does_not_hold_a_read() {
        let mut attempts = 0;
        let known = until_known(|| {
            attempts += 1;
            match attempts {
                1 => std::future::pending().left_future(),
                2 => std::future::ready(None).right_future(),
                _ => std::future::ready(Some(7)).right_future(),
            }
        });
        let start = Instant::now();
        assert_eq!(known.await, 7);
        assert!(start.elapsed() < 2 * ATTEMPT_TIMEOUT);
    }
}
