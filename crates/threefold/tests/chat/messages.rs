//! What people do with messages besides sending them: answers, edits, reactions, mentions, receipts, looking around in
//! what was said. With a leader killed in between, and the same to be seen at every server afterwards.

use serde_json::{Value, json};

use crate::harness::{Cluster, Failed, Follower, Page, Person, until};

/// Sends, with these options, and gives the message's id.
fn send(from: &Person, arguments: &[&str]) -> String {
    from.json(&[&["send"], arguments].concat())[0]["id"].as_u64().unwrap().to_string()
}

/// Kills whoever leads; the others go on.
fn kill_the_leader(cluster: &mut Cluster) {
    let leader = cluster.leader();
    cluster.servers[leader].kill();
}

fn restart(cluster: &mut Cluster) {
    cluster.start_all();
    cluster.wait_until_whole();
}

fn reactions(message: &Value) -> Vec<(&str, u64, bool)> {
    let all = message["reactions"].as_array().into_iter().flatten();
    all.map(|one| (one["emoji"].as_str().unwrap(), one["count"].as_u64().unwrap(), one["own"] == true)).collect()
}

fn bodies(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["body"].as_str().unwrap()).collect()
}

/// Everything that somebody hears of from the beginning: its kind, and which message it is about.
fn heard(person: &Person) -> Vec<(String, u64)> {
    let about = |event: &Value| event["message"].as_u64().or(event["up_to"].as_u64()).or(event["id"].as_u64());
    let events = person.json(&["follow", "--once", "--after", "0", "--invisible"]);
    events.iter().map(|event| (event["type"].as_str().unwrap().to_owned(), about(event).unwrap())).collect()
}

#[test]
fn what_belongs_to_messages_outlives_its_leader() {
    let mut cluster = Cluster::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    let mut follower = Follower::start(&bob, &cluster.directory);
    let first = send(&alice, &["bob", "frist"]);
    let second = send(&alice, &["bob", "tea, @bob?"]);
    let answer = send(&bob, &["alice", "yes", "--reply-to", &first]);
    bob.done(&["react", &first, "👍"]);
    assert_eq!(bob.done(&["react", &second, "👍"]), format!("reacted to {second} with 👍\n"));
    assert_eq!(bob.json(&["unread"])[0]["unread_mentions"], 1);

    kill_the_leader(&mut cluster);
    assert_eq!(alice.done(&["edit", &first, "first, @bob"]), format!("edited {first}\n"));
    bob.done(&["react", &first, "👍", "--remove"]);
    alice.done(&["react", &second, "👍"]);
    alice.done(&["react", &second, "🎉"]);
    let last = send(&alice, &["bob", "good", "--reply-to", &answer]);
    assert_eq!(bob.json(&["unread"])[0]["unread_mentions"], 2);
    bob.done(&["read", "alice", "--up-to", &second]);

    restart(&mut cluster);
    let ids = [&first, &second, &answer, &last].map(|id| id.parse::<u64>().unwrap());
    follower.wait_for(ids[3]);
    for server in &cluster.servers {
        let (alice, bob) = (alice.at(&server.client), bob.at(&server.client));
        let messages = bob.history_up_to("alice", ids[3]);
        assert_eq!(bodies(&messages), ["first, @bob", "tea, @bob?", "yes", "good"]);
        assert!(messages[0]["edited_at_ms"].as_u64() > messages[0]["time_ms"].as_u64());
        assert_eq!((&messages[0]["mentions"][0], &messages[1]["edited_at_ms"]), (&"bob".into(), &Value::Null));
        assert_eq!((&messages[2]["reply_to"], &messages[3]["reply_to"]), (&ids[0].into(), &ids[2].into()));
        assert_eq!(
            (reactions(&messages[0]), reactions(&messages[1])),
            (vec![], vec![("👍", 2, true), ("🎉", 1, false)])
        );
        let by = bob.json(&["react", &second]);
        let by: Vec<_> = by.iter().map(|by| (by["emoji"].as_str().unwrap(), by["name"].as_str().unwrap())).collect();
        assert_eq!(by, [("🎉", "alice"), ("👍", "alice"), ("👍", "bob")]);
        let unread = &bob.json(&["unread"])[0];
        assert_eq!((&unread["unread"], &unread["unread_mentions"]), (&1.into(), &0.into()));
        assert_eq!(alice.json(&["unread"])[0]["peer_read_up_to"], ids[1]);
        let told = heard(&alice);
        assert!(told.contains(&("peer_read".to_owned(), ids[1])) && told.contains(&("edited".to_owned(), ids[0])));
        looking_around(&bob, &messages, &answer);
    }
    refusals(&alice, &bob, &first);

    kill_the_leader(&mut cluster);
    alice.done(&["delete-message", &first, &second, "--everyone"]);
    bob.done(&["delete-message", &answer]);
    restart(&mut cluster);
    let gone = ids[..3].to_vec();
    for server in &cluster.servers {
        let bob = bob.at(&server.client);
        until("the deletions to arrive", || (bob.history("alice").len() == 3).then_some(()));
        let messages = bob.history("alice");
        assert_eq!(bodies(&messages), ["", "", "good"]);
        assert!(messages.iter().all(|message| reactions(message).is_empty() && message["mentions"].is_null()));
        let told = heard(&bob);
        let about_gone = |(kind, id): &&(String, u64)| gone.contains(id) && (kind == "edited" || kind == "reaction");
        assert_eq!(told.iter().find(about_gone), None);
        let text = bob.done(&["messages", "alice"]);
        assert!(text.contains("(answers a message that is not there any more): good"), "{text}");
    }
    assert_eq!(bob.fails(&["react", &first, "👍"]).short(), (1, "MESSAGE_DELETED"));
}

