//! The disturbances themselves. All of it is over when a [`Noise`] is dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use rand::Rng as _;
use serde_json::{Value, json};
use threefold_proto::chat;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::{JoinHandle, yield_now},
    time::{Interval, MissedTickBehavior, interval, timeout},
};

use super::{Kind, Plan};
use crate::{
    cluster::connect,
    device::{Account, Device, Heard, UNANSWERED, method, numbered, to},
    grpc::{Connection, Refused},
    table::thousands,
};

/// What readers of much are sent, and how often: 320 KiB a second.
const LARGE_BYTES: usize = 16 << 10;
const LARGE_EVERY: Duration = Duration::from_millis(50);
/// What the kernel keeps for a reader: little, so that the server feels at once that it does not read.
const RECEIVE_BUFFER_BYTES: u32 = 8 << 10;
/// A handshake takes no longer, beside any disturbance.
const PATIENCE: Duration = Duration::from_secs(20);
/// A message of a flood.
const FLOOD_BYTES: usize = 200;

/// A disturbance that goes on.
pub struct Noise {
    kind: Kind,
    tasks: Vec<JoinHandle<()>>,
    /// Held until the end.
    streams: Vec<TcpStream>,
    over: Arc<AtomicBool>,
    /// Of what there is much: answers, or bytes that were read.
    count: Arc<AtomicU64>,
    /// Of what was refused.
    refused: Arc<AtomicU64>,
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Noise {
    /// Begins.
    ///
    /// # Errors
    /// When a server is lost, or refuses what is needed for the disturbance.
    pub async fn start(kind: Kind, plan: &Plan, addresses: &[String]) -> anyhow::Result<Self> {
        let (tasks, streams) = (Vec::new(), Vec::new());
        let mut noise =
            Self { kind, tasks, streams, over: Arc::default(), count: Arc::default(), refused: Arc::default() };
        match kind {
            Kind::Busy => noise.keep_busy(),
            Kind::Readers => noise.read_much(plan.readers, addresses, true).await?,
            Kind::SlowReaders => noise.read_much(plan.readers, addresses, false).await?,
            Kind::Silent => noise.open(plan.connections, addresses, |_| b"").await?,
            Kind::HalfOpen => noise.open(plan.connections, addresses, half).await?,
            Kind::LogIns => noise.log_in(plan.flooders, addresses).await?,
            Kind::Messages => noise.write(plan.flooders, addresses).await?,
        }
        Ok(noise)
    }

    /// Ends it, and says what it came to.
    pub fn stop(self) -> String {
        let (count, refused) = (self.count.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        let (count, refused) = (thousands(count as f64), thousands(refused as f64));
        match self.kind {
            Kind::Busy => String::new(),
            Kind::Readers | Kind::SlowReaders => format!("{count} bytes read"),
            Kind::Silent | Kind::HalfOpen => format!("{} connections", thousands(self.streams.len() as f64)),
            Kind::LogIns => format!("{count} answered, {refused} of them refused by the limit"),
            Kind::Messages => format!("{count} written"),
        }
    }

    fn keep_busy(&mut self) {
        let over = self.over.clone();
        // Not a task: it would keep the generator busy, not a processor.
        std::thread::spawn(move || {
            let mut number = 0_u64;
            while !over.load(Ordering::Relaxed) {
                number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        });
    }

    /// Connections of one account that is sent much, at the servers in turn.
    async fn read_much(&mut self, count: usize, addresses: &[String], reads: bool) -> anyhow::Result<()> {
        let connections = connect(addresses, 1).await?;
        let (reader, feeder) = (Account::register(&connections[0]).await?, Account::register(&connections[0]).await?);
        for address in addresses.iter().cycle().take(count) {
            let mut stream = follow(address, &reader).await?;
            if !reads {
                self.streams.push(stream);
                continue;
            }
            let count = self.count.clone();
            self.tasks.push(tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
                    count.fetch_add(bytes as u64, Ordering::Relaxed);
                }
            }));
        }
        let mut device = Device::open(&connections[0], &feeder, feeder.instance).await?;
        let to = to(&reader.name);
        self.tasks.push(tokio::spawn(async move {
            let mut ticks = every(LARGE_EVERY);
            for number in 1.. {
                ticks.tick().await;
                let fed = async {
                    device.put_message(&to, numbered(number, LARGE_BYTES))?;
                    device.flush()?;
                    while !matches!(device.hear().await?, Heard::Accepted) {}
                    anyhow::Ok(())
                };
                if let Err(error) = fed.await {
                    return eprintln!("threefold-bench: nobody sends to the readers any more: {error:#}");
                }
            }
        }));
        Ok(())
    }

