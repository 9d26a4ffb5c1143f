//! `idle`: what a connection costs that is subscribed and says nothing; and with `--storm`, what those who talk feel when
//! a server dies and all its connections come back at once at the others.
//!
//! A process here has at most 20,000 descriptors, so several generators hold the connections, each from a loopback
//! address of its own (a source address has some 28,000 ports). The same limit, and their own of 20,000 connections,
//! holds for the servers: a storm needs room for the dead server's connections at the two others.

mod holder;
mod worker;

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use tokio::time::sleep;

pub use worker::run as run_worker;

use self::holder::Holders;
use super::talk::Talkers;
use crate::{
    accounting::Usage,
    bounds::rate,
    cluster::{Target, leader_place},
    device::Account,
    ear::Over,
    report::{Report, latency_table},
    table::{Table, figure, mib, thousands},
};

/// Connections opened before memory is read the first time, so that what the first ones alone cost is not divided among all.
const FIRST: usize = 300;
/// Accounts that connections are of, unless told otherwise.
const ACCOUNTS: usize = 200;
/// Memory is read so long after the last connection.
const SETTLING: Duration = Duration::from_secs(3);
/// People talk so long before the storm, and after it.
const CALM: Duration = Duration::from_secs(5);
/// A storm that is not over by then is none.
const STORM_PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Connections, spread over the servers
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub connections: usize,
    /// Accounts that they are of
    #[arg(long, default_value_t = ACCOUNTS, value_name = "N")]
    pub accounts: usize,
    /// How they are connected
    #[arg(long, default_value = "grpc", value_name = "PROTOCOL")]
    pub over: Over,
    /// Then kill a server, whose connections all go to the others while people talk
    #[arg(long)]
    pub storm: bool,
    /// In the storm, kill the leader rather than a follower
    #[arg(long, requires = "storm")]
    pub leader: bool,
    /// Pairs of people who talk during the storm
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub pairs: usize,
    /// Their messages a second in all
    #[arg(long, default_value_t = 100.0, value_name = "R", value_parser = rate)]
    pub rate: f64,
}

/// Runs the plan against a cluster.
///
/// # Errors
/// When a connection is refused, or a server is lost that should not be.
pub async fn run(target: &mut Target, plan: &Plan) -> anyhow::Result<Report> {
    let (opened, mut holders) = open(target, plan.over, plan.connections, plan.accounts).await?;
    let Opened { usage, before, opening_s, kib } = &opened;
    let mean = opened.kib_mean();
    let mut table = Table::new(["process", "RSS before MiB", "RSS after MiB", "KiB/connection", "CPU % while idle"]);
    for (n, name) in usage.names.iter().enumerate() {
        let busy = usage.seconds[n] / usage.elapsed * 100.0;
        table.row([name.clone(), mib(before[n]), mib(usage.resident_kib[n]), figure(kib[n]), figure(busy)]);
    }
    let mut text = format!(
        "idle: {} connections ({}) of {} accounts, each subscribed; opened in {} s\n\n{} KiB a connection\n\n{}",
        thousands(plan.connections as f64),
        plan.over.name(),
        plan.accounts.max(1),
        figure(*opening_s),
        figure(mean),
        table.render()
    );
    let mut json = json!({
        "scenario": "idle",
        "connections": plan.connections,
        "over": plan.over,
        "opening_s": opening_s,
        "kib_per_connection": mean,
        "kib_per_connection_by_server": kib,
        "server_cpu_seconds_per_second_idle": usage.seconds.iter().sum::<f64>() / usage.elapsed,
    });
    if plan.storm {
        let (words, figures) = storm(target, plan, &mut holders).await?;
        text = format!("{text}\n\n{words}");
        json["storm"] = figures;
    }
    holders.end().await?;
    Ok(Report { text, json })
}

/// What opening them did to the servers.
struct Opened {
    /// Of some seconds in which nothing was said; memory at their end.
    usage: Usage,
    /// Memory before, in KiB, server by server.
    before: Vec<u64>,
    opening_s: f64,
    /// What a connection added, in KiB, server by server.
    kib: Vec<f64>,
}

