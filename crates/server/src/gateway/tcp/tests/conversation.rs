//! What people do there.

use serde_json::{Value, json};
use threefold_core::query;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::{Client, PASSWORD, open, said, soon};
use crate::gateway::testing::Solo;

#[tokio::test]
async fn a_person_with_plain_lines_registers_logs_in_and_talks() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut bob = Client::user(address, "create", "bob").await;
    let mut nc = Client::connect(address).await;
    nc.write("\n{\"cmd\":\"create\",\"src\":\"alice\",\"body\":\"correct horse\"}\r\n").await;
    let reply = nc.hear().await.unwrap();
    assert_eq!((&reply["cmd"], &reply["src"], &reply["error"]), (&json!("create"), &json!("alice"), &json!(false)));
    nc.write("{\"cmd\":\"send\",\"to\":\"Bob\",\"body\":\"Hello Bob!\"}\n").await;
    let reply = nc.hear().await.unwrap();
    assert_eq!(reply["body"], reply["id"].to_string());
    let message = bob.hear().await.unwrap();
    assert_eq!((&message["cmd"], &message["src"], &message["to"]), (&json!("message"), &json!("alice"), &json!("bob")));
    assert_eq!(
        (&message["body"], &message["id"], &message["time"]),
        (&json!("Hello Bob!"), &reply["id"], &reply["time"])
    );
    let list = nc.ask(json!({ "cmd": "list" })).await;
    assert_eq!(
        (&list["body"], &list["users"], &list["more"]),
        (&json!("bob\nalice"), &json!(["bob", "alice"]), &json!(false))
    );
    let rest = nc.ask(json!({ "cmd": "list", "to": "bob" })).await;
    assert_eq!((&rest["users"], &rest["more"]), (&json!(["alice"]), &json!(false)), "behind a name");
    assert_eq!(nc.refused(json!({ "cmd": "list", "to": "nobody" })).await, "UNKNOWN_USER");
    let unread = bob.ask(json!({ "cmd": "unread" })).await;
    assert_eq!(
        (&unread["body"], &unread["conversations"][0]["unread"]),
        (&json!("alice 1"), &json!(1)),
        "delivered is not read"
    );
    assert_eq!(bob.ask(json!({ "cmd": "read", "to": "alice" })).await["body"], "done");
    assert_eq!(bob.ask(json!({ "cmd": "unread" })).await["body"], "");
    let search = nc.ask(json!({ "cmd": "search", "body": "b*" })).await;
    assert_eq!(search["users"], json!(["bob"]));
    assert!(nc.ask(json!({ "cmd": "status" })).await["body"].as_str().unwrap().starts_with("normal\n"));
    assert_eq!(nc.ask(json!({ "cmd": "logout" })).await["body"], "logged out");
    assert_eq!(nc.refused(json!({ "cmd": "send", "to": "bob", "body": "x" })).await, "SESSION_INVALID");
    assert_eq!(nc.refused(json!({ "cmd": "login", "src": "alice", "body": "wrong horse" })).await, "WRONG_CREDENTIAL");
    let reply = nc.ask(json!({ "cmd": "login", "src": "alice", "body": PASSWORD })).await;
    assert_eq!(reply["body"], "logged in as alice");
    assert_eq!(nc.refused(json!({ "cmd": "delete", "body": "wrong horse" })).await, "WRONG_CREDENTIAL");
    assert_eq!(nc.ask(json!({ "cmd": "delete", "body": PASSWORD })).await["error"], false);
    assert_eq!(nc.refused(json!({ "cmd": "login", "src": "alice", "body": PASSWORD })).await, "WRONG_CREDENTIAL");
    let history = bob.ask(json!({ "cmd": "history", "to": "alice" })).await;
    assert_eq!(history["code"], "UNKNOWN_USER", "her name is nobody's: {history}");
    let mut cy = Client::user(address, "create", "cy").await;
    for (after, users) in
        [("alice", json!(["cy"])), ("ALICE", json!(["cy"])), ("bob", json!(["cy"])), ("cy", json!([]))]
    {
        let list = cy.ask(json!({ "cmd": "list", "to": after })).await;
        assert_eq!(list["users"], users, "behind {after}, whose account may be deleted");
    }
    assert_eq!(cy.refused(json!({ "cmd": "list", "to": "no name" })).await, "UNKNOWN_USER");
}

