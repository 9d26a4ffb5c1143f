//! The file, torn and damaged at every byte; and that an outbox comes back as it was.

use threefold_proto::chat::{Done, ErrorCode, MarkDelivered, RequestId, WriteResult, write::Operation, write_result};
use tokio::{sync::oneshot, time::Instant};

use super::{content::Stored, *};
use crate::{Failed, Token, writer::outbox::Outbox};

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

fn failed(key: u64, why: Why) -> Change {
    Change::Failed { key, why }
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
        vec![failed(5, Why::Refused(7, "größe".to_owned())), accepted(6)],
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

    fn refuse(&mut self, instance: u64, number: u64) {
        let error = threefold_proto::chat::Error {
            code: ErrorCode::Forbidden.into(),
            message: "no".to_owned(),
            ..Default::default()
        };
        let result = Some(write_result::Result::Error(error));
        self.outbox.answered(WriteResult { request: Some(RequestId { instance, number }), result });
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
    // The cluster gives the writer no more numbers, for now.
    bench.outbox.refuse_unnamed(&Error::Usage(String::new()));
    bench.disk.save(&bench.outbox.take_unsaved()).unwrap();
    assert_eq!((bench.outbox.waiting(), bench.disk.waiting()), (1, 1));
}

#[test]
fn the_instance_of_an_earlier_process_is_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let (path, now) = (directory.path().join("outbox"), Instant::now());
    let mut bench = Bench::open(&path, now);
    let _receipt = bench.push(1);
    bench.outbox.set_instance(10);
    assert_eq!(bench.transmit(), [(10, 1, 1)]);
    bench.answer(10, 1);
    bench.disk.save(&bench.outbox.take_unsaved()).unwrap();
    drop(bench);
    let mut bench = Bench::open(&path, now);
    let _receipt = bench.push(2);
    // However it comes that it is offered again.
    bench.outbox.set_instance(10);
    assert!(bench.outbox.wants_instance());
    bench.outbox.set_instance(11);
    assert_eq!(bench.transmit(), [(11, 1, 2)]);
}

#[test]
fn what_came_to_nothing_stays_on_disk_until_somebody_was_told_whoever_has_heard_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let (path, now) = (directory.path().join("outbox"), Instant::now());
    let mut bench = Bench::open(&path, now);
    let [heard, unheard, good] = [1, 2, 3].map(|up_to| bench.push(up_to));
    drop(unheard);
    bench.outbox.set_instance(10);
    assert_eq!(bench.transmit().len(), 3);
    bench.refuse(10, 1);
    bench.refuse(10, 2);
    assert!(heard.blocking_recv().unwrap().is_err());
    assert!(bench.outbox.must_save(), "before any other write says that their numbers were answered");
    bench.answer(10, 3);
    assert!(good.blocking_recv().unwrap().is_ok());
    let keys = |bench: &Bench| bench.outbox.failed().iter().map(Failed::number).collect::<Vec<_>>();
    for _ in 0..3 {
        assert_eq!((bench.outbox.waiting(), keys(&bench)), (0, vec![1, 2]));
        bench.disk.save(&bench.outbox.take_unsaved()).unwrap();
        assert_eq!(bench.disk.waiting(), 2);
        drop(bench);
        bench = Bench::open(&path, now);
        assert_eq!(bench.transmit(), [], "it is not asked for again");
        let errors = bench.outbox.failed().iter().map(|failed| &failed.error);
        assert!(errors.clone().all(|error| error.is_refusal(ErrorCode::Forbidden)));
    }
    bench.outbox.told(&[1]);
    assert!(keys(&bench) == [2] && bench.outbox.must_save());
    bench.disk.save(&bench.outbox.take_unsaved()).unwrap();
    drop(bench);
    let mut bench = Bench::open(&path, now);
    assert_eq!(keys(&bench), [2]);
    bench.outbox.told(&[2]);
    bench.disk.save(&bench.outbox.take_unsaved()).unwrap();
    drop(bench);
    assert_eq!(DiskOutbox::open(&path, &session()).unwrap().waiting(), 0);
}

