//! `recover`: makes one server the beginning of a new cluster, when the others cannot come back. Rule 10.
//!
//! Shows what this server has and whether the others run, says what may be lost, and asks. Nothing is changed without
//! `--force` and without an answer.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use threefold::{exit, settings::Settings};
use threefold_server::{
    clock::now_ms,
    config::{PeerConfig, PeerTls},
    recover::{Offline, RecoverError, Recovered, Seen, look_at},
    storage::directory::{Directory, DirectoryError},
};

use super::{
    Failure,
    output::{Output, escape},
};

/// What is said before anything is done.
const WARNING: &str = "\
This makes the server the beginning of a new cluster, with everything that it has and nothing that it has not:
messages that others have acknowledged and this server never received ARE LOST. Do it only if the other servers cannot
be brought back: started together, servers go on by themselves as soon as that is safe, and lose nothing. The others must be
stopped now, and their data directories be emptied before they are started again: they are refused until then.";

/// The options of `threefold recover`.
#[derive(Args, Debug)]
#[command(
    after_help = "Without --force it only shows what the server has. The data directory is copied before it is changed."
)]
pub struct RecoverArgs {
    /// The server's configuration, a TOML file as for `threefold serve`
    #[arg(long, env = "THREEFOLD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's data directory, instead of a configuration or of the one in it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Begin a new cluster; acknowledged messages may be lost
    #[arg(long)]
    force: bool,
    /// Do not ask: the others are stopped and will be emptied. NAME is this server's name
    #[arg(long, value_name = "NAME")]
    yes: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is found out before anything is done.
struct Situation {
    name: String,
    data_dir: PathBuf,
    offline: Offline,
    others: Vec<(PeerConfig, Seen)>,
    tls: Option<PeerTls>,
}

/// Runs `threefold recover`.
pub async fn recover(args: RecoverArgs) -> Result<(), Failure> {
    let output = Output::new(args.json);
    let situation = Situation::look(&args).await?;
    output.remark(&situation.human())?;
    if !args.force {
        if args.json {
            output.result(&situation.report(), String::new)?;
        }
        let why = "nothing was changed: with --force this server would begin a new cluster, and what only others have is lost";
        return Err(Failure::declined(why));
    }
    situation.refuse_if_others_run()?;
    output.remark(&format!("\n{WARNING}\n"))?;
    confirm(&situation.name, args.yes.as_deref())?;
    // That may have taken a while.
    let situation = situation.look_again().await?;
    situation.refuse_if_others_run()?;
    let mut report = situation.report();
    let Situation { offline, name, .. } = situation;
    let recovered = offline.recover(now_ms()).map_err(cut_short)?;
    report.recovered = Some((&recovered).into());
    output.result(&report, || done(&name, &recovered))?;
    Ok(())
}

impl Situation {
    async fn look(args: &RecoverArgs) -> Result<Self, Failure> {
        let settings = args.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
        let missing =
            || Failure::usage("say which server: --config with its configuration, or --data-dir with its data");
        let data_dir = args.data_dir.clone().or(settings.data_dir).ok_or_else(missing)?;
        let owner = Directory::owner(&data_dir).map_err(|error| failure(error.into()))?;
        let Some(name) = settings.name.or(owner) else {
            let directory = data_dir.display();
            return Err(Failure::declined(format!("there is no server's data in {directory}")));
        };
        let files = settings.peer_ca.zip(settings.peer_cert).zip(settings.peer_key);
        let tls = files.map(|((ca, certificate), key)| PeerTls { ca, certificate, key });
        let offline = Offline::open(&data_dir, &name).map_err(failure)?;
        // Those it knows as members, and those it was told of.
        let members = offline
            .findings()
            .members
            .iter()
            .map(|peer| PeerConfig { name: peer.member.name.clone(), peer_address: peer.member.peer_address.clone() });
        let told = settings.peers.unwrap_or_default().into_iter().map(|peer| peer.0);
        let mut others = Vec::new();
        for other in members.chain(told).filter(|other| other.name != name) {
            if !others.contains(&other) {
                others.push(other);
            }
        }
        let seen = look(&others, tls.as_ref()).await?;
        Ok(Self { name, data_dir, offline, others: others.into_iter().zip(seen).collect(), tls })
    }

    async fn look_again(self) -> Result<Self, Failure> {
        let others = self.others.into_iter().map(|(other, _)| other).collect::<Vec<_>>();
        let seen = look(&others, self.tls.as_ref()).await?;
        Ok(Self { others: others.into_iter().zip(seen).collect(), ..self })
    }

    fn refuse_if_others_run(&self) -> Result<(), Failure> {
        let running = self.others.iter().filter(|(_, seen)| *seen != Seen::Silent);
        let running = running.map(|(other, _)| format!("{} at {}", other.name, other.peer_address)).collect::<Vec<_>>();
        if running.is_empty() {
            return Ok(());
        }
        Err(Failure::declined(format!(
            "nothing was changed: there is still a process at {}; a cluster with a running server needs no recovery, or must be \
             stopped first, for two histories would go on beside each other",
            running.join(", ")
        )))
    }

