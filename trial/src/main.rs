//! The main job on real input: twenty people talk over all servers, half of them away half of the time, while servers
//! and devices are killed again and again. In the end everybody must have exactly what was acknowledged.
//!
//! Nothing is shared with the program under trial but its client library (for sending) and its way to start a server:
//! what is delivered is recorded by separate `threefold follow` processes, and histories come from `threefold messages`.

mod cluster;
mod devices;
mod ledger;
mod people;
mod summary;
mod survivors;
mod texts;
mod verify;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use cluster::Cluster;
use devices::{Device, Life};
use futures::{StreamExt as _, TryStreamExt as _, future::join_all, stream};
use ledger::{Ledger, Outcome};
use people::{NAMES, Person, Presence, Voice};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use summary::Summary;
use texts::Texts;
use threefold_client::Statistics;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use verify::{Judge, View};

/// Servers are killed so often.
const KILL_EVERY: Duration = Duration::from_secs(2);
/// A killed server stays dead so long.
const DEAD_FOR: Duration = Duration::from_millis(1000);
/// A word about how it goes, so often.
const WORD_EVERY: Duration = Duration::from_secs(10);
/// Commands run at the same time, where many have to be.
const COMMANDS: usize = 4;
/// Log positions of one entry: what divides an event id into the index of its entry.
const PLACES_PER_ENTRY: u64 = 4096;

/// Conversations of twenty people while servers are killed every two seconds.
#[derive(Parser, Debug)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// How long they talk
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// How many servers
    #[arg(long, default_value_t = 3)]
    servers: usize,
    /// How many of them are killed at a time; a majority must remain
    #[arg(long, default_value_t = 1)]
    down: usize,
    /// The average pause of a sender between two messages
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    pause: u64,
    /// Decides who writes what to whom and what is killed (not when things happen: that is up to the machine)
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program under trial [default: the one beside this one]
    #[arg(long, value_name = "FILE")]
    threefold: Option<PathBuf>,
    /// Where the texts are
    #[arg(long, value_name = "DIR", default_value = texts::FORTUNES)]
    fortunes: PathBuf,
    /// Tell when what was killed, and when messages had to wait
    #[arg(long)]
    verbose: bool,
    /// Keep the directory even if all is well
    #[arg(long)]
    keep: bool,
}

