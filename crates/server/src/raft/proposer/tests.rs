use super::*;

fn group(count: usize, bytes: usize) -> Proposal {
    Proposal { commands: vec![Bytes::from(vec![0; bytes]); count], answer: Box::new(|_| {}) }
}

#[test]
fn an_entry_takes_what_waits_up_to_its_bounds_and_in_order() {
    let mut waiting = VecDeque::from([group(600, 10), group(300, 10), group(200, 10), group(1, 10)]);
    let (_, groups) = pack(&mut waiting, ENTRY_BYTES, 1);
    assert_eq!(groups.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [600, 300], "1,000 commands");
    let mut waiting = VecDeque::from([group(3, ENTRY_BYTES / 4), group(2, ENTRY_BYTES / 4), group(1, 1)]);
    let (_, groups) = pack(&mut waiting, ENTRY_BYTES, 1);
    assert_eq!(groups.len(), 1, "1 MiB");
    assert_eq!(waiting.len(), 2);
    let mut waiting = VecDeque::from([group(1, COMMAND_BYTES), group(1, 1)]);
    let (_, groups) = pack(&mut waiting, ENTRY_BYTES, 1);
    assert_eq!(groups.len(), 1, "a command of its greatest size goes alone");
}

#[test]
fn the_largest_entry_is_taken_apart_and_sent() {
    let command = threefold_core::Command::RenewSession { session: threefold_core::TokenHash([7; 32]) };
    let commands = vec![entry::encode_command(&command); COMMANDS_PER_ENTRY];
    assert!(fits(&commands));
    let mut waiting = VecDeque::from([Proposal { commands, answer: Box::new(|_| {}) }]);
    let (payload, _) = pack(&mut waiting, ENTRY_BYTES, 1);
    assert_eq!(entry::unpack(&payload.0).unwrap().commands.len(), COMMANDS_PER_ENTRY);
    let largest = [group(1, COMMAND_BYTES), group(COMMANDS_PER_ENTRY, ENTRY_BYTES / COMMANDS_PER_ENTRY)];
    for group in largest {
        assert!(fits(&group.commands));
        let (payload, _) = pack(&mut VecDeque::from([group]), ENTRY_BYTES, 1);
        assert!(payload.0.len() < crate::peer::channels::MESSAGE_BYTES / 2);
    }
}

/// The lines, with so many groups of messages and chunks in them.
fn lines(messages: usize, chunks: usize) -> Lines {
    let mut lines = Lines::new(mpsc::channel(1).1, mpsc::channel(1).1);
    lines.waiting.extend((0..messages).map(|_| group(1000, 10)));
    lines.bulk.extend((0..chunks).map(|_| group(1, CHUNK_BYTES as usize)));
    lines
}

#[test]
fn messages_go_before_chunks_and_chunks_still_go() {
    let mut lines = lines(20, 3);
    let mut order = Vec::new();
    let mut now = Instant::now();
    while let Some((_, groups, share)) = lines.next(now, || 1) {
        assert_eq!(groups.len(), 1, "while others talk an entry holds a single chunk");
        order.push(share);
        lines.ended(share);
        now += BULK_PERIOD;
    }
    let places = order.iter().enumerate().filter(|(_, share)| **share == Share::Bulk).map(|(place, _)| place);
    assert_eq!(places.collect::<Vec<_>>(), [4, 9, 14]);
    assert_eq!(order.len(), 23);
}

#[test]
fn chunks_leave_a_place_free_for_whatever_comes_next() {
    let mut lines = lines(0, 6);
    let now = Instant::now();
    let (_, groups, share) = lines.next(now, || 1).unwrap();
    assert_eq!((groups.len(), share), (4, Share::Bulk), "nobody else talks: 1 MiB");
    assert!(lines.next(now, || 1).is_none(), "one entry of chunks at a time");
    lines.waiting.push_back(group(1, 10));
    assert_eq!(lines.next(now, || 1).unwrap().2, Share::Messages);
    assert!(lines.next(now, || 1).is_none());
    lines.ended(Share::Bulk);
    let (_, groups, _) = lines.next(now + BULK_PERIOD, || 1).unwrap();
    assert_eq!(groups.len(), 1, "others talk");
}

#[test]
fn chunks_rest_between_two_of_them_only_while_people_talk() {
    let mut lines = lines(1, 40);
    let began = Instant::now();
    let share = |lines: &mut Lines, now| lines.next(now, || 1).map(|(_, groups, share)| (groups.len(), share));
    let chunk = Some((1, Share::Bulk));
    assert_eq!(share(&mut lines, began), Some((1, Share::Messages)));
    assert_eq!(share(&mut lines, began), chunk, "the first one waits for nothing");
    lines.ended(Share::Bulk);
    let early = began + BULK_PERIOD / 2;
    assert_eq!(share(&mut lines, early), None);
    assert_eq!(lines.wake_for_bulk(), Some(began + BULK_PERIOD), "and is not forgotten");
    // It rests from when it went, however long it took; and messages go by meanwhile, more of them than else before a chunk.
    for _ in 0..2 * ENTRIES_BEFORE_BULK {
        lines.ended(Share::Messages);
        lines.waiting.push_back(group(1, 10));
        assert_eq!(share(&mut lines, early), Some((1, Share::Messages)));
    }
    assert_eq!(share(&mut lines, began + BULK_PERIOD), chunk);
    assert_eq!(lines.wake_for_bulk(), None, "its end wakes for the next one");
    lines.ended(Share::Bulk);
    lines.ended(Share::Messages);
    // All are silent: one after the other, as large as they may be.
    let later = early + TALK;
    for _ in 0..3 {
        assert_eq!(share(&mut lines, later), Some((4, Share::Bulk)));
        assert_eq!(lines.wake_for_bulk(), None);
        lines.ended(Share::Bulk);
    }
    // Somebody begins again.
    lines.waiting.push_back(group(1, 10));
    assert_eq!(share(&mut lines, later), Some((1, Share::Messages)));
    assert_eq!(share(&mut lines, later), None);
    assert_eq!(share(&mut lines, later + BULK_PERIOD), chunk);
}

