//! When to tell a client how far it has come: after events, once it has caught up for the first time,
//! and otherwise now and then, so that its cursor moves on while others talk.

use std::time::Duration;

use threefold_core::Position;
use tokio::time::Instant;

/// Between two tellings that no event calls for.
const PAUSE: Duration = Duration::from_secs(1);

/// How far a subscription has come, and how far its client knows.
pub(super) struct Progress {
    /// The server's position when it began.
    start: Position,
    reached: Position,
    told: Option<Position>,
    told_at: Instant,
}

impl Progress {
    pub fn new(start: Position) -> Self {
        Self { start, reached: Position(0), told: None, told_at: Instant::now() }
    }

    /// Everything up to `up_to` was sent, with or without events: what to tell at once.
    pub fn reach(&mut self, up_to: Position, events: bool) -> Option<Position> {
        self.reached = self.reached.max(up_to);
        let first = self.told.is_none() && self.reached >= self.start;
        let due = self.due().is_some_and(|due| due <= Instant::now());
        (events || first || due).then(|| self.tell())
    }

    /// When to tell what was not told at once.
    pub fn due(&self) -> Option<Instant> {
        self.told.is_some_and(|told| told < self.reached).then(|| self.told_at + PAUSE)
    }

    /// Tells how far it is.
    pub fn tell(&mut self) -> Position {
        self.told = Some(self.reached);
        self.told_at = Instant::now();
        self.reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn told_when_caught_up_and_after_events() {
        let mut progress = Progress::new(Position(10));
        assert_eq!(progress.reach(Position(5), false), None, "still behind");
        assert_eq!(progress.reach(Position(7), true), Some(Position(7)), "a cursor to keep");
        assert_eq!(progress.reach(Position(12), true), Some(Position(12)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_history_is_caught_up_at_once() {
        let mut progress = Progress::new(Position(10));
        assert_eq!(progress.reach(Position(10), false), Some(Position(10)));
        assert_eq!(Progress::new(Position(0)).reach(Position(0), false), Some(Position(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn others_talk_is_told_once_a_second() {
        let mut progress = Progress::new(Position(0));
        progress.reach(Position(1), false);
        assert_eq!(progress.due(), None);
        assert_eq!(progress.reach(Position(2), false), None);
        let due = progress.due().unwrap();
        tokio::time::advance(PAUSE / 2).await;
        assert_eq!(progress.reach(Position(3), false), None);
        assert_eq!(progress.due(), Some(due), "not put off");
        tokio::time::advance(PAUSE / 2).await;
        assert_eq!(progress.reach(Position(4), false), Some(Position(4)));
        assert_eq!(progress.due(), None);
    }
}
