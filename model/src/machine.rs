//! What a server does: Raft's steps, with the rules asked wherever the servers ask them.

use threefold_rules::{Mode, next_epoch};

use crate::{
    Broken, Model,
    facts::{is_majority, packed},
    state::{Body, Conf, Entry, Kind, Message, Placed, Role, SERVERS, State, others},
    streams::named,
};

impl Model {
    /// A server stands for election: it votes for itself in the next term and asks the others.
    pub fn stand(&self, state: &mut State, id: usize, mode: Mode) {
        let server = &mut state.servers[id];
        server.term += 1;
        server.voted = Some(id as u8);
        server.role = Role::Candidate { mode, granted: 1 << id };
        let (term, counter, (last_term, last_index)) = (server.term, server.counter, server.last());
        let conf = server.newest().conf;
        for to in others(id).filter(|to| (conf.voters | conf.before) >> to & 1 == 1) {
            if state.servers[to].up {
                let body = Body::AskVote { counter, mode, last_term, last_index };
                state.send(Message { from: id as u8, to: to as u8, term, body });
            }
        }
        self.count_votes(state, id);
    }

    /// Leads, if the votes are enough.
    fn count_votes(&self, state: &mut State, id: usize) {
        let server = &state.servers[id];
        let Role::Candidate { mode, granted } = server.role else { return };
        if !is_majority(server.newest().conf, granted) || !self.may_count(state, id, mode, granted) {
            return;
        }
        let twice = state.servers.iter().any(|other| other.term == server.term && is_leader(&other.role));
        if twice {
            state.broken = Some("two leaders in one term");
        }
        self.lead(state, id, Kind::Blank);
    }

    fn lead(&self, state: &mut State, id: usize, first: Kind) {
        let server = &mut state.servers[id];
        server.role = Role::Leader { matched: [0; SERVERS] };
        server.log.push(Entry { term: server.term, kind: first });
    }

    /// A message arrives.
    pub fn deliver(&self, state: &mut State, message: &Message) {
        let (from, to) = (usize::from(message.from), usize::from(message.to));
        match &message.body {
            Body::AskVote { counter, mode, last_term, last_index } => {
                self.asked(state, message, *mode, *counter, (*last_term, *last_index));
            }
            Body::Grant => {
                let server = &mut state.servers[to];
                if let (Role::Candidate { granted, .. }, true) = (&mut server.role, server.term == message.term) {
                    *granted |= 1 << from;
                    self.count_votes(state, to);
                }
            }
            Body::Append { log, visible } => {
                if message.term >= state.servers[to].term {
                    self.appended(state, message, log, *visible);
                }
            }
            Body::Matched(index) => {
                let server = &mut state.servers[to];
                if let (Role::Leader { matched }, true) = (&mut server.role, server.term == message.term) {
                    matched[from] = matched[from].max(*index);
                }
            }
        }
    }

    fn asked(&self, state: &mut State, message: &Message, mode: Mode, counter: u8, last: (u64, u8)) {
        let (from, to) = (usize::from(message.from), usize::from(message.to));
        let server = &state.servers[to];
        let free = message.term > server.term
            || message.term == server.term && (server.voted.is_none() || server.voted == Some(message.from));
        let refused = self.may_vote(state, to, named(from, counter), mode, last).is_err();
        if !free || last < server.last() || refused {
            return;
        }
        let server = &mut state.servers[to];
        server.term = message.term;
        server.voted = Some(message.from);
        server.role = Role::Follower;
        state.send(Message { from: message.to, to: message.from, term: message.term, body: Body::Grant });
    }

    fn appended(&self, state: &mut State, message: &Message, log: &[Entry], visible: u8) {
        let to = usize::from(message.to);
        self.announce_news(state, to, log);
        self.follow(state, message, log, visible);
    }