#[tokio::test]
async fn what_was_missed_comes_once_and_in_order() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut bob = Client::user(address, "create", "bob").await;
    assert_eq!(bob.ask(json!({ "cmd": "logout" })).await["error"], false);
    let mut alice = Client::user(address, "create", "alice").await;
    for number in 0..300 {
        alice.send("bob", &format!("{number}")).await;
    }
    let mut bob = Client::user(address, "login", "bob").await;
    for number in 0..300 {
        assert_eq!(bob.message().await, said("alice", &number.to_string()));
    }
    bob.hears_nothing().await;
    // Not her own, from another device either; but what goes to herself.
    let mut elsewhere = Client::user(address, "login", "alice").await;
    elsewhere.send("bob", "300").await;
    elsewhere.send("alice", "note").await;
    assert_eq!(elsewhere.message().await, said("alice", "note"));
    assert_eq!(alice.message().await, said("alice", "note"));
    assert_eq!(bob.message().await, said("alice", "300"));
    // Whether a connection ends by a word or by its end.
    bob.stream.get_mut().shutdown().await.unwrap();
    assert_eq!(bob.rest().await, b"");
    let mut bob = Client::user(address, "login", "bob").await;
    bob.hears_nothing().await;
    assert_eq!(bob.ask(json!({ "cmd": "unread" })).await["body"], "alice 301");
    // And on the same connection.
    alice.send("bob", "301").await;
    assert_eq!(bob.message().await, said("alice", "301"));
    assert_eq!(bob.ask(json!({ "cmd": "login", "src": "bob", "body": PASSWORD })).await["error"], false);
    bob.hears_nothing().await;
}

#[tokio::test]
async fn what_was_read_elsewhere_does_not_come() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut bob = Client::user(address, "create", "bob").await;
    assert_eq!(bob.ask(json!({ "cmd": "logout" })).await["error"], false);
    let mut alice = Client::user(address, "create", "alice").await;
    alice.send("bob", "read on the phone").await;
    // A phone that reads without a mark of deliveries.
    let store = crate::gateway::door::Door::read(&door, |store| query::account_by_name(store, "bob")).unwrap();
    let token = threefold_core::TokenHash::of(b"phone");
    let (device, credential_version) = ("phone".to_owned(), store.credential_version);
    door.apply(&threefold_core::Command::LogIn {
        account: store.account,
        credential_version,
        token_hash: token,
        device,
    });
    let conversation =
        crate::gateway::door::Door::read(&door, |store_| query::direct_conversation(store_, store.account, "alice"));
    door.apply(&threefold_core::Command::Write {
        session: token,
        request: threefold_core::RequestId { instance: 1, number: 1 },
        operation: threefold_core::Operation::MarkRead {
            conversation: conversation.unwrap().unwrap(),
            up_to: threefold_core::EventId((1 << 53) - 1),
        },
        answered: None,
    });
    alice.send("bob", "not read").await;
    let mut bob = Client::user(address, "login", "bob").await;
    assert_eq!(bob.message().await, said("alice", "not read"));
    bob.hears_nothing().await;
}

#[tokio::test]
async fn answers_keep_the_order_of_the_questions() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut alice = Client::user(address, "create", "alice").await;
    let mut all = String::new();
    for number in 0..500 {
        all += &json!({ "cmd": "send", "to": "alice", "body": format!("{number}") }).to_string();
        all += if number % 50 == 7 { "\n{\"cmd\":\"nonsense\"}\n{nonsense\n" } else { "\n" };
    }
    all += &json!({ "cmd": "history", "to": "alice", "body": 1 }).to_string();
    let (reader, mut writer) = alice.stream.get_mut().split();
    let read = async {
        let (mut lines, mut heard) = (BufReader::new(reader).lines(), Vec::new());
        loop {
            let line: Value = serde_json::from_str(&soon(lines.next_line()).await.unwrap().unwrap()).unwrap();
            let is_last = line["cmd"] == "history";
            heard.push(line);
            if is_last {
                return heard;
            }
        }
    };
    all.push('\n');
    let (heard, written) = tokio::join!(read, writer.write_all(all.as_bytes()));
    written.unwrap();
    let (messages, answers): (Vec<_>, Vec<_>) = heard.into_iter().partition(|line| line["cmd"] == "message");
    assert!(
        messages.iter().enumerate().all(|(number, line)| line["body"].as_str() == Some(number.to_string().as_str()))
    );
    let codes: Vec<_> = answers.iter().filter(|line| line["error"] == true).map(|line| line["code"].clone()).collect();
    assert_eq!(codes, vec!["INVALID"; 20]);
    let ids: Vec<_> = answers.iter().filter_map(|line| line["id"].as_u64()).collect();
    assert!(ids.len() == 500 && ids.is_sorted());
    assert_eq!(answers[8]["cmd"], "nonsense");
}

