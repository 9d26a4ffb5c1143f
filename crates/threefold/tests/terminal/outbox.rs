//! `send --lines --outbox`: that it says 0 when everything it ever took was acknowledged, and never before; and that nobody else's lines, and no
//! lines at all, are taken for those it took.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use threefold_client::{Client, DiskOutbox, Options, Session};

use crate::harness::{Failed, Person, free_ports, shared, text};

/// Somebody with an outbox.
struct Sender {
    person: Person,
    file: PathBuf,
    /// Seconds.
    patience: &'static str,
}

impl Sender {
    fn new(name: &str) -> Self {
        let cluster = shared();
        let person = cluster.person(name);
        Self { person, file: cluster.directory.join(format!("{name}.outbox")), patience: "60" }
    }

    /// The same where no server can be reached.
    fn cut_off(&self) -> Self {
        let person = self.person.at(&format!("127.0.0.1:{}", free_ports(1)));
        Self { person, file: self.file.clone(), patience: "1" }
    }

    fn command(&self, to: &str, json: bool) -> Command {
        let file = self.file.to_str().unwrap();
        let json: &[&str] = if json { &["--json"] } else { &[] };
        let patience = ["--timeout", self.patience];
        self.person.command(&[&["send", to, "--lines", "--outbox", file][..], &patience, json].concat())
    }

    fn send(&self, to: &str, input: &str) -> Output {
        self.person.piped(&command_arguments(&self.command(to, false)), input.as_bytes())
    }

    /// How it fails.
    fn fails(&self, to: &str, input: &str) -> Failed {
        Failed::of(&mut self.command(to, true), input.as_bytes())
    }
}

fn command_arguments(command: &Command) -> Vec<&str> {
    command.get_args().map(|argument| argument.to_str().unwrap()).collect()
}

fn bodies(person: &Person, peer: &str) -> Vec<String> {
    person.history(peer).iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("line {number}")).collect()
}

fn lines(count: usize) -> String {
    numbers(count).iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn it_is_not_done_as_long_as_no_server_has_what_it_took_before() {
    let sender = Sender::new("keeper");
    let peer = shared().person("keeper-peer").name;
    let away = sender.cut_off();
    for run in 0..3 {
        let output = away.send(&peer, &lines(5));
        assert_eq!(output.status.code(), Some(3), "run {run}: {output:?}");
    }
    let failed = away.fails(&peer, "");
    assert!(failed.exit == 3 && failed.message.contains("5 lines are not acknowledged"), "{failed:?}");
    let output = sender.send(&peer, &lines(7));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(bodies(&sender.person, &peer), numbers(7));
    assert!(text(output.stderr).contains("went on behind 5 lines"));
}

#[test]
fn what_came_to_nothing_after_an_earlier_run_is_told_with_its_text_and_told_once() {
    let sender = Sender::new("thrown-out");
    let owner = shared().person("thrower");
    owner.done(&["room", "create", "thrown-room"]);
    sender.person.done(&["join", "#thrown-room"]);
    assert_eq!(sender.cut_off().send("#thrown-room", &lines(2)).status.code(), Some(3));
    owner.done(&["room", "remove", "thrown-room", &sender.person.name]);
    let output = sender.send("#thrown-room", &lines(2));
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("line 0") && said.contains("line 1") && said.contains("2 lines"), "{said}");
    assert!(sender.send("#thrown-room", &lines(2)).status.success(), "it was told");
    assert_eq!(bodies(&owner, "#thrown-room"), Vec::<String>::new());
}

#[test]
fn a_session_that_ended_is_no_success_while_something_is_kept() {
    let sender = Sender::new("ended");
    let peer = shared().person("ended-peer").name;
    assert_eq!(sender.cut_off().send(&peer, &lines(3)).status.code(), Some(3));
    sender.person.elsewhere("other").done(&["sessions", "--end-others"]);
    let failed = sender.fails(&peer, &lines(3));
    assert_eq!(failed.short(), (1, "SESSION_INVALID"), "{failed:?}");
    assert!(failed.message.contains("3 lines"), "{failed:?}");
    // After a new login, it says how far the old one came.
    sender.person.done(&["login", &sender.person.name]);
    let output = sender.send(&peer, &lines(3));
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("3 writes were taken, 3 of them not acknowledged as far as it knows: 3 never sent"),
        "{said}"
    );
    for line in numbers(3) {
        assert!(said.contains(&format!("a line kept from before was never sent: {line}\n")), "{said}");
    }
}

#[test]
fn another_input_or_recipient_is_refused_and_nothing_of_it_taken() {
    let sender = Sender::new("mistaken");
    let [peer, other] = ["mistaken-peer", "mistaken-other"].map(|name| shared().person(name).name);
    assert!(sender.send(&peer, &lines(4)).status.success());
    for (to, input) in [
        (&other, lines(6)),
        (&peer, lines(6).replace("line 2", "another")),
        (&peer, lines(6).replace("line 0\n", "")),
        (&peer, "hello\n".to_owned()),
    ] {
        let failed = sender.fails(to, &input);
        assert!(failed.exit == 2 && failed.message.contains("4 lines"), "{to} {input}: {failed:?}");
    }
    assert_eq!(bodies(&sender.person, &peer), numbers(4));
    // Nothing at all is no other input; and the right one goes on.
    assert!(sender.send(&peer, "").status.success());
    assert!(sender.send(&peer, &lines(6)).status.success());
    assert_eq!(bodies(&sender.person, &peer), numbers(6));
}

