//! `fanout`: one room with very many connected members: how many deliveries a second, and how long until all have a message.
//!
//! Each member listens on a TCP connection of its own. The next messages are sent when everybody has the last ones, one by one or
//! `--burst` at once. Accounts are shared by several connections each, for a registration costs a password hash; to the
//! servers a connection is a follower of its own either way. Each receiver's messages are numbered: every one once, and in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rand::Rng as _;
use serde_json::json;
use threefold_proto::chat::{self, recipient};
use tokio::{sync::Notify, time::timeout};

use crate::{
    accounting::Usage,
    bounds::{seconds, some_seconds},
    cluster::{Target, connect},
    device::{Account, Device, Heard, UNANSWERED, number_of, numbered},
    ear::{Ear, Over},
    grpc::Connection,
    latency::{Latencies, Summary, Window},
    report::{Report, latency_table, usage_json, usage_table},
    table::{figure, thousands},
};

/// Members that join at once.
const AT_ONCE: usize = 16;
/// Everybody has a message by then, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Connections that listen, spread over the servers
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub connections: usize,
    /// How they are connected
    #[arg(long, default_value = "grpc", value_name = "PROTOCOL")]
    pub over: Over,
    /// Accounts that they are of
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub accounts: usize,
    /// Messages sent at once, before it is waited until everybody has them
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub burst: usize,
    /// Bytes of a message
    #[arg(long, default_value_t = 200)]
    pub bytes: usize,
    /// Seconds measured
    #[arg(long, default_value_t = 10.0, value_parser = some_seconds)]
    pub seconds: f64,
    /// Seconds before, not measured
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub warm_up: f64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { connections: 10_000, over: Over::Grpc, accounts: 500, burst: 1, bytes: 200, seconds: 10.0, warm_up: 2.0 }
    }
}

/// What came of it.
pub struct Outcome {
    deliveries: u64,
    /// How long it was waited for them.
    waited: Duration,
    /// From sending to each receipt, and to the last.
    each: Summary,
    last: Summary,
    usage: Usage,
}

impl Outcome {
    /// Deliveries a second.
    pub fn per_second(&self) -> f64 {
        self.deliveries as f64 / self.waited.as_secs_f64()
    }
}

/// What the listeners tell together.
#[derive(Default)]
struct Heards {
    received: AtomicU64,
    /// When so many were received, the sender is woken.
    awaited: AtomicU64,
    all: Notify,
    /// The first thing that went wrong.
    wrong: std::sync::OnceLock<String>,
}

impl Heards {
    fn note(&self) {
        if self.received.fetch_add(1, Ordering::Relaxed) + 1 == self.awaited.load(Ordering::Relaxed) {
            self.all.notify_one();
        }
    }

    fn fail(&self, words: String) {
        let _ = self.wrong.set(words);
        self.all.notify_one();
    }
}

/// Runs the plan against a cluster.
///
/// # Errors
/// When a server is lost or refuses, or a message comes twice, out of order or not at all.
pub async fn run(target: &Target, plan: &Plan) -> anyhow::Result<Report> {
    let outcome = measure(target, plan).await?;
    let per_second = outcome.per_second();
    let Outcome { deliveries, usage, .. } = &outcome;
    let rows = [("until one has it", outcome.each), ("until all have it", outcome.last)];
    let text = format!(
        "fanout: a room of {} connections ({}, {} accounts), {} message(s) at once, {} bytes, {} s\n\n{} deliveries/s, {} messages/s; every one once and in order\n\n{}\n\n{}",
        thousands(plan.connections as f64),
        plan.over.name(),
        plan.accounts,
        plan.burst,
        plan.bytes,
        plan.seconds,
        thousands(per_second),
        figure(per_second / plan.connections as f64),
        latency_table(&rows).render(),
        usage_table(usage, *deliveries).render()
    );
    let json = json!({
        "scenario": "fanout",
        "connections": plan.connections,
        "over": plan.over,
        "accounts": plan.accounts,
        "burst": plan.burst,
        "bytes": plan.bytes,
        "deliveries": deliveries,
        "deliveries_per_second": per_second,
        "latency": rows[0].1,
        "latency_of_all": rows[1].1,
        "usage": usage_json(usage, *deliveries),
    });
    Ok(Report { text, json })
}

