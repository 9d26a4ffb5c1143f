//! The cluster under load: one that runs already, or a fresh one of the bench's own.

mod own;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use threefold_proto::chat;
use tokio::time::{sleep, timeout};

pub use own::{Own, Place, SERVERS, free_ports};

use crate::{accounting::Processes, ear::Address, grpc::Connection};

/// HTTP/2 connections to each server that streams share. One would be a lock that all of them pass.
pub const CONNECTIONS_PER_SERVER: usize = 4;
/// Streams of one connection: the servers refuse more than 256, and calls need some.
const STREAMS_PER_CONNECTION: usize = 200;
/// A server that has not answered by then is passed over.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks while something is waited for: short, for what is waited for is often what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A cluster that is not whole by then never will be.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a scenario runs against.
pub enum Target {
    /// Servers that somebody else started, by their client addresses.
    Running(Vec<String>),
    /// A cluster that lives as long as this value, and whose servers may be killed.
    Own(Own),
}

impl Target {
    /// The client addresses.
    pub fn addresses(&self) -> Vec<String> {
        match self {
            Self::Running(addresses) => addresses.clone(),
            Self::Own(own) => own.addresses(),
        }
    }

    /// Where each server listens, for each protocol.
    ///
    /// # Errors
    /// When no server answers.
    pub async fn ports(&self) -> anyhow::Result<Vec<Address>> {
        let addresses = self.addresses();
        let status = status(&addresses).await?;
        let chat = |client: &String| {
            let known = status.servers.iter().find(|server| server.client_address == *client);
            known.map(|server| server.chat_address.clone()).unwrap_or_default()
        };
        Ok(addresses.iter().map(|client| Address { client: client.clone(), chat: chat(client) }).collect())
    }

    /// The servers' processes, as the cluster's status names them.
    ///
    /// # Errors
    /// When no server answers.
    pub async fn processes(&self) -> anyhow::Result<Processes> {
        let status = status(&self.addresses()).await?;
        let up = status.servers.into_iter().filter(|server| server.pid != 0);
        Ok(Processes::new(up.map(|server| (server.name, server.pid)).collect()))
    }

    /// Connections for so many streams: the servers in turn.
    ///
    /// # Errors
    /// When one of them cannot be reached.
    pub async fn connect(&self, streams: usize) -> anyhow::Result<Vec<Connection>> {
        connect(&self.addresses(), streams).await
    }

    /// The bench's own cluster, for what must not be done to another.
    ///
    /// # Errors
    /// When it is not the bench's own.
    pub fn own(&mut self) -> anyhow::Result<&mut Own> {
        match self {
            Self::Own(own) => Ok(own),
            Self::Running(_) => {
                bail!("this stops and starts servers: run it without --servers, on a cluster of its own")
            }
        }
    }

    /// Ends the bench's own cluster and removes its data; leaves any other alone.
    ///
    /// # Errors
    /// When a server cannot be stopped.
    pub async fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Running(_) => Ok(()),
            Self::Own(own) => own.end().await,
        }
    }
}

/// Connections for so many streams to these servers in turn: four to each, more where the streams would not fit.
///
/// # Errors
/// When a server cannot be reached.
pub async fn connect(addresses: &[String], streams: usize) -> anyhow::Result<Vec<Connection>> {
    let usual = CONNECTIONS_PER_SERVER * addresses.len();
    let count = usual.max(streams.div_ceil(STREAMS_PER_CONNECTION)).next_multiple_of(addresses.len().max(1));
    let mut connections = Vec::with_capacity(count);
    for address in addresses.iter().cycle().take(count) {
        connections.push(Connection::open(address).await?);
    }
    Ok(connections)
}

/// The status as one server knows it.
///
/// # Errors
/// When it does not answer within two seconds.
pub async fn status_of(address: &str) -> anyhow::Result<chat::ClusterStatus> {
    let asking = async {
        let connection = Connection::open(address).await?;
        connection.call("/threefold.chat.v1.Cluster/Status", None, &chat::StatusRequest { local: false }).await
    };
    timeout(STATUS_PATIENCE, asking).await.with_context(|| format!("{address} does not answer"))?
}

/// Whether a server serves: it answers, and knows who leads.
pub async fn serves(address: &str) -> bool {
    let asking = async {
        let connection = Connection::open(address).await?;
        let question = chat::StatusRequest { local: true };
        connection.call::<_, chat::ClusterStatus>("/threefold.chat.v1.Cluster/Status", None, &question).await
    };
    let answer = timeout(STATUS_PATIENCE, asking).await;
    matches!(answer, Ok(Ok(status)) if status.servers.iter().any(|server| server.leader != 0))
}

