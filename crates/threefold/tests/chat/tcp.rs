//! The chat TCP port: JSON lines and the binary framing, over three servers, with one killed in between.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::json;

use crate::harness::{Cluster, Frame, Frames, Lines, PATIENCE, shared, text, wait};

#[test]
fn both_framings_talk_across_servers_and_what_waited_comes_once() {
    let cluster = shared();
    let mut alice = Lines::user(&cluster.servers[0].chat, "create", "tcp-alice");
    let mut bob = Frames::connect(&cluster.servers[1].chat).unwrap();
    bob.say(&Frame::new("create", "tcp-bob", "", "correct horse")).unwrap();
    assert_eq!(bob.hear(), Some(Frame::new("create", "tcp-bob", "", "logged in as tcp-bob")));
    let sent = alice.ask(&json!({ "cmd": "send", "to": "tcp-bob", "body": "hello" }));
    assert_eq!(sent["error"], false, "{sent}");
    assert_eq!(bob.hear(), Some(Frame::new("message", "tcp-alice", "tcp-bob", "hello")));
    bob.say(&Frame::new("send", "tcp-bob", "tcp-alice", "hello yourself")).unwrap();
    let message = alice.hear().unwrap();
    assert_eq!((&message["src"], &message["body"]), (&json!("tcp-bob"), &json!("hello yourself")));
    bob.say(&Frame::new("logout", "", "", "")).unwrap();
    assert_eq!(bob.hear(), Some(Frame::new("send", "tcp-bob", "tcp-alice", &message["id"].to_string())));
    assert_eq!(bob.hear(), Some(Frame::new("logout", "", "", "logged out")));
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
    wait("every server's own part of the status", || {
        let status = alice.ask(&json!({ "cmd": "status" }));
        status["servers"][2]["chat_address"] == cluster.servers[2].chat.as_str()
    });
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
fn rooms_are_spoken_in_by_both_framings_through_a_failover() {
    let mut cluster = Cluster::start(&[]);
    let leader = cluster.leader();
    let ports: Vec<String> = cluster.servers.iter().map(|server| server.chat.clone()).collect();
    let host = cluster.person("host");
    host.done(&["room", "create", "Tea"]);
    host.done(&["room", "create", "plans", "--private"]);
    host.done(&["send", "#tea", "before you came"]);
    let mut ann = Lines::user(&ports[leader], "create", "ann");
    let mut bob = Frames::try_user(&ports[(leader + 1) % 3], "create", "bob").unwrap();
    assert_eq!(ann.ask(&json!({"cmd": "send", "to": "#tea", "body": "let me in"}))["code"], "NOT_IN_ROOM");
    assert_eq!(ann.ask(&json!({"cmd": "join", "to": "#tea"}))["body"], "done");
    assert_eq!(bob.ask("join", "#TEA", ""), Frame::new("join", "", "#TEA", "done"));
    assert!(bob.ask("join", "#plans", "").error, "it is private");
    host.done(&["room", "invite", "plans", "bob"]);

    cluster.servers[leader].kill();
    // Whose server died goes on elsewhere; what is said meanwhile waits, as everything does.
    let mut ann = {
        drop(ann);
        Lines::user(&ports[(leader + 2) % 3], "login", "ann")
    };
    let sent = ann.ask(&json!({"cmd": "send", "to": "#tea", "body": "still here", "request": "one"}));
    assert_eq!(sent["error"], false, "{sent}");
    assert_eq!(
        ann.ask(&json!({"cmd": "send", "to": "#tea", "body": "still here", "request": "one"}))["id"],
        sent["id"]
    );
    assert_eq!(bob.hear(), Some(Frame::new("message", "ann", "#Tea", "still here")), "once");
    assert!(!bob.ask("send", "#tea", "me too").error);
    let heard = ann.hear().unwrap();
    assert_eq!((&heard["src"], &heard["to"], &heard["body"]), (&json!("bob"), &json!("#Tea"), &json!("me too")));
    assert_eq!(ann.ask(&json!({"cmd": "unread"}))["body"], "#Tea 1");
    assert_eq!(ann.ask(&json!({"cmd": "read", "to": "#tea"}))["body"], "done");
    assert_eq!(ann.ask(&json!({"cmd": "unread"}))["body"], "");
    let history = ann.ask(&json!({"cmd": "history", "to": "#tea", "body": "10"}));
    let said: Vec<&str> =
        history["messages"].as_array().unwrap().iter().map(|one| one["body"].as_str().unwrap()).collect();
    assert_eq!(said, ["before you came", "still here", "me too"]);
    assert!(!bob.ask("join", "#plans", "").error, "with an invitation");
    host.done(&["send", "#plans", "for both"]);
    assert_eq!(bob.hear(), Some(Frame::new("message", "host", "#plans", "for both")));
    assert!(!bob.ask("leave", "#tea", "").error);
    assert!(bob.ask("send", "#tea", "gone").error);
    // One's own can be taken back by everyone's leave.
    let ids = sent["id"].to_string();
    let deleted = ann.ask(&json!({"cmd": "delete_messages", "to": "everyone", "body": ids}));
    assert_eq!(deleted["error"], false, "{deleted}");
    assert_eq!(host.history("#tea")[1]["deleted"], true);
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
