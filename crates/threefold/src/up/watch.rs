//! Turns one look at the cluster after another into the changes worth a line.
//!
//! Pure: looks go in, changes come out. What a process does (dies, is started) is known from the process; what only
//! the cluster knows (who leads, who is a member, whether it can go on) is known from here.

use std::collections::BTreeMap;

use threefold_client::chat::{ClusterStatus, ServerStatus};

/// So many looks in a row without a leader before it is worth a line: an election alone is not.
const LOOKS_BEFORE_ALARM: u32 = 4;

/// So many looks in a row at a silent server before it is worth a line: one late answer is not.
const LOOKS_BEFORE_SILENCE: u32 = 3;

/// What changed between two looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another server leads now.
    Leads(String),
    /// A server that was down answers again.
    Returned(String),
    /// A server whose process is not known to have ended does not answer.
    Silent(String),
    /// The cluster cannot go on; the words say why.
    Stuck(String),
    /// It can again.
    Unstuck,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Watch {
    leader: Option<String>,
    down: Vec<String>,
    /// Looks in a row at which a server did not answer.
    silent: BTreeMap<String, u32>,
    looks_without_leader: u32,
    /// Why, as last told.
    stuck: Option<String>,
}

impl Watch {
    /// A server's process has ended; its return will be told once it answers.
    pub fn died(&mut self, name: &str) {
        if !self.down.iter().any(|down| down == name) {
            self.down.push(name.to_owned());
        }
    }

    /// Who led when last seen.
    #[must_use]
    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// Takes one look; none where no server answered.
    pub fn look(&mut self, status: Option<&ClusterStatus>) -> Vec<Change> {
        let mut changes = Vec::new();
        changes.extend(status.iter().flat_map(|status| &status.servers).filter_map(|server| self.look_at(server)));
        match status.and_then(leader_of) {
            Some(leader) => {
                self.looks_without_leader = 0;
                if self.stuck.take().is_some() {
                    changes.push(Change::Unstuck);
                }
                if self.leader.as_ref() != Some(&leader.name) {
                    self.leader = Some(leader.name.clone());
                    changes.push(Change::Leads(leader.name.clone()));
                }
            }
            None => {
                self.looks_without_leader = self.looks_without_leader.saturating_add(1);
                let why = status.map_or("no server answers", |status| status.detail.as_str());
                if self.looks_without_leader >= LOOKS_BEFORE_ALARM && self.stuck.is_none() {
                    self.stuck = Some(why.to_owned());
                    changes.push(Change::Stuck(why.to_owned()));
                }
            }
        }
        changes
    }

    fn look_at(&mut self, server: &ServerStatus) -> Option<Change> {
        let known_down = self.down.contains(&server.name);
        if server.role != "down" {
            self.silent.remove(&server.name);
            self.down.retain(|down| *down != server.name);
            return known_down.then(|| Change::Returned(server.name.clone()));
        }
        let looks = self.silent.entry(server.name.clone()).or_default();
        *looks = looks.saturating_add(1);
        if known_down || *looks < LOOKS_BEFORE_SILENCE {
            return None;
        }
        self.down.push(server.name.clone());
        Some(Change::Silent(server.name.clone()))
    }
}

/// The leader: of two that say so, the one of the later term, for the other one has not heard yet.
#[must_use]
pub fn leader_of(status: &ClusterStatus) -> Option<&ServerStatus> {
    status.servers.iter().filter(|server| server.role == "leader").max_by_key(|server| server.term)
}

/// Whether the cluster is complete: a leader, and all `servers` voting and up.
#[must_use]
pub fn formed(status: &ClusterStatus, servers: usize) -> bool {
    let voters = status.servers.iter().filter(|server| server.voter && server.role != "down").count();
    leader_of(status).is_some() && voters == servers
}

