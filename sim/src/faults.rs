//! The faults of a run, all from its seed: which, when, and for how long.
//!
//! Crashes of one server, of several at once and of all; restarts; cuts of every shape; slow and held links; slow and
//! failing disks; clocks that are set wrong. From time to time all is put in order for a while, and then as many
//! servers crash as the cluster promises to survive, to see how soon the others go on. At the end every fault is ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rand::{
    Rng as _, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use turmoil::Sim;

use crate::{
    fact::Fact,
    plan::{Plan, derive},
    server::Machine,
    wires::{Cut, Wires},
    world::World,
};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// All must have been in order for so long before that: servers that were down are in sync again.
const QUIET_BEFORE: Duration = ms(6_000);
/// And nothing else fails for so long after it.
const QUIET_AFTER: Duration = ms(4_500);

/// What becomes of the packets of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lost {
    /// They are sent again until they get through, as a kernel does.
    No,
    /// They are lost for good, and their connections with them.
    Yes,
}

/// The end of a fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Start(usize),
    Crash(usize),
    Mend(Vec<(usize, usize)>, Lost),
    Release(usize, usize),
    UsualLatency(usize, usize),
    UsualDisk(usize),
    NoDisk(usize),
    RightClock(usize),
    CrashFromOrder,
    CrashToo(usize),
    OrderlyNoLonger,
}

/// What is to be done to the servers.
pub struct Faults {
    machines: Vec<Arc<Machine>>,
    world: Arc<World>,
    wires: Arc<Wires>,
    plan: Plan,
    dice: StdRng,
    running: BTreeSet<usize>,
    due: BTreeMap<(Duration, u64), Due>,
    numbers: u64,
    next: Duration,
    /// The servers are divided; only one division at a time.
    cut: bool,
    /// No faults of its own accord before this.
    quiet_until: Duration,
    /// No faults of its own accord any more.
    ended: bool,
}

impl Faults {
    /// None yet; the first comes at `start`.
    #[must_use]
    pub fn new(machines: Vec<Arc<Machine>>, plan: Plan, seed: u64, start: Duration) -> Option<Self> {
        let first = machines.first()?;
        Some(Self {
            world: first.world.clone(),
            wires: first.wires.clone(),
            running: (0..machines.len()).collect(),
            machines,
            plan,
            dice: StdRng::seed_from_u64(derive(seed, 2)),
            due: BTreeMap::new(),
            numbers: 0,
            next: start,
            cut: false,
            quiet_until: Duration::ZERO,
            ended: false,
        })
    }

    fn name(&self, server: usize) -> &str {
        &self.machines[server].name
    }

    fn draw(&mut self, range: RangeInclusive<Duration>) -> Duration {
        self.dice.random_range(range)
    }

    fn at(&mut self, time: Duration, due: Due) {
        self.numbers += 1;
        self.due.insert((time, self.numbers), due);
    }

    fn after(&mut self, now: Duration, range: RangeInclusive<Duration>, due: Due) {
        let time = now + self.draw(range);
        self.at(time, due);
    }

