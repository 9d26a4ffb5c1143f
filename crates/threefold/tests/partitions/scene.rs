//! A cluster with a machine for each server, writers who never pause, and the judge.
//!
//! On each machine is a writer who knows its server only, so that what it is told is what that server acknowledges; one
//! more, the roamer, is at the desk, knows all servers and may be told by any.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    harness::{Cluster, Flow, Flowed, PATIENCE, Server, check_history, until},
    network::Network,
};

/// Between two messages of a writer.
const PACE: Duration = Duration::from_millis(20);
/// Who tries in vain waits so long, and silence is watched meanwhile. Too short could only overlook something, never
/// complain wrongly.
const VISIT: Duration = Duration::from_secs(2);
/// What the cluster promises after a failure that it survives, on a machine with time for it: that in which programs wait for a processor, memory or a disk counts for nobody.
/// Unoptimised programs get longer; the trial of survivors measures optimised ones.
pub const PROMPT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 3 });

/// Tries of what must not meet a server that is out of sync just then.
const ROUNDS: usize = 5;

/// Where clients connect, and servers, on every machine.
const PORTS: (u16, u16) = (7400, 7500);

/// Lines of each server's log that are shown when a test fails.
const LAST_LINES: usize = 12;

/// The cluster, its machines, and the writers: the server of a place, its machine and its writer have one number.
pub struct Scene {
    // In this order: what is dropped first may run in what is dropped later.
    flows: Vec<Flow>,
    pub cluster: Cluster,
    pub network: Network,
}

/// A moment, and what had been written until then.
pub struct Mark {
    at: Instant,
    stalled: Option<Duration>,
    written: Vec<usize>,
}

impl Scene {
    /// This many servers, and their writers at work; none, with a message, where namespaces are not to be had.
    pub fn start(servers: usize, options: &[&str]) -> Option<Self> {
        let mut scene = Self::prepare(servers, options)?;
        scene.begin();
        Some(scene)
    }

    /// The same, with nothing started.
    pub fn prepare(servers: usize, options: &[&str]) -> Option<Self> {
        // One more machine: the desk, from where the cluster is watched, and which is never cut off.
        let network = Network::build(servers + 1)?;
        let directory = tempfile::tempdir().unwrap();
        let server = |place: usize| {
            let address = Network::address(place);
            let addresses = (format!("{address}:{}", PORTS.0), format!("{address}:{}", PORTS.1));
            Server::at(directory.path(), &format!("server-{}", place + 1), network.machine(place), addresses)
        };
        let all = (0..servers).map(server).collect();
        let mut cluster = Cluster::of(all, directory.path().to_owned(), Some(directory), options);
        cluster.desk = network.machine(servers);
        Some(Self { flows: Vec::new(), cluster, network })
    }

    /// Founds the cluster and lets the writers begin.
    pub fn begin(&mut self) {
        self.cluster.found();
        self.cluster.person("reader");
        self.cluster.person("visitor");
        for place in 0..self.cluster.servers.len() {
            let writer = self.cluster.person(&format!("writer-{}", place + 1));
            let writer = writer.moved(&self.network.machine(place)).at(&self.cluster.servers[place].client);
            self.flows.push(Flow::paced(&writer, "reader", PACE));
        }
        self.flows.push(Flow::paced(&self.cluster.person("roamer"), "reader", PACE));
        self.everybody_goes_on(&self.mark());
    }

    /// Every place.
    pub fn all(&self) -> Vec<usize> {
        (0..self.cluster.servers.len()).collect()
    }

    /// The roamer, among the writers.
    pub fn roamer(&self) -> usize {
        self.cluster.servers.len()
    }

    /// Every place but these.
    pub fn others(&self, places: &[usize]) -> Vec<usize> {
        self.all().into_iter().filter(|place| !places.contains(place)).collect()
    }

    /// Now.
    pub fn mark(&self) -> Mark {
        Mark { at: Instant::now(), stalled: stalled(), written: self.flows.iter().map(Flow::written).collect() }
    }

    /// Waits until the writers of these places have each had a message acknowledged that was written after the mark.
    /// Says how long after the mark the last of them had.
    pub fn go_on(&self, mark: &Mark, places: &[usize]) -> Duration {
        let give_up = Instant::now() + PATIENCE;
        let mut last = Duration::ZERO;
        for &place in places {
            let acknowledged = until("messages to be acknowledged", || {
                let at = self.flows[place].acknowledged_at(mark.written[place]);
                assert!(at.is_some() || Instant::now() < give_up, "writer {place} waits in vain\n{}", self.said());
                at
            });
            last = last.max(acknowledged.saturating_duration_since(mark.at));
        }
        last
    }

    /// The same, of all servers' writers and of the roamer.
    pub fn everybody_goes_on(&self, mark: &Mark) {
        self.go_on(mark, &self.all());
        self.go_on(mark, &[self.roamer()]);
    }

