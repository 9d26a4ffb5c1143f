//! Files: over HTTP, named by messages over WebSocket.

use serde_json::json;

use super::{all, open};
use crate::{
    attachments::{content, http},
    harness::{text, until, wait},
};

#[test]
fn pages_send_files_through_a_failover() {
    let (mut cluster, leader, visitors) = open(&[]);
    let [mut ann, mut bob, eve] = ["ann", "bob", "eve"].map(|name| visitors.register(leader, name));
    let picture = [b"\x89PNG\r\n\x1a\n".to_vec(), content(600_000)].concat();
    let upload = |server: &str, token: &str, name: &str, body: &[u8]| {
        let answer = http(token, server, &format!("POST /attachments?name={name}"), &[], body);
        assert_eq!(answer.status, 201, "{}", text(answer.body));
        let file: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        file["id"].as_u64().unwrap()
    };
    let other = cluster.servers[(leader + 1) % 3].client.clone();
    let (kept, dropped) = (upload(&other, &ann.token, "a.png", &picture), upload(&other, &ann.token, "b.txt", b"b"));
    bob.follow();

    cluster.servers[leader].kill();
    // What was uploaded before is sent after, but not what was taken back. Nobody takes back what is another's.
    let send = |attachments: &[u64]| json!({"to": {"user": "bob"}, "body": "look", "attachments": attachments});
    bob.done("discard_attachment", json!({"attachment": kept}));
    ann.done("discard_attachment", json!({"attachment": dropped}));
    assert_eq!(ann.refused("send_message", send(&[kept, dropped])), "unknown_attachment");
    let message = ann.done("send_message", send(&[kept]))["sent"]["id"].as_u64().unwrap();
    let heard = bob.event("message");
    assert_eq!((&heard["id"], &heard["attachments"][0]["name"]), (&message.into(), &"a.png".into()));
    let listed = bob.done("list_attachments", json!({"message": message}));
    assert_eq!(all(&listed["attachments"])[0]["bytes"], picture.len());
    let second = until("a file to go up", || {
        let answer = http(&ann.token, ann.server(), "POST /attachments?name=late.txt", &[], b"late");
        let file: serde_json::Value = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 201)?;
        file["id"].as_u64()
    });
    let late = ann.done("send_message", send(&[second]))["sent"]["id"].as_u64().unwrap();
    assert_eq!(bob.event("message")["id"], late);

    let path = |message: u64, file: u64| format!("GET /attachments/{}/{message}/{file}", heard["conversation"]);
    let third = cluster.servers[(leader + 2) % 3].client.clone();
    wait("the file at another server", || {
        let whole = http(&bob.token, &third, &path(message, kept), &[], b"");
        whole.status == 200 && whole.body == picture
    });
    let part = http(&bob.token, &third, &path(message, kept), &["range: bytes=262000-262299"], b"");
    assert!(part.status == 206 && part.body == picture[262_000..262_300], "{}", part.head);
    assert_eq!(http(&bob.token, &third, &path(late, second), &[], b"").body, b"late");
    assert_eq!(http(&eve.token, &third, &path(message, kept), &[], b"").status, 404);

    // With its message it goes.
    ann.done("delete_messages", json!({"messages": [message], "for_everyone": true}));
    assert_eq!(bob.event("messages_deleted")["messages"], json!([message]));
    wait("that it is gone", || http(&bob.token, &third, &path(message, kept), &[], b"").status == 404);
    assert!(all(&bob.done("list_attachments", json!({"message": message}))["attachments"]).is_empty());
}