#[test]
fn an_entry_holds_one_chunk_for_as_long_as_people_talk_though_nothing_is_out() {
    let mut lines = lines(1, 60);
    let began = Instant::now();
    let share = |lines: &mut Lines, now| {
        let (_, groups, share) = lines.next(now, || 1).unwrap();
        lines.ended(share);
        (groups.len(), share)
    };
    assert_eq!(share(&mut lines, began), (1, Share::Messages));
    // Each message has been answered: people read it, and one of them writes the next.
    for period in 0..50 {
        assert_eq!(share(&mut lines, began + period * BULK_PERIOD), (1, Share::Bulk), "{period}");
    }
    assert_eq!(share(&mut lines, began + TALK), (4, Share::Bulk), "nobody talks any more");
}

#[test]
fn a_rest_that_ends_between_two_looks_ends() {
    let mut lines = lines(1, 40);
    let began = Instant::now();
    for expected in [Share::Messages, Share::Bulk] {
        assert_eq!(lines.next(began, || 1).unwrap().2, expected);
        lines.ended(expected);
    }
    let due = began + BULK_PERIOD;
    assert!(lines.next(due - Duration::from_nanos(1), || 1).is_none());
    // However late it is asked: the next look finds that the rest is over, or that nobody talks any more.
    let woken = lines.wake_for_bulk();
    assert_eq!(woken, Some(due));
    assert!(lines.next(due, || 1).is_some());
    // Not while there is no place anyhow: what wakes at once, and finds nothing to do, wakes for ever.
    lines.ended(Share::Bulk);
    for _ in 0..ENTRIES_IN_FLIGHT {
        lines.waiting.push_back(group(1, 10));
        assert_eq!(lines.next(due, || 1).unwrap().2, Share::Messages);
    }
    assert_eq!(lines.wake_for_bulk(), None);
}

#[tokio::test]
async fn what_no_entry_holds_is_refused_and_never_in_line() {
    let (proposals, mut queue) = mpsc::channel(8);
    let proposer = Proposer::into(proposals);
    let too_much = [(0, 0), (COMMANDS_PER_ENTRY + 1, 1), (2, ENTRY_BYTES / 2 + 1), (1, COMMAND_BYTES + 1)];
    for (count, bytes) in too_much {
        let (tx, rx) = std::sync::mpsc::channel();
        let answer: Answer = Box::new(move |outcome| tx.send(outcome.is_none()).unwrap());
        proposer.propose(Proposal { answer, ..group(count, bytes) }, Share::Messages).await;
        assert_eq!(rx.try_recv(), Ok(true), "{count} commands of {bytes} bytes");
        assert!(queue.try_recv().is_err());
    }
}

#[test]
fn a_time_shown_while_another_leads_is_not_held_on_to() {
    let wall_s = Arc::new(std::sync::atomic::AtomicU64::new(1_000));
    let (read, now) = (wall_s.clone(), std::time::Instant::now());
    let clock = LogClock::over(Arc::new(move || {
        (std::time::Duration::from_secs(read.load(std::sync::atomic::Ordering::SeqCst)), now)
    }));
    let mut times = Times { clock, latest_ms: 0 };
    let at = |times: &mut Times, seconds| {
        wall_s.store(seconds, std::sync::atomic::Ordering::SeqCst);
        times.next_ms() / 1000
    };
    assert_eq!(at(&mut times, 1_300), 1_300);
    assert_eq!(at(&mut times, 1_000), 1_300, "never back while this server leads");
    times.forget();
    assert_eq!(at(&mut times, 1_000), 1_000);
}

#[test]
fn replies_go_to_the_groups_they_belong_to() {
    let (tx, rx) = std::sync::mpsc::channel();
    let groups = [2, 1]
        .into_iter()
        .map(|count| {
            let tx = tx.clone();
            (count, Box::new(move |outcome: Option<Proposed>| drop(tx.send(outcome))) as Answer)
        })
        .collect();
    let replies = (1..=3).map(|instance| Reply::InstanceOpened { instance }).collect::<Vec<_>>();
    answer(groups, Some(Proposed { log_index: 9, replies: replies.clone() }));
    assert_eq!(rx.recv().unwrap().unwrap().replies, replies[..2]);
    assert_eq!(rx.recv().unwrap().unwrap().replies, replies[2..]);
}
