//! What people do with messages besides sending them: answers, edits, reactions, mentions, receipts, looking around in
//! what was said. With a leader killed in between, and the same to be seen at every server afterwards.

use serde_json::{Value, json};

use crate::harness::{Cluster, Failed, Follower, Person, Visitors, until};

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
    long_messages_around_one(&alice, &bob);
}

/// More than one page holds in bytes.
fn long_messages_around_one(alice: &Person, bob: &Person) {
    let long = "x".repeat(15_000);
    let ids: Vec<u64> = (0..40).map(|_| alice.json(&["send", "bob", &long])[0]["id"].as_u64().unwrap()).collect();
    until("the last one", || (bob.history("alice").last().unwrap()["id"] == ids[39]).then_some(()));
    let shown = |around: usize, count: &str| -> Vec<u64> {
        let shown = bob.json(&["messages", "alice", count, "--around", &ids[around].to_string()]);
        shown.iter().map(|message| message["id"].as_u64().unwrap()).collect()
    };
    let middle = shown(20, "30");
    assert!(middle.len() == 30 && ids.windows(30).any(|part| part == middle), "{middle:?}");
    assert!(middle[0] <= ids[9] && middle[29] >= ids[31], "as many before it as behind it: {middle:?}");
    assert_eq!(shown(39, "30"), ids[10..]);
}

/// Pages around a message and from a time, and what people are shown.
fn looking_around(bob: &Person, messages: &[Value], answer: &str) {
    let around = bob.json(&["messages", "alice", "3", "--around", answer]);
    assert_eq!(around, messages[1..]);
    assert_eq!(bob.json(&["messages", "alice", "1", "--around", answer]), messages[2..3]);
    // Both ways, page by page.
    let id = |message: &Value| message["id"].to_string();
    assert_eq!(bob.json(&["messages", "alice", "2", "--after", "0"]), messages[..2]);
    assert_eq!(bob.json(&["messages", "alice", "2", "--after", &id(&messages[1])]), messages[2..]);
    assert!(bob.json(&["messages", "alice", "--after", &id(&messages[3])]).is_empty());
    assert_eq!(bob.json(&["messages", "alice", "2", "--before", &id(&messages[3])]), messages[1..3]);
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

#[test]
fn what_waits_is_delivered_once_to_each_device_though_the_leader_died_meanwhile() {
    let mut cluster = Cluster::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    let phone = bob.elsewhere("phone");
    let texts: Vec<String> = (0..20).map(|number| format!("while you are away {number}")).collect();
    let mut ids = Vec::new();
    for (number, body) in texts.iter().enumerate() {
        if number == 10 {
            kill_the_leader(&mut cluster);
        }
        ids.push(send(&alice, &["bob", body]));
    }
    let delivered = |device: &Person| {
        let events = device.json(&["follow", "--once", "--after", "0"]);
        let messages: Vec<Value> = events.into_iter().filter(|event| event["type"] == "message").collect();
        bodies(&messages).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for device in [&bob, &phone] {
        until("all of it", || (device.history("alice").len() == texts.len()).then_some(()));
        assert_eq!(delivered(device), texts);
        // Its place is remembered.
        assert!(device.json(&["follow", "--once"]).is_empty());
    }
    assert_eq!(bob.json(&["unread"])[0]["unread"], 20);
    // Many at once, for oneself, on each device; the other keeps them.
    let many: Vec<&str> = [&["delete-message"][..], &ids[..5].iter().map(String::as_str).collect::<Vec<_>>()].concat();
    bob.done(&many);
    until("fewer at the phone", || (phone.history("alice").len() == 15).then_some(()));
    assert_eq!(alice.history("bob").len(), 20);
    // Bounds: what is beyond them is refused, and nothing else is lost by it.
    let largest = "x".repeat(16 << 10);
    assert!(alice.piped(&["send", "bob"], largest.as_bytes()).status.success());
    let beyond = alice.piped(&["send", "bob"], format!("{largest}x").as_bytes());
    assert_eq!(beyond.status.code(), Some(2), "{beyond:?}");
    let last = send(&alice, &["bob", "after all that"]);
    let history = bob.history_up_to("alice", last.parse().unwrap());
    assert_eq!(bodies(&history)[15..], [&largest, "after all that"]);
}

#[test]
fn pages_do_it_too_while_their_leader_is_killed() {
    let mut cluster = Cluster::start(&[]);
    let leader = cluster.leader();
    let visitors = Visitors::of(&cluster);
    // One of them is at the server that will be killed.
    let [mut ann, mut bob] = [(0, "ann"), (2, "bob")].map(|(further, name)| visitors.register(leader + further, name));
    ann.follow();
    bob.follow();
    let first = ann.send("bob", "frist");
    assert_eq!(bob.event("message")["id"], first);
    let answer = json!({"to": {"user": "ann"}, "body": "tea?", "reply_to": first});
    let second = bob.done("send_message", answer)["sent"]["id"].as_u64().unwrap();
    bob.done("react", json!({"message": first, "emoji": "👍"}));

    cluster.servers[leader].kill();
    ann.done("edit_message", json!({"message": first, "body": "first, @bob"}));
    bob.done("react", json!({"message": first, "emoji": "👍", "remove": true}));
    ann.done("react", json!({"message": second, "emoji": "🎉"}));
    bob.done("mark_read", json!({"in": {"user": "ann"}}));
    assert_eq!(bob.refused("edit_message", json!({"message": first, "body": "mine"})), "forbidden");

    let edited = bob.event("message_edited");
    assert_eq!((&edited["message"], &edited["body"]), (&first.into(), &"first, @bob".into()));
    assert_eq!(edited["mentions"][0]["name"], "bob");
    let reaction = bob.event("reaction_changed");
    assert_eq!((&reaction["name"], &reaction["message"]), (&"bob".into(), &first.into()));
    assert_eq!(ann.event("message")["id"], first);
    assert_eq!(ann.event("message")["reply_to"], first);
    assert_eq!(ann.event("peer_read")["up_to"], second);

    let position = ann.send("bob", "bye");
    let around = bob
        .done("history", json!({"in": {"user": "ann"}, "limit": 1, "from": {"around": second}, "position": position}));
    assert_eq!(
        (&around["messages"][0]["id"], &around["older"], &around["newer"]),
        (&second.into(), &true.into(), &true.into())
    );
    assert_eq!(around["messages"][0]["reactions"], json!([{"emoji": "🎉", "count": 1}]));
    let time_ms = around["messages"][0]["time_ms"].as_u64().unwrap();
    let later = bob.done("history", json!({"in": {"user": "ann"}, "from": {"at_ms": time_ms + 600_000}}));
    assert!(later["messages"].as_array().is_none_or(Vec::is_empty) && later["older"] == true, "{later}");
    let found = bob.done("get_messages", json!({"messages": [second, first, 5]}));
    let found = found["messages"].as_array().unwrap();
    assert_eq!((found.len(), &found[0]["body"], &found[1]["body"]), (2, &"tea?".into(), &"first, @bob".into()));
    let by = bob.done("list_reactions", json!({"message": second}));
    assert_eq!((&by["reactions"][0]["name"], &by["reactions"][0]["emoji"]), (&"ann".into(), &"🎉".into()));
    let known = ann.done("list_conversations", json!({"position": position}));
    assert_eq!(known["conversations"][0]["peer_read_up_to"], second);

    ann.done("delete_messages", json!({"messages": [first], "for_everyone": true}));
    assert_eq!(ann.refused("react", json!({"message": first, "emoji": "👍"})), "message_deleted");
    assert!(ann.lost > 0, "her server was killed");
}
