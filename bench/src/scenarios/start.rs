//! `start`: from starting the processes of an empty cluster to its first accepted write.
//!
//! In an empty cluster there is no account, so the first write is a registration, and its time includes a password hash. The
//! first message follows, to tell the two apart. Directories and certificates are made before.

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use serde_json::json;
use threefold_proto::chat;
use tokio::time::{sleep, timeout};

use crate::{
    cluster::{Own, PATIENCE, Place, wait_until_serving},
    device::{Account, numbered, to},
    grpc::Connection,
    latency::median,
    report::Report,
    table::{Table, figure},
};

/// Between two tries: short against what is measured.
const AGAIN: Duration = Duration::from_millis(2);
/// One try at one server.
const TRY: Duration = Duration::from_secs(2);

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Clusters started, one after another
    #[arg(long, default_value_t = 5)]
    pub repetitions: usize,
}

/// What came of it, in seconds, start by start.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Until a server answered and knew a leader.
    pub served: Vec<f64>,
    /// Until the registration was accepted.
    pub registered: Vec<f64>,
    /// Until a message was.
    pub accepted: Vec<f64>,
    /// Until all three servers were up and in sync.
    pub whole: Vec<f64>,
}

/// Runs the plan.
///
/// # Errors
/// When a cluster does not come up.
pub async fn run(place: &Place, plan: &Plan) -> anyhow::Result<Report> {
    let outcome = measure(place, plan).await?;
    let rows = [
        ("a server serves (answers, and knows a leader)", &outcome.served),
        ("the first registration is accepted", &outcome.registered),
        ("the first message is accepted", &outcome.accepted),
        ("all three are in sync", &outcome.whole),
    ];
    let mut table = Table::new(["until", "median s", "min s", "max s"]);
    for (name, seconds) in rows {
        let least = seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = seconds.iter().copied().fold(0.0, f64::max);
        table.row([name.to_owned(), figure(median(seconds).unwrap_or(0.0)), figure(least), figure(most)]);
    }
    let text = format!("start: an empty cluster of three, {} times\n\n{}", plan.repetitions, table.render());
    let json = json!({
        "scenario": "start",
        "serves_s": outcome.served,
        "registered_s": outcome.registered,
        "accepted_s": outcome.accepted,
        "whole_s": outcome.whole,
    });
    Ok(Report { text, json })
}

/// Starts clusters and gives the times.
///
/// # Errors
/// When a cluster does not come up.
pub async fn measure(place: &Place, plan: &Plan) -> anyhow::Result<Outcome> {
    if plan.repetitions == 0 {
        bail!("--repetitions must be at least 1");
    }
    let mut outcome = Outcome::default();
    for _ in 0..plan.repetitions {
        let mut own = Own::prepare(place).await?;
        let addresses = own.addresses();
        let began = Instant::now();
        own.launch_all()?;
        until_any_serves(&addresses).await?;
        outcome.served.push(began.elapsed().as_secs_f64());
        let account = until(&addresses, async |connection| Account::register(&connection).await).await?;
        outcome.registered.push(began.elapsed().as_secs_f64());
        first_message(&addresses, &account).await?;
        outcome.accepted.push(began.elapsed().as_secs_f64());
        own.wait_until_whole().await?;
        outcome.whole.push(began.elapsed().as_secs_f64());
        own.end().await?;
    }
    Ok(outcome)
}

async fn until_any_serves(addresses: &[String]) -> anyhow::Result<()> {
    let waiting = addresses.iter().map(|address| Box::pin(wait_until_serving(address)));
    futures::future::select_ok(waiting).await.map(drop)
}

/// Sends one message until a server accepts it: the same one, with the same request id, at each server in turn.
///
/// # Errors
/// When none does in two minutes.
pub async fn first_message(addresses: &[String], account: &Account) -> anyhow::Result<()> {
    until(addresses, async |connection| {
        // A fresh instance for each use: a request id of an account that has written before is not known here.
        let request = chat::SendMessageRequest {
            request: Some(chat::RequestId { instance: account.open_instance(&connection).await?, number: 1 }),
            send: Some(chat::SendMessage {
                to: Some(to(&account.name)),
                body: numbered(1, 200),
                ..chat::SendMessage::default()
            }),
        };
        account.call::<_, chat::SendMessageReply>(&connection, "SendMessage", &request).await
    })
    .await
    .map(drop)
}

/// Tries something at each server in turn until it succeeds.
///
/// # Errors
/// When it does not in two minutes: the last reason.
async fn until<T>(
    addresses: &[String],
    mut attempt: impl AsyncFnMut(Connection) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let give_up = Instant::now() + PATIENCE;
    let mut why = None;
    for address in addresses.iter().cycle() {
        let trying = async { attempt(Connection::open(address).await?).await };
        match timeout(TRY, trying).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => why = Some(error),
            Err(_) => {}
        }
        if Instant::now() > give_up {
            break;
        }
        sleep(AGAIN).await;
    }
    Err(why.unwrap_or_else(|| anyhow::anyhow!("no server answers")))
}
