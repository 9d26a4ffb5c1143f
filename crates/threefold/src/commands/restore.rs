//! `restore`: the data directory of a new cluster's first server, from a backup.
//!
//! Offline, like `recover`; nothing that is there is ever written over. With `--up` it makes a whole directory for `threefold up`. While a
//! configured peer runs and has data nothing is made: servers of the old cluster that meet the new one stand down for good, and would be told to
//! throw away what they have acknowledged since.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use threefold::{
    settings::Settings,
    tui::progress::Progress,
    up::{self, restoring::Planned},
};
use threefold_server::{
    backup::restore::{self as making, Checked, Founder, RestoreError, Restored, Step, Unfinished},
    clock::now_ms,
    config::{Config, PeerConfig},
    recover::{Seen, look_at},
    storage::directory::DirectoryError,
};

use super::{
    Failure,
    backup::{Report as Contents, hex, unusable},
    output::{Output, bytes, escape},
};

/// The options of `threefold restore`.
#[derive(Args, Debug)]
#[command(
    after_help = "Makes the first server of a new cluster; the others are started with empty directories, and join. The cluster is as it was \
                  when the backup was taken: sessions too, so nobody has to log in again, and what was changed since (a password, a session \
                  that was ended) is as before. With --config the servers of the old cluster must be stopped. Never let it run beside the new one for the \
                  same people."
)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The configuration of the new cluster's first server, a TOML file as for `threefold serve`
    #[arg(long, env = "THREEFOLD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Make this directory for `threefold up` instead
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    up: Option<PathBuf>,
    /// With --up: how many servers
    #[arg(long, value_name = "N", default_value_t = up::DEFAULT_SERVERS, requires = "up")]
    servers: usize,
    /// With --up: the first client port
    #[arg(long, value_name = "PORT", default_value_t = up::DEFAULT_PORT, requires = "up")]
    port: u16,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Report {
    server: String,
    data_dir: String,
    term: u64,
    index: u64,
    recovery_id: String,
    backup: Contents,
}

/// Runs `threefold restore`.
pub async fn restore(args: RestoreArgs) -> Result<(), Failure> {
    match (&args.up, &args.config) {
        (Some(directory), _) => into_up(&args, directory),
        (None, Some(config)) => into_server(&args, Settings::read(config)?.complete()?.config).await,
        (None, None) => {
            Err(Failure::usage("say where to: --config with the first server's configuration, or --up DIR"))
        }
    }
}

/// Makes a whole directory for `up`.
fn into_up(args: &RestoreArgs, directory: &Path) -> Result<(), Failure> {
    let planned = Planned::new(directory, args.servers, args.port)?;
    let first = planned.first().ok_or_else(|| Failure::usage("--servers says that there is none"))?;
    let founder = Founder {
        name: first.name.clone(),
        peer_address: first.peer.to_string(),
        client_address: first.client.to_string(),
        survivor_mode: true,
    };
    let checked = check(args, &first.data)?;
    // No `up` runs there until all is done.
    let begun = planned.begin()?;
    let unfinished = make(args, checked, &founder)?;
    begun.remember().map_err(|error| Failure::local(unfinished_there(&error)))?;
    let report = finish(args, &first.data, unfinished)?;
    print(args, &report, &format!("`threefold up --data-dir {}` starts the cluster", directory.display()))
}

/// Makes one server's directory.
async fn into_server(args: &RestoreArgs, config: Config) -> Result<(), Failure> {
    refuse_if_others_run(&config, "nothing was made").await?;
    let founder = Founder {
        name: config.name.clone(),
        peer_address: config.peer_address.clone(),
        client_address: config.client_address.clone(),
        survivor_mode: config.survivor_mode,
    };
    let checked = check(args, &config.data_dir)?;
    let unfinished = make(args, checked, &founder)?;
    // That may have taken a while.
    let half = format!("{} is unfinished, and no server starts on it", config.data_dir.display());
    refuse_if_others_run(&config, &half).await?;
    let report = finish(args, &config.data_dir, unfinished)?;
    let next = "Start it (`threefold serve`, without --bootstrap), and then the others, with empty directories";
    print(args, &report, next)
}

