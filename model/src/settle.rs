//! A fair schedule: what the cluster does by itself when nothing more goes wrong.
//!
//! Deterministic and greedy, outside the bounds. It shows that the cluster *can* go on, in the way the servers go about
//! it: the longest log stands first, proofs lead to a force, changes follow what is really so, a stuck member restarts itself.

use threefold_rules::Mode;

use crate::{
    Action, Model,
    facts::packed,
    machine::is_leader,
    state::{SERVERS, State, link, others},
};

/// What is done for the cluster from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Help {
    /// Nothing.
    None,
    /// Every link heals and every process is started; one that is stuck may restart itself.
    RepairAll,
}

/// Rounds of everything there is to do; generous: the longest recovery takes about half.
const ROUNDS: usize = 30;
/// Restarts by which a stuck cluster may help itself: each server once.
const SELF_RESTARTS: usize = SERVERS;

/// Whether a write made now would come to be shown; and, if all was repaired, whether all three come to be in sync.
pub fn goes_on(model: &Model, state: &State, help: Help) -> bool {
    let mut state = state.clone();
    let mut model = model.clone();
    model.bounds.lazy_streams = false;
    if help == Help::RepairAll {
        for links in [link(0, 1), link(0, 2), link(1, 2)] {
            take(&model, &mut state, &Action::Heal(links));
        }
        for id in (0..SERVERS).filter(|id| !state.servers[*id].up).collect::<Vec<_>>() {
            take(&model, &mut state, &Action::Restart(id));
        }
    }
    let mut restarts = 0;
    let mut write = None;
    for _ in 0..ROUNDS {
        let before = state.clone();
        round(&model, &mut state);
        // The write comes last, so that it shows the outcome of all changes.
        if state == before {
            match (write, leader(&state)) {
                (Some(shown), Some(_)) if state.shown.len() > shown => return is_whole(&state, help),
                (None, Some(leader)) => {
                    write = Some(state.shown.len());
                    take(&model, &mut state, &Action::Write(leader));
                    continue;
                }
                _ => {}
            }
            if help == Help::None || restarts == SELF_RESTARTS {
                return false;
            }
            take(&model, &mut state, &Action::Crash(restarts));
            take(&model, &mut state, &Action::Restart(restarts));
            restarts += 1;
        }
    }
    false
}

fn is_whole(state: &State, help: Help) -> bool {
    let newest = leader(state).map(|id| state.servers[id].newest().conf);
    let all = |conf: crate::state::Conf| (0..SERVERS).all(|id| conf.in_sync[id] == state.servers[id].counter);
    help == Help::None || newest.is_some_and(|conf| all(conf) && conf.before == 0 && conf.voters.count_ones() == 3)
}

/// The leader that matters: one that meets a later term steps down.
fn leader(state: &State) -> Option<usize> {
    let outranked = |id: usize| {
        others(id).any(|other| state.reach(id, other) && state.servers[other].term > state.servers[id].term)
    };
    let leads = |id: &usize| is_leader(&state.servers[*id].role) && !outranked(*id);
    (0..SERVERS).filter(leads).max_by_key(|id| state.servers[*id].term)
}

fn take(model: &Model, state: &mut State, action: &Action) {
    // A step without effect (a spent term) leaves the state as it is, which the caller notices.
    let _ = model.take(state, action);
}

/// Everything there is to do, once: messages, replication, a change, an election, a force.
fn round(model: &Model, state: &mut State) {
    let before = state.clone();
    replicate(model, state);
    change(model, state);
    if *state == before {
        elect(model, state);
    }
    if *state == before {
        force(model, state);
    }
}

/// Everything on its way arrives, and leaders send until nobody has anything to send.
fn replicate(model: &Model, state: &mut State) {
    // Each message says something new, so this ends; the bound is for a model gone wrong.
    for _ in 0..200 {
        let reaches = |message: &crate::state::Message| state.reach(message.from.into(), message.to.into());
        if let Some(message) = state.messages.iter().find(|message| reaches(message)).cloned() {
            take(model, state, &Action::Deliver(message));
            continue;
        }
        let Some(leader) = leader(state) else { return };
        let appends = others(leader).filter(|to| state.reach(leader, *to));
        let Some(append) = appends.filter_map(|to| model.next_append(state, leader, to)).next() else { return };
        take(model, state, &Action::Send(append));
    }
}

fn change(model: &Model, state: &mut State) {
    let Some(leader) = leader(state) else { return };
    let Some(proposal) = model.proposal(state, leader, model.reached(state, leader)) else { return };
    let newest = crate::facts::configuration(state.servers[leader].newest());
    let conf = packed(&proposal.configuration(&newest, newest.log_id));
    take(model, state, &Action::Change(leader, conf));
}

/// Whoever can be elected is, the longest log first; an attempt in vain leaves no trace.
fn elect(model: &Model, state: &mut State) {
    let Some(highest) = state.servers.iter().map(|server| server.term).max() else { return };
    let mut candidates: Vec<usize> = (0..SERVERS).filter(|id| state.servers[*id].up).collect();
    candidates.sort_by_key(|id| std::cmp::Reverse((in_sync(model, state, *id), state.servers[*id].last())));
    for id in candidates {
        if leads_for_good(state, id) {
            return;
        }
        let Some(mode) = model.mode(state, id) else { continue };
        let mut attempt = state.clone();
        attempt.servers[id].term = highest;
        take(model, &mut attempt, &Action::Stand(id, mode));
        replicate(model, &mut attempt);
        if leads_for_good(&attempt, id) {
            *state = attempt;
            return;
        }
    }
}

fn in_sync(model: &Model, state: &State, id: usize) -> bool {
    model.mode(state, id) == Some(Mode::Normal)
}

/// Whether this server leads in the highest term, with an entry of that term committed: a new election would not help.
fn leads_for_good(state: &State, id: usize) -> bool {
    leader(state) == Some(id) && crate::facts::committed(&state.servers[id], id) > 0
}

fn force(model: &Model, state: &mut State) {
    for id in (0..SERVERS).filter(|id| state.servers[*id].up) {
        if model.may_force(state, id).is_ok() {
            take(model, state, &Action::Force(id));
            return;
        }
    }
}
