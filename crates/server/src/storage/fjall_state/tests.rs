//! When layers move, and what they find below.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    time::Instant,
};

use super::*;

/// Longer than a checkpoint takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

const NEVER: Checkpoints =
    Checkpoints { bytes: usize::MAX, changed_bytes: u64::MAX, age: Duration::from_secs(1_000_000) };

fn change(key: &[u8], value: &[u8]) -> Changes {
    Changes::from([(key.to_vec(), Some(value.to_vec()))])
}

fn has_moved(state: &FjallState) -> bool {
    let layers = lock(&state.shared.layers);
    layers.active.is_empty() && layers.frozen.is_empty()
}

fn wait_until_moved(state: &FjallState) {
    let give_up = Instant::now() + PATIENCE;
    while !has_moved(state) {
        assert!(Instant::now() < give_up, "nothing has moved");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_layer_moves_when_it_is_large_or_much_was_changed_or_it_is_old() {
    let directory = tempfile::tempdir().unwrap();
    let state = FjallState::open_with(directory.path(), Checkpoints { bytes: 10_000, ..NEVER }).unwrap();
    state.commit(change(b"a", b"1")).unwrap();
    assert!(!has_moved(&state));
    state.commit(change(b"b", &[2; 10_000])).unwrap();
    wait_until_moved(&state);
    drop(state);

    let state = FjallState::open_with(directory.path(), Checkpoints { changed_bytes: 10_000, ..NEVER }).unwrap();
    for number in 0..200u8 {
        state.commit(change(b"counter", &[number])).unwrap();
    }
    // What came after the last move is little again.
    let give_up = Instant::now() + PATIENCE;
    while lock(&state.shared.layers).changed_bytes >= 10_000 {
        assert!(Instant::now() < give_up, "nothing has moved");
        thread::sleep(Duration::from_millis(1));
    }
    drop(state);

    let age = Duration::from_millis(1);
    let state = FjallState::open_with(directory.path(), Checkpoints { age, ..NEVER }).unwrap();
    state.commit(change(b"c", b"3")).unwrap();
    wait_until_moved(&state);
    assert_eq!(state.get(b"counter").unwrap(), Some(vec![199]));
    assert_eq!(state.get(b"c").unwrap(), Some(vec![3 + b'0']));
}

/// An earlier program wrote through the database's journal and memtable, and what it left there is older than any table of this one.
#[test]
fn what_an_earlier_program_left_in_the_journal_does_not_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let generation = Generation::open_current(&directory.path().join("state")).unwrap();
    for key in [b"kept", b"gone", b"says"] {
        generation.records().insert(key, b"before").unwrap();
    }
    generation.persist().unwrap();
    drop(generation);
    let open = || FjallState::open_with(&directory.path().join("state"), NEVER).unwrap();
    let state = open();
    assert_eq!(state.get(b"says").unwrap().as_deref(), Some(&b"before"[..]));
    state.commit(Changes::from([(b"says".to_vec(), Some(b"now".to_vec())), (b"gone".to_vec(), None)])).unwrap();
    state.persist().unwrap();
    let check = |state: &FjallState| {
        assert_eq!(state.get(b"kept").unwrap().as_deref(), Some(&b"before"[..]));
        assert_eq!(state.get(b"says").unwrap().as_deref(), Some(&b"now"[..]));
        assert_eq!(state.get(b"gone").unwrap(), None);
        let mut keys = Vec::new();
        let mut visit = |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            std::ops::ControlFlow::Continue(())
        };
        state.scan(b"a", b"z", Direction::Ascending, &mut visit).unwrap();
        assert_eq!(keys, [b"kept".to_vec(), b"says".to_vec()]);
    };
    check(&state);
    drop(state);
    for _ in 0..2 {
        let state = open();
        check(&state);
        lock(&state.shared.layers).base.records().major_compact().unwrap();
        check(&state);
    }
}

/// Compactions go on behind the scenes. One that fails ends the state, though nobody waits for it.
#[test]
fn a_state_whose_tables_cannot_be_compacted_takes_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let state = FjallState::open_with(directory.path(), NEVER).unwrap();
    let record = |number: u32| change(&number.to_be_bytes(), &[7; 2000]);
    (0..100).for_each(|number| state.commit(record(number)).unwrap());
    state.persist().unwrap();
    let tables = lock(&state.shared.layers).base.records().path().join("tables");
    for table in fs::read_dir(tables).unwrap() {
        let mut table = fs::File::options().read(true).write(true).open(table.unwrap().path()).unwrap();
        // Within the data, far from the end, which is read at each opening.
        let place = SeekFrom::Start(table.metadata().unwrap().len() / 3);
        let mut byte = [0];
        table.seek(place).unwrap();
        table.read_exact(&mut byte).unwrap();
        table.seek(place).unwrap();
        table.write_all(&[!byte[0]]).unwrap();
    }
    drop(state);
    let age = Duration::from_millis(1);
    let state = FjallState::open_with(directory.path(), Checkpoints { age, ..NEVER }).unwrap();
    let give_up = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < give_up, "it still takes changes");
        if let Err(error) = state.commit(record(50)) {
            break error;
        }
        // A table each: slowly enough for a compaction to begin in between.
        thread::sleep(Duration::from_millis(10));
    };
    assert!(error.to_string().contains("an earlier write to the database failed"), "{error}");
}
