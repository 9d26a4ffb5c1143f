//! The numbering rules, one by one.

use threefold_proto::chat::{self, MarkDelivered};
use tokio::time::Duration;

use super::*;

struct Bench {
    outbox: Outbox,
    receipts: Vec<oneshot::Receiver<Result<Outcome, Error>>>,
    now: Instant,
}

impl Bench {
    /// So many writes, each due a second after the one before, and an instance.
    fn with(count: u64) -> Self {
        let mut bench = Self { outbox: Outbox::default(), receipts: Vec::new(), now: Instant::now() };
        for number in 1..=count {
            let (reply, receipt) = oneshot::channel();
            let operation = Operation::MarkDelivered(MarkDelivered { up_to: number });
            bench.outbox.push(operation, bench.now + Duration::from_secs(number), reply);
            bench.receipts.push(receipt);
        }
        assert!(bench.outbox.wants_instance());
        bench.outbox.set_instance(10);
        bench
    }

    /// Sends what may go: (instance, number, which write).
    fn transmit(&mut self) -> Vec<(u64, u64, u64)> {
        let mut sent = Vec::new();
        while let Some(Transmission { write, .. }) = self.outbox.transmit() {
            let request = write.request.unwrap();
            let Some(Operation::MarkDelivered(mark)) = write.operation else { panic!("another operation") };
            sent.push((request.instance, request.number, mark.up_to));
        }
        sent
    }

    /// What the next write says that was answered before it.
    fn transmit_answered(&mut self) -> Option<u64> {
        self.outbox.transmit().map(|transmission| transmission.write.answered)
    }

    fn answer(&mut self, instance: u64, number: u64, result: write_result::Result) -> Answered {
        let request = Some(RequestId { instance, number });
        self.outbox.answered(WriteResult { request, result: Some(result) })
    }

    fn done(&mut self, instance: u64, number: u64) -> Answered {
        self.answer(instance, number, write_result::Result::Done(chat::Done { position: number }))
    }

    fn refuse(&mut self, number: u64, code: ErrorCode, expected: u64) -> Answered {
        let error = chat::Error { code: code.into(), message: String::new(), expected, retry_after_ms: 0 };
        self.answer(10, number, write_result::Result::Error(error))
    }

    fn result(&mut self, index: usize) -> Option<Result<Outcome, Error>> {
        self.receipts[index].try_recv().ok()
    }
}

fn unavailable() -> Error {
    Error::Unavailable { cause: String::new(), tried: Vec::new() }
}

#[test]
fn a_window_counts_from_the_oldest_unanswered_write() {
    let mut bench = Bench::with(100);
    assert_eq!(bench.transmit().len(), 64);
    for number in 2..=64 {
        bench.done(10, number);
    }
    assert_eq!(bench.transmit(), []);
    bench.done(10, 1);
    assert_eq!(bench.transmit().first(), Some(&(10, 65, 65)));
}

#[test]
fn after_a_refusal_nothing_goes_until_all_are_answered_and_then_in_order() {
    let mut bench = Bench::with(4);
    bench.transmit();
    assert!(matches!(bench.refuse(2, ErrorCode::Unavailable, 0), Answered::Later(_)));
    assert!(matches!(bench.refuse(4, ErrorCode::OutOfOrder, 2), Answered::Again));
    assert_eq!(bench.transmit(), []);
    assert!(matches!(bench.done(10, 1), Answered::Acknowledged(1)));
    assert!(matches!(bench.refuse(3, ErrorCode::OutOfOrder, 2), Answered::Again));
    assert_eq!(bench.transmit(), [(10, 2, 2), (10, 3, 3), (10, 4, 4)]);
}

#[test]
fn a_number_that_a_refusal_did_not_use_up_does_not_block_what_follows() {
    let mut bench = Bench::with(3);
    bench.transmit();
    // A gateway refuses the first on its own: the state machine still waits for number 1.
    assert!(matches!(bench.refuse(1, ErrorCode::Invalid, 0), Answered::Refused));
    bench.refuse(2, ErrorCode::OutOfOrder, 1);
    bench.refuse(3, ErrorCode::OutOfOrder, 1);
    assert!(bench.outbox.wants_instance());
    assert_eq!(bench.transmit(), []);
    bench.outbox.set_instance(11);
    assert_eq!(bench.transmit(), [(11, 1, 2), (11, 2, 3)]);
    assert!(matches!(bench.done(11, 1), Answered::Acknowledged(1)));
}

#[test]
fn a_write_says_up_to_where_nothing_is_asked_again() {
    let mut bench = Bench::with(6);
    assert_eq!([bench.transmit_answered(), bench.transmit_answered(), bench.transmit_answered()], [Some(0); 3]);
    bench.done(10, 2);
    assert_eq!(bench.transmit_answered(), Some(0));
    bench.done(10, 1);
    assert_eq!(bench.transmit_answered(), Some(2));
    // What goes again says it too; what it asks for itself, it never calls answered.
    bench.outbox.stream_lost();
    assert_eq!(bench.transmit_answered(), Some(2));
    for number in 3..=5 {
        bench.outbox.stream_lost();
        assert_eq!(bench.transmit().first().map(|sent| sent.1), Some(number));
        bench.done(10, number);
    }
    assert_eq!(bench.outbox.in_flight(), 1);
    bench.outbox.stream_lost();
    assert_eq!(bench.transmit_answered(), Some(5));
}

