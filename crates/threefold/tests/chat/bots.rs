//! Bots and webhooks, over three servers, with the leader killed in between; and the example of a bot, in Python.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{Cluster, Failed, Page, Person, Process, text, until, wait};

/// Logs somebody in with that in the place of a password; how it failed, if it did.
fn log_in(person: &Person, secret: &str) -> Result<(), String> {
    let mut command = person.command(&["login", &person.name, "--json"]);
    let output = command.env("THREEFOLD_PASSWORD", secret).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    Err(error["error"]["code"].as_str().unwrap().to_owned())
}

/// What the list of accounts says of somebody.
fn entry(reader: &Person, name: &str) -> Value {
    until("an account to be listed", || reader.json(&["users", name]).into_iter().find(|one| one["name"] == name))
}

fn token_of(made: &[Value]) -> String {
    made[0]["token"].as_str().unwrap().to_owned()
}

fn kill_the_leader(cluster: &mut Cluster) {
    let leader = cluster.leader();
    cluster.kill(&[leader]);
}

#[test]
fn a_bot_does_what_an_account_does_and_is_its_owners() {
    let mut cluster = Cluster::start(&[]);
    let [root, ann, bob] = ["root", "ann", "bob"].map(|name| cluster.person(name));
    let token = token_of(&ann.json(&["bot", "create", "echo"]));
    assert_eq!(bob.fails(&["bot", "create", "ECHO"]).short(), (1, "NAME_TAKEN"));
    assert_eq!(bob.fails(&["bot", "token", "echo"]).short(), (1, "UNKNOWN_BOT"));
    assert_eq!(bob.fails(&["bot", "delete", "echo", "--yes"]).short(), (1, "UNKNOWN_BOT"));
    let shown = entry(&bob, "echo");
    assert_eq!((&shown["bot"], &shown["owner"]), (&json!(true), &json!("ann")));
    assert_eq!(entry(&bob, "ann")["bot"], json!(false));

    // With its token it logs in anywhere: here by the command line, there by a page.
    let echo = cluster.stranger("echo");
    assert_eq!(log_in(&echo, "correct horse"), Err("WRONG_CREDENTIAL".to_owned()));
    assert_eq!(log_in(&echo, &token), Ok(()));
    echo.done(&["send", "bob", "beep"]);
    ann.done(&["room", "create", "tea"]);
    echo.done(&["join", "#tea"]);
    echo.done(&["send", "#tea", "hello all"]);
    assert_eq!(echo.fails(&["bot", "create", "other"]).short(), (1, "NOT_FOR_BOTS"));
    assert_eq!(echo.fails(&["webhook", "create", "tea", "other"]).code, "FORBIDDEN", "a member like any");
    assert_eq!(echo.fails(&["admin", "log"]).short(), (1, "NOT_ADMINISTRATOR"));
    let mut leave = echo.command(&["delete-account", "--yes", "--json"]);
    assert_eq!(Failed::of(leave.env("THREEFOLD_PASSWORD", &token), b"").code, "NOT_FOR_BOTS");
    let mut change = echo.command(&["passwd", "--json"]);
    change.env("THREEFOLD_PASSWORD", &token).env("THREEFOLD_NEW_PASSWORD", "battery staple");
    assert_eq!(Failed::of(&mut change, b"").code, "NOT_FOR_BOTS");

    kill_the_leader(&mut cluster);
    let there = cluster.servers.iter().rfind(|server| server.is_started()).unwrap();
    let mut page = Page::open(&there.client).unwrap();
    let session = "abcd".repeat(16);
    let with = json!({"name": "echo", "password": token, "token": session, "device": "page"});
    let opened = until("a log-in by page", || page.call("login", with.clone()).unwrap().ok());
    assert_eq!(opened["name"], "echo");
    assert_eq!(page.call("who_am_i", json!({})).unwrap().unwrap()["bot"], true);
    assert_eq!(page.call("list_bots", json!({})).unwrap().unwrap(), json!({}));

    // Another token shuts out whoever came with the old one; none shuts out everybody.
    let second = token_of(&ann.json(&["bot", "token", "echo"]));
    wait("the end of its session", || echo.is_refused(&["whoami"], "SESSION_INVALID"));
    assert_eq!(log_in(&echo, &token), Err("WRONG_CREDENTIAL".to_owned()));
    assert_eq!(log_in(&echo, &second), Ok(()));
    ann.done(&["bot", "token", "echo", "--revoke"]);
    wait("the end of its session", || echo.is_refused(&["whoami"], "SESSION_INVALID"));
    assert_eq!(log_in(&echo, &second), Err("WRONG_CREDENTIAL".to_owned()));
    assert_eq!(ann.json(&["bot", "list"])[0]["has_token"], false);

    // It is out with its owner, and back with it.
    let third = token_of(&ann.json(&["bot", "token", "echo"]));
    assert_eq!(log_in(&echo, &third), Ok(()));
    root.done(&["admin", "disable", "ann"]);
    wait("the end of its session", || echo.is_refused(&["whoami"], "SESSION_INVALID"));
    assert_eq!(log_in(&echo, &third), Err("ACCOUNT_DISABLED".to_owned()));
    root.done(&["admin", "enable", "ann"]);
    assert_eq!(log_in(&echo, &third), Ok(()));
    ann.done(&["login", "ann"]);
    ann.done(&["bot", "delete", "echo", "--yes"]);
    wait("the end of its session", || echo.is_refused(&["whoami"], "SESSION_INVALID"));
    assert!(ann.json(&["bot", "list"]).is_empty());
    wait("that nobody is called so any more", || bob.is_refused(&["messages", "echo"], "UNKNOWN_USER"));
}

