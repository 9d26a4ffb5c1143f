//! A server with a rule taken away is found out: each rule with a seed that shows it. Only a build with the feature
//! `sabotage` can take a rule away.

#![cfg(all(feature = "sabotage", tokio_unstable))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::process::Command;

fn last_line(seed: u64, sabotage: Option<&str>) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threefold-sim"));
    command.args(["--seed", &seed.to_string(), "--quiet", "--servers", "3"]);
    if let Some(rule) = sabotage {
        command.args(["--sabotage", rule]);
    }
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

fn is_found_out(rule: &str, seed: u64) {
    let (holds, verdict) = last_line(seed, Some(rule));
    assert!(!holds && verdict.contains("VIOLATED"), "nobody notices: {verdict}");
    let (holds, verdict) = last_line(seed, None);
    assert!(holds, "the same seed with the rule in force: {verdict}");
}

#[test]
fn acknowledging_at_a_majority_only_is_found_out() {
    is_found_out("majority-is-visible", 0);
}

#[test]
fn voting_and_standing_after_a_restart_is_found_out() {
    is_found_out("restarted-votes", 0);
}

#[test]
fn lease_reads_are_found_out() {
    is_found_out("lease-reads", 0);
}
