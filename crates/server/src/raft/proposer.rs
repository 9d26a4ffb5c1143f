//! The proposer: packs the commands that are waiting into one log entry, so that the cost of consensus and
//! of the disk is shared by all of them.
//!
//! One command when idle; under load, while some entries are on their way, whatever has gathered in the
//! meantime, up to a bound. Order is kept. A proposal whose fate is unknown is answered with none: the one who
//! proposed it may propose it again, for the state machine recognises repeated commands.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use threefold_core::{
    Reply,
    bounds::{COMMAND_BYTES, COMMANDS_PER_ENTRY, ENTRY_BYTES},
    entry,
};
use tokio::sync::mpsc;

use super::{Engine, types::Payload};
use crate::clock::LogClock;

/// Entries on their way at once: one on the disks while the next crosses the network. More would hold fewer commands each, and every
/// entry has its price in wake-ups and syncs.
const ENTRIES_IN_FLIGHT: usize = 2;
/// Groups of commands waiting to be packed; more wait in their senders.
const GROUPS_WAITING: usize = 1024;

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
}

impl Proposer {
    /// Starts the task.
    pub fn start(engine: Arc<Engine>, clock: LogClock) -> Self {
        let (proposals, queue) = mpsc::channel(GROUPS_WAITING);
        tokio::spawn(run(engine, queue, clock));
        Self { proposals }
    }

    /// In the place of a task that takes what is proposed.
    #[cfg(test)]
    pub(crate) fn into(proposals: mpsc::Sender<Proposal>) -> Self {
        Self { proposals }
    }

    /// Puts a group in line. One that no entry can hold is answered with none.
    pub async fn propose(&self, proposal: Proposal) {
        if !fits(&proposal.commands) {
            tracing::error!(commands = proposal.commands.len(), "refused to propose more than an entry can hold");
            return (proposal.answer)(None);
        }
        if let Err(mpsc::error::SendError(proposal)) = self.proposals.send(proposal).await {
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

async fn run(engine: Arc<Engine>, mut queue: mpsc::Receiver<Proposal>, clock: LogClock) {
    let mut waiting = VecDeque::new();
    let mut in_flight = FuturesUnordered::new();
    let mut times = Times { clock, latest_ms: 0 };
    loop {
        tokio::select! {
            biased;
            Some(()) = in_flight.next(), if !in_flight.is_empty() => {}
            proposal = queue.recv(), if waiting.is_empty() => match proposal {
                Some(proposal) => waiting.push_back(proposal),
                None => return,
            },
        }
        while in_flight.len() < ENTRIES_IN_FLIGHT {
            while let Ok(proposal) = queue.try_recv() {
                waiting.push_back(proposal);
                if waiting.len() >= GROUPS_WAITING {
                    break;
                }
            }
            if waiting.is_empty() {
                break;
            }
            let (payload, groups) = pack(&mut waiting, times.next_ms());
            match engine.propose(payload).await {
                Some(outcome) => in_flight.push(async move { answer(groups, outcome.await) }),
                None => {
                    times.forget();
                    answer(groups, None);
                }
            }
        }
    }
}

/// Takes from the line as many groups as one entry holds, at least one. Each fits by itself.
fn pack(waiting: &mut VecDeque<Proposal>, time_ms: u64) -> (Payload, Groups) {
    let (mut commands, mut groups, mut bytes) = (Vec::new(), Groups::new(), 0);
    while let Some(next) = waiting.front() {
        let next_bytes = next.commands.iter().map(Bytes::len).sum::<usize>();
        let fits = commands.len() + next.commands.len() <= COMMANDS_PER_ENTRY && bytes + next_bytes <= ENTRY_BYTES;
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
        let (_, groups) = pack(&mut waiting, 1);
        assert_eq!(groups.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [600, 300], "1,000 commands");
        let mut waiting = VecDeque::from([group(3, ENTRY_BYTES / 4), group(2, ENTRY_BYTES / 4), group(1, 1)]);
        let (_, groups) = pack(&mut waiting, 1);
        assert_eq!(groups.len(), 1, "1 MiB");
        assert_eq!(waiting.len(), 2);
        let mut waiting = VecDeque::from([group(1, COMMAND_BYTES), group(1, 1)]);
        let (_, groups) = pack(&mut waiting, 1);
        assert_eq!(groups.len(), 1, "a command of its greatest size goes alone");
    }

    #[test]
    fn the_largest_entry_is_taken_apart_and_sent() {
        let command = threefold_core::Command::RenewSession { session: threefold_core::TokenHash([7; 32]) };
        let commands = vec![entry::encode_command(&command); COMMANDS_PER_ENTRY];
        assert!(fits(&commands));
        let mut waiting = VecDeque::from([Proposal { commands, answer: Box::new(|_| {}) }]);
        let (payload, _) = pack(&mut waiting, 1);
        assert_eq!(entry::unpack(&payload.0).unwrap().commands.len(), COMMANDS_PER_ENTRY);
        let largest = [group(1, COMMAND_BYTES), group(COMMANDS_PER_ENTRY, ENTRY_BYTES / COMMANDS_PER_ENTRY)];
        for group in largest {
            assert!(fits(&group.commands));
            let (payload, _) = pack(&mut VecDeque::from([group]), 1);
            assert!(payload.0.len() < crate::peer::channels::MESSAGE_BYTES / 2);
        }
    }

    #[tokio::test]
    async fn what_no_entry_holds_is_refused_and_never_in_line() {
        let (proposals, mut queue) = mpsc::channel(8);
        let proposer = Proposer::into(proposals);
        let too_much = [(0, 0), (COMMANDS_PER_ENTRY + 1, 1), (2, ENTRY_BYTES / 2 + 1), (1, COMMAND_BYTES + 1)];
        for (count, bytes) in too_much {
            let (tx, rx) = std::sync::mpsc::channel();
            let answer: Answer = Box::new(move |outcome| tx.send(outcome.is_none()).unwrap());
            proposer.propose(Proposal { answer, ..group(count, bytes) }).await;
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
