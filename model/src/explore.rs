//! Walks a space and says what was found.

use std::{
    collections::BTreeSet,
    fmt,
    time::{Duration, Instant},
};

use stateright::{Checker, Expectation, HasDiscoveries, Model as Stateright};

use crate::Model;

/// Where a walk ends if the space does not.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// States generated.
    pub states: usize,
    /// Time.
    pub time: Duration,
}

/// What a walk found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Different states.
    pub unique: usize,
    /// Steps taken.
    pub generated: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// Whether the whole space was walked.
    pub exhausted: bool,
    /// How long it took.
    pub time: Duration,
    /// The properties that failed, each with the steps that lead there.
    pub failures: Vec<(&'static str, Vec<String>)>,
    /// What should be reached at least once, and was not.
    pub unreached: Vec<&'static str>,
}

/// Walks a model's space, breadth first, to its end, a limit, or the first failure.
pub fn explore(model: Model, limits: Limits) -> Found {
    walk(model, limits, HasDiscoveries::AnyFailures)
}

/// The same, for a failure of one property only.
pub fn look_for(model: Model, limits: Limits, property: &'static str) -> Found {
    let mut found = walk(model, limits, HasDiscoveries::AnyOf(BTreeSet::from([property])));
    found.failures.retain(|(failed, _)| *failed == property);
    found
}

fn walk(model: Model, limits: Limits, until: HasDiscoveries) -> Found {
    let start = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = model.checker().threads(threads).target_state_count(limits.states).timeout(limits.time);
    let done = checker.finish_when(until).spawn_bfs().join();
    let mut failures = vec![];
    let mut unreached = vec![];
    for property in done.model().properties() {
        match (&property.expectation, done.discovery(property.name)) {
            (Expectation::Always, Some(path)) => {
                let broken = path.last_state().broken;
                let steps = path.into_actions().into_iter().map(|action| format!("{action:?}"));
                let why = broken.map(|broken| format!("=> {broken}"));
                failures.push((property.name, steps.chain(why).collect()));
            }
            (Expectation::Sometimes, None) => unreached.push(property.name),
            (Expectation::Always | Expectation::Sometimes | Expectation::Eventually, _) => {}
        }
    }
    let time = start.elapsed();
    let ended = done.state_count() < limits.states && time < limits.time;
    Found {
        unique: done.unique_state_count(),
        generated: done.state_count(),
        depth: done.max_depth(),
        exhausted: failures.is_empty() && ended,
        time,
        failures,
        unreached,
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unique, generated, depth) = (self.unique, self.generated, self.depth);
        let end = if self.exhausted { "exhausted" } else { "not exhausted" };
        let seconds = self.time.as_secs_f32();
        write!(f, "{unique} states ({generated} generated, depth {depth}), {end}, {seconds:.1} s")?;
        for name in &self.unreached {
            write!(f, "\n  never: {name}")?;
        }
        for (property, steps) in &self.failures {
            write!(f, "\n  VIOLATED: {property}")?;
            for step in steps {
                write!(f, "\n    {step}")?;
            }
        }
        Ok(())
    }
}
