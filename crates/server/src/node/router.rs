//! The way of a command to the leader, wherever that is.
//!
//! Commands wait in one line. Batches of them go to whoever leads: to this server's proposer, or over the
//! forward stream to another's. When a batch fails, or the leader changes, everything without an answer goes
//! again, in the old order and before anything newer: the state machine recognises what it has seen. So a
//! client's commands keep their order through any failover. A command whose deadline passes is given up.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    time::Duration,
};

use bytes::Bytes;
use threefold_core::{
    Reply,
    bounds::{COMMANDS_PER_ENTRY, ENTRY_BYTES},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::Unavailable;
use crate::raft::{
    position_of,
    proposer::{Proposal, Proposed, Proposer},
};

/// Commands waiting in the channel into the line; more wait in their gateways.
const LINE: usize = 4096;
/// Batches without an answer at once; while so many are out, commands gather for the next.
const BATCHES_OUT: usize = 8;
/// Deadlines are looked at this often.
const EXPIRY: Duration = Duration::from_millis(50);
/// After a failure with the leader unchanged, everything goes again this much later.
const RETRY: Duration = Duration::from_millis(10);

/// A command's answer, once it is committed and visible.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The end of the log entry that holds it: what the client has now seen.
    pub position: threefold_core::Position,
    /// The answer.
    pub reply: Reply,
}

/// The way to a leader that is not this server.
pub trait Forward: Send + Sync + 'static {
    /// Opens a stream of batches to `leader`; each is answered by its own `answer`, with none when the stream ends
    /// first. None: the leader's address is not known.
    fn open(&self, leader: u64) -> Option<mpsc::Sender<Proposal>>;
}

struct Waiting {
    command: Bytes,
    deadline: Instant,
    answer: oneshot::Sender<Result<Committed, Unavailable>>,
}

enum Route {
    /// Nobody leads, as far as is known.
    None,
    /// This server does.
    Here,
    /// Another does.
    There(mpsc::Sender<Proposal>),
}

/// The outcome of a batch: its attempt, its number, and what came of it.
type Outcome = (u64, u64, Option<Proposed>);

/// The entrance to the line.
#[derive(Clone)]
pub struct Router {
    line: mpsc::Sender<Waiting>,
}

impl Router {
    /// Starts the task.
    pub fn start(id: u64, leader: watch::Receiver<Option<u64>>, proposer: Proposer, forward: impl Forward) -> Self {
        let (line, queue) = mpsc::channel(LINE);
        let (outcome_tx, outcomes) = mpsc::unbounded_channel();
        let task = Task {
            id,
            leader,
            proposer,
            forward,
            route: Route::None,
            attempt: 0,
            next_batch: 0,
            waiting: VecDeque::new(),
            out: BTreeMap::new(),
            outcome_tx,
        };
        tokio::spawn(task.run(queue, outcomes));
        Self { line }
    }

    /// Puts an encoded command in line, waiting while the line is full.
    pub async fn enqueue(
        &self,
        command: Bytes,
        deadline: Instant,
    ) -> Result<impl Future<Output = Result<Committed, Unavailable>> + Send + 'static, Unavailable> {
        let (answer, outcome) = oneshot::channel();
        let full = || Unavailable("too many commands are waiting for a leader".to_owned());
        tokio::time::timeout_at(deadline, self.line.send(Waiting { command, deadline, answer }))
            .await
            .map_err(|_| full())?
            .map_err(|_| Unavailable("the server is stopping".to_owned()))?;
        Ok(async move { outcome.await.unwrap_or_else(|_| Err(Unavailable("the server is stopping".to_owned()))) })
    }
}

struct Task<F> {
    id: u64,
    leader: watch::Receiver<Option<u64>>,
    proposer: Proposer,
    forward: F,
    route: Route,
    /// Outcomes of earlier attempts are void: their commands have gone again.
    attempt: u64,
    next_batch: u64,
    waiting: VecDeque<Waiting>,
    out: BTreeMap<u64, Vec<Waiting>>,
    outcome_tx: mpsc::UnboundedSender<Outcome>,
}

impl<F: Forward> Task<F> {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiting>, mut outcomes: mpsc::UnboundedReceiver<Outcome>) {
        let mut expiry = interval(EXPIRY);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.reroute();
        loop {
            tokio::select! {
                biased;
                changed = self.leader.changed() => match changed {
                    Ok(()) => self.reroute(),
                    Err(_) => return,
                },
                Some((attempt, batch, outcome)) = outcomes.recv() => self.settle(attempt, batch, outcome).await,
                command = queue.recv(), if self.waiting.len() < LINE => match command {
                    Some(command) => {
                        self.waiting.push_back(command);
                        while self.waiting.len() < LINE && let Ok(command) = queue.try_recv() {
                            self.waiting.push_back(command);
                        }
                    }
                    None => return,
                },
                _ = expiry.tick() => self.expire(),
            }
            self.send().await;
        }
    }

    /// Everything without an answer goes back to the head of the line, in order; the leader is looked up anew.
    fn reroute(&mut self) {
        self.attempt += 1;
        while let Some((_, batch)) = self.out.pop_last() {
            for command in batch.into_iter().rev() {
                self.waiting.push_front(command);
            }
        }
        let leader = *self.leader.borrow_and_update();
        self.route = match leader {
            None => Route::None,
            Some(leader) if leader == self.id => Route::Here,
            Some(leader) => self.forward.open(leader).map_or(Route::None, Route::There),
        };
    }

    async fn settle(&mut self, attempt: u64, batch: u64, outcome: Option<Proposed>) {
        if attempt != self.attempt {
            return;
        }
        let Some(Proposed { log_index, replies }) = outcome else {
            // A leader just elected, or just gone: a short breath instead of a hot loop.
            tokio::select! {
                _ = sleep(RETRY) => {}
                _ = self.leader.changed() => {}
            }
            return self.reroute();
        };
        let position = position_of(log_index);
        for (command, reply) in self.out.remove(&batch).into_iter().flatten().zip(replies) {
            let _ = command.answer.send(Ok(Committed { position, reply }));
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        // One that is out keeps its place, so that the batch's answers still fit; only its client stops waiting.
        self.waiting.retain(|command| command.deadline > now && !command.answer.is_closed());
        if matches!(self.route, Route::None) {
            self.reroute();
        }
    }

    async fn send(&mut self) {
        while !self.waiting.is_empty() && self.out.len() < BATCHES_OUT && !matches!(self.route, Route::None) {
            let batch = self.take_batch();
            let (attempt, number) = (self.attempt, self.next_batch);
            self.next_batch += 1;
            let outcomes = self.outcome_tx.clone();
            let proposal = Proposal {
                commands: batch.iter().map(|waiting| waiting.command.clone()).collect(),
                answer: Box::new(move |outcome| drop(outcomes.send((attempt, number, outcome)))),
            };
            self.out.insert(number, batch);
            match &self.route {
                Route::Here => self.proposer.propose(proposal).await,
                Route::There(stream) => {
                    if let Err(mpsc::error::SendError(proposal)) = stream.send(proposal).await {
                        (proposal.answer)(None);
                    }
                }
                Route::None => {}
            }
        }
    }

    fn take_batch(&mut self) -> Vec<Waiting> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.waiting.front() {
            bytes += next.command.len();
            if !batch.is_empty() && (batch.len() == COMMANDS_PER_ENTRY || bytes > ENTRY_BYTES) {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        batch
    }
}
