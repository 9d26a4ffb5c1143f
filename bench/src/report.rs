//! What a scenario hands back: a text for people, and the same figures for programs.

use serde_json::{Value, json};

use crate::{
    accounting::Usage,
    latency::Summary,
    table::{Table, figure, mib, thousands},
};

/// A scenario's result.
#[derive(Debug)]
pub struct Report {
    /// For people.
    pub text: String,
    /// For programs: one object.
    pub json: Value,
}

/// What the servers and the generator cost, a server a row.
pub fn usage_table(usage: &Usage, messages: u64) -> Table {
    let mut table = Table::new(["process", "CPU s", "CPU us/message", "RSS MiB"]);
    for ((name, seconds), resident) in usage.names.iter().zip(&usage.seconds).zip(&usage.resident_kib) {
        let each = seconds * 1e6 / messages.max(1) as f64;
        table.row([name.clone(), figure(*seconds), figure(each), mib(*resident)]);
    }
    let all = usage.seconds.iter().sum();
    let (each, resident) = (usage.microseconds_a_message(messages), usage.resident_kib.iter().sum());
    table.row(["all servers".to_owned(), figure(all), figure(each), mib(resident)]);
    table.row(["generator".to_owned(), figure(usage.own_seconds), figure(usage.own_microseconds_a_message(messages))]);
    table
}

/// The same for programs.
pub fn usage_json(usage: &Usage, messages: u64) -> Value {
    json!({
        "seconds": usage.elapsed,
        "servers": usage.names.iter().zip(&usage.seconds).zip(&usage.resident_kib).map(|((name, seconds), resident)| {
            json!({"name": name, "cpu_seconds": seconds, "resident_kib": resident})
        }).collect::<Vec<_>>(),
        "server_cpu_us_per_message": usage.microseconds_a_message(messages),
        "generator_cpu_us_per_message": usage.own_microseconds_a_message(messages),
    })
}

/// The heads of [`latency_cells`].
pub const LATENCY_HEADS: [&str; 5] = ["p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"];

/// A summary's cells in a table.
pub fn latency_cells(summary: &Summary) -> [String; 5] {
    [summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.p999_ms, summary.max_ms].map(figure)
}

/// A table of summaries by name; with how many were counted.
pub fn latency_table(rows: &[(&str, Summary)]) -> Table {
    let heads = ["", "count"].into_iter().chain(LATENCY_HEADS);
    let mut table = Table::with_heads(heads.map(str::to_owned).collect());
    for (name, summary) in rows {
        let cells = [(*name).to_owned(), thousands(summary.count as f64)].into_iter().chain(latency_cells(summary));
        table.row(cells);
    }
    table
}
