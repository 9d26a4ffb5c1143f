//! The types openraft is given, and their protobuf forms.
//!
//! Votes, log ids, entries and configurations cross the network and reach the disk in the form of
//! `peer.proto`; this is the only place that converts them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bytes::Bytes;
use openraft::{
    EntryPayload, LogId, OptionalSend, RaftTypeConfig, StoredMembership, Vote,
    impls::{BoxedErrorSource, Entry, InlineBatch, OneshotResponder, leader_id_std},
};

use threefold_core::Reply;
use threefold_proto::peer;

/// One server, as the replicated configuration knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its name, unique among the members; the name its certificate must bear.
    pub name: String,
    /// Where the other servers reach it.
    pub peer_address: String,
    /// Where clients reach it.
    pub client_address: String,
    /// Its part in survivor mode.
    pub standing: Standing,
}

impl Member {
    /// A server at these addresses, with no part in survivor mode.
    #[must_use]
    pub fn at(name: impl Into<String>, peer_address: impl Into<String>, client_address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            peer_address: peer_address.into(),
            client_address: client_address.into(),
            standing: Standing::default(),
        }
    }

    /// Whether both have the same name and addresses.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        (&self.name, &self.peer_address, &self.client_address)
            == (&other.name, &other.peer_address, &other.client_address)
    }
}

/// A server's part in survivor mode, in the replicated configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The incarnation's counter in which it is in sync. Zero: it is not.
    pub in_sync: u64,
    /// An operator chose it as a voter, and a sole survivor went on without it: it votes again when it is back.
    pub awaited: bool,
    /// The switch of survivor mode: on, if any server's is.
    pub survivor_mode: bool,
}

/// What a log entry carries: opaque here, given a meaning by [`super::machine`].
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(pub Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The replies to an entry's commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replies(pub Vec<Reply>);

/// The types of this Raft group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Payload;
    type R = Replies;
    type NodeId = u64;
    type Node = Member;
    type Term = u64;
    // Standard Raft: one leader a term, so that (term, index) names an entry.
    type LeaderId = leader_id_std::LeaderId<u64, u64>;
    type Vote = RaftVote;
    type Payload = EntryPayload<Payload, u64, Member>;
    type Entry = RaftEntry;
    type AsyncRuntime = super::runtime::Runtime;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

/// A vote.
pub type RaftVote = Vote<leader_id_std::LeaderId<u64, u64>>;
/// The leader part of a log id: its term.
pub type CommittedLeader = <leader_id_std::LeaderId<u64, u64> as openraft::vote::RaftLeaderId>::Committed;
/// A log id: term and index.
pub type RaftLogId = LogId<CommittedLeader>;
/// A log entry.
pub type RaftEntry = Entry<CommittedLeader, EntryPayload<Payload, u64, Member>>;
/// A configuration.
pub type RaftMembership = openraft::Membership<u64, Member>;
/// A configuration and the place in the log it stands at.
pub type RaftStoredMembership = StoredMembership<CommittedLeader, u64, Member>;

/// A message of a peer, or a record on disk, that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// A vote as protobuf.
pub fn vote_to_wire(vote: &RaftVote) -> peer::Vote {
    peer::Vote { term: vote.leader_id.term, node_id: vote.leader_id.voted_for, committed: vote.committed }
}

/// A vote from protobuf.
pub fn vote_from_wire(vote: Option<peer::Vote>) -> Result<RaftVote, Malformed> {
    let vote = vote.ok_or(Malformed("message without a vote"))?;
    Ok(if vote.committed { Vote::new_committed(vote.term, vote.node_id) } else { Vote::new(vote.term, vote.node_id) })
}

/// A log id as protobuf.
pub fn log_id_to_wire(log_id: &RaftLogId) -> peer::LogId {
    peer::LogId { term: log_id.leader_id.term, index: log_id.index }
}

/// A log id from protobuf.
pub fn log_id_from_wire(log_id: peer::LogId) -> RaftLogId {
    LogId::new(CommittedLeader::new(log_id.term), log_id.index)
}

/// A configuration as protobuf.
pub fn membership_to_wire(membership: &RaftMembership) -> peer::Membership {
    peer::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|ids| peer::NodeIds { ids: ids.iter().copied().collect() })
            .collect(),
        nodes: membership.nodes().map(|(id, member)| (*id, member_to_wire(member))).collect(),
    }
}

/// A configuration from protobuf.
pub fn membership_from_wire(membership: peer::Membership) -> Result<RaftMembership, Malformed> {
    let configs =
        membership.configs.into_iter().map(|config| config.ids.into_iter().collect::<BTreeSet<_>>()).collect();
    let nodes = membership.nodes.into_iter().map(|(id, node)| (id, member_from_wire(node)));
    RaftMembership::new(configs, nodes.collect::<BTreeMap<_, _>>())
        .map_err(|_| Malformed("configuration: a voter without a node, or an empty set of voters"))
}

/// A configuration with its place, as protobuf.
pub fn stored_membership_to_wire(stored: &RaftStoredMembership) -> peer::StoredMembership {
    peer::StoredMembership {
        log_id: stored.log_id().as_ref().map(log_id_to_wire),
        membership: Some(membership_to_wire(stored.membership())),
    }
}