#[test]
fn answers_of_an_earlier_instance_are_not_counted_in_the_next() {
    let mut bench = Bench::with(3);
    bench.transmit();
    bench.done(10, 1);
    bench.refuse(2, ErrorCode::UnknownInstance, 0);
    bench.refuse(3, ErrorCode::UnknownInstance, 0);
    bench.outbox.set_instance(11);
    assert_eq!([bench.transmit_answered(), bench.transmit_answered()], [Some(0), Some(0)]);
}

#[test]
fn an_unknown_instance_is_replaced_for_writes_that_cannot_have_run_only() {
    let mut bench = Bench::with(3);
    assert_eq!(bench.transmit().len(), 3);
    bench.outbox.stream_lost();
    let (reply, receipt) = oneshot::channel();
    bench.outbox.push(Operation::MarkDelivered(MarkDelivered { up_to: 4 }), bench.now + Duration::from_secs(9), reply);
    bench.receipts.push(receipt);
    assert_eq!(bench.transmit(), [(10, 1, 1), (10, 2, 2), (10, 3, 3), (10, 4, 4)]);
    for number in 1..=4 {
        bench.refuse(number, ErrorCode::UnknownInstance, 0);
    }
    for index in 0..3 {
        assert!(matches!(bench.result(index), Some(Err(Error::OutcomeUnknown(_)))));
    }
    bench.outbox.set_instance(11);
    assert_eq!(bench.transmit(), [(11, 1, 4)]);
}

#[test]
fn new_numbers_wait_until_the_old_instance_is_settled() {
    let mut bench = Bench::with(3);
    bench.transmit();
    bench.refuse(1, ErrorCode::UnknownInstance, 0);
    bench.outbox.stream_lost();
    bench.outbox.set_instance(11);
    // The first has no number now, the others keep theirs until it is known what became of them.
    assert_eq!(bench.transmit(), [(10, 2, 2), (10, 3, 3)]);
    bench.refuse(2, ErrorCode::UnknownInstance, 0);
    assert_eq!(bench.transmit(), []);
    bench.refuse(3, ErrorCode::UnknownInstance, 0);
    assert_eq!(bench.transmit(), [(11, 1, 1)]);
}

#[test]
fn deadlines_drop_what_was_never_sent_and_keep_what_was() {
    let mut bench = Bench::with(66);
    assert_eq!(bench.transmit().len(), 64);
    bench.outbox.expire(bench.now + Duration::from_secs(100), &unavailable());
    assert!(matches!(bench.result(0), Some(Err(Error::OutcomeUnknown(_)))));
    assert!(matches!(bench.result(65), Some(Err(Error::Unavailable { .. }))));
    assert_eq!(bench.outbox.next_deadline(), None);
    bench.outbox.stream_lost();
    assert_eq!(bench.transmit().len(), 64);
}

#[test]
fn answers_to_nothing_under_way_are_ignored() {
    let mut bench = Bench::with(1);
    assert!(matches!(bench.done(10, 1), Answered::Nothing));
    bench.transmit();
    assert!(matches!(bench.done(11, 1), Answered::Nothing));
    assert!(matches!(bench.done(10, 1), Answered::Acknowledged(1)));
    assert!(matches!(bench.done(10, 1), Answered::Nothing));
    assert_eq!(bench.result(0).unwrap().unwrap(), Outcome::Done(1));
}

#[test]
fn the_end_of_a_session_is_told_as_a_refusal_only_of_what_certainly_did_not_run() {
    let mut bench = Bench::with(6);
    let over = || Error::Refused { code: ErrorCode::SessionInvalid, message: String::new() };
    // The first three were under way when a stream broke, the next two came after.
    let first: Vec<_> = std::iter::from_fn(|| bench.outbox.transmit()).take(3).collect();
    assert_eq!(first.len(), 3);
    bench.outbox.stream_lost();
    let again: Vec<_> = std::iter::from_fn(|| bench.outbox.transmit()).take(5).collect();
    assert_eq!(again.len(), 5);
    bench.done(10, 1);
    assert!(matches!(bench.refuse(2, ErrorCode::SessionInvalid, 0), Answered::SessionOver(_)));
    bench.outbox.fail_all(&over());
    assert!(matches!(bench.result(0), Some(Ok(_))));
    for index in [1, 2] {
        assert!(matches!(bench.result(index), Some(Err(Error::OutcomeUnknown(_)))), "{index}");
    }
    for index in [3, 4, 5] {
        assert!(bench.result(index).unwrap().unwrap_err().is_refusal(ErrorCode::SessionInvalid), "{index}");
    }
}

#[test]
fn what_is_under_way_when_a_session_ends_elsewhere_may_have_run() {
    let mut bench = Bench::with(2);
    assert!(bench.outbox.transmit().is_some());
    bench.outbox.fail_all(&Error::Refused { code: ErrorCode::SessionInvalid, message: String::new() });
    assert!(matches!(bench.result(0), Some(Err(Error::OutcomeUnknown(_)))));
    assert!(matches!(bench.result(1), Some(Err(Error::Refused { .. }))));
    // What failed here, is what everybody is told.
    let mut bench = Bench::with(1);
    assert!(bench.outbox.transmit().is_some());
    bench.outbox.fail_all(&Error::Local(String::new()));
    assert!(matches!(bench.result(0), Some(Err(Error::Local(_)))));
}

#[test]
fn no_instance_is_opened_as_long_as_it_could_not_be_used() {
    let mut bench = Bench::with(3);
    bench.transmit();
    bench.refuse(1, ErrorCode::UnknownInstance, 0);
    assert!(!bench.outbox.wants_instance(), "the others keep their names until it is known what became of them");
    bench.refuse(2, ErrorCode::UnknownInstance, 0);
    bench.refuse(3, ErrorCode::UnknownInstance, 0);
    assert!(bench.outbox.wants_instance());
}
