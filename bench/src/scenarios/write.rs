//! `write`: senders write direct messages and wait for acknowledgements.
//!
//! Closed loop: each sender keeps so many in flight. Open loop (`--rate`): a schedule fixed in advance, and latency from
//! the instant a message was due. A sender is a device: a stream of its own, with an instance of its own.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use futures::future::try_join_all;
use serde_json::json;
use threefold_proto::chat;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep_until, timeout_at},
};

use crate::{
    accounting::{Processes, Usage},
    bounds::{rate, seconds, some_seconds},
    cluster::Target,
    device::{Account, Device, Heard, UNANSWERED, WRITERS_PER_ACCOUNT, numbered, to},
    grpc::Connection,
    latency::{Latencies, Summary, Window},
    report::{Report, latency_table, usage_json, usage_table},
    schedule::Schedule,
    table::thousands,
};

/// How long answers are waited for after the end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Senders, spread over the servers
    #[arg(long, default_value_t = 512, value_name = "N")]
    pub senders: usize,
    /// Messages that each sender keeps in flight (closed loop), at most 64
    #[arg(long, default_value_t = 1, value_name = "W")]
    pub in_flight: usize,
    /// Messages a second in all on a fixed schedule, instead of the closed loop; latency counts from when they were due
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Option<f64>,
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
    /// Messages acknowledged within the measured time.
    pub messages: u64,
    /// Messages acknowledged in all, before and after it too.
    pub written: u64,
    /// The same a second.
    pub per_second: f64,
    /// Of a closed loop: all those acknowledged within the measured time. Of an open one: all those due in it.
    pub latency: Summary,
    /// What it cost.
    pub usage: Usage,
}

/// Runs the plan against a cluster.
///
/// # Errors
/// When a server is lost or refuses a message.
pub async fn run(target: &Target, plan: &Plan) -> anyhow::Result<Report> {
    let outcome = measure(target, plan).await?;
    let how = match plan.rate {
        Some(rate) => format!("open loop, {} messages/s due", thousands(rate)),
        None => format!("closed loop, {} in flight each", plan.in_flight),
    };
    let text = format!(
        "write: {} senders, {} bytes, {how}, {} s\n\n{} messages/s acknowledged\n\n{}\n\n{}",
        plan.senders,
        plan.bytes,
        plan.seconds,
        thousands(outcome.per_second),
        latency_table(&[("send to acknowledgement", outcome.latency)]).render(),
        usage_table(&outcome.usage, outcome.messages).render()
    );
    let json = json!({
        "scenario": "write",
        "senders": plan.senders,
        "in_flight": plan.in_flight,
        "rate": plan.rate,
        "bytes": plan.bytes,
        "messages": outcome.messages,
        "messages_per_second": outcome.per_second.round(),
        "latency": outcome.latency,
        "usage": usage_json(&outcome.usage, outcome.messages),
    });
    Ok(Report { text, json })
}

/// Runs the plan and gives the figures.
///
/// # Errors
/// When a server is lost or refuses a message.
pub async fn measure(target: &Target, plan: &Plan) -> anyhow::Result<Outcome> {
    if plan.senders == 0 || !(1..=UNANSWERED).contains(&plan.in_flight) {
        bail!("--senders must be at least 1, --in-flight from 1 to {UNANSWERED}");
    }
    let connections = target.connect(plan.senders).await?;
    let senders = prepare(&connections, plan.senders).await?;
    let run = Run::new(plan)?;
    let window = run.window;
    let tasks: Vec<_> = match plan.rate {
        None => {
            senders.into_iter().map(|sender| tokio::spawn(sender.closed_loop(run.clone(), plan.in_flight))).collect()
        }
        Some(rate) => {
            let schedules = Schedule::new(Instant::now(), window.until, rate).run(senders.len());
            let pairs = senders.into_iter().zip(schedules);
            pairs.map(|(sender, dues)| tokio::spawn(sender.open_loop(run.clone(), dues))).collect()
        }
    };
    run.finish(&target.processes().await?, tasks).await
}

/// Registers as many accounts as the senders need, and opens a stream with an instance for each. Every sender of an
/// account writes to another account, as far as there are others.
///
/// # Errors
/// When a server is lost or refuses.
pub async fn prepare(connections: &[Connection], count: usize) -> anyhow::Result<Vec<Sender>> {
    let accounts = Account::register_many(connections, count.div_ceil(WRITERS_PER_ACCOUNT).max(2)).await?;
    let opening = (0..count).map(|n| {
        let (own, turn) = (n % accounts.len(), n / accounts.len());
        let account = &accounts[own];
        let other = &accounts[(own + 1 + turn % (accounts.len() - 1)) % accounts.len()];
        let connection = &connections[n % connections.len()];
        async move {
            let instance = account.open_instance(connection).await?;
            let device = Device::open(connection, account, instance).await?;
            anyhow::Ok(Sender { device, to: to(&other.name) })
        }
    });
    try_join_all(opening).await
}

