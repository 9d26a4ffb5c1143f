//! When the cluster acknowledges again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{sync::Notify, time::Instant};

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    first: Option<Instant>,
}

/// Hears every acknowledgement; clones hear the same.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    state: Arc<Mutex<State>>,
    heard: Arc<Notify>,
}

impl Pulse {
    /// From now on, waits for the first acknowledgement of a message that was sent after this moment.
    pub fn listen_since(&self, moment: Instant) {
        *self.lock() = State { since: Some(moment), first: None };
    }

    /// A message sent then is acknowledged now.
    pub fn acknowledged(&self, sent: Instant) {
        let mut state = self.lock();
        if state.first.is_none() && state.since.is_some_and(|since| sent >= since) {
            state.first = Some(Instant::now());
            self.heard.notify_one();
        }
    }

    /// When the first such acknowledgement came; waits for it.
    pub async fn first(&self) -> Instant {
        loop {
            if let Some(first) = self.lock().first {
                return first;
            }
            self.heard.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn only_what_was_sent_after_the_moment_counts() {
        let pulse = Pulse::default();
        let moment = Instant::now();
        pulse.listen_since(moment);
        pulse.acknowledged(moment - Duration::from_millis(1));
        assert!(pulse.lock().first.is_none());
        pulse.acknowledged(moment);
        let first = pulse.first().await;
        assert!(first >= moment);
        pulse.acknowledged(Instant::now());
        assert_eq!(pulse.first().await, first, "the first one stands");
    }
}