/// Pages around a message and from a time, and what people are shown.
fn looking_around(bob: &Person, messages: &[Value], answer: &str) {
    let around = bob.json(&["messages", "alice", "3", "--around", answer]);
    assert_eq!(around, messages[1..]);
    assert_eq!(bob.json(&["messages", "alice", "1", "--around", answer]), messages[2..3]);
    let time = |message: &Value| {
        let time_ms = i64::try_from(message["time_ms"].as_u64().unwrap()).unwrap();
        chrono::DateTime::from_timestamp_millis(time_ms).unwrap().to_rfc3339()
    };
    assert_eq!(bob.json(&["messages", "alice", "--from", &time(&messages[3])]).last(), messages.last());
    assert_eq!(bob.json(&["messages", "alice", "--from", "1970-01-02"]), messages);
    assert!(bob.json(&["messages", "alice", "--from", "2999-01-01"]).is_empty());
    let text = bob.done(&["messages", "alice"]);
    for shown in [
        "] alice → you (mentions you): first, @bob (edited)\n",
        "    👍 2 with yours  🎉 1\n",
        "] you → alice (answers alice: \"first, @bob\"): yes\n",
        "] alice → you (answers bob: \"yes\"): good\n",
    ] {
        assert!(text.contains(shown), "{shown:?} in {text}");
    }
}

fn refusals(alice: &Person, bob: &Person, first: &str) {
    let codes = |arguments: &[&str]| {
        let Failed { exit, code, .. } = bob.fails(arguments);
        (exit, code)
    };
    let refused = |code: &str| (1, code.to_owned());
    assert_eq!(codes(&["edit", first, "mine"]), refused("FORBIDDEN"));
    assert_eq!(codes(&["edit", "1", "nowhere"]), refused("UNKNOWN_MESSAGE"));
    assert_eq!(codes(&["send", "alice", "x", "--reply-to", "1"]), refused("UNKNOWN_MESSAGE"));
    assert_eq!(codes(&["react", "1", "👍"]), refused("UNKNOWN_MESSAGE"));
    assert_eq!(codes(&["react", first, "a b"]), (2, "USAGE".to_owned()));
    assert_eq!(codes(&["messages", "alice", "--from", "never"]), (2, "USAGE".to_owned()));
    assert_eq!(alice.fails(&["edit", first, " "]).short(), (1, "INVALID"));
}

/// Somebody who writes by single calls of a page.
struct Somebody {
    page: Page,
    instance: u64,
    number: u64,
}

impl Somebody {
    fn new(address: &str, name: &str) -> Self {
        let mut page = Page::open(address).unwrap();
        let (_, reply) = page.register(name);
        Self { page, instance: reply["instance"].as_u64().unwrap(), number: 0 }
    }

    /// A write, again until the cluster can: what was carried out already is answered as it was.
    fn write(&mut self, call: &str, name: &str, what: &Value) -> Result<Value, String> {
        self.number += 1;
        let with = json!({"request": {"instance": self.instance, "number": self.number}, name: what});
        until("a write to be answered", || match self.page.call(call, with.clone()).unwrap() {
            Err(error) if error["code"] == "unavailable" => None,
            Err(error) => Some(Err(error["code"].as_str().unwrap().to_owned())),
            Ok(reply) => Some(Ok(reply)),
        })
    }

