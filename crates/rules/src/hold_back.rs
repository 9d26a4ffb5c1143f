//! Rule 3: holding back.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Configuration, Incarnation, Member, ServerId};

/// How much of its log a leader may send to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sendable {
    /// Nothing at all yet.
    Nothing,
    /// Entries up to this index.
    UpTo(u64),
    /// Everything it has.
    Everything,
}

/// Rule 3: a server outside the newest in-sync set is sent an entry only after every living member of that set has it on disk.
///
/// - `newest`: the newest configuration in the leader's log, committed or not. A member being removed is therefore
///   outside from the moment its removal is appended.
/// - `target` with the incarnation it now runs in, if that is known. None counts as outside.
/// - `persisted`: as for [`crate::visible_index`].
/// - `dead`: incarnations that will never act again: proven dead (rule 6), or succeeded by a later one of the same directory.
///
/// Counterexample without it (a freeze, not a loss): A, B and C are in sync, A removes C, which receives the removal first; A
/// dies. C's log is the longest but C is not listed and may not stand; B may stand, and C must refuse it.
///
/// A member of which that is known is not waited for: it never stands again, so that what it lacks cannot freeze anybody. Counterexample
/// when it is waited for: C is slow, A proposes to remove it, B dies before it has the entry. C may not be sent it, A and C
/// cannot commit it, no further change may be proposed, and C, alive, forbids A to force: one crash, and the cluster is frozen.
///
/// The target itself is not waited for either (its predecessor may be the one that is listed), and a leader that is not listed
/// itself, elected cold, holds nothing back: nobody who granted its election may stand normally.
#[must_use]
pub fn hold_back(
    leader: Member,
    newest: &Configuration,
    target: ServerId,
    incarnation: Option<Incarnation>,
    persisted: &BTreeMap<ServerId, u64>,
    dead: &BTreeSet<Incarnation>,
) -> Sendable {
    let is_inside = incarnation.is_some_and(|incarnation| newest.lists(Member { id: target, incarnation }));
    if newest.is_plain() || is_inside || !newest.lists(leader) {
        return Sendable::Everything;
    }
    let waited_for = newest.in_sync.iter().filter(|(id, listed)| **id != target && !dead.contains(listed));
    let reached = waited_for.map(|(id, _)| persisted.get(id).copied());
    match reached.min() {
        None => Sendable::Everything,
        Some(None) => Sendable::Nothing,
        Some(Some(index)) => Sendable::UpTo(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{configuration, member, plain, restarted};

    fn sendable(newest: &Configuration, leader: Member, target: Member, dead: &[Member]) -> Sendable {
        let persisted = BTreeMap::from([(1, 9), (2, 7), (3, 4)]);
        let dead = dead.iter().map(|dead| dead.incarnation).collect();
        hold_back(leader, newest, target.id, Some(target.incarnation), &persisted, &dead)
    }

    #[test]
    fn members_get_everything_and_outsiders_what_all_members_have() {
        let two = configuration((1, 8), &[1, 2]);
        assert_eq!(sendable(&two, member(1), member(2), &[]), Sendable::Everything);
        assert_eq!(sendable(&two, member(1), member(3), &[]), Sendable::UpTo(7));
        let all = configuration((1, 1), &[1, 2, 3]);
        assert_eq!(sendable(&all, member(1), restarted(3), &[]), Sendable::UpTo(7), "restarted, so outside");
        assert_eq!(hold_back(member(1), &all, 3, None, &BTreeMap::new(), &BTreeSet::new()), Sendable::Nothing);
    }

    #[test]
    fn neither_the_dead_nor_the_target_are_waited_for() {
        let two = configuration((1, 8), &[1, 2]);
        assert_eq!(sendable(&two, member(1), member(3), &[member(2)]), Sendable::UpTo(9));
        assert_eq!(sendable(&two, member(1), restarted(2), &[]), Sendable::UpTo(9));
    }

    #[test]
    fn plain_raft_and_a_cold_leader_hold_nothing_back() {
        assert_eq!(sendable(&plain((1, 1)), member(1), member(3), &[]), Sendable::Everything);
        let all = configuration((1, 1), &[1, 2, 3]);
        assert_eq!(sendable(&all, restarted(1), restarted(3), &[]), Sendable::Everything);
    }
}
