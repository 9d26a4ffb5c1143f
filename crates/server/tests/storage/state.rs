//! The state's contract: one suite for both states, and what readers see while checkpoints and installs go on.

use std::{collections::BTreeMap, ops::ControlFlow};

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