#[test]
fn a_disk_that_fails_says_so_and_nothing_behind_the_line_that_was_not_taken_is_sent() {
    let sender = Sender::new("full");
    let peer = shared().person("full-peer").name;
    let input: String = (0..100).map(|number| format!("{number} {}\n", "x".repeat(400))).collect();
    let command = sender.command(&peer, true);
    // A file that may not grow beyond this, as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 32; exec \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", limited, "sh"]).arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdout(Stdio::null()).stderr(Stdio::piped());
    let output = piped(&mut shell, &input);
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.lines().next().unwrap().contains("\"LOCAL\"") && said.contains("cannot be written"), "{said}");
    let output = sender.send(&peer, &input);
    assert!(output.status.success(), "{output:?}");
    let expected: Vec<&str> = input.lines().collect();
    assert_eq!(bodies(&sender.person, &peer), expected, "each once, in order");
}

#[test]
fn a_link_to_an_outbox_is_that_outbox() {
    let sender = Sender::new("linked");
    let peer = shared().person("linked-peer").name;
    assert!(sender.send(&peer, &lines(2)).status.success());
    let link = sender.file.with_extension("link");
    std::os::unix::fs::symlink(&sender.file, &link).unwrap();
    let linked = Sender { person: sender.person.clone(), file: link.clone(), patience: "60" };
    let many: String = lines(1_500);
    assert!(linked.send(&peer, &many).status.success());
    assert!(link.is_symlink(), "it is still a link");
    assert!(!Path::new(&format!("{}.lock", link.display())).exists(), "one lock for both names");
    assert!(sender.send(&peer, &many).status.success());
    assert_eq!(bodies(&sender.person, &peer).len(), 1_500);
}

fn piped(command: &mut Command, input: &str) -> Output {
    use std::io::Write as _;
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // A command that fails may not read it all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Somebody who was in a room when a line was kept for it, and no longer is.
fn thrown_out(name: &str, room: &str) -> (Sender, Person) {
    let sender = Sender::new(name);
    let owner = shared().person(&format!("{name}-owner"));
    owner.done(&["room", "create", room]);
    sender.person.done(&["join", room]);
    owner.done(&["room", "remove", room, &sender.person.name]);
    (sender, owner)
}

#[test]
fn a_refusal_outlives_the_run_that_was_killed_after_it() {
    use std::io::Write as _;
    let (sender, _owner) = thrown_out("killed", "killed-room");
    let mut child = sender.command("#killed-room", true).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"line 0\n").unwrap();
    input.flush().unwrap();
    // Told while more may come.
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("a line was not sent: ") && said.contains(": line 0"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(input);
    let output = sender.send("#killed-room", &lines(1));
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("line 0") && said.contains("1 line came to nothing"), "{said}");
    assert!(sender.send("#killed-room", &lines(1)).status.success(), "it was told");
}

#[test]
fn as_long_as_lines_are_kept_the_command_is_to_be_run_again_whatever_else_failed() {
    let (sender, owner) = thrown_out("mixed", "mixed-room");
    let long = "x".repeat(20_000);
    let input = format!("line 0\n\n{long}\nline 1\n");
    // Kept, and a line that no outbox takes.
    let output = sender.cut_off().send("#mixed-room", &input);
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("line 3 of the input") && said.contains("20000 bytes"), "{said}");
    let output = sender.send("#mixed-room", &input);
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        ["line 0", "line 1", "line 3 of the input", "3 lines came to nothing"].iter().all(|part| said.contains(part)),
        "{said}"
    );
    // What no outbox takes, each run tells.
    let output = sender.send("#mixed-room", &input);
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("line 3 of the input") && said.contains("1 line came to nothing"), "{said}");
    assert_eq!(bodies(&owner, "#mixed-room"), Vec::<String>::new());
}

#[test]
fn an_outbox_full_of_lines_that_come_to_nothing_makes_room_for_those_behind_them() {
    const TAKEN: usize = 1_024;
    let (sender, _owner) = thrown_out("crammed", "crammed-room");
    // An earlier run took as many as there is room for, and no server had them.
    let session = std::fs::read_to_string(&sender.person.session).unwrap();
    let session: Session = serde_json::from_str(&session).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let nowhere = Options::new(vec![format!("http://127.0.0.1:{}", free_ports(1))]);
        let nobody = Session { servers: Vec::new(), ..session.clone() };
        let outbox = DiskOutbox::open(&sender.file, &session).unwrap();
        let writer = Client::new(nowhere).unwrap().with_session(nobody).unwrap().writer_with(outbox).unwrap();
        let writer = writer.with_timeout(Duration::from_secs(600));
        for line in numbers(TAKEN) {
            drop(writer.send("#crammed-room", line).await.unwrap());
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(60));
    let output = sender.send("#crammed-room", &lines(TAKEN + 100));
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for number in 0..TAKEN + 100 {
        let line = format!(": line {number}\n");
        assert_eq!(said.matches(&line).count(), 1, "line {number}");
    }
}

#[test]
fn more_lines_than_an_outbox_keeps_may_fail_and_each_is_told() {
    let (sender, _owner) = thrown_out("many", "many-room");
    let output = sender.send("#many-room", &lines(1_200));
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for number in 0..1_200 {
        let line = format!(": line {number}\n");
        assert_eq!(said.matches(&line).count(), 1, "line {number}");
    }
    assert!(said.contains("1200 lines came to nothing"), "{}", said.lines().last().unwrap_or_default());
    assert!(sender.send("#many-room", &lines(1_200)).status.success(), "they were told");
}
