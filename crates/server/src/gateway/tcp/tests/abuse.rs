//! What servers, clients and strangers do wrong.

use std::time::Duration;

use serde_json::json;
use threefold_core::query;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    time::{Instant, advance, sleep},
};

use super::{Client, PASSWORD, open, said, soon, stand_still};
use crate::{
    config::Limits,
    gateway::{
        crowd::Crowd,
        door::Door as _,
        tcp::{connection::Connection, session::SESSIONS},
        testing::{Foreign, Solo},
    },
};

#[tokio::test]
async fn what_makes_no_sense_is_told_and_the_connection_goes_on() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut client = Client::connect(address).await;
    client.write(" {}\n{\"cmd\":\n").await;
    for _ in 0..2 {
        let reply = client.hear().await.unwrap();
        assert_eq!((&reply["cmd"], &reply["error"], &reply["code"]), (&json!(""), &json!(true), &json!("INVALID")));
    }
    client.write(format!("{{\"cmd\":\"send\",\"body\":\"{}\"}}\n", "x".repeat(1 << 20))).await;
    assert!(client.hear().await.unwrap()["body"].as_str().unwrap().contains("at most 65536 bytes"));
    assert!(client.ask(json!({ "cmd": "sing" })).await["body"].as_str().unwrap().contains("`help`"));
    for cmd in
        ["logout", "delete", "send", "history", "unread", "read", "delete_messages", "join", "leave", "list", "search"]
    {
        assert_eq!(client.refused(json!({ "cmd": cmd, "to": "bob", "body": "1" })).await, "SESSION_INVALID");
    }
    assert_eq!(client.refused(json!({ "cmd": "create", "src": "two words", "body": PASSWORD })).await, "INVALID");
    assert_eq!(client.refused(json!({ "cmd": "create", "src": "alice", "body": "short" })).await, "INVALID");
    assert_eq!(client.ask(json!({ "cmd": "create", "src": "alice", "body": PASSWORD })).await["error"], false);
    assert_eq!(client.refused(json!({ "cmd": "create", "src": "ALICE", "body": PASSWORD })).await, "NAME_TAKEN");
    for request in [
        json!({ "cmd": "send", "to": "", "body": "x" }),
        json!({ "cmd": "send", "to": "alice", "body": "" }),
        json!({ "cmd": "send", "to": "alice", "body": "x".repeat(16_385) }),
        json!({ "cmd": "history", "to": "alice", "body": "many" }),
        json!({ "cmd": "delete_messages", "body": "first" }),
        json!({ "cmd": "delete_messages", "body": "1", "to": "bob" }),
        json!({ "cmd": "search", "body": "x".repeat(65) }),
    ] {
        assert_eq!(client.refused(request).await, "INVALID");
    }
    assert_eq!(client.refused(json!({ "cmd": "send", "src": "bob", "to": "alice", "body": "x" })).await, "FORBIDDEN");
    client.say(json!({ "cmd": "send", "src": "Alice", "to": "alice", "body": "x" })).await;
    assert_eq!(client.hear().await.unwrap()["error"], false);
}

#[tokio::test]
async fn a_last_line_needs_no_end_and_everything_is_answered() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut alice = Client::user(address, "create", "alice").await;
    alice.send("alice", "waiting").await;
    drop(alice);
    let mut client = Client::connect(address).await;
    let login = json!({ "cmd": "login", "src": "alice", "body": PASSWORD });
    client.write(format!("{login}\n{}", json!({ "cmd": "send", "to": "alice", "body": "last" }))).await;
    client.stream.get_mut().shutdown().await.unwrap();
    let text = String::from_utf8(client.rest().await).unwrap();
    assert_eq!(text.lines().count(), if text.contains("waiting") { 4 } else { 3 }, "{text}");
    assert!(text.ends_with('\n') && text.contains("\"body\":\"last\""), "{text}");
    // Its session is over.
    let sessions = || {
        door.read(|store| {
            let account = query::account_by_name(store, "alice")?.map(|account| account.account);
            query::sessions(store, account.unwrap())
        })
    };
    for _ in 0..200 {
        if sessions().is_empty() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", sessions());
}

#[tokio::test]
async fn plain_words_are_answered_with_an_example() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut client = Client::connect(address).await;
    client.write("help\n").await;
    let rest = client.rest().await;
    assert!(String::from_utf8_lossy(&rest).contains("{\"cmd\": \"help\"}"), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_log_in_is_let_go() {
    let _still = stand_still();
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut client = Client::connect(address).await;
    client.hears_nothing().await;
    for _ in 0..2 {
        advance(Duration::from_secs(50)).await;
        client.hears_nothing().await;
    }
    advance(Duration::from_secs(61)).await;
    let last = client.hear().await.unwrap();
    assert_eq!((&last["cmd"], &last["code"]), (&json!("closing"), &json!("FORBIDDEN")));
    let mut alice = Client::user(address, "create", "alice").await;
    advance(Duration::from_secs(3600)).await;
    alice.hears_nothing().await;
}

#[tokio::test]
async fn a_session_that_ends_elsewhere_ends_its_connection() {
    let door = Solo::new();
    let gateway = door.gateway();
    let address = open(&gateway).await;
    let mut clients = vec![Client::user(address, "create", "alice").await];
    for _ in 1..SESSIONS {
        clients.push(Client::user(address, "login", "alice").await);
    }
    clients[0].hears_nothing().await;
    // One more than the port gives to an account.
    let mut newest = Client::user(address, "login", "alice").await;
    let last = clients.remove(0).hear().await.unwrap();
    assert_eq!((&last["cmd"], &last["code"]), (&json!("closing"), &json!("SESSION_INVALID")));
    assert_eq!(newest.ask(json!({ "cmd": "delete", "body": PASSWORD })).await["error"], false);
    for mut client in clients {
        assert_eq!(client.hear().await.unwrap()["cmd"], "closing");
    }
    newest.hears_nothing().await;
    gateway.close();
    let last = newest.hear().await.unwrap();
    assert_eq!((&last["cmd"], &last["code"]), (&json!("closing"), &json!("UNAVAILABLE")));
}

#[tokio::test]
async fn a_write_whose_outcome_is_unknown_does_not_stop_the_next() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut alice = Client::user(address, "create", "alice").await;
    let mut bob = Client::user(address, "create", "bob").await;
    alice.send("bob", "first").await;
    door.set_unavailable(true);
    let request = json!({ "cmd": "send", "to": "bob", "body": "second", "request": "2" });
    assert_eq!(alice.refused(request.clone()).await, "UNAVAILABLE");
    assert_eq!(alice.refused(request.clone()).await, "UNAVAILABLE");
    door.set_unavailable(false);
    assert_eq!(alice.ask(request).await["error"], false);
    alice.send("bob", "third").await;
    for text in ["first", "second", "third"] {
        assert_eq!(bob.message().await, said("alice", text));
    }
}

