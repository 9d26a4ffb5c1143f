//! `crashes`: as much as goes through, while servers are killed and started again; and nothing may be lost.
//!
//! Senders use the client library as it is: its outbox repeats what was not answered, at another server. Each writes numbers to
//! itself. At the end every conversation is read back: every acknowledged number must be there, once and in order.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rand::Rng as _;
use serde_json::json;
use threefold_client::{Client, Options, Page};
use tokio::time::{sleep, sleep_until};

use crate::{
    bounds::seconds,
    cluster::{Target, leader_place},
    device::{UNANSWERED, number_of, numbered},
    exactly_once::{Checker, Verdict},
    latency::{Latencies, Summary},
    report::{Report, latency_table},
    table::{Table, figure, thousands},
};

/// A message not acknowledged by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);
/// A killed server is started again after this.
const DOWN: Duration = Duration::from_millis(500);
/// Registrations, and conversations read back, at once.
const AT_ONCE: usize = 4;
/// Messages of one page of history: as many as the servers give.
const PAGE: u32 = 200;
/// Bytes of a message.
const BYTES: usize = 200;

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Senders, each an account of its own
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub senders: usize,
    /// Messages that each keeps in flight, at most 64
    #[arg(long, default_value_t = 8, value_name = "W")]
    pub in_flight: usize,
    /// Servers killed, every second one the leader
    #[arg(long, default_value_t = 6)]
    pub kills: usize,
    /// Seconds between the cluster's being whole and the next kill
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    pub pause: f64,
}

/// Runs the plan against a cluster of the bench's own.
///
/// # Errors
/// When the cluster does not recover. Lost and doubled messages are a result, not an error.
pub async fn run(target: &mut Target, plan: &Plan) -> anyhow::Result<Report> {
    if plan.senders == 0 || !(1..=UNANSWERED).contains(&plan.in_flight) {
        bail!("--senders must be at least 1, --in-flight from 1 to {UNANSWERED}");
    }
    let tally = Arc::new(Tally::new()?);
    let clients = register(&target.addresses(), plan.senders).await?;
    let (began, senders) = (Instant::now(), clients.clone());
    let tasks: Vec<_> =
        senders.into_iter().map(|client| tokio::spawn(send(client, plan.in_flight, Arc::clone(&tally)))).collect();
    let gaps_ms = kill_again_and_again(target, plan, &tally).await?;
    tally.over.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.push(task.await??);
    }
    let seconds = began.elapsed().as_secs_f64();
    let reading = clients.iter().zip(&acknowledged).map(|(client, count)| read_back(client, *count));
    let verdicts: Vec<Verdict> = stream::iter(reading).buffer_unordered(AT_ONCE).try_collect().await?;
    let verdict = verdicts.into_iter().fold(Verdict::default(), Verdict::and);
    let total: u64 = acknowledged.iter().sum();
    Ok(report(plan, &gaps_ms, total as f64 / seconds, total, tally.latencies.summary(), verdict))
}

fn report(
    plan: &Plan,
    gaps_ms: &[f64],
    per_second: f64,
    acknowledged: u64,
    latency: Summary,
    verdict: Verdict,
) -> Report {
    let longest = gaps_ms.iter().copied().fold(0.0, f64::max);
    let mut table = Table::new(["kill", "longest gap of all senders, ms"]);
    for (n, gap) in gaps_ms.iter().enumerate() {
        table.row([(n + 1).to_string(), figure(*gap)]);
    }
    let text = format!(
        "crashes: {} senders, {} in flight each, {} servers killed, every second one the leader\n\n\
         {} messages/s acknowledged on average, with everything that happened\n\n{}\n\n{}\n\n\
         {} acknowledged, {} read back: {} twice, {} out of order, {} missing",
        plan.senders,
        plan.in_flight,
        plan.kills,
        thousands(per_second),
        latency_table(&[("send to acknowledgement", latency)]).render(),
        table.render(),
        thousands(acknowledged as f64),
        thousands(verdict.received as f64),
        verdict.duplicates,
        verdict.disorder,
        verdict.missing
    );
    let json = json!({
        "scenario": "crashes",
        "senders": plan.senders,
        "in_flight": plan.in_flight,
        "kills": plan.kills,
        "messages_per_second": per_second,
        "acknowledged": acknowledged,
        "latency": latency,
        "gaps_ms": gaps_ms,
        "gap_max_ms": longest,
        "exactly_once": verdict,
        "violations": verdict.violations(),
    });
    Report { text, json }
}