    fn send(&mut self, to: &str, body: &str, reply_to: u64) -> u64 {
        let what = json!({"to": {"user": to}, "body": body, "reply_to": reply_to});
        let sent = self.write("send_message", "send", &what).unwrap();
        sent["sent"]["id"].as_u64().unwrap()
    }

    fn read(&mut self, call: &str, with: Value) -> Value {
        self.page.call(call, with).unwrap().unwrap()
    }

    /// Waits for an event of this kind.
    fn hear(&mut self, kind: &str) -> Value {
        loop {
            let mut frame = self.page.hear().unwrap();
            if frame["event"]["body"][kind].is_object() {
                return frame["event"]["body"][kind].take();
            }
        }
    }
}

#[test]
fn pages_do_it_too_while_their_leader_is_killed() {
    let mut cluster = Cluster::start(&[]);
    let leader = cluster.leader();
    let at = |further: usize| cluster.servers[(leader + further) % 3].client.clone();
    let (mut ann, mut bob) = (Somebody::new(&at(1), "ann"), Somebody::new(&at(2), "bob"));
    bob.page.say(&json!({"subscribe": {}})).unwrap();
    ann.page.say(&json!({"subscribe": {}})).unwrap();
    let first = ann.send("bob", "frist", 0);
    assert_eq!(bob.hear("message")["id"], first);
    let second = bob.send("ann", "tea?", first);
    bob.write("react", "react", &json!({"message": first, "emoji": "👍"})).unwrap();

    cluster.servers[leader].kill();
    ann.write("edit_message", "edit", &json!({"message": first, "body": "first, @bob"})).unwrap();
    bob.write("react", "react", &json!({"message": first, "emoji": "👍", "remove": true})).unwrap();
    ann.write("react", "react", &json!({"message": second, "emoji": "🎉"})).unwrap();
    bob.write("mark_read", "mark", &json!({"in": {"user": "ann"}})).unwrap();
    let forbidden = bob.write("edit_message", "edit", &json!({"message": first, "body": "mine"}));
    assert_eq!(forbidden, Err("forbidden".to_owned()));

    let edited = bob.hear("message_edited");
    assert_eq!((&edited["message"], &edited["body"]), (&first.into(), &"first, @bob".into()));
    assert_eq!(edited["mentions"][0]["name"], "bob");
    let reaction = bob.hear("reaction_changed");
    assert_eq!((&reaction["name"], &reaction["message"]), (&"bob".into(), &first.into()));
    assert_eq!(ann.hear("message")["id"], first);
    assert_eq!(ann.hear("message")["reply_to"], first);
    assert_eq!(ann.hear("peer_read")["up_to"], second);

    let position = ann.send("bob", "bye", 0);
    let around = bob
        .read("history", json!({"in": {"user": "ann"}, "limit": 1, "from": {"around": second}, "position": position}));
    assert_eq!(
        (&around["messages"][0]["id"], &around["older"], &around["newer"]),
        (&second.into(), &true.into(), &true.into())
    );
    assert_eq!(around["messages"][0]["reactions"], json!([{"emoji": "🎉", "count": 1}]));
    let time_ms = around["messages"][0]["time_ms"].as_u64().unwrap();
    let later = bob.read("history", json!({"in": {"user": "ann"}, "from": {"at_ms": time_ms + 600_000}}));
    assert!(later["messages"].as_array().is_none_or(Vec::is_empty) && later["older"] == true, "{later}");
    let found = bob.read("get_messages", json!({"messages": [second, first, 5]}));
    let found = found["messages"].as_array().unwrap();
    assert_eq!((found.len(), &found[0]["body"], &found[1]["body"]), (2, &"tea?".into(), &"first, @bob".into()));
    let by = bob.read("list_reactions", json!({"message": second}));
    assert_eq!((&by["reactions"][0]["name"], &by["reactions"][0]["emoji"]), (&"ann".into(), &"🎉".into()));
    let known = ann.read("list_conversations", json!({"position": position}));
    assert_eq!(known["conversations"][0]["peer_read_up_to"], second);

    ann.write("delete_messages", "delete", &json!({"messages": [first], "for_everyone": true})).unwrap();
    let gone = ann.write("react", "react", &json!({"message": first, "emoji": "👍"}));
    assert_eq!(gone, Err("message_deleted".to_owned()));
}
