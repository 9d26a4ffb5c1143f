//! The WebSocket port end to end: real sockets, the real state machine; a server alone in memory.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{self, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _, protocol::CloseFrame},
};

use super::{
    FRAME_BYTES, PING_INTERVAL,
    connection::{STRANGERS_END, STRANGERS_PATIENCE, STRANGERS_PATIENCE_S},
};
use crate::gateway::{
    door::Door as _,
    tests::{PATIENCE, Server, start},
};

struct Client {
    socket: WebSocketStream<TcpStream>,
    token: String,
    instance: u64,
    calls: u64,
}

impl Client {
    async fn connect(server: &Server) -> Self {
        Self::from_origin(server, None).await.unwrap()
    }

    async fn from_origin(server: &Server, origin: Option<&str>) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        let socket = TcpStream::connect(server.address).await.unwrap();
        let (socket, _) = timeout(PATIENCE, client_async(request, socket)).await.unwrap()?;
        Ok(Self { socket, token: String::new(), instance: 0, calls: 0 })
    }

    /// One who has registered.
    async fn registered(server: &Server, name: &str) -> Self {
        let mut client = Self::connect(server).await;
        let token = token();
        let with = json!({"name": name, "password": "correct horse", "token": token, "device": "page"});
        let reply = client.call("register", with).await.unwrap();
        client.instance = reply["instance"].as_u64().unwrap();
        client.token = token;
        client
    }

    async fn send(&mut self, message: impl Into<Message>) {
        self.socket.send(message.into()).await.unwrap();
    }

    async fn say(&mut self, frame: Value) {
        self.send(frame.to_string()).await;
    }

    async fn message(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.unwrap();
            if !matches!(message, Some(Ok(Message::Ping(_)))) {
                return message;
            }
        }
    }

    async fn hear(&mut self) -> Value {
        match self.message().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?} is no frame of text"),
        }
    }

    /// The next frame of this kind; what comes before it is passed over.
    async fn hear_of(&mut self, kind: &str) -> Value {
        loop {
            let mut frame = self.hear().await;
            if let Some(frame) = frame.get_mut(kind) {
                return frame.take();
            }
        }
    }

    async fn begin(&mut self, name: &str, with: Value) -> u64 {
        self.calls += 1;
        self.say(json!({"id": self.calls, "call": name, "with": with})).await;
        self.calls
    }

    async fn call(&mut self, name: &str, with: Value) -> Result<Value, Value> {
        let id = self.begin(name, with).await;
        loop {
            let mut frame = self.hear().await;
            if frame["id"] == id {
                return if frame["error"].is_null() { Ok(frame["reply"].take()) } else { Err(frame["error"].take()) };
            }
        }
    }

    async fn ended(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return (code.into(), reason.to_string());
                }
                Some(Ok(Message::Text(_) | Message::Pong(_))) => {}
                other => panic!("{other:?} instead of a close frame"),
            }
        }
    }
}

fn token() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn send(instance: u64, number: u64, to: &str, body: &str) -> Value {
    let operation = json!({"send": {"to": {"user": to}, "body": body}});
    json!({"write": {"request": {"instance": instance, "number": number}, "operation": operation}})
}

#[tokio::test]
async fn the_answer_to_the_upgrade_arrives_at_once() {
    let server = start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Far below the first ping, with which it would leave anyway.
    let read = async {
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(socket.read_u8().await.unwrap());
        }
    };
    timeout(PING_INTERVAL / 4, read).await.unwrap();
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    // RFC 6455, section 1.3.
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
}

#[tokio::test]
async fn two_people_talk() {
    let server = start().await;
    let mut ann = Client::registered(&server, "ann").await;
    let mut bob = Client::registered(&server, "bob").await;
    bob.say(json!({"subscribe": {}})).await;
    let subscribed = bob.hear_of("subscribed").await;
    assert_eq!(subscribed["recovery_id"].as_str().unwrap().len(), 32);
    assert_eq!(subscribed["attachment_bytes"], json!(threefold_core::bounds::DEFAULT_ATTACHMENT_BYTES));
    ann.say(send(ann.instance, 1, "Bob", "hello, \"Bob\" \u{1f980}")).await;
    let result = ann.hear_of("result").await;
    assert_eq!(result["request"], json!({"instance": ann.instance, "number": 1}));
    let sent = result["result"]["sent"].clone();
    let event = loop {
        let event = bob.hear_of("event").await;
        if event["id"] == sent["id"] {
            break event;
        }
    };
    let message = &event["body"]["message"];
    assert_eq!(message["body"], "hello, \"Bob\" \u{1f980}");
    assert_eq!((&message["author_name"], &message["peer_name"]), (&json!("ann"), &json!("ann")));
    assert_eq!(message["conversation"], sent["conversation"]);
    let caught_up = bob.hear_of("caught_up").await;
    assert!(caught_up["position"].as_u64() >= sent["id"].as_u64());
    let history = bob.call("history", json!({"in": {"user": "ann"}, "from": {"before": 0}})).await.unwrap();
    assert_eq!(history["messages"][0]["id"], sent["id"]);
    assert_eq!(history.get("more"), None, "a default is left out");
    bob.say(json!({"ping": {"number": 9}})).await;
    assert_eq!(bob.hear_of("pong").await, json!({"number": 9}));
    let retried = {
        ann.say(send(ann.instance, 1, "Bob", "hello, \"Bob\" \u{1f980}")).await;
        ann.hear_of("result").await
    };
    assert_eq!(retried["result"]["sent"], sent, "the first answer, and nothing written twice");
}