#[test]
fn what_failed_takes_room_until_somebody_was_told_and_none_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::open(&directory.path().join("outbox"), Instant::now());
    bench.outbox.set_instance(10);
    let mut number = 0;
    while bench.outbox.has_room() {
        number += 1;
        drop(bench.push(number));
        bench.transmit();
        bench.refuse(10, number);
    }
    assert_eq!(bench.outbox.failed().len(), 1_024);
    bench.outbox.told(&[1]);
    assert!(bench.outbox.has_room());
}

#[test]
fn every_reason_comes_back_as_it_was_however_often_the_file_is_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outbox");
    let reasons = [
        Error::Refused { code: ErrorCode::NotInRoom, message: "not in it".to_owned() },
        Error::OutcomeUnknown("who knows".to_owned()),
        Error::Protocol(String::new()),
    ];
    let mut outbox = DiskOutbox::open(&path, &session()).unwrap();
    for (key, error) in (1..).zip(&reasons) {
        outbox.save(&[accepted(key), named(key, 10, key), failed(key, Why::of(error))]).unwrap();
    }
    let told = |outbox: &DiskOutbox| {
        let kept = outbox.kept().unwrap().into_iter();
        kept.map(|kept| kept.failed.unwrap().into_error().to_string()).collect::<Vec<_>>()
    };
    let expected: Vec<String> = reasons.iter().map(Error::to_string).collect();
    assert_eq!(told(&outbox), expected);
    drop(outbox);
    let mut outbox = DiskOutbox::open(&path, &session()).unwrap();
    assert_eq!(told(&outbox), expected);
    let content = outbox.content.clone();
    (outbox.file, outbox.bytes) = written(&path, &content).unwrap();
    drop(outbox);
    assert_eq!(told(&DiskOutbox::open(&path, &session()).unwrap()), expected);
    // A code that only a later version knows.
    let later = Why::Refused(1_000_000, "later".to_owned()).into_error();
    assert!(later.is_refusal(ErrorCode::Unspecified) && later.to_string() == "later");
}

#[test]
fn what_is_left_is_told_without_the_session_it_was_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outbox");
    assert!(DiskOutbox::left(&path).unwrap().is_none());
    let mut outbox = DiskOutbox::open(&path, &session()).unwrap();
    let all = [accepted(1), accepted(2), accepted(3), accepted(4), Change::Removed { key: 1 }, named(2, 10, 1)];
    outbox.save(&all).unwrap();
    outbox.save(&[failed(3, Why::Refused(7, "no".to_owned()))]).unwrap();
    let before = fs::read(&path).unwrap();
    let error = DiskOutbox::left(&path).unwrap_err().to_string();
    assert!(error.contains("another program has it open"), "it sends that: {error}");
    drop(outbox);
    let left = DiskOutbox::left(&path).unwrap().unwrap();
    let told: Vec<_> =
        left.writes.iter().map(|one| (one.number, one.may_have_been_sent, one.failed.is_some())).collect();
    assert_eq!(told, [(2, true, false), (3, false, true), (4, false, false)]);
    assert!(left.is_of(&session()) && !left.is_of(&Session { session: 10, ..session() }));
    assert_eq!(fs::read(&path).unwrap(), before);
    let error = DiskOutbox::open(&path, &session()).unwrap_err().to_string();
    assert!(error.contains("another program has it open"), "it is being looked at: {error}");
    drop(left);
    let error = DiskOutbox::open(&path, &Session { session: 10, ..session() }).unwrap_err().to_string();
    assert!(error.contains("1 never sent, 1 perhaps sent, 1 refused"), "{error}");
}

#[test]
fn its_fingerprint_is_of_all_it_ever_took_however_often_it_was_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outbox");
    let message =
        |number: u64| (format!("{number} {}", "x".repeat(900)), if number.is_multiple_of(2) { "bob" } else { "#tea" });
    let mut expected = Fingerprint::new();
    let mut outbox = DiskOutbox::open(&path, &session()).unwrap();
    for key in 1..=1_000 {
        let (body, to) = message(key);
        expected.add_message(to, body.clone()).unwrap();
        let recipient = crate::To::from(to).into_recipient().unwrap();
        let send = threefold_proto::chat::SendMessage { to: Some(recipient), body, ..Default::default() };
        outbox.save(&[Change::Accepted { key, operation: Operation::Send(send) }, Change::Removed { key }]).unwrap();
        assert_eq!(outbox.fingerprint(), Some(&expected));
        if key % 300 == 0 {
            drop(outbox);
            outbox = DiskOutbox::open(&path, &session()).unwrap();
            assert_eq!(outbox.fingerprint(), Some(&expected), "{key}");
        }
    }
    assert!(fs::metadata(&path).unwrap().len() < 2 * WORTH_WRITING_ANEW, "it was written anew");
    let mut other = expected.clone();
    other.add_message("bob", "one more").unwrap();
    assert_ne!(other, expected);
}

