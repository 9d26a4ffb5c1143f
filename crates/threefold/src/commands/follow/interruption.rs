//! The user's wish to end, so that `follow` can finish what it is writing and remember its place.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::commands::Failure;

/// The user's wish to end: Ctrl-C, or a signal from whoever started us.
pub struct Interruption {
    signals: [Signal; 3],
    came: bool,
}

impl Interruption {
    /// From here on, the signals do not end the process by themselves.
    pub fn watch() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::usage(format!("cannot watch for signals: {error}"));
        let watch = |kind| signal(kind).map_err(failed);
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
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        self.came = true;
    }
}
