//! One repetition of one system.

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::Plan;
use crate::{
    cluster::{CONNECTIONS_PER_SERVER, Own, Place, SERVERS, Target},
    ear::Over,
    latency::median,
    peers::{self, etcd, etcd::Etcd, nats, nats::Nats, redis, redis::Redis},
    scenarios::{deliver, failover, fanout, grow, idle, start, write},
};

/// Connections that writers share, whoever is measured.
const CONNECTIONS: usize = CONNECTIONS_PER_SERVER * SERVERS;
/// The writers of the three write measurements.
const WRITERS: [usize; 3] = [1, 64, 512];
/// Idle connections of each protocol: enough that what is measured is the connections. Each log-in at the chat TCP port costs a
/// password hash.
const IDLE: [(Over, usize, &str); 3] = [
    (Over::Grpc, 6_000, "idle_kib"),
    (Over::WebSocket, 6_000, "idle_websocket_kib"),
    (Over::Tcp, 1_500, "idle_tcp_kib"),
];
/// Connections in one room, the accounts that they are of, and messages at once.
const ROOM: (usize, usize) = (10_000, 60);
const BURSTS: [(usize, &str); 2] = [(1, "room_per_second"), (8, "room_burst_per_second")];
/// Kills of the leader.
const KILLS: usize = 20;
/// Conversations that grow.
const CONVERSATIONS: usize = 50_000;
/// Starts of an empty cluster.
const STARTS: usize = 5;

/// Measured figures by key, in the units of the goals' names.
pub type Figures = BTreeMap<&'static str, f64>;

/// A system to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum System {
    /// This one.
    Threefold,
    /// Redis, a connection a writer.
    Redis,
    /// Redis, as few connections as the others have.
    RedisShared,
    /// NATS JetStream.
    Nats,
    /// etcd.
    Etcd,
}

impl System {
    /// Those that are wanted (all, if none is named) and installed, and those that are wanted and not installed.
    pub fn all(only: &[Self]) -> (Vec<Self>, Vec<Self>) {
        let wanted = Self::value_variants().iter().filter(|system| only.is_empty() || only.contains(system));
        wanted.copied().partition(|system| system.program().is_none_or(|program| peers::find(program).is_some()))
    }

    fn program(self) -> Option<&'static str> {
        match self {
            Self::Threefold => None,
            Self::Redis | Self::RedisShared => Some(redis::PROGRAM),
            Self::Nats => Some(nats::PROGRAM),
            Self::Etcd => Some(etcd::PROGRAM),
        }
    }

    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Threefold => "Threefold",
            Self::Redis => "Redis",
            Self::RedisShared => "Redis, shared",
            Self::Nats => "NATS",
            Self::Etcd => "etcd",
        }
    }

    /// What it means by an acknowledgement, and how it was spoken with.
    pub fn promise(&self) -> &'static str {
        match self {
            Self::Threefold => {
                "consensus; on the disk of every in-sync server, fsynced. A stream a sender, over 12 connections"
            }
            Self::Redis => {
                "no consensus, no failover; appendfsync always, WAIT 2; send to receipt without WAIT. A connection a writer"
            }
            Self::RedisShared => "the same over 12 connections, whose writers go in step: one WAIT for all of a round",
            Self::Nats => {
                "consensus; stream with three replicas on file, not fsynced before the acknowledgement. 12 connections"
            }
            Self::Etcd => "consensus; fsynced by a majority. A call a Put, over 12 connections",
        }
    }
}

/// Runs everything once. `first`: also what is measured once only.
///
/// # Errors
/// When a system fails.
pub async fn measure(system: System, place: &Place, plan: &Plan, first: bool) -> anyhow::Result<Figures> {
    let mut figures = Figures::new();
    match system {
        System::Threefold => threefold(place, plan, &mut figures).await?,
        System::Redis | System::RedisShared => {
            let redis = Redis::start(place).await?;
            for writers in WRITERS {
                let connections = if system == System::Redis { writers } else { CONNECTIONS };
                note_write(&mut figures, writers, &redis.write(&write_plan(plan, writers), connections).await?);
            }
            note_deliver_rate(&mut figures, &redis.deliver(&deliver_plan(plan, false)).await?);
            note_deliver_max(&mut figures, &redis.deliver(&deliver_plan(plan, true)).await?);
            redis.end().await?;
        }
        System::Nats => {
            let nats = Nats::start(place).await?;
            for writers in WRITERS {
                note_write(&mut figures, writers, &nats.write(&write_plan(plan, writers), CONNECTIONS).await?);
            }
            note_deliver_rate(&mut figures, &nats.deliver(&deliver_plan(plan, false)).await?);
            note_deliver_max(&mut figures, &nats.deliver(&deliver_plan(plan, true)).await?);
            nats.end().await?;
        }
        System::Etcd => {
            let etcd = Etcd::start(place).await?;
            for writers in WRITERS {
                note_write(&mut figures, writers, &etcd.write(&write_plan(plan, writers), CONNECTIONS).await?);
            }
            etcd.end().await?;
        }
    }
    if system == System::Threefold && first && !plan.quick {
        once(place, &mut figures).await?;
    }
    if system == System::Threefold && first && plan.messages > 0 {
        grown(place, plan.messages, &mut figures).await?;
    }
    Ok(figures)
}

