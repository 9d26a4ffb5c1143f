//! The proposer: packs the commands that are waiting into one log entry, so that the cost of consensus and
//! of the disk is shared by all of them.
//!
//! One command when idle; under load, while some entries are on their way, whatever has gathered in the
//! meantime, up to a bound. Order is kept. A proposal whose fate is unknown is answered with none: the one who
//! proposed it may propose it again, for the state machine recognises repeated commands.
//!
//! Chunks of attachments wait in a line of their own, and go when nothing else does: in entries of their own, one of which may be
//! on its way at a time, so that whatever comes next finds a free place. While others talk it holds a single chunk, a quarter of
//! what an entry may hold; and after a few entries without one it is a chunk's turn, or an upload would not end under load.
//! And then chunks are paced: every disk and every processor that carries one is for that long not there for messages, so that
//! between two of them lies a time in which there are only messages. Where nobody talks they go as fast as they are written.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use threefold_core::{
    Reply,
    bounds::{CHUNK_BYTES, COMMAND_BYTES, COMMANDS_PER_ENTRY, ENTRY_BYTES},
    entry,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{Engine, meter::Meter, types::Payload};
use crate::clock::LogClock;

/// Entries on their way at once: one on the disks while the next crosses the network. More would hold fewer commands each, and every
/// entry has its price in wake-ups and syncs.
const ENTRIES_IN_FLIGHT: usize = 2;
/// Groups of commands waiting to be packed; more wait in their senders.
const GROUPS_WAITING: usize = 1024;
/// Groups of chunks waiting: more than all servers have on their way to the leader at once.
const BULK_GROUPS_WAITING: usize = 32;
/// Entries of others that go before a chunk that waits.
const ENTRIES_BEFORE_BULK: usize = 4;

/// People talk for so long after an entry of messages: a conversation pauses, and the next word should not find the disks taken.
const TALK: Duration = Duration::from_secs(1);
/// From one entry of chunks to the next while people talk: 12.5 MiB/s of files in all. Without it messages wait twice as long in the
/// middle, for each then has a chunk before it.
const BULK_PERIOD: Duration = Duration::from_millis(20);

/// Which line a group waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// What people wait for.
    Messages,
    /// Chunks of attachments: large, and in no hurry.
    Bulk,
}

/// What became of a group of commands.
#[derive(Debug)]
pub struct Proposed {
    /// The entry that holds them.
    pub log_index: u64,
    /// One a command.
    pub replies: Vec<Reply>,
}

/// Takes the outcome; none: not proposed, or nothing is known.
pub type Answer = Box<dyn FnOnce(Option<Proposed>) + Send>;

/// A group of encoded commands that stay together and in order.
pub struct Proposal {
    /// As many as an entry holds, see [`fits`].
    pub commands: Vec<Bytes>,
    /// Told the outcome.
    pub answer: Answer,
}

/// Whether one entry holds these commands: at least one, at most [`COMMANDS_PER_ENTRY`], and at most [`ENTRY_BYTES`] in
/// all or a single one of at most [`COMMAND_BYTES`]. An entry beyond that must not reach the log: every server would
/// stop at it, for it can be neither sent nor taken apart.
pub fn fits(commands: &[Bytes]) -> bool {
    let bytes = commands.iter().map(Bytes::len).sum::<usize>();
    let bound = if commands.len() == 1 { COMMAND_BYTES } else { ENTRY_BYTES };
    (1..=COMMANDS_PER_ENTRY).contains(&commands.len()) && bytes <= bound
}

/// Proposes on this server; of use only while it leads.
#[derive(Clone)]
pub struct Proposer {
    proposals: mpsc::Sender<Proposal>,
    bulk: mpsc::Sender<Proposal>,
    meter: Arc<Meter>,
}

impl Proposer {
    /// Starts the task.
    pub fn start(engine: Arc<Engine>, clock: LogClock) -> Self {
        let (proposals, queue) = mpsc::channel(GROUPS_WAITING);
        let (bulk, bulk_queue) = mpsc::channel(BULK_GROUPS_WAITING);
        let meter = Arc::new(Meter::default());
        tokio::spawn(run(engine, Lines::new(queue, bulk_queue), clock, meter.clone()));
        Self { proposals, bulk, meter }
    }

