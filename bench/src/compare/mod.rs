//! `compare`: Threefold and every peer that is installed, in turn, on the same machine, with the same load; and the ratios.
//!
//! Repetitions are interleaved, and every repetition begins with fresh clusters: what else happens on the machine, and
//! what a disk does over minutes, meets all of them. One system runs at a time.

mod disk;
mod goals;
mod measure;

use clap::Args;
use serde_json::json;

use self::{
    goals::{GOALS, Goal, Wanted, throughput_ratios},
    measure::{Figures, System},
};
use crate::{
    bounds::{seconds, some_seconds},
    cluster::Place,
    latency::median,
    report::Report,
    table::{Table, figure, ratio},
};

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// How often everything is measured; the table shows medians
    #[arg(long, default_value_t = 3)]
    pub repetitions: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5.0, value_parser = some_seconds)]
    pub seconds: f64,
    /// Seconds before each, not measured
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub warm_up: f64,
    /// Only these systems [default: all that are installed]
    #[arg(long, value_delimiter = ',', value_enum, value_name = "SYSTEMS")]
    pub only: Vec<System>,
    /// Leave out what no peer is measured at: failover, idle memory, start-up
    #[arg(long)]
    pub quick: bool,
    /// Also grow 50,000 conversations to so many messages, and measure what that changes (10,000,000 take a while, and disk)
    #[arg(long, default_value_t = 0, value_name = "M")]
    pub messages: u64,
}

/// The figure of which ratios are asked for.
const THROUGHPUT: &str = "write_512_per_second";
/// A figure of the load, not of a system.
const GENERATOR: &str = "write_512_generator_us";

/// Everything that was measured of one system: for each repetition its figures.
struct Column {
    system: System,
    repetitions: Vec<Figures>,
}

/// Runs everything.
///
/// # Errors
/// When a system that is installed fails.
pub async fn run(place: &Place, plan: &Plan) -> anyhow::Result<Report> {
    let (systems, absent) = System::all(&plan.only);
    let mut columns: Vec<Column> =
        systems.iter().map(|system| Column { system: *system, repetitions: Vec::new() }).collect();
    let (mut failures, mut appends_ms) = (Vec::new(), Vec::new());
    for repetition in 1..=plan.repetitions.max(1) {
        appends_ms.push(disk::append_ms(place).await?);
        for column in &mut columns {
            eprintln!("repetition {repetition} of {}: {}", plan.repetitions.max(1), column.system.name());
            match measure::measure(column.system, place, plan, repetition == 1).await {
                Ok(figures) => column.repetitions.push(figures),
                // The others' figures are not worth less for it.
                Err(error) => {
                    failures.push(format!("{} failed in repetition {repetition}: {error:#}", column.system.name()))
                }
            }
        }
    }
    let mut text = format!(
        "compare: medians of {} repetitions of {} s each; three servers and the load on this machine\n\
         an append of 200 bytes and its fdatasync on this disk, alone, before each repetition: {} ms\n\n{}\n\n{}",
        plan.repetitions.max(1),
        plan.seconds,
        appends_ms.iter().map(|ms| figure(*ms)).collect::<Vec<_>>().join(", "),
        figures_table(&columns).render(),
        ratios_table(&columns).render()
    );
    text.push_str("\n\nA ratio above 1 is in Threefold's favour. \"*\": the figure that must be reached is not.\n");
    for system in &systems {
        text.push_str(&format!("{}: {}\n", system.name(), system.promise()));
    }
    for system in &absent {
        text.push_str(&format!("{} is not installed, and was skipped\n", system.name()));
    }
    for failure in &failures {
        text.push_str(&format!("{failure}\n"));
    }
    let json = json!({
        "scenario": "compare",
        "seconds": plan.seconds,
        "systems": columns.iter().map(|column| json!({
            "name": column.system.name(),
            "repetitions": column.repetitions,
        })).collect::<Vec<_>>(),
        "messages": plan.messages,
        "disk_append_ms": appends_ms,
        "failures": failures,
        "absent": absent.iter().map(System::name).collect::<Vec<_>>(),
    });
    Ok(Report { text: text.trim_end().to_owned(), json })
}

impl Column {
    /// The median of one figure; none where it was not measured.
    fn median(&self, key: &str) -> Option<f64> {
        let measured: Vec<f64> = self.repetitions.iter().filter_map(|figures| figures.get(key).copied()).collect();
        median(&measured)
    }
}

