//! `failover`: how long writes stand still when the leader is killed with SIGKILL, again and again.
//!
//! One person is connected to the leader and writes numbered messages. Each try has a deadline; then the same message, with the
//! same request id, goes to the next server. At the end the conversation is read back: every acknowledged number must be there
//! once.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;
use threefold_proto::chat;
use tokio::{
    process::Command,
    time::{sleep, timeout},
};

use crate::{
    cluster::{Target, leader_place, wait_until_whole},
    device::{Account, number_of, numbered, to},
    exactly_once::{Checker, Verdict},
    grpc::Connection,
    latency::{median, quantile},
    report::Report,
    table::{Table, figure},
};

/// Between two messages.
const EVERY: Duration = Duration::from_millis(2);
/// One try at one server.
const TRY: Duration = Duration::from_millis(200);
/// Between two tries at different servers, so that a cluster without a leader is not also flooded.
const PAUSE: Duration = Duration::from_millis(2);
/// Messages acknowledged before each kill, and after it.
const QUIET: usize = 100;
/// A message that is not acknowledged by then never will be.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Messages of one page of history: as many as the servers give.
const PAGE: u32 = 200;
/// Bytes of a message.
const BYTES: usize = 200;

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Kills of the leader. With --servers, start them with `threefold up --restart`
    #[arg(long, default_value_t = 20)]
    pub kills: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The longest time without an acknowledgement around each kill, in milliseconds.
    pub gaps_ms: Vec<f64>,
    /// What was read back.
    pub verdict: Verdict,
}

/// Runs the plan against a cluster.
///
/// # Errors
/// When the cluster does not recover. Lost and doubled messages are a result, not an error.
pub async fn run(target: &mut Target, plan: &Plan) -> anyhow::Result<Report> {
    let Outcome { gaps_ms, verdict } = measure(target, plan).await?;
    let at = |part: f64| quantile(&gaps_ms, part).unwrap_or(0.0);
    let middle = median(&gaps_ms).unwrap_or(0.0);
    let mut table = Table::new(["", "kills", "median ms", "p99 ms", "max ms"]);
    table.row(["longest gap".to_owned(), gaps_ms.len().to_string(), figure(middle), figure(at(0.99)), figure(at(1.0))]);
    let text = format!(
        "failover: the leader killed {} times\n\n{}\n\n{} messages read back: {} twice, {} out of order, {} missing",
        plan.kills,
        table.render(),
        verdict.received,
        verdict.duplicates,
        verdict.disorder,
        verdict.missing,
    );
    let json = json!({
        "scenario": "failover",
        "kills": plan.kills,
        "gaps_ms": gaps_ms,
        "gap_median_ms": middle,
        "gap_p99_ms": at(0.99),
        "gap_max_ms": at(1.0),
        "exactly_once": verdict,
        "violations": verdict.violations(),
    });
    Ok(Report { text, json })
}

/// Kills the leader so many times, and reads everything back.
///
/// # Errors
/// When the cluster does not recover.
pub async fn measure(target: &mut Target, plan: &Plan) -> anyhow::Result<Outcome> {
    let servers = target.addresses();
    let mut person = Person::new(&servers).await?;
    let mut gaps_ms = Vec::new();
    for kill in 1..=plan.kills {
        let leader = leader_place(&servers).await?;
        person.home(leader);
        for _ in 0..QUIET {
            person.send().await?;
            sleep(EVERY).await;
        }
        let mut last = Instant::now();
        kill_server(target, leader).await?;
        let mut longest = Duration::ZERO;
        for _ in 0..QUIET {
            person.send().await?;
            longest = longest.max(last.elapsed());
            last = Instant::now();
            sleep(EVERY).await;
        }
        gaps_ms.push(longest.as_secs_f64() * 1000.0);
        eprintln!("kill {kill} of {}: {:.1} ms without an acknowledgement", plan.kills, longest.as_secs_f64() * 1000.0);
        if let Target::Own(own) = target {
            own.kill(leader).await?;
            own.launch(leader)?;
        }
    }
    wait_until_whole(&servers).await?;
    let verdict = person.read_back().await?;
    Ok(Outcome { gaps_ms, verdict })
}

/// Kills a server of the bench's own, or the process that a running cluster's status names.
async fn kill_server(target: &mut Target, place: usize) -> anyhow::Result<()> {
    if let Target::Own(own) = target {
        return own.strike(place);
    }
    let address = &target.addresses()[place];
    let status = wait_until_whole(&target.addresses()).await?;
    let server = status.servers.iter().find(|server| server.client_address == *address);
    let pid = server.with_context(|| format!("{address} is no server's address"))?.pid;
    let mut kill = Command::new("kill");
    let status = kill.args(["-9", &pid.to_string()]).stderr(Stdio::inherit()).status().await?;
    if status.success() { Ok(()) } else { bail!("cannot kill process {pid}") }
}

/// Somebody who writes to herself, wherever it goes through.
struct Person {
    servers: Vec<String>,
    at: usize,
    connection: Option<Connection>,
    account: Account,
    number: u64,
}

impl Person {
    async fn new(servers: &[String]) -> anyhow::Result<Self> {
        let connection = Connection::open(servers.first().context("no servers")?).await?;
        let account = Account::register(&connection).await?;
        Ok(Self { servers: servers.to_vec(), at: 0, connection: None, account, number: 0 })
    }

    fn home(&mut self, place: usize) {
        self.at = place;
        self.connection = None;
    }

    /// Sends the next message until a server acknowledges it.
    async fn send(&mut self) -> anyhow::Result<()> {
        self.number += 1;
        let request = chat::SendMessageRequest {
            request: Some(chat::RequestId { instance: self.account.instance, number: self.number }),
            send: Some(chat::SendMessage {
                to: Some(to(&self.account.name)),
                body: numbered(self.number, BYTES),
                ..chat::SendMessage::default()
            }),
        };
        let give_up = Instant::now() + GIVE_UP;
        while Instant::now() < give_up {
            if matches!(timeout(TRY, self.attempt(&request)).await, Ok(Ok(()))) {
                return Ok(());
            }
            self.home((self.at + 1) % self.servers.len());
            sleep(PAUSE).await;
        }
        bail!("message {} was not acknowledged within {GIVE_UP:?}", self.number)
    }

    async fn attempt(&mut self, request: &chat::SendMessageRequest) -> anyhow::Result<()> {
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => self.connection.insert(Connection::open(&self.servers[self.at]).await?).clone(),
        };
        self.account.call::<_, chat::SendMessageReply>(&connection, "SendMessage", request).await.map(drop)
    }

    /// Reads the whole conversation, from the beginning.
    async fn read_back(&self) -> anyhow::Result<Verdict> {
        let connection = Connection::open(&self.servers[self.at]).await?;
        let (mut checker, mut after) = (Checker::default(), 0);
        loop {
            let question = chat::HistoryRequest {
                r#in: Some(to(&self.account.name)),
                limit: PAGE,
                from: Some(chat::history_request::From::After(after)),
                consistent: true,
                ..chat::HistoryRequest::default()
            };
            let page: chat::HistoryReply = self.account.call(&connection, "History", &question).await?;
            for message in &page.messages {
                checker.arrived(number_of(&message.body).context("a message that nobody sent")?);
                after = message.id;
            }
            if !page.more {
                return Ok(checker.verdict(self.number));
            }
        }
    }
}
