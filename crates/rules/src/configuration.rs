//! The replicated configuration: voters, in-sync set, and the place in the log it stands at (rule 1).

use std::collections::{BTreeMap, BTreeSet};

use crate::{Incarnation, LogId, Member, ServerId};

/// The voters: one set, or two while a change of them is under way (Raft's joint consensus), each of which
/// must then agree by a majority of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Voters {
    sets: Vec<BTreeSet<ServerId>>,
}

impl Voters {
    /// One set.
    #[must_use]
    pub fn new(voters: BTreeSet<ServerId>) -> Self {
        Self { sets: vec![voters] }
    }

    /// The sets of a joint configuration, the one strived for last. One set alone is not joint.
    #[must_use]
    pub fn joint(sets: Vec<BTreeSet<ServerId>>) -> Self {
        Self { sets }
    }

    /// The sets, the one strived for last.
    #[must_use]
    pub fn sets(&self) -> &[BTreeSet<ServerId>] {
        &self.sets
    }

    /// Whether a change of the voters is under way.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.sets.len() > 1
    }

    /// The set strived for: the only one, unless joint.
    #[must_use]
    pub fn target(&self) -> BTreeSet<ServerId> {
        self.sets.last().cloned().unwrap_or_default()
    }

    /// Whether a server has a vote.
    #[must_use]
    pub fn contains(&self, server: ServerId) -> bool {
        self.sets.iter().any(|set| set.contains(&server))
    }

    /// Every server with a vote.
    #[must_use]
    pub fn all(&self) -> BTreeSet<ServerId> {
        self.sets.iter().flatten().copied().collect()
    }

    /// Whether those servers are a majority (of each set). Never true without voters.
    #[must_use]
    pub fn are_majority(&self, is_one: impl Fn(ServerId) -> bool) -> bool {
        !self.sets.is_empty()
            && self.sets.iter().all(|set| set.iter().filter(|server| is_one(**server)).count() * 2 > set.len())
    }
}

/// A configuration in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// The entry that holds it. It is in force from this entry on, until the next configuration in the log.
    pub log_id: LogId,
    /// Who votes.
    pub voters: Voters,
    /// The voters an operator chose. They differ from `voters` only after a sole survivor went on by force; the
    /// return (rule 8) restores them.
    pub chosen: BTreeSet<ServerId>,
    /// The in-sync set: whose disks must hold an entry before it is shown, in the incarnation that was admitted.
    pub in_sync: BTreeMap<ServerId, Incarnation>,
    /// Whether survivor mode is on. If it is off, `in_sync` has no meaning.
    pub survivor_mode: bool,
}

impl Configuration {
    /// Whether the rules of survivor mode apply at all. Where they do not, everything is plain Raft's.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.survivor_mode || self.in_sync.is_empty()
    }

    /// Whether a server is in sync in its current incarnation. A server that was restarted is not: it may have missed
    /// what its predecessor's death allowed others to do.
    #[must_use]
    pub fn lists(&self, member: Member) -> bool {
        !self.is_plain() && self.in_sync.get(&member.id) == Some(&member.incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joint_configuration_needs_both_majorities() {
        let voters = Voters::joint(vec![BTreeSet::from([1]), BTreeSet::from([1, 2, 3])]);
        assert!(voters.is_joint());
        assert!(!voters.are_majority(|server| server != 1), "the old voter is missing");
        assert!(!voters.are_majority(|server| server == 1), "one of three");
        assert!(voters.are_majority(|server| server <= 2));
        assert_eq!(voters.target(), BTreeSet::from([1, 2, 3]));
    }

    #[test]
    fn nobody_is_no_majority_of_nobody() {
        assert!(!Voters::joint(vec![]).are_majority(|_| true));
        assert!(!Voters::new(BTreeSet::new()).are_majority(|_| true));
    }
}