    fn human(&self) -> String {
        let findings = self.offline.findings();
        let place = |entry: Option<(u64, u64)>| match entry {
            Some((term, index)) => format!("entry {index} of term {term}"),
            None => "nothing".to_owned(),
        };
        let (last, applied) = (place(findings.last()), place(findings.applied()));
        let mut text = format!("{}, in {}, has:\n", escape(&self.name), self.data_dir.display());
        // Writing to a string does not fail.
        let _ = writeln!(text, "  its log up to {last}; it has voted in term {}", findings.term);
        let _ = writeln!(text, "  shown to clients, as far as it knows, up to {applied}");
        let _ = writeln!(text, "The others:");
        for (other, seen) in &self.others {
            let seen = match seen {
                Seen::Silent => "does not answer".to_owned(),
                Seen::Listens => "something listens there, but does not say what it has".to_owned(),
                Seen::Runs(end) => format!("runs, and has its log up to {}", place(end.last())),
            };
            let _ = writeln!(text, "  {} at {}: {seen}", escape(&other.name), escape(&other.peer_address));
        }
        if self.others.is_empty() {
            let _ = writeln!(text, "  there are none");
        }
        text.trim_end().to_owned()
    }

    fn report(&self) -> Report {
        let findings = self.offline.findings();
        let entry = |entry: Option<(u64, u64)>| entry.map(|(term, index)| Entry { term, index });
        let others = self.others.iter().map(|(other, seen)| Other {
            name: other.name.clone(),
            peer_address: other.peer_address.clone(),
            state: match seen {
                Seen::Silent => "silent",
                Seen::Listens => "listening",
                Seen::Runs(_) => "running",
            },
            last: match seen {
                Seen::Runs(end) => entry(end.last()),
                Seen::Silent | Seen::Listens => None,
            },
        });
        Report {
            server: self.name.clone(),
            id: findings.id,
            term: findings.term,
            last: entry(findings.last()),
            applied: entry(findings.applied()),
            others: others.collect(),
            recovered: None,
        }
    }
}

async fn look(others: &[PeerConfig], tls: Option<&PeerTls>) -> Result<Vec<Seen>, Failure> {
    look_at(others, tls).await.map_err(|error| Failure::usage(error.to_string()))
}

/// Goes on only if somebody means this server.
fn confirm(name: &str, yes: Option<&str>) -> Result<(), Failure> {
    let answer = match yes {
        Some(answer) => answer.to_owned(),
        None if !io::stdin().is_terminal() => {
            return Err(Failure::usage(
                "nobody to ask: --yes NAME says that the others are stopped and will be emptied",
            ));
        }
        None => {
            let mut prompt = io::stderr();
            write!(prompt, "The others are stopped, and will be emptied? Then type this server's name: ")?;
            prompt.flush()?;
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line)?;
            line.trim().to_owned()
        }
    };
    if answer == name {
        return Ok(());
    }
    Err(Failure::declined(format!("nothing was changed: this server is called {name}, not {answer}")))
}

fn done(name: &str, recovered: &Recovered) -> String {
    format!(
        "{} is a cluster of its own now, in term {}. Start it as always (`threefold serve`, `up`). What it was is in {}; \
         remove that when all is well. Empty the directories of the other servers before they are started.",
        escape(name),
        recovered.beginning.term,
        shown(&recovered.backup),
    )
}

fn shown(path: &Path) -> String {
    escape(&path.display().to_string())
}

/// Why it failed before anything was changed.
fn failure(error: RecoverError) -> Failure {
    match error {
        RecoverError::Directory(in_use @ DirectoryError::InUse(_)) => {
            Failure::declined(format!("{in_use}: stop the server first"))
        }
        RecoverError::Directory(DirectoryError::Io { path, source, .. }) => Failure::file(&path, &source),
        error if is_of_the_disk(&error) => Failure::local(error.to_string()),
        error => exit::Failure::Refused(error.to_string()).into(),
    }
}

/// Why it failed when something may have been changed already.
fn cut_short(error: RecoverError) -> Failure {
    if is_of_the_disk(&error) {
        return Failure::local(format!("{error}; if a start says that the recovery was interrupted, recover again"));
    }
    failure(error)
}

fn is_of_the_disk(error: &RecoverError) -> bool {
    match error {
        RecoverError::Directory(DirectoryError::Io { .. }) | RecoverError::Open(..) => true,
        RecoverError::Offline(error) => error.is_of_the_disk(),
        RecoverError::Directory(_) => false,
    }
}

#[derive(Serialize)]
struct Report {
    server: String,
    id: u64,
    term: u64,
    last: Option<Entry>,
    applied: Option<Entry>,
    others: Vec<Other>,
    recovered: Option<Done>,
}

#[derive(Serialize)]
struct Entry {
    term: u64,
    index: u64,
}

#[derive(Serialize)]
struct Other {
    name: String,
    peer_address: String,
    state: &'static str,
    last: Option<Entry>,
}

#[derive(Serialize)]
struct Done {
    term: u64,
    index: u64,
    backup: String,
    recovery_id: String,
}

impl From<&Recovered> for Done {
    fn from(recovered: &Recovered) -> Self {
        Self {
            term: recovered.beginning.term,
            index: recovered.beginning.index,
            backup: recovered.backup.display().to_string(),
            recovery_id: recovered.recovery_id.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use threefold_server::raft::offline::OfflineError;

    use super::*;

    #[test]
    fn a_full_disk_is_no_refusal() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let (path, action) = (PathBuf::from("data"), "make a copy of");
        let failures = [
            RecoverError::Open("state", full()),
            RecoverError::Offline(OfflineError::Io(full())),
            RecoverError::Directory(DirectoryError::Io { action, path, source: full() }),
        ];
        for error in failures {
            let failure = cut_short(error);
            assert!(failure.exit_code() == 4 && failure.message().ends_with("recover again"), "{failure:?}");
        }
        assert_eq!(cut_short(RecoverError::Offline(OfflineError::NoMember)).exit_code(), 1);
    }
}
