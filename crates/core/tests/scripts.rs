//! Golden scripts: scenarios in `tests/scripts`, each named for what it proves. The language is in `stage`.
//!
//! `UPDATE=1 cargo test` rewrites what the scripts expect; look at the difference before it is committed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;
mod world;

use std::{fs, path::Path};

#[test]
fn every_script_gives_what_it_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts");
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in paths {
        let expected = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut stage = stage::Stage::new();
        let found = goldenscript::generate(&mut stage, &expected).unwrap_or_else(|error| panic!("{name}: {error}"));
        stage.fail_over();
        if found == expected {
            continue;
        }
        if update {
            fs::write(&path, found).unwrap();
        } else {
            wrong.push(format!("{name}: {}", first_difference(&expected, &found)));
        }
    }
    assert!(wrong.is_empty(), "scripts give something else (UPDATE=1 rewrites them):\n{}", wrong.join("\n"));
}

fn first_difference(expected: &str, found: &str) -> String {
    let lines = expected.lines().map(Some).chain(std::iter::repeat(None)).zip(found.lines().map(Some).chain([None]));
    match lines.enumerate().find(|(_, (expected, found))| expected != found) {
        Some((line, (expected, found))) => format!("line {}: expected {expected:?}, found {found:?}", line + 1),
        None => "something is missing at its end".to_owned(),
    }
}
