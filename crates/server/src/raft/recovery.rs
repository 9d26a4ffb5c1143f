//! Whether a log and a state, found beside each other at a start, can belong together.
//!
//! One of them alone may have been lost, or restored from an older copy. Raft would then go on: skip entries that are
//! purged but not applied, and so diverge; or vote a second time in a term. This server refuses instead, and says
//! what is missing. Leaves out: what each store finds out about itself.

use super::{
    log::purged_log_id,
    types::{Malformed, RaftLogId},
};
use crate::storage::LogExtent;

/// Why a server must not start on what it found.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// A record of the log makes no sense.
    #[error("the log cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// Entries are neither applied nor in the log.
    #[error(
        "the entries {from} to {to} are missing: the state does not hold them, and the log begins after them; empty the \
         directory so that it comes back as a new member"
    )]
    Gap {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// Something was applied, but nothing was voted.
    #[error(
        "the log is missing: the state holds the entries up to {applied}, and no vote is recorded; empty the directory so \
         that it comes back as a new member"
    )]
    NoVote {
        /// The last entry applied.
        applied: u64,
    },
}

/// Checks that a log of this extent continues a state that has applied this much.
///
/// A log that ends before the state does is fine: so does a crash between the installation of a received state and
/// the purge of what it covers.
pub fn check(extent: &LogExtent, applied: Option<RaftLogId>) -> Result<(), Unfit> {
    let next = applied.map_or(0, |applied| applied.index + 1);
    let purged = purged_log_id(extent)?;
    let first = match purged {
        Some(purged) => purged.index + 1,
        None if extent.indices.is_empty() => 0,
        None => extent.indices.start,
    };
    if first > next {
        return Err(Unfit::Gap { from: next, to: first - 1 });
    }
    match applied {
        Some(applied) if extent.vote.is_none() => Err(Unfit::NoVote { applied: applied.index }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::types::{CommittedLeader, log_id_to_wire, to_record};

    fn log_id(index: u64) -> RaftLogId {
        RaftLogId::new(CommittedLeader::new(1), index)
    }

    fn extent(purged: Option<u64>, indices: std::ops::Range<u64>) -> LogExtent {
        let purged = purged.map(|index| to_record(&log_id_to_wire(&log_id(index))));
        LogExtent { vote: Some(Bytes::from_static(b"vote")), purged, indices }
    }

    #[test]
    fn what_a_server_leaves_behind_is_fit() {
        for (extent, applied) in [
            (LogExtent::default(), None),
            (extent(None, 0..0), None),
            (extent(None, 0..9), None),
            (extent(None, 0..9), Some(3)),
            (extent(Some(3), 4..9), Some(3)),
            (extent(Some(3), 4..4), Some(3)),
            (extent(Some(3), 4..9), Some(20)),
            (extent(None, 0..0), Some(20)),
        ] {
            assert!(check(&extent, applied.map(log_id)).is_ok(), "{extent:?} {applied:?}");
        }
    }

    #[test]
    fn a_lost_state_beside_a_purged_log_is_refused() {
        for (extent, applied, missing) in [
            (extent(Some(3), 4..9), None, "the entries 0 to 3 are missing"),
            (extent(Some(3), 4..9), Some(2), "the entries 3 to 3 are missing"),
            (extent(Some(3), 4..4), None, "the entries 0 to 3 are missing"),
            (extent(None, 5..9), Some(2), "the entries 3 to 4 are missing"),
        ] {
            let error = check(&extent, applied.map(log_id)).unwrap_err().to_string();
            assert!(error.starts_with(missing) && error.contains("empty the directory"), "{error}");
        }
    }

    #[test]
    fn a_lost_log_beside_a_state_is_refused() {
        let error = check(&LogExtent::default(), Some(log_id(7))).unwrap_err().to_string();
        assert!(error.starts_with("the log is missing") && error.contains("up to 7"), "{error}");
        let extent = LogExtent { vote: None, ..extent(None, 0..9) };
        assert!(matches!(check(&extent, Some(log_id(7))), Err(Unfit::NoVote { applied: 7 })));
    }
}
