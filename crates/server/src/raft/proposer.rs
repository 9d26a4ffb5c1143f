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
mod tests;
