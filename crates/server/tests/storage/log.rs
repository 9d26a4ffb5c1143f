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

#[test]
fn a_long_log_is_read_from_disk_and_purged_in_slices() {
    // More than stays in memory, so that the oldest entries come from disk while the newest do not.
    const ENTRIES: u64 = 40_000;
    const BATCH: u64 = 5_000;
    let directory = tempfile::tempdir().unwrap();
    let log = FjallLog::open(&directory.path().join("log")).unwrap();
    let (told, tell) = channel();
    for first in (0..ENTRIES).step_by(BATCH as usize) {
        let told = told.clone();
        log.append(first, entries(first..first + BATCH), Box::new(move |result| told.send(result).unwrap()));
    }
    for _ in 0..ENTRIES / BATCH {
        tell.recv().unwrap().unwrap();
    }
    assert_eq!(log.read(0..ENTRIES, usize::MAX).unwrap(), entries(0..ENTRIES));
    assert_eq!(log.counters().entries, ENTRIES);
    assert!(log.counters().fsyncs <= ENTRIES / BATCH, "{:?}", log.counters());
    purge(&log, ENTRIES - 11);
    append(&log, ENTRIES..ENTRIES + 5).unwrap();
    assert_eq!(log.read(0..u64::MAX, usize::MAX).unwrap(), entries(ENTRIES - 10..ENTRIES + 5));
    // Closed in the middle of the removal, which the next opening completes.
    drop(log);
    for _ in 0..2 {
        let log = FjallLog::open(&directory.path().join("log")).unwrap();
        assert_eq!(log.extent().indices, ENTRIES - 10..ENTRIES + 5);
        assert_eq!(log.read(0..u64::MAX, usize::MAX).unwrap(), entries(ENTRIES - 10..ENTRIES + 5));
    }
}

/// As the random test below once found: the bound was counted otherwise on disk than in memory.
#[test]
fn an_empty_entry_finds_room_behind_one_that_is_larger_than_the_bound() {
    let directory = crate::quick_directory();
    let path = directory.path().join("log");
    let three = || vec![Bytes::from(vec![7; 10]), Bytes::new(), Bytes::from_static(b"x")];
    let check = |log: &dyn LogStore| assert_eq!(log.read(0..3, 1).unwrap(), three()[..2]);
    let (model, log) = (MemoryLog::new(), FjallLog::open(&path).unwrap());
    for log in [&model as &dyn LogStore, &log] {
        let (done, told) = done();
        log.append(0, three(), done);
        told.recv().unwrap().unwrap();
        check(log);
    }
    drop(log);
    check(&FjallLog::open(&path).unwrap());
}

#[test]
fn callers_are_told_in_the_order_of_their_calls() {
    let directory = tempfile::tempdir().unwrap();
    let log = FjallLog::open(&directory.path().join("log")).unwrap();
    let (told, tell) = channel();
    let next = |number: u32| -> Done {
        let told = told.clone();
        Box::new(move |result| told.send((number, result.is_ok())).unwrap())
    };
    for number in 0..200 {
        let index = u64::from(number) / 4;
        match number % 4 {
            0 => log.append(index, entries(index..index + 2), next(number)),
            1 => log.save_vote("vote".into(), next(number)),
            2 => log.truncate(index + 1, next(number)),
            _ => log.append(index + 7, entries(0..1), next(number)),
        }
    }
    let refused = |number: u32| number % 4 == 3;
    let told: Vec<_> = (0..200).map(|_| tell.recv().unwrap()).collect();
    // What cannot be appended is refused at once; the rest is in order.
    let written: Vec<_> = told.iter().filter(|(number, _)| !refused(*number)).copied().collect();
    let expected: Vec<_> = (0..200).filter(|number| !refused(*number)).map(|number| (number, true)).collect();
    assert_eq!(written, expected);
    assert!(told.iter().all(|(number, is_ok)| *is_ok != refused(*number)));
    assert_eq!(log.read(0..100, 1000).unwrap(), entries(0..50));
}

mod random {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Append(Vec<u8>),
        Vote(u8),
        /// So many entries from the end.
        Truncate(u64),
        /// So many entries from the start.
        Purge(u64),
        Read {
            skip: u64,
            take: u64,
            max_bytes: usize,
        },
        Reopen,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Step::Append),
            1 => any::<u8>().prop_map(Step::Vote),
            2 => (0..30u64).prop_map(Step::Truncate),
            2 => (0..40u64).prop_map(Step::Purge),
            3 => (0..60u64, 0..60u64, 0..300usize)
                .prop_map(|(skip, take, max_bytes)| Step::Read { skip, take, max_bytes }),
            1 => Just(Step::Reopen),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_logs_agree_whatever_happens(steps in proptest::collection::vec(step(), 1..60)) {
            let directory = crate::quick_directory();
            let path = directory.path().join("log");
            let model = MemoryLog::new();
            let mut log = FjallLog::open(&path).unwrap();
            let ignore = || -> Done { Box::new(|result| result.unwrap()) };
            for step in steps {
                let extent = model.extent().indices;
                match step {
                    Step::Append(bytes) => {
                        let entries: Vec<_> = bytes.iter().map(|byte| Bytes::from(vec![*byte; *byte as usize])).collect();
                        model.append(extent.end, entries.clone(), ignore());
                        log.append(extent.end, entries, ignore());
                    }
                    Step::Vote(vote) => {
                        model.save_vote(vec![vote].into(), ignore());
                        log.save_vote(vec![vote].into(), ignore());
                    }
                    Step::Truncate(count) => {
                        let from = extent.end.saturating_sub(count);
                        model.truncate(from, ignore());
                        log.truncate(from, ignore());
                    }
                    Step::Purge(count) => {
                        let to_index = extent.start + count;
                        model.purge(to_index, mark(to_index), ignore());
                        log.purge(to_index, mark(to_index), ignore());
                    }
                    Step::Read { skip, take, max_bytes } => {
                        let indices = extent.start + skip..extent.start + skip + take;
                        prop_assert_eq!(
                            log.read(indices.clone(), max_bytes).unwrap(),
                            model.read(indices, max_bytes).unwrap()
                        );
                    }
                    Step::Reopen => {
                        drop(log);
                        log = FjallLog::open(&path).unwrap();
                    }
                }
                prop_assert_eq!(log.extent(), model.extent());
                let everything = 0..u64::MAX;
                prop_assert_eq!(
                    log.read(everything.clone(), usize::MAX).unwrap(),
                    model.read(everything, usize::MAX).unwrap()
                );
            }
        }
    }
}
