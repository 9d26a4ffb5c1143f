//! One server as a child process.
//!
//! Promises: a child never outlives its supervisor for long, even one that is killed, because it stops when its
//! standard input ends; what it says on standard error is appended to its log file; nothing in the supervisor's
//! environment changes what it does, except how much it logs.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::layout::ServerPlan;

/// Variables that children keep: those of their logs.
const KEPT_VARIABLES: [&str; 2] = ["THREEFOLD_LOG_LEVEL", "THREEFOLD_LOG_FORMAT"];
/// Where a server learns of `up`'s control endpoint.
pub const CONTROL_VARIABLE: &str = "THREEFOLD_UP_CONTROL";
/// How far back the last words of a log are sought: some long lines.
const LAST_WORDS_BYTES: u64 = 8 * 1024;

/// A running server.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
}

impl ServerProcess {
    /// Starts the server of `plan` with the program `executable`. With `bootstrap`, it founds the cluster if its
    /// directory is empty.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(executable: &Path, plan: &ServerPlan, bootstrap: bool) -> io::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(&plan.log)?;
        let mut command = Command::new(executable);
        command.arg("serve").arg("--config").arg(&plan.config).arg("--parent-watch");
        if bootstrap {
            command.arg("--bootstrap");
        }
        for (name, _) in env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("THREEFOLD_"));
            if ours && !KEPT_VARIABLES.iter().any(|kept| name == *kept) {
                command.env_remove(name);
            }
        }
        // Not among the arguments, which any other user of this machine can read; the environment only the same user and root can.
        if let Some(control) = &plan.control {
            command.env(CONTROL_VARIABLE, control);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        // Ctrl-C in a terminal goes to the whole foreground group; the supervisor alone decides what to do about it.
        #[cfg(unix)]
        command.process_group(0);
        Ok(Self { child: command.spawn()? })
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it ends by itself. May be dropped while it waits.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        // Tokio's own `Child::wait` would close the pipe first, and so stop the child.
        let pipe = self.child.stdin.take();
        let waiting = Restore { child: &mut self.child, pipe };
        waiting.child.wait().await
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Kills it with SIGKILL, without waiting for its end.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn strike(&mut self) -> io::Result<()> {
        self.child.start_kill()
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to stop in order, by closing its standard input, and kills it when it has not done so in time.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn stop(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        drop(self.child.stdin.take());
        match timeout(patience, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                self.child.kill().await?;
                self.child.wait().await
            }
        }
    }
}

/// Gives the pipe back, also when the waiting is dropped.
struct Restore<'a> {
    child: &'a mut Child,
    pipe: Option<tokio::process::ChildStdin>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        self.child.stdin = self.pipe.take();
    }
}

/// How a process ended, in words: "signal 9", "exit code 1".
#[must_use]
pub fn ending(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status.code().map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"))
}

/// The last line of a log file: usually why a server could not start.
#[must_use]
pub fn last_words(log: &Path) -> Option<String> {
    let length = fs::metadata(log).ok()?.len();
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(LAST_WORDS_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.trim_start_matches("threefold: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_last_line_that_says_something() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        assert_eq!(last_words(&log), None);
        fs::write(&log, format!("{}\nthreefold: the port is in use\n\n", "x".repeat(20_000))).unwrap();
        assert_eq!(last_words(&log).as_deref(), Some("the port is in use"));
    }
}