#[tokio::test]
async fn who_types_is_shown_to_the_other_one() {
    let server = start().await;
    let mut ann = Client::registered(&server, "ann").await;
    let mut bob = Client::registered(&server, "bob").await;
    bob.say(json!({"subscribe": {}})).await;
    bob.hear_of("caught_up").await;
    ann.say(json!({"subscribe": {}})).await;
    ann.say(json!({"typing": {"in": {"user": "bob"}}})).await;
    ann.say(send(ann.instance, 1, "bob", "hello")).await;
    let sent = ann.hear_of("result").await["result"]["sent"].clone();
    ann.say(json!({"typing": {"in": {"conversation": sent["conversation"]}}})).await;
    let who = ann.call("who_am_i", json!({})).await.unwrap()["account"].clone();
    let mut typing = bob.hear_of("typing").await;
    let position = typing["position"].take().as_u64().unwrap();
    assert!(position >= sent["id"].as_u64().unwrap(), "typed after it was sent");
    assert_eq!(
        typing,
        json!({"conversation": sent["conversation"], "account": who, "account_name": "ann", "position": null})
    );
    // Nobody hears of oneself, of a conversation that does not exist, or of others'.
    ann.say(json!({"typing": {"in": {"user": "ann"}}})).await;
    ann.say(json!({"typing": {"in": {"user": "nobody"}}})).await;
    ann.say(json!({"typing": {"in": {"conversation": 5}}})).await;
    ann.say(json!({"ping": {"number": 1}})).await;
    loop {
        let frame = ann.hear().await;
        assert!(frame["typing"].is_null(), "{frame}");
        if frame["pong"].is_object() {
            break;
        }
    }
    bob.say(json!({"ping": {"number": 1}})).await;
    while !bob.hear().await["pong"].is_object() {}
}

#[tokio::test]
async fn what_is_said_behind_a_resume_waits_for_it() {
    let server = start().await;
    let ann = Client::registered(&server, "ann").await;
    let mut again = Client::connect(&server).await;
    again.begin("resume", json!({"token": ann.token})).await;
    again.say(json!({"subscribe": {}})).await;
    again.say(send(ann.instance, 1, "ann", "a note to myself")).await;
    assert_eq!(again.hear_of("reply").await["name"], "ann");
    again.hear_of("subscribed").await;
    assert!(again.hear_of("result").await["result"]["error"].is_null());
    let second = again.call("login", json!({"name": "ann"})).await.unwrap_err();
    assert_eq!(second["code"], "invalid", "one session for a connection");
}

#[tokio::test]
async fn without_a_session_little_can_be_done() {
    let server = start().await;
    let mut nobody = Client::connect(&server).await;
    assert_eq!(nobody.call("status", json!({})).await.unwrap()["state"], "normal");
    assert_eq!(nobody.call("who_am_i", json!({})).await.unwrap_err()["code"], "session_invalid");
    assert_eq!(nobody.call("resume", json!({"token": token()})).await.unwrap_err()["code"], "session_invalid");
    assert_eq!(nobody.call("resume", json!({"token": "00"})).await.unwrap_err()["code"], "invalid");
    nobody.say(json!({"subscribe": {}})).await;
    assert_eq!(nobody.hear_of("error").await["code"], "session_invalid");
    let login = json!({"name": "nobody", "password": "wrong horse", "token": token(), "device": "page"});
    assert_eq!(nobody.call("login", login).await.unwrap_err()["code"], "wrong_credential");
}

