//! Rule 2: visible = acknowledged = on every in-sync disk.

use std::collections::BTreeMap;

use crate::{Configuration, Member, ServerId};

/// How far the leader may acknowledge and show its log: the highest index that is committed and persisted by every member of the
/// in-sync set in force there. None: nothing beyond what was visible before. The caller never lets it go back.
///
/// - `leader`: the server that asks; it must lead.
/// - `configurations`: those of its log, in log order, from the one in force at what is visible now to the newest.
/// - `committed`: Raft's commit index in this log. (Raft gives none before an entry of the leader's own term is committed.)
/// - `persisted`: for each server, the highest index of *this leader's* log that it is known to have on disk, the leader's own
///   flushed index included. A disk counts, whichever incarnation wrote it.
///
/// An entry is visible when it *or a later one* fulfils the rule: the newest place that does makes everything before it
/// visible. So the removal of a dead member, once it is on the disks that remain, frees the writes waiting before it.
///
/// Counterexample without it (acknowledge at the majority): A and B have a write, A acknowledges, both processes die. C, in
/// sync as far as it knows, is proven the sole survivor and goes on without the write.
///
/// A leader that its own configuration does not list with its current incarnation (elected cold, rule 9) shows nothing
/// until its first configuration lists it: only then is it known who must have what it shows.
#[must_use]
pub fn visible_index(
    leader: Member,
    configurations: &[Configuration],
    committed: Option<u64>,
    persisted: &BTreeMap<ServerId, u64>,
) -> Option<u64> {
    let committed = committed?;
    let mut end = u64::MAX;
    for configuration in configurations.iter().rev() {
        let start = configuration.log_id.index;
        let reached = on_all_disks(leader, configuration, persisted).map(|index| index.min(committed).min(end));
        if let Some(index) = reached.filter(|index| *index >= start) {
            return Some(index);
        }
        // Entries before the first one need no place for it.
        end = start.checked_sub(1)?;
    }
    None
}

/// The highest index that every disk named by the configuration has.
fn on_all_disks(leader: Member, configuration: &Configuration, persisted: &BTreeMap<ServerId, u64>) -> Option<u64> {
    if configuration.is_plain() {
        return Some(u64::MAX);
    }
    if !configuration.lists(leader) {
        return None;
    }
    let indexes = configuration.in_sync.keys().map(|server| persisted.get(server).copied());
    // A missing server has persisted nothing: `None` is less than any index.
    indexes.min().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{configuration, member, plain};

    fn persisted(indexes: [u64; 3]) -> BTreeMap<ServerId, u64> {
        (1..=3).zip(indexes).collect()
    }

    #[test]
    fn a_majority_is_not_enough() {
        let all = [configuration((1, 1), &[1, 2, 3])];
        assert_eq!(visible_index(member(1), &all, Some(5), &persisted([5, 5, 3])), Some(3));
        assert_eq!(visible_index(member(1), &all, Some(5), &persisted([5, 5, 5])), Some(5));
        assert_eq!(visible_index(member(1), &all, None, &persisted([5, 5, 5])), None);
        assert_eq!(visible_index(member(1), &all, Some(5), &BTreeMap::from([(1, 5), (2, 5)])), None);
    }

    #[test]
    fn a_removal_frees_what_waits_before_it() {
        let log = [configuration((1, 1), &[1, 2, 3]), configuration((1, 6), &[1, 2])];
        assert_eq!(visible_index(member(1), &log, Some(5), &persisted([6, 5, 3])), Some(3), "not yet committed");
        assert_eq!(visible_index(member(1), &log, Some(6), &persisted([6, 6, 3])), Some(6));
    }

    #[test]
    fn an_addition_does_not_hold_up_what_was_before_it() {
        let log = [configuration((1, 1), &[1, 2]), configuration((1, 6), &[1, 2, 3])];
        assert_eq!(visible_index(member(1), &log, Some(8), &persisted([8, 8, 2])), Some(5));
        assert_eq!(visible_index(member(1), &log, Some(8), &persisted([8, 8, 7])), Some(7));
    }

    #[test]
    fn a_cold_leader_shows_nothing_before_its_first_configuration() {
        let restarted = crate::testing::restarted(1);
        let mut log = vec![configuration((1, 1), &[1, 2, 3])];
        assert_eq!(visible_index(restarted, &log, Some(5), &persisted([5, 5, 5])), None);
        let mut first = configuration((2, 6), &[]);
        first.in_sync.insert(1, restarted.incarnation);
        log.push(first);
        assert_eq!(visible_index(restarted, &log, Some(6), &persisted([6, 6, 5])), Some(6));
    }

    #[test]
    fn without_an_in_sync_set_committed_is_visible() {
        assert_eq!(visible_index(member(1), &[plain((1, 0))], Some(4), &BTreeMap::new()), Some(4));
    }
}
