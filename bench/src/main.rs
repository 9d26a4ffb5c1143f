//! `threefold-bench`: load for a running cluster (`threefold up`), and what it costs the servers.
//!
//! `write`: closed loop, N senders spread over all servers, each with one message in flight on its own gRPC stream.
//! `failover`: one client that retries, homed on the leader, while the leader is killed with SIGKILL again and again
//! (start the cluster with `up --restart`); prints the gaps without an acknowledgement.
//! Processor time is what the operating system charges the server processes. One JSON object at the end.

mod cluster;
mod failover;
mod write;

use std::time::Duration;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The client addresses of the servers.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:7400,127.0.0.1:7401,127.0.0.1:7402")]
    servers: Vec<String>,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Acknowledged messages a second, latency, processor time a message.
    Write {
        /// Senders, each with one message in flight.
        #[arg(long, default_value_t = 512)]
        senders: usize,
        /// Bytes of a message.
        #[arg(long, default_value_t = 200)]
        bytes: usize,
        /// Seconds measured.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Seconds before, not measured.
        #[arg(long, default_value_t = 2)]
        warm_up: u64,
    },
    /// The longest gap without an acknowledgement around each kill of the leader.
    Failover {
        /// Kills.
        #[arg(long, default_value_t = 20)]
        kills: usize,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let result = match arguments.scenario {
        Scenario::Write { senders, bytes, seconds, warm_up } => {
            let plan = write::Plan {
                senders,
                bytes,
                measured: Duration::from_secs(seconds),
                warm_up: Duration::from_secs(warm_up),
            };
            write::run(&arguments.servers, plan).await?
        }
        Scenario::Failover { kills } => failover::run(&arguments.servers, kills).await?,
    };
    println!("{result}");
    Ok(())
}