/// What all senders share.
struct Tally {
    began: Instant,
    latencies: Latencies,
    /// Microseconds from `began` to the last acknowledgement of anybody.
    last_us: AtomicU64,
    /// The longest time without any acknowledgement, in microseconds, since it was last set to zero.
    gap_us: AtomicU64,
    /// Senders send no more.
    over: AtomicBool,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        let (began, latencies) = (Instant::now(), Latencies::new()?);
        Ok(Self {
            began,
            latencies,
            last_us: AtomicU64::new(0),
            gap_us: AtomicU64::new(0),
            over: AtomicBool::new(false),
        })
    }

    fn acknowledged(&self, sent: Instant) {
        self.latencies.record(sent.elapsed());
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let last = self.last_us.swap(now, Ordering::Relaxed);
        self.gap_us.fetch_max(now.saturating_sub(last), Ordering::Relaxed);
    }
}

/// Clients of as many new accounts.
async fn register(addresses: &[String], count: usize) -> anyhow::Result<Vec<Client>> {
    let servers: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    let registering = (0..count).map(|_| {
        let options = Options { timeout: PATIENCE, ..Options::new(servers.clone()) };
        let name = format!("bench-{:012x}", rand::random::<u64>() >> 16);
        async move {
            let client = Client::new(options)?;
            let session = client.register(&name, "a password for benches", "bench").await?;
            anyhow::Ok(client.with_session(session)?)
        }
    });
    stream::iter(registering).buffer_unordered(AT_ONCE).try_collect().await
}

/// Kills servers, one after another; gives the longest gap around each in milliseconds.
async fn kill_again_and_again(target: &mut Target, plan: &Plan, tally: &Tally) -> anyhow::Result<Vec<f64>> {
    let (own, pause) = (target.own()?, Duration::from_secs_f64(plan.pause));
    let (addresses, mut gaps_ms) = (own.addresses(), Vec::new());
    for kill in 0..plan.kills {
        sleep(pause).await;
        let leader = leader_place(&addresses).await?;
        let other = rand::rng().random_range(1..addresses.len());
        let victim = if kill % 2 == 0 { leader } else { (leader + other) % addresses.len() };
        tally.gap_us.store(0, Ordering::Relaxed);
        let struck = Instant::now();
        own.strike(victim)?;
        let again = Instant::now() + DOWN;
        own.kill(victim).await?;
        sleep_until(again.into()).await;
        own.launch(victim)?;
        own.wait_until_whole().await?;
        let (whole, gap_ms) = (struck.elapsed().as_secs_f64(), tally.gap_us.load(Ordering::Relaxed) as f64 / 1000.0);
        gaps_ms.push(gap_ms);
        eprintln!("kill {} of {}: gap {gap_ms:.1} ms, whole again after {whole:.2} s", kill + 1, plan.kills);
    }
    sleep(pause).await;
    Ok(gaps_ms)
}

/// Sends numbers until it is over, and until all are acknowledged; gives how many.
async fn send(client: Client, in_flight: usize, tally: Arc<Tally>) -> anyhow::Result<u64> {
    let name = client.session().context("not logged in")?.name;
    let writer = client.writer()?;
    let (mut number, mut waiting) = (0, VecDeque::new());
    loop {
        while waiting.len() < in_flight && !tally.over.load(Ordering::Relaxed) {
            number += 1;
            let sent = Instant::now();
            waiting.push_back((sent, writer.send(name.as_str(), numbered(number, BYTES)).await?));
        }
        let Some((sent, receipt)) = waiting.pop_front() else { return Ok(number) };
        receipt.await?;
        tally.acknowledged(sent);
    }
}

/// Reads everything that an account has written to itself.
async fn read_back(client: &Client, acknowledged: u64) -> anyhow::Result<Verdict> {
    let name = client.session().context("not logged in")?.name;
    let (mut checker, mut after) = (Checker::default(), 0);
    loop {
        let page = client.consistent_history(name.as_str(), Page::After(after), PAGE).await?;
        for message in &page.messages {
            checker.arrived(number_of(&message.body).context("a message that nobody sent")?);
            after = message.id;
        }
        if !page.more {
            return Ok(checker.verdict(acknowledged));
        }
    }
}
