//! Accounts, sessions, people, and administrators.

use serde_json::json;

use super::{all, code, each, open};
use crate::harness::{PASSWORD, until, wait};

const OTHER_PASSWORD: &str = "battery staple";

#[test]
fn pages_have_accounts_and_sessions_through_a_failover() {
    let (mut cluster, leader, visitors) = open(&[]);
    let [mut ann, mut bob] = [(leader, "ann"), (leader + 1, "bob")].map(|(place, name)| visitors.register(place, name));
    assert_eq!(code(&visitors.try_register(leader + 2, "ANN").err().unwrap()), "name_taken");
    assert_eq!(code(&visitors.try_register(leader + 2, "no name").err().unwrap()), "invalid");
    let log_in = |place, password, device| visitors.log_in(place, "Ann", password, device);
    assert_eq!(code(&log_in(leader, "wrong horse", "phone").err().unwrap()), "wrong_credential");
    let mut phone = log_in(leader + 1, PASSWORD, "phone").unwrap();
    ann.follow();
    assert_eq!(ann.event("session_opened")["device"], "page");
    assert_eq!(ann.event("session_opened")["device"], "phone");
    ann.send("bob", "remember me");

    cluster.servers[leader].kill();
    let mut tablet = log_in(leader, PASSWORD, "tablet").unwrap();
    assert_eq!(ann.event("session_opened")["device"], "tablet");
    assert!(ann.lost > 0, "her server was killed");
    let sessions = ann.done("list_sessions", json!({}));
    let mut devices = each(&sessions["sessions"], "device");
    devices.sort_unstable();
    assert_eq!(devices, ["page", "phone", "tablet"]);
    let current: Vec<_> = all(&sessions["sessions"]).iter().filter(|session| session["current"] == true).collect();
    assert_eq!((current.len(), &current[0]["device"]), (1, &"page".into()));

    // One of them, by its id; and what is over is over everywhere.
    ann.done("end_session", json!({"session": phone.session}));
    assert_eq!(ann.event("session_ended")["session"], phone.session);
    wait("the end of a session", || {
        phone.ask("who_am_i", json!({})).is_err_and(|error| code(&error) == "session_invalid")
    });
    assert_eq!(ann.refused("end_session", json!({"session": bob.session})), "unknown_session", "somebody else's");
    // All others, with the old password.
    let change = |old: &str| json!({"old_password": old, "new_password": OTHER_PASSWORD});
    assert_eq!(ann.refused("change_password", change("wrong horse")), "wrong_credential");
    ann.done("change_password", change(PASSWORD));
    assert_eq!(ann.event("password_changed")["by"], ann.session);
    wait("the end of all others", || tablet.ask("who_am_i", json!({})).is_err());
    assert_eq!(code(&log_in(leader, PASSWORD, "phone").err().unwrap()), "wrong_credential");
    let mut laptop = log_in(leader, OTHER_PASSWORD, "laptop").unwrap();
    laptop.done("logout", json!({}));
    wait("the end of the laptop", || laptop.ask("who_am_i", json!({})).is_err());
    // Her server may be a moment behind the one that was asked.
    wait("the end of the laptop's session", || {
        each(&ann.done("list_sessions", json!({}))["sessions"], "device") == ["page"]
    });

    // People.
    let display_name = json!({"display_name": "Ann Ö."});
    ann.done("set_display_name", display_name);
    wait("her server to know it too", || ann.done("who_am_i", json!({}))["display_name"] == "Ann Ö.");
    wait("ann to be found, and online", || {
        let found = bob.done("search_accounts", json!({"pattern": "A*N"}));
        let online = bob.done("list_online", json!({}));
        let ann = &found["accounts"][0];
        each(&online["accounts"], "name") == ["ann"]
            && (&ann["display_name"], &ann["online"]) == (&"Ann Ö.".into(), &true.into())
    });
    let first = bob.done("search_accounts", json!({"limit": 1}));
    assert_eq!((each(&first["accounts"], "name"), &first["more"]), (vec!["ann"], &true.into()));
    let second = bob.done("search_accounts", json!({"limit": 1, "after": "ann"}));
    assert_eq!((each(&second["accounts"], "name"), &second["more"]), (vec!["bob"], &serde_json::Value::Null));
    ann.leave();
    wait("that ann was seen", || {
        let found = bob.done("search_accounts", json!({"pattern": "ann"}));
        found["accounts"][0]["last_seen_ms"].as_u64() > Some(0)
    });

    // What others received stays, of nobody any more; the name stays taken.
    assert_eq!(ann.refused("delete_account", json!({"password": PASSWORD})), "wrong_credential");
    ann.done("delete_account", json!({"password": OTHER_PASSWORD}));
    assert_eq!(code(&log_in(leader, OTHER_PASSWORD, "page").err().unwrap()), "wrong_credential");
    assert_eq!(code(&visitors.try_register(leader, "ann").err().unwrap()), "name_taken");
    assert_eq!(bob.refused("send_message", json!({"to": {"user": "ann"}, "body": "hello?"})), "unknown_user");
    let known = bob.done("list_conversations", json!({}));
    let last = &known["conversations"][0]["last"];
    assert_eq!((&last["body"], &last["author_name"]), (&"remember me".into(), &serde_json::Value::Null));
}