#[tokio::test]
async fn frames_without_sense_are_answered_and_the_tenth_is_the_last() {
    let server = start().await;
    let mut ann = Client::registered(&server, "ann").await;
    for _ in 0..20 {
        let unknown = ann.call("no_such_call", json!({})).await.unwrap_err();
        assert!(unknown["message"].as_str().unwrap().contains("no_such_call"));
        let misspelt = ann.call("history", json!({"limt": 1})).await.unwrap_err();
        assert_eq!(misspelt["code"], "invalid");
        assert!(misspelt["message"].as_str().unwrap().contains("`limt`"), "{misspelt}");
    }
    for (number, garbage) in
        ["", "{", "[]", "7", "{}", "\u{0}", "{\"write\":7}", "{\"event\":{}}", "nil"].iter().enumerate()
    {
        ann.send(*garbage).await;
        assert_eq!(ann.hear().await["error"]["code"], "invalid", "{number}");
    }
    assert_eq!(ann.call("who_am_i", json!({})).await.unwrap()["name"], "ann");
    ann.send("one too many").await;
    assert_eq!(ann.ended().await.0, 1008);
}

#[tokio::test]
async fn too_large_binary_or_otherwise_broken_ends_it() {
    let server = start().await;
    let mut ann = Client::registered(&server, "ann").await;
    let body = "x".repeat(FRAME_BYTES + 1);
    // Whether all of it is taken is not what is asked here.
    drop(ann.socket.send(body.into()).await);
    assert_eq!(ann.ended().await, (1009, "a frame has at most 256 KiB".to_owned()));
    let mut ann = Client::connect(&server).await;
    ann.send(vec![1, 2, 3]).await;
    assert_eq!(ann.ended().await.0, 1003);
    let mut ann = Client::connect(&server).await;
    // A masked text frame of one byte that is no UTF-8.
    ann.socket.get_mut().write_all(&[0x81, 0x81, 0, 0, 0, 0, 0xff]).await.unwrap();
    assert_eq!(ann.ended().await.0, 1007);
    let mut ann = Client::connect(&server).await;
    // Not masked.
    ann.socket.get_mut().write_all(&[0x81, 0x01, b'x']).await.unwrap();
    assert_eq!(ann.ended().await.0, 1002);
}

#[tokio::test]
async fn pages_of_others_are_not_let_in() {
    let server = start().await;
    let Err(tungstenite::Error::Http(answer)) = Client::from_origin(&server, Some("https://evil.example")).await else {
        panic!("let in");
    };
    assert_eq!(answer.status(), 403);
    let words = String::from_utf8(answer.body().clone().unwrap_or_default()).unwrap();
    assert!(words.is_empty() || words.contains("evil.example"), "{words}");
    Client::from_origin(&server, Some(&format!("http://{}", server.address))).await.unwrap();
    assert!(server.get("/ws").await.starts_with("HTTP/1.1 4"), "no page");
}

#[tokio::test]
async fn calls_run_beside_each_other_up_to_a_bound() {
    let server = start().await;
    let mut ann = Client::registered(&server, "ann").await;
    server.door.hold_answers();
    for nonce in 1..=40 {
        ann.begin("open_instance", json!({"nonce": nonce})).await;
    }
    for _ in 0..8 {
        assert_eq!(ann.hear().await["error"]["code"], "overloaded");
    }
    server.door.release_answers();
    for _ in 0..32 {
        assert!(ann.hear().await["reply"]["instance"].as_u64().is_some());
    }
}

#[tokio::test]
async fn a_session_that_ends_ends_its_connections() {
    let server = start().await;
    let mut ann = Client::registered(&server, "ann").await;
    ann.call("logout", json!({})).await.unwrap();
    assert_eq!(ann.ended().await.0, 4001);
    let mut eve = Client::registered(&server, "eve").await;
    eve.say(json!({"subscribe": {}})).await;
    eve.hear_of("caught_up").await;
    // The stream ends before the call is answered.
    server.door.hold_answers();
    let id = eve.begin("logout", json!({})).await;
    time::sleep(Duration::from_millis(50)).await;
    server.door.release_answers();
    let answer = loop {
        let frame = eve.hear().await;
        if frame["id"] == id {
            break frame;
        }
    };
    assert_eq!(answer["reply"], json!({}));
    assert_eq!(eve.ended().await.0, 4001);

    let mut bob = Client::registered(&server, "bob").await;
    let mut phone = Client::connect(&server).await;
    let login = json!({"name": "bob", "password": "correct horse", "token": token(), "device": "phone"});
    let session = phone.call("login", login).await.unwrap()["session"].clone();
    phone.say(json!({"subscribe": {}})).await;
    phone.hear_of("caught_up").await;
    bob.call("end_session", json!({"session": session})).await.unwrap();
    assert_eq!(phone.ended().await.0, 4001);
}