/// The same, for a comparison.
///
/// # Errors
/// As [`run`].
pub async fn measure(target: &Target, plan: &Plan) -> anyhow::Result<Outcome> {
    ensure!(plan.connections > 0 && plan.accounts > 0, "--connections and --accounts must be at least 1");
    ensure!((1..=UNANSWERED).contains(&plan.burst), "--burst must be from 1 to {UNANSWERED}");
    let (addresses, ports) = (target.addresses(), target.ports().await?);
    let calls = connect(&addresses, plan.accounts).await?;
    let accounts = Account::register_many(&calls, plan.accounts).await?;
    let (room, position) = gather(&calls, &accounts).await?;
    let heards = Arc::new(Heards::default());
    let epoch = Instant::now();
    let sent_at = Arc::new(AtomicU64::new(0));
    let latencies = Latencies::new()?;
    let opening = (0..plan.connections).map(|n| {
        let (address, account) = (&ports[n % ports.len()], &accounts[n % accounts.len()]);
        Ear::open(plan.over, address, None, account, position)
    });
    let listeners: Vec<Ear> = stream::iter(opening).buffered(plan.over.at_once()).try_collect().await?;
    for ear in listeners {
        tokio::spawn(hear(ear, heards.clone(), (epoch, sent_at.clone()), latencies.clone()));
    }

    let processes = target.processes().await?;
    let mut sender = Device::open(&calls[0], &accounts[0], accounts[0].open_instance(&calls[0]).await?).await?;
    let to = chat::Recipient { to: Some(recipient::To::Conversation(room)) };
    let window = Window::after(Duration::from_secs_f64(plan.warm_up), Duration::from_secs_f64(plan.seconds));
    let whole_room = Latencies::new()?;
    let (mut number, mut deliveries, mut before) = (0, 0, None);
    let mut measured = Duration::ZERO;
    loop {
        let began = Instant::now();
        if !window.holds(began) && before.is_some() {
            break;
        }
        if window.holds(began) && before.is_none() {
            before = Some(processes.read()?);
        }
        let awaited = heards.received.load(Ordering::Relaxed) + (plan.burst * plan.connections) as u64;
        heards.awaited.store(awaited, Ordering::Relaxed);
        sent_at.store(nanos(began - epoch), Ordering::Relaxed);
        for _ in 0..plan.burst {
            number += 1;
            sender.put_message(&to, numbered(number, plan.bytes))?;
        }
        sender.flush()?;
        let both = async {
            for _ in 0..plan.burst {
                while !matches!(sender.hear().await?, Heard::Accepted) {}
            }
            while heards.received.load(Ordering::Relaxed) < awaited && heards.wrong.get().is_none() {
                heards.all.notified().await;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, both).await.context("not everybody has the message")??;
        if let Some(wrong) = heards.wrong.get() {
            bail!("{wrong}");
        }
        if window.holds(began) {
            deliveries += (plan.burst * plan.connections) as u64;
            measured += began.elapsed();
            whole_room.record(began.elapsed());
        }
    }
    let before = before.context("nothing was measured: more --seconds")?;
    let usage = processes.since(&before)?;
    Ok(Outcome { deliveries, waited: measured, each: latencies.summary(), last: whole_room.summary(), usage })
}

/// A public room with all accounts in it: its id, and the position after the last joined.
async fn gather(calls: &[Connection], accounts: &[Account]) -> anyhow::Result<(u64, u64)> {
    let first = |account: &Account| Some(chat::RequestId { instance: account.instance, number: 1 });
    let name = format!("bench-{:012x}", rand::rng().random::<u64>() >> 16);
    let create = chat::CreateRoom { name, topic: String::new(), public: true };
    let request = chat::CreateRoomRequest { request: first(&accounts[0]), create: Some(create) };
    let reply: chat::CreateRoomReply = accounts[0].call(&calls[0], "CreateRoom", &request).await?;
    let room = reply.created.context("a room without an id")?.conversation;
    let joining = accounts[1..].iter().enumerate().map(|(n, account)| async move {
        let to = chat::Recipient { to: Some(recipient::To::Conversation(room)) };
        let request = chat::JoinRoomRequest { request: first(account), join: Some(chat::JoinRoom { room: Some(to) }) };
        let reply: chat::JoinRoomReply = account.call(&calls[n % calls.len()], "JoinRoom", &request).await?;
        anyhow::Ok(reply.position)
    });
    let positions: Vec<u64> = stream::iter(joining).buffered(AT_ONCE).try_collect().await?;
    Ok((room, positions.into_iter().max().unwrap_or(accounts[0].position)))
}

/// Counts and checks what one connection hears, until it ends.
async fn hear(mut ear: Ear, heards: Arc<Heards>, (epoch, sent_at): (Instant, Arc<AtomicU64>), latencies: Latencies) {
    let mut last = 0;
    loop {
        match ear.message().await {
            Ok(message) => match number_of(&message) {
                Some(number) if number == last + 1 => {
                    last = number;
                    let sent_at = Duration::from_nanos(sent_at.load(Ordering::Relaxed));
                    latencies.record(epoch.elapsed().saturating_sub(sent_at));
                    heards.note();
                }
                number => return heards.fail(format!("message {number:?} came after {last}")),
            },
            Err(error) => return heards.fail(format!("a listener was lost: {error:#}")),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
