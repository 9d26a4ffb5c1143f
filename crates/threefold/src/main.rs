//! The `threefold` program.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A chat whose servers form a replicated cluster.
#[derive(Parser)]
#[command(name = "threefold", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Client(commands::ClientCommand),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Client(command) => commands::run(command),
    }
}
