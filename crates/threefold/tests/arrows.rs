//! The shape of the house: who may depend on whom, and who alone knows consensus and database.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Of the workspace's own crates, what each may depend on. Whoever adds a crate says here where it stands.
const ARROWS: [(&str, &str, &[&str]); 11] = [
    ("crates/core", "threefold-core", &[]),
    ("crates/rules", "threefold-rules", &[]),
    ("crates/proto", "threefold-proto", &["threefold-core"]),
    ("crates/server", "threefold-server", &["threefold-core", "threefold-rules", "threefold-proto"]),
    // Itself, with its fake cluster, in its own tests.
    ("crates/client", "threefold-client", &["threefold-core", "threefold-proto", "threefold-client"]),
    ("crates/threefold", "threefold", &["threefold-server", "threefold-client"]),
    ("crates/fuzzing", "threefold-fuzzing", &["threefold-core", "threefold-proto", "threefold-server"]),
    ("bench", "threefold-bench", &["threefold-client", "threefold-proto"]),
    ("model", "threefold-model", &["threefold-rules"]),
    ("sim", "threefold-sim", &["threefold-core", "threefold-server", "threefold-client"]),
    ("trial", "threefold-trial", &["threefold", "threefold-client", "threefold-core"]),
];

/// The only places that may name these crates.
const ALONE: [(&str, &str); 2] = [("openraft", "crates/server/src/raft/"), ("fjall", "crates/server/src/storage/")];

/// A file longer than this is looked at again.
const LINES: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn manifest(path: &str) -> toml::Table {
    fs::read_to_string(root().join(path).join("Cargo.toml")).unwrap().parse().unwrap()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of the workspace: its path from the root, and its text.
fn all_sources() -> BTreeMap<String, String> {
    let mut found = Vec::new();
    for (path, _, _) in ARROWS {
        sources(&root().join(path), &mut found);
    }
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_crate_has_its_place() {
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<&str> = members.iter().map(|member| member.as_str().unwrap()).collect();
    assert_eq!(members, ARROWS.iter().map(|(path, _, _)| *path).collect());
}

#[test]
fn arrows_point_one_way() {
    for (path, name, allowed) in ARROWS {
        let manifest = manifest(path);
        assert_eq!(manifest["package"]["name"].as_str(), Some(name));
        let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
        for table in tables.iter().filter_map(|table| manifest.get(*table)?.as_table()) {
            for dependency in table.keys().filter(|dependency| dependency.starts_with("threefold")) {
                assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
            }
        }
    }
}

#[test]
fn consensus_and_database_are_known_in_one_place_each() {
    for (name, text) in all_sources() {
        for (library, place) in ALONE {
            let uses = |line: &&str| {
                let code = line.split("//").next().unwrap_or_default();
                code.contains(&format!("{library}::")) || code.contains(&format!("use {library}"))
            };
            // This file says their names to find them.
            let exempt = name.starts_with(place) || name.ends_with("tests/arrows.rs");
            if let Some(line) = text.lines().find(uses).filter(|_| !exempt) {
                panic!("{name} uses {library}, which belongs to {place}: {line}");
            }
        }
    }
}

/// Unbiased, `select!` draws lots whose numbers no simulation can repeat.
#[test]
fn what_is_simulated_selects_in_a_fixed_order() {
    let simulated = ["crates/server/src/", "crates/client/src/", "sim/"];
    for (name, text) in all_sources() {
        if simulated.iter().any(|place| name.starts_with(place)) {
            let mut lines = text.lines();
            while let Some(line) = lines.find(|line| line.contains("select! {")) {
                let biased = lines.next().is_some_and(|next| next.trim() == "biased;");
                assert!(biased, "{name} selects at random: {}", line.trim());
            }
        }
    }
}

#[test]
fn long_files_are_looked_at_again() {
    for (name, text) in all_sources() {
        let lines = text.lines().count();
        if lines > LINES {
            eprintln!("warning: {name} has {lines} lines: think again");
        }
    }
}

/// Names of three words and more, in backquotes in a table: the tests that back its cells.
#[test]
fn every_test_that_the_documentation_names_exists() {
    let text = ["docs/replication.md", "docs/testing.md"].map(|path| fs::read_to_string(root().join(path)).unwrap());
    let text = text.join("\n");
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let named = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|name| name.matches('_').count() > 2);
    let named: BTreeSet<&str> = named.filter(|name| !name.starts_with("...")).collect();
    assert!(named.len() > 50, "a table has gone: {}", named.len());
    let sources = all_sources();
    for name in named {
        let defined = format!("fn {name}(");
        assert!(sources.values().any(|text| text.contains(&defined)), "there is no test {name}");
    }
}
