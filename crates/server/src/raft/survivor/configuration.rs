//! The replicated configuration as the rules see it.

use std::collections::{BTreeMap, BTreeSet};

use threefold_rules::{Configuration, Incarnation, LogId, Member, Voters};

use crate::raft::types::{RaftLogId, RaftMembership, RaftStoredMembership, Standing};

/// Survivor mode is for exactly so many chosen voters: fewer cannot lose two, and more do not need it.
pub const SURVIVOR_VOTERS: usize = 3;

/// A log id in the rules' form.
pub fn rule_log_id(log_id: RaftLogId) -> LogId {
    LogId { term: log_id.leader_id.term, index: log_id.index }
}

/// An incarnation of a server. A node id belongs to a data directory, and so names it.
pub fn incarnation(id: u64, counter: u64) -> Incarnation {
    Incarnation { directory: id, counter }
}

/// A server in an incarnation.
pub fn member(id: u64, counter: u64) -> Member {
    Member { id, incarnation: incarnation(id, counter) }
}

/// A configuration at its place in the log, in the rules' form. One without a place (nothing was ever agreed on) stands
/// before everything.
pub fn rule_configuration(log_id: Option<RaftLogId>, membership: &RaftMembership) -> Configuration {
    let voters = Voters::joint(membership.get_joint_config().clone());
    let awaited = membership.nodes().filter(|(_, node)| node.standing.awaited).map(|(id, _)| *id);
    let chosen = voters.target().into_iter().chain(awaited).collect::<BTreeSet<_>>();
    let in_sync = membership.nodes().filter(|(_, node)| node.standing.in_sync != 0);
    let is_on = membership.nodes().any(|(_, node)| node.standing.survivor_mode);
    Configuration {
        log_id: log_id.map(rule_log_id).unwrap_or_default(),
        survivor_mode: is_on && chosen.len() == SURVIVOR_VOTERS,
        in_sync: in_sync.map(|(id, node)| (*id, incarnation(*id, node.standing.in_sync))).collect(),
        chosen,
        voters,
    }
}

/// As [`rule_configuration`].
pub fn rule_stored(stored: &RaftStoredMembership) -> Configuration {
    rule_configuration(*stored.log_id(), stored.membership())
}

/// The servers of `membership` with the standing they have under `configuration`.
pub fn with_standing(
    membership: &RaftMembership,
    in_sync: &BTreeMap<u64, Incarnation>,
    voters: &BTreeSet<u64>,
    chosen: &BTreeSet<u64>,
) -> BTreeMap<u64, crate::raft::types::Member> {
    let survivor_mode = membership.nodes().any(|(_, node)| node.standing.survivor_mode);
    let node = |(id, node): (&u64, &crate::raft::types::Member)| {
        let standing = Standing {
            in_sync: in_sync.get(id).map_or(0, |incarnation| incarnation.counter),
            awaited: chosen.contains(id) && !voters.contains(id),
            survivor_mode,
        };
        (*id, crate::raft::types::Member { standing, ..node.clone() })
    };
    membership.nodes().map(node).collect()
}