/// A goal a row: Threefold, what is wanted, and each peer.
fn figures_table(columns: &[Column]) -> Table {
    let heads = ["".to_owned(), "must".to_owned(), "goal".to_owned()];
    let names = columns.iter().map(|column| column.system.name().to_owned());
    let mut table = Table::with_heads(heads.into_iter().chain(names).collect());
    for goal in &GOALS {
        let wanted = |wanted: Option<f64>| wanted.map_or("-".to_owned(), figure);
        let head = [goal.name.to_owned(), wanted(goal.must), wanted(goal.goal)];
        let cells = columns.iter().map(|column| {
            let Some(value) = column.median(goal.key) else { return "-".to_owned() };
            let missed = column.system == System::Threefold && goal.must.is_some_and(|must| !goal.reaches(value, must));
            format!("{}{}", figure(value), if missed { "*" } else { "" })
        });
        table.row(head.into_iter().chain(cells));
    }
    table
}

/// A measured goal a row: how much better Threefold does than each peer.
fn ratios_table(columns: &[Column]) -> Table {
    let peers: Vec<&Column> = columns.iter().filter(|column| column.system != System::Threefold).collect();
    let heads = peers.iter().map(|column| format!("to {}", column.system.name()));
    let mut table = Table::with_heads(std::iter::once("ratio".to_owned()).chain(heads).collect());
    let Some(ours) = columns.iter().find(|column| column.system == System::Threefold) else { return table };
    for goal in GOALS.iter().filter(|goal| goal.key != GENERATOR) {
        let Some(own) = ours.median(goal.key) else { continue };
        let cells: Vec<String> = peers.iter().map(|peer| ratio_cell(goal, own, peer)).collect();
        if cells.iter().any(|cell| cell != "-") {
            table.row(std::iter::once(goal.name.to_owned()).chain(cells));
        }
        if goal.key == THROUGHPUT {
            let marks = peers.iter().map(|peer| match throughput_ratios(peer.system) {
                Some((must, mark)) => format!("{must}x, {mark}x"),
                None => "-".to_owned(),
            });
            table.row(std::iter::once("  must, goal".to_owned()).chain(marks));
        }
    }
    table
}

fn ratio_cell(goal: &Goal, own: f64, peer: &Column) -> String {
    let Some(theirs) = peer.median(goal.key) else { return "-".to_owned() };
    let (better, worse) = match goal.wanted {
        Wanted::More => (own, theirs),
        Wanted::Less => (theirs, own),
    };
    let must = (goal.key == THROUGHPUT).then(|| throughput_ratios(peer.system)).flatten();
    let missed = must.is_some_and(|(must, _)| better < must * worse);
    format!("{}{}", ratio(better, worse), if missed { "*" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(system: System, figures: &[(&'static str, f64)]) -> Column {
        Column { system, repetitions: vec![figures.iter().copied().collect()] }
    }

    #[test]
    fn ratios_favour_threefold_above_one_whatever_is_wanted() {
        let ours = column(System::Threefold, &[("write_512_per_second", 60_000.0), ("write_1_p50_ms", 0.5)]);
        let theirs = column(System::Etcd, &[("write_512_per_second", 15_000.0), ("write_1_p50_ms", 1.0)]);
        let text = ratios_table(&[ours, theirs]).render();
        assert!(
            text.lines().any(|line| line.starts_with("512 senders: messages") && line.ends_with("4.00x")),
            "{text}"
        );
        assert!(text.lines().any(|line| line.contains("must") && line.ends_with("3x, 6x")), "{text}");
        assert!(text.lines().any(|line| line.starts_with("1 sender") && line.ends_with("2.00x")), "{text}");
    }

    #[test]
    fn what_must_be_reached_and_is_not_is_marked() {
        let well = figures_table(&[column(System::Threefold, &[("write_512_per_second", 40_000.0)])]).render();
        let badly = figures_table(&[column(System::Threefold, &[("write_512_per_second", 39_999.0)])]).render();
        assert!(!well.contains('*') && badly.contains("39,999*"), "{well}\n{badly}");
        let slow = figures_table(&[column(System::Threefold, &[("write_1_p50_ms", 0.9)])]).render();
        assert!(slow.contains("0.90*"), "{slow}");
    }

    #[test]
    fn medians_are_taken_over_repetitions() {
        let of = |value: f64| -> Figures { [("x", value)].into_iter().collect() };
        let column = Column { system: System::Nats, repetitions: vec![of(3.0), of(1.0), of(2.0)] };
        assert_eq!(column.median("x"), Some(2.0));
        assert_eq!(column.median("y"), None);
    }
}
