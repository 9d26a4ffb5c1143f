//! What the tests of this crate build their cases from: three servers, each in its first incarnation unless it was restarted.

use std::collections::BTreeSet;

use crate::{Configuration, Incarnation, LogId, Member, ServerId, Voters};

pub fn member(id: ServerId) -> Member {
    Member { id, incarnation: Incarnation { directory: id, counter: 1 } }
}

pub fn restarted(id: ServerId) -> Member {
    Member { id, incarnation: Incarnation { directory: id, counter: 2 } }
}

pub fn id((term, index): (u64, u64)) -> LogId {
    LogId { term, index }
}

/// Three voters, of which those given are in sync.
pub fn configuration(log_id: (u64, u64), in_sync: &[ServerId]) -> Configuration {
    with(log_id, &in_sync.iter().map(|id| member(*id)).collect::<Vec<_>>())
}

/// Three voters, of which those given are in sync.
pub fn with(log_id: (u64, u64), in_sync: &[Member]) -> Configuration {
    Configuration {
        log_id: id(log_id),
        voters: Voters::new(BTreeSet::from([1, 2, 3])),
        chosen: BTreeSet::from([1, 2, 3]),
        in_sync: in_sync.iter().map(|member| (member.id, member.incarnation)).collect(),
        survivor_mode: true,
    }
}

/// Three voters, survivor mode off.
pub fn plain(log_id: (u64, u64)) -> Configuration {
    Configuration { survivor_mode: false, ..configuration(log_id, &[]) }
}
