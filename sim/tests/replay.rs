//! One seed is one run, to the byte, in whatever process it runs. Only a build after `sim/cargo.toml` can show it.

#![cfg(tokio_unstable)]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::process::Command;

fn trace(seed: u64, servers: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_threefold-sim"))
        .args(["--seed", &seed.to_string(), "--seconds", "25", "--servers", servers])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_seed_gives_the_same_trace_in_two_processes() {
    for (seed, servers) in [(11, "3"), (12, "5")] {
        let (first, second) = (trace(seed, servers), trace(seed, servers));
        assert!(first.lines().count() > 500, "{first}");
        let differs = first.lines().zip(second.lines()).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert!(first == second, "one trace is longer");
    }
}

#[test]
fn another_seed_gives_another_trace() {
    assert_ne!(trace(13, "3"), trace(14, "3"));
}