/// An HTTP answer: its status, its headers in lower case, and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Value,
}

/// Posts to a webhook; none where the server is gone.
fn post(url: &str, headers: &[&str], body: &[u8]) -> Option<Answer> {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).ok()?;
    let headers = headers.iter().map(|header| format!("{header}\r\n")).collect::<String>();
    let length = body.len();
    let head =
        format!("POST /{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    // A request that is refused is not read to its end.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = text(answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_lowercase(), body: serde_json::from_str(body).unwrap_or_default() })
}

pub(crate) fn say(url: &str, body: &Value) -> Option<Answer> {
    post(url, &["content-type: application/json"], body.to_string().as_bytes())
}

/// Posts until some server says that it is done.
fn say_somewhere(urls: &[String], body: &Value) -> u64 {
    let mut turn = urls.iter().cycle();
    until("a post", || {
        let answer = say(turn.next().unwrap(), body)?;
        assert!(answer.status == 200 || answer.status == 503, "{} {}", answer.head, answer.body);
        (answer.status == 200).then(|| answer.body["id"].as_u64().unwrap())
    })
}

#[test]
fn a_webhook_posts_each_request_once_whatever_is_killed() {
    let mut cluster = Cluster::start(&[]);
    let [ann, bob] = ["ann", "bob"].map(|name| cluster.person(name));
    ann.done(&["room", "create", "tea"]);
    bob.done(&["join", "#tea"]);
    assert_eq!(bob.fails(&["webhook", "create", "tea", "ci"]).short(), (1, "FORBIDDEN"));
    assert_eq!(bob.fails(&["webhook", "list", "tea"]).short(), (1, "FORBIDDEN"));
    let made = ann.json(&["webhook", "create", "#tea", "ci"]);
    let path = made[0]["urls"][0].as_str().unwrap().split_once("/hooks/").unwrap().1.to_owned();
    let urls: Vec<String> =
        cluster.servers.iter().map(|server| format!("http://{}/hooks/{path}", server.client)).collect();

    // The same request at every server, before and after the leader dies: each is one message.
    let mut ids = Vec::new();
    for number in 0..12 {
        if number == 6 {
            kill_the_leader(&mut cluster);
        }
        let body = json!({"text": format!("build {number}"), "request": format!("build-{number}")});
        let first = say_somewhere(&urls, &body);
        let again: BTreeSet<u64> =
            (0..3).map(|turn| say_somewhere(&[&urls[turn..], &urls[..turn]].concat(), &body)).collect();
        assert_eq!(again, BTreeSet::from([first]));
        ids.push(first);
    }
    let history = bob.history_up_to("#tea", *ids.last().unwrap());
    let seen: Vec<u64> = history.iter().map(|message| message["id"].as_u64().unwrap()).collect();
    assert_eq!(seen, ids, "each once, in order");
    assert!(history.iter().all(|message| message["from"] == "ci"));
    assert_eq!(bob.json(&["room", "members", "tea"]).len(), 2, "it is not in the room");
    let shown = entry(&bob, "ci");
    assert_eq!((&shown["bot"], &shown["owner"]), (&json!(true), &json!("ann")));
    cluster.start_all();
    cluster.wait_until_whole();

    // Without a name each is a message of its own; plain text is what it says; a name is also taken from a header.
    let url = &urls[1];
    let twice: BTreeSet<u64> = (0..2).map(|_| say_somewhere(&urls, &json!({"text": "nameless"}))).collect();
    assert_eq!(twice.len(), 2);
    let plain = ["content-type: text/plain", "idempotency-key: once"];
    let once: Vec<Value> = (0..2).map(|_| post(url, &plain, "grüß @bob\n".as_bytes()).unwrap().body).collect();
    assert_eq!(once[0], once[1]);
    let last = bob.history_up_to("#tea", once[0]["id"].as_u64().unwrap());
    assert_eq!(last.last().unwrap()["body"], "grüß @bob");

    // What makes no sense is refused in words, and by a code.
    let refused = |answer: Option<Answer>| {
        let answer = answer.unwrap();
        assert!(!answer.body["error"].as_str().unwrap().is_empty());
        (answer.status, answer.body["code"].as_str().unwrap().to_owned())
    };
    let invalid = || (400, "INVALID".to_owned());
    assert_eq!(refused(say(url, &json!({"words": "no text"}))), invalid());
    assert_eq!(refused(say(url, &json!({"text": " "}))), invalid());
    assert_eq!(refused(say(url, &json!({"text": "x".repeat(16385)}))), invalid());
    assert_eq!(refused(say(url, &json!({"text": "x", "request": "n".repeat(65)}))), invalid());
    assert_eq!(refused(post(url, &[], b"hello")), invalid());
    assert_eq!(refused(post(url, &plain, &vec![b'x'; 1 << 20])), invalid());
    let named = json!({"text": "other words", "request": "build-11"});
    assert_eq!(refused(say(url, &named)), (409, "REQUEST_MISMATCH".to_owned()));
    let unknown = || (404, "UNKNOWN_WEBHOOK".to_owned());
    let (id, token) = path.split_once('/').unwrap();
    for wrong in [format!("{id}/{}", "0".repeat(64)), format!("{id}/x"), format!("7/{token}"), format!("x/{token}")] {
        let url = format!("http://{}/hooks/{wrong}", cluster.servers[0].client);
        assert_eq!(refused(say(&url, &json!({"text": "x"}))), unknown(), "{wrong}");
    }

    // A name of any bytes is a name.
    let strange = ["content-type: text/plain", "idempotency-key: Prüfung 7"];
    let once: Vec<Value> = (0..2).map(|_| post(url, &strange, b"passed").unwrap().body).collect();
    assert!(once[0]["id"].is_u64() && once[0] == once[1], "{once:?}");

    // Another token under the same name; what was posted is taken back.
    let fresh = token_of(&ann.json(&["bot", "token", "ci"]));
    assert_eq!(refused(say(url, &json!({"text": "x"}))), unknown());
    let anew = format!("http://{}/hooks/{id}/{fresh}", cluster.servers[0].client);
    let posted =
        until("a post", || say(&anew, &json!({"text": "by the new one"})).filter(|answer| answer.status == 200));
    let posted = posted.body["id"].to_string();
    assert_eq!(bob.fails(&["delete-message", &posted, "--everyone"]).short(), (1, "FORBIDDEN"));
    ann.done(&["delete-message", &posted, "--everyone"]);
    let url = &anew;

    assert_eq!(ann.json(&["webhook", "list", "tea"])[0]["name"], "ci");
    ann.done(&["room", "role", "tea", "bob", "moderator"]);
    bob.done(&["webhook", "delete", "tea", "ci"]);
    assert_eq!(refused(say(url, &json!({"text": "x"}))), unknown());
    assert!(ann.json(&["webhook", "list", "tea"]).is_empty());
}

