//! README, guide and `docs/commands.md`: their blocks of commands as printed. Those of three machines are in `partitions/guide.rs`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{PATIENCE, PROGRAM, Person, Process, free_ports, text, until, wait};

/// Up to the last of the ports of `up`'s servers among themselves.
const PORTS: u16 = 110;
/// What is said of a block that a test runs, of the one that it says to a port, and of one that none runs, with the reason behind it.
const RUN: &str = ": a test runs these lines";
const SAID: &str = ": a test says these lines to the port";
const NOT_RUN: &str = ": no test runs these lines: ";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap()
}

/// The commands of a block of a document, as printed.
fn block(document: &str, name: &str) -> String {
    let text = read(document);
    let find = |mark: &str| Some(text.split_once(&format!("<!-- {name}{mark} -->\n```sh\n"))?.1.split_once("```")?.0);
    [RUN, SAID].into_iter().find_map(find).unwrap_or_else(|| panic!("{document} has no block {name}")).to_owned()
}

/// Every block that a shell would take is run by a test that names it, or says why none does.
#[test]
fn every_block_of_commands_is_run_or_says_why_not() {
    let tests = ["crates/threefold/tests/terminal/documents.rs", "crates/threefold/tests/partitions/guide.rs"];
    let tests: String = tests.map(read).concat();
    for document in ["README.md", "docs/guide.md", "docs/commands.md"] {
        let text = read(document);
        let lines: Vec<&str> = text.lines().collect();
        let mut is_inside = false;
        for (place, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("```")) {
            is_inside = !is_inside;
            // Other languages are no commands; a block that names none might be.
            if !is_inside || !["```", "```sh", "```bash", "```console"].contains(line) {
                continue;
            }
            let here = format!("{document}:{}", place + 1);
            let mark = lines[place.saturating_sub(1)].strip_prefix("<!-- ").and_then(|mark| mark.strip_suffix(" -->"));
            let mark = mark.unwrap_or_else(|| panic!("{here}: a block without a word about its test before it"));
            if let Some((_, why)) = mark.split_once(NOT_RUN) {
                assert!(!why.trim().is_empty(), "{here}: no reason");
                continue;
            }
            let name = mark.strip_suffix(RUN).or_else(|| mark.strip_suffix(SAID));
            let name = name.unwrap_or_else(|| panic!("{here}: nothing is known of {mark:?}"));
            let called = name.strip_prefix("guide ").unwrap_or(name);
            assert!(tests.contains(&format!("\"{called}\"")), "{here}: no test names the block {called:?}");
        }
    }
}

/// A cluster of `up`, and a directory in which a new user types.
struct Desk {
    // Before the directory: what is dropped first ends before its data goes.
    up: Process,
    directory: TempDir,
    port: u16,
    log: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_ports(PORTS));
        let (data, log) = (directory.path().join("threefold-data"), directory.path().join("up.log"));
        let mut command = Command::new(PROGRAM);
        command.args(["up", "--json", "--port", &port.to_string(), "--data-dir"]).arg(&data).env_clear();
        command.stdin(Stdio::null()).stdout(fs::File::create(&log).unwrap());
        let desk = Self { up: Process::spawn(&mut command), directory, port, log };
        wait("a whole cluster", || desk.said("started"));
        desk
    }

    /// Whether `up` has told of this.
    fn said(&self, event: &str) -> bool {
        let log = fs::read_to_string(&self.log).unwrap();
        log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|told| told["event"] == event)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A shell for these lines, beside the cluster.
    fn shell(&self, lines: &str) -> Command {
        let path = format!("{}:{}", Path::new(PROGRAM).parent().unwrap().display(), std::env::var("PATH").unwrap());
        let servers = format!("127.0.0.1:{},{},{}", self.port, self.port + 1, self.port + 2);
        let mut command = Command::new("bash");
        command.args(["-euc", lines]).current_dir(self.directory.path()).env_clear();
        command.env("PATH", path).env("HOME", self.path("home")).env("LANG", "C.UTF-8");
        // A machine that is busy with other things is no fault of the document.
        command.env("THREEFOLD_SERVERS", servers).env("THREEFOLD_TIMEOUT", "120").stdin(Stdio::null());
        command
    }

    /// Runs blocks of a document, one behind the other in one shell; gives what they printed.
    fn run(&self, document: &str, blocks: &[&str]) -> String {
        let lines: Vec<String> = blocks.iter().map(|name| block(document, name)).collect();
        done(&self.shell(&lines.concat()).output().unwrap())
    }

    /// The same session as a person of the tests has it.
    fn person(&self, name: &str) -> Person {
        let servers = format!("127.0.0.1:{}", self.port);
        Person { session: self.path(&format!("{name}.json")), ..Person::new(self.directory.path(), name, &servers) }
    }

    /// Ends the cluster in order.
    fn end(mut self) {
        self.up.signal("-TERM");
        assert_eq!(until("the end of up", || self.up.try_wait().unwrap()).code(), Some(0));
        assert!(self.said("stopped"));
    }
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(output.stdout.clone()), text(output.stderr.clone()));
    text(output.stdout.clone())
}

