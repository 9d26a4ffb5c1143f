//! A server with a rule taken away is found out: some seed notices, and the same seed notices nothing while the rule is in
//! force. Which seed it is changes with the server; the test's output names it. Only a build with the feature `sabotage` can
//! take a rule away.

#![cfg(all(feature = "sabotage", tokio_unstable))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::process::Command;

/// Seeds tried, from one on that lately was not far from the first that noticed.
const SEEDS: &str = "400";

fn simulate(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_threefold-sim")).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

fn is_found_out(rule: &str, start: &str, mode: &[&str]) {
    let sabotaged = ["--servers", "3", "--start", start, "--seeds", SEEDS, "--stop", "--sabotage", rule];
    let (holds, words) = simulate(&[&sabotaged[..], mode].concat());
    let found = words.lines().find(|line| line.contains("VIOLATED"));
    let Some(found) = found.filter(|_| !holds) else { panic!("{rule} is gone, and nobody notices: {words}") };
    println!("without {rule}: {found}");
    let seed = found.trim_start_matches("seed ").split(':').next().unwrap();
    let (holds, words) = simulate(&[&["--servers", "3", "--seed", seed, "--quiet"], mode].concat());
    assert!(holds, "the same seed with the rule in force: {words}");
}

#[test]
fn acknowledging_at_a_majority_only_is_found_out() {
    is_found_out("majority-is-visible", "480", &[]);
}

#[test]
fn voting_and_standing_after_a_restart_is_found_out() {
    is_found_out("restarted-votes", "1", &[]);
}

#[test]
fn lease_reads_are_found_out() {
    is_found_out("lease-reads", "245", &["--plain"]);
}