    /// The same, which must be prompt.
    pub fn go_on_promptly(&self, what: &str, mark: &Mark, places: &[usize]) {
        let took = self.go_on(mark, places);
        let (before, after) = (mark.stalled, stalled());
        let excused = before.zip(after).map(|(before, after)| after.saturating_sub(before));
        eprintln!("{what}: acknowledged again after {} ms, {excused:?} of them a busy machine's", took.as_millis());
        // Where the system does not tell how busy it is, nobody can judge.
        let Some(excused) = excused else { return };
        // A cluster that is busy for itself is no excuse for ever.
        let excused = excused.min(3 * PROMPT);
        assert!(took <= PROMPT + excused, "{what}: {took:?}, {excused:?} excused\n{}", self.said());
    }

    /// Strikes servers by `cut` (cuts them off, stops them, kills them), which says which ones go on without them; that must be prompt.
    /// Says since when, and again which.
    ///
    /// They may, and must, stand still where one of them was out of sync just then, for it was slow: the in-sync set had one of those
    /// that are struck in its place (rule 3). That is no failure of what is looked at here, so then all is put right, and it is done
    /// again. Who is struck must not take anybody out any more, though: it could never be committed.
    pub fn go_on_without(&mut self, what: &str, cut: impl FnMut(&mut Self) -> Vec<usize>) -> (Mark, Vec<usize>) {
        self.go_on_after(what, cut, false)
    }

    /// The same where those that need not go on are in touch with those that must, and so may take others out.
    pub fn go_on_beside(&mut self, what: &str, cut: impl FnMut(&mut Self) -> Vec<usize>) -> (Mark, Vec<usize>) {
        self.go_on_after(what, cut, true)
    }

    fn go_on_after(
        &mut self,
        what: &str,
        mut cut: impl FnMut(&mut Self) -> Vec<usize>,
        may_take_out: bool,
    ) -> (Mark, Vec<usize>) {
        for _ in 0..ROUNDS {
            let places = cut(self);
            let cut_off = self.others(&places);
            let removals = || cut_off.iter().map(|place| self.removals(*place)).sum::<usize>();
            let (mark, before) = (self.mark(), removals());
            let go_on =
                || places.iter().all(|place| self.flows[*place].acknowledged_at(mark.written[*place]).is_some());
            let give_up = Instant::now() + PATIENCE;
            let one_was_slow = until("messages to be acknowledged, or why they cannot be", || {
                assert!(Instant::now() < give_up, "{what}: in vain\n{}", self.said());
                if go_on() { Some(false) } else { self.are_held(&places).then_some(true) }
            });
            if !one_was_slow {
                self.go_on_promptly(what, &mark, &places);
                return (mark, places);
            }
            assert!(
                may_take_out || removals() == before,
                "{what}: somebody was taken out by whom nobody hears\n{}",
                self.said()
            );
            eprintln!("{what}: one of {places:?} was not in sync; again");
            self.put_right();
            self.recover();
        }
        panic!("{what}: one of those that should go on was never in sync\n{}", self.said());
    }

    /// How often a server, leading, has taken another out of the in-sync set.
    fn removals(&self, place: usize) -> usize {
        let said = self.cluster.servers[place].said();
        let is_removal = |line: &&str| line.contains("changing the in-sync set") && !line.contains("Add(");
        said.lines().filter(is_removal).count()
    }

    /// Undoes whatever was done to servers and to the network.
    fn put_right(&mut self) {
        self.network.heal();
        let (running, dead): (Vec<usize>, Vec<usize>) =
            self.all().into_iter().partition(|place| self.cluster.servers[*place].is_started());
        self.signal("-CONT", &running);
        self.start_again(&dead);
    }

    /// Whether these servers agree that they are frozen, and one of them was out of sync, and waits for one of the others, in whose place that one is in sync.
    fn are_held(&self, places: &[usize]) -> bool {
        let statuses: Option<Vec<Value>> = places.iter().map(|place| self.cluster.status(*place)).collect();
        let Some(statuses) = statuses.filter(|all| all.iter().all(|status| status["state"] == "frozen")) else {
            return false;
        };
        let others = self.others(places);
        places.iter().zip(&statuses).any(|(place, status)| self.cluster.is_held(*place, status, &others))
    }

    /// Waits until a server says this of the cluster; gives its whole status.
    pub fn says(&self, place: usize, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let give_up = Instant::now() + PATIENCE;
        until("a status", || {
            let status = self.cluster.status(place);
            let seen = status.clone().filter(&is_so);
            let server = &self.cluster.servers[place].name;
            assert!(
                seen.is_some() || Instant::now() < give_up,
                "{server} never says {what}: {status:#?}\n{}",
                self.said()
            );
            seen
        })
    }

    /// Waits until a server says this word of the cluster; gives the sentence that explains it.
    pub fn says_word(&self, place: usize, word: &str) -> String {
        let status = self.says(place, word, |status| status["state"] == word);
        status["detail"].as_str().unwrap().to_owned()
    }

