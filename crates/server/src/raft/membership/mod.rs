//! Changes of the configuration: who is a member, who has a vote.
//!
//! A newcomer is a learner until it has caught up, then a voter, in the place of the server of its name that lost its
//! directory, or of the one an operator named: one joint change. One change at a time; a change that a dead leader left
//! half done is finished by the next one. What operators ask for is in [`operator`].

pub mod operator;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use openraft::{ChangeMembers, Precondition, ReadPolicy, async_runtime::WatchReceiver as _};
use threefold_proto::peer;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Engine, EngineError, Peer, Role,
    roll::Word,
    types::{Member, RaftLogId, RaftStoredMembership, Standing},
};
use crate::{ambient, peer::channels::Lane};

/// A learner that is at most this many entries behind may become a voter.
const LAG_ENTRIES: u64 = 100;
/// A learner is watched this long; then it must ask again, so that one that is gone does not keep others waiting.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(30);
/// The learner is looked at this often.
const CATCH_UP_POLL: Duration = Duration::from_millis(20);
/// A server has this long to show that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);
/// Death streams stand within this, or a link gives none.
const STREAMS_PATIENCE: Duration = Duration::from_secs(2);
/// The configuration is looked at this often for changes half done.
const HALF_DONE_POLL: Duration = Duration::from_millis(500);
/// A leader that cannot confirm within this that it leads is cut off.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(3);

/// What becomes of a server that asks to be admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is a voter.
    Admitted,
    /// It is being admitted; ask again.
    Pending,
    /// It may not join, and why.
    Refused(String),
    /// An operator has removed it.
    Removed,
    /// This server does not lead; the one given does, as far as it knows.
    NotLeader(Option<Member>),
}

