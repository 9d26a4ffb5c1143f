//! What operators ask of the cluster: who may join, who leaves, who leads, and the switch of survivor mode.
//!
//! Promises: an order is carried out by the leader, is the same when it is given twice, and is refused, with the
//! reason and without any change, where it would leave the cluster without a living majority. An operator's word is
//! replicated before it is acknowledged.

use std::collections::BTreeSet;

use futures::future::join_all;
use openraft::{ChangeMembers, async_runtime::WatchReceiver as _};
use tokio::time::{Duration, timeout};

use super::{peers_of, survivor_mode, switched};
use crate::{
    peer::certs,
    raft::{
        Engine, EngineError, Peer, Role,
        roll::{self, Word},
        types::{Member, RaftLogId},
    },
};

/// An order waits this long for another change to end.
const TURN_PATIENCE: Duration = Duration::from_secs(10);
/// Another server takes over within this, or it could not.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(3);

/// What an operator asks for. Servers are called by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A server may join; it is admitted when it asks.
    Invite {
        /// Its name.
        name: String,
        /// Where it will be (host:port).
        peer_address: String,
        /// Whose place it takes; none: the cluster grows.
        in_place_of: Option<String>,
    },
    /// A server leaves.
    Remove {
        /// Its name.
        name: String,
    },
    /// Another server leads.
    TransferLeader {
        /// Its name; none: whichever is furthest.
        to: Option<String>,
    },
    /// Survivor mode is on, or off.
    SurvivorMode {
        /// Which.
        on: bool,
    },
    /// Nothing changes.
    Look,
}

/// Why an order was not carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// It makes no sense, or would do harm; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Not now; it may have been carried out in part, or will be. Ask again.
    #[error("{0}")]
    Unavailable(String),
    /// This server does not lead; the one given does, as far as it knows.
    #[error("this server does not lead")]
    NotLeader(Option<Member>),
}

impl From<EngineError> for Declined {
    fn from(error: EngineError) -> Self {
        Self::Unavailable(error.0)
    }
}

impl Engine {
    /// Carries out an order, if this server leads. Says, in a sentence, how things are then.
    ///
    /// # Errors
    /// When it is refused, cannot be carried out now, or is for the leader.
    pub async fn order(&self, order: &Order) -> Result<String, Declined> {
        let overview = self.overview();
        if overview.role != Role::Leader {
            let leader = overview.peers.into_iter().find(|peer| Some(peer.id) == overview.leader);
            return Err(Declined::NotLeader(leader.map(|peer| peer.member)));
        }
        let turn = timeout(TURN_PATIENCE, self.changing.lock()).await;
        let _changing = turn.map_err(|_| Declined::Unavailable("another change is under way".to_owned()))?;
        self.confirm().await?;
        let peers = peers_of(&self.configuration());
        match order {
            Order::Invite { name, peer_address, in_place_of } => {
                self.invite(&peers, name, peer_address, in_place_of.as_deref()).await
            }
            Order::Remove { name } => self.remove(&peers, name).await,
            Order::TransferLeader { to } => self.transfer_leader(&peers, to.as_deref()).await,
            Order::SurvivorMode { on } => self.set_survivor_mode(*on).await,
            Order::Look => Ok(String::new()),
        }
    }

    /// The switch of survivor mode, as this server knows it.
    pub fn survivor_mode(&self) -> bool {
        survivor_mode(&self.configuration())
    }