    /// Follows a leader's append: persists, notes what is visible, answers.
    fn follow(&self, state: &mut State, message: &Message, log: &[Entry], visible: u8) {
        let server = &mut state.servers[usize::from(message.to)];
        if message.term > server.term {
            server.term = message.term;
            server.voted = None;
        }
        server.role = Role::Follower;
        let same = server.log.iter().zip(log).take_while(|(own, new)| own == new).count();
        if same < log.len() {
            if same < usize::from(server.visible) {
                state.broken = Some("what a follower knew to be visible was overwritten");
            }
            server.log.truncate(same);
            server.log.extend_from_slice(&log[same..]);
        }
        server.visible = server.visible.max(visible.min(log.len() as u8));
        let body = Body::Matched(log.len() as u8);
        state.send(Message { from: message.to, to: message.from, term: message.term, body });
    }

    /// The append that a leader would send to a server now, if it says anything new.
    pub fn next_append(&self, state: &State, from: usize, to: usize) -> Option<Message> {
        let leader = &state.servers[from];
        let Role::Leader { matched } = &leader.role else { return None };
        let target = &state.servers[to];
        let log = &leader.log[..self.sendable(state, from, to)];
        let has_all = usize::from(matched[to]) >= log.len() && target.log.starts_with(log);
        let visible = leader.visible.min(log.len() as u8);
        if target.term > leader.term || has_all && target.term == leader.term && target.visible >= visible {
            return None;
        }
        let body = Body::Append { log: log.to_vec(), visible };
        let message = Message { from: from as u8, to: to as u8, term: leader.term, body };
        (state.messages.binary_search(&message).is_err()).then_some(message)
    }

    /// A leader appends a configuration.
    pub fn change(&self, state: &mut State, id: usize, conf: Conf) {
        let placed = self.announce_change(state, id, conf);
        state.servers[id].log.push(Entry { term: placed.term, kind: Kind::Conf(conf) });
    }

    /// A leader announces the configuration it is about to append.
    pub fn announce_change(&self, state: &mut State, id: usize, conf: Conf) -> Placed {
        let server = &state.servers[id];
        let placed = Placed { term: server.term, index: server.log.len() as u8 + 1, conf };
        self.announce(state, id, placed);
        placed
    }

    /// A sole survivor moves to its new epoch: the first half of a force.
    pub fn enter_epoch(&self, state: &mut State, id: usize) -> Option<()> {
        let server = &mut state.servers[id];
        server.term = if self.lacks(Broken::NoEpochJump) { server.term + 1 } else { next_epoch(server.term)? };
        server.voted = Some(id as u8);
        server.role = Role::Follower;
        Some(())
    }

    /// A sole survivor appends its forced configuration and leads: the second half.
    pub fn force(&self, state: &mut State, id: usize) {
        let server = &state.servers[id];
        let latest = crate::facts::configuration(server.newest());
        let log_id = threefold_rules::LogId { term: server.term, index: server.log.len() as u64 + 1 };
        let forced = threefold_rules::forced_configuration(crate::facts::member(state, id), &latest, log_id);
        let conf = packed(&forced);
        self.announce_change(state, id, conf);
        self.lead(state, id, Kind::Conf(conf));
    }

    /// The process ends. What it had in memory is gone, and so are the messages on their way to it.
    pub fn crash(&self, state: &mut State, id: usize) {
        let server = &mut state.servers[id];
        server.up = false;
        server.role = Role::Follower;
        server.visible = 0;
        server.streams = [0; SERVERS];
        server.dead = [0; SERVERS];
        server.heard.clear();
        server.untold.clear();
        state.messages.retain(|message| usize::from(message.to) != id);
    }

    /// The process starts again, as a new incarnation.
    pub fn restart(&self, state: &mut State, id: usize) {
        let server = &mut state.servers[id];
        server.up = true;
        if !self.lacks(Broken::NoIncarnations) {
            server.counter += 1;
        }
    }
}

/// Whether a server leads.
pub fn is_leader(role: &Role) -> bool {
    matches!(role, Role::Leader { .. })
}
