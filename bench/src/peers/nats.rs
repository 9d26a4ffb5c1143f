//! NATS JetStream: three servers, one stream with three replicas on disk.
//!
//! Consensus, but no fsync: the version in Debian flushes its files every two minutes, and later ones do so too unless told
//! otherwise. An acknowledgement means that a majority has the message in memory.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{
    PATIENCE, STREAMS,
    nats_protocol::{Said, publish, take},
    processes::{PeerProcesses, find},
    wire::Wire,
};
use crate::{
    accounting::Processes,
    cluster::{Place, free_ports},
    device::{number_of, numbered},
    scenarios::{
        deliver::{self, Arrived, Ends},
        write,
    },
};

/// The program.
pub const PROGRAM: &str = "nats-server";
/// The stream that everything goes to.
const STREAM: &str = "CHAT";
/// Between two tries while the cluster forms.
const AGAIN: Duration = Duration::from_millis(100);
/// How long one question of the JetStream API may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// A running NATS.
pub struct Nats {
    processes: PeerProcesses,
    addresses: Vec<String>,
}

impl Nats {
    /// Starts it and waits until the stream is there and takes messages.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub async fn start(place: &Place) -> anyhow::Result<Self> {
        let program = find(PROGRAM).context("nats-server is not installed")?;
        let ports = free_ports(6)?;
        let (clients, routes) = ports.split_at(3);
        let mut processes = PeerProcesses::new("nats", place)?;
        let all: Vec<String> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        for (n, (client, route)) in clients.iter().zip(routes).enumerate() {
            let directory = processes.directory();
            let file = directory.join(format!("{n}.conf"));
            let text = format!(
                "server_name: \"n{n}\"\nlisten: \"127.0.0.1:{client}\"\n\
                 jetstream {{ store_dir: \"{}\" }}\n\
                 cluster {{ name: \"bench\", listen: \"127.0.0.1:{route}\", routes: [{}] }}\n",
                directory.join(n.to_string()).display(),
                all.join(", ")
            );
            std::fs::write(&file, text)?;
            processes.start(&program, &["-c".to_owned(), file.display().to_string()])?;
        }
        let nats = Self { processes, addresses: clients.iter().map(|port| format!("127.0.0.1:{port}")).collect() };
        let give_up = Instant::now() + PATIENCE;
        while let Err(error) = nats.create_stream().await {
            if Instant::now() > give_up {
                return Err(error.context("nats does not come up"));
            }
            sleep(AGAIN).await;
        }
        Ok(nats)
    }

    async fn create_stream(&self) -> anyhow::Result<()> {
        let mut wire = connect(&self.addresses[0]).await?;
        let stream = json!({
            "name": STREAM,
            "subjects": ["chat.>"],
            "retention": "limits",
            "storage": "file",
            "discard": "old",
            "num_replicas": 3,
            "max_consumers": -1,
            "max_msgs": -1,
            "max_bytes": -1,
        });
        question(&mut wire, &format!("$JS.API.STREAM.CREATE.{STREAM}"), stream.to_string().as_bytes()).await?;
        question(&mut wire, "chat.probe", b"probe").await
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
        let connections = connections.min(plan.senders);
        let mut wires = Vec::new();
        for n in 0..connections {
            let mut wire = connect(&self.addresses[n % self.addresses.len()]).await?;
            let inbox = format!("_INBOX.{:08x}", rand::random::<u32>());
            wire.output.extend_from_slice(format!("SUB {inbox}.* 1\r\n").as_bytes());
            let writers = (n..plan.senders).step_by(connections).count();
            wires.push(Writers { wire, inbox, subject: n, began: vec![Instant::now(); writers] });
        }
        let run = write::Run::new(plan)?;
        let tasks = wires.into_iter().map(|writers| tokio::spawn(writers.write(run.clone()))).collect();
        run.finish(&self.processes(), tasks).await
    }

    /// From a publication at one server to a durable consumer at another.
    ///
    /// # Errors
    /// When a write fails.
    pub async fn deliver(&self, plan: &deliver::Plan) -> anyhow::Result<deliver::Outcome> {
        let mut pairs = Vec::new();
        for n in 0..plan.pairs() {
            let servers = self.addresses.len();
            let sender = connect(&self.addresses[n % servers]).await?;
            let receiver = connect(&self.addresses[(n + 1 + n / servers % (servers - 1)) % servers]).await?;
            pairs.push(NatsPair::open(sender, receiver).await?);
        }
        deliver::measure_ends(pairs, &self.processes(), plan).await
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn end(self) -> anyhow::Result<()> {
        self.processes.end().await
    }
}

/// Connects and says hello.
async fn connect(address: &str) -> anyhow::Result<Wire> {
    let mut wire = Wire::open(address).await?;
    wire.output.extend_from_slice(
        b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\"version\":\"1\"}\r\nPING\r\n",
    );
    wire.flush().await?;
    while said(&mut wire).await? != Said::Pong {}
    Ok(wire)
}

/// The next thing the server says, after what needs an answer only.
async fn said(wire: &mut Wire) -> anyhow::Result<Said> {
    loop {
        match next(wire)? {
            Some(said) => return Ok(said),
            None => {
                wire.flush().await?;
                wire.read().await?;
            }
        }
    }
}

