//! Bots and webhooks.

use serde_json::{Value, json};

use super::{all, code, each, open};
use crate::{
    bots::{Answer, say},
    harness::{Visitors, until, wait},
};

/// Tokens, as pages draw them.
const FIRST: &str = "1a1b1c1d1a1b1c1d1a1b1c1d1a1b1c1d1a1b1c1d1a1b1c1d1a1b1c1d1a1b1c1d";
const SECOND: &str = "2a2b2c2d2a2b2c2d2a2b2c2d2a2b2c2d2a2b2c2d2a2b2c2d2a2b2c2d2a2b2c2d";

/// How a log-in with that token ends: its code, or empty.
fn log_in(visitors: &Visitors, place: usize, name: &str, token: &str) -> String {
    visitors.log_in(place, name, token, "bot").map_or_else(|refused| code(&refused).to_owned(), |_| String::new())
}

/// What a post comes to, at whichever of these servers lives: the message's id, or the code of the refusal.
fn posted(servers: &[String], webhook: u64, token: &str, body: &Value) -> Result<u64, String> {
    let mut turn = servers.iter().cycle();
    until("a post", || {
        let url = format!("http://{}/hooks/{webhook}/{token}", turn.next().unwrap());
        let Answer { status, body, .. } = say(&url, body)?;
        match status {
            200 => Some(Ok(body["id"].as_u64().unwrap())),
            503 => None,
            _ => Some(Err(code(&body).to_owned())),
        }
    })
}

#[test]
fn pages_have_bots_and_webhooks_through_a_failover() {
    let (mut cluster, leader, visitors) = open(&[]);
    let servers: Vec<String> = cluster.servers.iter().map(|server| server.client.clone()).collect();
    let [mut ann, mut bob] = ["ann", "bob"].map(|name| visitors.register(leader, name));
    ann.done("create_bot", json!({"name": "echo", "token": FIRST}));
    ann.done("create_bot", json!({"name": "spare", "token": FIRST}));
    assert_eq!(bob.refused("create_bot", json!({"name": "ECHO", "token": FIRST})), "name_taken");
    ann.done("create_room", json!({"name": "tea", "public": true}));
    bob.done("join_room", json!({"room": {"room": "tea"}}));
    let create = |name: &str| json!({"room": {"room": "tea"}, "name": name, "token": FIRST});
    assert_eq!(bob.refused("create_webhook", create("his")), "forbidden");
    let made = ann.done("create_webhook", create("ci"));
    let hook = made["created"]["webhook"].as_u64().unwrap();
    bob.follow();
    let first = posted(&servers, hook, FIRST, &json!({"text": "build 1", "request": "1"})).unwrap();

    cluster.servers[leader].kill();
    // What was made before is there; the same post again is the same message.
    assert_eq!(posted(&servers, hook, FIRST, &json!({"text": "build 1", "request": "1"})), Ok(first));
    let second = posted(&servers, hook, FIRST, &json!({"text": "build 2", "request": "2"})).unwrap();
    for (id, text) in [(first, "build 1"), (second, "build 2")] {
        let heard = bob.event("message");
        assert_eq!((&heard["id"], &heard["body"], &heard["author_name"]), (&id.into(), &text.into(), &"ci".into()));
    }
    let bots = ann.done("list_bots", json!({}));
    assert_eq!(each(&bots["bots"], "name"), ["echo", "spare", "ci"]);
    assert_eq!(all(&bots["bots"])[2]["webhook_of"], made["created"]["conversation"]);
    assert_eq!(bob.done("list_bots", json!({})), json!({}), "they are hers");
    let listed = ann.done("list_webhooks", json!({"room": {"room": "tea"}}));
    assert_eq!((each(&listed["webhooks"], "name"), &listed["webhooks"][0]["webhook"]), (vec!["ci"], &hook.into()));
    assert_eq!(listed["webhooks"][0]["by"]["name"], "ann");
    assert_eq!(bob.refused("list_webhooks", json!({"room": {"room": "tea"}})), "forbidden");

    // Another token ends what came with the old one; none at all lets nobody in.
    let mut echo = visitors.log_in(leader, "echo", FIRST, "bot").unwrap();
    assert_eq!(echo.done("who_am_i", json!({}))["bot"], true);
    echo.done("join_room", json!({"room": {"room": "tea"}}));
    echo.send("#tea", "beep");
    assert_eq!(bob.event("message")["author_name"], "echo");
    assert_eq!(echo.refused("create_bot", json!({"name": "other", "token": FIRST})), "not_for_bots");
    assert_eq!(bob.refused("set_bot_token", json!({"name": "echo", "token": SECOND})), "unknown_bot");
    ann.done("set_bot_token", json!({"name": "echo", "token": SECOND}));
    wait("the end of the bot's session", || {
        echo.ask("who_am_i", json!({})).is_err_and(|error| code(&error) == "session_invalid")
    });
    assert_eq!(log_in(&visitors, leader, "echo", FIRST), "wrong_credential");
    assert_eq!(log_in(&visitors, leader, "echo", SECOND), "");
    ann.done("set_bot_token", json!({"name": "ci", "token": SECOND}));
    wait("the end of the old address", || {
        posted(&servers, hook, FIRST, &json!({"text": "x"})) == Err("UNKNOWN_WEBHOOK".to_owned())
    });
    posted(&servers, hook, SECOND, &json!({"text": "build 3"})).unwrap();
    // What came under the old one, while it was one, comes before.
    until("the post under the new one", || (bob.event("message")["body"] == "build 3").then_some(()));

    // And made and deleted after the leader's death.
    assert_eq!(bob.refused("delete_bot", json!({"name": "spare"})), "unknown_bot");
    ann.done("delete_bot", json!({"name": "spare"}));
    assert_eq!(log_in(&visitors, leader, "spare", FIRST), "wrong_credential");
    ann.done("create_bot", json!({"name": "third", "token": FIRST}));
    assert_eq!(log_in(&visitors, leader, "third", FIRST), "");
    let other = ann.done("create_webhook", create("nightly"))["created"]["webhook"].as_u64().unwrap();
    assert_eq!(bob.refused("delete_webhook", json!({"webhook": other})), "forbidden");
    ann.done("delete_webhook", json!({"webhook": hook}));
    assert_eq!(each(&ann.done("list_webhooks", json!({"room": {"room": "tea"}}))["webhooks"], "name"), ["nightly"]);
    wait("the end of its address", || {
        posted(&servers, hook, SECOND, &json!({"text": "x"})) == Err("UNKNOWN_WEBHOOK".to_owned())
    });
    assert_eq!(each(&ann.done("list_bots", json!({}))["bots"], "name"), ["echo", "third", "nightly"]);
    assert!(ann.lost > 0 && bob.lost > 0, "everybody was at the server that was killed");
}
