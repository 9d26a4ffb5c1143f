//! The state's contract: one suite for both states, and what readers see while checkpoints and installs go on.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
};

use threefold_core::store::{Changes, Direction, Read};
use threefold_server::storage::{StateStore, fjall_state::FjallState, memory::MemoryState};

fn changes<const N: usize>(changes: [(&str, Option<&str>); N]) -> Changes {
    changes.into_iter().map(|(key, value)| (key.into(), value.map(Into::into))).collect::<BTreeMap<_, _>>()
}

fn get(state: &dyn Read, key: &str) -> Option<String> {
    state.get(key.as_bytes()).unwrap().map(|value| String::from_utf8(value).unwrap())
}

fn scan(state: &dyn Read, start: &str, end: &str, direction: Direction, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        found.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
        if found.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    state.scan(start.as_bytes(), end.as_bytes(), direction, &mut visit).unwrap();
    found
}

fn all(state: &dyn Read) -> Vec<String> {
    scan(state, "a", "z", Direction::Ascending, usize::MAX)
}

/// What every state must do. `reopen` is a restart.
fn check_contract<S: StateStore>(state: S, mut reopen: impl FnMut(S) -> S) {
    assert_eq!(get(&state, "a"), None);
    state.commit(changes([("a", Some("1")), ("b", Some("1")), ("c", Some("1"))])).unwrap();
    state.persist().unwrap();
    state.commit(changes([("a", Some("2")), ("b", None), ("d", Some("2")), ("e", None)])).unwrap();
    check_reading(&state);
    let snapshot = state.snapshot().unwrap();
    state.commit(changes([("a", None), ("f", Some("3"))])).unwrap();
    state.persist().unwrap();
    state.commit(changes([("d", None)])).unwrap();
    check_reading(&*snapshot);
    assert_eq!(snapshot.chunk(None, 4).unwrap(), [("a".into(), "2".into()), ("c".into(), "1".into())]);
    assert_eq!(snapshot.chunk(Some(b"c"), 0).unwrap(), [("d".into(), "2".into())]);
    assert!(snapshot.chunk(Some(b"d"), 99).unwrap().is_empty());
    drop(snapshot);
    state.persist().unwrap();
    let state = reopen(state);
    assert_eq!(all(&state), ["c=1", "f=3"]);
    check_installing(state, reopen);
}

fn check_reading(state: &dyn Read) {
    use Direction::{Ascending, Descending};
    assert_eq!((get(state, "a").as_deref(), get(state, "b")), (Some("2"), None));
    assert_eq!(scan(state, "a", "z", Ascending, 9), ["a=2", "c=1", "d=2"]);
    assert_eq!(scan(state, "a", "z", Descending, 9), ["d=2", "c=1", "a=2"]);
    assert_eq!(scan(state, "a", "z", Descending, 2), ["d=2", "c=1"]);
    assert_eq!(scan(state, "b", "d", Ascending, 9), ["c=1"]);
    assert!(scan(state, "z", "a", Ascending, 9).is_empty());
}

fn check_installing<S: StateStore>(state: S, mut reopen: impl FnMut(S) -> S) {
    // One that is given up leaves nothing.
    let mut install = state.begin_install().unwrap();
    install.write(&[("k".into(), "9".into())]).unwrap();
    assert!(install.write(&[("k".into(), "9".into())]).is_err(), "keys must ascend");
    drop(install);
    state.commit(changes([("c", Some("4"))])).unwrap();
    let before = state.snapshot().unwrap();
    let mut install = state.begin_install().unwrap();
    install.write(&[("k".into(), "9".into()), ("l".into(), "9".into())]).unwrap();
    install.write(&[("m".into(), "9".into())]).unwrap();
    let received = install.finish().unwrap();
    assert_eq!(all(&state), ["c=4", "f=3"], "not before it is put in place");
    state.finish_install(received).unwrap();
    assert_eq!(all(&state), ["k=9", "l=9", "m=9"]);
    assert_eq!(all(&*before), ["c=4", "f=3"]);
    drop(before);
    let state = reopen(state);
    assert_eq!(all(&state), ["k=9", "l=9", "m=9"]);
    state.commit(changes([("l", None)])).unwrap();
    state.persist().unwrap();
    let state = reopen(state);
    assert_eq!(all(&state), ["k=9", "m=9"]);
    // An empty state is a state too.
    let received = state.begin_install().unwrap().finish().unwrap();
    state.finish_install(received).unwrap();
    assert!(all(&reopen(state)).is_empty());
}

#[test]
fn the_state_in_memory_keeps_its_contract() {
    check_contract(MemoryState::new(), |state| state.crash());
}

#[test]
fn the_state_on_disk_keeps_its_contract() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    check_contract(FjallState::open(&path).unwrap(), |state| {
        drop(state);
        FjallState::open(&path).unwrap()
    });
}