#[test]
fn pages_of_administrators_act_through_a_failover() {
    let (mut cluster, leader, visitors) = open(&["--administrator", "spare"]);
    let names = ["root", "bob", "eve", "spare"];
    let [mut root, mut bob, mut eve, mut spare] = names.map(|name| visitors.register(leader, name));
    let act = |name: &str, action: &str| json!({"name": name, "action": {action: {}}});
    assert_eq!(bob.refused("administer", act("eve", "disable")), "not_administrator");
    assert_eq!(bob.refused("list_administration", json!({})), "not_administrator");
    assert_eq!(root.refused("administer", act("root", "disable")), "forbidden");
    assert_eq!(root.refused("administer", act("nobody", "disable")), "unknown_user");
    root.done("administer", act("eve", "disable"));

    cluster.servers[leader].kill();
    // Her server hears of it a moment after the one that was told.
    wait("the end of eve's session", || eve.ask("who_am_i", json!({})).is_err());
    let log_in = |name: &str, password: &str| visitors.log_in(leader, name, password, "page");
    assert_eq!(code(&log_in("eve", PASSWORD).err().unwrap()), "account_disabled");
    root.done("administer", act("eve", "enable"));
    let mut eve = log_in("eve", PASSWORD).unwrap();
    let reset = json!({"name": "bob", "action": {"reset_password": {"new_password": OTHER_PASSWORD}}});
    root.done("administer", reset);
    wait("the end of bob's session", || bob.ask("who_am_i", json!({})).is_err());
    assert_eq!(code(&log_in("bob", PASSWORD).err().unwrap()), "wrong_credential");
    let mut bob = log_in("bob", OTHER_PASSWORD).unwrap();
    // By the configuration of the servers.
    spare.done("administer", act("bob", "grant"));
    bob.done("administer", act("eve", "delete"));
    wait("the end of eve's session", || eve.ask("who_am_i", json!({})).is_err());
    bob.done("administer", act("eve", "free_name"));
    visitors.register(leader, "eve");
    bob.done("administer", act("root", "revoke"));
    // Lists are of the server that is asked, which may be a moment behind the one that was told.
    wait("the end of root's rights", || {
        root.ask("list_administration", json!({})).is_err_and(|error| code(&error) == "not_administrator")
    });
    wait("bob to be the only administrator", || {
        let listed = bob.done("search_accounts", json!({}));
        let administrators = all(&listed["accounts"]).iter().filter(|one| one["administrator"] == true);
        administrators.map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>() == ["bob"]
    });
    let recorded = until("seven acts", || {
        Some(bob.done("list_administration", json!({}))).filter(|recorded| all(&recorded["acts"]).len() >= 7)
    });
    let what = ["revoked", "name_freed", "deleted", "granted", "password_reset", "enabled", "disabled"];
    assert_eq!(each(&recorded["acts"], "what"), what, "newest first");
    assert_eq!(each(&recorded["acts"], "by_name"), ["bob", "bob", "bob", "spare", "root", "root", "root"]);
    assert!(root.lost > 0, "everybody was at the server that was killed");
}