    async fn invite(
        &self,
        peers: &[Peer],
        name: &str,
        peer_address: &str,
        in_place_of: Option<&str>,
    ) -> Result<String, Declined> {
        certs::check_server_name(name).map_err(|error| Declined::Refused(error.to_string()))?;
        let known = peers.iter().find(|peer| peer.member.name == name);
        let at_address = peers.iter().find(|peer| peer.member.peer_address == peer_address && peer.member.name != name);
        if let Some(other) = at_address {
            return Err(Declined::Refused(format!("{} is at {peer_address} already", other.member.name)));
        }
        match (known, in_place_of) {
            (Some(_), Some(old)) if name == old => {
                return Err(Declined::Refused(format!(
                    "{name} cannot replace itself: a server that is started with an empty directory takes its old place"
                )));
            }
            (Some(known), None) if known.member.peer_address != peer_address => {
                return Err(Declined::Refused(format!(
                    "{name} is a member already, at {}: a server that moves is started with its new address, and says so",
                    known.member.peer_address
                )));
            }
            (Some(known), Some(old)) if known.voter && peers.iter().any(|peer| peer.member.name == old) => {
                return Err(Declined::Refused(format!("{name} is a member already: remove {old} to let it go")));
            }
            (Some(known), _) if known.voter => return Ok(format!("{name} is a member")),
            (_, Some(old)) => {
                let Some(old) = peers.iter().find(|peer| peer.member.name == old) else {
                    return Err(unknown(peers, old));
                };
                self.say(&old.member.name, Word::Removed).await?;
            }
            (_, None) => {}
        }
        let word = Word::Invited { peer_address: peer_address.to_owned(), in_place_of: in_place_of.map(str::to_owned) };
        self.say(name, word).await?;
        let place = in_place_of.map_or(String::new(), |old| format!(", in the place of {old}"));
        Ok(format!("{name} may join at {peer_address}{place}: it is admitted once it runs and has caught up"))
    }

    async fn remove(&self, peers: &[Peer], name: &str) -> Result<String, Declined> {
        let ids = peers.iter().filter(|peer| peer.member.name == name).map(|peer| peer.id).collect::<BTreeSet<_>>();
        if ids.is_empty() {
            return match self.cluster.word_on(name) {
                Some(Word::Removed) => Ok(format!("{name} is removed")),
                Some(Word::Invited { .. }) => {
                    self.say(name, Word::Removed).await?;
                    Ok(format!("{name} may no longer join; it never did"))
                }
                None => Err(unknown(peers, name)),
            };
        }
        let voters = peers.iter().filter(|peer| peer.voter).map(|peer| peer.id).collect::<BTreeSet<_>>();
        let remaining = voters.difference(&ids).copied().collect::<BTreeSet<_>>();
        if remaining.is_empty() {
            return Err(Declined::Refused(format!("{name} is the only server: the cluster would end with it")));
        }
        if remaining != voters {
            self.keeps_a_living_majority(peers, &remaining, name).await?;
        }
        if ids.contains(&self.id) {
            let heir = self.transfer_to(&remaining).await?;
            return Err(Declined::NotLeader(Some(heir)));
        }
        // First the word, so that it does not come back between the two.
        self.say(name, Word::Removed).await?;
        // Also one that a sole survivor waits for is one of those that survivor mode counts on.
        let _paused = self.pause_survivor_mode().await?;
        let base = self.change_voters(self.configuration(), peers, remaining).await?;
        // Voters leave with their vote.
        let left =
            peers_of(&base).into_iter().map(|peer| peer.id).filter(|id| ids.contains(id)).collect::<BTreeSet<_>>();
        if !left.is_empty() {
            self.change(&base, ChangeMembers::RemoveNodes(left)).await?;
        }
        tracing::info!(server = %name, "removed a server, as an operator wants it");
        Ok(format!("{name} is removed"))
    }

    /// Refuses a change after which those who vote could not decide anything.
    async fn keeps_a_living_majority(
        &self,
        peers: &[Peer],
        remaining: &BTreeSet<u64>,
        without: &str,
    ) -> Result<(), Declined> {
        let voters = peers.iter().filter(|peer| remaining.contains(&peer.id));
        let looks = voters.map(|peer| async move { (&peer.member.name, peer.id == self.id || self.lives(peer).await) });
        let looks = join_all(looks).await;
        let silent = looks.iter().filter(|(_, lives)| !lives).map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        let (all, living) = (looks.len(), looks.len() - silent.len());
        if living > all / 2 {
            return Ok(());
        }
        let silent = silent.join(", ");
        Err(Declined::Refused(format!(
            "without {without} only {living} of {all} servers would be up, which is no majority, and the cluster could not \
             go on: start {silent} first, or remove what is down first"
        )))
    }

