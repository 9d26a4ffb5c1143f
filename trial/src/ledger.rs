//! What was sent, and what the cluster answered: the truth that everything delivered is held against.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Longer than a failover takes on a machine with time to spare.
pub const LONG_GAP: Duration = Duration::from_millis(500);

/// What became of a message, as far as its sender knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged under this id: must be there, exactly once.
    Acknowledged(u64),
    /// No answer: may be there, at most once.
    Unknown(String),
    /// Its sender was killed on the way: may be there, at most once, and later than what its user sent next.
    Abandoned,
    /// Given up before it was first sent: must not be there.
    NotSent(String),
    /// The cluster decided against it: must not be there; and nothing here deserves it.
    Refused(String),
}

/// One message. Users are told by their place in the list of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub sender: usize,
    pub recipient: usize,
    /// The how-manieth of its sender.
    pub number: u64,
    pub body: String,
    pub outcome: Outcome,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    acknowledged: u64,
    last_acknowledgement: Option<Instant>,
    longest_gap: Duration,
    /// When a long gap ended, and how long it was.
    gaps: Vec<(Instant, Duration)>,
}

/// The ledger; clones write to the same one.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    state: Arc<Mutex<State>>,
}

impl Ledger {
    /// Enters a message that is about to be sent; its outcome is not known yet.
    pub fn enter(&self, sender: usize, recipient: usize, number: u64, body: String) -> usize {
        let mut state = self.lock();
        let outcome = Outcome::Unknown("not answered".to_owned());
        state.entries.push(Entry { sender, recipient, number, body, outcome });
        state.entries.len() - 1
    }

    /// Enters what became of it.
    pub fn settle(&self, place: usize, outcome: Outcome) {
        let mut state = self.lock();
        if matches!(outcome, Outcome::Acknowledged(_)) {
            let now = Instant::now();
            let gap = state.last_acknowledgement.map_or(Duration::ZERO, |last| now.duration_since(last));
            state.longest_gap = state.longest_gap.max(gap);
            if gap >= LONG_GAP {
                state.gaps.push((now, gap));
            }
            state.last_acknowledgement = Some(now);
            state.acknowledged += 1;
        }
        if let Some(entry) = state.entries.get_mut(place) {
            entry.outcome = outcome;
        }
    }

    /// How many were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.lock().acknowledged
    }

    /// The longest time between two acknowledgements.
    pub fn longest_gap(&self) -> Duration {
        self.lock().longest_gap
    }

    /// All long gaps: when each ended, and how long it was.
    pub fn gaps(&self) -> Vec<(Instant, Duration)> {
        self.lock().gaps.clone()
    }

    /// Everything entered so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