/// A configuration with its place, from protobuf.
pub fn stored_membership_from_wire(stored: peer::StoredMembership) -> Result<RaftStoredMembership, Malformed> {
    let log_id = stored.log_id.map(log_id_from_wire);
    match stored.membership {
        Some(membership) if !membership.configs.is_empty() => {
            Ok(StoredMembership::new(log_id, membership_from_wire(membership)?))
        }
        _ => Ok(StoredMembership::default()),
    }
}

/// A server as protobuf.
pub fn member_to_wire(member: &Member) -> peer::Node {
    peer::Node {
        name: member.name.clone(),
        peer_address: member.peer_address.clone(),
        client_address: member.client_address.clone(),
        in_sync: member.standing.in_sync,
        awaited: member.standing.awaited,
        survivor_mode: member.standing.survivor_mode,
    }
}

/// A server from protobuf.
pub fn member_from_wire(node: peer::Node) -> Member {
    let standing = Standing { in_sync: node.in_sync, awaited: node.awaited, survivor_mode: node.survivor_mode };
    Member { standing, ..Member::at(node.name, node.peer_address, node.client_address) }
}

/// An entry as protobuf.
pub fn entry_to_wire(entry: &RaftEntry) -> peer::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => peer::entry::Payload::Blank(peer::Blank {}),
        EntryPayload::Normal(payload) => peer::entry::Payload::Commands(payload.0.clone()),
        EntryPayload::Membership(membership) => peer::entry::Payload::Membership(membership_to_wire(membership)),
    };
    peer::Entry { log_id: Some(log_id_to_wire(&entry.log_id)), payload: Some(payload) }
}

/// An entry from protobuf.
pub fn entry_from_wire(entry: peer::Entry) -> Result<RaftEntry, Malformed> {
    let log_id = log_id_from_wire(entry.log_id.ok_or(Malformed("entry without a log id"))?);
    let payload = match entry.payload.ok_or(Malformed("entry without a payload"))? {
        peer::entry::Payload::Blank(_) => EntryPayload::Blank,
        peer::entry::Payload::Commands(bytes) => EntryPayload::Normal(Payload(bytes)),
        peer::entry::Payload::Membership(membership) => EntryPayload::Membership(membership_from_wire(membership)?),
    };
    Ok(RaftEntry { log_id, payload })
}

/// The version of the records that this module writes to disk; their first byte.
const RECORD_VERSION: u8 = 1;

/// Encodes a protobuf message as a record for the disk: a version byte, then the message.
pub fn to_record(message: &impl prost::Message) -> Bytes {
    let mut bytes = Vec::with_capacity(1 + message.encoded_len());
    bytes.push(RECORD_VERSION);
    // A Vec grows as it must: encoding into it cannot fail.
    let _ = message.encode(&mut bytes);
    bytes.into()
}

/// Decodes a record from the disk.
pub fn from_record<M: prost::Message + Default>(mut record: Bytes) -> Result<M, Malformed> {
    match record.first() {
        Some(&RECORD_VERSION) => M::decode(record.split_off(1)).map_err(|_| Malformed("record on disk")),
        Some(_) => Err(Malformed("record on disk: written by a newer version")),
        None => Err(Malformed("record on disk: empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Member {
        let standing = Standing { in_sync: 7, awaited: true, survivor_mode: true };
        Member { standing, ..Member::at(name, format!("{name}:1"), format!("{name}:2")) }
    }

    #[test]
    fn everything_survives_the_wire_and_the_disk() {
        let log_id = LogId::new(CommittedLeader::new(7), 42);
        let membership = RaftMembership::new(
            vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 4])],
            (1..=5).map(|id| (id, member(&format!("server-{id}")))).collect::<BTreeMap<_, _>>(),
        )
        .unwrap();
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(Payload(Bytes::from_static(b"commands"))),
            EntryPayload::Membership(membership.clone()),
        ];
        for payload in payloads {
            let entry = RaftEntry { log_id, payload };
            let record = to_record(&entry_to_wire(&entry));
            assert_eq!(entry_from_wire(from_record(record).unwrap()).unwrap(), entry);
        }
        for vote in [Vote::new(3, 9), Vote::new_committed(3, 9)] {
            assert_eq!(vote_from_wire(Some(vote_to_wire(&vote))).unwrap(), vote);
        }
        let stored = StoredMembership::new(Some(log_id), membership);
        assert_eq!(stored_membership_from_wire(stored_membership_to_wire(&stored)).unwrap(), stored);
        let empty = RaftStoredMembership::default();
        assert_eq!(stored_membership_from_wire(stored_membership_to_wire(&empty)).unwrap(), empty);
    }

    #[test]
    fn a_record_of_a_newer_version_or_garbage_is_refused() {
        assert!(from_record::<peer::Entry>(Bytes::new()).is_err());
        assert!(from_record::<peer::Entry>(Bytes::from_static(&[2, 0])).is_err());
        assert!(from_record::<peer::Entry>(Bytes::from_static(&[1, 0xff, 0xff])).is_err());
        assert!(entry_from_wire(peer::Entry::default()).is_err());
        let voter_without_node =
            peer::Membership { configs: vec![peer::NodeIds { ids: vec![1] }], nodes: Default::default() };
        assert!(membership_from_wire(voter_without_node).is_err());
    }
}