/// Says the lines of the block about `nc` to the chat port of a server; gives an answer for each.
fn say(port: u16, lines: &str) -> Vec<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut told = Vec::new();
    for line in lines.lines().filter(|line| line.starts_with('{')) {
        let said: Value = serde_json::from_str(line).unwrap();
        writeln!(stream, "{line}").unwrap();
        // What others have sent comes in between.
        let answer = (&mut answers).map(|answer| serde_json::from_str::<Value>(&answer.unwrap()).unwrap());
        told.push(answer.into_iter().find(|answer| answer["cmd"] == said["cmd"]).unwrap());
    }
    told
}

/// A configuration as somebody has it who runs servers by hand, for commands with `--config threefold.toml`.
fn configure(desk: &Desk) {
    fs::copy(desk.path("threefold-data/server-1.toml"), desk.path("threefold.toml")).unwrap();
    // Its paths begin at the file.
    std::os::unix::fs::symlink(desk.path("threefold-data/certs"), desk.path("certs")).unwrap();
}

#[test]
fn the_readme_works_as_printed() {
    const README: &str = "README.md";
    let desk = Desk::new();
    let conversation = desk.run(README, &["a shell for it", "first conversation"]);
    for expected in ["alice → you: Hello Bob!", "bob → you: Hello Alice, how are you?"] {
        assert!(conversation.contains(expected), "{conversation}");
    }
    wait("two answers from the port", || {
        let answers = say(desk.port + 50, &block(README, "nc"));
        let is_unavailable = answers.iter().any(|answer| answer["code"] == "UNAVAILABLE");
        let all_well = answers.len() == 2 && answers.iter().all(|answer| answer["error"] != true);
        assert!(all_well || is_unavailable, "{answers:?}");
        all_well
    });
    assert!(desk.run(README, &["rooms"]).contains("Hello everybody!"));
    desk.run(README, &["programs"]);
    let room = desk.person("alice").done(&["messages", "#tea", "--consistent", "--timeout", "60"]);
    assert!(room.contains("build 7 passed"), "{room}");
    configure(&desk);
    let operated = desk.run(README, &["operate"]);
    assert!(operated.contains("server-4") && operated.contains("server-2"), "{operated}");
    let new = desk.path("new");
    fs::create_dir(&new).unwrap();
    let certificates = desk.path("threefold-data/certs");
    let file = |name: &str| certificates.join(name).display().to_string();
    let (clients, peers) = (free_ports(2), "127.0.0.1");
    let configuration = format!(
        "name = \"server-1\"\ndata-dir = \"data\"\nclient-listen = \"{peers}:{clients}\"\npeer-listen = \"{peers}:{}\"\n\
         peer-ca = {:?}\npeer-cert = {:?}\npeer-key = {:?}\n",
        clients + 1,
        file("authority.pem"),
        file("server-1.pem"),
        file("server-1.key"),
    );
    fs::write(new.join("threefold.toml"), configuration).unwrap();
    desk.run(README, &["back up"]);
    assert!(desk.path("monday.backup").exists() && new.join("data").exists());
    let after = desk.run(README, &["kill a server"]);
    assert!(after.contains("alice → you: Still there?") && after.contains("is degraded"), "{after}");
    // Of machines that are not here: only the files are made.
    let elsewhere = tempfile::tempdir().unwrap();
    done(&desk.shell(&block(README, "certificates")).current_dir(elsewhere.path()).output().unwrap());
    assert!(elsewhere.path().join("certs/server-3.key").exists());
    desk.end();
}

