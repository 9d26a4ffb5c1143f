//! The way of a command to the leader, wherever that is.
//!
//! Commands wait in one line. Batches of them go to whoever leads: to this server's proposer, or over the
//! forward stream to another's. When a batch fails, or the leader changes, everything without an answer goes
//! again, in the old order and before anything newer: the state machine recognises what it has seen. So a
//! client's commands keep their order through any failover. A command whose deadline passes is given up.
//!
//! A server has two such lines: chunks of attachments have their own ([`Pace::BULK`]), so that nothing else waits behind them.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    time::Duration,
};

use bytes::Bytes;
use threefold_core::{
    Reply,
    bounds::{CHUNK_BYTES, COMMAND_BYTES, COMMANDS_PER_ENTRY, ENTRY_BYTES},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::Unavailable;
use crate::raft::{
    position_of,
    proposer::{Proposal, Proposed, Proposer, Share},
};

/// Commands waiting in the channel into the line; more wait in their gateways.
const LINE: usize = 4096;
/// How much of a line is on its way at once.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bytes of one batch, unless it is a single command.
    batch_bytes: usize,
    /// Batches without an answer; while so many are out, commands gather for the next.
    batches_out: usize,
    /// How the leader takes them.
    share: Share,
}

impl Pace {
    /// Everything but chunks.
    pub const MESSAGES: Self = Self { batch_bytes: ENTRY_BYTES, batches_out: 8, share: Share::Messages };
    /// Chunks of attachments: one a batch, for the leader to spread them over its entries, and one on the way while another
    /// is being written.
    pub const BULK: Self = Self { batch_bytes: CHUNK_BYTES as usize, batches_out: 2, share: Share::Bulk };
}

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

/// Tells the outcome of a batch: also where whoever should have told it has let go of it, as a stream does that ends
/// at the very moment. Or else it would be waited for until the leader changes.
struct Report {
    attempt: u64,
    batch: u64,
    to: Option<mpsc::UnboundedSender<Outcome>>,
}

impl Report {
    fn send(mut self, outcome: Option<Proposed>) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Option<Proposed>) {
        if let Some(to) = self.to.take() {
            // If nobody waits any more, the server is stopping.
            let _ = to.send((self.attempt, self.batch, outcome));
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.tell(None);
    }
}

/// The entrance to the line.
#[derive(Clone)]
pub struct Router {
    line: mpsc::Sender<Waiting>,
}