    /// Connections that say so much, and no more.
    async fn open(
        &mut self,
        count: usize,
        addresses: &[String],
        begin: impl Fn(usize) -> &'static [u8],
    ) -> anyhow::Result<()> {
        for (number, address) in addresses.iter().cycle().take(count).enumerate() {
            let mut stream = TcpStream::connect(address).await?;
            let said = begin(number);
            stream.write_all(said).await?;
            if !said.is_empty() && number % 2 == 0 {
                // Of its two ends this one is closed; the server has not closed its own.
                stream.shutdown().await?;
            }
            self.streams.push(stream);
            // The generator does other things as well.
            yield_now().await;
        }
        Ok(())
    }

    async fn log_in(&mut self, count: usize, addresses: &[String]) -> anyhow::Result<()> {
        let connections = connect(addresses, count).await?;
        for place in 0..count {
            let connection = connections[place % connections.len()].clone();
            let (answers, refused) = (self.count.clone(), self.refused.clone());
            self.tasks.push(tokio::spawn(async move { while guess(&connection, &answers, &refused).await {} }));
        }
        Ok(())
    }

    async fn write(&mut self, count: usize, addresses: &[String]) -> anyhow::Result<()> {
        let connections = connect(addresses, count).await?;
        for account in Account::register_many(&connections, count).await? {
            let place = rand::rng().random_range(0..connections.len());
            let mut device = Device::open(&connections[place], &account, account.instance).await?;
            let count = self.count.clone();
            self.tasks.push(tokio::spawn(async move {
                let to = to(&account.name);
                let flooding = async {
                    loop {
                        while device.in_flight() < UNANSWERED {
                            device.put_message(&to, numbered(device.written(), FLOOD_BYTES))?;
                        }
                        device.flush()?;
                        if let Heard::Accepted = device.hear().await? {
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                };
                let ended: anyhow::Result<()> = flooding.await;
                if let Err(error) = ended {
                    eprintln!("threefold-bench: a flood ended: {error:#}");
                }
            }));
        }
        Ok(())
    }
}

/// One log-in of nobody; false when there is nobody to ask any more.
async fn guess(connection: &Connection, answers: &AtomicU64, refused: &AtomicU64) -> bool {
    /// `RESOURCE_EXHAUSTED` of gRPC.
    const EXHAUSTED: u32 = 8;
    let token: [u8; 32] = rand::random();
    let request = chat::LoginRequest {
        name: format!("nobody-{:x}", rand::rng().random::<u32>()),
        password: "a wrong password".to_owned(),
        token: token.to_vec().into(),
        device: "bench".to_owned(),
    };
    let reply = connection.call::<_, chat::SessionReply>(&method("Login"), None, &request).await;
    match reply.map_err(|error| error.downcast::<Refused>()) {
        Err(Ok(refusal)) => {
            answers.fetch_add(1, Ordering::Relaxed);
            refused.fetch_add(u64::from(refusal.code == EXHAUSTED), Ordering::Relaxed);
            true
        }
        Err(Err(error)) => {
            eprintln!("threefold-bench: a flood of log-ins ended: {error:#}");
            false
        }
        Ok(_) => true,
    }
}

/// The beginnings of something, one for each number in turn.
fn half(number: usize) -> &'static [u8] {
    match number / 2 % 4 {
        0 => b"GET /ws HTTP/1.1\r\nhost: x\r\nupgra",
        1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0",
        2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x20\x01\x04\0\0\0\x01",
        _ => b"POST /attachments?name=x HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nhalf",
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A WebSocket that follows an account; what it hears is still to be read.
async fn follow(address: &str, account: &Account) -> anyhow::Result<TcpStream> {
    let opening = async {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        let mut stream = socket.connect(address.parse()?).await?;
        let head = format!(
            "GET /ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await?);
        }
        if !answer.starts_with(b"HTTP/1.1 101") {
            bail!("no WebSocket: {}", String::from_utf8_lossy(&answer));
        }
        let bearer = account.token.to_str()?;
        let token = bearer.strip_prefix("Bearer ").context("a token without its scheme")?;
        say(&mut stream, &json!({"id": 1, "call": "resume", "with": {"token": token}})).await?;
        say(&mut stream, &json!({"subscribe": {"after": account.position}})).await?;
        anyhow::Ok(stream)
    };
    timeout(PATIENCE, opening).await.context("a WebSocket was not opened in time")?
}

/// A text frame (RFC 6455, section 5.2), masked with zeros.
async fn say(stream: &mut TcpStream, frame: &Value) -> anyhow::Result<()> {
    let text = frame.to_string();
    let mut bytes = vec![0x81, 0x80 | 126];
    bytes.extend(u16::try_from(text.len())?.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(text.as_bytes());
    Ok(stream.write_all(&bytes).await?)
}
