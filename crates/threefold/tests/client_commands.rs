//! The client commands as a shell runs them, against a cluster in memory that listens on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    pin::Pin,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use threefold_client::{Client, DiskOutbox, Options, Session, Writer, fake::FakeCluster};
use tokio::runtime::Runtime;

/// A cluster, and a directory for session files.
struct World {
    _runtime: Runtime,
    cluster: FakeCluster,
    servers: String,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cluster = runtime.block_on(FakeCluster::on_loopback(2));
        let servers = cluster.addresses().join(",");
        Self { _runtime: runtime, cluster, servers, directory: tempfile::tempdir().unwrap() }
    }

    /// With these people registered, each with a session file of the same name.
    fn with(names: &[&str]) -> Self {
        let world = Self::new();
        for name in names {
            world.done(name, &["register", name]);
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_threefold"));
        command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("THREEFOLD_SERVERS", &self.servers).env("THREEFOLD_SESSION", self.path(who));
        command.env("THREEFOLD_PASSWORD", "correct horse");
        command
    }

    fn run(&self, who: &str, arguments: &[&str]) -> Output {
        self.command(who, arguments).output().unwrap()
    }

    /// Runs a command that succeeds; gives what it printed.
    fn done(&self, who: &str, arguments: &[&str]) -> String {
        let output = self.run(who, arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same with `--json`: the objects it printed.
    fn json(&self, who: &str, arguments: &[&str]) -> Vec<Value> {
        let text = self.done(who, &[arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs a command that fails; gives its exit code and the code in its JSON error.
    fn fails(&self, who: &str, arguments: &[&str]) -> (i32, String) {
        let output = self.run(who, &[arguments, &["--json"]].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        let error: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        (output.status.code().unwrap(), error["error"]["code"].as_str().unwrap().to_owned())
    }

    fn input(&self, who: &str, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(who, arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }
}

fn bodies(lines: &[Value]) -> Vec<&str> {
    let messages = lines.iter().filter(|line| line["type"] == "message");
    messages.map(|line| line["body"].as_str().unwrap()).collect()
}

fn file_lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap_or_default().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_first_conversation() {
    let world = World::new();
    assert_eq!(world.done("a", &["register", "alice"]), "registered and logged in as alice\n");
    world.done("b", &["register", "bob"]);
    let sent = world.done("a", &["send", "bob", "hello", "there"]);
    let id = sent.strip_prefix("sent ").unwrap().trim().to_owned();
    let unread = &world.json("b", &["unread"])[0];
    assert_eq!((unread["peer"].as_str(), unread["unread"].as_u64()), (Some("alice"), Some(1)));
    for _ in 0..2 {
        let text = world.done("b", &["messages", "alice"]);
        assert!(text.starts_with(&id) && text.ends_with("] alice → you: hello there\n"), "{text}");
    }
    world.done("b", &["read", "alice"]);
    assert_eq!(world.done("b", &["unread"]), "nothing unread\n");
    assert_eq!(world.done("a", &["delete-message", &id, "--everyone"]), format!("deleted {id}\n"));
    assert_eq!(world.json("b", &["messages", "alice"])[0]["deleted"], true);
    assert_eq!(world.done("a", &["whoami"]), "alice\n");
    assert_eq!(world.done("a", &["logout"]), "logged out alice\n");
    assert_eq!(world.fails("a", &["whoami"]), (1, "SESSION_INVALID".to_owned()));
    world.done("a", &["login", "alice"]);
    assert_eq!(world.json("a", &["messages", "bob"]).len(), 1);
}

#[test]
fn exit_codes_tell_refused_usage_and_unavailable_apart() {
    let world = World::with(&["alice"]);
    assert_eq!(world.fails("x", &["register", "Alice"]), (1, "NAME_TAKEN".to_owned()));
    assert_eq!(world.fails("alice", &["send", "nobody", "x"]), (1, "UNKNOWN_USER".to_owned()));
    assert_eq!(world.fails("alice", &["send", "alice", ""]), (2, "USAGE".to_owned()));
    assert_eq!(world.fails("none", &["send", "alice", "x"]), (1, "SESSION_INVALID".to_owned()));
    assert_eq!(world.fails("alice", &["whoami", "--servers", "not an address"]), (2, "USAGE".to_owned()));
    assert_eq!(world.run("alice", &["send"]).status.code(), Some(2));
    let nobody = ["--servers", "127.0.0.1:1", "--timeout", "0.2"];
    assert_eq!(world.fails("alice", &[&["whoami"], &nobody[..]].concat()), (3, "UNAVAILABLE".to_owned()));
    assert_eq!(world.fails("alice", &[&["send", "alice", "x"], &nobody[..]].concat()), (3, "UNAVAILABLE".to_owned()));
    assert_eq!(world.fails("alice", &[&["follow", "--once"], &nobody[..]].concat()), (3, "UNAVAILABLE".to_owned()));
    let status = world.run("alice", &[&["status", "--json"], &nobody[..]].concat());
    assert_eq!(status.status.code(), Some(3));
    let shown: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(shown["servers"][0]["role"], "down");
}

#[test]
fn pipes_and_lines() {
    let world = World::with(&["alice", "bob"]);
    let whole = world.input("alice", &["send", "bob"], "one\ntwo größe\n".as_bytes());
    assert!(whole.status.success(), "{whole:?}");
    let many: String = (0..300).map(|number| format!("line {number}\n")).collect();
    let lines = world.input("alice", &["send", "bob", "--lines", "--json"], many.as_bytes());
    assert_eq!(String::from_utf8(lines.stdout).unwrap().lines().count(), 300);
    let shown = world.json("bob", &["messages", "alice", "400"]);
    let expected: Vec<String> =
        ["one\ntwo größe".to_owned()].into_iter().chain((0..300).map(|number| format!("line {number}"))).collect();
    assert_eq!(bodies(&shown), expected);
    let forward = world.json("bob", &["messages", "alice", "250", "--after", "0"]);
    assert_eq!(bodies(&forward), expected[..250]);
    assert_eq!(world.input("alice", &["send", "bob", "-"], b"\xff").status.code(), Some(2));
    assert_eq!(world.input("alice", &["send", "bob"], &[b'x'; 20_000]).status.code(), Some(2));
}

#[test]
fn commands_at_the_same_time_share_a_session_file() {
    let world = World::with(&["alice", "bob"]);
    let start = |number: usize| world.command("alice", &["send", "bob", &number.to_string()]).spawn().unwrap();
    let children: Vec<Child> = (0..12).map(start).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(world.json("alice", &["messages", "bob", "50"]).len(), 12);
    assert_eq!(world.done("alice", &["whoami"]), "alice\n");
}

#[test]
fn people_sessions_and_passwords() {
    let world = World::with(&["alice", "bob"]);
    assert_eq!(world.done("alice", &["users", "ali"]), "alice\n");
    let page = world.done("alice", &["users", "--limit", "1"]);
    assert!(page.contains("--after alice"), "{page}");
    assert_eq!(world.done("alice", &["online"]), "nobody is online\n");
    world.done("other", &["login", "alice", "--device", "phone"]);
    assert_eq!(world.json("alice", &["sessions"]).len(), 2);
    assert_eq!(world.json("alice", &["sessions", "--end-others"]).len(), 1);
    assert_eq!(world.fails("other", &["whoami"]), (1, "SESSION_INVALID".to_owned()));
    let changed = world.command("alice", &["passwd"]).env("THREEFOLD_NEW_PASSWORD", "battery staple").output().unwrap();
    assert!(changed.status.success(), "{changed:?}");
    assert_eq!(world.fails("other", &["login", "alice"]), (1, "WRONG_CREDENTIAL".to_owned()));
    fs::write(world.path("password"), "battery staple\n").unwrap();
    let path = world.path("password");
    world.done("other", &["login", "alice", "--password-file", path.to_str().unwrap()]);
    world.done("other", &["delete-account", "--yes", "--password-file", path.to_str().unwrap()]);
    assert_eq!(world.fails("alice", &["whoami"]), (1, "SESSION_INVALID".to_owned()));
}

#[test]
fn a_login_of_another_account_is_not_lost_by_a_slip() {
    let world = World::with(&["alice", "bob"]);
    let kept = fs::read(world.path("alice")).unwrap();
    // Whoever is to be registered is another one, though called the same; so is who is of another cluster.
    let slips: [&[&str]; 4] = [
        &["login", "bob"],
        &["register", "carol"],
        &["register", "alice"],
        &["login", "alice", "--servers", "127.0.0.1:9,10"],
    ];
    for slip in slips {
        let output = world.run("alice", slip);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("holds the login of alice") && said.contains("--force"), "{said}");
        assert_eq!(fs::read(world.path("alice")).unwrap(), kept, "as it was");
    }
    assert_eq!(world.done("alice", &["users", "carol"]), "nobody has such a name\n", "nobody was asked");
    // The same account again, however it is written, takes the place of its own login.
    world.done("alice", &["login", "Alice"]);
    let one = world.cluster.addresses()[0].clone();
    world.done("alice", &["login", "alice", "--servers", &format!("127.0.0.1:9,{one}")]);
    world.done("alice", &["login", "bob", "--force"]);
    assert_eq!(world.done("alice", &["whoami"]), "bob\n");
    world.done("alice", &["logout"]);
    world.done("alice", &["login", "alice"]);
}

#[test]
fn who_logs_out_is_told_what_was_never_sent_and_leaves_no_words_behind() {
    let world = World::with(&["alice"]);
    let kept = world.path("alice.outbox");
    // As a chat leaves it that was killed while no server could be reached.
    let leave = |write: fn(Writer) -> Pin<Box<dyn Future<Output = ()>>>| {
        let session: Session = serde_json::from_slice(&fs::read(world.path("alice")).unwrap()).unwrap();
        let outbox = DiskOutbox::open(&kept, &session).unwrap();
        let nowhere = Options::new(vec!["http://127.0.0.1:9".to_owned()]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let nobody = Session { servers: Vec::new(), ..session };
            let client = Client::new(nowhere).unwrap().with_session(nobody).unwrap();
            write(client.writer_with(outbox).unwrap().with_timeout(Duration::from_secs(600))).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(60));
    };
    leave(|writer| Box::pin(async move { drop(writer.send("bob", "private words").await.unwrap()) }));
    assert_eq!(world.fails("alice", &["logout"]).0, 1);
    let said = String::from_utf8(world.run("alice", &["logout"]).stderr).unwrap();
    assert!(said.contains("keeps something that was never sent") && said.contains("--force"), "{said}");
    assert_eq!(world.done("alice", &["whoami"]), "alice\n", "nothing has happened");
    world.done("alice", &["logout", "--force"]);
    assert!(!kept.exists());
    // A message whose file was not uploaded counts.
    world.done("alice", &["login", "alice"]);
    leave(|writer| Box::pin(async move { writer.keep_draft(b"private words".to_vec()).await.map(drop).unwrap() }));
    assert_eq!(world.fails("alice", &["logout"]).0, 1);
    world.done("alice", &["logout", "--force"]);
    assert!(!kept.exists());
    // Where nobody wrote anything, nobody is asked.
    world.done("alice", &["login", "alice"]);
    leave(|writer| Box::pin(async move { drop(writer.mark_read(3, 0).await.unwrap()) }));
    assert!(kept.exists());
    world.done("alice", &["logout"]);
    assert!(!kept.exists());
    // Where the session has ended elsewhere no chat can send them: they stay, for the next login's to set aside.
    world.done("alice", &["login", "alice"]);
    leave(|writer| Box::pin(async move { drop(writer.send("bob", "private words").await.unwrap()) }));
    world.done("phone", &["login", "alice"]);
    world.done("phone", &["sessions", "--end-others"]);
    world.done("alice", &["logout"]);
    assert!(kept.exists());
    // What a chat has open may hold anything.
    fs::remove_file(&kept).unwrap();
    world.done("alice", &["login", "alice"]);
    let session: Session = serde_json::from_slice(&fs::read(world.path("alice")).unwrap()).unwrap();
    let open = DiskOutbox::open(&kept, &session).unwrap();
    let said = String::from_utf8(world.run("alice", &["logout"]).stderr).unwrap();
    assert!(said.contains("quit that chat first"), "{said}");
    drop(open);
    fs::remove_file(&kept).unwrap();
    // With the account, all of it goes.
    world.done("alice", &["login", "alice"]);
    leave(|writer| Box::pin(async move { drop(writer.send("bob", "private words").await.unwrap()) }));
    world.done("alice", &["delete-account", "--yes"]);
    assert!(!kept.exists());
}

#[test]
fn all_conversations_are_listed_and_not_only_the_unread_ones() {
    let world = World::with(&["alice", "bob", "carol"]);
    assert!(world.done("alice", &["conversations"]).contains("no conversations yet"));
    world.done("alice", &["send", "bob", "to bob"]);
    world.done("carol", &["send", "alice", "from carol"]);
    assert_eq!(world.json("alice", &["unread"]).len(), 1);
    let all = world.json("alice", &["conversations"]);
    let peers: Vec<&str> = all.iter().map(|one| one["peer"].as_str().unwrap()).collect();
    assert_eq!(peers, ["carol", "bob"], "the newest first");
    assert_eq!((&all[0]["unread"], &all[1]["unread"]), (&1.into(), &0.into()));
    let shown = world.done("alice", &["conversations"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("carol ") && lines[0].contains("1 unread") && lines[1].starts_with("bob "), "{shown}");
}

#[test]
fn a_list_that_goes_on_says_so_to_programs_too() {
    let world = World::with(&["alice", "bob", "carol"]);
    let page = world.json("alice", &["users", "--limit", "2"]);
    assert_eq!(page.len(), 3, "{page:?}");
    assert_eq!(page[2], serde_json::json!({"type": "more", "after": page[1]["name"]}));
    let rest = world.json("alice", &["users", "--after", page[1]["name"].as_str().unwrap()]);
    assert_eq!(rest.len(), 1, "{rest:?}");
}

#[test]
fn status_as_a_table_and_as_one_object() {
    let world = World::new();
    let text = world.done("none", &["status"]);
    assert!(
        text.starts_with("ID  NAME") && text.contains("leader") && text.contains("The cluster is normal"),
        "{text}"
    );
    let status = &world.json("none", &["status"])[0];
    assert_eq!(status["servers"].as_array().unwrap().len(), 2);
    assert_eq!(status["servers"][1]["role"], "follower");
}

#[test]
fn follow_goes_on_where_it_stopped() {
    let world = World::with(&["alice", "bob"]);
    world.done("alice", &["send", "bob", "one"]);
    assert_eq!(bodies(&world.json("bob", &["follow", "--once"])), ["one"]);
    world.done("alice", &["send", "bob", "two\n\u{1b}[31m"]);
    let text = world.done("bob", &["follow", "--once"]);
    assert!(text.ends_with("] alice → you: two\n    \\u{1b}[31m\n"), "{text}");
    assert_eq!(bodies(&world.json("bob", &["follow", "--once"])), [""; 0]);
    assert_eq!(bodies(&world.json("bob", &["follow", "--once", "--after", "0"])).len(), 2);
    // A new device starts where the account was told that everything had been delivered.
    world.done("alice", &["send", "bob", "three"]);
    world.done("other", &["login", "bob"]);
    assert_eq!(bodies(&world.json("other", &["follow", "--once"])), ["three"]);
}

#[test]
fn a_file_followed_to_holds_everything_once_although_follow_is_killed_all_the_time() {
    const MESSAGES: usize = 400;
    let world = World::with(&["alice", "bob"]);
    let path = world.path("events");
    let follow = || world.command("bob", &["follow", "--json", "--output", path.to_str().unwrap()]).spawn().unwrap();
    let mut sender = world.command("alice", &["send", "bob", "--lines"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = sender.stdin.take().unwrap();
    let mut acknowledged = BufReader::new(sender.stdout.take().unwrap()).lines();
    let mut follower = follow();
    let mut length = 0;
    for number in 0..MESSAGES {
        writeln!(input, "{number}").unwrap();
        acknowledged.next().unwrap().unwrap();
        if number % 40 == 39 {
            // Killed while it runs, wherever it is, but not before it has done something.
            while file_length(&path) <= length {
                std::thread::yield_now();
            }
            follower.kill().unwrap();
            follower.wait().unwrap();
            length = file_length(&path);
            follower = follow();
        }
    }
    drop(input);
    assert!(sender.wait().unwrap().success());
    follower.kill().unwrap();
    follower.wait().unwrap();
    world.done("bob", &["follow", "--json", "--output", path.to_str().unwrap(), "--once"]);
    let expected: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(bodies(&file_lines(&path)), expected);
    assert!(world.cluster.with_state(|state| state.subscriptions.len()) > 5);
}

fn file_length(path: &Path) -> u64 {
    fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default()
}

#[test]
fn follow_ends_cleanly_when_its_reader_goes_or_a_signal_comes() {
    let world = World::with(&["alice", "bob"]);
    world.done("alice", &["send", "bob", "one"]);
    let mut child = world.command("bob", &["follow", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("\"one\""), "{line}");
    drop(lines);
    world.done("alice", &["send", "bob", "two"]);
    assert!(child.wait().unwrap().success());
    // What nobody took is told again.
    let mut child = world.command("bob", &["follow", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    line.clear();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("\"two\""), "{line}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    assert_eq!(bodies(&world.json("bob", &["follow", "--once"])), [""; 0]);
}

#[test]
fn follow_goes_on_without_its_terminal_where_it_is_told_to() {
    let world = World::with(&["alice", "bob"]);
    let command = world.command("bob", &["follow", "--json"]);
    let mut nohup = Command::new("sh");
    nohup
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    nohup.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = nohup.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let pid = child.id().to_string();
    let mut line = String::new();
    // It has begun with the first; with the second it has gone on.
    for body in ["one", "two"] {
        world.done("alice", &["send", "bob", body]);
        line.clear();
        lines.read_line(&mut line).unwrap();
        assert!(line.contains(&format!("\"{body}\"")), "{line}");
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_ended_session_ends_follow_with_words() {
    let world = World::with(&["alice"]);
    let child = world.command("alice", &["follow"]).spawn().unwrap();
    while world.cluster.with_state(|state| state.subscriptions.is_empty()) {
        std::thread::yield_now();
    }
    world.done("other", &["login", "alice"]);
    world.done("other", &["sessions", "--end-others"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("run `threefold login NAME`"), "{words}");
}

#[test]
fn a_replaced_history_is_told_and_then_followed_from_its_beginning() {
    let world = World::with(&["alice", "bob"]);
    world.done("alice", &["send", "bob", "one"]);
    world.done("bob", &["follow", "--once"]);
    world.cluster.with_state(|state| state.recovery_id = vec![2]);
    assert_eq!(world.fails("bob", &["follow", "--once"]), (1, "CURSOR_INVALID".to_owned()));
    assert_eq!(bodies(&world.json("bob", &["follow", "--once"])), ["one"]);
}

#[test]
fn a_file_goes_on_in_its_own_history_or_not_at_all() {
    let world = World::with(&["alice", "bob"]);
    world.done("alice", &["send", "bob", "one"]);
    let [old, new] = ["old.jsonl", "new.jsonl"].map(|name| world.path(name).to_str().unwrap().to_owned());
    let follow = |path| ["follow", "--once", "--output", path];
    world.json("bob", &[&follow(&old)[..], &["--after", "0"]].concat());
    assert_eq!(bodies(&file_lines(Path::new(&old))), ["one"]);
    world.cluster.with_state(|state| state.recovery_id = vec![2]);
    // However often it is tried, and whoever is logged in: also a session that has seen only the new history.
    for _ in 0..2 {
        assert_eq!(world.fails("bob", &follow(&old)), (1, "CURSOR_INVALID".to_owned()));
    }
    world.done("later", &["login", "bob"]);
    assert_eq!(world.fails("later", &follow(&old)), (1, "CURSOR_INVALID".to_owned()));
    assert_eq!(bodies(&file_lines(Path::new(&old))), ["one"], "nothing of another history");
    // Of a login that is in the new history already, the place is not forgotten for the sake of an old file.
    assert_eq!(bodies(&world.json("bob", &["follow", "--once", "--after", "0"])), ["one"]);
    assert_eq!(world.fails("bob", &follow(&old)), (1, "CURSOR_INVALID".to_owned()));
    assert_eq!(bodies(&world.json("bob", &["follow", "--once"])), [""; 0]);
    world.json("bob", &[&follow(&new)[..], &["--after", "0"]].concat());
    assert_eq!(bodies(&file_lines(Path::new(&new))), ["one"]);
    // A file of an earlier version has no history beside it: that of its next start is taken.
    fs::remove_file(format!("{new}.history")).unwrap();
    world.json("bob", &follow(&new));
    world.cluster.with_state(|state| state.recovery_id = vec![3]);
    assert_eq!(world.fails("bob", &follow(&new)), (1, "CURSOR_INVALID".to_owned()));
}

#[test]
fn every_line_is_sent_although_nobody_reads_the_answers() {
    let world = World::with(&["alice", "bob"]);
    let mut child = world.command("alice", &["send", "bob", "--lines"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    writeln!(input, "line 0").unwrap();
    answers.read_line(&mut String::new()).unwrap();
    // As `head -1` does.
    drop(answers);
    for number in 1..200 {
        // One that has given up reads no more.
        let _ = writeln!(input, "line {number}");
    }
    drop(input);
    assert!(child.wait().unwrap().success(), "all are sent");
    assert_eq!(world.json("bob", &["messages", "alice", "1000"]).len(), 200);
}

#[test]
fn an_output_that_fails_has_an_exit_code_of_its_own() {
    let world = World::with(&["alice"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = world.command("alice", &["whoami", "--json"]).stdout(full).output().unwrap();
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((output.status.code(), error["error"]["code"].as_str()), (Some(4), Some("LOCAL")));
}
