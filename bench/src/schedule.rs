//! Open loops: what is to be sent when, fixed before anything is sent.
//!
//! Latency is counted from the instant a message was due, not from when it could be sent. So a stall is charged to
//! every message that had to wait for its end, and not to one alone (coordinated omission).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

/// The last stretch before an instant is waited for without sleep, for a sleeper is woken late by about as much.
const SPIN: Duration = Duration::from_micros(120);
/// Only where messages are so far apart; else waiting would cost a processor that servers need.
const SPIN_FROM: Duration = Duration::from_millis(5);

/// Messages at a constant rate, dealt out to senders in turn.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: Instant,
    interval: Duration,
    count: u64,
}

impl Schedule {
    /// `rate` messages a second in all from `start` until `until`, the first at `start`.
    pub fn new(start: Instant, until: Instant, rate: f64) -> Self {
        let interval = Duration::from_secs_f64(1.0 / rate.max(0.001));
        let count = (until.saturating_duration_since(start).as_secs_f64() * rate).ceil() as u64;
        Self { start, interval, count }
    }

    /// When message `n` (from 0) is due; none after the last.
    pub fn due(&self, n: u64) -> Option<Instant> {
        // In seconds, for a sum of rounded intervals would drift.
        (n < self.count).then(|| self.start + Duration::from_secs_f64(self.interval.as_secs_f64() * n as f64))
    }

    /// Starts a thread that tells each of `senders` receivers, in turn, of its messages when they are due. It ends after the
    /// last, or when a receiver is gone.
    pub fn run(self, senders: usize) -> Vec<mpsc::UnboundedReceiver<Instant>> {
        self.run_until(senders, Arc::default())
    }

    /// The same, but it ends before its time once `over` is true.
    pub fn run_until(self, senders: usize, over: Arc<AtomicBool>) -> Vec<mpsc::UnboundedReceiver<Instant>> {
        // Unbounded: a receiver that cannot keep up is what an open loop is there to show.
        let (tellers, receivers): (Vec<_>, Vec<_>) = (0..senders).map(|_| mpsc::unbounded_channel()).unzip();
        thread::spawn(move || {
            let mut tellers = tellers.iter().cycle();
            for due in (0..).map_while(|n| self.due(n)) {
                self.wait(due);
                if over.load(Ordering::Relaxed) || tellers.next().is_none_or(|teller| teller.send(due).is_err()) {
                    break;
                }
            }
        });
        receivers
    }

    fn wait(&self, due: Instant) {
        let spin = if self.interval >= SPIN_FROM { SPIN } else { Duration::ZERO };
        let left = due.saturating_duration_since(Instant::now());
        if left > spin {
            thread::sleep(left - spin);
        }
        while Instant::now() < due {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_its_instant_and_nothing_drifts() {
        let start = Instant::now();
        let schedule = Schedule::new(start, start + Duration::from_secs(1000), 3.0);
        assert_eq!(schedule.due(0), Some(start));
        let last = schedule.due(2999).unwrap().duration_since(start).as_secs_f64();
        assert!((last - 2999.0 / 3.0).abs() < 1e-3, "{last}");
        assert_eq!(schedule.due(3000), None);
    }

    #[test]
    fn instants_do_not_move_when_a_message_is_late() {
        let start = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let schedule = Schedule::new(start, start + Duration::from_millis(50), 100.0);
        let mut receivers = schedule.run(2);
        let dues: Vec<Instant> = (0..5).map(|n| receivers[n % 2].blocking_recv().unwrap()).collect();
        let expected: Vec<Instant> = (0..5).map(|n| start + Duration::from_millis(10 * n)).collect();
        assert_eq!(dues, expected, "all were overdue, and each still has its own instant");
        assert!(receivers.iter_mut().all(|receiver| receiver.blocking_recv().is_none()));
    }

    #[test]
    fn nothing_is_told_before_it_is_due() {
        let start = Instant::now();
        let mut receivers = Schedule::new(start, start + Duration::from_millis(60), 100.0).run(1);
        while let Some(due) = receivers[0].blocking_recv() {
            assert!(Instant::now() >= due);
        }
        assert!(start.elapsed() >= Duration::from_millis(50));
    }
}
