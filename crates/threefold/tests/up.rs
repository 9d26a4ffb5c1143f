//! `threefold up` and `serve` as a person or a script meets them: real processes, real signals.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_threefold");

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn threefold() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|n| n.starts_with("THREEFOLD_")))
    {
        command.env_remove(name);
    }
    command.env("THREEFOLD_PASSWORD", "correct horse");
    command
}

/// A first client port with room for a cluster, below those that outgoing connections get; for each test another.
fn free_port(test: u16) -> u16 {
    let start = 10_000 + test * 3_000 + u16::try_from(std::process::id() % 900).unwrap() * 3;
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let fits = |first: &u16| (*first..first + 3).all(|port| [0, 50, 100].iter().all(|above| is_free(port + above)));
    (start..start + 200).find(fits).unwrap()
}

/// All three servers, as clients are told of them.
fn servers(port: u16) -> String {
    format!("127.0.0.1:{port},{},{}", port + 1, port + 2)
}

/// A running `threefold up --json`.
struct Up {
    child: Child,
    events: mpsc::Receiver<String>,
}

impl Up {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut command = threefold();
        command.args(["up", "--json", "--data-dir"]).arg(directory).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, events) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, events }
    }

    /// The next event of that name.
    fn wait_for(&mut self, name: &str) -> Value {
        let give_up = Instant::now() + PATIENCE;
        let mut before = String::new();
        loop {
            let line = self.events.recv_timeout(give_up.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|error| panic!("no event {name} ({error}) behind {before}"));
            before.clone_from(&line);
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }

    fn signal(&self, signal: &str) {
        kill(signal, self.child.id());
    }

    fn ends_with(mut self, code: i32) {
        assert_eq!(self.child.wait().unwrap().code(), Some(code));
    }
}

/// One whose test has failed leaves nothing behind.
impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

fn pid(row: &Value) -> u32 {
    row["pid"].as_u64().unwrap().try_into().unwrap()
}

fn client(servers: &str, session: &Path, arguments: &[&str]) -> String {
    let output =
        threefold().args(arguments).args(["--servers", servers, "--timeout", "30", "--session"]).arg(session).output();
    said(&output.unwrap())
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_cluster_goes_on_after_a_death_and_after_a_stop() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let port = free_port(0);
    let servers = servers(port);
    let session = |name: &str| directory.path().join(name);

    let mut up = Up::start(&data, &["--port", &port.to_string()]);
    let started = up.wait_for("started");
    let rows = started["servers"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    client(&servers, &session("alice"), &["register", "alice"]);
    client(&servers, &session("bob"), &["register", "bob"]);
    client(&servers, &session("alice"), &["send", "bob", "one"]);

    // Who leads by now.
    let give_up = Instant::now() + PATIENCE;
    let leader = loop {
        let status: Value = serde_json::from_str(&client(&servers, &session("alice"), &["status", "--json"])).unwrap();
        let leader = status["servers"].as_array().unwrap().iter().find(|server| server["role"] == "leader");
        match leader {
            Some(leader) => break leader.clone(),
            None => assert!(Instant::now() < give_up, "nobody leads: {status}"),
        }
    };
    kill("-9", pid(&leader));
    let died = up.wait_for("died");
    assert_eq!((&died["server"], &died["ending"]), (&leader["name"], &Value::from("signal 9")));
    assert!(died["command"].as_str().unwrap().contains("serve --config"), "{died}");
    client(&servers, &session("alice"), &["send", "bob", "two"]);
    assert_ne!(up.wait_for("leads")["server"], leader["name"]);

    up.signal("-TERM");
    up.wait_for("stopped");
    up.ends_with(0);

    let mut up = Up::start(&data, &["--restart"]);
    let started = up.wait_for("started");
    let follower = started["servers"].as_array().unwrap().iter().find(|server| server["role"] == "follower").unwrap();
    let messages = client(&servers, &session("bob"), &["messages", "alice", "--json"]);
    let bodies: Vec<Value> =
        messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["body"].clone()).collect();
    assert_eq!(bodies, ["one", "two"]);

    kill("-9", pid(follower));
    assert_eq!(up.wait_for("restarted")["server"], follower["name"]);
    assert_eq!(up.wait_for("returned")["server"], follower["name"]);

    // A supervisor that is killed leaves nobody behind: their ports and directories are free again, at the latest when
    // the next one, started at once, has waited a little.
    up.signal("-9");
    up.child.wait().unwrap();
    let mut up = Up::start(&data, &[]);
    up.wait_for("started");
    up.signal("-INT");
    up.ends_with(0);
}

/// `threefold serve` for a server called `a`, with certificates of its own.
fn serve(directory: &Path, certificate: &str, arguments: &[&str]) -> Command {
    let certs = directory.join("certs");
    if !certs.exists() {
        said(&threefold().args(["certs", "--name", "a", "--out"]).arg(&certs).output().unwrap());
    }
    let mut command = threefold();
    command.args(["serve", "--name", "a", "--data-dir"]).arg(directory.join("a"));
    command.arg("--peer-ca").arg(certs.join("authority.pem"));
    command.arg("--peer-cert").arg(certs.join(certificate)).arg("--peer-key").arg(certs.join("a.key"));
    command.args(arguments);
    command
}

#[test]
fn what_cannot_be_done_is_said_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let broken = directory.path().join("broken.toml");
    fs::write(&broken, "name = \"a\"\nnmae = \"b\"\n").unwrap();
    let broken = broken.display().to_string();
    let cases: [(&str, &[&str], i32, &str); 5] = [
        ("a.pem", &["--client-listen", &address], 1, &address),
        ("a.pem", &["--config", "missing.toml"], 2, "missing.toml"),
        ("a.pem", &["--config", &broken], 2, "broken.toml:2: unknown field `nmae`"),
        ("a.pem", &["--client-listen", "nonsense"], 2, "write IP:PORT"),
        ("missing.pem", &[], 1, "missing.pem"),
    ];
    for (certificate, arguments, code, expected) in cases {
        let mut command = serve(directory.path(), certificate, arguments);
        let output = command.args(["--log-level", "off"]).stdin(Stdio::null()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("panicked"), "{message}");
    }
}

#[test]
fn a_server_stops_with_its_parent() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port(1);
    let (clients, servers) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 1));
    let listen = ["--bootstrap", "--parent-watch", "--client-listen", &clients, "--peer-listen", &servers];
    let mut command = serve(directory.path(), "a.pem", &listen);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("running") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "the server ended early");
    }
    drop(child.stdin.take());
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
}
