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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use futures::{FutureExt as _, poll};
    use openraft::{EntryPayload, StoredMembership, Vote};
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;
    use crate::raft::{
        log::LogWatch,
        survivor::configurations::Configurations,
        types::{CommittedLeader, Member, Payload, RaftEntry, RaftMembership, Standing, log_id_from_wire},
    };

    const FOLLOWER: u64 = 2;

    fn id(index: u64) -> RaftLogId {
        RaftLogId::new(CommittedLeader::new(1), index)
    }

    /// A leader's stream to its follower, both in sync: what goes in, and what comes out.
    struct Scene {
        input: mpsc::UnboundedSender<AppendEntriesRequest<TypeConfig>>,
        visible: watch::Sender<Option<RaftLogId>>,
        told: Arc<Told>,
        output: stream::BoxStream<'static, peer::AppendRequest>,
    }

    impl Scene {
        fn new(survivor_mode: bool) -> Self {
            let standing = Standing { in_sync: 1, survivor_mode, ..Standing::default() };
            let node = |id: u64| (id, Member { standing, ..Member::at(format!("server-{id}"), "", "") });
            let nodes = (1..=3).map(node).collect::<BTreeMap<_, _>>();
            let membership = RaftMembership::new(vec![BTreeSet::from([1, 2, 3])], nodes).unwrap();
            let stored = StoredMembership::new(Some(id(1)), membership);
            let configurations = Arc::new(Configurations::new(stored, []));
            let watch = LogWatch { configurations, announcer: Arc::default() };
            let survivor = Arc::new(Survivor::new(1, 1, watch, Arc::default()));
            let (input, requests) = mpsc::unbounded_channel();
            let (visible, seen) = watch::channel(Some(id(1)));
            let (_, answers) = watch::channel(Some(Some(1)));
            let told = survivor.told.clone();
            let sending = Sending { survivor, target: FOLLOWER, answers, visible: seen, told: Some(told.clone()) };
            let output = sending.of(UnboundedReceiverStream::new(requests)).boxed();
            Self { input, visible, told, output }
        }

        /// Asks openraft's part to send the entry `index`, if any, after `prev`, with this commit.
        fn send(&self, prev: u64, entry: Option<u64>, commit: u64) {
            let payload = || EntryPayload::Normal(Payload(bytes::Bytes::from_static(b"entry")));
            let entries = entry.map(|index| RaftEntry { log_id: id(index), payload: payload() });
            let request = AppendEntriesRequest {
                vote: Vote::new_committed(1, 1),
                prev_log_id: Some(id(prev)),
                entries: entries.into_iter().collect(),
                leader_commit: Some(id(commit)),
            };
            self.input.send(request).unwrap();
        }

        /// What is sent without waiting for anything: how many entries, up to where committed, and visible.
        async fn sent(&mut self) -> Option<(usize, u64, u64)> {
            let sent = self.output.next().now_or_never()??;
            let index = |log_id: Option<peer::LogId>| log_id.map_or(0, |log_id| log_id_from_wire(log_id).index);
            Some((sent.entries.len(), index(sent.leader_commit), index(sent.visible)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_is_told_together_with_its_visibility() {
        let mut scene = Scene::new(true);
        scene.send(1, Some(2), 1);
        assert_eq!(scene.sent().await, Some((1, 1, 1)));
        assert!(!scene.told.covers(FOLLOWER, id(2)), "somebody else must tell");
        scene.send(2, None, 2);
        let mut next = Box::pin(scene.output.next());
        assert!(poll!(&mut next).is_pending());
        assert!(scene.told.covers(FOLLOWER, id(2)), "this is about to");
        scene.visible.send_replace(Some(id(2)));
        let sent = next.await.unwrap();
        assert_eq!((sent.leader_commit, sent.visible), (sent.visible, sent.leader_commit), "both at once");
        assert!(scene.told.covers(FOLLOWER, id(2)) && !scene.told.covers(FOLLOWER, id(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_waits_holds_up_no_entry_and_waits_not_for_long() {
        let mut scene = Scene::new(true);
        scene.send(1, Some(2), 1);
        assert_eq!(scene.sent().await, Some((1, 1, 1)));
        scene.send(2, None, 2);
        assert_eq!(scene.sent().await, None);
        scene.send(2, Some(3), 2);
        assert_eq!(scene.sent().await, Some((0, 2, 1)));
        assert_eq!(scene.sent().await, Some((1, 2, 1)));
        scene.send(3, None, 3);
        assert_eq!(scene.sent().await, None);
        let began = tokio::time::Instant::now();
        assert!(scene.output.next().await.is_some());
        assert!(began.elapsed() <= HOLD + Duration::from_millis(1));
        assert!(!scene.told.covers(FOLLOWER, id(3)));
    }

    #[tokio::test]
    async fn a_probe_and_what_plain_raft_commits_do_not_wait() {
        let mut scene = Scene::new(true);
        scene.send(5, None, 6);
        assert_eq!(scene.sent().await, Some((0, 6, 1)), "nothing was sent before");
        let mut scene = Scene::new(false);
        scene.send(1, Some(2), 1);
        assert!(scene.sent().await.is_some());
        scene.send(2, None, 2);
        assert_eq!(scene.sent().await, Some((0, 2, 1)));
    }

    #[tokio::test]
    async fn a_stream_that_ends_while_a_commit_waits_leaves_it_to_others() {
        let mut scene = Scene::new(true);
        scene.send(1, Some(2), 1);
        assert!(scene.sent().await.is_some());
        scene.send(2, None, 2);
        assert_eq!(scene.sent().await, None);
        assert!(scene.told.covers(FOLLOWER, id(2)));
        drop(scene.output);
        assert!(!scene.told.covers(FOLLOWER, id(2)));
    }
}
