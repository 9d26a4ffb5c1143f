//! What a server knows, put to the rules: each decision of the model is one of `threefold-rules`' functions, asked here and
//! nowhere else, and here a rule is taken away.

use std::collections::{BTreeMap, BTreeSet};

use threefold_rules as rules;
use threefold_rules::{
    Configuration, Incarnation, LeaderView, LogId, Member, Mode, PeerView, Proposal, Sendable, Voters, Will,
};

use crate::{
    Broken, Model,
    state::{ALL, Conf, Heard, Placed, Role, SERVERS, Server, State, others},
};

/// The members of a set.
fn ids(set: u8) -> BTreeSet<u64> {
    (0..SERVERS as u64).filter(|id| set >> id & 1 == 1).collect()
}

fn set(ids: &BTreeSet<u64>) -> u8 {
    ids.iter().fold(0, |set, id| set | 1 << id)
}

fn incarnation(server: usize, counter: u8) -> Incarnation {
    Incarnation { directory: server as u64, counter: u64::from(counter) }
}

/// A server, in its current incarnation.
pub fn member(state: &State, server: usize) -> Member {
    Member { id: server as u64, incarnation: incarnation(server, state.servers[server].counter) }
}

/// A configuration as the rules know it.
pub fn configuration(placed: Placed) -> Configuration {
    let conf = placed.conf;
    let voters = match conf.before {
        0 => Voters::new(ids(conf.voters)),
        before => Voters::joint(vec![ids(before), ids(conf.voters)]),
    };
    let listed = (0..SERVERS).filter(|id| conf.in_sync[*id] > 0);
    Configuration {
        log_id: LogId { term: placed.term, index: u64::from(placed.index) },
        voters,
        chosen: ids(ALL),
        in_sync: listed.map(|id| (id as u64, incarnation(id, conf.in_sync[id]))).collect(),
        survivor_mode: true,
    }
}

/// The configuration as the model keeps it.
pub fn packed(configuration: &Configuration) -> Conf {
    let (voters, before) = match configuration.voters.sets() {
        [before, voters] => (set(voters), set(before)),
        sets => (sets.last().map_or(0, set), 0),
    };
    let mut in_sync = [0; SERVERS];
    for (id, incarnation) in &configuration.in_sync {
        in_sync[*id as usize] = incarnation.counter as u8;
    }
    Conf { voters, before, in_sync }
}

fn log_id((term, index): (u64, u8)) -> LogId {
    LogId { term, index: u64::from(index) }
}

fn persisted(leader: &Server, id: usize) -> BTreeMap<u64, u64> {
    let Role::Leader { matched } = &leader.role else { return BTreeMap::new() };
    let on_disk = |server| if server == id { leader.log.len() as u64 } else { u64::from(matched[server]) };
    (0..SERVERS).map(|server| (server as u64, on_disk(server))).collect()
}

/// Raft's majority, of each set of voters.
pub fn is_majority(conf: Conf, votes: u8) -> bool {
    let of = |voters: u8| (votes & voters).count_ones() * 2 > voters.count_ones();
    of(conf.voters) && (conf.before == 0 || of(conf.before))
}

/// Raft's commit index, of a leader; 0 before an entry of its term is committed.
pub fn committed(leader: &Server, id: usize) -> u8 {
    let Role::Leader { matched } = &leader.role else { return 0 };
    let newest = leader.newest().conf;
    let has = |server: usize, index: u8| server == id || matched[server] >= index;
    let majority = |index| is_majority(newest, (0..SERVERS).filter(|s| has(*s, index)).fold(0, |set, s| set | 1 << s));
    let own_term = |index: &u8| leader.log[usize::from(*index) - 1].term == leader.term;
    (1..=leader.log.len() as u8).rev().take_while(own_term).find(|index| majority(*index)).unwrap_or(0)
}

