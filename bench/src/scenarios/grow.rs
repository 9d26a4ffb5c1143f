//! `grow`: what becomes of everything as messages pile up.
//!
//! Conversations are filled as fast as the servers take it; at each step, everything that a user or an operator could
//! notice is measured again. Nothing on a user's path should grow with the total.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{fill::Crowd, history, rejoin, start::first_message, write};
use crate::{
    bounds::some_seconds,
    cluster::{Target, wait_until_serving},
    report::Report,
    table::{Table, figure, mib, thousands},
};

/// How long each kind of read is measured.
const READING: Duration = Duration::from_secs(3);
/// After a restart, before idle memory is read.
const SETTLING: Duration = Duration::from_secs(3);

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Conversations
    #[arg(long, default_value_t = 50_000, value_name = "C")]
    pub conversations: usize,
    /// Messages in all at each step
    #[arg(long, value_delimiter = ',', default_values_t = [100_000, 1_000_000, 10_000_000], value_name = "M")]
    pub steps: Vec<u64>,
    /// Messages that the server misses which rejoins at each step [default: a tenth of the step]
    #[arg(long, value_name = "K")]
    pub missed: Option<u64>,
    /// Seconds of each measurement of the write speed
    #[arg(long, default_value_t = 5.0, value_parser = some_seconds)]
    pub seconds: f64,
}

/// What was measured at one step.
pub struct Step {
    /// Messages in all when measured.
    messages: u64,
    filled_per_second: f64,
    write: write::Outcome,
    history: history::Outcome,
    disk_bytes: Vec<u64>,
    loaded_kib: Vec<u64>,
    idle_kib: Vec<u64>,
    /// Seconds from the start of one killed server until it serves.
    serves_s: f64,
    /// Seconds from the start of all servers, all killed, until a message is accepted.
    accepted_s: f64,
    missed: u64,
    rejoined: rejoin::Outcome,
    refilled: rejoin::Outcome,
}

/// Runs the plan against a cluster of the bench's own.
///
/// # Errors
/// When a server is lost that should not be, or does not come back.
pub async fn run(target: &mut Target, plan: &Plan) -> anyhow::Result<Report> {
    let (crowd, steps) = steps(target, plan).await?;
    let text = format!(
        "grow: {} conversations of {} accounts; streams that were interrupted while filling: {}\n\n{}",
        thousands(crowd.conversations() as f64),
        crowd.accounts().len(),
        crowd.interruptions(),
        table(&steps).render()
    );
    let json = json!({
        "scenario": "grow",
        "conversations": crowd.conversations(),
        "interruptions": crowd.interruptions(),
        "steps": steps.iter().map(Step::figures).collect::<Vec<_>>(),
    });
    Ok(Report { text, json })
}

/// Grows, and measures at each step.
///
/// # Errors
/// When a server is lost that should not be, or does not come back.
pub async fn steps(target: &mut Target, plan: &Plan) -> anyhow::Result<(Crowd, Vec<Step>)> {
    target.own()?;
    let mut crowd = Crowd::new(&target.addresses(), plan.conversations).await?;
    let mut steps = Vec::new();
    for total in &plan.steps {
        let missed = plan.missed.unwrap_or(total / 10);
        // What the rejoining server will miss belongs to the step.
        let now = total.saturating_sub(crowd.written()).saturating_sub(missed);
        let seconds = crowd.fill(&target.addresses(), now).await?;
        eprintln!("{} messages after {seconds:.0} s; measuring", thousands(crowd.written() as f64));
        steps.push(measure(target, &mut crowd, plan, missed, now as f64 / seconds.max(0.001)).await?);
    }
    Ok((crowd, steps))
}

