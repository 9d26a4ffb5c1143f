//! One run: a cluster, people, and faults, for some simulated time. The same seed and terms give the same trace.

use std::{
    sync::{Arc, Mutex, atomic::AtomicBool, atomic::AtomicI64},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use sha2::{Digest as _, Sha256};
use threefold_server::ambient;
use turmoil::Sim;

use crate::{
    disk::Disk,
    fact::Fact,
    faults::Faults,
    people::Person,
    plan::{Plan, Terms, derive},
    server::{Machine, name},
    wires::Wires,
    world::{Phase, Violation, World},
};

/// What the network and the runtimes are stepped by.
const TICK: Duration = Duration::from_millis(1);
/// People have their accounts by then, with no fault in the way, or something is wrong.
const ARRIVAL: Duration = Duration::from_secs(15);
/// Of a run's end, without faults: time to go on, to fall silent, and to read everything.
const QUIET_END: Duration = Duration::from_secs(18);
/// Of that, people go on talking for so long.
const TALKING_END: Duration = Duration::from_secs(11);
/// How long the last answers, and the last readings, may take beyond a run's time.
const OVERTIME: Duration = Duration::from_secs(30);
/// So many people sit at one machine.
const PEOPLE_PER_MACHINE: usize = 2;

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every fact, one a line.
    pub trace: String,
    /// The first invariant that did not hold.
    pub violation: Option<Violation>,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Reads begun.
    pub reads: u64,
    /// Simulated time.
    pub simulated: Duration,
}

impl Outcome {
    /// A short digest of the trace, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        Sha256::digest(&self.trace).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Runs a seed.
///
/// # Errors
/// When the simulation itself fails. An invariant that does not hold is no error but an outcome.
pub fn run(seed: u64, terms: Terms) -> anyhow::Result<Outcome> {
    ambient::simulate(derive(seed, 3));
    let plan = Plan::draw(seed);
    let world = World::new();
    world.remark(format!("seed {seed}, {terms:?}: {plan:?}"));
    let mut sim = turmoil::Builder::new()
        .rng_seed(derive(seed, 4))
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(1_000_000))
        .min_message_latency(*plan.latency.start())
        .max_message_latency(*plan.latency.end())
        .tcp_capacity(4096)
        .build();
    let machines = furnish(&mut sim, seed, terms, &plan, &world);
    invite(&mut sim, seed, terms, &plan, &machines, &world);
    let result = direct(&mut sim, seed, terms, plan, machines, &world);
    let simulated = sim.elapsed();
    // Its tasks end outside of the simulated world; what they would tell is not part of the run.
    let trace = world.trace();
    let violation = world.violation();
    drop(sim);
    result?;
    let (acknowledged, reads) = world.counts();
    Ok(Outcome { trace, violation, acknowledged, reads, simulated })
}

/// The servers.
fn furnish(sim: &mut Sim<'_>, seed: u64, terms: Terms, plan: &Plan, world: &Arc<World>) -> Vec<Arc<Machine>> {
    let cluster: Vec<String> = (0..terms.servers).map(name).collect();
    let wires = Arc::new(Wires::default());
    let machine = |number: usize| {
        let own = name(number);
        let node_id = 1 + derive(seed, 100 + number as u64) % (1 << 53);
        let disk = Disk::new(&own, node_id, derive(seed, 200 + number as u64), plan.flush.clone(), world.clone());
        Arc::new(Machine {
            name: own,
            cluster: cluster.clone(),
            disk: Mutex::new(disk),
            clock_off_ms: AtomicI64::new(0),
            has_given_up: AtomicBool::new(false),
            wires: wires.clone(),
            world: world.clone(),
            survivor_mode: terms.survivor,
            tuning: plan.tuning.clone(),
        })
    };
    let machines: Vec<_> = (0..terms.servers).map(machine).collect();
    for machine in &machines {
        let process = machine.clone();
        sim.host(machine.name.as_str(), move || process.clone().process());
    }
    machines
}

/// The people.
fn invite(sim: &mut Sim<'_>, seed: u64, terms: Terms, plan: &Plan, machines: &[Arc<Machine>], world: &Arc<World>) {
    let Some(wires) = machines.first().map(|machine| machine.wires.clone()) else { return };
    let names: Vec<String> = ["ann", "bob", "cem", "dora"].into_iter().take(plan.people).map(str::to_owned).collect();
    let numbers: Vec<usize> = (0..names.len()).collect();
    for (desk, at_desk) in numbers.chunks(PEOPLE_PER_MACHINE).enumerate() {
        let machine = format!("desk-{}", desk + 1);
        let people: Vec<Person> = at_desk
            .iter()
            .map(|number| Person {
                name: names[*number].clone(),
                others: names.iter().filter(|other| **other != names[*number]).cloned().collect(),
                people: names.len(),
                servers: (0..terms.servers).map(name).collect(),
                machine: machine.clone(),
                wires: wires.clone(),
                world: world.clone(),
                seed: derive(seed, 300 + *number as u64),
                pause: plan.pause,
            })
            .collect();
        sim.client(machine.as_str(), async move {
            for person in people {
                tokio::spawn(person.live());
            }
            std::future::pending().await
        });
    }
}

/// Steps through the run.
fn direct(
    sim: &mut Sim<'_>,
    seed: u64,
    terms: Terms,
    plan: Plan,
    machines: Vec<Arc<Machine>>,
    world: &Arc<World>,
) -> anyhow::Result<()> {
    let people = plan.people;
    until(sim, world, ARRIVAL, |_, _| world.arrived() == people).context("people get no accounts")?;
    world.set_phase(Phase::Talking);
    let end = Duration::from_secs(terms.seconds);
    let faults_end = end.saturating_sub(QUIET_END).max(sim.elapsed());
    let mut faults = Faults::new(machines, plan, seed, sim.elapsed() + Duration::from_secs(1)).context("no servers")?;
    until(sim, world, end, |sim, now| {
        faults.step(sim, now);
        now >= faults_end
    })?;
    faults.end_all(sim, sim.elapsed());
    let silence = sim.elapsed() + TALKING_END;
    until(sim, world, end, |sim, now| {
        faults.step(sim, now);
        now >= silence
    })?;
    world.set_phase(Phase::Settling);
    until(sim, world, end + OVERTIME, |sim, now| {
        faults.step(sim, now);
        world.unanswered() == 0
    })
    .context("what was sent is neither acknowledged nor given up")?;
    world.tell(Fact::Silence);
    world.set_phase(Phase::Reading);
    until(sim, world, end + OVERTIME, |_, _| world.all_done() == people).context("the last readings do not end")?;
    // What the readings brought to light reaches the devices too, which were told of all else before.
    let over = (sim.elapsed() + Duration::from_secs(1)).max(end);
    until(sim, world, over + OVERTIME, |_, now| now >= over)?;
    world.tell(Fact::Over);
    Ok(())
}

/// Steps until something is so, an invariant does not hold, or it takes too long.
fn until(
    sim: &mut Sim<'_>,
    world: &Arc<World>,
    latest: Duration,
    mut is_so: impl FnMut(&mut Sim<'_>, Duration) -> bool,
) -> anyhow::Result<()> {
    while world.violation().is_none() {
        let now = sim.elapsed();
        world.set_now(now);
        if is_so(sim, now) {
            return Ok(());
        }
        if now > latest {
            return Err(anyhow!("it took longer than {latest:?}"));
        }
        sim.step().map_err(|error| anyhow!("the simulation failed: {error}"))?;
    }
    Ok(())
}
