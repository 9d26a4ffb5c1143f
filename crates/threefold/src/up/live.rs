//! Brings `up`'s table together with the terminal: takes it, reads keys, draws.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use chrono::Local;
use crossterm::event::Event as Input;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{
    painter::Painter,
    process::ServerProcess,
    report::Event,
    supervisor::Slot,
    table::{Process, Table, Wish},
};
use crate::tui::{
    keys::Keys,
    terminal::{self, Screen},
    theme::Theme,
};

/// Between two drawings while nothing happens: the time of day goes on.
const DRAW_EVERY: Duration = Duration::from_millis(500);

/// The table on a terminal, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Live {
    painter: Painter,
    /// Everything is to be drawn anew.
    is_torn: bool,
    /// None once there is nothing to read any more.
    inputs: Option<Keys>,
    ticks: Interval,
    table: Table,
}

impl Live {
    /// Takes the terminal over, for a table of these servers.
    pub(super) fn take(data_dir: &str, slots: &[Slot]) -> io::Result<Self> {
        let servers = slots.iter().map(|slot| (slot.plan.name.clone(), slot.plan.client.to_string()));
        let mut table = Table::new(Theme::detected(), data_dir, servers);
        table.set_clock(clock());
        let mut ticks = interval(DRAW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The mouse stays with the terminal, to mark and copy an address with.
        let painter = Painter::start(Screen::take(false)?)?;
        Ok(Self { painter, is_torn: false, inputs: Some(Keys::read()?), ticks, table })
    }

    /// What is to be seen may be changed.
    pub(super) fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    pub(super) fn tell(&mut self, event: &Event) {
        self.table.set_clock(clock());
        self.table.tell(event);
    }

    /// Draws what there is to see now.
    pub(super) fn draw(&mut self, slots: &[Slot]) -> io::Result<()> {
        self.table.set_clock(clock());
        self.table.observe(slots.iter().map(process));
        if self.painter.draw(&self.table, self.is_torn)? {
            self.is_torn = false;
        }
        Ok(())
    }

    /// Draws everything anew the next time.
    pub(super) fn redraw(&mut self) {
        self.is_torn = true;
    }

    /// Stops this process until it is to go on; the servers run on. Where it is to go on in the background, the terminal is not taken again.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        if !terminal::may_stop() {
            self.table.remark(terminal::NO_SHELL);
            return Ok(());
        }
        self.painter.give_back()?;
        terminal::stop_job()?;
        if !terminal::is_in_foreground() {
            self.inputs = None;
            return Err(io::Error::other("this runs in the background"));
        }
        self.painter.take_again()
    }

    /// It was stopped and goes on, by somebody who asked nobody: the terminal is taken again where it is not as it was left; in the background, whoever has it keeps it. A key
    /// that is asked for there is refused without end, and that takes a whole processor.
    pub(super) fn goes_on(&mut self) -> io::Result<()> {
        if !terminal::is_in_foreground() {
            return Err(io::Error::other("this runs in the background"));
        }
        if !terminal::reads_keys() {
            self.painter.give_back()?;
            self.painter.take_again()?;
        }
        self.redraw();
        Ok(())
    }

    /// Gives the terminal back, and says what was told on it, the oldest first; none where the terminal takes nothing.
    pub(super) fn leave(self) -> Option<Vec<String>> {
        let Self { painter, table, inputs, .. } = self;
        let is_given_back = painter.leave();
        if !is_given_back {
            terminal::give_back_keys();
        }
        drop(inputs);
        is_given_back.then(|| table.told().map(str::to_owned).collect())
    }

    /// The next key that wants something, or none where it is only time to draw. May be dropped while it waits.
    async fn next(&mut self) -> Option<Wish> {
        let input = async {
            match &mut self.inputs {
                Some(inputs) => inputs.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            input = input => match input {
                Some(Ok(Input::Key(key))) => self.table.key(key, Instant::now()),
                Some(Ok(_)) => None,
                // The thread that reads has ended.
                Some(Err(_)) | None => {
                    self.inputs = None;
                    None
                }
            },
            _ = self.ticks.tick() => None,
        }
    }
}

/// The next wish of who looks at the table; for ever where there is none. May be dropped while it waits.
pub(super) async fn wish(live: &mut Option<Live>) -> Option<Wish> {
    match live {
        Some(live) => live.next().await,
        None => std::future::pending().await,
    }
}

fn clock() -> String {
    Local::now().format("%H:%M:%S").to_string()
}

fn process(slot: &Slot) -> Process {
    match slot.process.as_ref().and_then(ServerProcess::id) {
        Some(pid) => {
            let for_ms = u64::try_from(slot.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            Process::Running { pid, memory_bytes: memory(pid), for_ms }
        }
        None => Process::Dead,
    }
}

/// What a process has of the machine's memory, where the system has such a file.
fn memory(pid: u32) -> Option<u64> {
    resident(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_where_it_is_known() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   52340 kB\nThreads:\t1\n"), Some(52340 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
        assert_eq!(resident("VmRSS:\tlots\n"), None);
    }
}
