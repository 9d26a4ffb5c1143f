//! `history`: reading the newest messages of random conversations, and what is unread.
//!
//! Conversations between accounts are filled with messages first (`grow` measures the same beside millions of them).

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use threefold_proto::chat;
use tokio::time::sleep_until;

use super::fill::Crowd;
use crate::{
    accounting::Usage,
    bounds::some_seconds,
    cluster::Target,
    device::{Account, to},
    grpc::Connection,
    latency::{Latencies, Summary, Window},
    report::{Report, latency_table, usage_json, usage_table},
    table::thousands,
};

/// Messages and conversations of one page.
const NEWEST: u32 = 50;

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Conversations to choose from
    #[arg(long, default_value_t = 1000, value_name = "C")]
    pub conversations: usize,
    /// Messages written to them before
    #[arg(long, default_value_t = 100_000, value_name = "M")]
    pub messages: u64,
    /// Readers that ask one question after another, spread over the servers
    #[arg(long, default_value_t = 1)]
    pub readers: usize,
    /// Seconds of each kind of question
    #[arg(long, default_value_t = 5.0, value_parser = some_seconds)]
    pub seconds: f64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The newest 50 messages of a random conversation.
    pub newest: Summary,
    /// A random account's conversations with unread messages, at most 50.
    pub unread: Summary,
    /// What both together cost.
    pub usage: Usage,
}

/// Runs the plan against a cluster.
///
/// # Errors
/// When a server is lost or refuses.
pub async fn run(target: &Target, plan: &Plan) -> anyhow::Result<Report> {
    let mut crowd = Crowd::new(&target.addresses(), plan.conversations).await?;
    crowd.fill(&target.addresses(), plan.messages).await?;
    let outcome = measure(target, &crowd, plan.readers, Duration::from_secs_f64(plan.seconds)).await?;
    let questions = outcome.newest.count + outcome.unread.count;
    let text = format!(
        "history: {} readers, {} messages in {} conversations of {} accounts\n\n{}\n\n{}",
        plan.readers,
        thousands(plan.messages as f64),
        thousands(crowd.conversations() as f64),
        crowd.accounts().len(),
        table(&outcome),
        usage_table(&outcome.usage, questions).render().replace("message", "question")
    );
    let mut figures = figures(&outcome);
    figures["scenario"] = json!("history");
    figures["messages"] = json!(plan.messages);
    figures["conversations"] = json!(crowd.conversations());
    figures["readers"] = json!(plan.readers);
    figures["usage"] = usage_json(&outcome.usage, questions);
    Ok(Report { text, json: figures })
}

/// Asks both kinds of questions for so long each.
///
/// # Errors
/// When a server is lost or refuses.
pub async fn measure(target: &Target, crowd: &Crowd, readers: usize, each: Duration) -> anyhow::Result<Outcome> {
    if readers == 0 {
        bail!("--readers must be at least 1");
    }
    let connections = target.connect(readers).await?;
    let processes = target.processes().await?;
    let before = processes.read()?;
    let newest = ask(&connections, crowd, readers, each, Question::Newest).await?;
    let unread = ask(&connections, crowd, readers, each, Question::Unread).await?;
    Ok(Outcome { newest, unread, usage: processes.since(&before)? })
}

#[derive(Clone, Copy)]
enum Question {
    Newest,
    Unread,
}

async fn ask(
    connections: &[Connection],
    crowd: &Crowd,
    readers: usize,
    each: Duration,
    question: Question,
) -> anyhow::Result<Summary> {
    let (window, latencies) = (Window::after(Duration::from_millis(200), each), Latencies::new()?);
    let reading = (0..readers).map(|n| {
        let (connection, latencies) = (&connections[n % connections.len()], latencies.clone());
        async move {
            while Instant::now() < window.until {
                let (account, other) = crowd.random_pair();
                let began = Instant::now();
                match question {
                    Question::Newest => newest(connection, account, &other.name).await?,
                    Question::Unread => unread(connection, account).await?,
                }
                if window.holds(began) {
                    latencies.record(began.elapsed());
                }
            }
            anyhow::Ok(())
        }
    });
    futures::future::try_join_all(reading).await?;
    sleep_until(window.until.into()).await;
    Ok(latencies.summary())
}

async fn newest(connection: &Connection, account: &Account, other: &str) -> anyhow::Result<()> {
    let question = chat::HistoryRequest { r#in: Some(to(other)), limit: NEWEST, ..chat::HistoryRequest::default() };
    account.call::<_, chat::HistoryReply>(connection, "History", &question).await.map(drop)
}

async fn unread(connection: &Connection, account: &Account) -> anyhow::Result<()> {
    let question = chat::ListConversationsRequest { unread_only: true, limit: NEWEST, after: 0, position: 0 };
    account.call::<_, chat::ListConversationsReply>(connection, "ListConversations", &question).await.map(drop)
}

/// The two summaries for people.
pub fn table(outcome: &Outcome) -> String {
    latency_table(&[("newest 50 of a conversation", outcome.newest), ("unread conversations", outcome.unread)]).render()
}

/// The two summaries for programs.
pub fn figures(outcome: &Outcome) -> Value {
    json!({"newest_50": outcome.newest, "unread": outcome.unread})
}