async fn threefold(place: &Place, plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    let target = Target::Own(Own::start(place).await?);
    for writers in WRITERS {
        note_write(figures, writers, &write::measure(&target, &write_plan(plan, writers)).await?);
    }
    note_deliver_rate(figures, &deliver::measure(&target, &deliver_plan(plan, false)).await?);
    note_deliver_max(figures, &deliver::measure(&target, &deliver_plan(plan, true)).await?);
    target.end().await
}

/// What no peer is measured at, each on a fresh cluster.
async fn once(place: &Place, figures: &mut Figures) -> anyhow::Result<()> {
    let mut target = Target::Own(Own::start(place).await?);
    let outcome = failover::measure(&mut target, &failover::Plan { kills: KILLS }).await?;
    target.end().await?;
    figures.insert("failover_median_ms", median(&outcome.gaps_ms).unwrap_or(0.0));
    figures.insert("failover_max_ms", outcome.gaps_ms.iter().copied().fold(0.0, f64::max));
    figures.insert("failover_violations", outcome.verdict.violations() as f64);

    for (over, connections, name) in IDLE {
        // Of its own: what a server's memory has grown to, it keeps.
        let place = Place { thrifty: true, ..place.clone() };
        let target = Target::Own(Own::start(&place).await?);
        figures.insert(name, idle::memory(&target, over, connections).await?);
        target.end().await?;
    }
    for (burst, name) in BURSTS {
        let target = Target::Own(Own::start(place).await?);
        let (connections, accounts) = ROOM;
        let plan = fanout::Plan { connections, accounts, burst, ..fanout::Plan::default() };
        figures.insert(name, fanout::measure(&target, &plan).await?.per_second());
        target.end().await?;
    }

    let starts = start::measure(place, &start::Plan { repetitions: STARTS }).await?;
    figures.insert("start_s", median(&starts.accepted).unwrap_or(0.0));
    Ok(())
}

/// What so many messages change.
async fn grown(place: &Place, messages: u64, figures: &mut Figures) -> anyhow::Result<()> {
    let mut target = Target::Own(Own::start(place).await?);
    let plan = grow::Plan { conversations: CONVERSATIONS, steps: vec![messages], missed: None, seconds: 5.0 };
    let (_, steps) = grow::steps(&mut target, &plan).await?;
    target.end().await?;
    for step in steps {
        figures.insert("grown_newest_p99_ms", step.newest_p99_ms());
        figures.insert("grown_start_s", step.accepted_s());
        figures.insert("grown_idle_mib", step.idle_mib());
    }
    Ok(())
}

fn write_plan(plan: &Plan, senders: usize) -> write::Plan {
    write::Plan { senders, in_flight: 1, rate: None, bytes: 200, seconds: plan.seconds, warm_up: plan.warm_up }
}

fn deliver_plan(plan: &Plan, max: bool) -> deliver::Plan {
    let (seconds, warm_up) = (plan.seconds, plan.warm_up);
    deliver::Plan { pairs: None, rate: 20.0, max, in_flight: 16, bytes: 200, seconds, warm_up }
}

fn note_write(figures: &mut Figures, writers: usize, outcome: &write::Outcome) {
    let latency = outcome.latency;
    let (per_second, p50, p99) = match writers {
        1 => ("write_1_per_second", "write_1_p50_ms", "write_1_p99_ms"),
        64 => ("write_64_per_second", "write_64_p50_ms", "write_64_p99_ms"),
        _ => ("write_512_per_second", "write_512_p50_ms", "write_512_p99_ms"),
    };
    figures.extend([(per_second, outcome.per_second), (p50, latency.p50_ms), (p99, latency.p99_ms)]);
    if writers == 512 {
        figures.insert("write_512_cpu_us", outcome.usage.microseconds_a_message(outcome.messages));
        figures.insert("write_512_generator_us", outcome.usage.own_microseconds_a_message(outcome.messages));
    }
}

fn note_deliver_rate(figures: &mut Figures, outcome: &deliver::Outcome) {
    figures.extend([("deliver_20_p50_ms", outcome.latency.p50_ms), ("deliver_20_p99_ms", outcome.latency.p99_ms)]);
}

fn note_deliver_max(figures: &mut Figures, outcome: &deliver::Outcome) {
    figures.insert("deliver_max_per_second", outcome.per_second);
    figures.insert("deliver_violations", outcome.verdict.violations() as f64);
}
