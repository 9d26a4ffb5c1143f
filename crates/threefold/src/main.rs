//! The `threefold` program: reads the command line and hands over.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use threefold::{certs, exit, serve, up};

/// A chat whose servers form a replicated cluster.
#[derive(Parser)]
#[command(name = "threefold", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole cluster on this machine.
    Up(up::UpArgs),
    /// Run one server.
    Serve(Box<serve::ServeArgs>),
    /// Make the certificates with which the servers of a cluster know each other.
    Certs(certs::CertsArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(args) => up::run(args).await,
        Command::Serve(args) => serve::run(*args).await,
        Command::Certs(args) => certs::run(&args),
    };
    exit::code(result)
}
