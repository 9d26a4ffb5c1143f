//! The log's contract: one suite for both logs, random operations against a model, and what only one of them can do.

use std::{
    io,
    ops::Range,
    sync::mpsc::{Receiver, channel},
};

use bytes::Bytes;
use threefold_server::storage::{Done, LogExtent, LogStore, fjall_log::FjallLog, memory::MemoryLog};

fn entry(index: u64) -> Bytes {
    Bytes::from(format!("entry {index}"))
}

fn entries(indices: Range<u64>) -> Vec<Bytes> {
    indices.map(entry).collect()
}

fn done() -> (Done, Receiver<io::Result<()>>) {
    let (sender, receiver) = channel();
    (Box::new(move |result| drop(sender.send(result))), receiver)
}

fn append(log: &impl LogStore, indices: Range<u64>) -> io::Result<()> {
    let (done, told) = done();
    log.append(indices.start, entries(indices), done);
    told.recv().unwrap()
}

fn truncate(log: &impl LogStore, from_index: u64) {
    let (done, told) = done();
    log.truncate(from_index, done);
    told.recv().unwrap().unwrap();
}

fn purge(log: &impl LogStore, to_index: u64) {
    let (done, told) = done();
    log.purge(to_index, mark(to_index), done);
    told.recv().unwrap().unwrap();
}

fn mark(to_index: u64) -> Bytes {
    Bytes::from(format!("purged {to_index}"))
}

fn save_vote(log: &impl LogStore, vote: &'static str) {
    let (done, told) = done();
    log.save_vote(Bytes::from(vote), done);
    told.recv().unwrap().unwrap();
}

/// What every log must do. `reopen` is a restart after a loss of power.
fn check_contract<L: LogStore>(log: L, mut reopen: impl FnMut(L) -> L) {
    assert_eq!(log.extent(), LogExtent::default());
    assert!(log.read(0..10, 1000).unwrap().is_empty());
    append(&log, 0..5).unwrap();
    save_vote(&log, "first");
    append(&log, 5..10).unwrap();
    assert_eq!(log.extent().indices, 0..10);
    assert_eq!(append(&log, 11..12).unwrap_err().kind(), io::ErrorKind::InvalidInput, "a gap");
    check_reading(&log);
    let log = reopen(log);
    assert_eq!(log.extent(), LogExtent { vote: Some("first".into()), purged: None, indices: 0..10 });
    check_reading(&log);

    // Other entries in the place of truncated ones, across the boundary of what was there at the restart.
    truncate(&log, 7);
    assert_eq!(log.read(0..100, 1000).unwrap(), entries(0..7));
    let (appended, told) = done();
    log.append(7, vec!["other 7".into(), "other 8".into()], appended);
    assert_eq!(log.read(6..100, 1000).unwrap(), ["entry 6", "other 7", "other 8"], "readable at once");
    told.recv().unwrap().unwrap();
    let log = reopen(log);
    assert_eq!(log.read(6..100, 1000).unwrap(), ["entry 6", "other 7", "other 8"]);
    assert_eq!(log.extent().indices, 0..9);
    check_purging(log, reopen);
}

fn check_reading(log: &impl LogStore) {
    assert_eq!(log.read(0..100, 1000).unwrap(), entries(0..10));
    assert_eq!(log.read(3..6, 1000).unwrap(), entries(3..6));
    assert_eq!(log.read(3..6, 0).unwrap(), entries(3..4), "always at least one");
    assert_eq!(log.read(3..6, 14).unwrap(), entries(3..5), "two entries of seven bytes");
    assert!(log.read(10..20, 1000).unwrap().is_empty());
}

fn check_purging<L: LogStore>(log: L, mut reopen: impl FnMut(L) -> L) {
    purge(&log, 3);
    assert_eq!(log.extent().indices, 4..9);
    assert_eq!(log.read(0..6, 1000).unwrap(), entries(4..6));
    purge(&log, 1);
    let log = reopen(log);
    assert_eq!(log.extent(), LogExtent { vote: Some("first".into()), purged: Some(mark(3)), indices: 4..9 });
    assert_eq!(log.read(4..6, 1000).unwrap(), entries(4..6));
    // To the end, and beyond it, as after a snapshot from elsewhere.
    purge(&log, 8);
    assert_eq!(log.extent().indices, 9..9);
    purge(&log, 99);
    save_vote(&log, "second");
    let log = reopen(log);
    assert_eq!(log.extent(), LogExtent { vote: Some("second".into()), purged: Some(mark(99)), indices: 100..100 });
    assert!(append(&log, 9..10).is_err());
    append(&log, 100..103).unwrap();
    truncate(&log, 100);
    append(&log, 100..102).unwrap();
    let log = reopen(log);
    assert_eq!(log.extent().indices, 100..102);
    assert_eq!(log.read(0..1000, 1000).unwrap(), entries(100..102));
}

#[test]
fn the_log_in_memory_keeps_its_contract() {
    check_contract(MemoryLog::new(), |log| log.crash());
}

#[test]
fn the_log_on_disk_keeps_its_contract() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    check_contract(FjallLog::open(&path).unwrap(), |log| {
        drop(log);
        FjallLog::open(&path).unwrap()
    });
}

#[test]
fn a_log_in_memory_loses_what_was_not_synced_and_only_that() {
    let log = MemoryLog::manual();
    let (first_done, first) = done();
    let (second_done, second) = done();
    log.append(0, entries(0..3), first_done);
    log.append(3, entries(3..5), second_done);
    assert_eq!(log.extent().indices, 0..5);
    assert_eq!(log.sync(1), 1);
    assert!(first.try_recv().unwrap().is_ok());
    assert!(second.try_recv().is_err(), "not done before it is durable");
    assert_eq!(log.crash().extent().indices, 0..3);
    log.fail(&io::Error::from(io::ErrorKind::StorageFull));
    assert_eq!(second.try_recv().unwrap().unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(append(&log, 5..6).is_err());
}
