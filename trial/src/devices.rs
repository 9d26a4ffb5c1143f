//! Devices: each a `threefold follow` process that records what it is told, and is killed and started again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rand::{Rng as _, rngs::StdRng};
use serde::Deserialize;
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    ledger::Outcome,
    people::{Presence, here},
    verify::Line,
};

/// What everybody logs in with.
pub const PASSWORD: &str = "correct horse battery";
/// A command that takes longer is stuck.
const COMMAND_PATIENCE: Duration = Duration::from_secs(90);
/// A device is killed after a random time up to this.
const LIFE: Duration = Duration::from_secs(6);
/// A device that ends by itself is a fault; after so many it is not started again.
const FAULTS: usize = 5;
/// More than any conversation here has.
const ALL_MESSAGES: &str = "1000000";

/// One device of one user.
#[derive(Clone, Debug)]
pub struct Device {
    /// The user's place in the list of users.
    pub user: usize,
    /// What to call it.
    pub name: String,
    executable: PathBuf,
    session: PathBuf,
    output: PathBuf,
    errors: PathBuf,
    servers: String,
}

/// What became of a device's processes.
#[derive(Debug, Default)]
pub struct Life {
    pub kills: u64,
    pub faults: Vec<String>,
}

/// What `threefold send --json` says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Sent { id: u64 },
    Failed { error: CommandError },
}

#[derive(Deserialize)]
struct CommandError {
    code: String,
    message: String,
}

impl Device {
    pub fn new(executable: &Path, directory: &Path, user: usize, name: &str, servers: String) -> Self {
        Self {
            user,
            name: name.to_owned(),
            executable: executable.to_owned(),
            session: directory.join(format!("{name}.session")),
            output: directory.join(format!("{name}.jsonl")),
            errors: directory.join(format!("{name}.err")),
            servers,
        }
    }

    /// Logs in as `user`.
    pub async fn log_in(&self, user: &str) -> anyhow::Result<()> {
        self.run(&["login", user, "--json"]).await.map(drop)
    }

    /// Keeps the device going while its user is there, until they are gone: kills it from time to time.
    pub async fn live(self, mut presence: watch::Receiver<Presence>, mut dice: StdRng) -> anyhow::Result<Life> {
        let mut life = Life::default();
        while here(&mut presence).await && life.faults.len() < FAULTS {
            let mut process = self.follow()?;
            let until = sleep(LIFE.mul_f64(dice.random_range(0.1..1.0)));
            tokio::select! {
                status = process.wait() => {
                    let said = fs::read_to_string(&self.errors).unwrap_or_default();
                    let last = said.lines().last().unwrap_or_default();
                    life.faults.push(format!("{}: follow ended by itself ({}): {last}", self.name, status?));
                    continue;
                }
                _ = presence.wait_for(|presence| *presence != Presence::Here) => {}
                () = until => {}
            }
            process.kill().await?;
            life.kills += 1;
        }
        Ok(life)
    }

    /// Sends a message by a `threefold send` process, which is killed if it lives longer than `life`.
    pub async fn send(&self, peer: &str, body: &str, life: Duration) -> anyhow::Result<Outcome> {
        let mut command = self.command();
        command.args(["send", peer, "--json", "--timeout", "20"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut input) = process.stdin.take() {
            // One line feed at the end belongs to the pipe, not to the text.
            input.write_all(format!("{body}\n").as_bytes()).await?;
        }
        // Dropped, and so killed, with the waiting.
        let Ok(output) = timeout(life, process.wait_with_output()).await else { return Ok(Outcome::Abandoned) };
        let output = output?;
        let said = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
        let answer: Answer = serde_json::from_str(said.trim()).with_context(|| format!("{}: {said}", self.name))?;
        Ok(match answer {
            Answer::Sent { id } => Outcome::Acknowledged(id),
            Answer::Failed { error } => match error.code.as_str() {
                "UNAVAILABLE" => Outcome::NotSent(error.message),
                "OUTCOME_UNKNOWN" => Outcome::Abandoned,
                _ => Outcome::Refused(error.message),
            },
        })
    }

    /// Records whatever there is left to record.
    pub async fn finish(&self) -> anyhow::Result<()> {
        let output = self.output.to_string_lossy().into_owned();
        self.run(&["follow", "--json", "--output", &output, "--after", "0", "--once", "--timeout", "30"])
            .await
            .map(drop)
    }

    /// Everything recorded.
    pub fn recorded(&self) -> anyhow::Result<Vec<Line>> {
        let text = fs::read_to_string(&self.output).with_context(|| self.output.display().to_string())?;
        parse(&text).with_context(|| self.output.display().to_string())
    }

    /// The whole history with another user, as `threefold messages` shows it.
    pub async fn history(&self, peer: &str) -> anyhow::Result<Vec<Line>> {
        parse(&self.run(&["messages", peer, ALL_MESSAGES, "--after", "0", "--json", "--timeout", "30"]).await?)
    }

    fn follow(&self) -> anyhow::Result<Child> {
        let mut command = self.command();
        command.args(["follow", "--json", "--after", "0", "--output"]).arg(&self.output);
        let errors = fs::OpenOptions::new().create(true).append(true).open(&self.errors)?;
        Ok(command.stdout(Stdio::null()).stderr(errors).spawn()?)
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let running = self.command().args(arguments).output();
        let what = || format!("{}: threefold {}", self.name, arguments.join(" "));
        let output = timeout(COMMAND_PATIENCE, running).await.with_context(what)?.with_context(what)?;
        if !output.status.success() {
            bail!("{} failed ({}): {}", what(), output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).with_context(what)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .env("THREEFOLD_SERVERS", &self.servers)
            .env("THREEFOLD_SESSION", &self.session)
            .env("THREEFOLD_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

fn parse(text: &str) -> anyhow::Result<Vec<Line>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("a line that is no event: {line}")))
        .collect()
}
