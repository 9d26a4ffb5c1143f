//! How far something long is, on standard error: only where a person looks on.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use super::text;

/// What is done sooner needs no word.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two words.
const EVERY: Duration = Duration::from_millis(100);
/// Cells of the bar.
const BAR: usize = 24;
/// Cells of a line on a terminal that does not tell its width.
const USUAL_CELLS: u16 = 80;

/// A line that is written over and over, and gone when this is dropped.
#[derive(Debug)]
pub struct Progress<W: io::Write = io::Stderr> {
    sink: W,
    what: String,
    total: u64,
    /// Makes a number of what is counted a word.
    unit: fn(u64) -> String,
    /// Cells of the terminal's line; none: nobody looks on.
    cells: Option<usize>,
    due: Instant,
    is_shown: bool,
}

impl Progress {
    /// Begins, with standard error for a sink. Nothing is ever written where nobody looks on.
    #[must_use]
    pub fn new(what: impl Into<String>, total: u64, unit: fn(u64) -> String) -> Self {
        let cells = io::stderr().is_terminal().then(|| {
            let (cells, _) = crossterm::terminal::size().unwrap_or_default();
            // A terminal that was never told its size says zero.
            usize::from(if cells == 0 { USUAL_CELLS } else { cells })
        });
        Self::over(io::stderr(), cells, what, total, unit)
    }
}

impl<W: io::Write> Progress<W> {
    fn over(sink: W, cells: Option<usize>, what: impl Into<String>, total: u64, unit: fn(u64) -> String) -> Self {
        Self { sink, what: what.into(), total, unit, cells, due: Instant::now() + PATIENCE, is_shown: false }
    }

    /// So much is done.
    pub fn at(&mut self, done: u64) {
        self.at_of(done, self.total);
    }

    /// So much of so much is done.
    pub fn at_of(&mut self, done: u64, total: u64) {
        let now = Instant::now();
        let Some(cells) = self.cells.filter(|_| self.due <= now) else { return };
        self.total = total;
        self.due = now + EVERY;
        self.is_shown = true;
        let line = line(&self.what, done, total, self.unit, cells);
        // That nobody could be told is no reason to stop.
        let _ = write!(self.sink, "\r{line}\x1b[K").and_then(|()| self.sink.flush());
    }

    /// Takes the line away, so that something else can be said; the next word writes it again.
    pub fn hide(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(self.sink, "\r\x1b[K").and_then(|()| self.sink.flush());
        }
    }
}

impl<W: io::Write> Drop for Progress<W> {
    fn drop(&mut self) {
        self.hide();
    }
}

/// A number as it is.
#[must_use]
pub fn plainly(count: u64) -> String {
    count.to_string()
}

/// How much of a whole: 0 to 100, and 100 only when all is done.
#[must_use]
pub fn percent(done: u64, total: u64) -> u64 {
    let percent = u128::from(done.min(total)) * 100;
    percent.checked_div(u128::from(total)).map_or(100, |percent| u64::try_from(percent).unwrap_or(100))
}

/// A bar of so many cells.
#[must_use]
pub fn bar(done: u64, total: u64, cells: usize) -> String {
    let filled = usize::try_from(percent(done, total)).unwrap_or(100) * cells / 100;
    "█".repeat(filled) + &"░".repeat(cells - filled)
}

/// The words, a bar, and how much of how much; of these what finds room in so many cells. The last cell stays free: a terminal
/// goes on to the next line behind it.
#[must_use]
pub fn line(what: &str, done: u64, total: u64, unit: fn(u64) -> String, cells: usize) -> String {
    let room = cells.saturating_sub(1);
    let percent = format!("{:>3} %", percent(done, total));
    let whole = format!("{what} {} {percent}  {} of {}", bar(done, total, BAR), unit(done.min(total)), unit(total));
    let fits = |line: &String| text::width(line) <= room;
    let shorter = || Some(format!("{what} {} {percent}", bar(done, total, BAR))).filter(fits);
    let shortest = || text::cut(&format!("{percent} {what}"), room);
    Some(whole).filter(fits).or_else(shorter).unwrap_or_else(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills() {
        assert_eq!(line("x", 0, 200, plainly, 80), format!("x {}   0 %  0 of 200", "░".repeat(24)));
        assert_eq!(
            line("x", 100, 200, plainly, 80),
            format!("x {}{}  50 %  100 of 200", "█".repeat(12), "░".repeat(12))
        );
        assert_eq!(line("x", 300, 200, plainly, 80), format!("x {} 100 %  200 of 200", "█".repeat(24)));
        assert!(line("x", 0, 0, plainly, 80).contains("100 %"), "nothing is done at once");
        assert!(line("x", 199, 200, plainly, 80).contains(" 99 %"), "all is done when it is done");
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        for cells in 0..120 {
            let line = line("sending 漢字漢字.tar.gz", 5 << 20, 9 << 20, plainly, cells);
            assert!(text::width(&line) < cells.max(1), "{cells}: {line}");
        }
        assert_eq!(line("saving a.txt", 1, 2, plainly, 14), " 50 % saving…");
    }

    fn told(cells: Option<usize>, patience: Duration) -> String {
        let mut sink = Vec::new();
        let mut progress = Progress::over(&mut sink, cells, "x", 100, plainly);
        progress.due = Instant::now() + patience;
        progress.at(1);
        if progress.is_shown {
            // However long this thread has to wait in between.
            progress.due = Instant::now() + PATIENCE * 100;
        }
        progress.at(2);
        drop(progress);
        String::from_utf8(sink).unwrap()
    }

    #[test]
    fn nothing_is_written_where_nobody_looks_on_or_nobody_has_to_wait() {
        assert_eq!(told(None, Duration::ZERO), "");
        assert_eq!(told(Some(80), PATIENCE * 100), "");
    }

    #[test]
    fn one_line_is_written_over_and_taken_away_at_the_end() {
        let told = told(Some(40), Duration::ZERO);
        assert_eq!(told.matches('\r').count(), 2, "the second word comes too soon after the first: {told:?}");
        assert!(told.starts_with("\rx ░") && told.ends_with("\r\x1b[K") && !told.contains('\n'), "{told:?}");
    }
}