#[tokio::test]
async fn a_named_request_is_recognised_on_another_connection() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut alice = Client::user(address, "create", "alice").await;
    let request = json!({ "cmd": "send", "to": "alice", "body": "once", "request": "7f3a" });
    let first = alice.ask(request.clone()).await;
    assert_eq!(alice.message().await, said("alice", "once"));
    drop(alice);
    let mut alice = Client::user(address, "login", "alice").await;
    assert_eq!(alice.ask(request).await, first);
    let other = json!({ "cmd": "send", "to": "alice", "body": "twice", "request": "7f3a" });
    assert_eq!(alice.refused(other).await, "REQUEST_MISMATCH");
    let long = json!({ "cmd": "send", "to": "alice", "body": "x", "request": "x".repeat(65) });
    assert_eq!(alice.refused(long).await, "INVALID");
    // What is looked up before it is asked for is recognised too.
    let read = json!({ "cmd": "read", "to": "alice", "request": "read" });
    let delete = json!({ "cmd": "delete_messages", "body": first["body"], "to": "everyone", "request": "delete" });
    for request in [read, delete] {
        assert_eq!(alice.ask(request.clone()).await["body"], "done");
        assert_eq!(alice.ask(request).await["body"], "done");
    }
    let history = alice.ask(json!({ "cmd": "history", "to": "alice" })).await;
    assert_eq!(history["messages"][0]["deleted"], true, "{history}");
    assert_eq!(history["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn history_goes_back_page_by_page_and_never_beyond_what_fits() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut alice = Client::user(address, "create", "alice").await;
    Client::user(address, "create", "bob").await;
    let text = "x\\".repeat(5000);
    let ids: Vec<u64> = {
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.push(alice.send("bob", &text).await);
        }
        ids
    };
    let mut found = Vec::new();
    let mut body = "200".to_owned();
    loop {
        let page = alice.ask(json!({ "cmd": "history", "to": "bob", "body": body })).await;
        assert!(page["body"].as_str().unwrap().len() < 60_000);
        let messages = page["messages"].as_array().unwrap();
        assert_eq!(messages.len(), page["body"].as_str().unwrap().lines().count());
        assert!(messages.iter().all(|message| message["body"] == text && message["to"] == "bob"));
        let page_ids: Vec<u64> = messages.iter().map(|message| message["id"].as_u64().unwrap()).collect();
        body = format!("200 {}", page_ids[0]);
        found.splice(0..0, page_ids);
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(found, ids);
    assert_eq!(alice.refused(json!({ "cmd": "history", "to": "bob", "body": 201 })).await, "INVALID");
    assert_eq!(alice.refused(json!({ "cmd": "history", "to": "nobody" })).await, "UNKNOWN_USER");
    // For her alone.
    let two = format!("{}, {}", ids[0], ids[9]);
    assert_eq!(alice.ask(json!({ "cmd": "delete_messages", "body": two })).await["body"], "done");
    assert_eq!(alice.refused(json!({ "cmd": "delete_messages", "body": "4711" })).await, "UNKNOWN_MESSAGE");
    let page = alice.ask(json!({ "cmd": "history", "to": "bob", "body": "1" })).await;
    assert_eq!(page["messages"][0]["id"], ids[8]);
}

/// A frame of the binary framing.
fn frame(cmd: &str, src: &str, to: &str, body: &str, error: bool) -> Vec<u8> {
    let mut frame = Vec::new();
    for text in [cmd, src, to] {
        frame.push(text.len() as u8);
        frame.extend(text.as_bytes());
    }
    frame.extend((body.len() as u16).to_be_bytes());
    frame.extend(body.as_bytes());
    frame.push(error.into());
    frame
}

#[tokio::test]
async fn the_binary_framing_says_the_same() {
    let door = Solo::new();
    let address = open(&door.gateway()).await;
    let mut alice = Client::user(address, "create", "alice").await;
    let mut bob = Client::connect(address).await;
    let expect = async |client: &mut Client, said: &[u8], heard: &[u8]| {
        client.write(said).await;
        let mut found = vec![0; heard.len()];
        soon(client.stream.read_exact(&mut found)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(heard));
    };
    let login = frame("create", "bob", "", PASSWORD, false);
    expect(&mut bob, &login, &frame("create", "bob", "", "logged in as bob", false)).await;
    alice.send("bob", "zwölf").await;
    expect(&mut bob, b"", &frame("message", "alice", "bob", "zwölf", false)).await;
    let nobody = frame("send", "", "nobody", "hello", false);
    expect(&mut bob, &nobody, &frame("send", "", "nobody", "no such user: nobody", true)).await;
    let unknown = frame("sing", "bob", "", "", false);
    let words = "there is no such command: `help` tells which there are";
    expect(&mut bob, &unknown, &frame("sing", "bob", "", words, true)).await;
    expect(&mut bob, &frame("unread", "", "", "", false), &frame("unread", "", "", "alice 1", false)).await;
    bob.write(b"\x04help\0\0\0\0\x07").await;
    let rest = bob.rest().await;
    assert!(rest.starts_with(b"\x07closing\0\0"), "{}", String::from_utf8_lossy(&rest));
}
