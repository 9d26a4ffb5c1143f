//! `up` on a bad day: stopped by Ctrl-C while messages flow, ports taken, files broken, servers started by hand.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{Flow, PATIENCE, PROGRAM, Person, Process, check_history, free_ports, text};

/// A running `up --json`; its servers end with it.
struct Up {
    child: Process,
    events: mpsc::Receiver<String>,
}

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().args(["up", "--json", "--data-dir"]).arg(data).args(arguments);
    command
}

impl Up {
    fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut child = Process::spawn(command(data, arguments).stdout(Stdio::piped()));
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

    /// Ctrl-C.
    fn interrupt(mut self) {
        self.child.signal("-INT");
        self.wait_for("stopping");
        self.wait_for("stopped");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

/// A first client port with room for three servers and their peer ports.
fn port() -> u16 {
    free_ports(103)
}

fn fails(data: &Path, arguments: &[&str]) -> (i32, String) {
    let output = command(data, arguments).output().unwrap();
    (output.status.code().unwrap(), text(output.stderr))
}

/// How often a server of this directory has gone on alone.
fn gone_on_alone(data: &Path) -> usize {
    let logs = (1..=3).map(|number| fs::read_to_string(data.join(format!("logs/server-{number}.log"))).unwrap());
    logs.map(|log| log.matches("going on alone").count()).sum()
}

#[test]
fn ctrl_c_while_messages_flow_and_a_server_started_by_hand() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let port = port();
    let mut up = Up::start(&data, &["--port", &port.to_string()]);
    up.wait_for("started");
    let [alice, bob] = ["alice", "bob"].map(|name| {
        let servers = format!("127.0.0.1:{port},{},{}", port + 1, port + 2);
        let person = Person::new(directory.path(), name, &servers);
        person.done(&["register", name]);
        person
    });
    let flow = Flow::start(&alice, "bob");
    flow.wait_for_more(30);
    up.interrupt();

    // The last one to stop may have done so alone.
    let before = gone_on_alone(&data);
    // The sender is still at it, and goes on where it was.
    let mut up = Up::start(&data, &[]);
    let started = up.wait_for("started");
    // Though at first only one was in sync.
    assert_eq!(gone_on_alone(&data), before, "nobody goes on alone while the others start");
    flow.wait_for_more(30);
    let second = &started["servers"][1];
    assert!(Command::new("kill").args(["-KILL", &second["pid"].to_string()]).status().unwrap().success());
    let died = up.wait_for("died");
    assert_eq!((&died["server"], &died["ending"]), (&second["name"], &"signal 9".into()));
    flow.wait_for_more(30);
    // The command that `up` shows is one that works.
    let by_hand = died["command"].as_str().unwrap();
    let shell = format!("exec {by_hand} --log-level off");
    let mut by_hand = Process::spawn(Command::new("sh").env_clear().args(["-c", &shell]).stdin(Stdio::null()));
    assert_eq!(up.wait_for("returned")["server"], second["name"]);
    flow.wait_for_more(30);
    up.interrupt();
    // It was none of its children.
    assert!(by_hand.try_wait().unwrap().is_none());
    // As long as it runs, its port is not free.
    let (code, said) = fails(&data, &[]);
    assert_eq!(code, 1);
    assert!(said.contains(&format!("port {} for server-2 is in use by another process", port + 1)), "{said}");
    by_hand.signal("-TERM");
    assert_eq!(by_hand.wait().unwrap().code(), Some(0));

    let mut up = Up::start(&data, &["--restart"]);
    up.wait_for("started");
    let flow = flow.finish();
    check_history(&bob.history_up_to("alice", flow.last()), &[&flow]);
    // Two at once do not share a directory.
    let (code, said) = fails(&data, &["--port", &port.to_string()]);
    assert_eq!(code, 1);
    assert!(said.contains("another `threefold up` or `restore` runs in"), "{said}");
    up.interrupt();
}

#[test]
fn a_server_that_is_not_at_its_end_yet_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut up = Up::start(&data, &["--port", &port().to_string()]);
    up.wait_for("started");
    up.interrupt();
    // As one of a killed `up` has it while it writes its state to a slow disk, its ports given back.
    let lock = fs::File::options().write(true).open(data.join("server-2/lock")).unwrap();
    lock.lock().unwrap();
    let mut up = Up::start(&data, &[]);
    let waiting = up.wait_for("waiting");
    assert!(waiting["detail"].as_str().unwrap().ends_with("server-2 is in use by another process"), "{waiting}");
    // Longer than a server itself would wait.
    thread::sleep(Duration::from_secs(1));
    drop(lock);
    up.wait_for("started");
    up.interrupt();
}

#[test]
fn what_keeps_up_from_starting_is_said_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let port = port();
    for taken in [port, port + 2, port + 101] {
        let _listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
        let (code, said) = fails(&data, &["--port", &port.to_string()]);
        assert_eq!(code, 1);
        assert!(said.contains(&format!("port {taken} for server-")) && said.contains("--port"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    for (arguments, words) in [
        (&["--servers", "0"][..], "1 to 9 are possible"),
        (&["--servers", "10"], "1 to 9 are possible"),
        (&["--port", "65535"], "too high"),
        (&["--port", "99999"], "--port"),
    ] {
        let (code, said) = fails(&directory.path().join("other"), arguments);
        assert_eq!(code, 2);
        assert!(said.contains(words), "{said}");
    }
    let file = data.join("cluster");
    for (content, words) in [
        ("nonsense", "cluster"),
        ("", "cluster"),
        ("version = 2\nservers = 3\nport = 7400\nbootstrapped = true\n", "version 2"),
        ("version = 2\nservers = 3\nport = 7400\nbootstrapped = true\nmore = 1\n", "version 2"),
    ] {
        fs::write(&file, content).unwrap();
        let (code, said) = fails(&data, &[]);
        assert_eq!(code, 1);
        assert!(said.contains(words) && said.lines().count() == 1, "{said}");
    }
    fs::write(directory.path().join("file"), "").unwrap();
    let (code, said) = fails(&directory.path().join("file"), &[]);
    assert_eq!(code, 1);
    assert!(said.contains("file") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_local_cluster_grows_and_its_directory_is_all_that_an_operator_needs() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("threefold-data");
    let port = free_ports(105).to_string();
    let mut up = Up::start(&data, &["--port", &port]);
    up.wait_for("started");
    up.interrupt();
    let (exit, said) = fails(&data, &["--servers", "2"]);
    assert!(exit == 2 && said.contains("`threefold remove` takes a server out"), "{exit}: {said}");
    let mut up = Up::start(&data, &["--servers", "5"]);
    assert_eq!(up.wait_for("started")["servers"].as_array().unwrap().len(), 5);
    let operator = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        let output = command.env_clear().current_dir(directory.path()).args(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        text(output.stdout)
    };
    let said = operator(&["transfer-leader", "server-5"]);
    assert!(said.ends_with("\n\nserver-5 leads.\n") && said.starts_with("NAME "), "{said}");
    let said = operator(&["remove", "server-5", "--data-dir", data.to_str().unwrap()]);
    assert!(said.ends_with("\n\nserver-5 is removed.\n"), "{said}");
    let config = data.join("server-2.toml");
    let said = operator(&["remove", "server-4", "--json", "--config", config.to_str().unwrap()]);
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(answer["members"].as_array().unwrap().len(), 3, "{said}");
    up.interrupt();
}
