//! How things stand on one stream of the writer: signs of life, progress, and when to go on after "later".

use std::time::Duration;

use tokio::time::Instant;

use super::task::unavailable;
use crate::{
    backoff::Backoff,
    stream::{PING_AFTER, SILENCE, Stream},
    verdict::Verdict,
};

/// A server that shows signs of life but answers no write for this long is left for another.
const STALL: Duration = Duration::from_secs(5);

/// How things stand on one stream.
pub(super) struct Pace {
    /// When a frame last came, or the first write went out after a time with none under way.
    pub(super) heard: Instant,
    pub(super) pinged: bool,
    /// When a write was last answered, or as above.
    pub(super) progress: Instant,
    /// After "later": when to go on.
    pub(super) resume: Option<Instant>,
    pub(super) backoff: Backoff,
    pub(super) laters: u32,
    /// Since when there has been nothing to write.
    pub(super) idle: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            heard: now,
            pinged: false,
            progress: now,
            resume: None,
            backoff: Backoff::default(),
            laters: 0,
            idle: now,
        }
    }

    /// A first write is under way.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        self.heard = now;
        self.pinged = false;
        self.progress = now;
    }

    /// The server said "later": waits once for all writes that hear so together. Says how often in a row.
    pub(super) fn pause(&mut self, luck: f64) -> u32 {
        if self.resume.is_none() {
            self.laters += 1;
            self.resume = Some(Instant::now() + self.backoff.next(luck));
        }
        self.laters
    }

    /// When to look for signs of life.
    pub(super) fn next_check(&self) -> Option<Instant> {
        let silence = self.heard + if self.pinged { SILENCE } else { PING_AFTER };
        Some(silence.min(self.progress + STALL))
    }

    pub(super) fn check(&mut self, stream: &Stream) -> Result<(), Verdict> {
        if Instant::now() >= self.progress + STALL {
            return Err(unavailable("the server answers no writes", false));
        }
        if self.pinged || !stream.ping() {
            return Err(unavailable("the server went silent", true));
        }
        self.pinged = true;
        Ok(())
    }
}