/// Commits in which all of these keys hold the same number.
const KEYS: u32 = 50;

fn generation_of(state: &dyn Read, direction: Direction) -> Option<u64> {
    let mut numbers = Vec::new();
    let mut visit = |_: &[u8], value: &[u8]| {
        numbers.push(u64::from_be_bytes(value.try_into().unwrap()));
        ControlFlow::Continue(())
    };
    state.scan(b"number/", b"number0", direction, &mut visit).unwrap();
    let first = numbers.first().copied();
    assert!(numbers.iter().all(|number| Some(*number) == first), "a torn commit: {numbers:?}");
    assert!(numbers.is_empty() || numbers.len() == KEYS as usize, "a missing key: {}", numbers.len());
    first
}

fn numbers(number: u64) -> Changes {
    (0..KEYS).map(|key| (format!("number/{key:04}").into(), Some(number.to_be_bytes().to_vec()))).collect()
}

#[test]
fn readers_see_whole_commits_while_layers_move() {
    const COMMITS: u64 = 3000;
    let directory = tempfile::tempdir().unwrap();
    let state = FjallState::open(directory.path()).unwrap();
    let committed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for direction in [Direction::Ascending, Direction::Descending] {
            let state = &state;
            scope.spawn(move || {
                let mut last = None;
                while last < Some(COMMITS) {
                    let seen = generation_of(state, direction);
                    assert!(seen >= last, "time went back from {last:?} to {seen:?}");
                    let one = state.get(b"number/0007").unwrap();
                    let one = one.map(|value| u64::from_be_bytes(value.try_into().unwrap()));
                    assert!(one >= seen, "a key went back from {seen:?} to {one:?}");
                    last = seen;
                }
            });
        }
        scope.spawn(|| {
            while committed.load(Ordering::Relaxed) < COMMITS {
                state.persist().unwrap();
            }
        });
        for number in 1..=COMMITS {
            state.commit(numbers(number)).unwrap();
            committed.store(number, Ordering::Relaxed);
        }
    });
    assert_eq!(generation_of(&state, Direction::Ascending), Some(COMMITS));
}

#[test]
fn an_install_replaces_everything_at_once_under_readers() {
    const INSTALLS: u64 = 5;
    let directory = tempfile::tempdir().unwrap();
    let state = FjallState::open(directory.path()).unwrap();
    state.commit(numbers(0)).unwrap();
    std::thread::scope(|scope| {
        for direction in [Direction::Ascending, Direction::Descending] {
            let state = &state;
            scope.spawn(move || while generation_of(state, direction) < Some(INSTALLS) {});
        }
        for number in 1..=INSTALLS {
            let mut install = state.begin_install().unwrap();
            for (key, value) in numbers(number) {
                install.write(&[(key.into(), value.unwrap().into())]).unwrap();
            }
            let received = install.finish().unwrap();
            state.finish_install(received).unwrap();
        }
    });
    drop(state);
    let state = FjallState::open(directory.path()).unwrap();
    assert_eq!(generation_of(&state, Direction::Descending), Some(INSTALLS));
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "CURRENT and one generation: {names:?}");
}

#[test]
fn a_state_is_copied_chunk_by_chunk_while_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let source = FjallState::open(&directory.path().join("source")).unwrap();
    let target = FjallState::open(&directory.path().join("target")).unwrap();
    source.commit(numbers(1)).unwrap();
    source.persist().unwrap();
    source.commit(changes([("number/0000", None), ("other", Some("x"))])).unwrap();
    let snapshot = source.snapshot().unwrap();
    let mut install = target.begin_install().unwrap();
    let mut after = None;
    loop {
        source.commit(numbers(2)).unwrap();
        source.persist().unwrap();
        let chunk = snapshot.chunk(after.as_deref(), 200).unwrap();
        let Some((last, _)) = chunk.last() else { break };
        after = Some(last.clone());
        install.write(&chunk).unwrap();
    }
    target.finish_install(install.finish().unwrap()).unwrap();
    assert_eq!(all(&target), all(&*snapshot));
    assert_eq!(all(&target).len(), KEYS as usize);
}

