//! The `threefold` program: reads the command line and hands over.

mod chat;
mod commands;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use mimalloc::MiMalloc;
use threefold::{
    certs,
    exit::{self, Failure},
    serve, thumbnail, up,
};

/// A third less processor time for applying a message than with the system's allocator, and less memory; `docs/performance.md` has the figures.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A chat whose servers form a replicated cluster.
#[derive(Parser)]
#[command(name = "threefold", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole cluster on this machine
    Up(up::UpArgs),
    /// Run one server
    Serve(Box<serve::ServeArgs>),
    /// What a server calls for each thumbnail
    #[command(name = threefold_server::gateway::THUMBNAIL_ARGUMENT, hide = true)]
    MakeThumbnail,
    /// Make the certificates with which the servers of a cluster know each other
    Certs(certs::CertsArgs),
    /// Begin a new cluster with what one server has, when the others are lost
    Recover(commands::recover::RecoverArgs),
    /// Put everything that a running cluster has into one file
    Backup(Box<commands::backup::BackupArgs>),
    /// Begin a new cluster with what a backup has
    Restore(commands::restore::RestoreArgs),
    /// Print what makes a shell complete commands and options
    Completions(commands::manual::CompletionsArgs),
    /// Write manual pages
    Man(commands::manual::ManArgs),
    #[command(flatten)]
    Operator(commands::operate::OperatorCommand),
    #[command(flatten)]
    Client(commands::ClientCommand),
}

fn main() -> ExitCode {
    let cli: Cli = match commands::spoken(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return commands::misused(&error),
    };
    match cli.command {
        Command::Up(args) => exit::code(run(up::run(args))),
        Command::Serve(args) => exit::code(run(serve::run(*args))),
        Command::MakeThumbnail => exit::code(thumbnail::make()),
        Command::Certs(args) => exit::code(certs::run(&args)),
        Command::Recover(args) => commands::run_recovery(args),
        Command::Backup(args) => commands::run_backup(*args),
        Command::Restore(args) => commands::run_restoration(args),
        Command::Completions(args) => commands::ended(commands::manual::completions(&args, Cli::command())),
        Command::Man(args) => commands::ended(commands::manual::man(&args, Cli::command())),
        Command::Operator(command) => commands::run_operator(command),
        Command::Client(command) => commands::run(command),
    }
}

fn run(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    // The other half is for the threads that write and apply; and the fewer there are, the fewer wake each other.
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    runtime.map_err(|error| Failure::Refused(format!("cannot start: {error}")))?.block_on(command)
}
