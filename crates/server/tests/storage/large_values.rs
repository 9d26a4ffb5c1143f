//! Values as large as chunks of attachments: they lie in files of their own, and nobody notices.

use threefold_core::store::{Changes, Read as _};
use threefold_server::storage::{StateStore, fjall_state::FjallState};

const LARGE: usize = 256 << 10;

fn large(number: u8) -> Vec<u8> {
    (0..LARGE).map(|place| (place / 250) as u8 ^ place as u8 ^ number).collect()
}

fn check(state: &FjallState, numbers: impl IntoIterator<Item = u8>) {
    for number in numbers {
        assert_eq!(state.get(&[9, number]).unwrap().as_ref(), Some(&large(number)), "{number}");
    }
}

#[test]
fn chunks_survive_checkpoints_restarts_removal_and_copying() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let state = FjallState::open(&path).unwrap();
    for number in 0..100 {
        let small = (vec![8, number], Some(vec![number]));
        state.commit(Changes::from([small, (vec![9, number], Some(large(number)))])).unwrap();
    }
    check(&state, 0..100);
    state.persist().unwrap();
    check(&state, 0..100);
    let snapshot = state.snapshot().unwrap();
    for number in 0..50 {
        state.commit(Changes::from([(vec![9, number], None)])).unwrap();
    }
    state.persist().unwrap();
    check(&state, 50..100);
    assert!((0..50).all(|number| state.get(&[9, number]).unwrap().is_none()));
    // A view of before still has all; another server gets it as it is.
    let mut install = state.begin_install().unwrap();
    let mut after: Option<bytes::Bytes> = None;
    loop {
        let records = snapshot.chunk(after.as_deref(), 1 << 20).unwrap();
        let Some((last, _)) = records.last() else { break };
        after = Some(last.clone());
        install.write(&records).unwrap();
    }
    let received = install.finish().unwrap();
    drop(snapshot);
    state.finish_install(received).unwrap();
    check(&state, 0..100);
    state.commit(Changes::from([(vec![9, 0], None)])).unwrap();
    drop(state);
    let state = FjallState::open(&path).unwrap();
    check(&state, 1..100);
    assert_eq!(state.get(&[9, 0]).unwrap(), None);
    assert_eq!(state.get(&[8, 7]).unwrap(), Some(vec![7]));
}
