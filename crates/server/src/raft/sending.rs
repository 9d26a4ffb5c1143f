//! The appends to one follower, in order, and what they tell beside entries.
//!
//! An entry is committed a moment before it is visible. openraft tells each commit in a request of its own when there are no
//! new entries to tell it with; in survivor mode nothing can be done with it before the entry is visible. So such a request waits for that
//! moment and tells both, instead of two messages one after the other: half the wake-ups of a cluster that has little
//! to do. It never waits for long, nor holds up a later request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream};
use openraft::raft::AppendEntriesRequest;
use threefold_proto::peer;
use tokio::{sync::watch, time::sleep};

use super::{
    network::append_to_wire,
    survivor::Survivor,
    types::{RaftLogId, TypeConfig},
};

/// A commit waits no longer than this for its visibility: a server in sync may be slow or gone.
const HOLD: Duration = Duration::from_millis(20);

/// What followers were told by the appends to them: nobody else needs to tell them again.
#[derive(Debug, Default)]
pub struct Told {
    followers: Mutex<BTreeMap<u64, Telling>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Telling {
    /// The visible log id in the last request that was sent.
    told: Option<RaftLogId>,
    /// A commit that is told as soon as it is visible.
    held: Option<RaftLogId>,
}

impl Told {
    fn followers(&self) -> MutexGuard<'_, BTreeMap<u64, Telling>> {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream begins: what earlier ones told may not have arrived.
    fn begin(&self, follower: u64) {
        self.followers().insert(follower, Telling::default());
    }

    fn note(&self, follower: u64, visible: Option<RaftLogId>) {
        self.followers().entry(follower).or_default().told = visible;
    }

    fn hold(self: &Arc<Self>, follower: u64, commit: RaftLogId) -> Hold {
        self.followers().entry(follower).or_default().held = Some(commit);
        Hold { told: self.clone(), follower }
    }

    /// Whether the appends to this follower have told, or are about to tell, that everything up to here is visible.
    pub fn covers(&self, follower: u64, visible: RaftLogId) -> bool {
        let telling = self.followers().get(&follower).copied().unwrap_or_default();
        telling.told >= Some(visible) || telling.held.is_some_and(|held| held <= visible)
    }
}

/// While this is held, a commit waits for its visibility.
struct Hold {
    told: Arc<Told>,
    follower: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.told.followers().entry(self.follower).or_default().held = None;
    }
}

/// Where appends go, and what they wait for.
pub struct Sending {
    /// The rules, and what was told.
    pub survivor: Arc<Survivor>,
    /// The follower.
    pub target: u64,
    /// The incarnation that answers, once it does; none in it: it did not say.
    pub answers: watch::Receiver<Option<Option<u64>>>,
    /// What may be shown.
    pub visible: watch::Receiver<Option<RaftLogId>>,
    /// Where what was told is noted; none: this stream is not the one that the follower's entries go over.
    pub told: Option<Arc<Told>>,
}

/// The requests of one stream, and how far they are.
struct Requests<S> {
    input: stream::Fuse<S>,
    /// Taken from the input while one before it waited.
    next: Option<AppendEntriesRequest<TypeConfig>>,
    /// The last entry sent.
    sent: Option<RaftLogId>,
    sending: Sending,
}

impl Sending {
    /// The requests as they are sent.
    pub fn of<S>(self, input: S) -> impl Stream<Item = peer::AppendRequest> + Send + 'static
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        if let Some(told) = &self.told {
            told.begin(self.target);
        }
        let requests = Requests { input: input.fuse(), next: None, sent: None, sending: self };
        stream::unfold(requests, |mut requests| async move { Some((requests.next().await?, requests)) })
    }

    /// Rule 3: entries wait until they may be sent to a server that is not in sync.
    async fn wait_until_sendable(&mut self, request: &AppendEntriesRequest<TypeConfig>) {
        let Some(last) = request.entries.last() else { return };
        // If the call fails, so does the stream that waits here: it is dropped.
        let Ok(counter) = self.answers.wait_for(Option::is_some).await.map(|answer| answer.flatten()) else { return };
        let term = request.vote.leader_id.term;
        self.survivor.wait_until_sendable(term, self.target, counter, last.log_id.index).await;
    }
}

impl<S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin> Requests<S> {
    async fn next(&mut self) -> Option<peer::AppendRequest> {
        let request = match self.next.take() {
            Some(request) => request,
            None => self.input.next().await?,
        };
        self.sending.wait_until_sendable(&request).await;
        if let Some(commit) = self.commit_to_hold(&request) {
            let _hold = self.sending.told.as_ref().map(|told| told.hold(self.sending.target, commit));
            tokio::select! {
                biased;
                _ = self.sending.visible.wait_for(|visible| *visible >= Some(commit)) => {}
                next = self.input.next() => self.next = next,
                () = sleep(HOLD) => {}
            }
        }
        self.sent = request.entries.last().map(|entry| entry.log_id).or(self.sent);
        let visible = *self.sending.visible.borrow();
        if let Some(told) = &self.sending.told {
            told.note(self.sending.target, visible);
        }
        Some(append_to_wire(&request, visible))
    }

    /// The commit that is all a request tells, if it is of no use to the follower yet.
    fn commit_to_hold(&self, request: &AppendEntriesRequest<TypeConfig>) -> Option<RaftLogId> {
        // One that probes is not held: only what this stream has sent before is surely there.
        let tells_only_a_commit = request.entries.is_empty() && self.sent.is_some() && request.prev_log_id == self.sent;
        let commit = request.leader_commit.filter(|_| tells_only_a_commit)?;
        let is_hidden = *self.sending.visible.borrow() < Some(commit);
        (is_hidden && !self.sending.survivor.log_watch.configurations.is_plain_at(commit.index)).then_some(commit)
    }
}