    /// Does what is due before the next step.
    pub fn step(&mut self, sim: &mut Sim<'_>, now: Duration) {
        for server in 0..self.machines.len() {
            if self.machines[server].has_given_up.swap(false, Ordering::SeqCst) && self.running.contains(&server) {
                self.crash(sim, server);
                self.after(now, ms(100)..=ms(2_000), Due::Start(server));
            }
        }
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let due = entry.remove();
            self.end(sim, due, now);
        }
        if !self.ended && now >= self.next && now >= self.quiet_until {
            self.begin(sim, now);
            let pause = self.plan.between_faults.clone();
            self.next = now + self.draw(pause);
        }
    }

    fn crash(&mut self, sim: &mut Sim<'_>, server: usize) {
        if !self.running.remove(&server) {
            return;
        }
        self.world.tell(Fact::Crashed { server: self.name(server).to_owned() });
        self.wires.set_dying(Some(self.name(server)));
        sim.crash(self.name(server));
        self.wires.set_dying(None);
        self.wires.set_running(self.name(server), false);
        self.machines[server].disk().crash();
    }

    fn start(&mut self, sim: &mut Sim<'_>, server: usize) {
        if self.running.insert(server) {
            self.machines[server].has_given_up.store(false, Ordering::SeqCst);
            self.wires.set_running(self.name(server), true);
            sim.bounce(self.name(server));
        }
    }

    /// Ends every fault, and lets none begin any more.
    pub fn end_all(&mut self, sim: &mut Sim<'_>, now: Duration) {
        self.ended = true;
        self.put_in_order(sim, now);
        self.world.tell(Fact::FaultsEnded);
    }

    fn put_in_order(&mut self, sim: &mut Sim<'_>, now: Duration) {
        while let Some((_, due)) = self.due.pop_first() {
            if !matches!(due, Due::CrashFromOrder | Due::CrashToo(_) | Due::Crash(_)) {
                self.end(sim, due, now);
            }
        }
        for server in 0..self.machines.len() {
            self.start(sim, server);
        }
    }

    fn end(&mut self, sim: &mut Sim<'_>, due: Due, now: Duration) {
        match due {
            Due::Start(server) => self.start(sim, server),
            Due::Crash(server) => {
                self.crash(sim, server);
                self.after(now, ms(1_000)..=ms(5_000), Due::Start(server));
            }
            Due::Mend(pairs, lost) => self.mend(sim, &pairs, lost),
            Due::Release(one, other) => {
                self.world.remark(format!("{} and {} are let through", self.name(one), self.name(other)));
                sim.release(self.name(one), self.name(other));
                self.cut = false;
            }
            Due::UsualLatency(one, other) => self.set_latency(sim, one, other, *self.plan.latency.end()),
            Due::UsualDisk(server) => {
                self.world.remark(format!("the disk of {} is as usual", self.name(server)));
                self.machines[server].disk().set_flush(self.plan.flush.clone());
            }
            Due::NoDisk(server) => {
                if self.machines[server].disk().has_failed() {
                    self.crash(sim, server);
                    self.after(now, ms(100)..=ms(2_000), Due::Start(server));
                }
            }
            Due::RightClock(server) => self.set_clock(server, 0),
            Due::CrashFromOrder => self.crash_from_order(sim, now),
            Due::CrashToo(count) => self.crash_last(sim, now, count),
            Due::OrderlyNoLonger => self.world.tell(Fact::OrderlyNoLonger),
        }
    }

    fn begin(&mut self, sim: &mut Sim<'_>, now: Duration) {
        match self.dice.random_range(0..100) {
            0..24 => self.crash_some(sim, now, 1),
            24..36 => self.crash_some(sim, now, 2),
            36..40 => self.crash_some(sim, now, self.machines.len()),
            40..64 => self.cut_some(sim, now),
            64..70 => self.hold(sim, now),
            70..76 => self.slow_link(sim, now),
            76..80 => self.crash_behind_slow_link(sim, now),
            80..88 => self.slow_disk(now),
            88..91 => self.fail_disk(now),
            91..95 => self.turn_clock(now),
            _ => self.rest(sim, now),
        }
    }

    /// Everything in order, and after a while as many servers crash as may.
    fn rest(&mut self, sim: &mut Sim<'_>, now: Duration) {
        self.world.remark("everything is put in order for a while");
        self.put_in_order(sim, now);
        self.quiet_until = now + QUIET_BEFORE + QUIET_AFTER;
        self.at(now + QUIET_BEFORE, Due::CrashFromOrder);
    }

    /// One server; or two, at once or one after the other, where that is promised too.
    fn crash_from_order(&mut self, sim: &mut Sim<'_>, now: Duration) {
        let survives_two = self.machines.len() > 3 || self.machines.iter().any(|machine| machine.survivor_mode);
        if survives_two && self.dice.random_bool(0.5) {
            self.crash_any(sim);
            if self.dice.random_bool(0.5) {
                return self.after(now, ms(1)..=ms(800), Due::CrashToo(2));
            }
            return self.crash_last(sim, now, 2);
        }
        self.crash_last(sim, now, 1);
    }

    fn crash_any(&mut self, sim: &mut Sim<'_>) {
        let running: Vec<usize> = self.running.iter().copied().collect();
        if let Some(server) = running.choose(&mut self.dice) {
            self.crash(sim, *server);
        }
    }

    /// The last of these, and from now on nothing fails for a while.
    fn crash_last(&mut self, sim: &mut Sim<'_>, now: Duration, count: usize) {
        self.crash_any(sim);
        self.world.tell(Fact::CrashedFromOrder { servers: count });
        self.quiet_until = now + QUIET_AFTER;
        self.at(now + QUIET_AFTER, Due::OrderlyNoLonger);
        for server in 0..self.machines.len() {
            if !self.running.contains(&server) {
                self.after(now, QUIET_AFTER..=QUIET_AFTER + ms(3_000), Due::Start(server));
            }
        }
    }

    fn crash_some(&mut self, sim: &mut Sim<'_>, now: Duration, count: usize) {
        let mut victims: Vec<usize> = self.running.iter().copied().collect();
        victims.shuffle(&mut self.dice);
        for server in victims.into_iter().take(count) {
            self.crash(sim, server);
            self.after(now, ms(50)..=ms(5_000), Due::Start(server));
        }
    }

    /// Cuts links: between two groups, around one server, or between two servers only; in both directions or in one.
    fn cut_some(&mut self, sim: &mut Sim<'_>, now: Duration) {
        if self.cut {
            return;
        }
        self.cut = true;
        let mut servers: Vec<usize> = (0..self.machines.len()).collect();
        servers.shuffle(&mut self.dice);
        let shape = self.dice.random_range(0..10);
        let groups: Vec<Vec<usize>> = match shape {
            0 => servers.iter().map(|server| vec![*server]).collect(),
            1..4 => vec![servers[..2].to_vec()],
            _ => {
                let at = self.dice.random_range(1..servers.len());
                vec![servers[..at].to_vec(), servers[at..].to_vec()]
            }
        };
        let pairs: Vec<(usize, usize)> = if groups.len() == 1 {
            vec![(servers[0], servers[1])]
        } else {
            let side = |server| groups.iter().position(|group| group.contains(&server));
            let all = (0..servers.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
            all.filter(|(one, other)| side(*one) != side(*other)).collect()
        };
        let lost = if self.dice.random_bool(0.25) {
            self.cut_one_way(sim, &pairs)
        } else {
            self.cut_both_ways(sim, &groups, &pairs)
        };
        self.after(now, ms(100)..=ms(8_000), Due::Mend(pairs, lost));
    }

    fn cut_one_way(&mut self, sim: &mut Sim<'_>, pairs: &[(usize, usize)]) -> Lost {
        let turned = self.dice.random_bool(0.5);
        for &(one, other) in pairs {
            let (from, to) = if turned { (other, one) } else { (one, other) };
            let (from, to) = (self.name(from), self.name(to));
            self.world.remark(format!("nothing gets from {from} to {to}"));
            self.wires.cut(from, to, Cut::Drop);
            sim.partition_oneway(from, to);
        }
        Lost::Yes
    }

    fn cut_both_ways(&mut self, sim: &mut Sim<'_>, groups: &[Vec<usize>], pairs: &[(usize, usize)]) -> Lost {
        let cut = if self.dice.random_bool(0.3) { Cut::Refuse } else { Cut::Drop };
        for &(one, other) in pairs {
            self.world.remark(format!("{} and {} are cut off ({cut:?})", self.name(one), self.name(other)));
            self.wires.cut(self.name(one), self.name(other), cut);
            match cut {
                Cut::Drop => sim.hold(self.name(one), self.name(other)),
                Cut::Refuse => sim.partition(self.name(one), self.name(other)),
            }
        }
        if groups.len() > 1 {
            let names = |group: &Vec<usize>| group.iter().map(|server| self.name(*server).to_owned()).collect();
            let log_end = self.machines.iter().map(|machine| machine.disk().log_end()).max().unwrap_or(0);
            self.world.tell(Fact::Divided { groups: groups.iter().map(names).collect(), log_end });
        }
        if cut == Cut::Drop { Lost::No } else { Lost::Yes }
    }

    fn mend(&mut self, sim: &mut Sim<'_>, pairs: &[(usize, usize)], lost: Lost) {
        for &(one, other) in pairs {
            self.wires.mend(self.name(one), self.name(other), lost == Lost::Yes);
            match lost {
                Lost::No => sim.release(self.name(one), self.name(other)),
                Lost::Yes => sim.repair(self.name(one), self.name(other)),
            }
        }
        self.cut = false;
        self.world.tell(Fact::Reunited);
    }

    fn two(&mut self) -> (usize, usize) {
        let servers: Vec<usize> = (0..self.machines.len()).collect();
        let two: Vec<usize> = servers.choose_multiple(&mut self.dice, 2).copied().collect();
        (two[0], two[1])
    }

    /// Nothing gets through for a moment, and then all of it. Not while a link is cut: the network knows one or the other.
    fn hold(&mut self, sim: &mut Sim<'_>, now: Duration) {
        let held = self.due.values().any(|due| matches!(due, Due::Release(..)));
        if self.cut || held {
            return;
        }
        let (one, other) = self.two();
        self.world.remark(format!("{} and {} are held up", self.name(one), self.name(other)));
        sim.hold(self.name(one), self.name(other));
        self.cut = true;
        self.after(now, ms(20)..=ms(900), Due::Release(one, other));
    }

    fn slow_link(&mut self, sim: &mut Sim<'_>, now: Duration) {
        let (one, other) = self.two();
        let latency = self.draw(ms(20)..=ms(200));
        self.world.remark(format!("{} and {} are slow: {latency:?}", self.name(one), self.name(other)));
        self.set_latency(sim, one, other, latency);
        self.after(now, ms(500)..=ms(5_000), Due::UsualLatency(one, other));
    }

    /// What one server says reaches another late; it crashes, and the third one a moment after: perhaps while it is being elected, and
    /// before the other has from it what it lacks.
    fn crash_behind_slow_link(&mut self, sim: &mut Sim<'_>, now: Duration) {
        let mut servers: Vec<usize> = self.running.iter().copied().collect();
        servers.shuffle(&mut self.dice);
        let &[first, second, third, ..] = &servers[..] else { return };
        let latency = self.draw(ms(60)..=ms(300));
        self.world.remark(format!(
            "{} and {} are slow before a crash: {latency:?}",
            self.name(first),
            self.name(third)
        ));
        self.set_latency(sim, first, third, latency);
        let crash = now + self.draw(ms(300)..=ms(1_200));
        self.at(crash, Due::Crash(first));
        self.after(crash, ms(1)..=ms(40), Due::Crash(second));
        self.after(crash, ms(100)..=ms(800), Due::UsualLatency(first, third));
    }

    fn set_latency(&self, sim: &Sim<'_>, one: usize, other: usize, longest: Duration) {
        sim.set_link_max_message_latency(self.name(one), self.name(other), longest);
    }

    fn slow_disk(&mut self, now: Duration) {
        let server = self.dice.random_range(0..self.machines.len());
        let slow = self.draw(ms(30)..=ms(400));
        self.world.remark(format!("the disk of {} is slow: {slow:?}", self.name(server)));
        self.machines[server].disk().set_flush(slow / 2..=slow);
        self.after(now, ms(500)..=ms(6_000), Due::UsualDisk(server));
    }

    /// A server that hears of it ends by itself; one that has just ended its consensus is ended.
    fn fail_disk(&mut self, now: Duration) {
        let server = self.dice.random_range(0..self.machines.len());
        if self.running.contains(&server) {
            self.world.remark(format!("the disk of {} fails", self.name(server)));
            self.machines[server].disk().fail();
            self.after(now, ms(500)..=ms(1_500), Due::NoDisk(server));
        }
    }

    fn turn_clock(&mut self, now: Duration) {
        let server = self.dice.random_range(0..self.machines.len());
        let range: i64 = [1_000, 60_000, 86_400_000].choose(&mut self.dice).copied().unwrap_or(1_000);
        let off_ms = self.dice.random_range(-range..=range);
        self.set_clock(server, off_ms);
        self.after(now, ms(500)..=ms(10_000), Due::RightClock(server));
    }

    fn set_clock(&self, server: usize, off_ms: i64) {
        self.world.remark(format!("the clock of {} is off by {off_ms} ms", self.name(server)));
        self.machines[server].clock_off_ms.store(off_ms, Ordering::SeqCst);
    }
}
