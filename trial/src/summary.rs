//! What is printed at the end.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    cluster::Cluster,
    devices::Life,
    ledger::{Entry, Outcome},
};

/// Violations printed in full; the rest is only counted.
const PRINTED: usize = 20;

/// The figures of a trial.
pub struct Summary {
    rows: Vec<(&'static str, String)>,
}

impl Summary {
    pub fn new(
        seconds: u64,
        entries: &[Entry],
        longest_gap: Duration,
        retried: u64,
        cluster: &Cluster,
        lives: &[Life],
        delivered: u64,
    ) -> Self {
        let count =
            |matches: fn(&Outcome) -> bool| entries.iter().filter(|entry| matches(&entry.outcome)).count().to_string();
        let device_kills: u64 = lives.iter().map(|life| life.kills).sum();
        let rows = vec![
            ("seconds", seconds.to_string()),
            ("messages sent", entries.len().to_string()),
            ("acknowledged", count(|outcome| matches!(outcome, Outcome::Acknowledged(_)))),
            ("outcome unknown", count(|outcome| matches!(outcome, Outcome::Unknown(_)))),
            ("sender killed on the way", count(|outcome| matches!(outcome, Outcome::Abandoned))),
            ("given up unsent", count(|outcome| matches!(outcome, Outcome::NotSent(_)))),
            ("delivered to devices", delivered.to_string()),
            ("retried", retried.to_string()),
            ("server kills", format!("{} (the leader {} times)", cluster.kills, cluster.leader_kills)),
            ("device kills", device_kills.to_string()),
            ("longest gap without an acknowledgement", format!("{} ms", longest_gap.as_millis())),
        ];
        Self { rows }
    }

    pub fn print(&self) {
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.rows {
            println!("  {name:<width$}  {value}");
        }
    }
}

/// Tells what was done to the cluster, and every long gap, in order.
pub fn print_story(cluster: &Cluster, gaps: &[(Instant, Duration)]) {
    let Some((start, _)) = cluster.deeds.first() else { return };
    let gap = |(end, gap): &(Instant, Duration)| {
        (*end, format!("{} ms without an acknowledgement end here", gap.as_millis()))
    };
    let mut story: Vec<(Instant, String)> = cluster.deeds.iter().cloned().chain(gaps.iter().map(gap)).collect();
    story.sort();
    for (when, what) in story {
        println!("  {:8.3} s  {what}", when.saturating_duration_since(*start).as_secs_f64());
    }
}

/// Says what is wrong, or that all is well.
pub fn print_violations(violations: &[String]) {
    if violations.is_empty() {
        println!("all is well: every stream and every history is exactly what was acknowledged, in order");
        return;
    }
    println!("{} VIOLATIONS:", violations.len());
    for violation in violations.iter().take(PRINTED) {
        println!("  {violation}");
    }
    if violations.len() > PRINTED {
        println!("  ... and {} more", violations.len() - PRINTED);
    }
}