/// What else there is to try.
#[derive(Subcommand, Debug)]
enum Instead {
    Survivors(survivors::SurvivorsArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = Args::parse();
    let result = match args.instead.take() {
        Some(Instead::Survivors(args)) => survivors::run(args).await,
        None => run(args).await,
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("threefold-trial: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<bool> {
    if args.down * 2 >= args.servers {
        bail!("with {} of {} servers down no majority remains", args.down, args.servers);
    }
    let mut dice = StdRng::seed_from_u64(args.seed);
    let texts = Texts::load(&args.fortunes, &mut dice)?;
    let executable = executable(args.threefold.as_deref())?;
    let directory = tempfile::Builder::new().prefix("threefold-trial-").tempdir()?.keep();
    println!(
        "{} texts ({} left out: no message may hold them); {} servers, {} killed at a time; in {}",
        texts.count(),
        texts.left_out,
        args.servers,
        args.down,
        directory.display()
    );
    let mut cluster = Cluster::start(&executable, &directory, args.servers, &mut dice).await?;
    let result = trial(&args, &mut cluster, &executable, &directory, texts, dice).await;
    cluster.stop().await;
    let well = match &result {
        Ok(violations) => violations.is_empty(),
        Err(_) => false,
    };
    if well && !args.keep {
        std::fs::remove_dir_all(&directory)?;
    } else {
        println!("everything is kept in {}", directory.display());
    }
    let violations = result?;
    summary::print_violations(&violations);
    Ok(well)
}

/// The program under trial.
fn executable(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let beside = || Ok::<_, std::io::Error>(env::current_exe()?.with_file_name("threefold"));
    let path = given.map_or_else(beside, |path| Ok(path.to_owned()))?;
    let path = std::path::absolute(path)?;
    if !path.exists() {
        bail!("{} is not there: build it first, with cargo build --release", path.display());
    }
    Ok(path)
}

/// Everything but the frame around it. Returns what is wrong.
async fn trial(
    args: &Args,
    cluster: &mut Cluster,
    executable: &Path,
    directory: &Path,
    texts: Texts,
    mut dice: StdRng,
) -> anyhow::Result<Vec<String>> {
    let addresses = cluster.addresses();
    let people: Vec<Person> = stream::iter(0..NAMES.len())
        .map(|user| Person::register(user, &addresses[user % addresses.len()]))
        .buffered(COMMANDS)
        .try_collect()
        .await
        .context("cannot register the users")?;
    let devices = devices(executable, directory, &addresses);
    let log_ins = stream::iter(&devices).map(|device| device.log_in(NAMES[device.user]));
    log_ins.buffered(COMMANDS).try_collect::<Vec<()>>().await?;
    println!("{} users with {} devices are logged in", people.len(), devices.len());

    let ledger = Ledger::default();
    let crowd = Crowd::gather(people, &devices, Arc::new(Mutex::new(texts)), &ledger, args, &mut dice);
    disturb(args, cluster, &ledger, &mut dice).await?;
    let (statistics, lives) = crowd.disperse(cluster).await?;

    let entries = ledger.entries();
    let last = entries.iter().filter_map(|entry| match entry.outcome {
        Outcome::Acknowledged(id) => Some(id / PLACES_PER_ENTRY),
        Outcome::Unknown(_) | Outcome::Abandoned | Outcome::NotSent(_) | Outcome::Refused(_) => None,
    });
    let last = last.max().unwrap_or(0);
    // The hardest at the end: everybody at once, and everything must still be there.
    cluster.kill_all().await?;
    cluster.start_dead()?;
    cluster.wait_until_complete(last).await?;

    let finishes = stream::iter(&devices).map(Device::finish);
    finishes.buffered(COMMANDS).try_collect::<Vec<()>>().await?;
    let mut violations = cluster.deaths.clone();
    violations.extend(lives.iter().flat_map(|life| life.faults.iter().cloned()));
    let delivered = verify_all(&entries, &devices, &mut violations).await?;
    if args.verbose {
        summary::print_story(cluster, &ledger.gaps());
    }
    let retried = statistics.iter().map(|statistics| statistics.retried).sum();
    Summary::new(args.seconds, &entries, ledger.longest_gap(), retried, cluster, &lives, delivered).print();
    Ok(violations)
}

/// Everybody has one device, every fourth user two.
fn devices(executable: &Path, directory: &Path, addresses: &[String]) -> Vec<Device> {
    let devices = (0..NAMES.len()).flat_map(|user| {
        let count = if user % 4 == 0 { 2 } else { 1 };
        (1..=count).map(move |number| (user, number))
    });
    let device = |(user, number): (usize, usize)| {
        Device::new(executable, directory, user, &format!("{}-{number}", NAMES[user]), addresses.join(","))
    };
    devices.map(device).collect()
}

/// The users and their devices, at work.
struct Crowd {
    stop: watch::Sender<bool>,
    shifts: Vec<JoinHandle<()>>,
    talks: Vec<JoinHandle<anyhow::Result<Statistics>>>,
    lives: Vec<JoinHandle<anyhow::Result<Life>>>,
}

impl Crowd {
    fn gather(
        people: Vec<Person>,
        devices: &[Device],
        texts: Arc<Mutex<Texts>>,
        ledger: &Ledger,
        args: &Args,
        dice: &mut StdRng,
    ) -> Self {
        let (stop, stopping) = watch::channel(false);
        let mut crowd = Self { stop, shifts: Vec::new(), talks: Vec::new(), lives: Vec::new() };
        let pause = Duration::from_millis(args.pause);
        for (user, person) in people.into_iter().enumerate() {
            let (coming, presence) = watch::channel(Presence::Here);
            let voice_dice = StdRng::seed_from_u64(dice.random());
            let mut speaker = Some((person, Voice::new(user, texts.clone(), ledger.clone(), pause, voice_dice)));
            for device in devices.iter().filter(|device| device.user == user) {
                let dice = StdRng::seed_from_u64(dice.random());
                crowd.lives.push(tokio::spawn(device.clone().live(presence.clone(), dice)));
                // Whoever has two devices talks by the first.
                if let Some((person, voice)) = speaker.take() {
                    crowd.talks.push(tokio::spawn(person.talk(voice, device.clone(), presence.clone())));
                }
            }
            let shift = people::come_and_go(coming, people::part_time(user), stopping.clone(), dice.random());
            crowd.shifts.push(tokio::spawn(shift));
        }
        crowd
    }

    /// Lets everybody finish, on a cluster that is whole again.
    async fn disperse(self, cluster: &mut Cluster) -> anyhow::Result<(Vec<Statistics>, Vec<Life>)> {
        cluster.start_dead()?;
        cluster.wait_until_complete(0).await?;
        self.stop.send_replace(true);
        join_all(self.shifts).await;
        let mut statistics = Vec::new();
        for talk in join_all(self.talks).await {
            statistics.push(talk??);
        }
        let mut lives = Vec::new();
        for life in join_all(self.lives).await {
            lives.push(life??);
        }
        Ok((statistics, lives))
    }
}

/// Kills servers and starts them again, for as long as was asked.
async fn disturb(args: &Args, cluster: &mut Cluster, ledger: &Ledger, dice: &mut StdRng) -> anyhow::Result<()> {
    let start = Instant::now();
    let end = start + Duration::from_secs(args.seconds);
    let mut word_at = start + WORD_EVERY;
    let mut next = start + KILL_EVERY;
    while next < end {
        tokio::time::sleep_until(next).await;
        cluster.kill_some(args.down, dice).await?;
        sleep(DEAD_FOR).await;
        cluster.start_dead()?;
        next = (next + KILL_EVERY).max(Instant::now());
        if Instant::now() >= word_at {
            word_at += WORD_EVERY;
            let seconds = start.elapsed().as_secs();
            println!("{seconds:4} s: {} acknowledged, {} kills", ledger.acknowledged(), cluster.kills);
        }
    }
    tokio::time::sleep_until(end).await;
    Ok(())
}

/// Judges everything that was delivered and every history, from both sides. Returns how many messages were delivered.
async fn verify_all(
    entries: &[ledger::Entry],
    devices: &[Device],
    violations: &mut Vec<String>,
) -> anyhow::Result<u64> {
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let judge = Judge::new(&names, entries);
    violations.extend(judge.ledger());
    let mut delivered = 0;
    for device in devices {
        let lines = device.recorded()?;
        delivered += lines.iter().filter(|line| line.kind == "message").count() as u64;
        violations.extend(judge.view(View { place: &device.name, user: device.user, with: None }, &lines));
    }
    let sides = people::pairs().flat_map(|(a, b)| [(a, b), (b, a)]);
    let histories = stream::iter(sides).map(|(user, other)| async move {
        let device = devices.iter().find(|device| device.user == user).context("every user has a device")?;
        anyhow::Ok((user, other, device.history(NAMES[other]).await?))
    });
    let histories: Vec<_> = histories.buffered(COMMANDS).try_collect().await?;
    for (user, other, lines) in &histories {
        let place = format!("history of {} with {}", NAMES[*user], NAMES[*other]);
        violations.extend(judge.view(View { place: &place, user: *user, with: Some(*other) }, lines));
        violations.extend(judge.numbers(&place, lines));
    }
    Ok(delivered)
}
