//! `threefold-bench`: what a cluster bears, what it costs, and how others do beside it.
//!
//! Each scenario runs on a fresh cluster of three servers that it starts, ends and removes, or with `--servers` on one that runs
//! already. It prints a table, or with `--json` one object. Processor time and memory are what the operating system
//! charges the server processes. docs/performance.md says what each figure means.

mod accounting;
mod bounds;
mod cluster;
mod compare;
mod device;
mod ear;
mod exactly_once;
mod grpc;
mod latency;
mod peers;
mod report;
mod scenarios;
mod schedule;
mod table;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use cluster::{Own, Place, Target};
use report::Report;
use scenarios::{
    attach, crashes, deliver, disturb, failover, fanout, grow, history, idle, rejoin, search, start, write,
};

#[derive(Parser)]
#[command(version, about = "Load for a Threefold cluster, and what it costs the servers", max_term_width = 110)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    scenario: Scenario,
}

/// What all scenarios take.
#[derive(Args, Clone)]
struct Common {
    /// The client addresses of a running cluster; without them, a fresh one of three servers is started
    #[arg(long, global = true, value_delimiter = ',', value_name = "ADDRESSES", conflicts_with = "own")]
    servers: Vec<String>,
    /// Start a fresh cluster (what happens anyway without --servers)
    #[arg(long, global = true)]
    own: bool,
    /// Where the fresh cluster's data goes, on the disk to measure [default: the system's temporary directory]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Leave that data there
    #[arg(long, global = true)]
    keep: bool,
    /// The server program [default: the `threefold` beside this one]
    #[arg(long, global = true, value_name = "FILE")]
    executable: Option<PathBuf>,
    /// Print one JSON object instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// The servers of a fresh cluster limit writes and log-ins as they do for anybody.
    #[arg(skip)]
    limited: bool,
    /// The servers of a fresh cluster give memory back at once.
    #[arg(skip)]
    thrifty: bool,
}

impl Common {
    /// Where clusters go that a scenario starts itself.
    fn place(&self) -> Place {
        Place {
            executable: self.executable.clone(),
            data_dir: self.data_dir.clone(),
            keep: self.keep,
            limited: self.limited,
            thrifty: self.thrifty,
        }
    }

    /// The same, for scenarios that start several clusters.
    ///
    /// # Errors
    /// When a running cluster is named: it would not be used.
    fn fresh(&self) -> anyhow::Result<Place> {
        if self.servers.is_empty() {
            Ok(self.place())
        } else {
            anyhow::bail!("this starts its own clusters: leave --servers away")
        }
    }

    /// Runs a scenario on the cluster that is asked for, and ends that if it is the bench's own.
    async fn on(&self, scenario: impl AsyncFnOnce(&mut Target) -> anyhow::Result<Report>) -> anyhow::Result<Report> {
        let mut target = match self.servers.as_slice() {
            [] => Target::Own(Own::start(&self.place()).await?),
            servers => Target::Running(servers.to_vec()),
        };
        let report = scenario(&mut target).await;
        let ended = target.end().await;
        // Of two errors the scenario's own is the reason.
        let report = report?;
        ended.map(|()| report)
    }
}

#[derive(Subcommand)]
enum Scenario {
    /// Acknowledged messages a second, latency, processor time a message
    Write(write::Plan),
    /// What messages feel while files go up
    Attach(attach::Plan),
    /// From one person's send to another's receipt at another server; each message exactly once, in order
    Deliver(deliver::Plan),
    /// What people feel while somebody else misbehaves: reads slowly, keeps silent, floods
    Disturb(disturb::Plan),
    /// The longest gap without an acknowledgement around each kill of the leader; nothing may be missing at the end
    Failover(failover::Plan),
    /// As much as goes through while servers are killed and started again; nothing may be missing or doubled
    Crashes(crashes::Plan),
    /// The newest 50 messages of random conversations, and what is unread
    History(history::Plan),
    /// Searches in many messages, with and without a write load; what the index costs
    Search(search::Plan),
    /// Deliveries a second to one room with very many connected members
    Fanout(fanout::Plan),
    /// Memory of a connection that says nothing; and what a server's death does, whose connections all come back at once
    Idle(idle::Plan),
    /// Everything again and again while conversations are filled: speed, disk, memory, reads, starts, rejoins
    Grow(grow::Plan),
    /// How long a server that was away needs until it is in sync, and what writers feel meanwhile
    Rejoin(rejoin::Plan),
    /// From starting an empty cluster to its first accepted write
    Start(start::Plan),
    /// Threefold and each peer that is installed (etcd, NATS, Redis) with the same load, and the ratios
    Compare(compare::Plan),
    /// Holds connections for `idle`, as standard input says
    #[command(hide = true)]
    IdleWorker,
}

/// One thread: the generator shares the machine with the servers, and a second one would cost wake-ups.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = tokio::select! {
        result = run(&arguments) => result,
        // What was started ends with what held it.
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match result {
        Ok(report) => {
            if let Some(Report { text, json }) = report {
                println!("{}", if arguments.common.json { json.to_string() } else { text });
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("threefold-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<Option<Report>> {
    let common = &arguments.common;
    let report = match &arguments.scenario {
        Scenario::Write(plan) => common.on(async |target| write::run(target, plan).await).await,
        Scenario::Attach(plan) => common.on(async |target| attach::run(target, plan).await).await,
        Scenario::Deliver(plan) => common.on(async |target| deliver::run(target, plan).await).await,
        Scenario::Disturb(plan) => {
            let common = Common { limited: true, ..common.clone() };
            common.on(async |target| disturb::run(target, plan).await).await
        }
        Scenario::Failover(plan) => common.on(async |target| failover::run(target, plan).await).await,
        Scenario::Crashes(plan) => common.on(async |target| crashes::run(target, plan).await).await,
        Scenario::History(plan) => common.on(async |target| history::run(target, plan).await).await,
        Scenario::Search(plan) => common.on(async |target| search::run(target, plan).await).await,
        Scenario::Grow(plan) => common.on(async |target| grow::run(target, plan).await).await,
        Scenario::Fanout(plan) => common.on(async |target| fanout::run(target, plan).await).await,
        Scenario::Idle(plan) => {
            let common = Common { thrifty: true, ..common.clone() };
            common.on(async |target| idle::run(target, plan).await).await
        }
        Scenario::Rejoin(plan) => common.on(async |target| rejoin::run(target, plan).await).await,
        Scenario::Start(plan) => start::run(&common.fresh()?, plan).await,
        Scenario::Compare(plan) => compare::run(&common.fresh()?, plan).await,
        // It reports to the process that started it.
        Scenario::IdleWorker => return idle::run_worker().await.map(|()| None),
    };
    report.map(Some)
}
