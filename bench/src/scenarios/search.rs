//! `search`: messages found by their words, with and without a write load beside it, and what the index costs.
//!
//! The texts are made of 20,000 words, of which the n-th is n times as rare as the first, as in any language. Searched
//! are all conversations of a random account. What indexing costs is measured at one server of the bench's own cluster,
//! which makes its index anew: its processor time, less that of a start with its index there.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use rand::Rng as _;
use serde_json::{Value, json};
use threefold_proto::chat;
use tokio::time::{sleep, sleep_until};

use super::{fill::Crowd, history, talk::Talkers};
use crate::{
    accounting::Processes,
    bounds::{rate, some_seconds},
    cluster::{Target, status, status_of, wait_until_serving},
    device::Account,
    grpc::Connection,
    latency::{Latencies, Summary, Window},
    report::{Report, latency_table},
    table::{mib, thousands},
};

/// Different words.
const WORDS: u32 = 20_000;
/// Bytes of a message, about.
const BYTES: usize = 200;
/// Messages of a page.
const PAGE: u32 = 50;
/// The most that an index may be behind when it is measured: what was written last waits for a commit.
const PATIENCE: Duration = Duration::from_secs(1800);
/// A server that has started does other things for so long.
const SETTLING: Duration = Duration::from_secs(8);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The server that makes its index anew.
const PLACE: usize = 2;

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Conversations to choose from
    #[arg(long, default_value_t = 20_000, value_name = "C")]
    pub conversations: usize,
    /// Messages written to them before
    #[arg(long, default_value_t = 1_000_000, value_name = "M")]
    pub messages: u64,
    /// Readers that ask one question after another, spread over the servers
    #[arg(long, default_value_t = 1)]
    pub readers: usize,
    /// Seconds of each kind of question
    #[arg(long, default_value_t = 10.0, value_parser = some_seconds)]
    pub seconds: f64,
    /// Messages a second of the write load
    #[arg(long, default_value_t = 1000.0, value_parser = rate)]
    pub rate: f64,
    /// Pairs of people who write them
    #[arg(long, default_value_t = 50)]
    pub pairs: usize,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
enum Question {
    /// One of the ten most frequent words.
    Common,
    /// A word that is in a few messages of all.
    Rare,
    /// Two words.
    Two,
    /// The beginning of words.
    Prefix,
}

const QUESTIONS: [(&str, Question); 4] = [
    ("search: a common word", Question::Common),
    ("search: a rare word", Question::Rare),
    ("search: two words", Question::Two),
    ("search: the beginning of words", Question::Prefix),
];

