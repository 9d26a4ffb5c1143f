//! Pages that talk over WebSocket while the servers that they are connected to are killed.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{ChildStdin, Command, Stdio},
    sync::mpsc,
};

use serde_json::{Value, json};

use crate::harness::{Cluster, PATIENCE, Process, Visitor, Visitors, until, wait};

/// Messages before the kill, and in all.
const BEFORE: u64 = 60;
const ALL: u64 = 150;
/// Unanswered at most: below the 64 that an instance may have.
const IN_FLIGHT: u64 = 20;

fn write(instance: u64, number: u64, answered: u64) -> Value {
    let send = json!({"to": {"user": "bob"}, "body": format!("ann {number}")});
    json!({"write": {"request": {"instance": instance, "number": number}, "operation": {"send": send}, "answered": answered}})
}

/// Sends everything, again where no answer came; gives the ids in the order of the numbers.
fn send_all(cluster: &mut Cluster, ann: &mut Visitor) -> Vec<u64> {
    let (mut ids, mut asked, mut killed) = (Vec::new(), 0, false);
    while (ids.len() as u64) < ALL {
        let answered = ids.len() as u64;
        if answered >= BEFORE && !killed {
            killed = true;
            cluster.kill(&[0]);
        }
        let instance = ann.instance;
        let up_to = (answered + IN_FLIGHT).min(ALL);
        let said = (asked.max(answered) + 1..=up_to).all(|number| ann.say(&write(instance, number, answered)));
        asked = up_to;
        let heard = if said { ann.hear() } else { None };
        let Some(frame) = heard else {
            // Nothing is known of what was not answered: all of it is said again, with the same numbers.
            asked = answered;
            continue;
        };
        let Some(result) = frame.get("result") else { continue };
        let error = &result["result"]["error"];
        if error.is_object() {
            assert!(["unavailable", "out_of_order"].contains(&error["code"].as_str().unwrap()), "{result}");
            ann.leave();
            asked = answered;
            continue;
        }
        assert_eq!(result["request"]["number"].as_u64(), Some(answered + 1), "results come in the order of the writes");
        ids.push(result["result"]["sent"]["id"].as_u64().unwrap());
    }
    ids
}

#[test]
fn a_page_resumes_at_another_server_with_nothing_lost_and_nothing_twice() {
    let mut cluster = Cluster::start(&[]);
    // Both are at the server that will be killed.
    let visitors = Visitors::of(&cluster);
    let [mut ann, mut bob] = ["ann", "bob"].map(|name| visitors.register(0, name));
    bob.follow();
    let sent = send_all(&mut cluster, &mut ann);
    assert_eq!(sent.iter().collect::<BTreeSet<_>>().len() as u64, ALL);
    let (mut heard, mut last) = (Vec::new(), 0);
    while (heard.len() as u64) < ALL {
        let Some(frame) = bob.hear() else { continue };
        let Some(event) = frame.get("event") else { continue };
        let id = event["id"].as_u64().unwrap();
        assert!(id > last, "in order, and once");
        last = id;
        if event["body"]["message"].is_object() {
            heard.push(id);
            assert_eq!(event["body"]["message"]["body"], format!("ann {}", heard.len()));
        }
    }
    assert_eq!(heard, sent);
    assert!(ann.lost > 0 && bob.lost > 0);
    let history = bob.done("history", json!({"in": {"user": "ann"}, "limit": 200, "consistent": true}));
    assert_eq!(history["messages"].as_array().unwrap().len() as u64, ALL);

    // A server that is stopped in order says so.
    let place = cluster.servers.iter().position(|server| server.client == bob.server()).unwrap();
    cluster.servers[place].stop();
    let ended = bob.page().unwrap().ended();
    assert_eq!(u16::from(ended.code), 1012, "{}", ended.reason);
}

#[test]
fn pages_of_other_places_are_refused_unless_they_are_listed() {
    let cluster = Cluster::start(&["--allowed-origin", "https://chat.example"]);
    let address = &cluster.servers[1].client;
    let ask = |origin: &str| {
        use std::io::{BufRead as _, BufReader, Write as _};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nhost: {address}\r\norigin: {origin}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    };
    assert!(ask("https://evil.example").starts_with("HTTP/1.1 403"));
    assert!(ask("https://chat.example").starts_with("HTTP/1.1 101"));
    assert!(ask(&format!("http://{address}")).starts_with("HTTP/1.1 101"));
}

