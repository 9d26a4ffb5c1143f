//! `threefold serve`: one server, until a signal ends it.
//!
//! Promises: SIGTERM or SIGINT stop it in order, a second one at once; whatever keeps it from starting is said in one
//! sentence on standard error; a panic is logged before it aborts the process. Logs go to standard error.

use std::{
    backtrace::Backtrace,
    io::{self, Read as _},
    path::PathBuf,
    thread,
};

use clap::Args;
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use threefold_server::{Ended, config::Control};

use crate::{
    exit::{self, Failure},
    settings::{LogFormat, Settings},
    thumbnail,
    up::process::CONTROL_VARIABLE,
};

/// Bytes read at once from a parent that is not expected to write any.
const PARENT_BYTES: usize = 64;

/// The options of `threefold serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// A TOML file with settings (docs/threefold.example.toml shows all); flags and environment win over it.
    #[arg(long, env = "THREEFOLD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Stop when standard input ends: a supervisor that dies takes its servers with it.
    #[arg(long, hide = true)]
    parent_watch: bool,
}

/// Runs `threefold serve`.
///
/// # Errors
/// When the settings make no sense, or the server cannot start or must stop.
pub async fn run(args: ServeArgs) -> Result<(), Failure> {
    let file = args.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
    let mut complete = args.settings.over(file).complete()?;
    complete.config.thumbnailer = thumbnail::program();
    if let Ok(told) = std::env::var(CONTROL_VARIABLE) {
        complete.config.control = Control::read(&told, complete.config.client_listen);
    }
    log_to_stderr(&complete.log_level, complete.log_format)?;
    log_panics();
    if complete.config.thumbnailer.is_none() {
        tracing::warn!("this program cannot be found by itself: thumbnails are decoded by the server's own process");
    }
    let parent = if args.parent_watch { Some(watch_parent()?) } else { None };
    let shutdown = shutdown_signal(parent)?;
    let ended = match threefold_server::run(complete.config, Box::pin(shutdown)).await {
        Ok(Ended::Stopped) => Ok(()),
        Ok(Ended::Restart) => Err(restart()),
        // Told as an error by the one who keeps the directory.
        Ok(Ended::Outdated(known_by)) => {
            Err(Failure::Refused(format!("{known_by} knows a later run of this server's directory")))
        }
        Err(error) => Err(Failure::Refused(error.to_string())),
    };
    // At once, with every death stream as it is: the kernel then ends them, and that proves to the other servers that this
    // process is dead. Unwinding the runtime would reset them.
    std::process::exit(exit::status(ended).into())
}

/// Puts a new process in this one's place: same arguments, same standard streams, a later incarnation.
fn restart() -> Failure {
    let error = match std::env::current_exe() {
        Ok(program) => {
            use std::os::unix::process::CommandExt as _;
            tracing::warn!("starting anew, to be able to vote for a server that knows more");
            std::process::Command::new(program).args(std::env::args_os().skip(1)).exec()
        }
        Err(error) => error,
    };
    Failure::Refused(format!("cannot start anew: {error}"))
}

fn log_to_stderr(level: &str, format: LogFormat) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(directives(level))
        .map_err(|error| Failure::Usage(format!("{level:?} is no log level or list of directives: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let installed = match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    installed.map_err(|error| Failure::Refused(format!("cannot start logging: {error}")))
}

/// A single level is meant for this program; what the libraries below say at that level drowns it. Directives are taken
/// as they are.
fn directives(level: &str) -> String {
    if level.contains([',', '=']) || matches!(level, "off" | "error" | "warn") {
        return level.to_owned();
    }
    let ours = ["threefold", "threefold_server", "threefold_client", "threefold_core"];
    let ours = ours.iter().map(|name| format!("{name}={level}")).collect::<Vec<_>>();
    // openraft warns at every message that a dead server does not take.
    format!("warn,openraft=error,{}", ours.join(","))
}

/// A panic aborts the process: a broken invariant must not be served on. It is logged where everything else is.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let backtrace = Backtrace::force_capture();
        tracing::error!(%backtrace, "broken invariant, aborting: {info}");
    }));
}

/// Resolves when standard input ends. A thread of its own, because reading cannot be cancelled.
fn watch_parent() -> Result<oneshot::Receiver<()>, Failure> {
    let (gone, parent) = oneshot::channel();
    let watch = move || {
        let mut bytes = [0; PARENT_BYTES];
        let mut input = io::stdin().lock();
        loop {
            match input.read(&mut bytes) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = gone.send(());
    };
    let started = thread::Builder::new().name("parent-watch".to_owned()).spawn(watch);
    started.map_err(|error| Failure::Refused(format!("cannot start a thread: {error}")))?;
    Ok(parent)
}

/// Resolves at the first signal or when the parent is gone; a second signal then ends the process at once.
fn shutdown_signal(
    parent: Option<oneshot::Receiver<()>>,
) -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        let parent_gone = async {
            match parent {
                Some(parent) => {
                    let _ = parent.await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            name = signals.next() => tracing::info!("stopping: {name}"),
            () = parent_gone => tracing::info!("stopping: the process that started this server has closed its pipe"),
        }
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::warn!("stopping at once: a second {name}");
            std::process::exit(1);
        });
    })
}

/// The signals that ask a process to stop.
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes them over from the operating system's default.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn listen() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let listen =
                |kind| signal(kind).map_err(|error| Failure::Refused(format!("cannot listen for signals: {error}")));
            Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// The name of the next one. May be dropped while it waits.
    pub async fn next(&mut self) -> &'static str {
        #[cfg(unix)]
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
            "Ctrl-C"
        }
    }
}
