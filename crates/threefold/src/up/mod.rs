//! `threefold up`: a whole cluster on this machine, each server a process of its own.
//!
//! Promises: the first start founds the cluster and every later one goes on with it, whatever happened in between; a
//! death, a return and a new leader are one plain line each, or where a person looks on a row of a live table (`table/`), which has keys to kill
//! and start servers; Ctrl-C or SIGTERM stop all servers in order. Left out on purpose: bringing dead servers back unasked (`--restart` asks), so
//! that one can watch a cluster live without them.

mod control;
pub mod layout;
mod live;
mod painter;
pub mod process;
mod report;
pub mod restoring;
mod supervisor;
mod table;
pub mod watch;

use std::{
    env,
    io::{self, IsTerminal as _},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use control::Control;
use layout::{ClusterFile, Layout, MAX_SERVERS, ServerPlan};
use supervisor::{Supervisor, Voice};
use threefold_server::storage::directory::Directory;
use tokio::time::{Instant, sleep};

use crate::{exit::Failure, tui::terminal::is_in_foreground};

/// How many servers a cluster has unless told otherwise: the fewest that survive a failure.
pub const DEFAULT_SERVERS: usize = 3;
/// The first client port unless told otherwise.
pub const DEFAULT_PORT: u16 = threefold_client::DEFAULT_PORT;

/// Servers of an `up` that was killed stop by themselves, but not at once: their ports are waited for so long.
const LEFT_BEHIND: Duration = Duration::from_secs(3);
/// They give their directories back last, when all is on the disk: that is waited for so long.
const LAST_WRITES: Duration = Duration::from_secs(60);
/// Between two looks at the ports, and at the directories.
const PORTS_AGAIN: Duration = Duration::from_millis(100);

/// The options of `threefold up`.
#[derive(Args, Debug)]
pub struct UpArgs {
    /// How many servers; more than before let the cluster grow [default: 3].
    #[arg(long, value_name = "N")]
    servers: Option<usize>,
    /// Holds everything: data, certificates, logs.
    #[arg(long, value_name = "DIR", default_value = "threefold-data")]
    data_dir: PathBuf,
    /// The first server's client port; the others follow, the chat TCP ports are 50 above, and servers connect 100 above. Fixed when
    /// the cluster is first started [default: 7400].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Start servers again that died.
    #[arg(long)]
    restart: bool,
    /// Say what happens as JSON, one object a line.
    #[arg(long)]
    json: bool,
    /// Say what happens in lines, also on a terminal: there it is a live table otherwise, with keys to kill and start servers.
    #[arg(long)]
    plain: bool,
}

/// Runs `threefold up` until a signal.
///
/// # Errors
/// When the directory or a port cannot be used, or no server stays up.
pub async fn run(args: UpArgs) -> Result<(), Failure> {
    if let Some(servers) = args.servers
        && !(1..=MAX_SERVERS).contains(&servers)
    {
        return Err(Failure::Usage(format!("--servers {servers} makes no cluster: 1 to {MAX_SERVERS} are possible")));
    }
    let layout = Layout::open(&args.data_dir)?;
    let _lock = layout.lock()?;
    let remembered = layout.load()?;
    let patience = if remembered.is_some() { LEFT_BEHIND } else { Duration::ZERO };
    let cluster = decide(remembered, &args)?;
    let mut plans = cluster.plans(&layout)?;
    restoring::refuse_unfinished(&args.data_dir, &plans)?;
    wait_for_ports(&plans, !cluster.bootstrapped, patience).await?;
    wait_for_directories(&plans, args.json).await?;
    layout.prepare(&plans)?;
    layout.save(&cluster)?;
    let executable = env::current_exe().map_err(|error| Failure::Refused(format!("cannot find myself: {error}")))?;
    let control = Control::open(plans.iter().map(|plan| plan.client.port())).await?;
    for plan in &mut plans {
        plan.control = Some(control.told());
    }
    Supervisor::new(executable, layout, cluster, plans, control, args.restart, voice(&args))?.run().await
}

/// How it says what happens: on a terminal that can show it and is this job's, with a table.
fn voice(args: &UpArgs) -> Voice {
    let is_able = || env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb");
    match (args.json, args.plain) {
        (true, _) => Voice::Json,
        (false, false)
            if io::stdout().is_terminal() && io::stdin().is_terminal() && is_in_foreground() && is_able() =>
        {
            Voice::Table
        }
        (false, _) => Voice::Lines,
    }
}

/// Checks the ports until they are free, or patience is at an end.
async fn wait_for_ports(plans: &[ServerPlan], movable: bool, patience: Duration) -> Result<(), Failure> {
    let until = Instant::now() + patience;
    loop {
        match layout::check_ports(plans, movable) {
            Err(_) if Instant::now() < until => sleep(PORTS_AGAIN).await,
            result => return result,
        }
    }
}

/// Waits until no process has a server's directory open any more: a server started before that would give up soon.
async fn wait_for_directories(plans: &[ServerPlan], json: bool) -> Result<(), Failure> {
    let until = Instant::now() + LAST_WRITES;
    let mut is_told = false;
    for plan in plans {
        while Directory::is_in_use(&plan.data).map_err(|error| Failure::Refused(error.to_string()))? {
            let detail = format!("{} is in use by another process", plan.data.display());
            if Instant::now() >= until {
                return Err(Failure::Refused(format!("{detail}: stop it")));
            }
            if !is_told {
                report::report(&report::Event::Waiting { detail }, json);
                is_told = true;
            }
            sleep(PORTS_AGAIN).await;
        }
    }
    Ok(())
}

/// What was remembered, with what is asked for now.
fn decide(remembered: Option<ClusterFile>, args: &UpArgs) -> Result<ClusterFile, Failure> {
    let Some(mut cluster) = remembered else {
        return Ok(ClusterFile::new(args.servers.unwrap_or(DEFAULT_SERVERS), args.port.unwrap_or(DEFAULT_PORT)));
    };
    match args.servers {
        // The new ones are among the configured peers of all, and so are admitted.
        Some(servers) if servers > cluster.servers => cluster.servers = servers,
        Some(servers) if servers < cluster.servers => {
            return Err(Failure::Usage(format!(
                "the cluster in {} has {} servers, not {servers}: leave --servers away (`threefold remove` takes a server out), or \
                 name another directory with --data-dir",
                args.data_dir.display(),
                cluster.servers
            )));
        }
        Some(_) | None => {}
    }
    match args.port {
        // The servers remember each other's addresses, and could not elect a leader at new ones.
        Some(port) if port != cluster.port && cluster.bootstrapped => {
            return Err(Failure::Usage(format!(
                "the cluster in {} has its ports from {} on, not from {port}: leave --port away, or name another \
                 directory with --data-dir",
                args.data_dir.display(),
                cluster.port
            )));
        }
        Some(port) => cluster.port = port,
        None => {}
    }
    Ok(cluster)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        up: UpArgs,
    }

    fn args(arguments: &[&str]) -> UpArgs {
        Cli::parse_from(std::iter::once(&"up").chain(arguments)).up
    }

    #[test]
    fn a_cluster_never_shrinks_and_keeps_its_ports() {
        let first = decide(None, &args(&["--servers", "5", "--port", "8000"])).unwrap();
        assert_eq!((first.servers, first.port, first.bootstrapped), (5, 8000, false));
        assert_eq!(decide(Some(first.clone()), &args(&[])).unwrap(), first);
        assert_eq!(decide(Some(first.clone()), &args(&["--servers", "5"])).unwrap(), first);
        let message = decide(Some(first), &args(&["--servers", "3"])).unwrap_err().to_string();
        assert!(message.starts_with("the cluster in threefold-data has 5 servers, not 3"), "{message}");
        assert_eq!(decide(None, &args(&[])).unwrap(), ClusterFile::new(3, 7400));
    }

    #[test]
    fn a_cluster_may_grow() {
        let mut cluster = ClusterFile::new(3, 8000);
        cluster.bootstrapped = true;
        let grown = decide(Some(cluster), &args(&["--servers", "5"])).unwrap();
        assert_eq!((grown.servers, grown.port, grown.bootstrapped), (5, 8000, true));
    }

    #[test]
    fn ports_may_change_until_the_cluster_is_formed() {
        let first = decide(None, &args(&["--port", "8000"])).unwrap();
        let mut moved = decide(Some(first), &args(&["--port", "9000"])).unwrap();
        assert_eq!(moved.port, 9000);
        moved.bootstrapped = true;
        assert_eq!(decide(Some(moved.clone()), &args(&["--port", "9000"])).unwrap(), moved);
        let message = decide(Some(moved), &args(&["--port", "8000"])).unwrap_err().to_string();
        assert!(message.contains("has its ports from 9000 on, not from 8000"), "{message}");
    }
}
