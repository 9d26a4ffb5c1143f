//! The rounds: people write all the time while two servers are killed in each round, each pair in turn, alternately at the
//! same instant and one after another. How long until the rest acknowledges again, how long until all is normal once
//! the killed ones are started, and is everything there that ever was acknowledged?

mod figures;
mod pulse;
mod writers;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use figures::Times;
use pulse::Pulse;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep, timeout};
use writers::{NAMES, READER, Writers};

use crate::{
    PLACES_PER_ENTRY,
    cluster::{Cluster, PATIENCE},
    devices::Device,
    ledger::{Entry, Ledger, Outcome},
    summary,
    verify::{Judge, View},
};

/// Messages acknowledged before a round begins, and again by those that are left.
const QUIET: u64 = 50;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A word about how it goes, after so many rounds.
const WORD_EVERY: usize = 10;
/// How long writes may stand still in the middle of all rounds...
const GAP_MEDIAN: Duration = Duration::from_secs(1);
/// ...and at worst.
const GAP_WORST: Duration = Duration::from_secs(3);
/// How long it may take until all is normal, from the start of the killed ones.
const NORMAL_WORST: Duration = Duration::from_secs(5);

/// Kill two servers in each round, each pair in turn, and see whether the rest goes on
#[derive(Args, Debug)]
pub struct SurvivorsArgs {
    /// How many rounds
    #[arg(long, default_value_t = 100)]
    rounds: usize,
    /// How many servers: three in survivor mode, or five
    #[arg(long, default_value_t = 3)]
    servers: usize,
    /// Measure times, but do not judge them: for machines that are busy with something else
    #[arg(long)]
    untimed: bool,
    /// The program under trial [default: the one beside this one]
    #[arg(long, value_name = "FILE")]
    threefold: Option<PathBuf>,
    /// Keep the directory even if all is well
    #[arg(long)]
    keep: bool,
}

/// Runs the rounds. Says whether all was well.
pub async fn run(args: SurvivorsArgs) -> anyhow::Result<bool> {
    if !(3..=9).contains(&args.servers) {
        bail!("two of {} servers cannot be killed with a meaning", args.servers);
    }
    let executable = crate::executable(args.threefold.as_deref())?;
    let directory = tempfile::Builder::new().prefix("threefold-survivors-").tempdir()?.keep();
    println!("{} rounds, two of {} servers killed in each; in {}", args.rounds, args.servers, directory.display());
    let mut dice = StdRng::from_os_rng();
    let mut cluster = Cluster::start(&executable, &directory, args.servers, &mut dice).await?;
    let mut rounds = Rounds::new(&mut cluster);
    let mut result = rounds.all(args.rounds).await;
    if let Ok(violations) = &mut result {
        violations.extend(rounds.slow().into_iter().filter(|_| !args.untimed));
        let read = |server: usize| -> Device {
            let name = format!("{}-{}", NAMES[READER], server + 1);
            Device::new(&executable, &directory, READER, &name, rounds.cluster.addresses()[server].clone())
        };
        let devices: Vec<Device> = (0..args.servers).map(read).collect();
        violations.extend(rounds.judge(&devices).await?);
        rounds.print();
    }
    cluster.stop().await;
    let well = result.as_ref().is_ok_and(Vec::is_empty);
    if well && !args.keep {
        std::fs::remove_dir_all(&directory)?;
    } else {
        println!("everything is kept in {}", directory.display());
    }
    summary::print_violations(&result?);
    Ok(well)
}

/// How the two are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    AtOnce,
    OneAfterAnother,
}

struct Rounds<'a> {
    cluster: &'a mut Cluster,
    ledger: Ledger,
    pulse: Pulse,
    at_once: Times,
    first_of_two: Times,
    second_of_two: Times,
    normal: Times,
}

impl<'a> Rounds<'a> {
    fn new(cluster: &'a mut Cluster) -> Self {
        Self {
            cluster,
            ledger: Ledger::default(),
            pulse: Pulse::default(),
            at_once: Times::default(),
            first_of_two: Times::default(),
            second_of_two: Times::default(),
            normal: Times::default(),
        }
    }

    /// All rounds. Gives what was wrong with the servers themselves.
    async fn all(&mut self, rounds: usize) -> anyhow::Result<Vec<String>> {
        let servers = self.cluster.addresses().len();
        let pairs: Vec<[usize; 2]> =
            (0..servers).flat_map(|first| (first + 1..servers).map(move |second| [first, second])).collect();
        let writers = Writers::start(&self.cluster.addresses(), &self.ledger, &self.pulse).await?;
        self.until_normal().await?;
        for round in 0..rounds {
            let manner = if round % 2 == 0 { Manner::AtOnce } else { Manner::OneAfterAnother };
            let mut pair = pairs[round / 2 % pairs.len()];
            // The other way round, the next time that it comes to this pair.
            if round / 2 / pairs.len() % 2 == 1 {
                pair.reverse();
            }
            let context = || format!("round {}: servers {} and {}", round + 1, pair[0] + 1, pair[1] + 1);
            self.round(pair, manner).await.with_context(context)?;
            if (round + 1) % WORD_EVERY == 0 {
                let (acknowledged, longest) = (self.ledger.acknowledged(), self.longest_gap());
                println!("round {:3}: {acknowledged} acknowledged, longest gap {} ms", round + 1, longest.as_millis());
            }
        }
        writers.finish().await?;
        Ok(self.cluster.deaths.clone())
    }