impl Opened {
    fn kib_mean(&self) -> f64 {
        self.kib.iter().sum::<f64>() / self.kib.len().max(1) as f64
    }
}

/// Memory of an idle connection in KiB, measured with so many of them.
///
/// # Errors
/// When a connection is refused.
pub async fn memory(target: &Target, over: Over, connections: usize) -> anyhow::Result<f64> {
    let (opened, holders) = open(target, over, connections, ACCOUNTS).await?;
    holders.end().await?;
    Ok(opened.kib_mean())
}

/// Opens so many connections, and reads memory before and after.
async fn open(target: &Target, over: Over, connections: usize, accounts: usize) -> anyhow::Result<(Opened, Holders)> {
    if connections <= FIRST {
        bail!("--connections must be more than {FIRST}");
    }
    let addresses = target.ports().await?;
    let accounts = Account::register_many(&target.connect(1).await?, accounts.max(1)).await?;
    let processes = target.processes().await?;
    let mut holders = Holders::default();
    holders.open(over, &addresses, &accounts, FIRST).await?;
    sleep(SETTLING).await;
    let before = processes.resident_kib()?;
    let began = Instant::now();
    holders.open(over, &addresses, &accounts, connections - FIRST).await?;
    let opening_s = began.elapsed().as_secs_f64();
    sleep(SETTLING).await;
    let reading = processes.read()?;
    sleep(CALM).await;
    let usage = processes.since(&reading)?;
    let added = (connections - FIRST) as f64 / addresses.len() as f64;
    let each = |(after, before): (&u64, &u64)| after.saturating_sub(*before) as f64 / added;
    let kib = usage.resident_kib.iter().zip(&before).map(each).collect();
    Ok((Opened { usage, before, opening_s, kib }, holders))
}

/// Kills a server, and lets its connections come back elsewhere.
async fn storm(target: &mut Target, plan: &Plan, holders: &mut Holders) -> anyhow::Result<(String, Value)> {
    let mut others = target.addresses();
    let leader = leader_place(&others).await?;
    let victim = if plan.leader { leader } else { (leader + 1) % others.len() };
    others.remove(victim);
    let own = target.own()?;
    let talkers = Talkers::start(&others, plan.pairs, plan.rate).await?;
    let calm = Instant::now();
    sleep(CALM).await;
    let killed = Instant::now();
    own.strike(victim)?;
    let held = holders.until_back(STORM_PATIENCE, LOOK_EVERY).await?;
    let back = Instant::now();
    sleep(CALM).await;
    let said = talkers.stop().await?;
    own.kill(victim).await?;
    let spans = [("before the storm", calm, killed), ("during it", killed, back), ("after it", back, back + CALM)];
    let mut rows = Vec::new();
    for (name, from, until) in spans {
        rows.push((name, said.receipts(from, until)?));
    }
    let seconds = back.duration_since(killed).as_secs_f64();
    let who = if plan.leader { "leader" } else { "follower" };
    let verdict = said.verdict;
    let words = format!(
        "storm: a {who} killed; {} connections lost, all back elsewhere after {} s ({} tries failed)\n\n{}\n\n\
         {} messages of those who talked received: {} twice, {} out of order, {} missing",
        thousands(held.lost as f64),
        figure(seconds),
        thousands(held.failed_tries as f64),
        latency_table(&rows.iter().map(|(name, summary)| (*name, *summary)).collect::<Vec<_>>()).render(),
        verdict.received,
        verdict.duplicates,
        verdict.disorder,
        verdict.missing
    );
    let figures = json!({
        "killed": who,
        "lost": held.lost,
        "failed_tries": held.failed_tries,
        "all_back_s": seconds,
        "before": rows[0].1,
        "during": rows[1].1,
        "after": rows[2].1,
        "exactly_once": verdict,
    });
    Ok((words, figures))
}
