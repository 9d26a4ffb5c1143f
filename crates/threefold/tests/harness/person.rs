//! Somebody at a command line: a session file and a list of servers.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::{PATIENCE, PROGRAM, Place, until};

/// Everybody's.
pub const PASSWORD: &str = "correct horse";

/// Somebody.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub session: PathBuf,
    pub servers: String,
    pub place: Place,
}

/// How a command failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failed {
    pub exit: i32,
    pub code: String,
    pub message: String,
}

impl Person {
    pub fn new(directory: &Path, name: &str, servers: &str) -> Self {
        let session = directory.join(format!("{name}.session"));
        Self { name: name.to_owned(), session, servers: servers.to_owned(), place: Place::default() }
    }

    /// The same person on another device, logged in.
    pub fn elsewhere(&self, device: &str) -> Self {
        let session = self.session.with_extension(device);
        let person = Self { session, ..self.clone() };
        person.done(&["login", &self.name, "--device", device]);
        person
    }

    /// The same session, but only this server is asked at first.
    pub fn at(&self, server: &str) -> Self {
        Self { servers: server.to_owned(), ..self.clone() }
    }

    /// The same person, somewhere else.
    pub fn moved(&self, place: &Place) -> Self {
        Self { place: place.clone(), ..self.clone() }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(PROGRAM);
        command.args(arguments);
        // As long as a test waits: on a busy machine the usual ten seconds are nothing.
        if !arguments.contains(&"--timeout") {
            command.args(["--timeout", &PATIENCE.as_secs().to_string()]);
        }
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("THREEFOLD_SERVERS", &self.servers).env("THREEFOLD_SESSION", &self.session);
        command.env("THREEFOLD_PASSWORD", PASSWORD);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that succeeds; gives what it printed.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{} {arguments:?}: {output:?}", self.name);
        text(output.stdout)
    }

    /// The same with `--json`: the objects it printed.
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.done(&[arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs a command that fails, with `--json`.
    pub fn fails(&self, arguments: &[&str]) -> Failed {
        Failed::of(&mut self.command(&[arguments, &["--json"]].concat()), b"")
    }

    /// Whether a command is refused with this code by now: a server that is a moment behind may still do it.
    pub fn is_refused(&self, arguments: &[&str], code: &str) -> bool {
        let output = self.run(&[arguments, &["--json"]].concat());
        let error: Value = serde_json::from_slice(&output.stderr).unwrap_or_default();
        output.status.code() == Some(1) && error["error"]["code"] == code
    }

    /// Runs a command with this on its standard input.
    pub fn piped(&self, arguments: &[&str], input: &[u8]) -> Output {
        feed(&mut self.command(arguments), input)
    }

    /// All messages with somebody, and what anybody was told is there. Needs a leader, and waits for one.
    pub fn history(&self, peer: &str) -> Vec<Value> {
        self.json(&["messages", peer, "1000000", "--consistent"])
    }

    /// The same, once this message is among them: what others have seen acknowledged may take a moment to get here.
    pub fn history_up_to(&self, peer: &str, last: u64) -> Vec<Value> {
        until("a message to arrive", || {
            let history = self.history(peer);
            history.last().is_some_and(|message| message["id"].as_u64() >= Some(last)).then_some(history)
        })
    }

    /// Somebody with a copy of the session file, changed.
    pub fn with_session(&self, path: &Path, change: impl FnOnce(&mut Value)) -> Self {
        // Copied, because with the content come the permissions.
        fs::copy(&self.session, path).unwrap();
        let mut session = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        change(&mut session);
        fs::write(path, session.to_string()).unwrap();
        Self { session: path.to_owned(), ..self.clone() }
    }
}

impl Failed {
    /// Runs a command that fails, with this on its standard input.
    pub fn of(command: &mut Command, input: &[u8]) -> Self {
        let output = feed(command, input);
        let exit = output.status.code().unwrap_or_else(|| panic!("{command:?}: {output:?}"));
        let error = text(output.stderr);
        // One object, and nothing else.
        let object: Value =
            serde_json::from_str(&error).unwrap_or_else(|_| panic!("{command:?}: exit {exit}, no object: {error}"));
        let word = |key: &str| object["error"][key].as_str().unwrap_or_else(|| panic!("{object}")).to_owned();
        Self { exit, code: word("code"), message: word("message") }
    }

    /// What a script sees.
    pub fn short(&self) -> (i32, &str) {
        (self.exit, &self.code)
    }
}

fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // A command that fails may not read it all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
