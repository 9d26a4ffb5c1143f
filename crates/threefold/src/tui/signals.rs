//! What a terminal, or whoever stands for it, tells a program that has taken it.

use std::{fs, io};

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalSignal {
    /// Stop until you are told to go on (SIGTSTP).
    Stop,
    /// It goes on (SIGCONT), whoever had stopped it: perhaps without a word before.
    GoesOn,
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
    go_on: Signal,
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
        let on_hang_up = if is_ignored(Number::HUP) { TerminalSignal::HangUpIgnored } else { TerminalSignal::HangUp };
        let stop = signal(SignalKind::from_raw(Number::TSTP.as_raw()))?;
        // Whoever reads keys may do so in the background, for the moment until it is noticed that this is where the program goes on: it is not stopped for that.
        drop(signal(SignalKind::from_raw(Number::TTIN.as_raw()))?);
        let go_on = signal(SignalKind::from_raw(Number::CONT.as_raw()))?;
        Ok(Self(Some(Listening { stop, go_on, hang_up: signal(SignalKind::hangup())?, on_hang_up })))
    }

    /// The next one; never, if it does not listen. May be dropped while it waits.
    pub async fn next(&mut self) -> TerminalSignal {
        let Some(Listening { stop, go_on, hang_up, on_hang_up }) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            biased;
            _ = hang_up.recv() => *on_hang_up,
            _ = stop.recv() => TerminalSignal::Stop,
            _ = go_on.recv() => TerminalSignal::GoesOn,
        }
    }
}

/// Whether whoever started this process wants it to ignore that signal (`nohup`, a job in the background of a script). To be asked before it is listened for.
#[must_use]
pub fn is_ignored(number: Number) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, number.as_raw()))
}

/// As the system tells of a process: the mask of ignored signals, in which the first is the lowest bit.
fn ignores(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(number - 1).ok().and_then(|place| 1_u64.checked_shl(place));
    mask.zip(bit).is_some_and(|(mask, bit)| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_signal_is_ignored_is_read_from_the_mask() {
        assert!(ignores("Name:\tx\nSigIgn:\t0000000000001001\n", 1));
        assert!(ignores("SigIgn:\t0000000000001002\n", 2));
        assert!(!ignores("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n", 1));
        assert!(!ignores("", 1) && !ignores("SigIgn:\tffffffffffffffff\n", 0));
    }
}
