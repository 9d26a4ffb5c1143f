//! What must hold of every state.

use stateright::Property;
use threefold_rules::Blocked;

use crate::{
    Model,
    facts::is_majority,
    machine::is_leader,
    settle::{Help, goes_on},
    state::{SERVERS, State, others},
};

/// Nothing shown is ever lost or changed.
pub const DURABLE: &str = "nothing shown is lost";
/// Two leaders can never both complete a write.
pub const NO_SPLIT_BRAIN: &str = "no split brain";
/// Without cuts and wrong suspicions, the last server can go on (P1).
pub const LAST_SURVIVES: &str = "the last server can go on";
/// After a crash, or once all is repaired, the cluster makes progress by itself.
pub const GOES_ON: &str = "the cluster goes on";
/// A sole survivor gets to show a write.
pub const SOLE_WRITES: &str = "a sole survivor shows a write";
/// A leader shows something after an election.
pub const ELECTED_SHOWS: &str = "an elected leader shows its entries";

/// The properties of a model.
pub fn all() -> Vec<Property<Model>> {
    vec![
        Property::always(DURABLE, |_: &Model, state: &State| state.broken.is_none()),
        Property::always(NO_SPLIT_BRAIN, |_, state: &State| (0..SERVERS).filter(|id| is_able(state, *id)).count() <= 1),
        Property::always(LAST_SURVIVES, last_survives),
        Property::always(GOES_ON, |model, state| !model.bounds.check_progress || progresses(model, state)),
        Property::sometimes(SOLE_WRITES, |_, state: &State| {
            let forced = state.shown.iter().position(|entry| entry.term >> 32 > 0);
            forced.is_some_and(|place| state.shown[place..].iter().any(is_write))
        }),
        Property::sometimes(ELECTED_SHOWS, |_, state: &State| {
            state.shown.iter().any(|entry| entry.term & 0xffff_ffff > 1)
        }),
    ]
}

fn is_write(entry: &crate::state::Entry) -> bool {
    matches!(entry.kind, crate::state::Kind::Write(_))
}

/// Whether a leader could complete a write with those it reaches, if nothing else happened.
fn is_able(state: &State, id: usize) -> bool {
    let server = &state.servers[id];
    if !is_leader(&server.role) {
        return false;
    }
    let conf = server.newest().conf;
    let follows = |other: &usize| state.reach(id, *other) && state.servers[*other].term <= server.term;
    let with = others(id).filter(follows).fold(1u8 << id, |set, other| set | 1 << other);
    is_majority(conf, with) && (0..SERVERS).all(|member| conf.in_sync[member] == 0 || with >> member & 1 == 1)
}

/// P1: in a run without cuts and without wrong suspicions, a server whose others are down, and which never stopped
/// or knows itself in sync, is or may become the sole member.
fn last_survives(model: &Model, state: &State) -> bool {
    if state.spent.cuts > 0 || state.spent.suspicions > 0 || state.broken.is_some() {
        return true;
    }
    (0..SERVERS).all(|id| {
        let server = &state.servers[id];
        let last = server.up && others(id).all(|other| !state.servers[other].up);
        let in_sync = last && (server.counter == 1 || server.pending()[0].conf.in_sync[id] == server.counter);
        !in_sync || matches!(model.may_force(state, id), Ok(()) | Err(Blocked::Alone))
    })
}

/// Whether the cluster makes progress where it must: with one server down and nothing else wrong, without help; and from
/// anywhere, once every process runs and every link works.
fn progresses(model: &Model, state: &State) -> bool {
    if state.broken.is_some() {
        return true;
    }
    let down = state.servers.iter().filter(|server| !server.up).count();
    let one_crash = state.spent.restarts == 0 && state.cut == 0 && down <= 1;
    (!one_crash || goes_on(model, state, Help::None)) && goes_on(model, state, Help::RepairAll)
}
