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
    bounds::{COMMANDS_PER_ENTRY, ENTRY_BYTES},
    entry,
};
use tokio::sync::mpsc;

use super::{Engine, types::Payload};
use crate::clock::LogClock;

/// Entries on their way at once: one on the disks while the next crosses the network, and some more for the
/// time between.
const ENTRIES_IN_FLIGHT: usize = 4;
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
    /// At most [`COMMANDS_PER_ENTRY`], and [`ENTRY_BYTES`] unless it is a single one.
    pub commands: Vec<Bytes>,
    /// Told the outcome.
    pub answer: Answer,
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

    /// Puts a group in line.
    pub async fn propose(&self, proposal: Proposal) {
        if let Err(mpsc::error::SendError(proposal)) = self.proposals.send(proposal).await {
            (proposal.answer)(None);
        }
    }
}

/// The groups of one entry: how many commands each has, and whom to tell.
type Groups = Vec<(usize, Answer)>;

async fn run(engine: Arc<Engine>, mut queue: mpsc::Receiver<Proposal>, mut clock: LogClock) {
    let mut waiting = VecDeque::new();
    let mut in_flight = FuturesUnordered::new();
    let mut latest_ms = 0;
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
            latest_ms = clock.now_ms().max(latest_ms);
            let (payload, groups) = pack(&mut waiting, latest_ms);
            match engine.propose(payload).await {
                Some(outcome) => in_flight.push(async move { answer(groups, outcome.await) }),
                None => answer(groups, None),
            }
        }
    }
}

/// Takes from the line as many groups as one entry holds, at least one.
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
        let mut waiting = VecDeque::from([group(1, ENTRY_BYTES * 2)]);
        let (_, groups) = pack(&mut waiting, 1);
        assert_eq!(groups.len(), 1, "a single group always goes");
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
