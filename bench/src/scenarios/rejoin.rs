//! `rejoin`: a server is killed, misses messages (or loses its whole disk), and is started again.
//!
//! Measured: how long until it is in sync again, and what the writers at the other servers feel meanwhile.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{fill::Crowd, talk::Talkers};
use crate::{
    cluster::{Target, leader_place, wait_until_serving},
    exactly_once::Verdict,
    latency::Summary,
    report::{Report, latency_table},
    table::{figure, thousands},
};

/// Pairs that talk meanwhile, and their messages a second in all.
const TALK: (usize, f64) = (4, 100.0);
/// How long they talk before the server is started.
const BEFORE: Duration = Duration::from_secs(3);

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Messages written while the server is away
    #[arg(long, default_value_t = 100_000, value_name = "K")]
    pub messages: u64,
    /// Messages written before
    #[arg(long, default_value_t = 10_000, value_name = "M")]
    pub before: u64,
    /// Conversations that they belong to
    #[arg(long, default_value_t = 1000, value_name = "C")]
    pub conversations: usize,
    /// Remove the server's data before it is started again
    #[arg(long)]
    pub emptied: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Seconds from its start until it serves.
    pub serves_s: f64,
    /// Seconds from its start until it is in sync.
    pub in_sync_s: f64,
    /// From send to acknowledgement at the other servers, before its start.
    pub before: Summary,
    /// The same from its start until it is in sync.
    pub during: Summary,
    /// Whether every message arrived once and in order.
    pub verdict: Verdict,
}

/// Runs the plan against a cluster of the bench's own.
///
/// # Errors
/// When a server is lost that should not be, or does not come back.
pub async fn run(target: &mut Target, plan: &Plan) -> anyhow::Result<Report> {
    let mut crowd = Crowd::new(&target.addresses(), plan.conversations).await?;
    crowd.fill(&target.addresses(), plan.before).await?;
    let outcome = measure(target, &mut crowd, plan.messages, plan.emptied).await?;
    let what = if plan.emptied { "lost its disk" } else { "was killed" };
    let verdict = outcome.verdict;
    let text = format!(
        "rejoin: a follower {what}, {} messages were written before and {} meanwhile\n\n\
         {} s from its start until it serves (answers, and knows a leader), {} s until it is in sync\n\n{}\n\n\
         {} of these messages received: {} twice, {} out of order, {} missing",
        thousands(plan.before as f64),
        thousands(plan.messages as f64),
        figure(outcome.serves_s),
        figure(outcome.in_sync_s),
        latency_table(&[
            ("acknowledged, before its start", outcome.before),
            ("acknowledged, while it catches up", outcome.during)
        ])
        .render(),
        verdict.received,
        verdict.duplicates,
        verdict.disorder,
        verdict.missing,
    );
    let mut json = figures(&outcome);
    json["scenario"] = json!("rejoin");
    json["messages"] = json!(plan.messages);
    json["emptied"] = json!(plan.emptied);
    Ok(Report { text, json })
}

/// The figures for programs.
pub fn figures(outcome: &Outcome) -> Value {
    json!({
        "serves_s": outcome.serves_s,
        "in_sync_s": outcome.in_sync_s,
        "acknowledged_before": outcome.before,
        "acknowledged_during": outcome.during,
        "exactly_once": outcome.verdict,
    })
}

/// Kills a follower, writes, starts it again and waits until it is in sync.
///
/// # Errors
/// When a server is lost that should not be, or does not come back.
pub async fn measure(target: &mut Target, crowd: &mut Crowd, messages: u64, emptied: bool) -> anyhow::Result<Outcome> {
    let own = target.own()?;
    let mut others = own.addresses();
    let victim = (leader_place(&others).await? + 1) % others.len();
    let address = others.remove(victim);
    own.kill(victim).await?;
    crowd.fill(&others, messages).await?;
    if emptied {
        own.empty(victim)?;
    }
    let talkers = Talkers::start(&others, TALK.0, TALK.1).await?;
    let talk = Instant::now();
    sleep(BEFORE).await;
    let began = Instant::now();
    own.launch(victim)?;
    wait_until_serving(&address).await?;
    let serves_s = began.elapsed().as_secs_f64();
    own.wait_until_whole().await?;
    let whole = Instant::now();
    let said = talkers.stop().await?;
    Ok(Outcome {
        serves_s,
        in_sync_s: whole.duration_since(began).as_secs_f64(),
        before: said.acknowledgements(talk, began)?,
        during: said.acknowledgements(began, whole)?,
        verdict: said.verdict,
    })
}
