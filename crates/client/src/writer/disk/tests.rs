//! The file, torn and damaged at every byte; and that an outbox comes back as it was.

use threefold_proto::chat::{Done, MarkDelivered, WriteResult, write_result};
use tokio::{sync::oneshot, time::Instant};

use super::*;
use crate::{Token, writer::outbox::Outbox};

fn session() -> Session {
    Session {
        token: Token::from_hex(&"ab".repeat(32)).unwrap(),
        account: 7,
        session: 9,
        name: "alice".to_owned(),
        expires_at_ms: 0,
        delivered_up_to: 0,
        position: 0,
        cursor: None,
        recovery_id: Vec::new(),
        servers: Vec::new(),
    }
}

fn accepted(key: u64) -> Change {
    Change::Accepted { key, operation: Operation::MarkDelivered(MarkDelivered { up_to: key }) }
}

fn named(key: u64, instance: u64, number: u64) -> Change {
    Change::Named { key, request: RequestId { instance, number } }
}

/// Keys and names of what waits.
type Waiting = Vec<(u64, Option<(u64, u64)>)>;

fn waiting(content: &Content) -> Waiting {
    let name = |stored: &Stored| stored.request.map(|request| (request.instance, request.number));
    content.waiting.iter().map(|(key, stored)| (*key, name(stored))).collect()
}

/// What is written, save by save.
fn script() -> Vec<Vec<Change>> {
    vec![
        vec![accepted(1), named(1, 10, 1)],
        vec![accepted(2), accepted(3), named(2, 10, 2), named(3, 10, 3)],
        vec![Change::Removed { key: 1 }, accepted(4)],
        vec![Change::Unnamed { key: 3 }, Change::Removed { key: 2 }, named(3, 11, 1), named(4, 11, 2)],
        vec![Change::Removed { key: 3 }, Change::Removed { key: 4 }],
        vec![accepted(5)],
    ]
}

/// The file after the script, and for each save how long it was then, how many were accepted, and what waited.
fn written_down(directory: &Path) -> (Vec<u8>, Vec<(u64, u64, Waiting)>) {
    let path = directory.join("script");
    let mut outbox = DiskOutbox::open(&path, &session()).unwrap();
    let mut after = vec![(outbox.bytes, 0, Vec::new())];
    for changes in script() {
        outbox.save(&changes).unwrap();
        after.push((outbox.bytes, outbox.accepted(), waiting(&outbox.content)));
    }
    (fs::read(&path).unwrap(), after)
}

#[test]
fn after_a_crash_at_any_byte_it_is_as_after_the_last_whole_save() {
    let directory = tempfile::tempdir().unwrap();
    let (bytes, after) = written_down(directory.path());
    assert_eq!(after.last().unwrap().0, bytes.len() as u64);
    let path = directory.path().join("torn");
    // The beginning is renamed into its place as a whole.
    for length in usize::try_from(after[0].0).unwrap()..=bytes.len() {
        // What the crash left of the last save: as far as it came, and then nothing, or zeros where the file had grown already.
        for torn in [bytes[..length].to_vec(), [&bytes[..length], &[0; 40]].concat()] {
            // A save that ends with zeros anyway may be whole by them.
            let is_whole = |end: u64| usize::try_from(end).is_ok_and(|end| torn.get(..end) == bytes.get(..end));
            let whole = after.iter().rev().find(|(end, ..)| is_whole(*end)).unwrap();
            fs::write(&path, &torn).unwrap();
            let mut outbox = DiskOutbox::open(&path, &session()).unwrap();
            assert_eq!((outbox.accepted(), waiting(&outbox.content)), (whole.1, whole.2.clone()), "at byte {length}");
            assert_eq!(fs::metadata(&path).unwrap().len(), whole.0, "what was torn is cut off");
            // And it goes on from there.
            outbox.save(&[accepted(100), named(100, 12, 1)]).unwrap();
            drop(outbox);
            let outbox = DiskOutbox::open(&path, &session()).unwrap();
            assert_eq!(waiting(&outbox.content).last(), Some(&(100, Some((12, 1)))), "at byte {length}");
        }
    }
}

#[test]
fn damage_before_the_last_save_is_told_and_not_cut_away() {
    let directory = tempfile::tempdir().unwrap();
    let (bytes, after) = written_down(directory.path());
    let path = directory.path().join("damaged");
    let last_begins = usize::try_from(after[after.len() - 2].0).unwrap();
    for at in 0..last_begins {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        fs::write(&path, &damaged).unwrap();
        let error = DiskOutbox::open(&path, &session()).unwrap_err();
        assert!(matches!(&error, Error::Usage(words) if words.contains("cannot be used")), "at byte {at}: {error}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "it is left alone");
    }
}

#[test]
fn it_belongs_to_one_session_and_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outbox");
    let outbox = DiskOutbox::open(&path, &session()).unwrap();
    let words = |result: Result<DiskOutbox, Error>| result.unwrap_err().to_string();
    assert!(words(DiskOutbox::open(&path, &session())).contains("another program has it open"));
    drop(outbox);
    let others = [
        Session { session: 10, ..session() },
        Session { account: 8, ..session() },
        Session { token: Token::from_hex(&"cd".repeat(32)).unwrap(), ..session() },
    ];
    for other in others {
        assert!(words(DiskOutbox::open(&path, &other)).contains("another session"));
    }
    // What may change during a session does not matter.
    DiskOutbox::open(&path, &Session { position: 5, servers: vec!["x:1".to_owned()], ..session() }).unwrap();
    let mut newer = fs::read(&path).unwrap();
    newer[MAGIC.len()] = VERSION + 1;
    fs::write(&path, &newer).unwrap();
    assert!(words(DiskOutbox::open(&path, &session())).contains("of version 2"));
    fs::write(&path, "a text").unwrap();
    assert!(words(DiskOutbox::open(&path, &session())).contains("no outbox"));
    assert!(words(DiskOutbox::open(directory.path().join("no/such/place"), &session())).contains("No such file"));
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outbox");
    drop(DiskOutbox::open(&path, &session()).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(
        !fs::read(&path).unwrap().windows(32).any(|bytes| bytes == session().token.as_bytes()),
        "no secret of the session"
    );
}

#[test]
fn it_stays_small_and_counts_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outbox");
    let mut outbox = DiskOutbox::open(&path, &session()).unwrap();
    for key in 1..=3_000 {
        let changes: Vec<Change> = if key == 1 {
            vec![accepted(1)]
        } else {
            let removed = Change::Removed { key: key - 1 };
            let edit = threefold_proto::chat::EditMessage { body: "x".repeat(900), ..Default::default() };
            vec![Change::Accepted { key, operation: Operation::Edit(edit) }, named(key, 10, key), removed]
        };
        outbox.save(&changes).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 2 * WORTH_WRITING_ANEW);
    }
    drop(outbox);
    let outbox = DiskOutbox::open(&path, &session()).unwrap();
    assert_eq!((outbox.accepted(), waiting(&outbox.content)), (3_000, vec![(3_000, Some((10, 3_000)))]));
}

