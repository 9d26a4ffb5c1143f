//! Messages: what waits for those who are away, what was read, looking around, deleting, searching, bounds.

use serde_json::{Value, json};

use super::{all, each, open};
use crate::harness::{PASSWORD, Visitor, wait};

const WAITING: usize = 30;

/// The texts of messages as events tell of them, up to and with the last.
fn heard(visitor: &mut Visitor, last: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    while texts.last().map(String::as_str) != Some(last) {
        texts.push(visitor.event("message")["body"].as_str().unwrap().to_owned());
    }
    texts
}

#[test]
fn pages_find_what_waited_for_them_though_the_leader_died_meanwhile() {
    let (mut cluster, leader, visitors) = open(&[]);
    let [mut ann, mut bob] = [(leader, "ann"), (leader, "bob")].map(|(place, name)| visitors.register(place, name));
    let mut phone = visitors.log_in(leader + 1, "bob", PASSWORD, "phone").unwrap();
    phone.follow();
    let texts: Vec<String> = (0..WAITING).map(|number| format!("while you are away {number}")).collect();
    let first = ann.send("bob", &texts[0]);
    bob.follow();
    assert_eq!(heard(&mut bob, &texts[0]), texts[..1]);
    // Nobody of bob's is there.
    bob.leave();
    phone.leave();
    let mut ids = vec![first];
    for (number, text) in texts.iter().enumerate().skip(1) {
        if number == WAITING / 2 {
            cluster.servers[leader].kill();
        }
        ids.push(ann.send("bob", text));
    }
    assert!(ann.lost > 0, "her server was killed");
    // Each device goes on where it was; a new one begins at the beginning.
    assert_eq!(heard(&mut bob, &texts[WAITING - 1]), texts[1..]);
    assert_eq!(heard(&mut phone, &texts[WAITING - 1]), texts);
    let mut tablet = visitors.log_in(leader, "bob", PASSWORD, "tablet").unwrap();
    tablet.follow();
    assert_eq!(heard(&mut tablet, &texts[WAITING - 1]), texts);

    unread_and_read(&mut ann, &mut bob, &ids);
    phone_hears_of_the_marker(&mut phone, ids[WAITING - 1]);
    pages_both_ways(&mut bob, &ids);
    deleting(&mut ann, &mut bob, &mut phone, &ids);
    bounds(&mut ann, &mut bob);
}

fn unread_and_read(ann: &mut Visitor, bob: &mut Visitor, ids: &[u64]) {
    let mention = ann.send("bob", "are you there, @bob?");
    let unread =
        |bob: &mut Visitor| bob.done("list_conversations", json!({"unread_only": true}))["conversations"].take();
    let one = &unread(bob)[0];
    assert_eq!((&one["unread"], &one["unread_mentions"]), (&(WAITING + 1).into(), &1.into()));
    bob.done("mark_read", json!({"in": {"user": "ann"}, "up_to": ids[WAITING - 1]}));
    let one = &unread(bob)[0];
    assert_eq!((&one["unread"], &one["read_up_to"]), (&1.into(), &ids[WAITING - 1].into()));
    // A marker never goes back.
    bob.done("mark_read", json!({"in": {"user": "ann"}, "up_to": ids[0]}));
    assert_eq!(unread(bob)[0]["unread"], 1);
    bob.done("mark_read", json!({"in": {"user": "ann"}}));
    assert!(all(&unread(bob)).is_empty());
    let receipt = ann.done("list_conversations", json!({}));
    assert_eq!(receipt["conversations"][0]["peer_read_up_to"], mention);
}

fn phone_hears_of_the_marker(phone: &mut Visitor, up_to: u64) {
    while phone.event("read_marker_moved")["up_to"].as_u64() < Some(up_to) {}
}

fn pages_both_ways(bob: &mut Visitor, ids: &[u64]) {
    let mut page = |from: Value| {
        let page = bob.done("history", json!({"in": {"user": "ann"}, "limit": 7, "from": from}));
        let ids: Vec<u64> = all(&page["messages"]).iter().map(|one| one["id"].as_u64().unwrap()).collect();
        (ids, page["more"] == true)
    };
    let (mut forward, mut after) = (Vec::new(), 0);
    loop {
        let (found, more) = page(json!({"after": after}));
        after = *found.last().unwrap();
        forward.extend(found);
        if !more {
            break;
        }
    }
    let (mut backward, mut before) = (Vec::new(), 0);
    loop {
        let (found, more) = page(json!({"before": before}));
        before = found[0];
        backward.splice(0..0, found);
        if !more {
            break;
        }
    }
    assert_eq!(forward, backward);
    assert_eq!(forward[..WAITING], *ids);
}