async fn measure(
    target: &mut Target,
    crowd: &mut Crowd,
    plan: &Plan,
    missed: u64,
    filled_per_second: f64,
) -> anyhow::Result<Step> {
    let write = write::Plan { senders: 512, in_flight: 1, rate: None, bytes: 200, seconds: plan.seconds, warm_up: 1.0 };
    let write = write::measure(target, &write).await?;
    crowd.add_written(write.written);
    let loaded_kib = target.processes().await?.resident_kib()?;
    let history = history::measure(target, crowd, 1, READING).await?;
    let rejoined = rejoin::measure(target, crowd, missed, false).await?;
    let refilled = rejoin::measure(target, crowd, 0, true).await?;
    let own = target.own()?;
    let addresses = own.addresses();

    own.kill(2).await?;
    let began = Instant::now();
    own.launch(2)?;
    wait_until_serving(&addresses[2]).await?;
    let serves_s = began.elapsed().as_secs_f64();
    own.wait_until_whole().await?;

    own.kill_all().await?;
    let began = Instant::now();
    own.launch_all()?;
    first_message(&addresses, &crowd.accounts()[0]).await?;
    let accepted_s = began.elapsed().as_secs_f64();
    own.wait_until_whole().await?;
    sleep(SETTLING).await;
    let disk_bytes = (0..addresses.len()).map(|place| own.disk_bytes(place)).collect::<anyhow::Result<_>>()?;
    let idle_kib = target.processes().await?.resident_kib()?;
    Ok(Step {
        messages: crowd.written(),
        filled_per_second,
        write,
        history,
        disk_bytes,
        loaded_kib,
        idle_kib,
        serves_s,
        accepted_s,
        missed,
        rejoined,
        refilled,
    })
}

impl Step {
    /// Reading the newest 50 of a conversation: the 99th percentile in milliseconds.
    pub fn newest_p99_ms(&self) -> f64 {
        self.history.newest.p99_ms
    }

    /// From starting all servers, all killed, until a message is accepted, in seconds.
    pub fn accepted_s(&self) -> f64 {
        self.accepted_s
    }

    /// Resident memory of the largest server, idle after its start, in MiB.
    pub fn idle_mib(&self) -> f64 {
        self.idle_kib.iter().copied().max().unwrap_or(0) as f64 / 1024.0
    }

    fn figures(&self) -> Value {
        json!({
            "messages": self.messages,
            "filled_per_second": self.filled_per_second,
            "write": {"messages_per_second": self.write.per_second, "latency": self.write.latency},
            "history": history::figures(&self.history),
            "disk_bytes": self.disk_bytes,
            "resident_loaded_kib": self.loaded_kib,
            "resident_idle_kib": self.idle_kib,
            "killed_until_it_serves_s": self.serves_s,
            "all_killed_until_accepted_s": self.accepted_s,
            "missed": self.missed,
            "rejoin": rejoin::figures(&self.rejoined),
            "rejoin_emptied": rejoin::figures(&self.refilled),
        })
    }
}

/// A figure a row, a step a column.
fn table(steps: &[Step]) -> Table {
    let heads = ["messages".to_owned()].into_iter().chain(steps.iter().map(|step| thousands(step.messages as f64)));
    let mut table = Table::with_heads(heads.collect());
    let mut row = |name: &str, cell: &dyn Fn(&Step) -> String| {
        table.row([name.to_owned()].into_iter().chain(steps.iter().map(cell)));
    };
    let most = |sizes: &[u64]| sizes.iter().copied().max().unwrap_or(0);
    row("filled, messages/s", &|step| thousands(step.filled_per_second));
    row("512 senders, messages/s", &|step| thousands(step.write.per_second));
    row("512 senders, p99 ms", &|step| figure(step.write.latency.p99_ms));
    row("newest 50, p50 ms", &|step| figure(step.history.newest.p50_ms));
    row("newest 50, p99 ms", &|step| figure(step.history.newest.p99_ms));
    row("unread, p99 ms", &|step| figure(step.history.unread.p99_ms));
    row("disk of a server, MiB", &|step| mib(most(&step.disk_bytes) / 1024));
    row("disk a message, bytes", &|step| thousands(most(&step.disk_bytes) as f64 / step.messages.max(1) as f64));
    row("memory of a server under load, MiB", &|step| mib(most(&step.loaded_kib)));
    row("memory of a server idle after its start, MiB", &|step| mib(most(&step.idle_kib)));
    row("one killed: start until it serves, s", &|step| figure(step.serves_s));
    row("all killed: start until a message is accepted, s", &|step| figure(step.accepted_s));
    row("messages missed by the server that rejoins", &|step| thousands(step.missed as f64));
    row("its start until it is in sync, s", &|step| figure(step.rejoined.in_sync_s));
    row("writers meanwhile, p99 ms", &|step| figure(step.rejoined.during.p99_ms));
    row("emptied server: start until it is in sync, s", &|step| figure(step.refilled.in_sync_s));
    row("writers meanwhile, p99 ms", &|step| figure(step.refilled.during.p99_ms));
    table
}