/// All questions of one phase, and beside them the newest 50 of a conversation.
type Phase = Vec<(&'static str, Summary)>;

/// What the index costs.
struct Index {
    /// Bytes on disk of one server.
    bytes: u64,
    /// Seconds to make it anew, with nothing else to do.
    rebuilt_s: f64,
    /// Seconds of processor time of that, a start taken off.
    processor_s: f64,
}

/// Runs the plan against a cluster.
///
/// # Errors
/// When a server is lost or refuses, or the index never comes up.
pub async fn run(target: &mut Target, plan: &Plan) -> anyhow::Result<Report> {
    if plan.readers == 0 {
        bail!("--readers must be at least 1");
    }
    let addresses = target.addresses();
    let mut crowd = Crowd::new(&addresses, plan.conversations).await?;
    let filled_s = crowd.fill_with(&addresses, plan.messages, |_| text()).await?;
    let behind_s = wait_until_indexed(&addresses).await?;
    let quiet = phase(target, &crowd, plan).await?;
    let talkers = Talkers::start(&addresses, plan.pairs, plan.rate).await?;
    let (from, loaded) = (Instant::now(), phase(target, &crowd, plan).await?);
    let until = Instant::now();
    let said = talkers.stop().await?;
    let acknowledged = said.acknowledgements(from, until)?;
    let index = match target {
        Target::Own(_) => Some(measure_index(target).await?),
        Target::Running(_) => None,
    };
    let per_message = |value: f64| value / plan.messages.max(1) as f64;
    let mut text = format!(
        "search: {} readers, {} messages in {} conversations of {} accounts, filled in {filled_s:.0} s; \
         the index was complete {behind_s:.1} s later\n\nnobody writes\n{}\n\n{} messages a second are written\n{}",
        plan.readers,
        thousands(crowd.written() as f64),
        thousands(crowd.conversations() as f64),
        crowd.accounts().len(),
        latency_table(&quiet).render(),
        thousands(plan.rate),
        latency_table(&[loaded.as_slice(), &[("acknowledgement of a message", acknowledged)]].concat()).render(),
    );
    if let Some(index) = &index {
        text.push_str(&format!(
            "\n\nindex: {} MiB a server, {:.0} bytes a message; made anew in {:.1} s, {:.1} us of processor time a message",
            mib(index.bytes / 1024),
            per_message(index.bytes as f64),
            index.rebuilt_s,
            per_message(index.processor_s * 1e6),
        ));
    }
    let json = json!({
        "scenario": "search",
        "messages": plan.messages,
        "conversations": crowd.conversations(),
        "readers": plan.readers,
        "rate": plan.rate,
        "filled_s": filled_s,
        "indexed_after_s": behind_s,
        "quiet": figures(&quiet),
        "loaded": figures(&loaded),
        "acknowledged": acknowledged,
        "index": index.map(|index| json!({
            "bytes": index.bytes,
            "rebuilt_s": index.rebuilt_s,
            "cpu_us_per_message": per_message(index.processor_s * 1e6),
        })),
    });
    Ok(Report { text, json })
}

fn figures(phase: &Phase) -> Value {
    phase.iter().map(|(name, summary)| ((*name).to_owned(), json!(summary))).collect()
}

/// Asks every kind of question for so long each, then for newest pages.
async fn phase(target: &Target, crowd: &Crowd, plan: &Plan) -> anyhow::Result<Phase> {
    let connections = target.connect(plan.readers).await?;
    let each = Duration::from_secs_f64(plan.seconds);
    let mut summaries = Phase::new();
    for (name, question) in QUESTIONS {
        summaries.push((name, ask(&connections, crowd, plan.readers, each, question).await?));
    }
    let history = history::measure(target, crowd, plan.readers, each).await?;
    summaries.push(("newest 50 of a conversation", history.newest));
    Ok(summaries)
}

async fn ask(
    connections: &[Connection],
    crowd: &Crowd,
    readers: usize,
    each: Duration,
    question: Question,
) -> anyhow::Result<Summary> {
    let (window, latencies) = (Window::after(Duration::from_millis(500), each), Latencies::new()?);
    let reading = (0..readers).map(|n| {
        let (connection, latencies) = (&connections[n % connections.len()], latencies.clone());
        async move {
            while Instant::now() < window.until {
                let (account, _) = crowd.random_pair();
                let began = Instant::now();
                search(connection, account, question.words()).await?;
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

async fn search(connection: &Connection, account: &Account, query: String) -> anyhow::Result<()> {
    let question = chat::SearchMessagesRequest { query, limit: PAGE, ..Default::default() };
    account.call::<_, chat::SearchMessagesReply>(connection, "SearchMessages", &question).await.map(drop)
}

impl Question {
    fn words(self) -> String {
        let mut random = rand::rng();
        let mut one_of = |ranks: std::ops::Range<u32>| word(random.random_range(ranks));
        match self {
            Self::Common => one_of(1..11),
            Self::Rare => one_of(WORDS / 4..WORDS),
            Self::Two => format!("{} {}", one_of(1..100), one_of(1..1000)),
            Self::Prefix => format!("{}*", one_of(1..WORDS).get(..3).unwrap_or("ba")),
        }
    }
}

/// Words of a message: one drawn by lot is the n-th most frequent with a chance of 1 to n.
fn text() -> String {
    let mut random = rand::rng();
    let mut text = String::with_capacity(BYTES + 16);
    while text.len() < BYTES {
        let rank = f64::from(WORDS).powf(random.random::<f64>());
        text.push_str(&word(rank as u32));
        text.push(' ');
    }
    text
}

/// The word of that rank: syllables, as many as are needed to tell it from the others.
fn word(rank: u32) -> String {
    const CONSONANTS: &[u8] = b"bdfgklmnprstvz";
    const VOWELS: &[u8] = b"aeiou";
    let syllables = (CONSONANTS.len() * VOWELS.len()) as u32;
    let (mut left, mut word) = (rank + syllables, String::new());
    while left > 0 {
        let syllable = (left % syllables) as usize;
        word.push(char::from(CONSONANTS[syllable / VOWELS.len()]));
        word.push(char::from(VOWELS[syllable % VOWELS.len()]));
        left /= syllables;
    }
    word
}

/// Waits until every server's index holds what was written when this began; gives the seconds.
async fn wait_until_indexed(addresses: &[String]) -> anyhow::Result<f64> {
    let began = Instant::now();
    let servers = status(addresses).await?.servers;
    let written = servers.iter().map(|server| server.committed_index).max().unwrap_or(0);
    while began.elapsed() < PATIENCE {
        let servers = status(addresses).await?.servers;
        if servers.iter().all(|server| server.search_index >= written) {
            return Ok(began.elapsed().as_secs_f64());
        }
        sleep(LOOK_EVERY).await;
    }
    bail!("the search index is not complete after {PATIENCE:?}")
}

/// What the index of one server costs: it is started with it, and without.
async fn measure_index(target: &mut Target) -> anyhow::Result<Index> {
    let own = target.own()?;
    let bytes = own.search_bytes(PLACE)?;
    own.stop(PLACE).await?;
    let (_, with) = start(target).await?;
    let own = target.own()?;
    own.stop(PLACE).await?;
    own.remove_search_index(PLACE)?;
    let (rebuilt_s, without) = start(target).await?;
    Ok(Index { bytes, rebuilt_s, processor_s: without - with })
}

/// Starts the server: seconds until its index is complete, and processor time until it has settled.
async fn start(target: &mut Target) -> anyhow::Result<(f64, f64)> {
    let own = target.own()?;
    let address = own.addresses().get(PLACE).cloned().context("there is no such server")?;
    let began = Instant::now();
    own.launch(PLACE)?;
    wait_until_serving(&address).await?;
    let indexed_s = loop {
        if began.elapsed() > PATIENCE {
            bail!("the search index is not complete after {PATIENCE:?}");
        }
        let status = status_of(&address).await?;
        let newest = status.servers.iter().map(|server| server.applied_index).max().unwrap_or(0);
        let own = status.servers.iter().find(|server| server.client_address == address);
        if own.is_some_and(|own| own.search_index >= newest) {
            break began.elapsed().as_secs_f64();
        }
        sleep(LOOK_EVERY).await;
    };
    target.own()?.wait_until_whole().await?;
    sleep(SETTLING).await;
    let status = status_of(&address).await?;
    let own = status.servers.into_iter().find(|server| server.client_address == address);
    let own = own.context("the server does not know itself")?;
    let usage = Processes::new(vec![(own.name, own.pid)]);
    Ok((indexed_s, usage.read()?.total_seconds()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_differ_and_texts_have_their_length() {
        let words: BTreeSet<String> = (0..WORDS).map(word).collect();
        assert_eq!(words.len(), WORDS as usize);
        assert!(words.iter().all(|word| word.len() >= 4));
        let text = text();
        assert!((BYTES..BYTES + 16).contains(&text.len()), "{text}");
    }
}