impl Router {
    /// Starts the task.
    pub fn start(
        id: u64,
        leader: watch::Receiver<Option<u64>>,
        proposer: Proposer,
        forward: impl Forward,
        pace: Pace,
    ) -> Self {
        let (line, queue) = mpsc::channel(LINE);
        let (outcome_tx, outcomes) = mpsc::unbounded_channel();
        let task = Task {
            id,
            leader,
            proposer,
            forward,
            pace,
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
        // It would be refused for ever, and hold up all behind it.
        if command.len() > COMMAND_BYTES {
            return Err(Unavailable(format!("a command has at most {COMMAND_BYTES} bytes")));
        }
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
    pace: Pace,
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
                biased;
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
        let has_time = |command: &Waiting| command.deadline > now && !command.answer.is_closed();
        let (waiting, given_up): (VecDeque<_>, VecDeque<_>) = self.waiting.drain(..).partition(has_time);
        self.waiting = waiting;
        for command in given_up {
            let words = "gave up: no leader within the deadline";
            let _ = command.answer.send(Err(Unavailable(words.to_owned())));
        }
        if matches!(self.route, Route::None) {
            self.reroute();
        }
    }

    async fn send(&mut self) {
        while !self.waiting.is_empty() && self.out.len() < self.pace.batches_out && !matches!(self.route, Route::None) {
            let batch = self.take_batch();
            let (attempt, number) = (self.attempt, self.next_batch);
            self.next_batch += 1;
            let report = Report { attempt, batch: number, to: Some(self.outcome_tx.clone()) };
            let proposal = Proposal {
                commands: batch.iter().map(|waiting| waiting.command.clone()).collect(),
                answer: Box::new(move |outcome| report.send(outcome)),
            };
            self.out.insert(number, batch);
            match &self.route {
                Route::Here => self.proposer.propose(proposal, self.pace.share).await,
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
            if !batch.is_empty() && (batch.len() == COMMANDS_PER_ENTRY || bytes > self.pace.batch_bytes) {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use threefold_core::{
        Command, TokenHash, apply,
        entry::{self, Unpacked},
        store::MemoryStore,
    };

    use super::*;

    /// Another server leads: whatever is forwarded comes out here.
    struct Leader(mpsc::Sender<Proposal>);

    impl Forward for Leader {
        fn open(&self, _: u64) -> Option<mpsc::Sender<Proposal>> {
            Some(self.0.clone())
        }
    }

    fn router(leads: Option<u64>) -> (Router, mpsc::Receiver<Proposal>, watch::Sender<Option<u64>>) {
        let (leader, watching) = watch::channel(leads);
        let (forwarded, batches) = mpsc::channel(8);
        let proposer = Proposer::into(mpsc::channel(1).0);
        (Router::start(1, watching, proposer, Leader(forwarded), Pace::MESSAGES), batches, leader)
    }

    fn run(store: &mut MemoryStore, log_index: u64, command: &Bytes) -> Proposed {
        let commands = vec![entry::decode_command(command).unwrap()];
        let applied = apply(store, log_index, &Unpacked::new(log_index, commands)).unwrap();
        Proposed { log_index, replies: applied.replies }
    }

    /// The first time the command is carried out and the answer is lost; it goes again, the same bytes.
    #[tokio::test]
    async fn what_goes_again_is_answered_as_the_first_time() {
        let session = TokenHash([1; 32]);
        let register = Command::Register {
            name: "ann".to_owned(),
            password_hash: "old".to_owned(),
            token_hash: session,
            device: "laptop".to_owned(),
        };
        let password_hash = "new".to_owned();
        for command in [
            Command::ChangePassword { session, credential_version: 1, password_hash },
            Command::EndSession { session, target: None },
            Command::DeleteAccount { session, credential_version: 1 },
        ] {
            let mut store = MemoryStore::default();
            run(&mut store, 1, &entry::encode_command(&register));
            let (router, mut batches, _leader) = router(Some(2));
            let deadline = Instant::now() + Duration::from_secs(60);
            let outcome = router.enqueue(entry::encode_command(&command), deadline).await.unwrap();
            let first = batches.recv().await.unwrap();
            run(&mut store, 2, &first.commands[0]);
            (first.answer)(None);
            let second = batches.recv().await.unwrap();
            assert_eq!(first.commands, second.commands);
            (second.answer)(Some(run(&mut store, 3, &second.commands[0])));
            assert_eq!(outcome.await.unwrap().reply, Reply::Done, "{command:?}");
        }
    }

    /// As a stream does that ends just when a batch comes.
    #[tokio::test(start_paused = true)]
    async fn what_is_dropped_without_an_answer_goes_again() {
        let (router, mut batches, _leader) = router(Some(2));
        let deadline = Instant::now() + Duration::from_secs(60);
        let command = Command::RenewSession { session: TokenHash([1; 32]) };
        let outcome = router.enqueue(entry::encode_command(&command), deadline).await.unwrap();
        let first = batches.recv().await.unwrap().commands;
        let second = tokio::time::timeout(Duration::from_secs(1), batches.recv()).await.unwrap().unwrap();
        assert_eq!(first, second.commands);
        (second.answer)(Some(Proposed { log_index: 7, replies: vec![Reply::Done] }));
        assert_eq!(outcome.await.unwrap().position, position_of(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_is_given_up_is_told_why() {
        let (router, _batches, _leader) = router(None);
        let deadline = Instant::now() + Duration::from_millis(200);
        let outcome = router.enqueue(Bytes::from_static(b"command"), deadline).await.unwrap();
        assert_eq!(outcome.await.unwrap_err().0, "gave up: no leader within the deadline");
    }

    #[tokio::test]
    async fn a_command_that_no_entry_holds_is_not_let_into_the_line() {
        let (router, mut batches, _leader) = router(Some(2));
        let deadline = Instant::now() + Duration::from_secs(60);
        assert!(router.enqueue(vec![0; COMMAND_BYTES + 1].into(), deadline).await.is_err());
        assert!(router.enqueue(vec![0; COMMAND_BYTES].into(), deadline).await.is_ok());
        assert_eq!(batches.recv().await.unwrap().commands[0].len(), COMMAND_BYTES);
    }
}
