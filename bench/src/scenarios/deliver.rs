//! `deliver`: from one person's send to another person's receipt, who is connected to another server.
//!
//! Pairs of accounts, each with a stream. Each receiver's messages are checked: every acknowledged one exactly once, and
//! in the order in which it was sent. One task holds both ends of a pair, so that nothing but the servers lies between.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use futures::future::try_join_all;
use serde_json::json;
use threefold_proto::chat;
use tokio::{sync::mpsc, time::sleep_until};

use crate::{
    accounting::{Processes, Usage},
    bounds::{rate, seconds, some_seconds},
    cluster::{Target, connect},
    device::{Account, Device, Heard, UNANSWERED, number_of, numbered, to},
    exactly_once::{Checker, Verdict},
    latency::{Latencies, Summary, Timeline, Window},
    report::{Report, latency_table, usage_json, usage_table},
    schedule::Schedule,
    table::thousands,
};

/// How long messages are waited for after the end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Sender and receiver pairs [default: 4, with --max 16]
    #[arg(long, value_name = "N")]
    pub pairs: Option<usize>,
    /// Messages a second in all, on a fixed schedule
    #[arg(long, default_value_t = 20.0, value_name = "R", value_parser = rate, conflicts_with = "max")]
    pub rate: f64,
    /// As many as go through instead
    #[arg(long)]
    pub max: bool,
    /// With --max: messages that each pair has on their way, at most 64
    #[arg(long, default_value_t = 16, value_name = "W")]
    pub in_flight: usize,
    /// Bytes of a message
    #[arg(long, default_value_t = 200)]
    pub bytes: usize,
    /// Seconds measured
    #[arg(long, default_value_t = 10.0, value_parser = some_seconds)]
    pub seconds: f64,
    /// Seconds before, not measured
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub warm_up: f64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Messages received within the measured time.
    pub messages: u64,
    /// The same a second.
    pub per_second: f64,
    /// From when a message was due (or sent, with `--max`) to its receipt.
    pub latency: Summary,
    /// Of the whole run, warm-up included.
    pub verdict: Verdict,
    /// What it cost.
    pub usage: Usage,
}

/// Runs the plan against a cluster.
///
/// # Errors
/// When a server is lost or refuses a message. Wrong deliveries are a result, not an error.
pub async fn run(target: &Target, plan: &Plan) -> anyhow::Result<Report> {
    let outcome = measure(target, plan).await?;
    let how = if plan.max {
        format!("{} on their way in each pair", plan.in_flight)
    } else {
        format!("{} messages/s due in all", plan.rate)
    };
    let verdict = outcome.verdict;
    let text = format!(
        "deliver: {} pairs, {} bytes, {how}, {} s\n\n{} messages/s received\n{} received in all: {} twice, {} out of order, {} missing\n\n{}\n\n{}",
        plan.pairs(),
        plan.bytes,
        plan.seconds,
        thousands(outcome.per_second),
        thousands(verdict.received as f64),
        verdict.duplicates,
        verdict.disorder,
        verdict.missing,
        latency_table(&[("send to receipt", outcome.latency)]).render(),
        usage_table(&outcome.usage, outcome.messages).render()
    );
    let json = json!({
        "scenario": "deliver",
        "pairs": plan.pairs(),
        "rate": (!plan.max).then_some(plan.rate),
        "in_flight": plan.max.then_some(plan.in_flight),
        "bytes": plan.bytes,
        "messages": outcome.messages,
        "messages_per_second": outcome.per_second,
        "latency": outcome.latency,
        "exactly_once": verdict,
        "violations": verdict.violations(),
        "usage": usage_json(&outcome.usage, outcome.messages),
    });
    Ok(Report { text, json })
}

impl Plan {
    /// How many pairs there are.
    pub fn pairs(&self) -> usize {
        self.pairs.unwrap_or(if self.max { 16 } else { 4 })
    }
}

/// Runs the plan and gives the figures.
///
/// # Errors
/// When a server is lost or refuses a message.
pub async fn measure(target: &Target, plan: &Plan) -> anyhow::Result<Outcome> {
    if plan.pairs() == 0 || !(1..=UNANSWERED).contains(&plan.in_flight) {
        bail!("--pairs must be at least 1, --in-flight from 1 to {UNANSWERED}");
    }
    let pairs = prepare(&target.addresses(), plan.pairs()).await?;
    measure_ends(pairs, &target.processes().await?, plan).await
}

