//! The processes that hold connections, as the process sees them that started them.

use std::{
    env,
    net::{IpAddr, Ipv4Addr},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::future::try_join_all;
use rand::Rng as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{sleep, timeout},
};

use super::worker::{Held, Order, Whose};
use crate::{
    device::Account,
    ear::{Address, Over},
};

/// Connections of one process: below the limit of 20,000 descriptors.
const CONNECTIONS_PER_PROCESS: usize = 15_000;
/// The name of the subcommand that they run.
pub const WORKER: &str = "idle-worker";
/// So many connections open slowly on a machine that is busy.
const OPENING_PATIENCE: Duration = Duration::from_secs(300);

/// All of them.
#[derive(Default)]
pub struct Holders {
    holders: Vec<Holder>,
    /// Connections that were opened, and are to be kept.
    opened: u64,
}

struct Holder {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Holders {
    /// Opens so many more connections, with as many more processes as they need.
    ///
    /// # Errors
    /// When a connection is refused.
    pub async fn open(
        &mut self,
        over: Over,
        servers: &[Address],
        accounts: &[Account],
        connections: usize,
    ) -> anyhow::Result<()> {
        let texts = accounts.iter().map(|account| {
            let token = account.token.to_str()?.to_owned();
            Ok(Whose { name: account.name.clone(), token, position: account.position })
        });
        let accounts: Vec<Whose> = texts.collect::<anyhow::Result<_>>()?;
        let processes = connections.div_ceil(CONNECTIONS_PER_PROCESS);
        let first = self.holders.len();
        for n in 0..processes {
            let mut holder = Holder::start()?;
            let order = Order::Open {
                over,
                servers: servers.to_vec(),
                source: IpAddr::V4(loopback()),
                connections: connections * (n + 1) / processes - connections * n / processes,
                accounts: accounts.clone(),
            };
            holder.order(&order).await?;
            self.holders.push(holder);
        }
        let answers = self.holders[first..].iter_mut().map(Holder::answer);
        let held = timeout(OPENING_PATIENCE, try_join_all(answers)).await.context("connections open too slowly")??;
        let subscribed: u64 = held.iter().map(|held| held.subscribed).sum();
        if subscribed != connections as u64 {
            bail!("of {connections} connections only {subscribed} are subscribed");
        }
        self.opened += subscribed;
        Ok(())
    }

    /// Waits until connections have been lost, and all are back.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn until_back(&mut self, patience: Duration, look_every: Duration) -> anyhow::Result<Held> {
        let give_up = Instant::now() + patience;
        loop {
            let held = self.tell().await?;
            if held.lost > 0 && held.subscribed >= self.opened {
                return Ok(held);
            }
            if Instant::now() > give_up {
                bail!("{} connections are still lost after {patience:?}", self.opened - held.subscribed);
            }
            sleep(look_every).await;
        }
    }

    async fn tell(&mut self) -> anyhow::Result<Held> {
        let mut all = Held::default();
        for holder in &mut self.holders {
            holder.order(&Order::Tell).await?;
            let held = holder.answer().await?;
            all.subscribed += held.subscribed;
            all.lost += held.lost;
            all.failed_tries += held.failed_tries;
        }
        Ok(all)
    }

    /// Closes all connections.
    ///
    /// # Errors
    /// When a process does not end well.
    pub async fn end(self) -> anyhow::Result<()> {
        for Holder { mut child, input, .. } in self.holders {
            drop(input);
            child.wait().await?;
        }
        Ok(())
    }
}

/// A random address of this machine: all of 127.0.0.0/8 is. Not the same in every run, for ports of connections that were
/// closed rest for a minute.
fn loopback() -> Ipv4Addr {
    let byte = || rand::rng().random_range(1..=254);
    Ipv4Addr::new(127, byte(), byte(), byte())
}

impl Holder {
    fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(WORKER).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start a process for connections")?;
        let input = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        Ok(Self { child, input, output: BufReader::new(output).lines() })
    }

    async fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        self.input.write_all(format!("{}\n", serde_json::to_string(order)?).as_bytes()).await?;
        Ok(self.input.flush().await?)
    }

    async fn answer(&mut self) -> anyhow::Result<Held> {
        let line = self.output.next_line().await?.context("a process that held connections has ended")?;
        Ok(serde_json::from_str(&line)?)
    }
}
