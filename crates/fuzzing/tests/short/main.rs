//! The fuzz targets without a fuzzer: over the committed corpus, the stored formats' golden file, and mutations that are the
//! same every time. What a fuzzer finds is added to the corpus, and so tried here ever after.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod seeds;

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use threefold_core::stored;
use threefold_fuzzing::{Body, TARGETS};

/// Mutations of a target, besides the corpus itself; the variable `MUTATIONS` says otherwise.
const MUTATIONS: usize = 20_000;
/// Of the whole corpus: it is in everybody's copy of the project.
const CORPUS_BYTES: usize = 200_000;
/// Kinds of stored bytes that a target takes besides the tables: those of the log.
const LOG_KINDS: std::ops::RangeInclusive<u8> = 0x80..=0x85;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = root().join("fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The values of the stored formats' golden file.
fn golden() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(root().join("crates/core/tests/golden/formats.txt")).unwrap();
    let values = text.lines().filter(|line| !line.starts_with("key: "));
    let hex = values.map(|line| line.rsplit(' ').next().unwrap());
    hex.map(|hex| (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect())
        .collect()
}

/// Draws the same numbers every time: Marsaglia's xorshift64.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    /// A number below this one; zero below zero.
    fn below(&mut self, end: usize) -> usize {
        (self.throw() as usize).checked_rem(end).unwrap_or(0)
    }

    /// Bytes that went wrong in a few places.
    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        const TELLING: [&[u8]; 12] = [
            b"\0",
            b"\xff",
            b"\x7f",
            b"\x80",
            b"\n",
            b"{",
            b"\"",
            b"\\u0000",
            b"\xff\xff\xff\xff",
            b"\xf6",
            b"*",
            b"-1",
        ];
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(8)).min(bytes.len());
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] = self.throw() as u8,
                1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                2 => drop(bytes.drain(at..end)),
                3 => drop(bytes.splice(at..end, TELLING[self.below(TELLING.len())].iter().copied())),
                4 => bytes.truncate(at),
                5 => {
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(40)).min(other.len());
                    drop(bytes.splice(at..end, other[from..to].iter().copied()));
                }
                _ => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            }
        }
    }
}

fn check(target: &str, body: Body, data: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| body(data))).is_err() {
        let mut hex = String::new();
        data.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
        panic!("{target} of {hex}");
    }
}

fn run(target: &str, body: Body, seeds: &[Vec<u8>]) {
    assert!(!seeds.is_empty(), "{target} has no corpus");
    seeds.iter().for_each(|seed| check(target, body, seed));
    let mut dice = Dice(0x5eed_1234_5678_9abc);
    let mutations = env::var("MUTATIONS").map_or(MUTATIONS, |count| count.parse().unwrap());
    for _ in 0..mutations {
        let mut bytes = seeds[dice.below(seeds.len())].clone();
        let other = &seeds[dice.below(seeds.len())];
        dice.mutate(&mut bytes, other);
        check(target, body, &bytes);
    }
}

#[test]
fn whatever_the_bytes_are_what_must_hold_of_parsers_holds() {
    let seeds = seeds::seeds();
    for (target, body) in TARGETS {
        let own = seeds.iter().filter(|(whose, _)| *whose == target).map(|(_, data)| data.clone());
        let all: Vec<Vec<u8>> = corpus(target).into_iter().chain(own).collect();
        run(target, body, &all);
    }
}

#[test]
fn whatever_becomes_of_stored_bytes_they_are_read_as_what_they_say_or_refused() {
    let (target, body) = TARGETS[5];
    let kinds: Vec<u8> = (0..0x40).chain(LOG_KINDS).collect();
    let seeds: Vec<Vec<u8>> =
        golden().iter().flat_map(|value| kinds.iter().map(|kind| [&[*kind][..], value].concat())).collect();
    run(target, body, &seeds);
}

/// So that no kind of record is left out where they are decoded by their tables.
#[test]
fn every_table_has_a_record_in_the_golden_file() {
    let text = fs::read_to_string(root().join("crates/core/tests/golden/formats.txt")).unwrap();
    let keys = text.lines().filter(|line| line.starts_with("key: "));
    let named = keys.map(|line| u8::from_str_radix(&line.rsplit(' ').next().unwrap()[..2], 16).unwrap());
    let golden = golden();
    for table in named.collect::<BTreeSet<u8>>() {
        let mut read = golden.iter().filter_map(|value| stored::again(table, value));
        assert!(read.any(|read| read.is_ok()), "there is no record of table {table:#x} that can be decoded by it");
    }
}

/// For a fuzzer, which begins with files: `cargo test -p threefold-fuzzing -- --ignored` adds what is new.
#[test]
#[ignore = "writes to the sources"]
fn write_seeds() {
    for (target, data) in seeds::seeds() {
        // FNV-1a. Names of files tell nothing, like those that fuzzers give.
        let name = data
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        let directory = root().join("fuzz/corpus").join(target);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("{name:016x}")), &data).unwrap();
    }
}

#[test]
fn the_corpus_is_small_and_every_target_can_be_fuzzed() {
    let mut bytes = 0;
    for (target, _) in TARGETS {
        bytes += corpus(target).iter().map(Vec::len).sum::<usize>();
        let program = root().join(format!("fuzz/fuzz_targets/{target}.rs"));
        assert!(fs::read_to_string(program).unwrap().contains(&format!("threefold_fuzzing::{target}(data)")));
    }
    assert!(bytes < CORPUS_BYTES, "{bytes}");
    let directories = fs::read_dir(root().join("fuzz/corpus")).unwrap().count();
    assert_eq!(directories, TARGETS.len());
}