    /// How much was committed here, and how quickly.
    pub fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    /// In the place of a task that takes what is proposed.
    #[cfg(test)]
    pub(crate) fn into(proposals: mpsc::Sender<Proposal>) -> Self {
        Self { bulk: proposals.clone(), proposals, meter: Arc::default() }
    }

    /// Puts a group in line. One that no entry can hold is answered with none.
    pub async fn propose(&self, proposal: Proposal, share: Share) {
        if !fits(&proposal.commands) {
            tracing::error!(commands = proposal.commands.len(), "refused to propose more than an entry can hold");
            return (proposal.answer)(None);
        }
        let line = match share {
            Share::Messages => &self.proposals,
            Share::Bulk => &self.bulk,
        };
        if let Err(mpsc::error::SendError(proposal)) = line.send(proposal).await {
            (proposal.answer)(None);
        }
    }
}

/// The groups of one entry: how many commands each has, and whom to tell.
type Groups = Vec<(usize, Answer)>;

/// The times of entries: never back within one leadership, so that the log's times ascend.
struct Times {
    clock: LogClock,
    latest_ms: u64,
}

impl Times {
    fn next_ms(&mut self) -> u64 {
        self.latest_ms = self.clock.now_ms().max(self.latest_ms);
        self.latest_ms
    }

    /// The time was not used, for this server does not lead: what its clock showed meanwhile is not held on to. It may
    /// have been wrong and corrected by the time this server leads.
    fn forget(&mut self) {
        self.latest_ms = 0;
    }
}

/// What waits, in its lines, and what of it is on its way.
struct Lines {
    queue: mpsc::Receiver<Proposal>,
    bulk_queue: mpsc::Receiver<Proposal>,
    waiting: VecDeque<Proposal>,
    bulk: VecDeque<Proposal>,
    /// Entries on their way: of messages, and of chunks.
    out: usize,
    bulk_out: bool,
    /// Entries of messages since the last one of chunks.
    passed: usize,
    /// When the last entry of messages went, and the last one of chunks.
    messages_went: Option<Instant>,
    bulk_went: Option<Instant>,
}

impl Lines {
    fn new(queue: mpsc::Receiver<Proposal>, bulk_queue: mpsc::Receiver<Proposal>) -> Self {
        let (waiting, bulk) = (VecDeque::new(), VecDeque::new());
        Self {
            queue,
            bulk_queue,
            waiting,
            bulk,
            out: 0,
            bulk_out: false,
            passed: 0,
            messages_went: None,
            bulk_went: None,
        }
    }

    /// Whether people talk.
    fn talks(&self, now: Instant) -> bool {
        self.messages_went.is_some_and(|went| now.saturating_duration_since(went) < TALK)
    }

    /// When the chunks that wait may go, if that is only later.
    fn bulk_rests_until(&self, now: Instant) -> Option<Instant> {
        self.bulk_went.filter(|_| self.talks(now)).map(|went| went + BULK_PERIOD).filter(|due| *due > now)
    }

    /// When to look for chunks again, where nothing but their rest kept them when [`Self::next`] looked; the end of an entry wakes otherwise.
    /// It may be past: whether it is now is no question here, or a rest that ends between the two looks would be nobody's to end.
    fn wake_for_bulk(&self) -> Option<Instant> {
        let is_crowded = self.out + usize::from(self.bulk_out) >= ENTRIES_IN_FLIGHT;
        if self.bulk.is_empty() || self.bulk_out || is_crowded { None } else { Some(self.bulk_went? + BULK_PERIOD) }
    }

    /// Takes in what has come.
    fn gather(&mut self) {
        while self.waiting.len() < GROUPS_WAITING
            && let Ok(proposal) = self.queue.try_recv()
        {
            self.waiting.push_back(proposal);
        }
        while self.bulk.len() < BULK_GROUPS_WAITING
            && let Ok(proposal) = self.bulk_queue.try_recv()
        {
            self.bulk.push_back(proposal);
        }
    }

