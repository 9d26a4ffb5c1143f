//! etcd: three members, each Put acknowledged by Raft, fsynced by a majority.
//!
//! Spoken with through the same thin gRPC as Threefold, so the generator costs both the same. Two messages of
//! etcd's API suffice; unknown fields of answers are skipped.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use prost::Message;
use tokio::time::sleep;

use super::{
    PATIENCE, STREAMS,
    processes::{PeerProcesses, find},
};
use crate::{
    accounting::Processes,
    cluster::{Place, free_ports},
    device::numbered,
    grpc::Connection,
    scenarios::write,
};

/// The program.
pub const PROGRAM: &str = "etcd";
/// Between two tries while the cluster forms.
const AGAIN: Duration = Duration::from_millis(100);

/// `etcdserverpb.PutRequest`, of which only this is used.
#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `etcdserverpb.PutResponse`, of which nothing is used.
#[derive(Clone, PartialEq, Message)]
struct PutResponse {}

/// A running etcd.
pub struct Etcd {
    processes: PeerProcesses,
    addresses: Vec<String>,
}

impl Etcd {
    /// Starts it and waits until it takes writes.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub async fn start(place: &Place) -> anyhow::Result<Self> {
        let program = find(PROGRAM).context("etcd is not installed")?;
        let ports = free_ports(6)?;
        let (clients, peers) = ports.split_at(3);
        let url = |port: &u16| format!("http://127.0.0.1:{port}");
        let members: Vec<String> = peers.iter().enumerate().map(|(n, port)| format!("n{n}={}", url(port))).collect();
        let mut processes = PeerProcesses::new("etcd", place)?;
        for (n, (client, peer)) in clients.iter().zip(peers).enumerate() {
            let data = processes.directory().join(n.to_string()).display().to_string();
            let (name, client, peer, all) = (format!("n{n}"), url(client), url(peer), members.join(","));
            let arguments = [
                ("--name", &name),
                ("--data-dir", &data),
                ("--listen-client-urls", &client),
                ("--advertise-client-urls", &client),
                ("--listen-peer-urls", &peer),
                ("--initial-advertise-peer-urls", &peer),
                ("--initial-cluster", &all),
            ];
            let arguments: Vec<String> =
                arguments.iter().flat_map(|(flag, value)| [(*flag).to_owned(), (*value).clone()]).collect();
            processes.start(&program, &arguments)?;
        }
        let etcd = Self { processes, addresses: clients.iter().map(|port| format!("127.0.0.1:{port}")).collect() };
        let give_up = Instant::now() + PATIENCE;
        while let Err(error) = etcd.probe().await {
            if Instant::now() > give_up {
                return Err(error.context("etcd does not come up"));
            }
            sleep(AGAIN).await;
        }
        Ok(etcd)
    }

    async fn probe(&self) -> anyhow::Result<()> {
        for address in &self.addresses {
            put(&Connection::open(address).await?, "probe".to_owned(), "probe".to_owned()).await?;
        }
        Ok(())
    }

    /// The servers' processes.
    pub fn processes(&self) -> Processes {
        self.processes.accounted()
    }

    /// Closed-loop writers on so many connections, spread over the servers.
    ///
    /// # Errors
    /// When a write fails.
    pub async fn write(&self, plan: &write::Plan, connections: usize) -> anyhow::Result<write::Outcome> {
        let mut opened = Vec::new();
        for address in self.addresses.iter().cycle().take(connections.min(plan.senders)) {
            opened.push(Connection::open(address).await?);
        }
        let run = write::Run::new(plan)?;
        let writers = (0..plan.senders).map(|n| tokio::spawn(writer(opened[n % opened.len()].clone(), n, run.clone())));
        let writers: Vec<_> = writers.collect();
        run.finish(&self.processes(), writers).await
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn end(self) -> anyhow::Result<()> {
        self.processes.end().await
    }
}

async fn put(connection: &Connection, key: String, value: String) -> anyhow::Result<()> {
    let request = PutRequest { key: key.into_bytes(), value: value.into_bytes() };
    connection.call::<_, PutResponse>("/etcdserverpb.KV/Put", None, &request).await.map(drop)
}

async fn writer(connection: Connection, own: usize, run: write::Run) -> anyhow::Result<()> {
    for number in 1.. {
        let began = Instant::now();
        if began >= run.window.until {
            break;
        }
        let key = format!("chat{}/{own}-{number}", own % STREAMS);
        put(&connection, key, numbered(number, run.bytes)).await?;
        run.acknowledged(began, Instant::now());
    }
    Ok(())
}