/// The client in Python that the documentation shows, as it stands there but for the servers' addresses. None: there is no Python here.
fn client_of_the_documentation(servers: [&str; 3], changed: &[(&str, &str)]) -> Option<Talking> {
    let document = include_str!("../../../../docs/protocols.md");
    let (_, behind) = document.split_once("<!-- a test runs this while servers die -->").unwrap();
    let mut script = behind.split("```").nth(1).unwrap().strip_prefix("python\n").unwrap().to_owned();
    let ports = ["127.0.0.1:7400", "127.0.0.1:7401", "127.0.0.1:7402"];
    for (from, to) in ports.into_iter().zip(servers).chain(changed.iter().copied()) {
        assert!(script.contains(from), "{from}");
        script = script.replace(from, to);
    }
    if !Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        eprintln!("\n*** SKIPPED: there is no python3 ***\n");
        return None;
    }
    let mut command = Command::new("python3");
    command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(&mut command);
    let (input, output) = (process.stdin.take(), process.stdout.take().unwrap());
    let (lines, said) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).all(|line| lines.send(line).is_ok())
    });
    Some(Talking { process, input, said })
}

/// A program that is told lines, and says some.
struct Talking {
    process: Process,
    input: Option<ChildStdin>,
    said: mpsc::Receiver<String>,
}

impl Talking {
    fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn line(&mut self) -> String {
        self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{}", end_of(&mut self.process)))
    }

    /// What it says on after the last line that it is told, and what it complained of.
    fn end(mut self) -> (Vec<String>, String) {
        drop(self.input.take());
        wait("its end", || self.process.try_wait().unwrap().is_some_and(|status| status.success()));
        (self.said.iter().collect(), end_of(&mut self.process))
    }
}

#[test]
fn the_client_of_the_documentation_goes_on_at_another_server() {
    let mut cluster = Cluster::start(&[]);
    let bob = ["ann", "bob"].map(|name| cluster.person(name))[1].clone();
    let leader = cluster.leader();
    // It begins at the leader, which dies.
    let addresses: Vec<String> = (0..3).map(|further| cluster.servers[(leader + further) % 3].client.clone()).collect();
    let servers = [0, 1, 2].map(|place| addresses[place].as_str());
    // What is there already has no text.
    let file = cluster.directory.join("words.txt");
    std::fs::write(&file, "words").unwrap();
    bob.done(&["send", "ann", "", "--attach", file.to_str().unwrap()]);
    let Some(mut client) = client_of_the_documentation(servers, &[]) else { return };
    for number in 0..20 {
        if number == 10 {
            cluster.kill(&[leader]);
        }
        client.tell(&format!("number {number}"));
        if number == 0 {
            assert_eq!(client.line(), "bob: ");
        }
        assert_eq!(client.line(), format!("ann: number {number}"));
    }
    assert_eq!(client.end(), (vec![], String::new()), "each once");
    let history = until("all of it", || Some(bob.history("ann")).filter(|history| history.len() >= 21));
    let bodies: Vec<String> = history.iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect();
    let numbers: Vec<String> = (0..20).map(|number| format!("number {number}")).collect();
    assert_eq!((bodies[0].as_str(), &bodies[1..]), ("", &numbers[..]));

    // A cursor of another history: everything again, from the beginning.
    let foreign = (
        "self.cursor, self.recovery_id, self.sent = 0, \"\", 0\n        self.connect()",
        "self.cursor, self.recovery_id, self.sent = 5, \"ab\" * 16, 0\n        self.connect()",
    );
    let mut client = client_of_the_documentation(servers, &[foreign]).unwrap();
    client.tell("again");
    let heard: Vec<String> = (0..22).map(|_| client.line()).collect();
    assert_eq!((heard[0].as_str(), heard[1].as_str(), heard[21].as_str()), ("bob: ", "ann: number 0", "ann: again"));
    assert_eq!(client.end(), (vec![], String::new()));

    // The same in the middle: what was not answered is told, and what comes next has numbers of its own.
    let restored = (
        "    ann.send(\"bob\", line",
        "    if line == \"behind it\\n\":\n        \
         ann.waiting.append({\"write\": {\"operation\": {\"send\": {\"body\": \"perhaps\"}}}})\n        \
         ann.cursor, ann.recovery_id = 5, \"ab\" * 16\n        ann.connect()\n    ann.send(\"bob\", line",
    );
    let mut client = client_of_the_documentation(servers, &[restored]).unwrap();
    client.tell("before it");
    let heard: Vec<String> = (0..23).map(|_| client.line()).collect();
    assert_eq!(heard[22], "ann: before it");
    client.tell("behind it");
    let heard: Vec<String> = (0..24).map(|_| client.line()).collect();
    assert_eq!((heard[0].as_str(), heard[23].as_str()), ("bob: ", "ann: behind it"));
    assert_eq!(client.end(), (vec![], "not known whether it was sent: perhaps\n".to_owned()));

    // What is refused is told.
    let mut client = client_of_the_documentation(servers, &[("\"bob\"", "\"nobody\"")]).unwrap();
    client.tell("lost");
    let (_, complaint) = client.end();
    assert!(complaint.starts_with("refused: ") && complaint.contains("nobody"), "{complaint}");
}

/// What a program that came to nothing said of it.
fn end_of(program: &mut Process) -> String {
    let _ = program.kill();
    let mut said = String::new();
    program.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    said
}