/// Runs the plan between ends that are connected already.
///
/// # Errors
/// When a connection is lost or a message is refused.
pub async fn measure_ends<E: Ends>(pairs: Vec<E>, processes: &Processes, plan: &Plan) -> anyhow::Result<Outcome> {
    let window = Window::after(Duration::from_secs_f64(plan.warm_up), Duration::from_secs_f64(plan.seconds));
    let run = Run::new(window, plan.bytes)?;
    let paces: Vec<Pace> = if plan.max {
        pairs.iter().map(|_| Pace::Window(plan.in_flight)).collect()
    } else {
        let schedules = Schedule::new(Instant::now(), window.until, plan.rate).run(pairs.len());
        schedules.into_iter().map(Pace::Schedule).collect()
    };
    let both = pairs.into_iter().zip(paces);
    let tasks: Vec<_> = both.map(|(pair, pace)| tokio::spawn(converse(pair, run.clone(), pace))).collect();
    sleep_until(window.from.into()).await;
    let before = processes.read()?;
    sleep_until(window.until.into()).await;
    let usage = processes.since(&before)?;
    for task in tasks {
        task.await??;
    }
    let messages = run.received.load(Ordering::Relaxed);
    let per_second = messages as f64 / window.seconds();
    Ok(Outcome { messages, per_second, latency: run.latencies.summary(), verdict: run.verdict(), usage })
}

/// Makes pairs whose ends are at different servers, as far as there are different ones.
///
/// # Errors
/// When a server is lost or refuses.
pub async fn prepare(addresses: &[String], count: usize) -> anyhow::Result<Vec<Pair>> {
    let connections = connect(addresses, 2 * count).await?;
    let servers = addresses.len().max(1);
    let accounts = Account::register_many(&connections, 2 * count).await?;
    let opening = accounts.chunks_exact(2).enumerate().map(|(n, both)| {
        // Neighbours among the connections are at different servers; no two pairs share both connections.
        let (near, far) = (n % connections.len(), (n + 1 + n / servers % (servers - 1).max(1)) % connections.len());
        let (near, far) = (&connections[near], &connections[far]);
        async move {
            let [sender, receiver] = both else { bail!("an odd number of accounts") };
            let mut incoming = Device::open(far, receiver, receiver.instance).await?;
            incoming.subscribe(receiver.position).await?;
            let outgoing = Device::open(near, sender, sender.instance).await?;
            Ok(Pair { sender: outgoing, receiver: incoming, to: to(&receiver.name) })
        }
    });
    try_join_all(opening).await
}

/// When a pair's messages are sent.
pub enum Pace {
    /// So many are always on their way.
    Window(usize),
    /// When they are due.
    Schedule(mpsc::UnboundedReceiver<Instant>),
}

/// What all pairs of a run share.
#[derive(Clone)]
pub struct Run {
    window: Window,
    bytes: usize,
    latencies: Latencies,
    received: Arc<AtomicU64>,
    verdict: Arc<Mutex<Verdict>>,
    /// Every receipt and every acknowledgement, where the phases of the run are known only afterwards.
    timelines: Option<(Timeline, Timeline)>,
}

impl Run {
    /// A run with nothing measured yet.
    ///
    /// # Errors
    /// Never.
    pub fn new(window: Window, bytes: usize) -> anyhow::Result<Self> {
        let latencies = Latencies::new()?;
        Ok(Self { window, bytes, latencies, received: Arc::default(), verdict: Arc::default(), timelines: None })
    }

    /// Records every receipt and every acknowledgement in these two as well.
    pub fn with_timelines(self, receipts: Timeline, acknowledgements: Timeline) -> Self {
        Self { timelines: Some((receipts, acknowledgements)), ..self }
    }

    /// Takes note of a message that arrived; true if it is the first time.
    fn take(&self, number: u64, started: &[Instant], checker: &mut Checker, now: Instant) -> anyhow::Result<bool> {
        let Some(began) = number.checked_sub(1).and_then(|place| started.get(usize::try_from(place).ok()?)) else {
            bail!("message {number} was received before it was sent");
        };
        if !checker.arrived(number) {
            return Ok(false);
        }
        if self.window.holds(now) {
            self.received.fetch_add(1, Ordering::Relaxed);
        }
        if self.window.holds(*began) {
            self.latencies.record(now.duration_since(*began));
        }
        if let Some((receipts, _)) = &self.timelines {
            receipts.record(*began, now.duration_since(*began));
        }
        Ok(true)
    }

    /// Takes note of acknowledgements of messages that began then.
    fn note_acknowledged(&self, began: &[Instant], now: Instant) {
        if let Some((_, acknowledgements)) = &self.timelines {
            began.iter().for_each(|began| acknowledgements.record(*began, now.duration_since(*began)));
        }
    }