fn deleting(ann: &mut Visitor, bob: &mut Visitor, phone: &mut Visitor, ids: &[u64]) {
    let count = |visitor: &mut Visitor, peer: &str| {
        let page = visitor.done("history", json!({"in": {"user": peer}, "limit": 200}));
        (all(&page["messages"]).len(), all(&page["messages"]).iter().filter(|one| one["deleted"] == true).count())
    };
    // For oneself: many at once, on all devices, and nobody else's affair.
    bob.done("delete_messages", json!({"messages": ids[..10]}));
    assert_eq!(phone.event("messages_hidden")["messages"], json!(ids[..10]));
    assert_eq!((count(bob, "ann"), count(ann, "bob")), ((WAITING - 9, 0), (WAITING + 1, 0)));
    // For everyone: one's own, and a tombstone stays.
    assert_eq!(bob.refused("delete_messages", json!({"messages": ids[10..12], "for_everyone": true})), "forbidden");
    ann.done("delete_messages", json!({"messages": ids[10..12], "for_everyone": true}));
    assert_eq!(phone.event("messages_deleted")["messages"], json!(ids[10..12]));
    assert_eq!((count(bob, "ann"), count(ann, "bob")), ((WAITING - 9, 2), (WAITING + 1, 2)));
}

/// At the bound, beyond it, and what comes after is not held up.
fn bounds(ann: &mut Visitor, bob: &mut Visitor) {
    let largest = "é".repeat(8192);
    let largest_id = ann.send("bob", &largest);
    let beyond = json!({"to": {"user": "bob"}, "body": "x".repeat(16385)});
    assert_eq!(ann.refused("send_message", beyond), "invalid");
    assert_eq!(ann.refused("send_message", json!({"to": {"user": "bob"}, "body": ""})), "invalid");
    assert_eq!(ann.refused("react", json!({"message": largest_id, "emoji": "x".repeat(33)})), "invalid");
    assert_eq!(ann.refused("history", json!({"in": {"user": "bob"}, "limit": 201})), "invalid");
    assert_eq!(ann.refused("set_display_name", json!({"display_name": "x".repeat(129)})), "invalid");
    let last = ann.send("bob", "after all that");
    let page = bob.done("history", json!({"in": {"user": "ann"}, "limit": 2, "position": last}));
    assert_eq!(each(&page["messages"], "body"), [&largest, "after all that"]);
}

#[test]
fn pages_search_through_a_failover() {
    let (mut cluster, leader, visitors) = open(&[]);
    let [mut ann, mut bob, mut eve] = ["ann", "bob", "eve"].map(|name| visitors.register(leader, name));
    let one = ann.send("bob", "Das Café an der Straße");
    let two = bob.send("ann", "the cafe is closed, 東京都 is open");
    let own = eve.send("eve", "a cafe of my own");
    let search = |visitor: &mut Visitor, with: Value| {
        let reply = visitor.done("search_messages", with);
        all(&reply["found"]).iter().map(|one| one["message"]["id"].as_u64().unwrap()).collect::<Vec<u64>>()
    };
    for round in 0..2 {
        assert_eq!(search(&mut ann, json!({"query": "CAFÉ"})), [two, one]);
        assert_eq!(search(&mut bob, json!({"query": "straß* cafe"})), [one]);
        assert_eq!(search(&mut bob, json!({"query": "京都"})), [two]);
        assert_eq!(search(&mut ann, json!({"query": "cafe", "from": "ann"})), [one]);
        assert_eq!(search(&mut ann, json!({"query": "cafe", "in": {"user": "bob"}, "limit": 1})), [two]);
        assert_eq!(search(&mut ann, json!({"query": "cafe", "before": two})), [one]);
        assert_eq!(search(&mut eve, json!({"query": "cafe"})), [own]);
        assert_eq!(ann.refused("search_messages", json!({"query": "?"})), "search_invalid");
        if round == 0 {
            cluster.servers[leader].kill();
        }
    }
    assert!(ann.lost > 0 && bob.lost > 0 && eve.lost > 0);
    let marks = ann.done("search_messages", json!({"query": "closed"}))["found"][0]["marks"].take();
    assert_eq!(marks, json!([{"start": 12, "end": 18}]));
    ann.done("edit_message", json!({"message": one, "body": "ein Kaffeehaus"}));
    wait("an edit to be found", || search(&mut bob, json!({"query": "kaffeehaus"})) == [one]);
    assert_eq!(search(&mut bob, json!({"query": "cafe"})), [two]);
    bob.done("delete_messages", json!({"messages": [two], "for_everyone": true}));
    wait("a deletion to be seen", || search(&mut ann, json!({"query": "cafe"})).is_empty());
}
