//! `restore`: the data directory of a new cluster's first server, from a backup.
//!
//! Offline, like `recover`; nothing that is there is ever written over. With `--up` it makes a whole directory for `threefold up`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use threefold::{
    settings::Settings,
    tui::progress::Progress,
    up::{self, restoring::Planned},
};
use threefold_server::{
    backup::restore::{Founder, RestoreError, Restored, Step, restore as make},
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
                  that was ended) is as before. Never let the old cluster run beside it for the same people."
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
pub fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    match (&args.up, &args.config) {
        (Some(directory), _) => {
            let planned = Planned::new(directory, args.servers, args.port)?;
            let first = planned.first().ok_or_else(|| Failure::usage("--servers says that there is none"))?;
            let founder = Founder {
                name: first.name.clone(),
                peer_address: first.peer.to_string(),
                client_address: first.client.to_string(),
                survivor_mode: true,
            };
            let report = fill(args, &founder, &first.data)?;
            planned.remember()?;
            let next = format!("`threefold up --data-dir {}` starts the cluster", directory.display());
            print(args, &report, &next)
        }
        (None, Some(config)) => {
            let config = Settings::read(config)?.complete()?.config;
            let founder = Founder {
                name: config.name,
                peer_address: config.peer_address,
                client_address: config.client_address,
                survivor_mode: config.survivor_mode,
            };
            let report = fill(args, &founder, &config.data_dir)?;
            let next = "Start it (`threefold serve`, without --bootstrap), and then the others, with empty directories";
            print(args, &report, next)
        }
        (None, None) => {
            Err(Failure::usage("say where to: --config with the first server's configuration, or --up DIR"))
        }
    }
}

/// Makes the server's directory.
fn fill(args: &RestoreArgs, founder: &Founder, data_dir: &Path) -> Result<Report, Failure> {
    let mut checking = Progress::new("checking the backup", 0, bytes);
    let mut writing = None;
    let restored = make(&args.file, data_dir, founder, |step| match step {
        Step::Checking(at, total) => checking.at_of(at, total),
        Step::Writing(at, total) => {
            checking.hide();
            writing.get_or_insert_with(|| Progress::new("restoring", total, bytes)).at_of(at, total);
        }
    });
    drop((checking, writing));
    let Restored { header, summary, beginning, recovery_id } = restored.map_err(|error| failure(&args.file, error))?;
    Ok(Report {
        server: founder.name.clone(),
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
        RestoreError::Directory(in_use @ DirectoryError::InUse(_)) => {
            Failure::declined(format!("{in_use}: a running server is not restored"))
        }
        RestoreError::Directory(DirectoryError::Io { path, source, .. }) => Failure::file(&path, &source),
        RestoreError::Store(what, source) => {
            Failure::local(format!("cannot write the {what}: {source}; what is there is unfinished: restore again"))
        }
        error => Failure::declined(error.to_string()),
    }
}
