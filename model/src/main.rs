//! Explores the model by time: `threefold-model --states N --seconds S [--space NAME] [--without RULE]`.
//!
//! Every space is walked breadth first, until it is exhausted or a bound is met, and what was found is printed. The exit
//! code says whether a property failed.

use std::{process::ExitCode, time::Duration};

use threefold_model::{
    Broken, Model,
    explore::{Limits, explore},
    spaces,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    let limits = Limits {
        states: value("--states").unwrap_or(20_000_000) as usize,
        time: Duration::from_secs(value("--seconds").unwrap_or(600)),
    };
    let named = arguments.iter().position(|argument| argument == "--space").and_then(|place| arguments.get(place + 1));
    let without = arguments.iter().position(|argument| argument == "--without");
    let without = without.and_then(|place| arguments.get(place + 1));
    let broken = without.and_then(|rule| Broken::ALL.into_iter().find(|broken| format!("{broken:?}") == *rule));
    let mut failed = false;
    for (name, bounds) in spaces::small().into_iter().chain(spaces::large()) {
        if named.is_some_and(|named| named != name) {
            continue;
        }
        let found = explore(Model { bounds, broken }, limits);
        println!("{name}: {found}");
        failed |= !found.failures.is_empty();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
