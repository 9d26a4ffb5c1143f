//! The configurations in this server's log that may still matter: the last one known visible, and every later one.
//!
//! Kept beside the log, because a configuration takes effect when it is appended, not when it is applied. A new one is first
//! *announced* over the death streams (rule 6), then acted on here and written to disk. What is left out: anything before the last visible one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use threefold_rules::Configuration;
use tokio::sync::watch;

use super::configuration::rule_stored;
use crate::raft::types::{RaftLogId, RaftStoredMembership};

/// One configuration in both its forms.
#[derive(Clone, Debug)]
pub struct Placed {
    /// As stored and sent.
    pub stored: RaftStoredMembership,
    /// As the rules see it.
    pub rule: Configuration,
}

impl Placed {
    fn new(stored: RaftStoredMembership) -> Self {
        Self { rule: rule_stored(&stored), stored }
    }

    fn index(&self) -> Option<u64> {
        self.stored.log_id().map(|log_id| log_id.index)
    }
}

#[derive(Debug)]
struct Known {
    /// In log order; never empty. The first is the last one known visible.
    log: Vec<Placed>,
    /// Announced, but not yet acted on.
    announced: Vec<RaftStoredMembership>,
    /// The term of the last entry, and the first entry of that term, if it is known.
    tail: Option<(u64, u64)>,
}

/// The configurations of one server's log.
#[derive(Debug)]
pub struct Configurations {
    known: Mutex<Known>,
    changes: watch::Sender<()>,
}

impl Default for Configurations {
    /// Of an empty log.
    fn default() -> Self {
        Self::new(RaftStoredMembership::default(), [])
    }
}