    /// What the next entry holds, if it may go now.
    fn next(&mut self, now: Instant, time_ms: impl FnOnce() -> u64) -> Option<(Payload, Groups, Share)> {
        if self.out + usize::from(self.bulk_out) >= ENTRIES_IN_FLIGHT {
            return None;
        }
        let bulk_may_go = !self.bulk.is_empty() && !self.bulk_out && self.bulk_rests_until(now).is_none();
        let is_turn_of_bulk = bulk_may_go && self.passed >= ENTRIES_BEFORE_BULK;
        if !self.waiting.is_empty() && !is_turn_of_bulk {
            let (payload, groups) = pack(&mut self.waiting, ENTRY_BYTES, time_ms());
            self.out += 1;
            self.passed += 1;
            self.messages_went = Some(now);
            return Some((payload, groups, Share::Messages));
        }
        if !bulk_may_go {
            return None;
        }
        let is_quiet = self.waiting.is_empty() && self.out == 0 && !self.talks(now);
        let (payload, groups) =
            pack(&mut self.bulk, if is_quiet { ENTRY_BYTES } else { CHUNK_BYTES as usize }, time_ms());
        self.bulk_out = true;
        self.passed = 0;
        self.bulk_went = Some(now);
        Some((payload, groups, Share::Bulk))
    }

    /// An entry has come to its end.
    fn ended(&mut self, share: Share) {
        match share {
            Share::Messages => self.out -= 1,
            Share::Bulk => self.bulk_out = false,
        }
    }
}

async fn run(engine: Arc<Engine>, mut lines: Lines, clock: LogClock, meter: Arc<Meter>) {
    let mut in_flight = FuturesUnordered::new();
    let mut times = Times { clock, latest_ms: 0 };
    loop {
        let wake = lines.wake_for_bulk();
        tokio::select! {
            biased;
            Some(share) = in_flight.next(), if !in_flight.is_empty() => lines.ended(share),
            proposal = lines.queue.recv(), if lines.waiting.is_empty() => match proposal {
                Some(proposal) => lines.waiting.push_back(proposal),
                None => return,
            },
            Some(proposal) = lines.bulk_queue.recv(), if lines.bulk.is_empty() => lines.bulk.push_back(proposal),
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
        lines.gather();
        while let Some((payload, groups, share)) = lines.next(Instant::now(), || times.next_ms()) {
            let (proposed, meter) = (Instant::now(), meter.clone());
            match engine.propose(payload).await {
                Some(outcome) => in_flight.push(async move {
                    let outcome = outcome.await;
                    // Not of chunks: they wait for everybody else.
                    if let Some(Proposed { replies, .. }) = &outcome
                        && share == Share::Messages
                    {
                        meter.committed(replies.len(), Instant::now(), proposed.elapsed());
                    }
                    answer(groups, outcome);
                    share
                }),
                None => {
                    times.forget();
                    answer(groups, None);
                    lines.ended(share);
                }
            }
            lines.gather();
        }
    }
}

/// Takes from the line as many groups as one entry holds, and as `most_bytes` allow, at least one. Each fits by itself.
fn pack(waiting: &mut VecDeque<Proposal>, most_bytes: usize, time_ms: u64) -> (Payload, Groups) {
    let (mut commands, mut groups, mut bytes) = (Vec::new(), Groups::new(), 0);
    while let Some(next) = waiting.front() {
        let next_bytes = next.commands.iter().map(Bytes::len).sum::<usize>();
        let fits = commands.len() + next.commands.len() <= COMMANDS_PER_ENTRY && bytes + next_bytes <= most_bytes;
        if !groups.is_empty() && !fits {
            break;
        }
        bytes += next_bytes;
        let Some(next) = waiting.pop_front() else { break };
        groups.push((next.commands.len(), next.answer));
        commands.extend(next.commands);
    }
    assert!(fits(&commands), "an entry holds no more than can be sent and taken apart");
    (Payload(entry::pack(time_ms, commands.iter())), groups)
}

fn answer(groups: Groups, outcome: Option<Proposed>) {
    let Some(Proposed { log_index, replies }) = outcome else {
        for (_, answer) in groups {
            answer(None);
        }
        return;
    };
    let mut replies = replies.into_iter();
    for (count, answer) in groups {
        let replies = replies.by_ref().take(count).collect::<Vec<_>>();
        assert_eq!(replies.len(), count, "an entry has one reply a command");
        answer(Some(Proposed { log_index, replies }));
    }
}

#[cfg(test)]
mod tests {
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
}