#[test]
fn the_guide_works_as_printed() {
    let desk = Desk::new();
    let run = |name: &str| desk.run("docs/guide.md", &[&format!("guide {name}")]);
    let first = run("first steps");
    assert!(first.contains("ann → you: Hello!") && first.contains("server-2"), "{first}");
    let daily = run("every day");
    for expected in ["oolong", "See you at seven (edited)", "👍", "Fine!", "exported 2 conversations, 6 messages"] {
        assert!(daily.contains(expected), "{expected}: {daily}");
    }
    let followed = fs::read_to_string(desk.path("ben.jsonl")).unwrap();
    assert!(followed.contains("leaves.txt"), "{followed}");
    let backup = run("backup");
    let held = "2 accounts, 2 sessions, 1 direct conversation, 1 room, 6 messages, 1 file (12 bytes)";
    assert_eq!(backup.matches(held).count(), 2, "{backup}");
    assert!(run("restore").contains(held));
    assert!(desk.path("restored/server-1.toml").exists());
    desk.end();
}

#[test]
fn the_document_of_the_command_line_works_as_printed() {
    const DOCUMENT: &str = "docs/commands.md";
    let desk = Desk::new();
    desk.run(DOCUMENT, &["commands shells"]);
    for (file, says) in [
        (".local/share/bash-completion/completions/threefold", "complete -F"),
        (".zfunc/_threefold", "#compdef threefold"),
        (".config/fish/completions/threefold.fish", "complete -c threefold"),
        (".local/share/man/man1/threefold-send.1", ".SH"),
    ] {
        let made = fs::read_to_string(desk.path("home").join(file)).unwrap();
        assert!(made.contains(says), "{file}");
    }
    let [alice, bob] = ["alice", "bob"].map(|name| desk.person(name));
    for person in [&alice, &bob] {
        person.done(&["register", &person.name, "--timeout", "60"]);
    }
    fs::write(desk.path("lines"), "one\ntwo\n").unwrap();
    let as_alice = |name: &str| {
        let mut shell = desk.shell(&block(DOCUMENT, name));
        shell.env("THREEFOLD_SESSION", &alice.session);
        shell
    };
    done(&as_alice("commands outbox").output().unwrap());
    assert_eq!(bob.json(&["messages", "alice", "--consistent", "--timeout", "60"]).len(), 2);
    // It goes on until it is ended.
    let mut follow = as_alice("commands follow");
    let _following = Process::spawn(follow.env("THREEFOLD_SESSION", &bob.session).stdout(Stdio::null()));
    let file = desk.path("events.jsonl");
    wait("the messages in the file", || fs::read_to_string(&file).unwrap_or_default().contains("two"));
    configure(&desk);
    done(&as_alice("commands backup").output().unwrap());
    let kept =
        fs::read_dir(desk.directory.path()).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert_eq!(kept.filter(|name| name.starts_with("chat-") && name.ends_with(".backup")).count(), 1);
    desk.end();
}
