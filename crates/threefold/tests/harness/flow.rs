//! Messages that flow while something else happens, and the check that none is missing, doubled or out of order.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{ChildStdin, ChildStdout, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Person, Process, until, wait};

/// Lines written and not yet acknowledged, at most: a stop is then a matter of moments.
const OUTSTANDING: usize = 32;
/// Between two messages, so that a flow is steady and does not keep the machine from everything else.
const PACE: Duration = Duration::from_millis(5);

/// A `send --lines` that is fed until it is stopped. Its messages are its author's name and a number.
pub struct Flow {
    author: String,
    child: Process,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Clone, Copy)]
struct Acknowledged {
    id: u64,
    at: Instant,
}

/// What became of a flow.
#[derive(Debug)]
pub struct Flowed {
    pub author: String,
    /// Ids as acknowledged, in order.
    pub ids: Vec<u64>,
}

impl Flowed {
    /// The last one acknowledged.
    pub fn last(&self) -> u64 {
        self.ids.last().copied().unwrap_or_default()
    }
}

impl Flow {
    /// Begins to send to `to`.
    pub fn start(from: &Person, to: &str) -> Self {
        Self::paced(from, to, PACE)
    }

    /// The same, with this pause between two messages.
    pub fn paced(from: &Person, to: &str, pace: Duration) -> Self {
        let mut command = from.command(&["send", to, "--lines", "--json", "--timeout", "600"]);
        let mut child = Process::spawn(command.stdin(Stdio::piped()));
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut flow = Self {
            author: from.name.clone(),
            child,
            stop: Arc::default(),
            written: Arc::default(),
            acknowledged: Arc::default(),
            threads: Vec::new(),
        };
        let (stop, written, acknowledged) = (flow.stop.clone(), flow.written.clone(), flow.acknowledged.clone());
        let prefix = from.name.clone();
        flow.threads.push(thread::spawn(move || feed(&prefix, input, pace, &stop, &written, &acknowledged)));
        let acknowledged = flow.acknowledged.clone();
        flow.threads.push(thread::spawn(move || collect(output, &acknowledged)));
        flow
    }

    /// How many are acknowledged.
    pub fn count(&self) -> usize {
        lock(&self.acknowledged).len()
    }

    /// The longest time so far between two acknowledgements, one after the other; or since the last one.
    pub fn longest_gap(&self) -> Duration {
        let all = lock(&self.acknowledged);
        let since = all.last().map(|last| last.at.elapsed());
        all.windows(2).map(|pair| pair[1].at - pair[0].at).chain(since).max().unwrap_or_default()
    }

    /// How many were written so far, acknowledged or not.
    pub fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// When the message of this number, from 0, was acknowledged.
    pub fn acknowledged_at(&self, number: usize) -> Option<Instant> {
        lock(&self.acknowledged).get(number).map(|one| one.at)
    }

    /// Waits for some more acknowledgements.
    pub fn wait_for_more(&self, more: usize) {
        let before = self.count();
        wait("messages to be acknowledged", || self.count() >= before + more);
    }

    /// Ends it in order: everything written is acknowledged.
    pub fn finish(mut self) -> Flowed {
        self.stop.store(true, Ordering::Relaxed);
        let child = &mut self.child;
        let status = until("the end of a flow", || child.try_wait().unwrap());
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(status.success() && said.is_empty(), "{status}: {said}");
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        assert_eq!(self.count(), self.written.load(Ordering::Relaxed), "everything is acknowledged");
        self.flowed()
    }

    /// Ends it with SIGKILL: something written may be lost, or may be there without an acknowledgement.
    pub fn kill(mut self) -> Flowed {
        self.stop.store(true, Ordering::Relaxed);
        self.child.kill().unwrap();
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        self.flowed()
    }

    fn flowed(&self) -> Flowed {
        let all = lock(&self.acknowledged);
        Flowed { author: self.author.clone(), ids: all.iter().map(|one| one.id).collect() }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock(list: &Mutex<Vec<Acknowledged>>) -> std::sync::MutexGuard<'_, Vec<Acknowledged>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

fn feed(
    prefix: &str,
    mut input: ChildStdin,
    pace: Duration,
    stop: &AtomicBool,
    written: &AtomicUsize,
    acknowledged: &Mutex<Vec<Acknowledged>>,
) {
    while !stop.load(Ordering::Relaxed) {
        let number = written.load(Ordering::Relaxed);
        if number < lock(acknowledged).len() + OUTSTANDING {
            if writeln!(input, "{prefix} {number}").is_err() {
                return;
            }
            written.store(number + 1, Ordering::Relaxed);
        }
        sleep(pace);
    }
}

fn collect(output: ChildStdout, acknowledged: &Mutex<Vec<Acknowledged>>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        // A sender that is killed may leave half a line.
        let Ok(sent) = serde_json::from_str::<Value>(&line) else { return };
        lock(acknowledged).push(Acknowledged { id: sent["id"].as_u64().unwrap(), at: Instant::now() });
    }
}

/// Checks a conversation against what was sent: everything acknowledged is there under its id, everything once and in
/// the order of its author.
pub fn check_history(history: &[Value], flows: &[&Flowed]) {
    let ids: Vec<u64> = history.iter().map(|message| message["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|before, after| before < after), "ids rise");
    for flow in flows {
        let own = history.iter().filter(|message| message["from"] == flow.author.as_str());
        let own: Vec<(u64, &str)> =
            own.map(|message| (message["id"].as_u64().unwrap(), message["body"].as_str().unwrap())).collect();
        for (number, (_, body)) in own.iter().enumerate() {
            assert_eq!(*body, format!("{} {number}", flow.author), "each once and in order");
        }
        let ids: Vec<u64> = own.iter().map(|(id, _)| *id).collect();
        assert!(ids.len() >= flow.ids.len(), "{} were acknowledged, {} are there", flow.ids.len(), ids.len());
        assert_eq!(ids[..flow.ids.len()], flow.ids, "what is acknowledged is there");
    }
}

/// A `follow` into a file.
pub struct Follower {
    child: Process,
    path: PathBuf,
}

impl Follower {
    pub fn start(person: &Person, directory: &Path) -> Self {
        let path = directory.join(format!("{}.events", person.name));
        let output = path.to_str().unwrap();
        let mut command = person.command(&["follow", "--json", "--output", output, "--after", "0"]);
        let child = Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
        Self { child, path }
    }

    /// The messages delivered by now.
    pub fn messages(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        // The last line may be half written.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let events = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["type"] == "message").collect()
    }

    /// Waits for the message with this id, and gives all.
    pub fn wait_for(&mut self, id: u64) -> Vec<Value> {
        until("the last message to be delivered", || {
            assert!(self.child.try_wait().unwrap().is_none(), "follow goes on");
            let messages = self.messages();
            messages.last().is_some_and(|last| last["id"].as_u64() >= Some(id)).then_some(messages)
        })
    }
}
