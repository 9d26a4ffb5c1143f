//! The user's wish to end, so that `follow` can finish what it is writing and remember its place.

use rustix::process::Signal as Number;
use threefold::tui::signals::is_ignored;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::commands::Failure;

/// The user's wish to end: Ctrl-C, or a signal from whoever started us.
pub struct Interruption {
    /// None for one that whoever started us wants to be ignored.
    signals: [Option<Signal>; 3],
    came: bool,
}

impl Interruption {
    /// From here on, the signals do not end the process by themselves.
    pub fn watch() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::usage(format!("cannot watch for signals: {error}"));
        // Who listens does not ignore any more, so that is to be known first; once it is listened for, this says no, and so it stays.
        let watch = |kind: SignalKind| {
            let is_ignored = Number::from_named_raw(kind.as_raw_value()).is_some_and(is_ignored);
            if is_ignored { Ok(None) } else { signal(kind).map(Some).map_err(failed) }
        };
        let signals = [watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?, watch(SignalKind::hangup())?];
        Ok(Self { signals, came: false })
    }

    /// Waits for it; at once if it came before.
    pub async fn comes(&mut self) {
        if self.came {
            return;
        }
        let [interrupt, terminate, hang_up] = &mut self.signals;
        tokio::select! {
            biased;
            () = received(interrupt) => {}
            () = received(terminate) => {}
            () = received(hang_up) => {}
        }
        self.came = true;
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