impl Configurations {
    /// Of a log that holds these: the applied one (so it was visible), and the later ones in log order.
    pub fn new(applied: RaftStoredMembership, later: impl IntoIterator<Item = RaftStoredMembership>) -> Self {
        let log = std::iter::once(applied).chain(later).map(Placed::new).collect();
        let known = Known { log, announced: Vec::new(), tail: None };
        Self { known: Mutex::new(known), changes: watch::Sender::new(()) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The newest one, committed or not: the one in force.
    pub fn newest(&self) -> Placed {
        let known = self.known();
        // Never empty: the first one is only ever replaced.
        known.log.last().cloned().unwrap_or_else(|| Placed::new(RaftStoredMembership::default()))
    }

    /// All of them as the rules see them, in log order; the first is the last one known visible.
    pub fn rules(&self) -> Vec<Configuration> {
        self.known().log.iter().map(|placed| placed.rule.clone()).collect()
    }

    /// All of them and those that are being announced: what a new death stream begins with.
    pub fn announced(&self) -> Vec<RaftStoredMembership> {
        let known = self.known();
        known.log.iter().map(|placed| placed.stored.clone()).chain(known.announced.iter().cloned()).collect()
    }

    /// Whether plain Raft decides what is visible at an index, as far as this log knows: the configuration in force there is plain.
    pub fn is_plain_at(&self, index: u64) -> bool {
        let known = self.known();
        let in_force = known.log.iter().rev().find(|placed| placed.index().is_none_or(|start| start <= index));
        in_force.is_some_and(|placed| placed.rule.is_plain())
    }

    /// A configuration is about to be announced; it is part of what new death streams begin with from now on.
    pub fn announcing(&self, stored: RaftStoredMembership) {
        self.known().announced.push(stored);
    }

    /// What was announced, up to this index, is in the log from now on, and acted on.
    pub fn appended(&self, last_index: u64) {
        {
            let mut known = self.known();
            let announced = std::mem::take(&mut known.announced).into_iter().map(Placed::new);
            let (entered, later): (Vec<_>, Vec<_>) = announced.partition(|placed| placed.index() <= Some(last_index));
            known.announced = later.into_iter().map(|placed| placed.stored).collect();
            known.log.extend(entered);
            // One that came with a received state may have been announced before an earlier one was written.
            known.log.sort_by_key(Placed::index);
        }
        self.changes.send_replace(());
    }

    /// An entry of this term stands at this index: what the log's last term is, and where it begins.
    pub fn note_entry(&self, term: u64, index: u64) {
        let mut known = self.known();
        if known.tail.is_none_or(|(last, _)| last != term) {
            known.tail = Some((term, index));
        }
    }

    /// Where the log's last term begins: from there on every entry is of that term.
    pub fn tail(&self) -> Option<(u64, u64)> {
        self.known().tail
    }

    /// The log was cut off from this index on.
    pub fn truncated(&self, from_index: u64) {
        {
            let mut known = self.known();
            // What is visible is never cut off, nor is the first one therefore.
            let keep = known.log.iter().skip(1).take_while(|placed| placed.index() < Some(from_index)).count();
            known.log.truncate(1 + keep);
            known.tail = known.tail.filter(|(_, first)| *first < from_index);
        }
        self.changes.send_replace(());
    }

    /// Everything up to here is visible: earlier configurations no longer matter.
    pub fn visible(&self, log_id: RaftLogId) {
        let mut known = self.known();
        let upto = known.log.iter().rposition(|placed| placed.index() <= Some(log_id.index)).unwrap_or(0);
        known.log.drain(..upto);
    }

    /// A whole state was received that ends at this index; its configuration was visible there.
    pub fn replaced(&self, stored: RaftStoredMembership, last_index: u64) {
        {
            let mut known = self.known();
            let index = |stored: &RaftStoredMembership| stored.log_id().map(|log_id| log_id.index);
            // One that is just entering the log behind the state, beside this, stays.
            known.announced.retain(|announced| index(announced) > Some(last_index));
            known.log.retain(|placed| placed.index() > Some(last_index));
            known.log.insert(0, Placed::new(stored));
        }
        self.changes.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use openraft::StoredMembership;

    use super::*;
    use crate::raft::types::{CommittedLeader, Member, RaftMembership, Standing};

    fn log_id(term: u64, index: u64) -> RaftLogId {
        RaftLogId::new(CommittedLeader::new(term), index)
    }

    fn stored(index: u64, in_sync: &[u64]) -> RaftStoredMembership {
        let node = |id: u64| {
            let standing =
                Standing { in_sync: u64::from(in_sync.contains(&id)), survivor_mode: true, ..Standing::default() };
            (id, Member { standing, ..Member::at(format!("server-{id}"), "", "") })
        };
        let nodes = (1..=3).map(node).collect::<BTreeMap<_, _>>();
        StoredMembership::new(
            Some(log_id(1, index)),
            RaftMembership::new(vec![BTreeSet::from([1, 2, 3])], nodes).unwrap(),
        )
    }

    fn indices(configurations: &Configurations) -> Vec<u64> {
        configurations.rules().iter().map(|one| one.log_id.index).collect()
    }

    #[test]
    fn a_configuration_is_announced_before_it_counts() {
        let configurations = Configurations::new(stored(2, &[]), []);
        configurations.announcing(stored(5, &[1, 2]));
        assert_eq!(configurations.newest().rule.log_id.index, 2);
        assert_eq!(configurations.announced().len(), 2);
        configurations.appended(5);
        assert_eq!(configurations.newest().rule.log_id.index, 5);
        assert!(configurations.is_plain_at(4) && !configurations.is_plain_at(5));
    }

    #[test]
    fn what_is_cut_off_no_longer_counts_and_what_is_visible_forgets_what_was_before() {
        let configurations = Configurations::new(stored(2, &[]), [stored(5, &[1, 2]), stored(7, &[1, 2, 3])]);
        configurations.truncated(7);
        assert_eq!(indices(&configurations), [2, 5]);
        configurations.visible(log_id(1, 4));
        assert_eq!(indices(&configurations), [2, 5]);
        configurations.visible(log_id(1, 6));
        assert_eq!(indices(&configurations), [5]);
        configurations.replaced(stored(9, &[1]), 12);
        assert_eq!(indices(&configurations), [9]);
    }

    #[test]
    fn a_configuration_that_is_being_announced_survives_a_state_that_is_received_meanwhile() {
        let configurations = Configurations::new(stored(2, &[]), []);
        configurations.announcing(stored(9, &[1]));
        configurations.announcing(stored(15, &[1, 2]));
        // The state's own configuration enters with it; the other one waits for its place in the log.
        configurations.replaced(stored(9, &[1]), 12);
        assert_eq!(indices(&configurations), [9]);
        configurations.appended(15);
        assert_eq!(indices(&configurations), [9, 15]);
    }

    #[test]
    fn the_last_term_is_known_as_far_as_it_was_seen() {
        let configurations = Configurations::new(stored(2, &[]), []);
        assert_eq!(configurations.tail(), None);
        for (term, index) in [(1, 3), (1, 4), (2, 5), (2, 6)] {
            configurations.note_entry(term, index);
        }
        assert_eq!(configurations.tail(), Some((2, 5)));
        configurations.truncated(6);
        assert_eq!(configurations.tail(), Some((2, 5)));
        configurations.truncated(5);
        assert_eq!(configurations.tail(), None);
    }
}
