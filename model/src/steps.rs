//! The steps: everything that may happen next, and what it leads to.

use stateright::{Model as Stateright, Property};

use crate::{
    Action, Bounds, Broken,
    facts::{committed, packed},
    machine::is_leader,
    properties,
    state::{ALL, Body, Entry, Kind, Message, SERVERS, State, link, others},
};

/// The model: how far it goes, and which rule it lacks.
#[derive(Clone, Debug)]
pub struct Model {
    /// The bounds.
    pub bounds: Bounds,
    /// The rule taken away, if any.
    pub broken: Option<Broken>,
}

impl Model {
    /// The rules as they are.
    pub fn sound(bounds: Bounds) -> Self {
        Self { bounds, broken: None }
    }

    /// Without one of them.
    pub fn without(rule: Broken, bounds: Bounds) -> Self {
        Self { bounds, broken: Some(rule) }
    }

    fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        let (bounds, spent) = (&self.bounds, &state.spent);
        if spent.power_cuts < bounds.power_cuts && state.servers.iter().any(|server| server.up) {
            actions.push(Action::PowerCut);
        }
        for id in 0..SERVERS {
            if state.servers[id].up && spent.crashes < bounds.crashes {
                actions.push(Action::Crash(id));
            }
            if !state.servers[id].up && spent.restarts < bounds.restarts {
                actions.push(Action::Restart(id));
            }
            if !state.servers[id].untold.is_empty() {
                actions.push(Action::Announce(id));
            }
            if state.cut == 0 && spent.cuts < bounds.cuts {
                actions.push(Action::Cut(others(id).fold(0, |set, other| set | link(id, other))));
            }
        }
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            if state.cut & link(a, b) != 0 {
                actions.push(Action::Heal(link(a, b)));
            } else if state.cut == 0 && spent.cuts < bounds.cuts && bounds.partial_cuts {
                actions.push(Action::Cut(link(a, b)));
            }
            for (to, from) in [(a, b), (b, a)].into_iter().filter(|_| bounds.lazy_streams) {
                if Self::may_connect(state, to, from) {
                    actions.push(Action::Connect(to, from));
                }
                if state.servers[to].streams[from] > 0 && state.cut & link(a, b) != 0 {
                    actions.push(Action::Reset(to, from));
                }
            }
        }
    }

    fn elections(&self, state: &State, id: usize, actions: &mut Vec<Action>) {
        let server = &state.servers[id];
        let may_still = (server.term & 0xffff_ffff) < self.bounds.elections && server.log.len() < self.bounds.log;
        if !is_leader(&server.role) && may_still {
            actions.extend(self.mode(state, id).map(|mode| Action::Stand(id, mode)));
        }
        if state.spent.forces < self.bounds.forces && self.may_force(state, id).is_ok() {
            actions.push(Action::Force(id));
            if self.bounds.torn && state.spent.crashes < self.bounds.crashes {
                actions.push(Action::TornForce(id));
            }
        }
    }

    fn leading(&self, state: &State, id: usize, actions: &mut Vec<Action>) {
        let server = &state.servers[id];
        for to in others(id).filter(|to| state.reach(id, *to)) {
            actions.extend(self.next_append(state, id, to).map(Action::Send));
        }
        if server.log.len() >= self.bounds.log {
            return;
        }
        if state.spent.writes < self.bounds.writes {
            actions.push(Action::Write(id));
        }
        let may_suspect = state.spent.suspicions < self.bounds.suspicions;
        let mut confs = vec![];
        for healthy in 0..=ALL {
            if healthy >> id & 1 == 1 || !may_suspect && healthy != self.reached(state, id) {
                continue;
            }
            let newest = crate::facts::configuration(server.newest());
            let placed = |proposal: threefold_rules::Proposal| packed(&proposal.configuration(&newest, newest.log_id));
            confs.extend(self.proposal(state, id, healthy).map(placed));
        }
        confs.sort_unstable();
        confs.dedup();
        for conf in confs {
            actions.push(Action::Change(id, conf));
            if self.bounds.torn && state.spent.crashes < self.bounds.crashes {
                actions.push(Action::TornChange(id, conf));
            }
        }
    }

    /// Those a server rightly believes to answer.
    pub fn reached(&self, state: &State, id: usize) -> u8 {
        others(id).filter(|other| state.reach(id, *other)).fold(0, |set, other| set | 1 << other)
    }

    /// Whether a message brings its receiver a configuration that it must announce.
    fn brings_news(state: &State, message: &Message) -> bool {
        let own = &state.servers[usize::from(message.to)];
        let Body::Append { log, .. } = &message.body else { return false };
        let is_news =
            |(place, entry): (usize, &Entry)| matches!(entry.kind, Kind::Conf(_)) && own.log.get(place) != Some(entry);
        message.term >= own.term && log.iter().enumerate().any(is_news)
    }

    fn torn_deliver(&self, state: &mut State, message: &Message) {
        let Body::Append { log, .. } = &message.body else { return };
        let to = usize::from(message.to);
        self.announce_news(state, to, log);
        self.crash(state, to);
    }

    /// Takes a step, whatever the bounds.
    pub fn take(&self, state: &mut State, action: &Action) -> Option<()> {
        match action {
            Action::Crash(id) => self.crash(state, *id),
            Action::PowerCut => (0..SERVERS).for_each(|id| self.crash(state, id)),
            Action::Restart(id) => self.restart(state, *id),
            Action::Cut(links) => state.cut = *links,
            Action::Heal(links) => state.cut &= !links,
            Action::Connect(to, from) => self.connect(state, *to, *from),
            Action::Reset(to, from) => self.reset(state, *to, *from),
            Action::Announce(id) => self.announce_late(state, *id),
            Action::Stand(id, mode) => self.stand(state, *id, *mode),
            Action::Deliver(message) | Action::TornDeliver(message) => {
                state.messages.retain(|other| other != message);
                if matches!(action, Action::Deliver(_)) {
                    self.deliver(state, message);
                } else {
                    self.torn_deliver(state, message);
                }
            }
            Action::Write(id) => {
                let server = &mut state.servers[*id];
                server.log.push(Entry { term: server.term, kind: Kind::Write(state.spent.writes) });
            }
            Action::Send(message) => state.send(message.clone()),
            Action::Change(id, conf) => self.change(state, *id, *conf),
            Action::TornChange(id, conf) => {
                self.announce_change(state, *id, *conf);
                self.crash(state, *id);
            }
            Action::Force(id) => {
                self.enter_epoch(state, *id)?;
                self.force(state, *id);
            }
            Action::TornForce(id) => {
                self.enter_epoch(state, *id)?;
                self.crash(state, *id);
            }
        }
        self.after(state);
        Some(())
    }

    /// What follows every step at once: streams' ends are read, leaders see what is visible, messages that can no longer
    /// change anything are forgotten.
    fn after(&self, state: &mut State) {
        self.settle_streams(state);
        for id in 0..SERVERS {
            if is_leader(&state.servers[id].role) {
                self.show(state, id);
            }
        }
        let servers = &state.servers;
        state.messages.retain(|message| {
            let to = &servers[usize::from(message.to)];
            match message.body {
                Body::AskVote { .. } => message.term > to.term || message.term == to.term && to.voted.is_none(),
                Body::Append { .. } => message.term >= to.term,
                Body::Grant => message.term == to.term && matches!(to.role, crate::state::Role::Candidate { .. }),
                Body::Matched(_) => message.term == to.term && is_leader(&to.role),
            }
        });
    }

    /// A leader commits, and shows what is visible: here it is checked against everything ever shown.
    fn show(&self, state: &mut State, id: usize) {
        let committed = usize::from(committed(&state.servers[id], id));
        let visible = self.visible(state, id);
        let server = &mut state.servers[id];
        server.visible = server.visible.max(visible);
        let (log, shown) = (&server.log, &state.shown);
        if log[..committed].iter().zip(shown).any(|(own, shown)| own != shown) {
            state.broken = Some("a leader committed without what had been shown");
        }
        let shown_now = &log[..usize::from(visible)];
        if shown_now.len() > shown.len() {
            state.shown = shown_now.to_vec();
        }
    }

    fn spend(state: &mut State, action: &Action, was_right: bool) {
        let spent = &mut state.spent;
        match action {
            Action::Crash(_) | Action::TornDeliver(_) => spent.crashes += 1,
            Action::PowerCut => spent.power_cuts += 1,
            Action::Restart(_) => spent.restarts += 1,
            Action::Cut(_) => spent.cuts += 1,
            Action::Write(_) => spent.writes += 1,
            Action::Change(..) => spent.suspicions += u8::from(!was_right),
            Action::TornChange(..) => {
                spent.crashes += 1;
                spent.suspicions += u8::from(!was_right);
            }
            Action::Force(_) => spent.forces += 1,
            Action::TornForce(_) => {
                spent.forces += 1;
                spent.crashes += 1;
            }
            Action::Heal(_)
            | Action::Connect(..)
            | Action::Reset(..)
            | Action::Announce(_)
            | Action::Stand(..)
            | Action::Deliver(_)
            | Action::Send(_) => {}
        }
    }

    /// Whether a change is what a leader with nothing but right suspicions would propose.
    fn was_right(&self, state: &State, action: &Action) -> bool {
        let (Action::Change(id, conf) | Action::TornChange(id, conf)) = action else { return true };
        let newest = crate::facts::configuration(state.servers[*id].newest());
        let right = self.proposal(state, *id, self.reached(state, *id));
        right.is_some_and(|right| packed(&right.configuration(&newest, newest.log_id)) == *conf)
    }
}

impl Stateright for Model {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::initial()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        self.faults(state, actions);
        for message in &state.messages {
            if state.cut & link(message.from.into(), message.to.into()) != 0 {
                continue;
            }
            actions.push(Action::Deliver(message.clone()));
            let may_tear = self.bounds.torn && state.spent.crashes < self.bounds.crashes;
            if may_tear && Self::brings_news(state, message) {
                actions.push(Action::TornDeliver(message.clone()));
            }
        }
        for id in (0..SERVERS).filter(|id| state.servers[*id].up) {
            self.elections(state, id, actions);
            if is_leader(&state.servers[id].role) {
                self.leading(state, id, actions);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let was_right = self.was_right(last, &action);
        self.take(&mut state, &action)?;
        Self::spend(&mut state, &action, was_right);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