/// The next thing of what has been read already. Puts answers to PING in line.
fn next(wire: &mut Wire) -> anyhow::Result<Option<Said>> {
    while let Some(said) = take(&mut wire.input)? {
        match said {
            Said::Ping => wire.output.extend_from_slice(b"PONG\r\n"),
            Said::Error(error) => bail!("nats: {error}"),
            said => return Ok(Some(said)),
        }
    }
    Ok(None)
}

/// Asks JetStream something and checks that it agrees.
async fn question(wire: &mut Wire, subject: &str, payload: &[u8]) -> anyhow::Result<()> {
    let inbox = format!("_INBOX.{:08x}", rand::random::<u32>());
    wire.output.extend_from_slice(format!("SUB {inbox} 9\r\nUNSUB 9 1\r\n").as_bytes());
    publish(&mut wire.output, subject, &inbox, payload);
    let answering = async {
        loop {
            if let Said::Message { payload, .. } = said(wire).await? {
                return accepted(&payload);
            }
        }
    };
    timeout(ANSWER_PATIENCE, answering).await.with_context(|| format!("no answer from {subject}"))?
}

/// Whether JetStream has agreed.
fn accepted(answer: &[u8]) -> anyhow::Result<()> {
    let answer: serde_json::Value = serde_json::from_slice(answer).context("an answer that is not JSON")?;
    match answer.get("error") {
        None => Ok(()),
        Some(error) => bail!("nats refused: {error}"),
    }
}

/// The writers of one connection. Each publishes when its last message is acknowledged.
struct Writers {
    wire: Wire,
    inbox: String,
    subject: usize,
    /// When each writer's message was sent.
    began: Vec<Instant>,
}

impl Writers {
    async fn write(mut self, run: write::Run) -> anyhow::Result<()> {
        let mut number = 0;
        for writer in 0..self.began.len() {
            self.publish(writer, &mut number, run.bytes);
        }
        let mut busy = self.began.len();
        while busy > 0 {
            self.wire.flush().await?;
            timeout(PATIENCE, self.wire.read()).await.context("an acknowledgement never came")??;
            let now = Instant::now();
            while let Some(said) = next(&mut self.wire)? {
                let Said::Message { subject, payload, .. } = said else { continue };
                accepted(&payload)?;
                let writer = subject.rsplit('.').next().and_then(|writer| writer.parse::<usize>().ok());
                let writer = writer.filter(|writer| *writer < self.began.len()).context("an answer to nobody")?;
                run.acknowledged(self.began[writer], now);
                if now < run.window.until {
                    self.publish(writer, &mut number, run.bytes);
                    self.began[writer] = now;
                } else {
                    busy -= 1;
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self, writer: usize, number: &mut u64, bytes: usize) {
        *number += 1;
        let subject = format!("chat.w{}", (self.subject + writer) % STREAMS);
        let reply = format!("{}.{writer}", self.inbox);
        publish(&mut self.wire.output, &subject, &reply, numbered(*number, bytes).as_bytes());
    }
}

/// A subject, its publisher at one server and its durable consumer at another.
struct NatsPair {
    sender: Wire,
    receiver: Wire,
    subject: String,
    acknowledgements: String,
}

impl NatsPair {
    async fn open(mut sender: Wire, mut receiver: Wire) -> anyhow::Result<Self> {
        let id = format!("{:08x}", rand::random::<u32>());
        let (subject, acknowledgements) = (format!("chat.p{id}"), format!("_INBOX.a{id}"));
        let deliveries = format!("deliver.{id}");
        sender.output.extend_from_slice(format!("SUB {acknowledgements} 1\r\n").as_bytes());
        sender.flush().await?;
        receiver.output.extend_from_slice(format!("SUB {deliveries} 1\r\n").as_bytes());
        let consumer = json!({
            "stream_name": STREAM,
            "config": {
                "durable_name": format!("d{id}"),
                "deliver_subject": deliveries,
                "filter_subject": subject,
                "deliver_policy": "all",
                "ack_policy": "explicit",
                "replay_policy": "instant",
                "max_ack_pending": 5000,
            },
        });
        let api = format!("$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.d{id}");
        question(&mut receiver, &api, consumer.to_string().as_bytes()).await?;
        Ok(Self { sender, receiver, subject, acknowledgements })
    }
}

impl Ends for NatsPair {
    fn has_room(&self) -> bool {
        true
    }

    fn put(&mut self, text: String) -> anyhow::Result<()> {
        publish(&mut self.sender.output, &self.subject, &self.acknowledgements, text.as_bytes());
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.sender.flush().await?;
        self.receiver.flush().await
    }

    async fn hear(&mut self) -> anyhow::Result<Arrived> {
        let mut arrived = Arrived::default();
        while arrived.numbers.is_empty() && arrived.acknowledged == 0 {
            tokio::select! {
                biased;
                read = self.receiver.read() => read?,
                read = self.sender.read() => read?,
            }
            while let Some(said) = next(&mut self.receiver)? {
                let Said::Message { reply: Some(reply), payload, .. } = said else { continue };
                let text = std::str::from_utf8(&payload)?;
                arrived.numbers.push(number_of(text).context("a message that nobody sent")?);
                publish(&mut self.receiver.output, &reply, "", b"+ACK");
            }
            while let Some(said) = next(&mut self.sender)? {
                let Said::Message { payload, .. } = said else { continue };
                accepted(&payload)?;
                arrived.acknowledged += 1;
            }
        }
        Ok(arrived)
    }
}
