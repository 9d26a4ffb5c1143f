//! The grants of a cold candidate, withheld from consensus until every in-sync disk has granted (rule 9).

use std::collections::{BTreeMap, BTreeSet};

use threefold_rules::{Member, Mode, withheld_for};
use tokio::sync::watch;

use super::configurations::Configurations;

/// An election: its term, and whether it is only the question before one.
type Election = (u64, bool);

/// Elections remembered; older ones are over.
const REMEMBERED: usize = 8;

/// Who has granted what.
#[derive(Debug, Default)]
pub struct Ballots {
    granted: watch::Sender<BTreeMap<Election, BTreeSet<u64>>>,
}

impl Ballots {
    /// `voter` has granted its vote to this server. Returns once nobody's grant is missing who must give one too;
    /// the caller bounds how long it waits.
    pub async fn complete(
        &self,
        candidate: Member,
        mode: Mode,
        election: Election,
        voter: u64,
        configurations: &Configurations,
    ) {
        if mode == Mode::Normal {
            return;
        }
        self.granted.send_modify(|granted| {
            granted.entry(election).or_default().insert(voter);
            while granted.len() > REMEMBERED {
                granted.pop_first();
            }
        });
        let is_complete = |granted: &BTreeMap<Election, BTreeSet<u64>>| {
            let granted = granted.get(&election).cloned().unwrap_or_default();
            withheld_for(candidate, &configurations.newest().rule, mode, &granted).is_empty()
        };
        // The sender is here: the wait does not fail.
        let _ = self.granted.subscribe().wait_for(is_complete).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use openraft::StoredMembership;

    use super::*;
    use crate::raft::{
        survivor::configuration::member,
        types::{CommittedLeader, Member as Server, RaftLogId, RaftMembership, Standing},
    };

    #[tokio::test]
    async fn a_majority_is_not_enough_for_a_cold_candidate() {
        let standing = Standing { in_sync: 1, survivor_mode: true, ..Standing::default() };
        let nodes = (1..=3).map(|id| (id, Server { standing, ..Server::at(format!("server-{id}"), "", "") }));
        let membership = RaftMembership::new(vec![BTreeSet::from([1, 2, 3])], nodes.collect::<BTreeMap<_, _>>());
        let place = RaftLogId::new(CommittedLeader::new(1), 1);
        let configurations = Arc::new(Configurations::new(StoredMembership::new(Some(place), membership.unwrap()), []));
        let ballots = Ballots::default();
        let restarted = member(1, 2);
        let mut second = Box::pin(ballots.complete(restarted, Mode::Cold, (5, false), 2, &configurations));
        assert!(futures::poll!(&mut second).is_pending(), "the third may know more");
        let mut asked = Box::pin(ballots.complete(restarted, Mode::Cold, (5, true), 3, &configurations));
        assert!(futures::poll!(&mut asked).is_pending(), "another election");
        let third = ballots.complete(restarted, Mode::Cold, (5, false), 3, &configurations);
        assert!(third.now_or_never().is_some());
        assert!(second.now_or_never().is_some());
        let normal = ballots.complete(member(1, 1), Mode::Normal, (6, false), 2, &configurations);
        assert!(normal.now_or_never().is_some());
    }
}