/// An outbox over a file, which a crash may end at any time.
struct Bench {
    outbox: Outbox,
    disk: DiskOutbox,
    now: Instant,
}

impl Bench {
    fn open(path: &Path, now: Instant) -> Self {
        let disk = DiskOutbox::open(path, &session()).unwrap();
        let outbox = Outbox::kept(disk.kept().unwrap(), disk.accepted(), disk.instance(), now);
        Self { outbox, disk, now }
    }

    fn push(&mut self, up_to: u64) -> oneshot::Receiver<Result<crate::writer::outbox::Outcome, Error>> {
        let (reply, receipt) = oneshot::channel();
        self.outbox.push(Operation::MarkDelivered(MarkDelivered { up_to }), self.now, reply);
        receipt
    }

    /// What may go now, after it was saved: (instance, number, which write).
    fn transmit(&mut self) -> Vec<(u64, u64, u64)> {
        let mut sent = Vec::new();
        while let Some(transmission) = self.outbox.transmit() {
            let request = transmission.write.request.unwrap();
            let Some(Operation::MarkDelivered(mark)) = transmission.write.operation else {
                panic!("another operation")
            };
            sent.push((request.instance, request.number, mark.up_to));
        }
        self.disk.save(&self.outbox.take_unsaved()).unwrap();
        sent
    }

    fn answer(&mut self, instance: u64, number: u64) {
        let result = Some(write_result::Result::Done(Done { position: number }));
        self.outbox.answered(WriteResult { request: Some(RequestId { instance, number }), result });
    }
}

#[test]
fn what_was_sent_goes_again_under_its_numbers_and_what_was_not_gets_others() {
    let directory = tempfile::tempdir().unwrap();
    let (path, now) = (directory.path().join("outbox"), Instant::now());
    let mut bench = Bench::open(&path, now);
    let receipts: Vec<_> = (1..=70).map(|up_to| bench.push(up_to)).collect();
    bench.outbox.set_instance(10);
    assert_eq!(bench.transmit().len(), 64);
    bench.answer(10, 1);
    bench.answer(10, 2);
    bench.disk.save(&bench.outbox.take_unsaved()).unwrap();
    // This answer nobody writes down any more.
    bench.answer(10, 3);
    drop((bench, receipts));

    let mut bench = Bench::open(&path, now);
    assert_eq!(bench.outbox.waiting(), 68);
    let expected: Vec<_> = (3..=64).map(|number| (10, number, number)).collect();
    assert_eq!(bench.transmit(), expected);
    // However it comes that the instance of an earlier process is offered again.
    bench.outbox.set_instance(10);
    assert!(bench.outbox.wants_instance());
    bench.outbox.set_instance(11);
    assert_eq!(bench.transmit(), [], "nothing overtakes what may not have run");
    let receipt = bench.push(71);
    (3..=64).for_each(|number| bench.answer(10, number));
    let expected: Vec<_> = (65..=71).zip(1..).map(|(write, number)| (11, number, write)).collect();
    assert_eq!(bench.transmit(), expected);
    (1..=7).for_each(|number| bench.answer(11, number));
    assert!(receipt.blocking_recv().unwrap().is_ok());
    assert!(bench.outbox.must_save(), "an outbox that is empty is empty on disk, too");
    bench.disk.save(&bench.outbox.take_unsaved()).unwrap();
    drop(bench);
    let disk = DiskOutbox::open(&path, &session()).unwrap();
    assert_eq!((disk.waiting(), disk.accepted()), (0, 71));
}

#[test]
fn what_is_on_disk_is_not_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::open(&directory.path().join("outbox"), Instant::now());
    let receipt = bench.push(1);
    bench.outbox.expire(bench.now, &Error::Unavailable { cause: String::new(), tried: Vec::new() });
    assert!(
        matches!(receipt.blocking_recv().unwrap(), Err(Error::OutcomeUnknown(words)) if words.contains("kept on disk"))
    );
    bench.outbox.set_instance(10);
    assert_eq!(bench.transmit(), [(10, 1, 1)]);
    // The cluster refuses the whole writer: then it was told so, and must not come later.
    bench.outbox.refuse_all(&Error::Usage(String::new()));
    bench.disk.save(&bench.outbox.take_unsaved()).unwrap();
    assert_eq!(bench.disk.waiting(), 0);
}
