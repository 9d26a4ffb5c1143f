//! The chat TCP port: JSON lines and the binary framing, over three servers, with one killed in between.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::{Value, json};

use crate::harness::{Cluster, PATIENCE, shared, text, until};

const PASSWORD: &str = "correct horse";

/// Somebody who speaks JSON lines.
struct Lines {
    stream: BufReader<TcpStream>,
}

impl Lines {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Logged in; tried again while the servers are at it.
    fn user(address: &str, cmd: &str, name: &str) -> Self {
        until("a log-in", || {
            let mut lines = Self::connect(address);
            lines.say(&json!({ "cmd": cmd, "src": name, "body": PASSWORD })).unwrap();
            let reply = lines.hear()?;
            assert!(reply["error"] == false || reply["code"] == "UNAVAILABLE", "{reply}");
            (reply["error"] == false).then_some(lines)
        })
    }

    fn say(&mut self, request: &Value) -> std::io::Result<()> {
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes())
    }

    /// The next line; none where the connection has ended.
    fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.say(request).unwrap();
        self.hear().unwrap()
    }

    /// The bodies of the messages that come before the answer to a question.
    fn messages(&mut self) -> Vec<String> {
        self.say(&json!({ "cmd": "help" })).unwrap();
        let mut bodies = Vec::new();
        loop {
            let line = self.hear().unwrap();
            match line["cmd"].as_str().unwrap() {
                "message" => bodies.push(line["body"].as_str().unwrap().to_owned()),
                _ => return bodies,
            }
        }
    }
}

/// A frame of the binary framing.
fn frame(cmd: &str, src: &str, to: &str, body: &str, error: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    for text in [cmd, src, to] {
        frame.push(text.len() as u8);
        frame.extend(text.as_bytes());
    }
    frame.extend((body.len() as u16).to_be_bytes());
    frame.extend(body.as_bytes());
    frame.push(error);
    frame
}

/// Reads a frame and checks that it is this one.
fn expect(stream: &mut TcpStream, cmd: &str, src: &str, to: &str, body: &str) {
    let expected = frame(cmd, src, to, body, 0);
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found).unwrap();
    assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&expected));
}

#[test]
fn both_framings_talk_across_servers_and_what_waited_comes_once() {
    let cluster = shared();
    let mut alice = Lines::user(&cluster.servers[0].chat, "create", "tcp-alice");
    let mut bob = TcpStream::connect(&cluster.servers[1].chat).unwrap();
    bob.set_read_timeout(Some(PATIENCE)).unwrap();
    bob.write_all(&frame("create", "tcp-bob", "", PASSWORD, 0)).unwrap();
    expect(&mut bob, "create", "tcp-bob", "", "logged in as tcp-bob");
    let sent = alice.ask(&json!({ "cmd": "send", "to": "tcp-bob", "body": "hello" }));
    assert_eq!(sent["error"], false, "{sent}");
    expect(&mut bob, "message", "tcp-alice", "tcp-bob", "hello");
    bob.write_all(&frame("send", "tcp-bob", "tcp-alice", "hello yourself", 0)).unwrap();
    let message = alice.hear().unwrap();
    assert_eq!((&message["src"], &message["body"]), (&json!("tcp-bob"), &json!("hello yourself")));
    bob.write_all(&frame("logout", "", "", "", 0)).unwrap();
    expect(&mut bob, "send", "tcp-bob", "tcp-alice", &message["id"].to_string());
    expect(&mut bob, "logout", "", "", "logged out");
    drop(bob);
    let texts: Vec<String> = (0..100).map(|number| format!("while you were away {number}")).collect();
    for text in &texts {
        alice.say(&json!({ "cmd": "send", "to": "tcp-bob", "body": text })).unwrap();
    }
    for _ in &texts {
        assert_eq!(alice.hear().unwrap()["error"], false);
    }
    // At a third server, and what was delivered there is not delivered at the first one again.
    let mut bob = Lines::user(&cluster.servers[2].chat, "login", "tcp-bob");
    for text in &texts {
        assert_eq!(bob.hear().unwrap()["body"], text.as_str());
    }
    assert_eq!(bob.ask(&json!({ "cmd": "logout" }))["error"], false);
    let mut bob = Lines::user(&cluster.servers[0].chat, "login", "tcp-bob");
    assert!(bob.messages().is_empty());
    assert_eq!(bob.ask(&json!({ "cmd": "unread" }))["body"], "tcp-alice 101");
    // The same people by the other port.
    let person = cluster.stranger("tcp-bob");
    person.done(&["login", "tcp-bob"]);
    assert_eq!(person.history("tcp-alice").len(), 102);
    person.done(&["send", "tcp-alice", "from elsewhere"]);
    assert_eq!(alice.hear().unwrap()["body"], "from elsewhere");
    let status = alice.ask(&json!({ "cmd": "status" }));
    let address = &status["servers"][2]["chat_address"];
    assert_eq!(address, cluster.servers[2].chat.as_str());
}