impl Engine {
    /// Admits a server (if this one leads): as a learner until it has caught up, then as a voter, in the place of
    /// any other server of the same name and of the one an operator named. Also takes note of a member's new addresses.
    pub async fn admit(self: &Arc<Self>, id: u64, member: Member) -> Admission {
        let overview = self.overview();
        if overview.role != Role::Leader {
            let leader = overview.peers.into_iter().find(|peer| Some(peer.id) == overview.leader);
            return Admission::NotLeader(leader.map(|peer| peer.member));
        }
        if let Some(refusal) = self.objection(&overview.peers, id, &member) {
            return refusal;
        }
        if self.has_vote(id, &member) && self.leaving(&overview.peers, id, &member).is_empty() {
            return Admission::Admitted;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            // A newcomer that asks again meanwhile is told to wait.
            let Ok(_changing) = engine.changing.try_lock() else { return };
            if let Err(error) = engine.change_for(id, member.clone()).await {
                tracing::warn!(server = %member.name, %error, "cannot admit the server yet");
            }
        });
        Admission::Pending
    }

    async fn change_for(&self, id: u64, member: Member) -> Result<(), EngineError> {
        // An operator's word that was acknowledged is known after this, whoever led then.
        self.confirm().await?;
        let base = self.configuration();
        let peers = peers_of(&base);
        match self.objection(&peers, id, &member) {
            Some(Admission::Refused(why)) => return Err(EngineError(why)),
            Some(_) => return Err(EngineError("an operator has removed it".to_owned())),
            None => {}
        }
        for namesake in namesakes(&peers, id, &member) {
            if namesake.id == self.id || self.lives(namesake).await {
                let name = &member.name;
                return Err(EngineError(format!("a server called {name} is running with another directory")));
            }
        }
        let noted = match peers.iter().find(|peer| peer.id == id) {
            Some(known) if known.member.is_at(&member) => 0,
            Some(known) => {
                let moved = Member { standing: known.member.standing, ..member.clone() };
                place_of(&self.change(&base, ChangeMembers::SetNodes([(id, moved)].into())).await?)
            }
            None => {
                tracing::info!(server = %member.name, id, "admitting a server");
                // The switch of survivor mode must outlive the servers that bear it.
                let standing = Standing { survivor_mode: survivor_mode(&base), ..Standing::default() };
                let newcomer = Member { standing, ..member.clone() };
                place_of(&self.change(&base, ChangeMembers::AddNodes([(id, newcomer)].into())).await?)
            }
        };
        self.catch_up(id, noted).await?;
        // Where a sole survivor waits for it, it gets its vote back with its place in the in-sync set, in one change (rule 8).
        let is_awaited = peers.iter().any(|peer| peer.id == id && peer.member.standing.awaited);
        if is_awaited && self.configurations().newest().rule.survivor_mode {
            return Ok(());
        }
        self.wait_for_streams(id).await;
        self.give_vote(id, &member).await
    }

    /// Waits, not for long, until the death streams to and from a newcomer stand: survivor mode pauses for the change of the voters, and
    /// begins again only with them.
    async fn wait_for_streams(&self, id: u64) {
        let deaths = &self.survivor.deaths;
        let stand = async {
            let mut changes = deaths.changes();
            loop {
                let run = deaths.latest(id).filter(|run| deaths.standing().contains(run));
                if run.is_some_and(|run| deaths.standing_at(run).contains(&self.survivor.own.incarnation)) {
                    return;
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = timeout(STREAMS_PATIENCE, stand).await;
    }

    /// Makes a learner that has caught up a voter, and lets those go whose place it takes.
    async fn give_vote(&self, id: u64, member: &Member) -> Result<(), EngineError> {
        let base = self.configuration();
        let peers = peers_of(&base);
        let leaving = self.leaving(&peers, id, member);
        let voters = peers.iter().filter(|peer| peer.voter).map(|peer| peer.id).chain([id]);
        let voters = voters.filter(|voter| !leaving.contains(voter)).collect::<BTreeSet<_>>();
        if leaving.contains(&self.id) {
            let heir = self.transfer_to(&voters).await;
            return Err(EngineError(format!("the leader itself is replaced, and hands over first: {heir:?}")));
        }
        let base = self.change_voters(base, &peers, voters).await?;
        // Voters leave with their vote; learners that never got one must be told to.
        let left = peers_of(&base).into_iter().map(|peer| peer.id).filter(|id| leaving.contains(id));
        let left = left.collect::<BTreeSet<_>>();
        if !left.is_empty() {
            self.change(&base, ChangeMembers::RemoveNodes(left)).await?;
        }
        tracing::info!(server = %member.name, id, "admitted as a voter");
        Ok(())
    }

    /// Changes who votes, unless it stays the same: the one place that does. Those who lose their vote are no members any
    /// more. Gives the configuration that this led to.
    async fn change_voters(
        &self,
        base: RaftStoredMembership,
        peers: &[Peer],
        voters: BTreeSet<u64>,
    ) -> Result<RaftStoredMembership, EngineError> {
        let now = peers.iter().filter(|peer| peer.voter).map(|peer| peer.id).collect::<BTreeSet<_>>();
        if now == voters {
            return Ok(base);
        }
        // Who is in sync follows from who votes: survivor mode begins again by itself, among the new voters.
        let _paused = self.pause_survivor_mode().await?;
        let base = self.configuration();
        if base.membership().nodes().any(|(_, member)| member.standing.in_sync != 0) {
            return Err(EngineError("survivor mode was just beginning".to_owned()));
        }
        self.change(&base, ChangeMembers::ReplaceAllVoters(voters)).await
    }

    /// Writes a configuration that differs from `base` by `change`, and gives what it led to. Every configuration is
    /// written here, and only if the newest one is still `base`: a change that somebody else made meanwhile is not
    /// overwritten.
    pub(super) async fn change(
        &self,
        base: &RaftStoredMembership,
        change: ChangeMembers<u64, Member>,
    ) -> Result<RaftStoredMembership, EngineError> {
        let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: *base.log_id() };
        let keep_as_learners = false;
        let changed = self.raft().change_membership_if(change, keep_as_learners, [unchanged]).await;
        let changed = changed.map_err(|error| EngineError(error.to_string()))?;
        let membership = changed.membership.unwrap_or_else(|| base.membership().clone());
        Ok(RaftStoredMembership::new(Some(changed.log_id), membership))
    }

    /// The newest configuration in this server's log: what a change is based on.
    pub(super) fn configuration(&self) -> RaftStoredMembership {
        self.configurations().newest().stored
    }

    /// Waits until this server has a majority's word that it leads, and has applied everything committed before.
    async fn confirm(&self) -> Result<(), EngineError> {
        match timeout(CONFIRM_PATIENCE, self.raft().ensure_linearizable(ReadPolicy::ReadIndex)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(EngineError(error.to_string())),
            Err(_) => Err(EngineError("no majority confirms that this server leads".to_owned())),
        }
    }

    /// What an operator has said against a server that is not a member, neither by its id nor by its name.
    fn objection(&self, peers: &[Peer], id: u64, member: &Member) -> Option<Admission> {
        if peers.iter().any(|peer| peer.id == id || peer.member.name == member.name) {
            return None;
        }
        match self.cluster.word_on(&member.name)? {
            Word::Removed => Some(Admission::Removed),
            Word::Invited { peer_address, .. } if peer_address != member.peer_address => {
                let Member { name, peer_address: actual, .. } = member;
                Some(Admission::Refused(format!(
                    "{name} was to join at {peer_address}, but says that it is at {actual}"
                )))
            }
            Word::Invited { .. } => None,
        }
    }

    /// Whose place a server takes: that of its name's other directories, and of the one an operator named. (Who was
    /// invited again since then stays.)
    fn leaving(&self, peers: &[Peer], id: u64, member: &Member) -> BTreeSet<u64> {
        let replaced = match self.cluster.word_on(&member.name) {
            Some(Word::Invited { in_place_of: Some(old), .. }) if self.cluster.word_on(&old) == Some(Word::Removed) => {
                Some(old)
            }
            _ => None,
        };
        let replaced = peers.iter().filter(|peer| peer.id != id && Some(&peer.member.name) == replaced.as_ref());
        namesakes(peers, id, member).chain(replaced).map(|peer| peer.id).collect()
    }

    /// Whether a server has a vote in the configuration that is committed, and that is not half changed; or is awaited, and
    /// gets its vote back when it is in sync. (Where survivor mode cannot give it back, for there are not three chosen voters,
    /// it is admitted like any other.)
    fn has_vote(&self, id: u64, member: &Member) -> bool {
        let metrics = self.raft().metrics().borrow_watched().clone();
        let committed = &metrics.committed_membership_config;
        let takes_back = self.configurations().newest().rule.survivor_mode;
        let is_awaited = |known: &Member| takes_back && known.standing.awaited;
        committed.get_joint_config().len() == 1
            && committed.get_node(&id).is_some_and(|known| {
                known.is_at(member) && (is_awaited(known) || committed.voter_ids().any(|voter| voter == id))
            })
    }

    /// Whether a server still runs on the directory it was a member with.
    async fn lives(&self, peer: &Peer) -> bool {
        let mut client = self.channels.client(&peer.member, Lane::Control);
        let status = timeout(SIGN_OF_LIFE, client.status(peer::PeerStatusRequest {})).await;
        status.ok().and_then(Result::ok).is_some_and(|status| status.into_inner().node_id == peer.id)
    }

    /// Waits until a server has nearly everything, and at least what stands at `at_least`: what it had before a change
    /// of its address says nothing about whether it is reached at the new one.
    async fn catch_up(&self, id: u64, at_least: u64) -> Result<(), EngineError> {
        let give_up = Instant::now() + CATCH_UP_PATIENCE;
        while Instant::now() < give_up {
            let metrics = self.raft().metrics().borrow_watched().clone();
            let replication =
                metrics.replication.ok_or_else(|| EngineError("this server no longer leads".to_owned()))?;
            let matched: Option<RaftLogId> = replication.get(&id).copied().flatten();
            let last = metrics.last_log_index.unwrap_or(0);
            if matched.is_some_and(|matched| matched.index >= at_least && matched.index + LAG_ENTRIES >= last) {
                return Ok(());
            }
            sleep(CATCH_UP_POLL).await;
        }
        Err(EngineError("it is still catching up".to_owned()))
    }

    /// Finishes, while this server leads, what a dead leader left half done: a joint configuration, or a founding
    /// without a recovery id. Runs for ever.
    pub async fn finish_changes(self: Arc<Self>) {
        loop {
            sleep(HALF_DONE_POLL).await;
            let Ok(_changing) = self.changing.try_lock() else { continue };
            let metrics = self.raft().metrics().borrow_watched().clone();
            if metrics.state == openraft::ServerState::Leader
                && metrics.last_applied.is_some()
                && self.cluster.recovery_id().is_empty()
                && let Ok(recovery_id) = ambient::random()
                && let Err(error) = self.found(recovery_id).await
            {
                tracing::info!(%error, "cannot give the cluster its recovery id yet");
            }
            let base = self.configuration();
            let joint = base.membership().get_joint_config().len() > 1;
            if joint && metrics.state == openraft::ServerState::Leader {
                tracing::info!("finishing a change of the configuration that was left half done");
                if let Err(error) = self.change(&base, ChangeMembers::AddVoterIds(BTreeSet::new())).await {
                    tracing::info!(%error, "cannot finish it yet");
                }
            }
        }
    }
}

/// The members of a configuration.
pub(super) fn peers_of(configuration: &RaftStoredMembership) -> Vec<Peer> {
    let voters = configuration.membership().voter_ids().collect::<BTreeSet<_>>();
    let nodes = configuration.membership().nodes();
    nodes.map(|(id, member)| Peer { id: *id, member: member.clone(), voter: voters.contains(id) }).collect()
}

/// The index at which a configuration stands.
fn place_of(configuration: &RaftStoredMembership) -> u64 {
    configuration.log_id().map_or(0, |log_id| log_id.index)
}

/// The switch of survivor mode.
pub(super) fn survivor_mode(configuration: &RaftStoredMembership) -> bool {
    configuration.membership().nodes().any(|(_, member)| member.standing.survivor_mode)
}

/// All servers, with the switch of survivor mode on or off. When it is off, nobody is in sync, and nobody is awaited.
fn switched(configuration: &RaftStoredMembership, on: bool) -> BTreeMap<u64, Member> {
    let standing = |standing: Standing| {
        if on { Standing { survivor_mode: true, ..standing } } else { Standing::default() }
    };
    let nodes = configuration.membership().nodes();
    nodes.map(|(id, member)| (*id, Member { standing: standing(member.standing), ..member.clone() })).collect()
}

/// Other members of the same name.
fn namesakes<'a>(peers: &'a [Peer], id: u64, member: &'a Member) -> impl Iterator<Item = &'a Peer> {
    peers.iter().filter(move |peer| peer.id != id && peer.member.name == member.name)
}
