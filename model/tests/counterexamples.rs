//! Each rule taken away gives its counterexample: none of them is there for nothing.

use std::time::Duration;

use stateright::Model as _;
use threefold_model::{
    Action, Bounds, Broken, Model,
    explore::{Limits, look_for},
    properties::{DURABLE, GOES_ON, LAST_SURVIVES, NO_SPLIT_BRAIN},
    state::State,
};

/// Far more than any counterexample here needs. How long a walk takes is the machine's affair.
const LIMITS: Limits = Limits { states: 12_000_000, time: Duration::from_secs(24 * 3600) };

/// Walks until the property fails, and shows how.
fn fails(rule: Broken, bounds: Bounds, property: &'static str) {
    let found = look_for(Model::without(rule, bounds), LIMITS, property);
    println!("without {rule:?}: {found}");
    assert!(!found.failures.is_empty(), "without {rule:?} nothing failed");
}

/// Few entries and no torn steps, unless they are the point.
fn plain() -> Bounds {
    Bounds { torn: false, elections: 1, ..Bounds::one_crash() }
}

#[test]
fn acknowledging_at_the_majority_loses_a_write() {
    fails(Broken::VisibleAtMajority, Bounds { crashes: 2, ..plain() }, DURABLE);
}

#[test]
fn without_holding_back_one_crash_freezes_the_cluster() {
    let bounds = Bounds { suspicions: 1, elections: 2, check_progress: true, ..plain() };
    fails(Broken::NoHoldBack, bounds, GOES_ON);
}

#[test]
fn an_in_sync_set_below_a_majority_freezes_with_one_crash() {
    let bounds = Bounds { suspicions: 2, elections: 2, check_progress: true, ..plain() };
    fails(Broken::RemoveBelowMajority, bounds, GOES_ON);
}

#[test]
fn waiting_for_the_dead_freezes_with_one_crash() {
    let bounds = Bounds { suspicions: 1, elections: 2, check_progress: true, ..plain() };
    fails(Broken::WaitForTheDead, bounds, GOES_ON);
}

#[test]
fn unlisted_servers_that_stand_forget_what_the_last_one_acknowledged() {
    let bounds = Bounds { crashes: 3, restarts: 2, elections: 2, ..plain() };
    fails(Broken::UnlistedStands, bounds, DURABLE);
}

#[test]
fn without_incarnations_the_restarted_count_as_in_sync() {
    let bounds = Bounds { crashes: 3, restarts: 2, elections: 2, ..plain() };
    fails(Broken::NoIncarnations, bounds, DURABLE);
}

#[test]
fn a_cold_start_by_majority_forgets_what_the_last_one_acknowledged() {
    let bounds = Bounds { crashes: 3, restarts: 2, elections: 2, ..plain() };
    fails(Broken::ColdByMajority, bounds, DURABLE);
}

#[test]
fn a_continuing_member_that_votes_cold_lets_two_sides_go_on() {
    let bounds = Bounds { crashes: 2, restarts: 1, elections: 2, ..plain() };
    fails(Broken::ContinuingVotesCold, bounds, DURABLE);
}

#[test]
fn without_wills_a_removed_server_goes_on_alone() {
    fails(Broken::NoWills, Bounds { crashes: 2, suspicions: 1, ..plain() }, DURABLE);
}

#[test]
fn announcing_after_persisting_is_too_late() {
    let bounds = Bounds { crashes: 2, suspicions: 1, ..plain() };
    fails(Broken::AnnounceLate, bounds, DURABLE);
}

#[test]
fn forcing_without_proof_splits_the_brain() {
    fails(Broken::ForceWithoutProof, Bounds { crashes: 0, cuts: 1, ..plain() }, NO_SPLIT_BRAIN);
}

#[test]
fn judging_by_the_newest_configuration_only_forgets_the_others() {
    let bounds = Bounds { crashes: 1, suspicions: 1, elections: 2, ..plain() };
    fails(Broken::ForceByNewest, bounds, DURABLE);
}

#[test]
fn if_any_unknown_configuration_forbade_forcing_the_last_would_wait() {
    fails(Broken::WillsForbid, Bounds { crashes: 2, torn: true, ..plain() }, LAST_SURVIVES);
}

#[test]
fn without_a_new_epoch_an_old_log_outranks_the_survivor() {
    let bounds = Bounds { crashes: 3, restarts: 2, elections: 3, ..plain() };
    fails(Broken::NoEpochJump, bounds, DURABLE);
}

#[test]
fn a_server_admitted_without_streams_waits_for_ever() {
    let bounds = Bounds { crashes: 3, restarts: 1, lazy_streams: true, ..plain() };
    fails(Broken::AdmitWithoutStreams, bounds, LAST_SURVIVES);
}

/// Too deep for a walk: told step by step. The same steps with the rule in force stop at the admission.
#[test]
fn a_server_admitted_unaware_goes_on_without_a_write() {
    let removal_and_write = [
        "A appends {voters ABC, in sync A1 B1}",
        "sent A->B",
        "arrives A->B",
        "arrives B->A",
        "A appends a write",
        "sent A->B",
        "arrives A->B",
        "arrives B->A",
    ];
    // C's streams break and come up again, so it hears of the newest configuration only; then it is the last.
    let admission = ["A appends {voters ABC, in sync A1 B1 C1}", "sent A->B", "arrives A->B", "cut A-C B-C"];
    let streams = [
        "death stream A->C is reset",
        "death stream B->C is reset",
        "heal A-C",
        "heal B-C",
        "death stream A->C comes up",
        "death stream B->C comes up",
    ];
    let end = ["A crashes", "B crashes", "C forces itself"];
    let bounds = Bounds { crashes: 2, cuts: 1, suspicions: 1, lag: true, lazy_streams: true, log: 6, ..plain() };

    let unsound = Model::without(Broken::AdmitUnaware, bounds);
    let steps = [&removal_and_write[..], &admission, &streams, &end].concat();
    let state = play(&unsound, &steps);
    assert_eq!(state.broken, Some("a leader committed without what had been shown"));

    let sound = Model::sound(bounds);
    let state = play(&sound, &removal_and_write);
    assert_eq!(next(&sound, &state, admission[0]), None, "C must have the removal on its disk first");
}

/// The action that begins with these words, if it may happen now.
fn next(model: &Model, state: &State, words: &str) -> Option<Action> {
    let mut actions = vec![];
    model.actions(state, &mut actions);
    actions.into_iter().find(|action| format!("{action:?}").starts_with(words))
}

/// Takes these steps from the beginning.
#[expect(clippy::panic, clippy::unwrap_used, reason = "a test's helper")]
fn play(model: &Model, steps: &[&str]) -> State {
    steps.iter().fold(State::initial(), |state, words| {
        let action = next(model, &state, words).unwrap_or_else(|| panic!("not possible: {words}"));
        model.next_state(&state, action).unwrap()
    })
}