/// Servers propose again what they have not heard of: whatever was on its way when the leader died.
#[test]
fn a_burst_through_a_failover_is_each_post_once() {
    const POSTS: usize = 240;
    let mut cluster = Cluster::start(&[]);
    let ann = cluster.person("ann");
    ann.done(&["room", "create", "tea"]);
    let made = ann.json(&["webhook", "create", "tea", "ci"]);
    let path = made[0]["urls"][0].as_str().unwrap().split_once("/hooks/").unwrap().1.to_owned();
    let mut said = 0;
    let mut unknown: Vec<String> = Vec::new();
    for _ in 0..2 {
        let leader = cluster.leader();
        let others: Vec<String> = (0..cluster.servers.len())
            .filter(|place| *place != leader)
            .map(|place| format!("http://{}/hooks/{path}", cluster.servers[place].client))
            .collect();
        std::thread::scope(|scope| {
            let post = |number: usize| {
                let url = &others[number % others.len()];
                // It is asked again only where nothing can have come of it: the rest is between the servers.
                scope.spawn(move || {
                    let text = format!("number {number}");
                    let body = json!({"text": text});
                    let answer = until("an answer", || say(url, &body).filter(|answer| answer.status != 429));
                    // On a busy machine what became of a post may stay unknown: then it is there once, or not.
                    let code = answer.body["code"].as_str().unwrap_or_default();
                    let is_unknown = ["UNAVAILABLE", "REPLY_FORGOTTEN"].contains(&code);
                    assert!(answer.status == 200 || is_unknown, "{}", answer.body);
                    is_unknown.then_some(text)
                })
            };
            let posts: Vec<_> = (said..said + POSTS).map(post).collect();
            std::thread::sleep(Duration::from_millis(60));
            cluster.kill(&[leader]);
            unknown.extend(posts.into_iter().filter_map(|post| post.join().unwrap()));
        });
        said += POSTS;
        cluster.start_all();
        cluster.wait_until_whole();
    }
    let mut heard: Vec<String> = ann.history("#tea").iter().map(|it| it["body"].as_str().unwrap().to_owned()).collect();
    heard.sort();
    let mut expected: Vec<String> = (0..said).map(|number| format!("number {number}")).collect();
    expected.sort();
    expected.retain(|text| !unknown.contains(text) || heard.contains(text));
    assert!(unknown.len() < said, "some are answered");
    assert_eq!(heard.len(), expected.len());
    assert_eq!(heard, expected);
}

