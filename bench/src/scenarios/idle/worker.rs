//! One process that holds connections. It is told what to do on standard input, a JSON object a line, and answers each line
//! with one on standard output. It ends with its input.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use http::HeaderValue;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    time::sleep,
};

use crate::{
    device::Account,
    ear::{Address, Ear, Over},
};

/// Waits before the second and later tries of a lost connection, as the client library waits: the first try is at once.
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What a worker is told.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Open connections and keep them; answered when all are subscribed.
    Open {
        /// The protocol.
        over: Over,
        /// The servers, in turn.
        servers: Vec<Address>,
        /// The address they come from.
        source: IpAddr,
        /// How many.
        connections: usize,
        /// Each connection's account, in turn.
        accounts: Vec<Whose>,
    },
    /// Say how it is.
    Tell,
}

/// An account, as a worker is told of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Whose {
    /// Its name.
    pub name: String,
    /// What authenticates its session.
    pub token: String,
    /// Where a subscription begins.
    pub position: u64,
}

/// How it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Held {
    /// Connections that are subscribed now.
    pub subscribed: u64,
    /// Connections that were lost since the beginning.
    pub lost: u64,
    /// Tries to come back that failed.
    pub failed_tries: u64,
}

#[derive(Default)]
struct Counters {
    subscribed: AtomicU64,
    lost: AtomicU64,
    failed_tries: AtomicU64,
}

/// Runs a worker until its standard input ends.
///
/// # Errors
/// When an order cannot be understood, or a first connection cannot be opened.
pub async fn run() -> anyhow::Result<()> {
    let counters = Arc::new(Counters::default());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut output = tokio::io::stdout();
    while let Some(line) = lines.next_line().await? {
        if let Order::Open { over, servers, source, connections, accounts } = serde_json::from_str(&line)? {
            open(over, servers, source, connections, accounts, &counters).await?;
        }
        let held = Held {
            subscribed: counters.subscribed.load(Ordering::Relaxed),
            lost: counters.lost.load(Ordering::Relaxed),
            failed_tries: counters.failed_tries.load(Ordering::Relaxed),
        };
        output.write_all(format!("{}\n", serde_json::to_string(&held)?).as_bytes()).await?;
        output.flush().await?;
    }
    Ok(())
}

async fn open(
    over: Over,
    servers: Vec<Address>,
    source: IpAddr,
    connections: usize,
    accounts: Vec<Whose>,
    counters: &Arc<Counters>,
) -> anyhow::Result<()> {
    let servers = Arc::new(servers);
    let accounts = accounts.into_iter().map(|Whose { name, token, position }| {
        let token = HeaderValue::try_from(token)?;
        Ok(Account { name, token, instance: 0, position })
    });
    let accounts: Vec<Account> = accounts.collect::<anyhow::Result<_>>()?;
    let opening = (0..connections).map(|n| {
        let account = accounts.get(n % accounts.len().max(1)).cloned();
        let (servers, counters) = (Arc::clone(&servers), Arc::clone(counters));
        async move {
            let account = account.context("no accounts")?;
            let idler = Idler { over, servers, source, at: n, account, counters };
            let ear = idler.connect().await?;
            idler.counters.subscribed.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move { idler.hold(ear).await });
            anyhow::Ok(())
        }
    });
    let mut opening = stream::iter(opening).buffer_unordered(over.at_once());
    while let Some(opened) = opening.next().await {
        opened?;
    }
    Ok(())
}

/// One connection that wants to be kept.
struct Idler {
    over: Over,
    servers: Arc<Vec<Address>>,
    source: IpAddr,
    at: usize,
    account: Account,
    counters: Arc<Counters>,
}

impl Idler {
    async fn connect(&self) -> anyhow::Result<Ear> {
        let address = &self.servers[self.at % self.servers.len()];
        Ear::open(self.over, address, Some(self.source), &self.account, self.account.position).await
    }

    /// Listens, and comes back at another server whenever the connection is lost.
    async fn hold(mut self, mut ear: Ear) {
        loop {
            while ear.message().await.is_ok() {}
            drop(ear);
            self.counters.subscribed.fetch_sub(1, Ordering::Relaxed);
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
            // Anywhere but where it was lost.
            self.at += rand::rng().random_range(1..self.servers.len().max(2));
            let mut wait = FIRST_WAIT;
            ear = loop {
                if let Ok(ear) = self.connect().await {
                    break ear;
                }
                self.counters.failed_tries.fetch_add(1, Ordering::Relaxed);
                let jitter = rand::rng().random_range(0.5..1.0);
                sleep(wait.mul_f64(jitter)).await;
                wait = (2 * wait).min(LONGEST_WAIT);
                self.at += 1;
            };
            self.counters.subscribed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