impl Model {
    /// Whether this rule is taken away.
    pub fn lacks(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    /// Rule 2, for a leader: how far its log is visible.
    pub fn visible(&self, state: &State, id: usize) -> u8 {
        let leader = &state.servers[id];
        let committed = committed(leader, id);
        if self.lacks(Broken::VisibleAtMajority) || committed == 0 {
            return committed;
        }
        let pending: Vec<_> = leader.pending().into_iter().map(configuration).collect();
        let committed = Some(u64::from(committed));
        let index = rules::visible_index(member(state, id), &pending, committed, &persisted(leader, id));
        index.unwrap_or(0) as u8
    }

    /// Rule 4: how a server may stand.
    pub fn mode(&self, state: &State, id: usize) -> Option<Mode> {
        let latest = configuration(state.servers[id].newest());
        let mode = rules::may_stand(member(state, id), &latest)?;
        Some(if self.lacks(Broken::UnlistedStands) { Mode::Normal } else { mode })
    }

    /// Rules 4, 9: whether a server may vote for a candidate.
    pub fn may_vote(
        &self,
        state: &State,
        voter: usize,
        candidate: Member,
        mode: Mode,
        last: (u64, u8),
    ) -> Result<(), rules::Refusal> {
        if self.lacks(Broken::ContinuingVotesCold) && mode == Mode::Cold {
            return Ok(());
        }
        let server = &state.servers[voter];
        let request = rules::VoteRequest { candidate, mode, last_log_id: log_id(last) };
        rules::may_vote(member(state, voter), &configuration(server.newest()), log_id(server.last()), &request)
    }

    /// Rule 9: whether a candidate's votes may be counted.
    pub fn may_count(&self, state: &State, id: usize, mode: Mode, granted: u8) -> bool {
        let latest = configuration(state.servers[id].newest());
        self.lacks(Broken::ColdByMajority)
            || rules::withheld_for(member(state, id), &latest, mode, &ids(granted)).is_empty()
    }

    /// Rule 3: how much of its log a leader may send to a server.
    pub fn sendable(&self, state: &State, id: usize, target: usize) -> usize {
        let leader = &state.servers[id];
        let all = leader.log.len();
        if self.lacks(Broken::NoHoldBack) {
            return all;
        }
        let dead = if self.lacks(Broken::WaitForTheDead) { BTreeSet::new() } else { proven_dead(leader).collect() };
        let incarnation = Some(member(state, target).incarnation);
        let newest = configuration(leader.newest());
        let persisted = persisted(leader, id);
        match rules::hold_back(member(state, id), &newest, target as u64, incarnation, &persisted, &dead) {
            Sendable::Nothing => 0,
            Sendable::UpTo(index) => all.min(index as usize),
            Sendable::Everything => all,
        }
    }

    /// Rules 1 to 3, 5, 8, 9: what a leader proposes, if it believes `healthy` to answer.
    pub fn proposal(&self, state: &State, id: usize, healthy: u8) -> Option<Proposal> {
        let leader = &state.servers[id];
        let newest = configuration(leader.newest());
        let committed = match committed(leader, id) {
            _ if self.lacks(Broken::ChangeOnUncommitted) => Some(log_id((leader.term, leader.log.len() as u8))),
            0 => None,
            index => Some(log_id((leader.log[usize::from(index) - 1].term, index))),
        };
        let newest = &newest;
        let alone = Configuration { voters: Voters::new(ids(1 << id)), chosen: ids(1 << id), ..newest.clone() };
        let peers = others(id).map(|other| (other as u64, self.peer(state, id, other, healthy))).collect();
        let view =
            |newest| LeaderView { leader: member(state, id), term: leader.term, committed, newest, peers: &peers };
        if self.lacks(Broken::RemoveBelowMajority) {
            // Where the leader is the only voter, it is a majority by itself.
            let removal = rules::next_in_sync(&view(&alone));
            let removal = removal.filter(|removal| matches!(removal.change, rules::Change::Remove(_)));
            if let Some(removal) = removal {
                return Some(Proposal { voters: newest.voters.target(), ..removal });
            }
        }
        rules::next_in_sync(&view(newest))
    }

    fn peer(&self, state: &State, leader: usize, other: usize, healthy: u8) -> PeerView {
        let reached = state.reach(leader, other);
        let stands = |receiver: usize, sender: usize| {
            state.servers[receiver].streams[sender] == state.servers[sender].counter && state.servers[sender].up
        };
        let both_ways = |member: &usize| stands(*member, other) && stands(other, *member);
        let streams = others(other).filter(|member| self.lacks(Broken::AdmitWithoutStreams) || both_ways(member));
        let Role::Leader { matched } = &state.servers[leader].role else { return PeerView::default() };
        let newest = state.servers[leader].newest().index;
        let unaware = self.lacks(Broken::AdmitUnaware) && reached;
        PeerView {
            incarnation: reached.then(|| member(state, other).incarnation),
            is_healthy: healthy >> other & 1 == 1,
            persisted: Some(u64::from(if unaware { newest } else { matched[other] })),
            is_caught_up: self.bounds.lag || usize::from(matched[other]) >= self.sendable(state, leader, other),
            death_streams: streams.map(|member| member as u64).collect(),
        }
    }

    /// Rule 7: whether a server may go on alone.
    pub fn may_force(&self, state: &State, id: usize) -> Result<(), rules::Blocked> {
        let server = &state.servers[id];
        let mut own: Vec<_> = server.pending().into_iter().map(configuration).collect();
        if self.lacks(Broken::ForceByNewest) {
            own.drain(..own.len() - 1);
        }
        let mut dead: BTreeMap<Incarnation, Will> = proven_dead(server).map(|dead| (dead, Will::new())).collect();
        if self.lacks(Broken::ForceWithoutProof) {
            let silent = others(id).filter(|other| !state.reach(id, *other));
            dead.extend(silent.map(|other| (member(state, other).incarnation, Will::new())));
        }
        if !self.lacks(Broken::NoWills) {
            for heard in &server.heard {
                if let Some(will) = dead.get_mut(&incarnation(usize::from(heard.from), heard.counter)) {
                    will.push(configuration(heard.placed));
                }
            }
        }
        let result = rules::may_force(member(state, id), &own, &dead);
        if self.lacks(Broken::WillsForbid) && result.is_ok() && is_surprised(server, &own, &dead) {
            return Err(rules::Blocked::NotProvenDead(BTreeSet::new()));
        }
        result
    }
}

/// Whether any will tells of something new.
fn is_surprised(server: &Server, own: &[Configuration], dead: &BTreeMap<Incarnation, Will>) -> bool {
    let visible = configuration(server.pending()[0]).log_id;
    let told = dead.values().flatten().filter(|told| told.log_id > visible);
    told.into_iter().any(|told| own.iter().all(|known| known.log_id != told.log_id))
}

/// The incarnations a server has proof of death for.
fn proven_dead(server: &Server) -> impl Iterator<Item = Incarnation> + '_ {
    server.dead.iter().enumerate().flat_map(|(id, counters)| {
        (1..u8::BITS as u8)
            .filter(move |counter| counters >> counter & 1 == 1)
            .map(move |counter| incarnation(id, counter))
    })
}

/// Whether what was heard can still matter: its sender may yet be, or is, proven dead, and it is newer than what is visible.
pub fn matters(server: &Server, visible: Placed, heard: &Heard) -> bool {
    let from = usize::from(heard.from);
    let provable = server.streams[from] == heard.counter || server.dead[from] >> heard.counter & 1 == 1;
    provable && (heard.placed.term, heard.placed.index) > (visible.term, visible.index)
}
