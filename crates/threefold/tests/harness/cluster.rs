//! Three servers, and what they say of themselves.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::LazyLock,
    time::Instant,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Operator, PATIENCE, Person, Place, Server, server::make_certificates, until, wait};

const NAMES: [&str; 3] = ["server-1", "server-2", "server-3"];

/// Some servers: three on free ports, unless made otherwise.
#[derive(Debug)]
pub struct Cluster {
    // Before the directory: what is dropped first is killed before its data goes.
    pub servers: Vec<Server>,
    pub directory: PathBuf,
    /// Where people are, unless they go elsewhere, and where the cluster is watched from.
    pub desk: Place,
    _removed: Option<TempDir>,
}

/// The cluster of all tests that leave it as it is. Its people must have names of their own.
pub fn shared() -> &'static Cluster {
    static SHARED: LazyLock<Cluster> = LazyLock::new(|| {
        // Nothing is dropped at the end of a program, so what earlier runs have left is removed now.
        let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let prefix = "disasters-";
        for entry in fs::read_dir(all).into_iter().flatten().filter_map(Result::ok) {
            let pid = entry.file_name().to_str().and_then(|name| Some(name.strip_prefix(prefix)?.to_owned()));
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let directory = all.join(format!("{prefix}{}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut cluster = Cluster::in_directory(directory, None, &[]);
        cluster.found();
        cluster
    });
    &SHARED
}

impl Cluster {
    /// Starts one with these options for all servers, and waits until it is whole.
    pub fn start(options: &[&str]) -> Self {
        let mut cluster = Self::prepare(options);
        cluster.found();
        cluster
    }

    /// One that was not started.
    pub fn prepare(options: &[&str]) -> Self {
        let removed = tempfile::tempdir().unwrap();
        Self::in_directory(removed.path().to_owned(), Some(removed), options)
    }

    fn in_directory(directory: PathBuf, removed: Option<TempDir>, options: &[&str]) -> Self {
        let servers = NAMES.map(|name| Server::new(&directory, name)).into();
        Self::of(servers, directory, removed, options)
    }

    /// Of these servers, which were not started.
    pub fn of(mut servers: Vec<Server>, directory: PathBuf, removed: Option<TempDir>, options: &[&str]) -> Self {
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        make_certificates(&directory.join("certs"), &names);
        let peers = servers.iter().map(Server::as_peer).collect::<Vec<_>>().join(",");
        for server in &mut servers {
            server.options = ["--peer", &peers].iter().chain(options).map(|&option| option.to_owned()).collect();
        }
        Self { servers, directory, desk: Place::default(), _removed: removed }
    }

    /// Starts all servers for the first time.
    pub fn found(&mut self) {
        for (place, server) in self.servers.iter_mut().enumerate() {
            server.start(if place == 0 { &["--bootstrap"] } else { &[] });
        }
        self.wait_until_whole();
    }

    /// Kills all servers at once.
    pub fn kill_all(&mut self) {
        self.kill(&(0..self.servers.len()).collect::<Vec<_>>());
    }

    /// Kills these servers at once.
    pub fn kill(&mut self, places: &[usize]) {
        // All of them are told before the end of any is waited for.
        places.iter().for_each(|place| self.servers[*place].strike());
        places.iter().for_each(|place| self.servers[*place].kill());
    }

    /// Starts all servers that do not run.
    pub fn start_all(&mut self) {
        self.servers.iter_mut().filter(|server| !server.is_started()).for_each(|server| server.start(&[]));
    }

    /// The client addresses.
    pub fn addresses(&self) -> String {
        self.servers.iter().map(|server| server.client.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Somebody who is not registered yet.
    pub fn stranger(&self, name: &str) -> Person {
        Person::new(&self.directory, name, &self.addresses()).moved(&self.desk)
    }

    /// Somebody new, logged in.
    pub fn person(&self, name: &str) -> Person {
        let person = self.stranger(name);
        person.done(&["register", name]);
        person
    }

    /// What one server says of the whole.
    pub fn status(&self, place: usize) -> Option<Value> {
        let nobody = self.stranger("nobody").at(&self.servers[place].client);
        let output = nobody.run(&["status", "--json", "--timeout", "2"]);
        if output.status.success() { Some(serde_json::from_slice(&output.stdout).unwrap()) } else { None }
    }

    /// What one server says of itself.
    pub fn own_status(&self, place: usize) -> Option<Value> {
        let status = self.status(place)?;
        let servers = status["servers"].as_array().unwrap();
        servers.iter().find(|server| server["name"] == self.servers[place].name.as_str()).cloned()
    }

    /// Whether a frozen server, by what it says, is not in sync as far as it knows itself, and waits for one of those that were struck, in whose place that one is in sync.
    /// That a majority is missing, that an election is under way, or that a death could not be proven, excuses nobody.
    pub fn is_held(&self, place: usize, status: &Value, struck: &[usize]) -> bool {
        let name = self.servers[place].name.as_str();
        let mut servers = status["servers"].as_array().into_iter().flatten();
        let is_out = servers.any(|server| server["name"] == name && server["in_sync"] != true);
        let detail = status["detail"].as_str().unwrap_or_default();
        let (names, reason) = detail.split_once(": ").unwrap_or((detail, ""));
        let is_for_its_disk = (names.starts_with("waiting for ")
            && ["it may know more", "it may have gone on"].contains(&reason))
            || names.starts_with("what is written waits for ");
        let is_for = |place: &usize| names.contains(&self.servers[*place].name);
        status["state"] == "frozen" && is_out && is_for_its_disk && struck.iter().any(is_for)
    }

    /// Kills all servers but this one, which goes on alone. It cannot, and must not, where it was out of sync just then, for it was slow: then all is put right, and it
    /// is done again.
    pub fn leave_alone(&mut self, last: usize) {
        const ROUNDS: usize = 5;
        let others: Vec<usize> = (0..self.servers.len()).filter(|place| *place != last).collect();
        for _ in 0..ROUNDS {
            self.kill(&others);
            let goes_on = until("the last one to go on, or why it cannot", || {
                let status = self.status(last)?;
                let is_held = self.is_held(last, &status, &others);
                if status["state"] == "sole survivor" { Some(true) } else { is_held.then_some(false) }
            });
            if goes_on {
                return;
            }
            eprintln!("{} was not in sync; again", self.servers[last].name);
            self.start_all();
            self.wait_until_whole();
        }
        panic!("{} was never in sync\n{}", self.servers[last].name, self.said());
    }

    /// Waits until every server says that all are up and vote, and nobody else is a member.
    pub fn wait_until_whole(&self) {
        let give_up = Instant::now() + PATIENCE;
        wait("a whole cluster", || {
            let seen: Vec<Option<Value>> = (0..self.servers.len()).map(|place| self.status(place)).collect();
            let all = self.servers.len();
            let whole = seen.iter().all(|status| status.as_ref().is_some_and(|status| is_whole(status, all)));
            assert!(whole || Instant::now() < give_up, "never whole: {seen:#?}\n{}", self.said());
            whole
        });
    }

    /// A further server with a certificate of its own, that knows the first three; not started, and no member.
    pub fn further(&self, name: &str) -> Server {
        make_certificates(&self.directory.join("certs"), &[name]);
        let mut server = Server::new(&self.directory, name);
        server.options.clone_from(&self.servers[0].options);
        server
    }

    /// Somebody who runs it, and asks these servers.
    pub fn operator(&self) -> Operator {
        let peers = self.servers.iter().map(Server::as_peer).collect::<Vec<_>>().join(",");
        Operator { certificates: self.directory.join("certs"), peers }
    }

    /// Everything the servers have said, for a failed test.
    pub fn said(&self) -> String {
        self.servers.iter().map(|server| format!("--- {}\n{}", server.name, server.said())).collect()
    }

    /// Which server leads.
    pub fn leader(&self) -> usize {
        until("a leader", || {
            (0..self.servers.len())
                .find(|place| self.own_status(*place).is_some_and(|status| status["role"] == "leader"))
        })
    }
}

fn is_whole(status: &Value, all: usize) -> bool {
    let servers = status["servers"].as_array().unwrap();
    let up = |server: &Value| server["voter"] == true && server["role"] != "down";
    status["state"] == "normal" && servers.len() == all && servers.iter().all(up)
}