#[test]
fn a_webhook_is_told_when_it_posts_too_much() {
    let cluster = Cluster::start(&["--write-rate", "5"]);
    let ann = cluster.person("ann");
    ann.done(&["room", "create", "tea"]);
    let made = ann.json(&["webhook", "create", "tea", "ci"]);
    let url = made[0]["urls"][0].as_str().unwrap();
    let limited = until("a limit", || say(url, &json!({"text": "again"})).filter(|answer| answer.status != 200));
    assert_eq!((limited.status, &limited.body["code"]), (429, &json!("RATE_LIMITED")));
    assert!(limited.head.contains("retry-after: "), "{}", limited.head);
}

/// A Python that has what the example needs, or none: said loudly, for then the example was not tried.
fn python() -> Option<&'static str> {
    let can = |python: &&str| {
        let imports = Command::new(python).args(["-c", "import grpc, google.protobuf"]).stderr(Stdio::null()).status();
        imports.is_ok_and(|status| status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(can);
    if found.is_none() {
        eprintln!("\n*** SKIPPED: no python3 with grpcio and protobuf (Debian: python3-grpcio python3-protobuf) ***\n");
    }
    found
}

/// The example, as its own text says it is started.
fn start_example(python: &str, cluster: &Cluster, token: &str) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/echo-bot/echo_bot.py");
    let log = fs::OpenOptions::new().create(true).append(true).open(cluster.directory.join("echo.log")).unwrap();
    let mut command = Command::new(python);
    command
        .arg(script)
        .args(["echo", "--servers", &cluster.addresses(), "--state"])
        .arg(cluster.directory.join("echo.json"));
    command.env("THREEFOLD_BOT_TOKEN", token).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    Process::spawn(&mut command)
}