/// What all senders of a run share.
#[derive(Clone)]
pub struct Run {
    /// What is measured.
    pub window: Window,
    /// Bytes of a message.
    pub bytes: usize,
    latencies: Latencies,
    /// Acknowledged within the window.
    acknowledged: Arc<AtomicU64>,
    /// In all.
    written: Arc<AtomicU64>,
}

impl Run {
    /// A run that begins now.
    ///
    /// # Errors
    /// Never.
    pub fn new(plan: &Plan) -> anyhow::Result<Self> {
        let window = Window::after(Duration::from_secs_f64(plan.warm_up), Duration::from_secs_f64(plan.seconds));
        let (latencies, acknowledged, written) = (Latencies::new()?, Arc::default(), Arc::default());
        Ok(Self { window, bytes: plan.bytes, latencies, acknowledged, written })
    }

    /// A message of a closed loop, sent at `began`, is acknowledged now.
    pub fn acknowledged(&self, began: Instant, now: Instant) {
        self.written.fetch_add(1, Ordering::Relaxed);
        if self.window.holds(now) {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            self.latencies.record(now.duration_since(began));
        }
    }

    /// A message of an open loop is acknowledged now. Its latency counts if it was due in the window, however late it is.
    fn settled(&self, due: Instant, now: Instant) {
        self.written.fetch_add(1, Ordering::Relaxed);
        self.acknowledged.fetch_add(u64::from(self.window.holds(now)), Ordering::Relaxed);
        if self.window.holds(due) {
            self.latencies.record(now.duration_since(due));
        }
    }

    /// Waits for the end of the window and then of the senders, and gives the figures.
    ///
    /// # Errors
    /// When a sender failed, or one of the processes is gone.
    pub async fn finish(
        self,
        processes: &Processes,
        senders: Vec<JoinHandle<anyhow::Result<()>>>,
    ) -> anyhow::Result<Outcome> {
        sleep_until(self.window.from.into()).await;
        let before = processes.read()?;
        sleep_until(self.window.until.into()).await;
        let usage = processes.since(&before)?;
        for sender in senders {
            sender.await??;
        }
        let messages = self.acknowledged.load(Ordering::Relaxed);
        let (written, per_second) = (self.written.load(Ordering::Relaxed), messages as f64 / self.window.seconds());
        Ok(Outcome { messages, written, per_second, latency: self.latencies.summary(), usage })
    }
}

/// One sender.
pub struct Sender {
    device: Device,
    to: chat::Recipient,
}

impl Sender {
    async fn closed_loop(mut self, run: Run, in_flight: usize) -> anyhow::Result<()> {
        let mut began = VecDeque::with_capacity(in_flight);
        for _ in 0..in_flight {
            self.put(run.bytes)?;
            began.push_back(Instant::now());
        }
        self.device.flush()?;
        let give_up = run.window.until + PATIENCE;
        while !began.is_empty() {
            let first = timeout_at(give_up.into(), self.device.hear()).await;
            let Ok(first) = first else { bail!("{} messages were never answered", began.len()) };
            let (mut next, now) = (Some(first?), Instant::now());
            // Answers that came together are followed by messages that go together.
            while let Some(heard) = next {
                if let (Heard::Accepted, Some(began)) = (heard, began.pop_front()) {
                    run.acknowledged(began, now);
                }
                if now < run.window.until {
                    self.put(run.bytes)?;
                    began.push_back(now);
                }
                next = self.device.heard_already()?;
            }
            self.device.flush()?;
        }
        Ok(())
    }

    async fn open_loop(mut self, run: Run, mut dues: mpsc::UnboundedReceiver<Instant>) -> anyhow::Result<()> {
        // Due and not yet answered; of these the first so many have been sent.
        let mut waiting: VecDeque<Instant> = VecDeque::new();
        let (mut more, give_up) = (true, run.window.until + PATIENCE);
        while more || !waiting.is_empty() {
            let answered = async {
                if self.device.in_flight() == 0 { std::future::pending().await } else { self.device.hear().await }
            };
            tokio::select! {
                biased;
                heard = answered => {
                    heard?;
                    let now = Instant::now();
                    loop {
                        run.settled(waiting.pop_front().context("an answer to nothing")?, now);
                        if self.device.heard_already()?.is_none() {
                            break;
                        }
                    }
                }
                due = dues.recv(), if more => match due {
                    Some(due) => waiting.push_back(due),
                    None => more = false,
                },
                () = sleep_until(give_up.into()) => bail!("{} messages were never answered", waiting.len()),
            }
            while self.device.in_flight() < UNANSWERED.min(waiting.len()) {
                self.put(run.bytes)?;
            }
            self.device.flush()?;
        }
        Ok(())
    }

    fn put(&mut self, bytes: usize) -> anyhow::Result<()> {
        let number = self.device.written() + 1;
        self.device.put_message(&self.to, numbered(number, bytes)).map(drop)
    }
}
