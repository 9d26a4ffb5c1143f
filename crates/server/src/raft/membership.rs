//! Changes of the configuration: who is a member, who has a vote.
//!
//! A newcomer is a learner until it has caught up, then a voter, in the place of the server of its name that lost its
//! directory: one joint change. One change at a time; a change that a dead leader left half done is finished by the next one.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use openraft::{ChangeMembers, async_runtime::WatchReceiver as _};
use threefold_proto::peer;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Engine, EngineError, Peer, Role,
    types::{Member, RaftLogId},
};
use crate::{ambient, peer::channels::Lane};

/// A learner that is at most this many entries behind may become a voter.
const LAG_ENTRIES: u64 = 100;
/// A learner is watched this long; then it must ask again, so that one that is gone does not keep others waiting.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(30);
/// The learner is looked at this often.
const CATCH_UP_POLL: Duration = Duration::from_millis(20);
/// A server that is to be replaced has this long to show that it still lives.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);
/// The configuration is looked at this often for changes half done.
const HALF_DONE_POLL: Duration = Duration::from_millis(500);

/// What becomes of a server that asks to be admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is a voter.
    Admitted,
    /// It is being admitted; ask again.
    Pending,
    /// This server does not lead; the one given does, as far as it knows.
    NotLeader(Option<Member>),
}

impl Engine {
    /// Admits a server (if this one leads): as a learner until it has caught up, then as a voter, in the place of
    /// any other server of the same name. Also takes note of a member's new addresses.
    pub async fn admit(self: &Arc<Self>, id: u64, member: Member) -> Admission {
        let overview = self.overview();
        if overview.role != Role::Leader {
            let leader = overview.peers.into_iter().find(|peer| Some(peer.id) == overview.leader);
            return Admission::NotLeader(leader.map(|peer| peer.member));
        }
        if self.has_vote(id, &member) && namesakes(&overview.peers, id, &member).next().is_none() {
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
        let peers = self.overview().peers;
        let known = peers.iter().find(|peer| peer.id == id);
        for namesake in namesakes(&peers, id, &member) {
            if namesake.id == self.id || self.lives(namesake).await {
                let name = &member.name;
                return Err(EngineError(format!("a server called {name} is running with another directory")));
            }
        }
        let noted = match known {
            Some(known) if known.member.is_at(&member) => 0,
            Some(known) => {
                let moved = Member { standing: known.member.standing, ..member.clone() };
                self.change(ChangeMembers::SetNodes([(id, moved)].into())).await?
            }
            None => {
                tracing::info!(server = %member.name, id, "admitting a server");
                self.change(ChangeMembers::AddNodes([(id, member.clone())].into())).await?
            }
        };
        self.catch_up(id, noted).await?;
        let peers = self.overview().peers;
        let removed = namesakes(&peers, id, &member).map(|peer| peer.id).collect::<BTreeSet<_>>();
        let voters = peers.iter().filter(|peer| peer.voter).map(|peer| peer.id).chain([id]);
        let voters = voters.filter(|voter| !removed.contains(voter)).collect::<BTreeSet<_>>();
        let _paused = self.pause_survivor_mode().await?;
        self.change(ChangeMembers::ReplaceAllVoters(voters)).await?;
        // Voters leave with their vote; learners that never got one must be told to.
        let left = self.overview().peers.into_iter().map(|peer| peer.id).filter(|id| removed.contains(id));
        let left = left.collect::<BTreeSet<_>>();
        if !left.is_empty() {
            self.change(ChangeMembers::RemoveNodes(left)).await?;
        }
        tracing::info!(server = %member.name, id, "admitted as a voter");
        Ok(())
    }

    /// Makes a change and gives the log index of the configuration it led to.
    async fn change(&self, change: ChangeMembers<u64, Member>) -> Result<u64, EngineError> {
        let keep_as_learners = false;
        let changed = self.raft().change_membership(change, keep_as_learners).await;
        changed.map(|changed| changed.log_id.index).map_err(|error| EngineError(error.to_string()))
    }

    /// Whether a server has a vote in the configuration that is committed, and that is not half changed; or is awaited, and
    /// gets its vote back when it is in sync.
    fn has_vote(&self, id: u64, member: &Member) -> bool {
        let metrics = self.raft().metrics().borrow_watched().clone();
        let committed = &metrics.committed_membership_config;
        committed.get_joint_config().len() == 1
            && committed.get_node(&id).is_some_and(|known| {
                known.is_at(member) && (known.standing.awaited || committed.voter_ids().any(|voter| voter == id))
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
            let joint = metrics.membership_config.get_joint_config().len() > 1;
            if joint && metrics.state == openraft::ServerState::Leader {
                tracing::info!("finishing a change of the configuration that was left half done");
                if let Err(error) = self.change(ChangeMembers::AddVoterIds(BTreeSet::new())).await {
                    tracing::info!(%error, "cannot finish it yet");
                }
            }
        }
    }
}

/// Other members of the same name.
fn namesakes<'a>(peers: &'a [Peer], id: u64, member: &'a Member) -> impl Iterator<Item = &'a Peer> {
    peers.iter().filter(move |peer| peer.id != id && peer.member.name == member.name)
}