/// Goes on only if no configured peer has data. One that is empty, and waits to be let in, may run.
async fn refuse_if_others_run(config: &Config, so_far: &str) -> Result<(), Failure> {
    let others: Vec<PeerConfig> = config.peers.iter().filter(|peer| peer.name != config.name).cloned().collect();
    let seen = look_at(&others, Some(&config.peer_tls)).await.map_err(|error| Failure::usage(error.to_string()))?;
    let running = others.iter().zip(seen).filter(|(_, seen)| match seen {
        Seen::Silent => false,
        Seen::Listens => true,
        Seen::Runs(end) => !end.is_of_nothing(),
    });
    let running: Vec<String> = running.map(|(other, _)| format!("{} at {}", other.name, other.peer_address)).collect();
    if running.is_empty() {
        return Ok(());
    }
    Err(Failure::declined(format!(
        "{so_far}: there is still a process at {}; servers of the old cluster stand down for good when they meet the restored one, and what \
         they have acknowledged since the backup is lost. A majority needs no restoration: a server that has lost its data joins it again with an \
         empty directory. To look something up, restore beside it with --up; to go back all the same, stop all its servers first",
        running.join(", ")
    )))
}

/// Reads the whole backup, and changes nothing.
fn check<'a>(args: &'a RestoreArgs, data_dir: &'a Path) -> Result<Checked<'a>, Failure> {
    let mut shown = Progress::new("checking the backup", 0, bytes);
    let checked = making::check(&args.file, data_dir, &mut |step| {
        if let Step::Checking(at, total) = step {
            shown.at_of(at, total);
        }
    });
    drop(shown);
    checked.map_err(|error| failure(&args.file, error))
}

/// Makes the server's directory, all but the last word.
fn make(args: &RestoreArgs, checked: Checked<'_>, founder: &Founder) -> Result<Unfinished, Failure> {
    let mut shown = Progress::new("restoring", 0, bytes);
    let made = checked.make(founder, now_ms(), &mut |step| {
        if let Step::Writing(at, total) = step {
            shown.at_of(at, total);
        }
    });
    drop(shown);
    made.map_err(|error| cut_short(&args.file, error))
}

/// Says the last word.
fn finish(args: &RestoreArgs, data_dir: &Path, unfinished: Unfinished) -> Result<Report, Failure> {
    let server = unfinished.server().to_owned();
    let restored = unfinished.finish().map_err(|error| cut_short(&args.file, error))?;
    let Restored { header, summary, beginning, recovery_id } = restored;
    Ok(Report {
        server,
        data_dir: data_dir.display().to_string(),
        term: beginning.term,
        index: beginning.index,
        recovery_id: hex(&recovery_id),
        backup: Contents::of(&args.file, &header, &summary),
    })
}

fn print(args: &RestoreArgs, report: &Report, next: &str) -> Result<(), Failure> {
    let human = || {
        format!(
            "{} has everything now, in {}: {}. {next}.",
            escape(&report.server),
            escape(&report.data_dir),
            report.backup.contents()
        )
    };
    Output::new(args.json).result(report, human)?;
    Ok(())
}

fn failure(path: &Path, error: RestoreError) -> Failure {
    match error {
        RestoreError::Backup(error) => unusable(path, error),
        RestoreError::NoFile(_) => Failure::usage(error.to_string()),
        RestoreError::Directory(in_use @ DirectoryError::InUse(_)) => {
            Failure::declined(format!("{in_use}: a running server is not restored"))
        }
        RestoreError::Directory(DirectoryError::Io { path, source, .. }) => Failure::file(&path, &source),
        error => Failure::declined(error.to_string()),
    }
}

/// Why it failed when something was made already.
fn cut_short(path: &Path, error: RestoreError) -> Failure {
    match &error {
        RestoreError::Store(..) | RestoreError::Directory(DirectoryError::Io { .. }) => {
            Failure::local(unfinished_there(&error))
        }
        RestoreError::Offline(inner) if inner.is_of_the_disk() => Failure::local(unfinished_there(&error)),
        _ => failure(path, error),
    }
}

/// What failed, and what to do.
fn unfinished_there(error: &dyn std::fmt::Display) -> String {
    format!("{error}; what is there is unfinished: restore again")
}

#[cfg(test)]
mod tests {
    use std::io;

    use threefold_server::raft::offline::OfflineError;

    use super::*;

    #[test]
    fn a_full_disk_is_no_refusal_wherever_it_fills_up() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let (path, action) = (PathBuf::from("data"), "write to");
        let failures = [
            RestoreError::Store("state", full()),
            RestoreError::Offline(OfflineError::Io(full())),
            RestoreError::Directory(DirectoryError::Io { action, path, source: full() }),
        ];
        for error in failures {
            let failure = cut_short(Path::new("x.backup"), error);
            assert_eq!(failure.exit_code(), 4, "{failure:?}");
            assert!(failure.message().ends_with("; what is there is unfinished: restore again"), "{failure:?}");
        }
        let refused = cut_short(Path::new("x.backup"), RestoreError::Offline(OfflineError::Clock));
        assert_eq!(refused.exit_code(), 1);
    }
}
