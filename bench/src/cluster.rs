//! What every scenario needs of the cluster: connections, accounts, and the operating system's account of its processes.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rand::Rng as _;
use threefold_proto::chat::{self, chat_client::ChatClient, cluster_client::ClusterClient};
use tonic::{
    Request,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

/// Kernel clock ticks a second: USER_HZ, 100 on every Linux this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A connection to one server.
pub async fn connect(address: &str) -> anyhow::Result<Channel> {
    let endpoint =
        Endpoint::from_shared(format!("http://{address}"))?.connect_timeout(Duration::from_secs(2)).tcp_nodelay(true);
    endpoint.connect().await.with_context(|| format!("cannot reach {address}"))
}

/// A logged-in session.
#[derive(Clone)]
pub struct Session {
    /// The account's name.
    pub name: String,
    token: [u8; 32],
}

impl Session {
    /// Registers a new account with a random name.
    pub async fn register(channel: Channel) -> anyhow::Result<(Self, u64)> {
        let token: [u8; 32] = rand::random();
        let name = format!("bench-{:012x}", rand::rng().random::<u64>() >> 16);
        let request = chat::RegisterRequest {
            name: name.clone(),
            password: "a password for benches".into(),
            token: token.to_vec().into(),
            device: "bench".into(),
        };
        let reply = ChatClient::new(channel).register(request).await?.into_inner();
        Ok((Self { name, token }, reply.instance))
    }

    /// A request of this session.
    pub fn request<T>(&self, message: T) -> anyhow::Result<Request<T>> {
        let mut request = Request::new(message);
        let token = self.token.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        request.metadata_mut().insert("authorization", MetadataValue::try_from(format!("Bearer {token}"))?);
        Ok(request)
    }

    /// A new instance of this session.
    pub async fn open_instance(&self, channel: Channel) -> anyhow::Result<u64> {
        let request = self.request(chat::OpenInstanceRequest { nonce: rand::random() })?;
        Ok(ChatClient::new(channel).open_instance(request).await?.into_inner().instance)
    }
}

/// The cluster's status from the first server that answers.
pub async fn status(servers: &[String]) -> anyhow::Result<chat::ClusterStatus> {
    for server in servers {
        let Ok(channel) = connect(server).await else { continue };
        let mut client = ClusterClient::new(channel);
        let call = client.status(chat::StatusRequest { local: false });
        if let Ok(Ok(reply)) = tokio::time::timeout(Duration::from_secs(2), call).await {
            return Ok(reply.into_inner());
        }
    }
    bail!("no server answers")
}

/// Seconds of processor time (user and system) that a process has used.
pub fn processor_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name, in parentheses, may hold spaces: fields count from after it.
    let (_, fields) = stat.rsplit_once(')').context("malformed stat")?;
    let ticks = |n: usize| fields.split_whitespace().nth(n).and_then(|field| field.parse::<f64>().ok());
    Ok((ticks(11).context("no utime")? + ticks(12).context("no stime")?) / TICKS_PER_SECOND)
}

/// Resident memory of a process in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