/// Whether the cluster can lose what one of its size is there to lose. Servers that have just started are in sync a moment after
/// they vote; with one server, or two, nothing may be lost at any time.
#[must_use]
pub fn settled(status: &ClusterStatus) -> bool {
    status.state == "normal" || status.servers.len() < 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(servers: &[(&str, &str, u64)]) -> ClusterStatus {
        let server = |(name, role, term): &(&str, &str, u64)| ServerStatus {
            name: (*name).to_owned(),
            role: (*role).to_owned(),
            term: *term,
            voter: true,
            ..ServerStatus::default()
        };
        ClusterStatus {
            detail: "why".to_owned(),
            servers: servers.iter().map(server).collect(),
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn tells_who_leads_once() {
        let mut watch = Watch::default();
        let first = status(&[("a", "leader", 1), ("b", "follower", 1)]);
        assert_eq!(watch.look(Some(&first)), [Change::Leads("a".to_owned())]);
        assert_eq!(watch.look(Some(&first)), []);
        let both = status(&[("a", "leader", 1), ("b", "leader", 2)]);
        assert_eq!(watch.look(Some(&both)), [Change::Leads("b".to_owned())]);
    }

    #[test]
    fn tells_of_a_return_once_and_only_after_a_death() {
        let mut watch = Watch::default();
        let up = status(&[("a", "leader", 1), ("b", "follower", 1)]);
        let down = status(&[("a", "leader", 1), ("b", "down", 0)]);
        watch.look(Some(&up));
        watch.died("b");
        assert_eq!(watch.look(Some(&down)), []);
        assert_eq!(watch.look(Some(&up)), [Change::Returned("b".to_owned())]);
        assert_eq!(watch.look(Some(&up)), []);
    }

    #[test]
    fn tells_of_a_server_that_does_not_answer_and_is_not_known_to_be_dead() {
        let mut watch = Watch::default();
        let up = status(&[("a", "leader", 1), ("b", "follower", 1)]);
        let down = status(&[("a", "leader", 1), ("b", "down", 0)]);
        watch.look(Some(&up));
        for _ in 1..LOOKS_BEFORE_SILENCE {
            assert_eq!(watch.look(Some(&down)), []);
        }
        assert_eq!(watch.look(Some(&down)), [Change::Silent("b".to_owned())]);
        assert_eq!(watch.look(Some(&down)), []);
        assert_eq!(watch.look(Some(&up)), [Change::Returned("b".to_owned())]);
    }

    #[test]
    fn an_election_is_no_alarm_but_its_failure_is() {
        let mut watch = Watch::default();
        let without = status(&[("a", "candidate", 1), ("b", "candidate", 1)]);
        watch.look(Some(&status(&[("a", "leader", 1)])));
        for _ in 1..LOOKS_BEFORE_ALARM {
            assert_eq!(watch.look(Some(&without)), []);
        }
        assert_eq!(watch.look(Some(&without)), [Change::Stuck("why".to_owned())]);
        assert_eq!(watch.look(None), []);
        assert_eq!(watch.look(Some(&status(&[("a", "leader", 3)]))), [Change::Unstuck]);
    }

    #[test]
    fn complete_means_all_vote_and_are_up() {
        assert!(formed(&status(&[("a", "leader", 1), ("b", "follower", 1)]), 2));
        assert!(!formed(&status(&[("a", "leader", 1), ("b", "down", 1)]), 2));
        assert!(!formed(&status(&[("a", "follower", 1), ("b", "follower", 1)]), 2));
        assert!(!formed(&status(&[("a", "leader", 1)]), 2));
    }

    #[test]
    fn settled_means_that_some_may_die() {
        let mut three = status(&[("a", "leader", 1), ("b", "follower", 1), ("c", "follower", 1)]);
        three.state = "degraded".to_owned();
        assert!(!settled(&three));
        three.state = "normal".to_owned();
        assert!(settled(&three));
        assert!(settled(&status(&[("a", "leader", 1), ("b", "follower", 1)])));
    }
}