    /// Waits until a server says that the cluster is frozen and waits for these.
    pub fn says_it_waits_for(&self, place: usize, awaited: &[usize]) {
        let names: Vec<&str> = awaited.iter().map(|place| self.cluster.servers[*place].name.as_str()).collect();
        self.says(place, &format!("frozen, waiting for {names:?}"), |status| {
            let detail = status["detail"].as_str().unwrap();
            status["state"] == "frozen"
                && detail.starts_with("waiting for ")
                && names.iter().all(|name| detail.contains(name))
        });
    }

    /// Waits until all these servers say that the cluster is frozen. From then on their writers are told nothing, and
    /// neither is somebody else at each of their machines who waits for an answer.
    pub fn are_frozen(&self, places: &[usize]) {
        in_parallel(places, |place| self.says_word(place, "frozen"));
        let counts = || places.iter().map(|place| self.flows[*place].count()).collect::<Vec<_>>();
        // A writer that has to wait for a processor may print later what it was told before.
        let before = until("writers that are told nothing", || {
            let before = counts();
            thread::sleep(VISIT);
            (counts() == before).then_some(before)
        });
        in_parallel(places, |place| {
            let visitor = self.cluster.stranger("visitor").at(&self.cluster.servers[place].client);
            let visitor = visitor.moved(&self.network.machine(place));
            let failed = visitor.fails(&["send", "reader", "in vain", "--timeout", &VISIT.as_secs().to_string()]);
            assert_eq!(failed.exit, 3, "{failed:?}");
        });
        assert_eq!(before, counts(), "acknowledged at {places:?}\n{}", self.said());
    }

    /// Starts these servers again.
    pub fn start_again(&mut self, places: &[usize]) {
        places.iter().for_each(|place| self.cluster.servers[*place].start(&[]));
    }

    /// Sends these servers a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str, places: &[usize]) {
        places.iter().for_each(|place| self.cluster.servers[*place].signal(signal));
    }

    /// Waits until the cluster is whole and every writer goes on.
    pub fn recover(&self) {
        self.cluster.wait_until_whole();
        self.everybody_goes_on(&self.mark());
    }

    /// The last that each server has said.
    fn said(&self) -> String {
        let last = |server: &Server| {
            let said = server.said();
            let lines: Vec<&str> = said.lines().collect();
            format!("--- {}\n{}\n", server.name, lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"))
        };
        self.cluster.servers.iter().map(last).collect()
    }

    /// The end: everything acknowledged is on every server, once and in the order of its writer, and all servers show
    /// the same.
    pub fn judge(mut self) {
        self.cluster.wait_until_whole();
        let flows: Vec<Flowed> = self.flows.drain(..).map(Flow::finish).collect();
        let desk = self.roamer();
        let mut first: Option<Vec<Vec<Value>>> = None;
        for (place, server) in self.cluster.servers.iter().enumerate() {
            // The desk can reach this one only: whatever is shown comes from it.
            self.network.cut_one_way(crate::network::Cut::Refuse, &[desk], &self.others(&[place]));
            let reader = self.cluster.stranger("reader").at(&server.client);
            let read = |flow: &Flowed| reader.history_up_to(&flow.author, flow.last());
            let histories: Vec<Vec<Value>> = flows.iter().map(read).collect();
            for (history, flow) in histories.iter().zip(&flows) {
                check_history(history, &[flow]);
                assert_eq!(history.len(), flow.ids.len(), "{} has no more than was acknowledged", server.name);
            }
            check_times(&histories);
            match &first {
                Some(first) => assert_eq!(*first, histories, "{} shows the same as the first", server.name),
                None => first = Some(histories),
            }
            self.network.heal();
        }
        let count: usize = flows.iter().map(|flow| flow.ids.len()).sum();
        eprintln!("{count} messages acknowledged, all of them on all servers");
    }
}

/// For how long, since it began, some program on this machine waited for a processor, memory or a disk; none where the system does not tell.
fn stalled() -> Option<Duration> {
    let of = |what: &str| {
        let told = std::fs::read_to_string(format!("/proc/pressure/{what}")).ok()?;
        let some = told.lines().find(|line| line.starts_with("some "))?;
        let total = some.split_whitespace().find_map(|word| word.strip_prefix("total="))?;
        total.parse().ok().map(Duration::from_micros)
    };
    ["cpu", "memory", "io"].into_iter().map(of).sum()
}

/// Does it for all places at the same time.
fn in_parallel<T: Send>(places: &[usize], each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = places.iter().map(|place| scope.spawn(|| each(*place))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Checks that no message is older than one before it, whoever wrote it.
fn check_times(histories: &[Vec<Value>]) {
    let number = |message: &Value, key: &str| message[key].as_u64().unwrap();
    let mut all: Vec<&Value> = histories.iter().flatten().collect();
    all.sort_by_key(|message| number(message, "id"));
    for pair in all.windows(2) {
        assert!(number(pair[0], "time_ms") <= number(pair[1], "time_ms"), "the time goes back: {pair:?}");
    }
}