    /// What was right and wrong with all pairs that have ended.
    pub fn verdict(&self) -> Verdict {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two ends of a pair, whatever system lies between them.
pub trait Ends: Send + 'static {
    /// Whether a further message may be sent before one that was sent is acknowledged.
    fn has_room(&self) -> bool;
    /// Puts a text into the line of what is to be sent.
    ///
    /// # Errors
    /// When it cannot be encoded.
    fn put(&mut self, text: String) -> anyhow::Result<()>;
    /// Sends what is in line.
    ///
    /// # Errors
    /// When the connection is lost.
    fn flush(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
    /// Waits until something arrived, and gives all there is. May be dropped while it waits.
    ///
    /// # Errors
    /// When a connection is lost or a message is refused.
    fn hear(&mut self) -> impl Future<Output = anyhow::Result<Arrived>> + Send;
}

/// What arrived at both ends.
#[derive(Debug, Default)]
pub struct Arrived {
    /// The numbers with which the received messages begin.
    pub numbers: Vec<u64>,
    /// How many sent messages were acknowledged.
    pub acknowledged: usize,
}

/// A sender and a receiver of Threefold.
pub struct Pair {
    sender: Device,
    receiver: Device,
    to: chat::Recipient,
}

impl Ends for Pair {
    fn has_room(&self) -> bool {
        self.sender.in_flight() < UNANSWERED
    }

    fn put(&mut self, text: String) -> anyhow::Result<()> {
        self.sender.put_message(&self.to, text).map(drop)
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.sender.flush()
    }

    async fn hear(&mut self) -> anyhow::Result<Arrived> {
        let mut arrived = Arrived::default();
        tokio::select! {
            biased;
            heard = self.receiver.hear() => {
                let mut next = Some(heard?);
                while let Some(heard) = next {
                    if let Heard::Message(message) = heard {
                        arrived.numbers.push(number_of(&message.body).context("a message that nobody sent")?);
                    }
                    next = self.receiver.heard_already()?;
                }
            }
            heard = self.sender.hear() => {
                heard?;
                arrived.acknowledged += 1;
                while self.sender.heard_already()?.is_some() {
                    arrived.acknowledged += 1;
                }
            }
        }
        Ok(arrived)
    }
}

/// Sends and receives until the window ends, and everything sent has arrived.
///
/// # Errors
/// When a connection is lost or a message is refused.
pub async fn converse(mut ends: impl Ends, run: Run, mut pace: Pace) -> anyhow::Result<()> {
    let mut checker = Checker::default();
    // `started[n - 1]`: when message n was due, or was sent. Sent so far: as many as this holds.
    let mut started: Vec<Instant> = Vec::new();
    let mut waiting: VecDeque<Instant> = VecDeque::new();
    let (mut arrived, mut acknowledged, mut more) = (0, 0, true);
    let give_up = run.window.until + PATIENCE;
    loop {
        let now = Instant::now();
        if let Pace::Window(in_flight) = &pace {
            more = now < run.window.until;
            while more && started.len() + waiting.len() < arrived + *in_flight {
                waiting.push_back(now);
            }
        }
        while ends.has_room()
            && let Some(due) = waiting.pop_front()
        {
            started.push(due);
            ends.put(numbered(started.len() as u64, run.bytes))?;
        }
        ends.flush().await?;
        if !more && waiting.is_empty() && acknowledged >= started.len() && arrived >= started.len() {
            break;
        }
        tokio::select! {
            biased;
            heard = ends.hear() => {
                let (heard, now) = (heard?, Instant::now());
                for number in heard.numbers {
                    arrived += usize::from(run.take(number, &started, &mut checker, now)?);
                }
                let until = started.len().min(acknowledged + heard.acknowledged);
                run.note_acknowledged(&started[acknowledged..until], now);
                acknowledged = until;
            }
            due = next_due(&mut pace), if more => match due {
                Some(due) => waiting.push_back(due),
                None => more = false,
            },
            // What has not arrived by now is missing: the verdict says so.
            () = sleep_until(give_up.into()) => break,
        }
    }
    let verdict = checker.verdict(acknowledged as u64);
    let mut all = run.verdict.lock().unwrap_or_else(PoisonError::into_inner);
    *all = all.and(verdict);
    Ok(())
}

/// Never where messages are not due by a schedule.
async fn next_due(pace: &mut Pace) -> Option<Instant> {
    match pace {
        Pace::Schedule(dues) => dues.recv().await,
        Pace::Window(_) => std::future::pending().await,
    }
}
