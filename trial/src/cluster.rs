//! The cluster under trial: started as `threefold up` would, but killed without mercy.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use rand::{Rng as _, rngs::StdRng, seq::index};
use threefold::up::{
    layout::{Layout, ServerPlan},
    process::{self, ServerProcess},
    watch::{formed, leader_of},
};
use threefold_client::{Client, Options, chat::ClusterStatus};
use tokio::time::{Instant, sleep};

/// Ports are sought from here on: below those that outgoing connections are given, so that none takes the port of a
/// server while it is down.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Between two looks while something is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A cluster that is not complete, or has not caught up, within this time never will be.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The servers.
pub struct Cluster {
    executable: PathBuf,
    plans: Vec<ServerPlan>,
    running: Vec<Option<ServerProcess>>,
    client: Client,
    /// How often a server was killed.
    pub kills: u64,
    /// How often it was the leader.
    pub leader_kills: u64,
    /// What was done to the cluster, and when.
    pub deeds: Vec<(Instant, String)>,
    /// Servers that ended without being killed, and what they said.
    pub deaths: Vec<String>,
}

impl Cluster {
    /// Founds a cluster of `servers` and waits until it is complete.
    pub async fn start(executable: &Path, directory: &Path, servers: usize, dice: &mut StdRng) -> anyhow::Result<Self> {
        let layout = Layout::open(directory).map_err(|failure| anyhow!("{failure}"))?;
        let ports = free_ports(servers * 2, dice)?;
        let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let plans: Vec<ServerPlan> = (0..servers)
            .map(|n| layout.plan(&format!("server-{}", n + 1), local(ports[n]), local(ports[servers + n])))
            .collect();
        layout.prepare(&plans).map_err(|failure| anyhow!("{failure}"))?;
        let addresses = plans.iter().map(|plan| format!("http://{}", plan.client)).collect();
        let client = Client::new(Options { timeout: Duration::from_secs(2), ..Options::new(addresses) })?;
        let mut cluster = Self {
            executable: executable.to_owned(),
            running: plans.iter().map(|_| None).collect(),
            plans,
            client,
            kills: 0,
            leader_kills: 0,
            deeds: Vec::new(),
            deaths: Vec::new(),
        };
        for place in 0..servers {
            cluster.start_one(place, place == 0)?;
        }
        cluster.wait_until_complete(0).await?;
        Ok(cluster)
    }

    /// Where clients connect, server by server.
    pub fn addresses(&self) -> Vec<String> {
        self.plans.iter().map(|plan| plan.client.to_string()).collect()
    }

    /// Kills `count` servers at the same moment: about every second time the leader is among them.
    pub async fn kill_some(&mut self, count: usize, dice: &mut StdRng) -> anyhow::Result<()> {
        let leader = self.leader().await;
        let mut victims = index::sample(dice, self.plans.len(), count).into_vec();
        if let Some(leader) = leader
            && dice.random_bool(0.5)
            && !victims.contains(&leader)
        {
            victims[0] = leader;
        }
        let with_leader = leader.is_some_and(|leader| victims.contains(&leader));
        self.leader_kills += u64::from(with_leader);
        let names: Vec<&str> = victims.iter().map(|victim| self.plans[*victim].name.as_str()).collect();
        let leader = leader.map_or("unknown", |leader| &self.plans[leader].name);
        self.deeds.push((Instant::now(), format!("killed {}; the leader was {leader}", names.join(" and "))));
        self.kill(&victims).await
    }

    /// Kills all servers at the same moment.
    pub async fn kill_all(&mut self) -> anyhow::Result<()> {
        let all: Vec<usize> = (0..self.plans.len()).collect();
        self.kill(&all).await
    }

    async fn kill(&mut self, victims: &[usize]) -> anyhow::Result<()> {
        self.strike(victims)?;
        self.bury(victims).await
    }

    /// Sends these servers SIGKILL, all at the same moment, which it gives. They are to be buried then.
    pub fn strike(&mut self, victims: &[usize]) -> anyhow::Result<Instant> {
        for place in victims {
            self.notice(*place)?;
        }
        for place in victims {
            if let Some(process) = &mut self.running[*place] {
                process.strike().context("cannot kill a server")?;
            }
        }
        Ok(Instant::now())
    }