    async fn transfer_leader(&self, peers: &[Peer], to: Option<&str>) -> Result<String, Declined> {
        let heirs = match to {
            None => peers.iter().filter(|peer| peer.voter && peer.id != self.id).map(|peer| peer.id).collect(),
            Some(name) => {
                let Some(heir) = peers.iter().find(|peer| peer.member.name == name) else {
                    return Err(unknown(peers, name));
                };
                if heir.id == self.id {
                    return Ok(format!("{name} leads"));
                }
                if !heir.voter {
                    return Err(Declined::Refused(format!("{name} has no vote yet, and so cannot lead")));
                }
                if !self.may_lead(heir.id) {
                    return Err(Declined::Unavailable(format!("{name} is not in sync yet, and so cannot lead")));
                }
                if !self.lives(heir).await {
                    return Err(Declined::Refused(format!("{name} does not answer, and so cannot lead")));
                }
                BTreeSet::from([heir.id])
            }
        };
        if heirs.is_empty() {
            return Err(Declined::Refused("there is no other server that could lead".to_owned()));
        }
        let heir = self.transfer_to(&heirs).await?;
        Ok(format!("{} leads", heir.name))
    }

    /// Hands leadership to the furthest of `heirs`, and waits until somebody else leads.
    pub(super) async fn transfer_to(&self, heirs: &BTreeSet<u64>) -> Result<Member, Declined> {
        let failed = |why: &str| Declined::Unavailable(why.to_owned());
        let metrics = self.raft().metrics().borrow_watched().clone();
        let replication = metrics.replication.ok_or_else(|| failed("this server no longer leads"))?;
        let matched = |id: &u64| -> Option<RaftLogId> { replication.get(id).copied().flatten() };
        // One that died without missing an entry is as far as any other.
        let peers = peers_of(&self.configuration());
        let heirs =
            peers.iter().filter(|peer| heirs.contains(&peer.id) && peer.id != self.id && self.may_lead(peer.id));
        let heirs = join_all(heirs.map(|peer| async { self.lives(peer).await.then_some(peer.id) })).await;
        let heir = heirs.into_iter().flatten().max_by_key(matched);
        let heir = heir.ok_or_else(|| failed("there is no other server that could lead"))?;
        self.raft().trigger().transfer_leader(heir).await.map_err(|fatal| Declined::Unavailable(fatal.to_string()))?;
        let mut leader = self.leader();
        let others = leader.wait_for(|leader| leader.is_some_and(|leader| leader != self.id));
        let other = match timeout(TRANSFER_PATIENCE, others).await {
            Ok(Ok(other)) => *other,
            Ok(Err(_)) | Err(_) => return Err(failed("no other server has taken over yet")),
        };
        let other = peers.into_iter().find(|peer| Some(peer.id) == other).map(|peer| peer.member);
        other.ok_or_else(|| failed("another server leads, but this one does not know it yet"))
    }

    /// Whether a voter may stand for election, as far as its being in sync goes.
    fn may_lead(&self, id: u64) -> bool {
        let newest = self.configurations().newest().rule;
        newest.is_plain() || newest.in_sync.contains_key(&id)
    }

    async fn set_survivor_mode(&self, on: bool) -> Result<String, Declined> {
        let word = if on { "on" } else { "off" };
        if self.survivor_mode() != on {
            let _paused = self.pause_survivor_mode().await?;
            let base = self.configuration();
            self.change(&base, ChangeMembers::SetNodes(switched(&base, on))).await?;
            tracing::info!("survivor mode was switched {word} by an operator");
        }
        Ok(format!("survivor mode is switched {word}"))
    }

    /// Replicates an operator's word.
    async fn say(&self, name: &str, word: Word) -> Result<(), EngineError> {
        let said = self.raft().client_write(roll::entry(name, &word)).await;
        said.map(drop).map_err(|error| EngineError(error.to_string()))
    }
}

fn unknown(peers: &[Peer], name: &str) -> Declined {
    let names = peers.iter().map(|peer| peer.member.name.as_str()).collect::<BTreeSet<_>>();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    Declined::Refused(format!("no server is called {name}; the members are {names}"))
}
