//! Administrators, display names, and when somebody was last seen.

use serde_json::Value;

use crate::harness::{Cluster, Failed, Person, until, wait};

/// What the list of accounts says of somebody.
fn entry(reader: &Person, name: &str) -> Value {
    until("an account to be listed", || {
        let mut found = reader.json(&["users", name]);
        assert!(found.len() <= 1, "{found:?}");
        found.pop()
    })
}

fn log_in(person: &Person, password: &str) -> Failed {
    let mut command = person.command(&["login", &person.name, "--json"]);
    Failed::of(command.env("THREEFOLD_PASSWORD", password), b"")
}

#[test]
fn administrators_help_and_restrain_and_every_act_is_recorded() {
    let mut cluster = Cluster::start(&["--administrator", "spare"]);
    // The first account of a cluster is an administrator; by the configuration `spare` is one too.
    let [root, bob, eve] = ["root", "bob", "eve"].map(|name| cluster.person(name));
    let spare = cluster.person("spare");
    assert_eq!(bob.fails(&["admin", "disable", "eve"]).short(), (1, "NOT_ADMINISTRATOR"));
    assert_eq!(bob.fails(&["admin", "log"]).short(), (1, "NOT_ADMINISTRATOR"));
    assert_eq!(root.fails(&["admin", "disable", "root"]).short(), (1, "FORBIDDEN"));
    assert_eq!(root.fails(&["admin", "disable", "nobody"]).short(), (1, "UNKNOWN_USER"));

    root.done(&["admin", "disable", "Eve"]);
    wait("the end of eve's session", || eve.is_refused(&["whoami"], "SESSION_INVALID"));
    let leader = cluster.leader();
    cluster.kill(&[leader]);
    assert_eq!(log_in(&eve, "correct horse").short(), (1, "ACCOUNT_DISABLED"));
    assert_eq!(log_in(&eve, "wrong horse").short(), (1, "WRONG_CREDENTIAL"), "only who has the password is told");
    wait("that eve is shown as disabled", || entry(&bob, "eve")["disabled"] == true);
    root.done(&["admin", "enable", "eve"]);
    eve.done(&["login", "eve"]);

    // A password that an administrator gives: the sessions are over, and the old one is worth nothing.
    let mut reset = root.command(&["admin", "reset-password", "bob"]);
    assert!(reset.env("THREEFOLD_NEW_PASSWORD", "battery staple").output().unwrap().status.success());
    wait("the end of bob's session", || bob.is_refused(&["whoami"], "SESSION_INVALID"));
    assert_eq!(log_in(&bob, "correct horse").short(), (1, "WRONG_CREDENTIAL"));
    let mut again = bob.command(&["login", "bob"]);
    assert!(again.env("THREEFOLD_PASSWORD", "battery staple").output().unwrap().status.success());
    let mut short = root.command(&["admin", "reset-password", "bob", "--json"]);
    assert_eq!(Failed::of(short.env("THREEFOLD_NEW_PASSWORD", "short"), b"").short(), (1, "INVALID"));

    // Who is one by the configuration can make up for a lost administrator.
    cluster.start_all();
    spare.done(&["admin", "grant", "bob"]);
    assert_eq!(bob.fails(&["admin", "delete", "eve"]).short(), (2, "USAGE"), "nobody to ask");
    bob.done(&["admin", "delete", "eve", "--yes"]);
    assert_eq!(eve.fails(&["register", "eve", "--force"]).short(), (1, "NAME_TAKEN"));
    bob.done(&["admin", "free-name", "eve"]);
    eve.done(&["register", "eve", "--force"]);
    bob.done(&["admin", "revoke", "root"]);
    wait("the end of root's rights", || root.is_refused(&["admin", "log"], "NOT_ADMINISTRATOR"));
    let acts: Vec<(String, String, String)> =
        until("seven acts", || Some(spare.json(&["admin", "log"])).filter(|acts| acts.len() >= 7))
            .iter()
            .map(|act| ["by", "done", "name"].map(|key| act[key].as_str().unwrap().to_owned()).into())
            .collect();
    let told: Vec<(&str, &str, &str)> =
        acts.iter().rev().map(|(by, done, name)| (by.as_str(), done.as_str(), name.as_str())).collect();
    let expected = [
        ("root", "disabled", "eve"),
        ("root", "enabled", "eve"),
        ("root", "password reset", "bob"),
        ("spare", "administrator now", "bob"),
        ("bob", "deleted", "eve"),
        ("bob", "name freed", "eve"),
        ("bob", "no administrator any more", "root"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn people_are_shown_as_they_like_and_when_they_were_there() {
    let mut cluster = Cluster::start(&[]);
    let [ann, bob] = ["ann", "bob"].map(|name| cluster.person(name));
    assert_eq!(ann.done(&["display-name", "Ann Ö."]), "you are shown as ann (Ann Ö.)\n");
    wait("ann to be shown as she likes", || ann.done(&["whoami"]) == "ann (Ann Ö.)\n");
    assert_eq!(ann.fails(&["display-name", " "]).short(), (1, "INVALID"));
    ann.done(&["send", "bob", "hello"]);
    // Somebody who listens is there; then was there.
    assert!(entry(&bob, "ann")["last_seen_ms"] == 0);
    bob.done(&["follow", "--once", "--after", "0"]);
    let leader = cluster.leader();
    cluster.kill(&[leader]);
    assert_eq!(bob.history("ann")[0]["body"], "hello");
    wait("others to see it too", || entry(&bob, "ann")["display_name"] == "Ann Ö.");
    let follower = cluster.servers.iter().position(|server| server.is_started()).unwrap();
    let listening = ann.at(&cluster.servers[follower].client);
    wait("that ann was seen", || {
        listening.done(&["follow", "--once", "--after", "0"]);
        entry(&bob, "ann")["last_seen_ms"].as_u64().unwrap() > 0
    });
}

#[test]
fn accounts_and_sessions_outlive_the_leader() {
    let mut cluster = Cluster::start(&[]);
    let [ann, bob] = ["ann", "bob"].map(|name| cluster.person(name));
    let phone = ann.elsewhere("phone");
    ann.done(&["send", "bob", "remember me"]);
    assert_eq!(cluster.stranger("other").fails(&["register", "ANN"]).short(), (1, "NAME_TAKEN"));

    let leader = cluster.leader();
    cluster.kill(&[leader]);
    // Who was logged in still is; and another device, and another account, after the leader's death.
    assert_eq!(phone.done(&["whoami"]), "ann\n");
    let tablet = ann.elsewhere("tablet");
    let cy = cluster.person("cy");
    // One server, for another one may be a moment behind it.
    let here = ann.at(&cluster.servers[(leader + 1) % 3].client);
    wait("three sessions", || here.json(&["sessions"]).len() == 3);
    // One of them, then all others.
    let sessions = here.json(&["sessions"]);
    let of_tablet = sessions.iter().find(|session| session["device"] == "tablet").unwrap()["session"].to_string();
    here.done(&["sessions", "--end", &of_tablet]);
    wait("the end of the tablet's", || tablet.is_refused(&["whoami"], "SESSION_INVALID"));
    assert_eq!(phone.done(&["whoami"]), "ann\n", "the other one goes on");
    let another = ann.elsewhere("another");
    wait("three sessions again", || here.json(&["sessions"]).len() == 3);
    assert_eq!(here.json(&["sessions", "--end-others"]).len(), 2);
    wait("the end of all others", || another.is_refused(&["whoami"], "SESSION_INVALID"));
    wait("the end of the phone's", || phone.is_refused(&["whoami"], "SESSION_INVALID"));
    assert_eq!(tablet.fails(&["send", "bob", "too late"]).short(), (1, "SESSION_INVALID"));
    let phone = ann.elsewhere("phone");
    let mut change = ann.command(&["passwd"]);
    assert!(change.env("THREEFOLD_NEW_PASSWORD", "battery staple").output().unwrap().status.success());
    wait("the end of the other session", || phone.is_refused(&["whoami"], "SESSION_INVALID"));
    assert_eq!(log_in(&phone, "correct horse").short(), (1, "WRONG_CREDENTIAL"));
    cy.done(&["logout"]);
    assert_eq!(log_in(&cy, "wrong horse").short(), (1, "WRONG_CREDENTIAL"));
    cy.done(&["login", "cy"]);

    // Online is who listens, at whichever server.
    let listening = crate::harness::Process::spawn(&mut cy.command(&["follow", "--json"]));
    wait("cy to be online", || bob.json(&["online"]).iter().any(|one| one["name"] == "cy"));
    assert_eq!(bob.json(&["users", "*y"])[0]["name"], "cy");
    // In pages, each account on one of them.
    let page = |after: &str| -> Vec<String> {
        let found = bob.json(&["users", "--limit", "2", "--after", after]);
        found.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!((page(""), page("bob"), page("cy")), (vec!["ann".into(), "bob".into()], vec!["cy".into()], vec![]));
    assert!(bob.done(&["users", "--limit", "2"]).contains("there are more: --after bob"));
    drop(listening);

    cluster.start_all();
    cluster.wait_until_whole();
    let mut delete = ann.command(&["delete-account", "--yes"]);
    assert!(delete.env("THREEFOLD_PASSWORD", "battery staple").output().unwrap().status.success());
    assert_eq!(log_in(&phone, "battery staple").short(), (1, "WRONG_CREDENTIAL"));
    assert_eq!(phone.fails(&["register", "ann", "--force"]).short(), (1, "NAME_TAKEN"));
    wait("what she said, of nobody any more", || {
        let history = bob.json(&["unread"]).pop().unwrap_or_default();
        (&history["peer"], &history["last"]["body"]) == (&"".into(), &"remember me".into())
    });
}
