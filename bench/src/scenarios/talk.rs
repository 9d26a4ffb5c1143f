//! People who talk while something else happens: at a steady rate, each message checked, latencies by when they began.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{task::JoinHandle, time::timeout};

use super::deliver::{Pace, Run, converse, prepare};
use crate::{
    exactly_once::Verdict,
    latency::{Summary, Timeline, Window},
    schedule::Schedule,
};

/// Nothing that is measured lasts longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How long messages are waited for after the last was sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a message.
const BYTES: usize = 200;

/// Pairs of people.
pub struct Talkers {
    over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
    run: Run,
    receipts: Timeline,
    acknowledgements: Timeline,
}

/// What was said, and how it arrived.
pub struct Said {
    receipts: Timeline,
    acknowledgements: Timeline,
    /// Whether each message arrived once and in order.
    pub verdict: Verdict,
}

impl Talkers {
    /// Lets so many pairs talk through these servers, with so many messages a second in all.
    ///
    /// # Errors
    /// When a server is lost or refuses.
    pub async fn start(addresses: &[String], pairs: usize, rate: f64) -> anyhow::Result<Self> {
        if pairs == 0 {
            bail!("somebody must talk: --pairs must be at least 1");
        }
        let pairs = prepare(addresses, pairs).await?;
        let (receipts, acknowledgements, over) = (Timeline::default(), Timeline::default(), Arc::default());
        let window = Window::after(Duration::ZERO, LONGEST);
        let run = Run::new(window, BYTES)?.with_timelines(receipts.clone(), acknowledgements.clone());
        let schedules = Schedule::new(Instant::now(), window.until, rate).run_until(pairs.len(), Arc::clone(&over));
        let both = pairs.into_iter().zip(schedules);
        let tasks = both.map(|(pair, dues)| tokio::spawn(converse(pair, run.clone(), Pace::Schedule(dues)))).collect();
        Ok(Self { over, tasks, run, receipts, acknowledgements })
    }

    /// Lets them finish.
    ///
    /// # Errors
    /// When one of them lost the connection, or messages never arrived.
    pub async fn stop(self) -> anyhow::Result<Said> {
        self.over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            timeout(PATIENCE, task).await.context("messages that were sent never arrived")???;
        }
        let verdict = self.run.verdict();
        Ok(Said { receipts: self.receipts, acknowledgements: self.acknowledgements, verdict })
    }
}

impl Said {
    /// From send to receipt, of what was due in this span.
    ///
    /// # Errors
    /// Never.
    pub fn receipts(&self, from: Instant, until: Instant) -> anyhow::Result<Summary> {
        self.receipts.summary(from, until)
    }

    /// From send to acknowledgement, of what was due in this span.
    ///
    /// # Errors
    /// Never.
    pub fn acknowledgements(&self, from: Instant, until: Instant) -> anyhow::Result<Summary> {
        self.acknowledgements.summary(from, until)
    }
}