#[test]
fn a_file_of_before_fingerprints_is_gone_on_with_and_has_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outbox");
    let content = Content { owner: Some(Owner::of(&session())), accepted: 7, instance: 3, ..Content::default() };
    drop(written(&path, &content).unwrap());
    let mut outbox = DiskOutbox::open(&path, &session()).unwrap();
    outbox.save(&[accepted(8)]).unwrap();
    drop(outbox);
    let outbox = DiskOutbox::open(&path, &session()).unwrap();
    assert_eq!((outbox.accepted(), outbox.fingerprint()), (8, None));
}

#[test]
fn a_file_has_one_lock_by_all_its_names_and_names_stay_what_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let (path, link) = (directory.path().join("outbox"), directory.path().join("link"));
    std::os::unix::fs::symlink("outbox", &link).unwrap();
    // What it leads to is not there: whoever made it meant something else.
    assert!(matches!(DiskOutbox::open(&link, &session()), Err(Error::Usage(_))));
    let outbox = DiskOutbox::open(&path, &session()).unwrap();
    let error = DiskOutbox::open(&link, &session()).unwrap_err().to_string();
    assert!(error.contains("another program has it open"), "{error}");
    drop(outbox);
    let mut outbox = DiskOutbox::open(&link, &session()).unwrap();
    let edit = threefold_proto::chat::EditMessage { body: "x".repeat(900), ..Default::default() };
    for key in 1..=1_000 {
        let operation = Operation::Edit(edit.clone());
        outbox.save(&[Change::Accepted { key, operation }, Change::Removed { key }]).unwrap();
    }
    drop(outbox);
    assert!(link.is_symlink());
    assert_eq!(DiskOutbox::open(&path, &session()).unwrap().accepted(), 1_000);
}

#[tokio::test]
async fn a_disk_that_fails_is_told_as_such_and_what_was_kept_still_waits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outbox");
    let mut outbox = DiskOutbox::open(&path, &session()).unwrap();
    outbox.save(&[accepted(1)]).unwrap();
    // Nothing can be written through this.
    outbox.file = File::open(&path).unwrap();
    let client = crate::Client::new(crate::Options::new(vec!["http://127.0.0.1:9".to_owned()])).unwrap();
    let writer = client.with_session(session()).unwrap().writer_with(outbox).unwrap();
    for _ in 0..2 {
        let error = writer.send("bob", "two").await.unwrap_err();
        assert!(matches!(&error, Error::Local(words) if words.contains("cannot be written")), "{error}");
    }
    assert!(matches!(writer.settled().await, Err(Error::Local(_))));
    assert_eq!(*writer.waiting().borrow(), 1);
    drop(writer);
}

#[test]
fn what_another_session_left_is_moved_away_while_nobody_can_begin_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (path, aside) = (directory.path().join("outbox"), directory.path().join("aside"));
    let other = Session { session: 10, ..session() };
    let mut outbox = DiskOutbox::open(&path, &session()).unwrap();
    outbox.save(&[accepted(1)]).unwrap();
    drop(outbox);
    let left = DiskOutbox::left(&path).unwrap().unwrap();
    assert!(DiskOutbox::open(&path, &session()).is_err());
    left.move_to(&aside).unwrap();
    assert_eq!(DiskOutbox::left(&aside).unwrap().unwrap().writes.len(), 1);
    // A copy somewhere is looked at without a trace.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "the file and the old lock");
    drop(DiskOutbox::open(&path, &other).unwrap());
    DiskOutbox::left(&path).unwrap().unwrap().remove().unwrap();
    assert!(!path.exists());
}
