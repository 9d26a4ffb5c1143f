//! The rules hold in every space that is walked to its end.

use std::time::Duration;

use threefold_model::{
    Model,
    explore::{Limits, explore},
    properties::{ELECTED_SHOWS, SOLE_WRITES},
    spaces,
};

/// Each space is far smaller; a walk that gets here has met a change that makes it grow. How long one takes is the machine's affair.
const LIMITS: Limits = Limits { states: 40_000_000, time: Duration::from_secs(24 * 3600) };

/// Walks a space to its end; what should happen in it must happen, lest the walk be of an empty world.
#[expect(clippy::unwrap_used, reason = "a test's helper")]
fn holds(space: &str, reached: &[&str]) {
    let bounds = spaces::named(space).unwrap();
    let found = explore(Model::sound(bounds), LIMITS);
    println!("{space}: {found}");
    assert!(found.failures.is_empty(), "{space}: {found}");
    assert!(found.exhausted, "{space} was not walked to its end");
    for name in reached {
        assert!(!found.unreached.contains(name), "{space}: never: {name}");
    }
}

#[test]
fn one_crash_and_the_others_go_on() {
    holds("crash", &[ELECTED_SHOWS]);
}

#[test]
fn one_crash_and_a_wrong_suspicion_and_the_others_go_on() {
    holds("crash-suspicion", &[ELECTED_SHOWS]);
}

#[test]
fn two_crashes_and_the_last_goes_on() {
    holds("two-crashes", &[ELECTED_SHOWS, SOLE_WRITES]);
}

#[test]
fn two_crashes_and_a_wrong_suspicion_lose_nothing() {
    holds("two-crashes-suspicion", &[ELECTED_SHOWS, SOLE_WRITES]);
}

#[test]
fn the_return_restores_and_the_returned_may_be_the_last_in_turn() {
    holds("return", &[SOLE_WRITES]);
}

#[test]
fn a_cut_and_an_election_leave_one_side_going_on() {
    holds("cut-election", &[ELECTED_SHOWS]);
}

#[test]
fn crashes_behind_a_cut_lose_nothing() {
    holds("cut-crashes", &[SOLE_WRITES]);
}

#[test]
fn all_stopped_and_started_again_go_on() {
    holds("cold", &[ELECTED_SHOWS]);
}

#[test]
fn all_stopped_after_one_went_on_alone_lose_nothing() {
    holds("cold-after-force", &[ELECTED_SHOWS, SOLE_WRITES]);
}