/// Waits until a server serves (see [`serves`]).
///
/// # Errors
/// When it does not after two minutes.
pub async fn wait_until_serving(address: &str) -> anyhow::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        if serves(address).await {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
    bail!("{address} does not serve after {PATIENCE:?}")
}

/// The status from the first server that answers.
///
/// # Errors
/// When none does.
pub async fn status(addresses: &[String]) -> anyhow::Result<chat::ClusterStatus> {
    let mut why = None;
    for address in addresses {
        match status_of(address).await {
            Ok(status) => return Ok(status),
            Err(error) => why = Some(error),
        }
    }
    Err(why.unwrap_or_else(|| anyhow::anyhow!("no servers are named"))).context("no server answers")
}

/// Whether all is as it should be with so many servers: one leads, all are up and vote, the condition is normal, all have applied what
/// is committed (up to what is on its way), and in survivor mode all are in sync.
pub fn is_whole(status: &chat::ClusterStatus, servers: usize) -> bool {
    let newest = status.servers.iter().map(|server| server.committed_index).max().unwrap_or(0);
    let survivor_mode = status.servers.iter().any(|server| server.in_sync);
    let well = |server: &chat::ServerStatus| {
        server.voter
            && server.role != "down"
            && server.applied_index + ON_THE_WAY >= newest
            && (server.in_sync || !survivor_mode)
    };
    status.servers.len() >= servers
        && status.state == "normal"
        && status.servers.iter().any(|server| server.role == "leader")
        && status.servers.iter().all(well)
}

/// Log entries that a server in sync may be behind by at the moment of a look.
const ON_THE_WAY: u64 = 50;

/// Waits until the cluster is whole (see [`is_whole`]); gives its status.
///
/// # Errors
/// When it is not after two minutes.
pub async fn wait_until_whole(addresses: &[String]) -> anyhow::Result<chat::ClusterStatus> {
    let give_up = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < give_up {
        if let Ok(status) = status(addresses).await {
            if is_whole(&status, addresses.len()) {
                return Ok(status);
            }
            last = Some(status);
        }
        sleep(LOOK_EVERY).await;
    }
    let state =
        last.map_or_else(|| "no server answers".to_owned(), |status| format!("{}: {}", status.state, status.detail));
    bail!("the cluster is not whole after {PATIENCE:?} ({state})")
}

/// The leader's place among the addresses, once there is one.
///
/// # Errors
/// When there is none after two minutes.
pub async fn leader_place(addresses: &[String]) -> anyhow::Result<usize> {
    let status = wait_until_whole(addresses).await?;
    let leader = status.servers.iter().filter(|server| server.role == "leader").max_by_key(|server| server.term);
    let address = leader.map(|leader| leader.client_address.as_str()).unwrap_or_default();
    addresses
        .iter()
        .position(|known| known == address)
        .with_context(|| format!("the leader, at {address}, is not among the servers named"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(role: &str, applied_index: u64, in_sync: bool) -> chat::ServerStatus {
        let role = role.to_owned();
        chat::ServerStatus { role, voter: true, in_sync, committed_index: 100, applied_index, ..Default::default() }
    }

    fn cluster(servers: Vec<chat::ServerStatus>) -> chat::ClusterStatus {
        chat::ClusterStatus { state: "normal".into(), servers, ..Default::default() }
    }

    #[test]
    fn whole_means_led_up_level_and_in_sync() {
        let well = || vec![server("leader", 100, true), server("follower", 99, true), server("follower", 100, true)];
        assert!(is_whole(&cluster(well()), 3));
        assert!(!is_whole(&cluster(well()), 4));
        for bad in [server("down", 100, true), server("follower", 10, true), server("follower", 100, false)] {
            let mut servers = well();
            servers[2] = bad;
            assert!(!is_whole(&cluster(servers), 3));
        }
        assert!(!is_whole(&chat::ClusterStatus { state: "degraded".into(), ..cluster(well()) }, 3));
    }

    #[test]
    fn without_survivor_mode_nobody_needs_to_be_in_sync() {
        let servers = vec![server("leader", 100, false), server("follower", 99, false)];
        assert!(is_whole(&cluster(servers), 2));
    }
}
