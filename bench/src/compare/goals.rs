//! The figures that Threefold is to reach.

use super::measure::System;

/// Whether more or less of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Messages a second.
    More,
    /// Times, processor time, memory.
    Less,
}

/// One figure.
pub struct Goal {
    /// What it is, with its unit.
    pub name: &'static str,
    /// Its key among the measured figures.
    pub key: &'static str,
    /// Which direction is better.
    pub wanted: Wanted,
    /// What must be reached.
    pub must: Option<f64>,
    /// What would be good.
    pub goal: Option<f64>,
}

impl Goal {
    /// Whether a value is as good as a mark.
    pub fn reaches(&self, value: f64, mark: f64) -> bool {
        match self.wanted {
            Wanted::More => value >= mark,
            Wanted::Less => value <= mark,
        }
    }
}

const fn more(name: &'static str, key: &'static str, must: f64, goal: f64) -> Goal {
    Goal { name, key, wanted: Wanted::More, must: Some(must), goal: Some(goal) }
}

const fn less(name: &'static str, key: &'static str, must: f64, goal: f64) -> Goal {
    Goal { name, key, wanted: Wanted::Less, must: Some(must), goal: Some(goal) }
}

const fn shown(name: &'static str, key: &'static str, wanted: Wanted) -> Goal {
    Goal { name, key, wanted, must: None, goal: None }
}

/// All of them. The last ones are measured where messages are asked for (`--messages`), and rooms where there are any.
pub const GOALS: [Goal; 26] = [
    more("512 senders: messages/s", "write_512_per_second", 40_000.0, 100_000.0),
    shown("512 senders: p50 ms", "write_512_p50_ms", Wanted::Less),
    shown("512 senders: p99 ms", "write_512_p99_ms", Wanted::Less),
    less("512 senders: server CPU us/message", "write_512_cpu_us", 30.0, 15.0),
    shown("512 senders: generator CPU us/message", "write_512_generator_us", Wanted::Less),
    shown("64 senders: messages/s", "write_64_per_second", Wanted::More),
    less("64 senders: p50 ms", "write_64_p50_ms", 3.0, 2.0),
    less("64 senders: p99 ms", "write_64_p99_ms", 8.0, 6.0),
    less("1 sender: p50 ms", "write_1_p50_ms", 0.8, 0.6),
    shown("1 sender: p99 ms", "write_1_p99_ms", Wanted::Less),
    less("send to receipt at 20/s: p50 ms", "deliver_20_p50_ms", 1.0, 0.8),
    less("send to receipt at 20/s: p99 ms", "deliver_20_p99_ms", 4.0, 2.0),
    more("send to receipt, most: messages/s", "deliver_max_per_second", 30_000.0, 60_000.0),
    shown("receipts twice, out of order or missing", "deliver_violations", Wanted::Less),
    less("leader killed: longest gap, median ms", "failover_median_ms", 60.0, 30.0),
    less("leader killed: longest gap, maximum ms", "failover_max_ms", 400.0, 200.0),
    shown("leader killed: acknowledged and missing, or twice", "failover_violations", Wanted::Less),
    less("memory of an idle connection (TCP), KiB", "idle_tcp_kib", 8.0, 4.0),
    less("memory of an idle connection (WebSocket), KiB", "idle_websocket_kib", 12.0, 6.0),
    less("memory of an idle connection (gRPC), KiB", "idle_kib", 48.0, 36.0),
    less("empty cluster to first accepted write, s", "start_s", 1.0, 0.4),
    more("room of 10,000: deliveries/s, one by one", "room_per_second", 120_000.0, 200_000.0),
    more("room of 10,000: deliveries/s, eight at once", "room_burst_per_second", 400_000.0, 800_000.0),
    less("grown: newest 50 of a conversation, p99 ms", "grown_newest_p99_ms", 2.0, 0.5),
    less("grown: all killed, to first accepted write, s", "grown_start_s", 3.0, 1.0),
    less("grown: memory of a server, idle, MiB", "grown_idle_mib", 500.0, 200.0),
];

/// How many times a peer's messages a second, with 512 senders, must be reached, and would be good.
pub fn throughput_ratios(peer: System) -> Option<(f64, f64)> {
    match peer {
        System::Redis | System::Nats => Some((1.0, 2.0)),
        System::Etcd => Some((3.0, 6.0)),
        // Not among the marks that were set: shown beside the usual way to use Redis.
        System::RedisShared | System::Threefold => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_lie_beyond_what_must_be_reached_and_keys_are_unique() {
        for goal in &GOALS {
            if let (Some(must), Some(mark)) = (goal.must, goal.goal) {
                assert!(goal.reaches(mark, must) && !goal.reaches(must, mark), "{}", goal.name);
            }
            assert_eq!(GOALS.iter().filter(|other| other.key == goal.key).count(), 1, "{}", goal.key);
        }
    }
}
