//! A few seeds of every kind, at each test. The command runs as many as one likes.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::process::Command;

fn runs(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_threefold-sim")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn three_servers_in_survivor_mode_keep_every_promise() {
    runs(&["--start", "1000", "--seeds", "4", "--seconds", "30", "--servers", "3"]);
}

#[test]
fn three_servers_in_plain_raft_keep_every_promise() {
    runs(&["--start", "2000", "--seeds", "3", "--seconds", "30", "--servers", "3", "--plain"]);
}

#[test]
fn five_servers_keep_every_promise() {
    runs(&["--start", "3000", "--seeds", "2", "--seconds", "30", "--servers", "5"]);
}