#[test]
fn a_client_that_repeats_its_requests_elsewhere_after_a_crash_writes_each_message_once() {
    const MESSAGES: usize = 300;
    const AHEAD: usize = 20;
    let mut cluster = Cluster::start(&[]);
    let leader = cluster.leader();
    let others: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    Lines::user(&cluster.servers[others[0]].chat, "create", "bob");
    let mut alice = Lines::user(&cluster.servers[leader].chat, "create", "alice");
    let mut mia = Lines::user(&cluster.servers[others[1]].chat, "create", "mia");
    let request = |number: usize| json!({ "cmd": "send", "to": "bob", "body": format!("{number}"), "request": format!("r{number}") });
    let (mut acknowledged, mut said) = (0, 0);
    let (mut crashes, start) = (0, Instant::now());
    while acknowledged < MESSAGES {
        assert!(start.elapsed() < PATIENCE);
        if acknowledged > MESSAGES / 3 && crashes == 0 {
            cluster.servers[leader].strike();
            crashes += 1;
        }
        let mut lost = false;
        while said < MESSAGES.min(acknowledged + AHEAD) && !lost {
            lost = alice.say(&request(said)).is_err();
            said += usize::from(!lost);
        }
        match alice.hear() {
            Some(reply) if reply["error"] == false => acknowledged += 1,
            Some(reply) if reply["code"] == "UNAVAILABLE" => lost = true,
            Some(reply) => panic!("{reply}"),
            None => lost = true,
        }
        if lost {
            alice = Lines::user(&cluster.servers[others[crashes % 2]].chat, "login", "alice");
            said = acknowledged;
        }
    }
    assert_eq!(crashes, 1);
    let mut bob = Lines::user(&cluster.servers[others[1]].chat, "login", "bob");
    for number in 0..MESSAGES {
        assert_eq!(bob.hear().unwrap()["body"], number.to_string());
    }
    assert!(bob.messages().is_empty());
    // Whoever was connected elsewhere has not noticed.
    assert_eq!(mia.ask(&json!({ "cmd": "send", "to": "mia", "body": "note" }))["error"], false);
    cluster.servers[leader].kill();
    cluster.start_all();
    cluster.wait_until_whole();
}

#[test]
fn noise_disturbs_nobody_else() {
    let cluster = shared();
    let address = &cluster.servers[0].chat;
    let mut alice = Lines::user(address, "create", "tcp-noise-alice");
    let mut seed: u64 = 7;
    let mut noise = |bytes: usize| -> Vec<u8> {
        (0..bytes)
            .map(|_| {
                // Marsaglia's xorshift64.
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                (seed >> 32) as u8
            })
            .collect()
    };
    for round in 0..20 {
        let bytes = noise(7_usize.pow(round % 6) + 1);
        for start in [&b""[..], b"{", b"{\"cmd\":\"send\",\"body\":\"", b"\x04send\x00\x00\xff\xff"] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let _ = stream.write_all(&[start, &bytes].concat());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    let silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut bob = Lines::user(address, "create", "tcp-noise-bob");
    assert_eq!(bob.ask(&json!({ "cmd": "send", "to": "tcp-noise-alice", "body": "still there?" }))["error"], false);
    assert_eq!(alice.hear().unwrap()["body"], "still there?");
    drop(silent);
}

/// The examples of the documentation that stand behind this mark.
fn example(mark: &str) -> String {
    let document = include_str!("../../../../docs/protocols.md");
    let (_, behind) = document.split_once(mark).unwrap();
    let block = behind.split("```").nth(1).unwrap();
    block.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn the_examples_of_the_documentation_do_what_they_say() {
    let cluster = shared();
    let (host, port) = cluster.servers[0].chat.split_once(':').unwrap();
    for (mark, program, argument, needed) in [
        ("<!-- a test runs this with bash -->", "bash", "-c", true),
        ("<!-- a test runs this with python3 -->", "python3", "-c", false),
    ] {
        let script = example(mark).replace("127.0.0.1", host).replace("7450", port);
        let mut command = Command::new(program);
        command.args([argument, &script]).stdin(Stdio::null()).stderr(Stdio::piped());
        let output = match command.output() {
            Ok(output) => output,
            Err(error) if !needed => {
                eprintln!("skipped: {program}: {error}");
                continue;
            }
            Err(error) => panic!("{program}: {error}"),
        };
        assert!(output.status.success(), "{program}: {output:?}");
        let said = text(output.stdout);
        assert!(said.contains("Hello Bob!"), "{program}: {said}");
    }
}
