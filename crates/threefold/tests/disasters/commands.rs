//! What two people do with each other at their command lines, on real servers.

use std::{process::Child, thread};

use crate::harness::{Failed, Flow, Process, check_history, shared, text, until, wait};

#[test]
fn unread_read_and_deleted_between_two_people() {
    let [alice, bob] = ["pair-alice", "pair-bob"].map(|name| shared().person(name));
    let send = |body: &str| alice.json(&["send", "pair-bob", body])[0]["id"].as_u64().unwrap().to_string();
    let ids: Vec<String> = ["one", "two", "three", "four"].map(send).into();
    let unread = || {
        let rows = bob.json(&["unread"]);
        rows.iter()
            .map(|row| (row["peer"].as_str().unwrap().to_owned(), row["unread"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    let of_alice = |count: u64| vec![("pair-alice".to_owned(), count)];
    wait("four messages", || unread() == of_alice(4));
    // Looking consumes nothing, however often.
    for _ in 0..3 {
        assert_eq!(bob.history("pair-alice").len(), 4);
    }
    assert_eq!(unread(), of_alice(4));
    assert!(alice.json(&["unread"]).is_empty(), "one's own are not unread");
    bob.done(&["read", "pair-alice", "--up-to", &ids[1]]);
    assert_eq!(unread(), of_alice(2));
    // A marker never goes back.
    bob.done(&["read", "pair-alice", "--up-to", &ids[0]]);
    assert_eq!(unread(), of_alice(2));
    bob.done(&["read", "pair-alice"]);
    assert!(unread().is_empty());

    // For me: gone here, there for the other, on every device.
    bob.done(&["delete-message", &ids[0]]);
    assert_eq!(bob.history("pair-alice").len(), 3);
    assert_eq!(bob.elsewhere("phone").history("pair-alice").len(), 3);
    assert_eq!(alice.history("pair-bob").len(), 4);
    // For everyone: one's own only, and a mark stays.
    let forbidden = bob.fails(&["delete-message", &ids[1], "--everyone"]);
    assert_eq!(forbidden.short(), (1, "FORBIDDEN"), "{forbidden:?}");
    assert_eq!(bob.history("pair-alice")[0]["body"], "two");
    assert_eq!(alice.json(&["delete-message", &ids[1], &ids[2], "--everyone"]).len(), 2);
    for (person, peer) in [(&alice, "pair-bob"), (&bob, "pair-alice")] {
        let history = person.history(peer);
        let deleted: Vec<(bool, &str)> =
            history.iter().map(|one| (one["deleted"].as_bool().unwrap(), one["body"].as_str().unwrap())).collect();
        assert_eq!(deleted[deleted.len() - 3..], [(true, ""), (true, ""), (false, "four")]);
    }
    // Several at once: what can be done is done, what cannot is told.
    let output = alice.run(&["delete-message", &ids[3], "1", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(output.stdout).contains(&ids[3]) && text(output.stderr).contains("UNKNOWN_MESSAGE"));
}

#[test]
fn a_deleted_account_leaves_what_others_received() {
    let cluster = shared();
    let [alice, bob] = ["gone-alice", "gone-bob"].map(|name| cluster.person(name));
    let phone = alice.elsewhere("phone");
    alice.done(&["send", "gone-bob", "remember me"]);
    bob.done(&["send", "gone-alice", "I shall"]);
    assert_eq!(alice.fails(&["delete-account"]).short(), (2, "USAGE"), "nobody to ask, whatever the environment holds");
    let delete = ["delete-account", "--yes", "--json"];
    let wrong = Failed::of(alice.command(&delete).env("THREEFOLD_PASSWORD", "wrong horse"), b"");
    assert_eq!(wrong.short(), (1, "WRONG_CREDENTIAL"));
    assert_eq!(alice.done(&["whoami"]), "gone-alice\n");
    assert_eq!(alice.done(&["delete-account", "--yes"]), "deleted the account gone-alice\n");
    assert!(!alice.session.exists());
    wait("the end of the other session", || phone.is_refused(&["whoami"], "SESSION_INVALID"));
    assert_eq!(alice.fails(&["login", "gone-alice"]).short(), (1, "WRONG_CREDENTIAL"));
    // The name stays taken, and stands for nobody.
    assert_eq!(alice.fails(&["register", "Gone-Alice"]).short(), (1, "NAME_TAKEN"));
    assert_eq!(bob.fails(&["send", "gone-alice", "hello?"]).short(), (1, "UNKNOWN_USER"));
    wait("that nobody is called so", || bob.json(&["users", "gone-alice"]).is_empty());
    wait("what she said, of nobody any more", || {
        let unread = bob.json(&["unread"]).pop().unwrap_or_default();
        (&unread["peer"], &unread["last"]["from"]) == (&"".into(), &"gone-bob".into())
    });
    let events = bob.json(&["follow", "--once", "--after", "0"]);
    let received: Vec<(&str, &str)> = events
        .iter()
        .filter(|event| event["type"] == "message")
        .map(|message| (message["from"].as_str().unwrap(), message["body"].as_str().unwrap()))
        .collect();
    assert_eq!(received, [("", "remember me"), ("gone-bob", "I shall")]);
}

#[test]
fn commands_at_the_same_time_share_a_session_file() {
    let cluster = shared();
    let [alice, bob] = ["sharing-alice", "sharing-bob"].map(|name| cluster.person(name));
    let flow = Flow::start(&alice, "sharing-bob");
    for round in 0..4 {
        let start =
            |arguments: &[&str]| alice.at(&cluster.servers[round % 3].client).command(arguments).spawn().unwrap();
        let children: Vec<Child> = (0..3)
            .flat_map(|_| {
                [start(&["send", "sharing-alice", "note"]), start(&["whoami"]), start(&["follow", "--once", "--json"])]
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        }
    }
    let flow = flow.finish();
    check_history(&bob.history_up_to("sharing-alice", flow.last()), &[&flow]);
    assert_eq!(alice.history("sharing-alice").len(), 12);
    alice.done(&["follow", "--once"]);
    assert!(alice.json(&["follow", "--once"]).is_empty(), "the place was remembered");
    // One logs out while others are at work: they are refused with words, or were done before.
    let workers =
        ["one", "two", "three"].map(|name| alice.command(&["send", "sharing-bob", name, "--json"]).spawn().unwrap());
    alice.done(&["logout"]);
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        let refused = text(output.stderr).contains("SESSION_INVALID");
        assert!(output.status.success() || (output.status.code() == Some(1) && refused));
    }
    assert!(!alice.session.exists());
    alice.done(&["login", "sharing-alice"]);
}

#[test]
fn everybody_is_seen_online_at_every_server_while_following() {
    let cluster = shared();
    let [alice, bob] = ["online-alice", "online-bob"].map(|name| cluster.person(name));
    let online = |at: &str| {
        let people = bob.at(at).json(&["online"]);
        people.iter().any(|person| person["name"] == "online-alice" && person["online"] == true)
    };
    let child = Process::spawn(&mut alice.at(&cluster.servers[0].client).command(&["follow", "--json"]));
    for server in &cluster.servers {
        until("somebody to be online", || online(&server.client).then_some(()));
    }
    let found = bob.json(&["users", "online-al*"]);
    assert_eq!((found.len(), &found[0]["online"]), (1, &true.into()));
    drop(child);
    thread::scope(|scope| {
        for server in &cluster.servers {
            scope.spawn(|| until("somebody to be gone", || (!online(&server.client)).then_some(())));
        }
    });
}
