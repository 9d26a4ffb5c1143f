//! What a terminal, or whoever stands for it, tells a program that has taken it.

use std::{fs, io};

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalSignal {
    /// Stop until you are told to go on (SIGTSTP).
    Stop,
    /// The terminal is gone (SIGHUP).
    HangUp,
    /// The terminal is gone, and whoever started the program wants it to go on without (`nohup`).
    HangUpIgnored,
}

/// Takes these signals over from the operating system's default, if it listens at all.
#[derive(Debug, Default)]
pub struct TerminalSignals(Option<Listening>);

#[derive(Debug)]
struct Listening {
    stop: Signal,
    hang_up: Signal,
    on_hang_up: TerminalSignal,
}

impl TerminalSignals {
    /// Listens from now on, for as long as the process lives.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn listen() -> io::Result<Self> {
        // To be known before it is listened for.
        let is_ignored = fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hang_up(&status));
        let on_hang_up = if is_ignored { TerminalSignal::HangUpIgnored } else { TerminalSignal::HangUp };
        let stop = signal(SignalKind::from_raw(Number::TSTP.as_raw()))?;
        Ok(Self(Some(Listening { stop, hang_up: signal(SignalKind::hangup())?, on_hang_up })))
    }

    /// The next one; never, if it does not listen. May be dropped while it waits.
    pub async fn next(&mut self) -> TerminalSignal {
        let Some(Listening { stop, hang_up, on_hang_up }) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            _ = hang_up.recv() => *on_hang_up,
            _ = stop.recv() => TerminalSignal::Stop,
        }
    }
}

/// As the system tells of a process: the mask of ignored signals, in which SIGHUP is the lowest bit.
fn ignores_hang_up(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_hanging_up_is_ignored_is_read_from_the_mask() {
        assert!(ignores_hang_up("Name:\tx\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hang_up("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hang_up(""));
    }
}
