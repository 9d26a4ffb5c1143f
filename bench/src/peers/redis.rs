//! Redis: one master, two replicas, `appendfsync always`, and `WAIT 2` before a write counts as acknowledged.
//!
//! WAIT says that two replicas have the write in memory and on its way to their files; it is not consensus, and nothing fails
//! over. WAIT holds up its connection, so all writes of a connection go in step: each round is one XADD a writer and one
//! WAIT for all of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::time::{sleep, timeout};

use super::{
    PATIENCE, STREAMS,
    processes::{PeerProcesses, find},
    resp::{Value, put, take},
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
pub const PROGRAM: &str = "redis-server";
/// How long WAIT may wait, in milliseconds.
const WAIT_MS: &[u8] = b"20000";

/// A running Redis.
pub struct Redis {
    processes: PeerProcesses,
    addresses: Vec<String>,
}

impl Redis {
    /// Starts it and waits until writes reach both replicas.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub async fn start(place: &Place) -> anyhow::Result<Self> {
        let program = find(PROGRAM).context("redis-server is not installed")?;
        let ports = free_ports(3)?;
        let mut processes = PeerProcesses::new("redis", place)?;
        for (n, port) in ports.iter().enumerate() {
            let directory = processes.directory().join(n.to_string());
            std::fs::create_dir(&directory)?;
            let (port, directory) = (port.to_string(), directory.display().to_string());
            let settings = ["--bind", "127.0.0.1", "--port", &port, "--dir", &directory, "--save", ""];
            let durable = ["--appendonly", "yes", "--appendfsync", "always"];
            let mut arguments: Vec<String> = settings.into_iter().chain(durable).map(str::to_owned).collect();
            if n > 0 {
                arguments.extend(["--replicaof".to_owned(), "127.0.0.1".to_owned(), ports[0].to_string()]);
            }
            processes.start(&program, &arguments)?;
        }
        let addresses = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let redis = Self { processes, addresses };
        let give_up = Instant::now() + PATIENCE;
        while redis.probe().await.is_err() {
            if Instant::now() > give_up {
                bail!("redis does not come up");
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(redis)
    }

    async fn probe(&self) -> anyhow::Result<()> {
        let mut wire = Wire::open(&self.addresses[0]).await?;
        put(&mut wire.output, &[b"XADD", b"probe", b"*", b"m", b"x"]);
        put(&mut wire.output, &[b"WAIT", b"2", b"100"]);
        wire.flush().await?;
        let replies = [reply(&mut wire).await?, reply(&mut wire).await?];
        if replies[1] == Value::Integer(2) { Ok(()) } else { bail!("not replicated: {replies:?}") }
    }

    /// The servers' processes.
    pub fn processes(&self) -> Processes {
        self.processes.accounted()
    }

    /// Closed-loop writers on so many connections to the master.
    ///
    /// # Errors
    /// When a write fails.
    pub async fn write(&self, plan: &write::Plan, connections: usize) -> anyhow::Result<write::Outcome> {
        let connections = connections.min(plan.senders);
        let mut wires = Vec::new();
        for n in 0..connections {
            let writers: Vec<usize> = (n..plan.senders).step_by(connections).collect();
            wires.push((Wire::open(&self.addresses[0]).await?, writers));
        }
        let run = write::Run::new(plan)?;
        let tasks = wires.into_iter().map(|(wire, writers)| tokio::spawn(rounds(wire, writers, run.clone()))).collect();
        run.finish(&self.processes(), tasks).await
    }

    /// From XADD at the master to XREAD at a replica, without WAIT.
    ///
    /// # Errors
    /// When a write fails.
    pub async fn deliver(&self, plan: &deliver::Plan) -> anyhow::Result<deliver::Outcome> {
        let mut pairs = Vec::new();
        for n in 0..plan.pairs() {
            let sender = Wire::open(&self.addresses[0]).await?;
            let mut receiver = Wire::open(&self.addresses[1 + n % 2]).await?;
            let stream = format!("pair-{n}-{:08x}", rand::random::<u32>()).into_bytes();
            ask(&mut receiver, &stream, b"0");
            receiver.flush().await?;
            pairs.push(RedisPair { sender, receiver, stream });
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

async fn reply(wire: &mut Wire) -> anyhow::Result<Value> {
    loop {
        match take(&mut wire.input)? {
            Some(Value::Error(error)) => bail!("redis: {error}"),
            Some(value) => return Ok(value),
            None => timeout(PATIENCE, wire.read()).await.context("redis does not answer")??,
        }
    }
}

/// The writers of one connection, round after round.
async fn rounds(mut wire: Wire, writers: Vec<usize>, run: write::Run) -> anyhow::Result<()> {
    for number in 1.. {
        let began = Instant::now();
        if began >= run.window.until {
            break;
        }
        let body = numbered(number, run.bytes);
        for writer in &writers {
            let stream = format!("chat:{}", writer % STREAMS);
            put(&mut wire.output, &[b"XADD", stream.as_bytes(), b"*", b"m", body.as_bytes()]);
        }
        put(&mut wire.output, &[b"WAIT", b"2", WAIT_MS]);
        wire.flush().await?;
        for _ in &writers {
            reply(&mut wire).await?;
        }
        match reply(&mut wire).await? {
            Value::Integer(2..) => {}
            other => bail!("not on both replicas: {other:?}"),
        }
        let now = Instant::now();
        writers.iter().for_each(|_| run.acknowledged(began, now));
    }
    Ok(())
}

/// A stream, its writer at the master and its reader at a replica.
struct RedisPair {
    sender: Wire,
    receiver: Wire,
    stream: Vec<u8>,
}

/// Asks for what comes after an entry, and to be answered when there is something.
fn ask(receiver: &mut Wire, stream: &[u8], after: &[u8]) {
    put(&mut receiver.output, &[b"XREAD", b"BLOCK", b"0", b"STREAMS", stream, after]);
}

impl Ends for RedisPair {
    fn has_room(&self) -> bool {
        true
    }

    fn put(&mut self, text: String) -> anyhow::Result<()> {
        put(&mut self.sender.output, &[b"XADD", &self.stream, b"*", b"m", text.as_bytes()]);
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.receiver.flush().await?;
        self.sender.flush().await
    }

    async fn hear(&mut self) -> anyhow::Result<Arrived> {
        let mut arrived = Arrived::default();
        while arrived.numbers.is_empty() && arrived.acknowledged == 0 {
            tokio::select! {
                biased;
                read = self.receiver.read() => read?,
                read = self.sender.read() => read?,
            }
            while let Some(reply) = take(&mut self.receiver.input)? {
                let (numbers, last) = entries(&reply).with_context(|| format!("an unexpected answer: {reply:?}"))?;
                arrived.numbers.extend(numbers);
                ask(&mut self.receiver, &self.stream, last);
            }
            while let Some(reply) = take(&mut self.sender.input)? {
                if !matches!(reply, Value::Bulk(Some(_))) {
                    bail!("a message was not accepted: {reply:?}");
                }
                arrived.acknowledged += 1;
            }
        }
        Ok(arrived)
    }
}

/// The numbers in an answer to XREAD about one stream, and the id of its last entry.
fn entries(reply: &Value) -> Option<(Vec<u64>, &[u8])> {
    let Value::Array(streams) = reply else { return None };
    let Value::Array(stream) = streams.first()? else { return None };
    let Value::Array(entries) = stream.get(1)? else { return None };
    let (mut numbers, mut last) = (Vec::new(), None);
    for entry in entries {
        let Value::Array(entry) = entry else { return None };
        let [Value::Bulk(Some(id)), Value::Array(fields)] = entry.as_slice() else { return None };
        let Value::Bulk(Some(text)) = fields.get(1)? else { return None };
        numbers.push(number_of(std::str::from_utf8(text).ok()?)?);
        last = Some(id.as_slice());
    }
    Some((numbers, last?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_an_answer_to_xread() {
        let bulk = |text: &str| Value::Bulk(Some(text.as_bytes().to_vec()));
        let entry = |id: &str, text: &str| Value::Array(vec![bulk(id), Value::Array(vec![bulk("m"), bulk(text)])]);
        let entries_of = |list| Value::Array(vec![Value::Array(vec![bulk("stream"), Value::Array(list)])]);
        let reply = entries_of(vec![entry("7-0", "1 xx"), entry("7-1", "2 xx")]);
        assert_eq!(entries(&reply), Some((vec![1, 2], &b"7-1"[..])));
        assert_eq!(entries(&entries_of(vec![])), None);
        assert_eq!(entries(&Value::Bulk(None)), None);
    }
}