#[tokio::test]
async fn a_cursor_of_another_history_ends_it() {
    let server = start().await;
    let mut ann = Client::registered(&server, "ann").await;
    ann.say(json!({"subscribe": {"after": 5, "recovery_id": "00ff"}})).await;
    assert_eq!(ann.hear_of("error").await["code"], "cursor_invalid");
    assert_eq!(ann.ended().await.0, 4002);
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let server = start().await;
    let mut idle = Client::connect(&server).await;
    let mut ann = Client::registered(&server, "ann").await;
    ann.say(json!({"subscribe": {}})).await;
    ann.hear_of("caught_up").await;
    server.stop.send(()).unwrap();
    assert_eq!(ann.hear_of("error").await["code"], "unavailable");
    assert_eq!(ann.ended().await, (1012, "unavailable: this server is stopping".to_owned()));
    assert_eq!(idle.ended().await.0, 1012);
    drop((ann, idle));
    timeout(PATIENCE, server.served).await.unwrap().unwrap().unwrap();
}

/// Lets time pass, and everything run that has something to do.
async fn pass(duration: Duration) {
    time::pause();
    time::sleep(duration).await;
    time::resume();
}

#[tokio::test]
async fn a_silent_peer_is_noticed_and_a_living_one_is_not() {
    let server = start().await;
    let mut silent = Client::registered(&server, "silent").await;
    silent.say(json!({"subscribe": {}})).await;
    silent.hear_of("caught_up").await;
    let mut lively = Client::registered(&server, "lively").await;
    lively.say(json!({"subscribe": {}})).await;
    lively.hear_of("caught_up").await;
    for _ in 0..4 {
        pass(PING_INTERVAL / 2 + Duration::from_secs(1)).await;
        // Reading answers pings, and speaking is a sign of life anyway.
        lively.say(json!({"ping": {}})).await;
        lively.hear_of("pong").await;
    }
    let lives = lively.call("who_am_i", json!({})).await.unwrap()["account"].as_u64().unwrap();
    let online: Vec<u64> = server.door.online().iter().map(|account| account.0).collect();
    assert_eq!(online, [lives], "within twice the interval");
}

#[tokio::test]
async fn who_does_not_read_is_let_go_and_goes_on_from_its_cursor() {
    let server = start().await;
    let mut ann = Client::registered(&server, "ann").await;
    let mut bob = Client::registered(&server, "bob").await;
    bob.say(json!({"subscribe": {}})).await;
    let mut cursor = bob.hear_of("caught_up").await["position"].as_u64().unwrap();
    // More than the kernel, the line and the library hold.
    let body = "x".repeat(16 * 1024);
    let mut sent = Vec::new();
    for number in 1..=1500 {
        ann.say(send(ann.instance, number, "bob", &body)).await;
        sent.push(ann.hear_of("result").await["result"]["sent"]["id"].as_u64().unwrap());
    }
    pass(Duration::from_secs(31)).await;
    pass(Duration::from_secs(6)).await;
    assert_eq!(server.door.online(), [], "let go");
    let mut heard = Vec::new();
    let mut note = |event: &Value| {
        cursor = event["id"].as_u64().unwrap();
        if event["body"]["message"].is_object() {
            heard.push(cursor);
        }
    };
    while let Some(Ok(Message::Text(text))) = bob.message().await {
        let frame: Value = serde_json::from_str(&text).unwrap();
        frame.get("event").into_iter().for_each(&mut note);
    }
    let mut again = Client::connect(&server).await;
    again.begin("resume", json!({"token": bob.token})).await;
    again.say(json!({"subscribe": {"after": cursor}})).await;
    while heard.len() < sent.len() {
        let event = again.hear_of("event").await;
        cursor = event["id"].as_u64().unwrap();
        heard.push(cursor);
    }
    assert_eq!(heard, sent, "nothing missing, nothing twice");
}

/// Pings alone keep no place; calls, and a session, do.
#[tokio::test]
async fn whoever_shows_no_session_and_asks_nothing_is_let_go() {
    let server = start().await;
    let mut stranger = Client::connect(&server).await;
    let mut asking = Client::connect(&server).await;
    let mut ann = Client::registered(&server, "ann").await;
    let mut ended = None;
    for _ in 0..9 {
        pass(STRANGERS_PATIENCE / 6).await;
        asking.call("status", json!({"local": true})).await.unwrap();
        if ended.is_none() {
            // What is closed already need not take it.
            drop(stranger.socket.send(Message::Ping(Vec::new().into())).await);
            ended = match stranger.message().await {
                Some(Ok(Message::Close(Some(frame)))) => Some((u16::from(frame.code), frame.reason.to_string())),
                Some(Ok(_)) => None,
                other => panic!("{other:?}"),
            };
        }
    }
    assert_eq!(ended, Some((1008, STRANGERS_END.to_owned())));
    assert!(STRANGERS_END.contains(&format!(" {STRANGERS_PATIENCE_S} seconds")), "what is said is what is done");
    ann.call("who_am_i", json!({})).await.unwrap();
}