#[test]
fn the_example_answers_each_message_once_whatever_is_killed() {
    let Some(python) = python() else { return };
    let mut cluster = Cluster::start(&[]);
    let ann = cluster.person("ann");
    let token = token_of(&ann.json(&["bot", "create", "echo"]));
    ann.done(&["send", "echo", "before it was ever there"]);
    let mut bot = start_example(python, &cluster, &token);
    // It answers what comes from its first log-in on.
    wait("a place of its own", || cluster.directory.join("echo.json").exists());
    let mut sent = Vec::new();
    for number in 0..30 {
        match number {
            10 => kill_the_leader(&mut cluster),
            // It comes back, and knows where it was.
            20 => {
                drop(bot);
                bot = start_example(python, &cluster, &token);
            }
            // Its session ends, and the token that it has is none any more: it goes, and with the new one it is where it was.
            25 => {
                let fresh = token_of(&ann.json(&["bot", "token", "echo"]));
                wait("its end", || bot.try_wait().unwrap().is_some());
                bot = start_example(python, &cluster, &fresh);
            }
            _ => {}
        }
        let message = ann.json(&["send", "echo", &format!("number {number}")]);
        sent.push(message[0]["id"].as_u64().unwrap());
    }
    let answers = |history: &[Value]| -> Vec<(u64, String)> {
        let of_bot = history.iter().filter(|message| message["from"] == "echo");
        let answer =
            |message: &Value| (message["reply_to"].as_u64().unwrap(), message["body"].as_str().unwrap().to_owned());
        of_bot.map(answer).collect()
    };
    wait("an answer to each", || {
        assert!(
            bot.try_wait().unwrap().is_none(),
            "{}",
            fs::read_to_string(cluster.directory.join("echo.log")).unwrap()
        );
        answers(&ann.history("echo")).len() >= sent.len()
    });
    // What it is asked last it answers last: by then nothing of what came before is still on its way.
    ann.done(&["send", "echo", &"x".repeat(16_383)]);
    let last = ann.json(&["send", "echo", "last"])[0]["id"].as_u64().unwrap();
    sent.push(last);
    wait("the last answer", || answers(&ann.history("echo")).iter().any(|(to, _)| *to == last));
    let answers = answers(&ann.history("echo"));
    let to: Vec<u64> = answers.iter().map(|(to, _)| *to).collect();
    assert_eq!(to, sent, "each once, in order");
    assert!(
        answers.iter().enumerate().all(|(number, (_, body))| number == 30 || *body == format!("echo: number {number}"))
    );
    let log = fs::read_to_string(cluster.directory.join("echo.log")).unwrap();
    assert!(log.contains("not answered: INVALID"), "{log}");
    drop(bot);
}