mod random {
    use proptest::prelude::*;
    use threefold_core::store::MemoryStore;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Commit(Vec<(u8, Option<u8>)>),
        Persist,
        Snapshot,
        Reopen,
        Scan { start: u8, end: u8, is_ascending: bool, limit: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => proptest::collection::vec((0..40u8, any::<Option<u8>>()), 0..12).prop_map(Step::Commit),
            3 => Just(Step::Persist),
            1 => Just(Step::Snapshot),
            1 => Just(Step::Reopen),
            6 => (0..41u8, 0..41u8, any::<bool>(), 1..20usize)
                .prop_map(|(start, end, is_ascending, limit)| Step::Scan { start, end, is_ascending, limit }),
        ]
    }

    fn scan(state: &dyn Read, start: u8, end: u8, direction: Direction, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            found.push((key.to_vec(), value.to_vec()));
            if found.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        state.scan(&[start], &[end], direction, &mut visit).unwrap();
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_state_agrees_with_a_map_whatever_happens(steps in proptest::collection::vec(step(), 1..60)) {
            let directory = crate::quick_directory();
            let mut model = MemoryStore::default();
            let mut state = FjallState::open(directory.path()).unwrap();
            let mut snapshots = Vec::new();
            for step in steps {
                match step {
                    Step::Commit(pairs) => {
                        let changes: Changes =
                            pairs.into_iter().map(|(key, value)| (vec![key], value.map(|value| vec![value]))).collect();
                        for (key, value) in changes.clone() {
                            match value {
                                Some(value) => drop(model.entries.insert(key, value)),
                                None => drop(model.entries.remove(&key)),
                            }
                        }
                        state.commit(changes).unwrap();
                    }
                    Step::Persist => state.persist().unwrap(),
                    Step::Snapshot => snapshots.push((state.snapshot().unwrap(), model.clone())),
                    Step::Reopen => {
                        // A database cannot be opened while a view of it is alive.
                        snapshots.clear();
                        drop(state);
                        state = FjallState::open(directory.path()).unwrap();
                    }
                    Step::Scan { start, end, is_ascending, limit } => {
                        let direction = if is_ascending { Direction::Ascending } else { Direction::Descending };
                        prop_assert_eq!(
                            scan(&state, start, end, direction, limit),
                            scan(&model, start, end, direction, limit)
                        );
                        for (snapshot, model) in &snapshots {
                            prop_assert_eq!(
                                scan(&**snapshot, start, end, direction, limit),
                                scan(model, start, end, direction, limit)
                            );
                        }
                        // Every key, so that what was read once is asked for again after it has changed.
                        for key in 0..40 {
                            prop_assert_eq!(state.get(&[key]).unwrap(), model.get(&[key]).unwrap());
                            let mut shown = None;
                            let is_there = state.look(&[key], &mut |value| shown = Some(value.to_vec())).unwrap();
                            prop_assert_eq!((is_there, &shown), (shown.is_some(), &model.get(&[key]).unwrap()));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_interrupted_installs_leave_is_removed_and_a_missing_state_is_no_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let state = FjallState::open(directory.path()).unwrap();
    state.commit(numbers(1)).unwrap();
    // Received completely, but never put in place.
    let mut install = state.begin_install().unwrap();
    install.write(&[("k".into(), "9".into())]).unwrap();
    std::mem::forget(install.finish().unwrap());
    drop(state);
    std::fs::create_dir(directory.path().join("generation-7")).unwrap();
    let state = FjallState::open(directory.path()).unwrap();
    assert_eq!(generation_of(&state, Direction::Ascending), Some(1), "saved by the clean stop");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    drop(state);
    std::fs::remove_dir_all(directory.path().join("generation-1")).unwrap();
    let error = FjallState::open(directory.path()).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
}

#[test]
fn a_received_state_that_nobody_wants_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let state = FjallState::open(directory.path()).unwrap();
    state.commit(numbers(1)).unwrap();
    let mut install = state.begin_install().unwrap();
    install.write(&[("k".into(), "9".into())]).unwrap();
    let received = install.finish().unwrap();
    let names = || std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(names(), 3);
    drop(received);
    // It is removed by a thread of its own.
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while names() != 2 {
        assert!(std::time::Instant::now() < give_up, "it is still there");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // One that was put in place stays.
    let mut install = state.begin_install().unwrap();
    install.write(&[("k".into(), "9".into())]).unwrap();
    state.finish_install(install.finish().unwrap()).unwrap();
    drop(state);
    assert_eq!(all(&FjallState::open(directory.path()).unwrap()), ["k=9"]);
}

#[test]
fn generations_without_a_current_one_are_kept_and_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    // What a crash in the middle of the first creation leaves.
    std::fs::create_dir_all(directory.path().join("state.new/generation-1")).unwrap();
    let state = FjallState::open(&path).unwrap();
    state.commit(numbers(1)).unwrap();
    drop(state);
    std::fs::rename(path.join("CURRENT"), directory.path().join("elsewhere")).unwrap();
    for _ in 0..2 {
        let error = FjallState::open(&path).err().unwrap();
        assert!(error.to_string().contains("CURRENT is missing"), "{error}");
    }
    std::fs::rename(directory.path().join("elsewhere"), path.join("CURRENT")).unwrap();
    assert_eq!(generation_of(&FjallState::open(&path).unwrap(), Direction::Ascending), Some(1));
}
