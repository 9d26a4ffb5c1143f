//! `threefold-sim`: runs seeds, each in a process of its own, and says which fail and how to see them again.

use std::{
    process::{Command, ExitCode, Output},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Parser;
use threefold_sim::{Terms, run};

/// Exit code of a run in which an invariant did not hold.
const VIOLATED: u8 = 1;

/// Simulates whole clusters under faults, and checks what must hold.
#[derive(Parser, Debug)]
#[command(version)]
struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// Simulated seconds of each run
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(25..))]
    seconds: u64,
    /// Servers of the cluster: 3 or 5; both in turn if absent
    #[arg(long, value_parser = ["3", "5"])]
    servers: Option<String>,
    /// Three servers without survivor mode, as plain Raft
    #[arg(long)]
    plain: bool,
    /// Runs at once; as many as there are processors if absent
    #[arg(long)]
    jobs: Option<usize>,
    /// Stops at the first seed that fails
    #[arg(long)]
    stop: bool,
    /// Runs this seed alone, in this process, and prints its trace
    #[arg(long, conflicts_with_all = ["seeds", "start", "jobs", "stop"])]
    seed: Option<u64>,
    /// Takes a rule away from every server: majority-is-visible, restarted-votes or lease-reads
    #[cfg(feature = "sabotage")]
    #[arg(long)]
    sabotage: Option<String>,
    /// With --seed: prints the summary line only
    #[arg(long, requires = "seed")]
    quiet: bool,
    /// With --seed: prints what the servers log, too (a filter such as `info`, to the standard error)
    #[arg(long, requires = "seed", value_name = "FILTER")]
    log: Option<String>,
}

impl Arguments {
    fn terms(&self, seed: u64) -> Terms {
        let servers = match self.servers.as_deref() {
            Some("5") => 5,
            Some(_) => 3,
            // Every fourth: five servers cost more, and three have more to go wrong.
            None if seed.is_multiple_of(4) => 5,
            None => 3,
        };
        Terms { servers, seconds: self.seconds, survivor: servers == 3 && !self.plain }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => one(&arguments, seed),
        None => many(&arguments),
    }
}

/// A build whose runs cannot be repeated says so.
fn warn() {
    if !cfg!(tokio_unstable) {
        eprintln!(
            "note: in this build a seed does not give the same run twice: `cargo --config sim/cargo.toml run --release -p threefold-sim`"
        );
    }
}

/// One seed, here.
fn one(arguments: &Arguments, seed: u64) -> anyhow::Result<ExitCode> {
    warn();
    if let Some(filter) = &arguments.log {
        tracing_subscriber::fmt().with_env_filter(filter.as_str()).without_time().with_writer(std::io::stderr).init();
    }
    #[cfg(feature = "sabotage")]
    threefold_server::sabotage::choose(sabotage(arguments)?);
    let outcome = run(seed, arguments.terms(seed)).with_context(|| format!("seed {seed}"))?;
    if !arguments.quiet {
        print!("{}", outcome.trace);
    }
    let verdict = match &outcome.violation {
        Some(violation) => format!("VIOLATED: {}: {}", violation.invariant, violation.what),
        None => "ok".to_owned(),
    };
    let (seconds, digest) = (outcome.simulated.as_secs(), outcome.digest());
    println!(
        "seed {seed}: {seconds} s, {} messages, {} reads, trace {digest}: {verdict}",
        outcome.acknowledged, outcome.reads
    );
    Ok(if outcome.violation.is_some() { ExitCode::from(VIOLATED) } else { ExitCode::SUCCESS })
}

/// The rule to take away.
#[cfg(feature = "sabotage")]
fn sabotage(arguments: &Arguments) -> anyhow::Result<Option<threefold_server::sabotage::Sabotage>> {
    use threefold_server::sabotage::Sabotage;
    Ok(Some(match arguments.sabotage.as_deref() {
        None => return Ok(None),
        Some("majority-is-visible") => Sabotage::MajorityIsVisible,
        Some("restarted-votes") => Sabotage::RestartedVotes,
        Some("lease-reads") => Sabotage::LeaseReads,
        Some(other) => anyhow::bail!("there is no rule called {other}"),
    }))
}

/// Many seeds, each in a process of its own: one that aborts is a failure like any other.
fn many(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let began = Instant::now();
    let next = AtomicU64::new(arguments.start);
    let end = arguments.start + arguments.seeds;
    let jobs = arguments.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= end {
                return Ok::<_, anyhow::Error>(failed);
            }
            let terms = arguments.terms(seed);
            let mut command = Command::new(&program);
            let (seconds, servers) = (terms.seconds.to_string(), terms.servers.to_string());
            command.args(["--seed", &seed.to_string(), "--quiet", "--seconds", &seconds, "--servers", &servers]);
            if arguments.plain {
                command.arg("--plain");
            }
            #[cfg(feature = "sabotage")]
            if let Some(rule) = &arguments.sabotage {
                command.args(["--sabotage", rule]);
            }
            let output = command.output().context("cannot start a run")?;
            print!("{}", String::from_utf8_lossy(&output.stdout));
            if !output.status.success() {
                report(seed, &output);
                let plain = if arguments.plain { " --plain" } else { "" };
                let again = format!("threefold-sim --seed {seed} --seconds {seconds} --servers {servers}{plain}");
                println!("  to see it again: {again}");
                failed.push(seed);
                if arguments.stop {
                    next.store(end, Ordering::SeqCst);
                }
            }
        }
    };
    let failed = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let mut failed = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(seeds) => failed.extend(seeds?),
                Err(_) => anyhow::bail!("a worker has panicked"),
            }
        }
        anyhow::Ok(failed)
    })?;
    summarise(arguments, &failed, began.elapsed());
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) })
}

fn report(seed: u64, output: &Output) {
    if output.status.code() != Some(i32::from(VIOLATED)) || output.stdout.is_empty() {
        println!("seed {seed}: FAILED: {}", output.status);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    for line in words.lines().take(20) {
        println!("  {line}");
    }
}

fn summarise(arguments: &Arguments, failed: &[u64], took: Duration) {
    println!(
        "{} runs of {} simulated seconds in {:.0} s: {} failed {failed:?}",
        arguments.seeds,
        arguments.seconds,
        took.as_secs_f64(),
        failed.len()
    );
}