#[tokio::test]
async fn messages_come_while_answers_are_waited_for_and_a_flood_waits_for_its_answers() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut alice = Client::user(address, "create", "alice").await;
    let mut bob = Client::user(address, "create", "bob").await;
    bob.hears_nothing().await;
    door.hold_answers();
    let before = door.applied();
    // Far more than a connection may have in flight; all of it fits the sockets' buffers.
    for _ in 0..300 {
        alice.say(json!({ "cmd": "send", "to": "bob", "body": "flood" })).await;
    }
    for _ in 0..64 {
        assert_eq!(bob.message().await, said("alice", "flood"));
    }
    // Her 64, and marks of what was delivered to him.
    assert!(door.applied() - before < 80);
    bob.hears_nothing().await;
    bob.say(json!({ "cmd": "send", "to": "alice", "body": "stop" })).await;
    assert_eq!(alice.message().await, said("bob", "stop"));
    door.release_answers();
    for _ in 64..300 {
        soon(async { while bob.hear().await.unwrap()["cmd"] != "message" {} }).await;
    }
    for _ in 0..300 {
        assert_eq!(alice.hear().await.unwrap()["cmd"], "send");
    }
}

#[tokio::test(start_paused = true)]
async fn who_writes_more_than_the_account_may_waits_and_loses_nothing() {
    let _still = stand_still();
    let door = Solo::with_limits(&Limits::new(10, 0, 0));
    let address = open(&door.gateway()).await;
    let mut alice = Client::user(address, "create", "alice").await;
    Client::user(address, "create", "bob").await;
    let start = Instant::now();
    for _ in 0..130 {
        alice.say(json!({ "cmd": "send", "to": "bob", "body": "flood" })).await;
    }
    for _ in 0..100 {
        assert_eq!(alice.hear().await.unwrap()["error"], false);
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "so many at once");
    let others = tokio::spawn(async move {
        for _ in 0..30 {
            assert_eq!(alice.hear().await.unwrap()["error"], false);
        }
        start.elapsed()
    });
    while !others.is_finished() {
        // What is due is on its way through the kernel meanwhile.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(10))).await.unwrap();
        advance(Duration::from_millis(10)).await;
    }
    let took = others.await.unwrap();
    assert!(took >= Duration::from_millis(2900), "then ten a second: {took:?}");
}

/// What waits for a client that says nothing: its task, and nothing else of any size.
#[tokio::test]
async fn an_idle_connection_takes_little() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, remote) = listener.accept().await.unwrap();
    let connection = Box::new(Connection::new(Solo::new().gateway(), socket, remote.ip()));
    let bytes = size_of_val(&*connection) + size_of_val(&connection.run());
    assert!(bytes < 3 * 1024, "{bytes} bytes");
}

/// What was said before still comes, and then nobody can be asked where from.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_resets_a_connection_before_it_is_taken_is_counted_all_the_same() {
    let door = Solo::with_limits(&Limits::new(0, 1, 0));
    let gateway = door.gateway();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut gone = Client::connect(address).await;
    gone.say(json!({ "cmd": "create", "src": "eve", "body": PASSWORD })).await;
    socket2::SockRef::from(gone.stream.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(gone);
    tokio::spawn(super::super::serve(listener, gateway, std::future::pending()));
    let registered = || door.read(|store| query::account_by_name(store, "eve")).is_some();
    soon(async {
        while !registered() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let mut eve = Client::connect(address).await;
    let again = eve.refused(json!({ "cmd": "create", "src": "eve2", "body": PASSWORD })).await;
    assert_eq!(again, "RATE_LIMITED", "one account an address");
}

#[tokio::test]
async fn one_address_has_half_of_the_places_and_its_own_limits() {
    let door = Solo::with_limits(&Limits::new(0, 1, 0));
    let listener = Foreign::listen(&[1, 1, 1, 2]).await;
    let address = listener.address();
    let crowd = Crowd::new("test", 4);
    tokio::spawn(super::super::serve_crowd(listener, door.gateway(), crowd, std::future::pending()));
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(address).await);
    }
    assert_eq!(clients.remove(2).rest().await, b"", "closed at once");
    let mut outcomes = Vec::new();
    for (client, name) in clients.iter_mut().zip(["ann", "bob", "cy"]) {
        let reply = client.ask(json!({ "cmd": "create", "src": name, "body": PASSWORD })).await;
        outcomes.push(reply["code"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(outcomes, ["", "RATE_LIMITED", ""]);
}
