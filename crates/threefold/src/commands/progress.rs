//! How far something long is, on standard error: only where a person looks on.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// What is done sooner needs no word.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two words.
const EVERY: Duration = Duration::from_millis(100);
/// Cells of the bar.
const BAR: u64 = 24;

/// A line that is written over and over, and gone when this is dropped.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: u64,
    told: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    /// Begins. Nothing is ever written where nobody looks on.
    pub fn new(what: &'static str, total: u64) -> Self {
        let told = io::stderr().is_terminal().then(|| Instant::now() + PATIENCE);
        Self { what, total, told, is_shown: false }
    }

    /// So much is done.
    pub fn at(&mut self, done: u64) {
        let now = Instant::now();
        if self.told.is_none_or(|told| told > now) {
            return;
        }
        self.told = Some(now + EVERY);
        self.is_shown = true;
        // That nobody could be told is no reason to stop.
        let _ = write!(io::stderr(), "\r{}\x1b[K", line(self.what, done, self.total));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// The words, and a bar.
fn line(what: &str, done: u64, total: u64) -> String {
    let done = done.min(total);
    let percent = (done * 100).checked_div(total).unwrap_or(100);
    let filled = usize::try_from(percent * BAR / 100).unwrap_or(0);
    let empty = usize::try_from(BAR).unwrap_or(0).saturating_sub(filled);
    format!("{what} {}{} {percent:>3} %", "█".repeat(filled), "░".repeat(empty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills() {
        assert_eq!(line("x", 0, 200), format!("x {}   0 %", "░".repeat(24)));
        assert_eq!(line("x", 100, 200), format!("x {}{}  50 %", "█".repeat(12), "░".repeat(12)));
        assert_eq!(line("x", 300, 200), format!("x {} 100 %", "█".repeat(24)));
        assert!(line("x", 0, 0).ends_with("100 %"), "nothing is done at once");
    }
}