    /// Waits for the end of servers that were killed.
    pub async fn bury(&mut self, victims: &[usize]) -> anyhow::Result<()> {
        let doomed = self.running.iter_mut().enumerate().filter(|(place, _)| victims.contains(place));
        let kills = doomed.filter_map(|(_, slot)| slot.take()).map(|mut process| async move { process.kill().await });
        for result in futures::future::join_all(kills).await {
            result.context("cannot kill a server")?;
            self.kills += 1;
        }
        Ok(())
    }

    /// Starts every server that does not run.
    pub fn start_dead(&mut self) -> anyhow::Result<()> {
        for place in 0..self.plans.len() {
            self.notice(place)?;
            if self.running[place].is_none() {
                self.deeds.push((Instant::now(), format!("started {}", self.plans[place].name)));
                self.start_one(place, false)?;
            }
        }
        Ok(())
    }

    /// Waits until every server votes, is up, and has applied everything up to `log_index`.
    pub async fn wait_until_complete(&mut self, log_index: u64) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < until {
            for place in 0..self.plans.len() {
                self.notice(place)?;
                if self.running[place].is_none() {
                    bail!("the cluster is not complete: {}", self.deaths.join("; "));
                }
            }
            last = self.client.status().await.ok();
            let caught_up =
                |status: &ClusterStatus| status.servers.iter().all(|server| server.applied_index >= log_index);
            if last.as_ref().is_some_and(|status| formed(status, self.plans.len()) && caught_up(status)) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        let state = last.map_or_else(|| "no server answers".to_owned(), |status| describe(&status));
        bail!("the cluster is not complete after {PATIENCE:?}: {state}")
    }

    /// Whether every server runs and says that all is normal, and that all of them vote and are up.
    pub async fn is_normal(&mut self) -> anyhow::Result<bool> {
        for place in 0..self.plans.len() {
            self.notice(place)?;
            if self.running[place].is_none() {
                bail!("a server does not run: {}", self.deaths.join("; "));
            }
            let status = self.client.status_of(&self.plans[place].client.to_string()).await;
            if !status.is_ok_and(|status| status.state == "normal" && formed(&status, self.plans.len())) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What each server says of the cluster, for an error message.
    pub async fn states(&self) -> String {
        let mut states = Vec::new();
        for plan in &self.plans {
            let status = self.client.status_of(&plan.client.to_string()).await;
            let state = status.map_or_else(|error| error.to_string(), |status| describe(&status));
            states.push(format!("{}: {state}", plan.name));
        }
        states.join("; ")
    }

    /// Stops all servers in order.
    pub async fn stop(&mut self) {
        let running = self.running.iter_mut().filter_map(Option::take);
        let stops = running.map(|mut process| async move { process.stop(Duration::from_secs(5)).await });
        futures::future::join_all(stops).await;
    }

    async fn leader(&self) -> Option<usize> {
        let status = self.client.status().await.ok()?;
        let leader = leader_of(&status)?;
        self.plans.iter().position(|plan| plan.name == leader.name)
    }

    fn start_one(&mut self, place: usize, bootstrap: bool) -> anyhow::Result<()> {
        let plan = &self.plans[place];
        let process = ServerProcess::start(&self.executable, plan, bootstrap);
        self.running[place] = Some(process.with_context(|| format!("cannot start {}", plan.name))?);
        Ok(())
    }

    /// Notices a server that has ended by itself.
    fn notice(&mut self, place: usize) -> anyhow::Result<()> {
        let Some(running) = &mut self.running[place] else { return Ok(()) };
        if let Some(status) = running.ended()? {
            self.running[place] = None;
            let plan = &self.plans[place];
            let said = process::last_words(&plan.log).unwrap_or_default();
            self.deaths.push(format!("{} ended by itself ({}): {said}", plan.name, process::ending(status)));
        }
        Ok(())
    }
}

fn describe(status: &ClusterStatus) -> String {
    let server = |server: &threefold_client::chat::ServerStatus| {
        format!("{} {} applied {}", server.name, server.role, server.applied_index)
    };
    let servers: Vec<String> = status.servers.iter().map(server).collect();
    format!("{} ({}); {}", status.state, status.detail, servers.join(", "))
}

/// So many ports in a row that nobody listens on.
fn free_ports(count: usize, dice: &mut StdRng) -> anyhow::Result<Vec<u16>> {
    /// Tries, each somewhere else.
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let first = dice.random_range(PORTS.start..PORTS.end);
        let ports: Vec<u16> = (first..).take(count).collect();
        if ports.iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()) {
            return Ok(ports);
        }
    }
    bail!("no {count} free ports in a row between {} and {}", PORTS.start, PORTS.end)
}
