//! `disturb`: what everybody else feels while somebody misbehaves.
//!
//! Pairs talk at a modest fixed rate, as in `deliver`, first alone and then beside one disturbance after the other, each of them over
//! when the next begins. The servers' limits are what they are for anybody, but for that of registrations. On one machine whoever
//! disturbs takes processor time, too: so there is a row for a program that does nothing but that, and one for
//! readers that are sent the same as slow ones but read it. What a disturbance does beyond them is the servers' fault.

mod noise;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use self::noise::Noise;
use super::deliver;
use crate::{
    bounds::{rate, seconds, some_seconds},
    cluster::Target,
    exactly_once::Verdict,
    latency::Summary,
    report::{LATENCY_HEADS, Report, latency_cells, usage_json},
    table::{Table, figure, ratio, thousands},
};

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Pairs that talk undisturbed by their own doing
    #[arg(long, default_value_t = 4, value_name = "N")]
    pairs: usize,
    /// Their messages a second in all, on a fixed schedule
    #[arg(long, default_value_t = 50.0, value_name = "R", value_parser = rate)]
    rate: f64,
    /// Only these disturbances [default: all]
    #[arg(long, value_delimiter = ',', value_name = "KINDS")]
    only: Vec<Kind>,
    /// Connections that are silent, or half open
    #[arg(long, default_value_t = 900, value_name = "N")]
    connections: usize,
    /// Connections that read slowly (not at all)
    #[arg(long, default_value_t = 30, value_name = "N")]
    readers: usize,
    /// Who floods: with log-ins, or with messages
    #[arg(long, default_value_t = 16, value_name = "N")]
    flooders: usize,
    /// Seconds measured, of each disturbance
    #[arg(long, default_value_t = 10.0, value_parser = some_seconds)]
    seconds: f64,
    /// Seconds before, not measured
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    warm_up: f64,
}

/// A disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// One processor is busy with something else
    Busy,
    /// Connections that are sent 320 KiB a second each, and read it: what the slow ones are compared with
    Readers,
    /// The same, but they read nothing
    SlowReaders,
    /// Connections that say nothing
    Silent,
    /// Connections that begin something and never finish, some closed at their end
    HalfOpen,
    /// Log-ins with wrong passwords, one after the other
    LogIns,
    /// As many messages as are taken
    Messages,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Busy => "a busy processor",
            Self::Readers => "readers of much",
            Self::SlowReaders => "slow readers of much",
            Self::Silent => "silent connections",
            Self::HalfOpen => "half-open connections",
            Self::LogIns => "a flood of log-ins",
            Self::Messages => "a flood of messages",
        }
    }
}

/// What others felt.
struct Felt {
    name: &'static str,
    latency: Summary,
    verdict: Verdict,
    server_seconds: f64,
    /// What the disturbance came to.
    note: String,
    json: Value,
}

/// Runs the plan against a cluster.
///
/// # Errors
/// When a server is lost or refuses a message of those who do nothing wrong.
pub async fn run(target: &Target, plan: &Plan) -> anyhow::Result<Report> {
    ensure!(plan.pairs > 0 && plan.flooders > 0 && plan.readers > 0, "there is nobody: --pairs, --flooders, --readers");
    let chosen = |kind: &Kind| plan.only.is_empty() || plan.only.contains(kind);
    let kinds: Vec<Kind> = Kind::value_variants().iter().copied().filter(chosen).collect();
    let mut rows = vec![felt(target, plan, None).await?];
    for kind in kinds {
        rows.push(felt(target, plan, Some(kind)).await?);
    }
    rows.push(Felt { name: "alone again", ..felt(target, plan, None).await? });
    let alone = rows[0].latency.p99_ms;
    let heads = ["beside", "received"].into_iter().chain(LATENCY_HEADS).chain(["p99 to alone", "server CPU s", ""]);
    let mut table = Table::with_heads(heads.map(str::to_owned).collect());
    for row in &rows {
        let cells = [row.name.to_owned(), thousands(row.latency.count as f64)].into_iter();
        let last = [ratio(row.latency.p99_ms, alone), figure(row.server_seconds), row.note.clone()];
        table.row(cells.chain(latency_cells(&row.latency)).chain(last));
    }
    let verdict = rows.iter().fold(Verdict::default(), |all, row| all.and(row.verdict));
    let text = format!(
        "disturb: {} pairs, {} messages/s due in all, {} s each\n\n{}\n\n{} received in all: {} twice, {} out of order, {} missing",
        plan.pairs,
        plan.rate,
        plan.seconds,
        table.render(),
        thousands(verdict.received as f64),
        verdict.duplicates,
        verdict.disorder,
        verdict.missing,
    );
    let json = json!({
        "scenario": "disturb",
        "pairs": plan.pairs,
        "rate": plan.rate,
        "seconds": plan.seconds,
        "rows": rows.iter().map(|row| row.json.clone()).collect::<Vec<_>>(),
        "violations": verdict.violations(),
    });
    Ok(Report { text, json })
}

/// Measures the pairs beside one disturbance.
async fn felt(target: &Target, plan: &Plan, kind: Option<Kind>) -> anyhow::Result<Felt> {
    let talk = deliver::Plan {
        pairs: Some(plan.pairs),
        rate: plan.rate,
        max: false,
        in_flight: 1,
        bytes: 200,
        seconds: plan.seconds,
        warm_up: plan.warm_up,
    };
    let addresses = target.addresses();
    let pairs = deliver::prepare(&addresses, plan.pairs).await?;
    let processes = target.processes().await?;
    let noise = match kind {
        Some(kind) => Some(Noise::start(kind, plan, &addresses).await?),
        None => None,
    };
    let outcome = deliver::measure_ends(pairs, &processes, &talk).await;
    let note = noise.map_or_else(String::new, Noise::stop);
    let outcome = outcome?;
    let name = kind.map_or("nobody: alone", Kind::name);
    let json = json!({
        "beside": name,
        "latency": outcome.latency,
        "exactly_once": outcome.verdict,
        "usage": usage_json(&outcome.usage, outcome.messages),
        "note": note,
    });
    let server_seconds = outcome.usage.seconds.iter().sum();
    Ok(Felt { name, latency: outcome.latency, verdict: outcome.verdict, server_seconds, note, json })
}
