//! SIGKILL in the middle of writing: what was reported done is there, and the state is that of some commit.
//!
//! This program starts itself again as the victim, which writes to a log and a state and says on its standard output
//! what it is about to do and what was reported done. It is killed after so many lines, several times over, on one
//! directory; after each kill the stores are opened here and compared with what was said.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use bytes::Bytes;
use threefold_core::store::{Changes, Read};
use threefold_server::storage::{
    LogStore, StateStore,
    fjall_log::FjallLog,
    fjall_state::{Checkpoints, FjallState},
};

const DIRECTORY_VARIABLE: &str = "THREEFOLD_TEST_CRASH_DIRECTORY";
/// The victim ends by itself after so many rounds, should nobody kill it.
const ROUNDS: u64 = 20_000;
/// Keys of the state: number `n` goes to key `n % KEYS`.
const KEYS: u64 = 97;

fn entry(index: u64, round: u64) -> Bytes {
    format!("{index} {round} {}", "x".repeat((index % 200) as usize)).into()
}

fn parse(bytes: &[u8]) -> (u64, u64) {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut words = text.split(' ');
    let (index, round) = (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap());
    assert_eq!(bytes, &entry(index, round)[..]);
    (index, round)
}

/// The victim; as a test of its own it does nothing.
#[test]
fn victim() {
    let Ok(directory) = std::env::var(DIRECTORY_VARIABLE) else { return };
    let directory = Path::new(&directory);
    let log = FjallLog::open(&directory.join("log")).unwrap();
    // It also makes checkpoints by itself, every few rounds.
    let checkpoints = Checkpoints { bytes: 4 << 10, ..Checkpoints::default() };
    let state = FjallState::open_with(&directory.join("state"), checkpoints).unwrap();
    let mut applied = applied(&state);
    // Rounds never repeat, not even after a restart.
    let first_round = log.extent().vote.map_or(0, |vote| std::str::from_utf8(&vote).unwrap().parse().unwrap());
    for round in first_round + 1..first_round + ROUNDS {
        let extent = log.extent().indices;
        let saved = move |result: std::io::Result<()>| result.map(|()| println!("vote {round}")).unwrap();
        log.save_vote(round.to_string().into(), Box::new(saved));
        match round % 16 {
            7 => {
                let from = extent.end.saturating_sub(round % 11).max(extent.start);
                // Nothing about the entries that go may be said after this.
                wait_until_written(&log, round);
                println!("truncating {from}");
                log.truncate(from, Box::new(|result| result.unwrap()));
            }
            11 if extent.end > extent.start + 40 => {
                let to = extent.end - 40;
                let done = move |result: std::io::Result<()>| result.map(|()| println!("purged {to}")).unwrap();
                log.purge(to, to.to_string().into(), Box::new(done));
            }
            _ => {
                let end = extent.end + round % 9;
                let entries = (extent.end..end).map(|index| entry(index, round)).collect();
                let done = move |result: std::io::Result<()>| {
                    result.unwrap();
                    println!("appended {} {end} {round}", extent.end);
                };
                log.append(extent.end, entries, Box::new(done));
            }
        }
        applied += 1;
        let record = |key: String, number: u64| (key.into_bytes(), Some(number.to_string().into_bytes()));
        let changes = [record("applied".into(), applied), record(format!("key {}", applied % KEYS), applied)];
        state.commit(changes.into_iter().collect::<Changes>()).unwrap();
        if round % 50 == 0 {
            state.persist().unwrap();
            println!("persisted {applied}");
        }
    }
}

/// Waits until everything queued before is reported.
fn wait_until_written(log: &FjallLog, round: u64) {
    let (told, tell) = std::sync::mpsc::channel();
    log.save_vote(round.to_string().into(), Box::new(move |result| told.send(result).unwrap()));
    tell.recv().unwrap().unwrap();
}

fn number(state: &FjallState, key: &str) -> u64 {
    let value = state.get(key.as_bytes()).unwrap();
    value.map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap())
}

fn applied(state: &FjallState) -> u64 {
    number(state, "applied")
}

/// What the victims have said so far.
#[derive(Default)]
struct Said {
    /// The round in which each index was appended.
    appended: BTreeMap<u64, u64>,
    purged: Option<u64>,
    vote: u64,
    persisted: u64,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let number = |word: &str| word.parse::<u64>().unwrap();
        match words[..] {
            ["appended", start, end, round] => {
                self.appended.extend((number(start)..number(end)).map(|index| (index, number(round))));
            }
            ["truncating", from] => drop(self.appended.split_off(&number(from))),
            ["purged", to] => self.purged = Some(number(to)),
            ["vote", vote] => self.vote = number(vote),
            ["persisted", applied] => self.persisted = number(applied),
            _ => {}
        }
    }

    fn check(&mut self, directory: &Path) {
        let log = FjallLog::open(&directory.join("log")).unwrap();
        let extent = log.extent();
        let vote: u64 = extent.vote.map_or(0, |vote| std::str::from_utf8(&vote).unwrap().parse().unwrap());
        assert!(vote >= self.vote, "vote {} was reported, {vote} is there", self.vote);
        if let Some(purged) = self.purged {
            assert!(extent.indices.start > purged, "{purged} was purged, {:?} is there", extent.indices);
        }
        let found: Vec<_> = log.read(0..u64::MAX, usize::MAX).unwrap().iter().map(|entry| parse(entry)).collect();
        let indices: Vec<_> = found.iter().map(|(index, _)| *index).collect();
        assert_eq!(indices, extent.indices.clone().collect::<Vec<_>>());
        let found: BTreeMap<_, _> = found.into_iter().collect();
        for (index, round) in self.appended.range(extent.indices.start..) {
            let there = found.get(index);
            assert_eq!(there, Some(round), "entry {index} was reported from round {round}, {there:?} is there");
        }
        // From here on it must stay.
        self.appended = found;
        let state = FjallState::open(&directory.join("state")).unwrap();
        let applied = applied(&state);
        assert!(applied >= self.persisted, "{} was persisted, {applied} is there", self.persisted);
        for key in 0..KEYS {
            let latest = (applied.saturating_sub(KEYS - 1)..=applied).find(|number| number % KEYS == key);
            assert_eq!(number(&state, &format!("key {key}")), latest.unwrap_or(0), "as of {applied}");
        }
    }
}

#[test]
fn what_was_reported_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for lines in [3, 150, 600, 1500, 40, 2500] {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::victim", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY_VARIABLE, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(victim.stdout.take().unwrap());
        let mut line = String::new();
        for _ in 0..lines {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the victim died by itself");
            said.hear(line.trim_end());
        }
        victim.kill().unwrap();
        // What it said before it died counts too, except for a line that was cut short.
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        let complete = rest.rfind('\n').map_or("", |end| &rest[..end]);
        complete.lines().for_each(|line| said.hear(line));
        victim.wait().unwrap();
        said.check(directory.path());
    }
    assert!(said.persisted > 0 && said.purged.is_some() && said.vote > 0);
}