    async fn round(&mut self, [first, second]: [usize; 2], manner: Manner) -> anyhow::Result<()> {
        self.quiet().await?;
        match manner {
            Manner::AtOnce => {
                let gap = self.kill(&[first, second]).await?;
                self.at_once.add(gap);
            }
            Manner::OneAfterAnother => {
                let gap = self.kill(&[first]).await?;
                self.first_of_two.add(gap);
                let gap = self.kill(&[second]).await?;
                self.second_of_two.add(gap);
            }
        }
        self.quiet().await?;
        let started = Instant::now();
        self.cluster.start_dead()?;
        self.until_normal().await?;
        self.normal.add(started.elapsed());
        Ok(())
    }

    /// Kills these at the same moment. Says how long it took until something sent after it was acknowledged.
    async fn kill(&mut self, victims: &[usize]) -> anyhow::Result<Duration> {
        let moment = self.cluster.strike(victims)?;
        self.pulse.listen_since(moment);
        self.cluster.bury(victims).await?;
        match timeout(PATIENCE, self.pulse.first()).await {
            Ok(first) => Ok(first - moment),
            Err(_) => bail!("nothing acknowledged for {PATIENCE:?}: {}", self.cluster.states().await),
        }
    }

    /// Waits for some more acknowledgements.
    async fn quiet(&mut self) -> anyhow::Result<()> {
        let (give_up, enough) = (Instant::now() + PATIENCE, self.ledger.acknowledged() + QUIET);
        while self.ledger.acknowledged() < enough {
            if Instant::now() > give_up {
                bail!("too little is acknowledged for {PATIENCE:?}: {}", self.cluster.states().await);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until every server says that all is normal.
    async fn until_normal(&mut self) -> anyhow::Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while !self.cluster.is_normal().await? {
            if Instant::now() > give_up {
                bail!("not normal again for {PATIENCE:?}: {}", self.cluster.states().await);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    fn longest_gap(&self) -> Duration {
        [&self.at_once, &self.first_of_two, &self.second_of_two]
            .map(|times| times.at(1.0))
            .into_iter()
            .max()
            .unwrap_or_default()
    }

    /// Which times are beyond what is promised.
    fn slow(&self) -> Vec<String> {
        let mut slow = Vec::new();
        for (what, times) in self.gaps() {
            slow.extend(times.too_slow(what, GAP_MEDIAN, GAP_WORST));
        }
        slow.extend(self.normal.too_slow("normal again", NORMAL_WORST, NORMAL_WORST));
        slow
    }

    fn gaps(&self) -> [(&'static str, &Times); 3] {
        [
            ("two killed at once, acknowledged again", &self.at_once),
            ("one killed, acknowledged again", &self.first_of_two),
            ("and then another, acknowledged again", &self.second_of_two),
        ]
    }

    /// Holds the history of every server against everything that was acknowledged.
    async fn judge(&mut self, devices: &[Device]) -> anyhow::Result<Vec<String>> {
        let entries = self.ledger.entries();
        let id = |entry: &Entry| match entry.outcome {
            Outcome::Acknowledged(id) => id,
            Outcome::Unknown(_) | Outcome::Abandoned | Outcome::NotSent(_) | Outcome::Refused(_) => 0,
        };
        let last = entries.iter().map(id).max().unwrap_or(0);
        self.cluster.wait_until_complete(last / PLACES_PER_ENTRY).await?;
        let names = NAMES.map(str::to_owned);
        let judge = Judge::new(&names, &entries);
        let mut violations = judge.ledger();
        for device in devices {
            device.log_in(NAMES[READER]).await?;
            for (writer, name) in NAMES.iter().enumerate().take(READER) {
                let lines = device.history(name).await?;
                let place = format!("history of {} with {name}", device.name);
                violations.extend(judge.view(View { place: &place, user: READER, with: Some(writer) }, &lines));
                violations.extend(judge.numbers(&place, &lines));
            }
        }
        Ok(violations)
    }

    fn print(&self) {
        for (what, times) in self.gaps() {
            println!("  {what:<40}  {}", times.line());
        }
        println!("  {:<40}  {}", "the killed started, all normal again", self.normal.line());
        println!("  {:<40}  {}", "acknowledged", self.ledger.acknowledged());
        println!("  {:<40}  {}", "server kills", self.cluster.kills);
    }
}
