//! `failover`: how long writes stand still when the leader is killed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;
use threefold_proto::chat::{self, chat_client::ChatClient};
use tonic::transport::Channel;

use crate::cluster::{Session, connect, status};

/// Between two messages.
const EVERY: Duration = Duration::from_millis(2);
/// One attempt at one server.
const ATTEMPT: Duration = Duration::from_millis(200);
/// Messages acknowledged before a kill and after it.
const QUIET: usize = 100;
/// A cluster that has not recovered by then never will.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Kills the leader again and again; gives the longest gap around each kill.
pub async fn run(servers: &[String], kills: usize) -> anyhow::Result<serde_json::Value> {
    let mut client = Client::new(servers).await?;
    let mut gaps = Vec::new();
    for _ in 0..kills {
        let (pid, address) = wait_until_whole(servers).await?;
        client.home(&address);
        for _ in 0..QUIET {
            client.send().await?;
        }
        let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status()?;
        if !killed.success() {
            bail!("cannot kill process {pid}");
        }
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        for _ in 0..QUIET {
            client.send().await?;
            longest = longest.max(last.elapsed());
            last = Instant::now();
            tokio::time::sleep(EVERY).await;
        }
        gaps.push(longest.as_secs_f64() * 1000.0);
        eprintln!("killed the leader (process {pid}): {:.1} ms until the next acknowledgement", gaps[gaps.len() - 1]);
    }
    gaps.sort_by(f64::total_cmp);
    let at = |quantile: f64| gaps[((gaps.len() - 1) as f64 * quantile).round() as usize];
    Ok(json!({
        "scenario": "failover",
        "kills": kills,
        "gap_median_ms": at(0.5),
        "gap_p99_ms": at(0.99),
        "gap_max_ms": at(1.0),
    }))
}

/// Waits until every server is up and gives the leader's process and address.
async fn wait_until_whole(servers: &[String]) -> anyhow::Result<(u32, String)> {
    let give_up = Instant::now() + GIVE_UP;
    loop {
        let now = status(servers).await?;
        let whole = now.servers.len() >= servers.len()
            && now.servers.iter().all(|server| server.role != "down" && server.voter);
        let level = now.servers.iter().all(|server| server.last_index + 10 > now.servers[0].last_index);
        if let Some(leader) = now.servers.iter().find(|server| server.role == "leader" && whole && level) {
            return Ok((leader.pid, leader.client_address.clone()));
        }
        if Instant::now() > give_up {
            bail!("the cluster is not whole again: {}: {}", now.state, now.detail);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One client that tries the servers in turn, with the same request id, until one acknowledges.
struct Client {
    servers: Vec<String>,
    at: usize,
    channel: Option<Channel>,
    session: Session,
    instance: u64,
    number: u64,
}

impl Client {
    async fn new(servers: &[String]) -> anyhow::Result<Self> {
        let channel = connect(servers.first().context("no servers")?).await?;
        let (session, instance) = Session::register(channel).await?;
        Ok(Self { servers: servers.to_vec(), at: 0, channel: None, session, instance, number: 0 })
    }

    fn home(&mut self, address: &str) {
        self.at = self.servers.iter().position(|server| server == address).unwrap_or(0);
        self.channel = None;
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        self.number += 1;
        let give_up = Instant::now() + GIVE_UP;
        while Instant::now() < give_up {
            if self.attempt().await.is_some() {
                return Ok(());
            }
            self.channel = None;
            self.at = (self.at + 1) % self.servers.len();
        }
        bail!("message {} was never acknowledged", self.number)
    }

    async fn attempt(&mut self) -> Option<()> {
        let channel = match &self.channel {
            Some(channel) => channel.clone(),
            None => self.channel.insert(connect(&self.servers[self.at]).await.ok()?).clone(),
        };
        let to = chat::Recipient { to: Some(chat::recipient::To::User(self.session.name.clone())) };
        let message = chat::SendMessageRequest {
            request: Some(chat::RequestId { instance: self.instance, number: self.number }),
            send: Some(chat::SendMessage { to: Some(to), body: format!("message {}", self.number) }),
        };
        let request = self.session.request(message).ok()?;
        tokio::time::timeout(ATTEMPT, ChatClient::new(channel).send_message(request)).await.ok()?.ok().map(drop)
    }
}
