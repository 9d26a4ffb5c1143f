//! Latencies: a histogram shared by the tasks of a run, and the few figures that are printed of it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told from longer ones, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// The span of time that is measured; before it is warm-up.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Its beginning.
    pub from: Instant,
    /// Its end.
    pub until: Instant,
}

impl Window {
    /// A window that begins after `warm_up`.
    pub fn after(warm_up: Duration, measured: Duration) -> Self {
        let from = Instant::now() + warm_up;
        Self { from, until: from + measured }
    }

    /// Whether an instant lies in it.
    pub fn holds(&self, at: Instant) -> bool {
        self.from <= at && at < self.until
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.until.duration_since(self.from).as_secs_f64()
    }
}

/// A histogram of latencies in microseconds, with three significant digits (HDR), that many tasks record into.
#[derive(Clone)]
pub struct Latencies(Arc<Mutex<Histogram<u64>>>);

impl Latencies {
    /// An empty one.
    ///
    /// # Errors
    /// Never with these bounds.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Histogram::new_with_max(LONGEST_US, 3)?))))
    }

    /// Records one; beyond ten minutes as ten minutes.
    pub fn record(&self, latency: Duration) {
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(microseconds);
    }

    /// The figures.
    pub fn summary(&self) -> Summary {
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Summary {
            count: histogram.len(),
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
            max_ms: histogram.max() as f64 / 1000.0,
        }
    }
}

/// Latencies with the instants at which they began, for runs whose phases are known only afterwards.
#[derive(Clone, Debug, Default)]
pub struct Timeline(Arc<Mutex<Vec<(Instant, Duration)>>>);

impl Timeline {
    /// Records one.
    pub fn record(&self, began: Instant, latency: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((began, latency));
    }

    /// The figures of those that began in this span.
    ///
    /// # Errors
    /// Never.
    pub fn summary(&self, from: Instant, until: Instant) -> anyhow::Result<Summary> {
        let latencies = Latencies::new()?;
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, latency) in all.iter().filter(|(began, _)| (from..until).contains(began)) {
            latencies.record(*latency);
        }
        Ok(latencies.summary())
    }
}

/// Quantiles in milliseconds; all zero where nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many were recorded.
    pub count: u64,
    /// Half are at most this.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1000.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// The median of some figures; of an even number the mean of the middle two; none of none.
pub fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted[middle - 1] + upper) / 2.0)
}

/// The figure that so large a part of them does not exceed (the nearest rank); none of none.
pub fn quantile(figures: &[f64], part: f64) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let latencies = Latencies::new().unwrap();
        assert_eq!(latencies.summary(), Summary::default());
        for ms in 1..=1000 {
            latencies.record(Duration::from_millis(ms));
        }
        let summary = latencies.summary();
        let near = |figure: f64, expected: f64| (figure - expected).abs() <= expected / 500.0;
        assert_eq!(summary.count, 1000);
        assert!(near(summary.p50_ms, 500.0) && near(summary.p90_ms, 900.0), "{summary:?}");
        assert!(near(summary.p99_ms, 990.0) && near(summary.p999_ms, 999.0), "{summary:?}");
        assert!(near(summary.max_ms, 1000.0), "{summary:?}");
    }

    #[test]
    fn long_stalls_are_recorded_as_they_are() {
        let latencies = Latencies::new().unwrap();
        latencies.record(Duration::from_micros(3));
        latencies.record(Duration::from_secs(100));
        latencies.record(Duration::from_secs(100_000));
        let summary = latencies.summary();
        assert!((summary.p50_ms / 100_000.0 - 1.0).abs() < 0.002 && summary.max_ms >= 600_000.0, "{summary:?}");
    }

    #[test]
    fn medians_and_quantiles_of_few_figures() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
        let twenty: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(quantile(&twenty, 0.99), Some(20.0));
        assert_eq!(quantile(&twenty, 0.5), Some(10.0));
        assert_eq!(quantile(&twenty, 0.0), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_window_begins_after_the_warm_up_and_ends_before_its_end() {
        let window = Window::after(Duration::from_secs(2), Duration::from_secs(5));
        assert!(window.holds(window.from) && !window.holds(window.until));
        assert!(!window.holds(window.from.checked_sub(Duration::from_nanos(1)).unwrap()));
        assert!((window.seconds() - 5.0).abs() < 1e-9);
    }
}
