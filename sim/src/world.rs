//! What all parts of a run share: the trace, the judges, and how far the run is.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    fact::{Fact, Moment},
    invariants::{self, Invariant},
};

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// When.
    pub moment: Moment,
    /// What was wrong.
    pub what: String,
}

/// What people do just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// They get their accounts.
    Arriving,
    /// They talk and read.
    Talking,
    /// They wait for the answers to what they sent.
    Settling,
    /// They read everything once more.
    Reading,
}

/// Shared by everything in one run. All of it is on one thread: the locks are never contended.
pub struct World {
    inner: Mutex<Inner>,
}

struct Inner {
    now: Duration,
    order: u64,
    trace: String,
    judges: Vec<Box<dyn Invariant>>,
    violation: Option<Violation>,
    phase: Phase,
    arrived: BTreeSet<String>,
    unanswered: u64,
    done: BTreeSet<String>,
    reads: u64,
    acknowledged: u64,
}

impl World {
    /// An empty one, with all invariants.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let inner = Inner {
            now: Duration::ZERO,
            order: 0,
            trace: String::new(),
            judges: invariants::all(),
            violation: None,
            phase: Phase::Arriving,
            arrived: BTreeSet::new(),
            unanswered: 0,
            done: BTreeSet::new(),
            reads: 0,
            acknowledged: 0,
        };
        Arc::new(Self { inner: Mutex::new(inner) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the time of what happens between two steps of the hosts.
    pub fn set_now(&self, now: Duration) {
        self.lock().now = now;
    }

    /// Simulated time since the run began.
    #[must_use]
    pub fn now(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or(self.lock().now)
    }

    /// Something happened: it goes into the trace, and before the judges.
    pub fn tell(&self, fact: Fact) {
        let time = self.now();
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.order += 1;
        let moment = Moment { order: inner.order, time };
        let (seconds, micros) = (time.as_secs(), time.subsec_micros());
        // Writing into a string does not fail.
        let _ = writeln!(inner.trace, "{seconds:>3}.{micros:06} {fact}");
        match &fact {
            Fact::SendBegan(_) => inner.unanswered += 1,
            Fact::SendEnded(_, sent) => {
                inner.unanswered -= 1;
                inner.acknowledged += u64::from(matches!(sent, crate::fact::Sent::Acknowledged(_)));
            }
            Fact::Registered { person } => drop(inner.arrived.insert(person.clone())),
            _ => {}
        }
        if inner.violation.is_some() {
            return;
        }
        for judge in &mut inner.judges {
            if let Err(what) = judge.observe(moment, &fact) {
                let _ = writeln!(inner.trace, "{seconds:>3}.{micros:06} !! {}: {what}", judge.name());
                inner.violation = Some(Violation { invariant: judge.name(), moment, what });
                return;
            }
        }
    }

    /// A remark for those who read the trace.
    pub fn remark(&self, words: impl Into<String>) {
        self.tell(Fact::Remark(words.into()));
    }

    /// The first invariant that did not hold.
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.lock().violation.clone()
    }

    /// What people do.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// They do something else from now on.
    pub fn set_phase(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// How many have an account.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.lock().arrived.len()
    }

    /// How many messages have neither been answered nor given up.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.lock().unanswered
    }

    /// A person has read everything once more.
    pub fn done(&self, person: &str) {
        self.lock().done.insert(person.to_owned());
    }

    /// How many have.
    #[must_use]
    pub fn all_done(&self) -> usize {
        self.lock().done.len()
    }

    /// A new number for a read.
    pub fn next_read(&self) -> u64 {
        let mut inner = self.lock();
        inner.reads += 1;
        inner.reads
    }

    /// Messages acknowledged, and reads begun.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.acknowledged, inner.reads)
    }

    /// The whole trace, one fact a line.
    #[must_use]
    pub fn trace(&self) -> String {
        self.lock().trace.clone()
    }
}
