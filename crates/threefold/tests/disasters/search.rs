//! Search in messages over three servers, through deaths, restarts and broken indexes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{Cluster, Flow, Person, until, wait};

/// Waits until a search finds exactly these: what others have seen acknowledged may take a moment to get to a server.
fn finds(person: &Person, arguments: &[&str], expected: &[u64]) {
    wait("a search", || found(person, arguments) == expected);
}

/// The ids that a search prints, newest first.
fn found(person: &Person, arguments: &[&str]) -> Vec<u64> {
    let lines = person.json(&[&["search"], arguments].concat());
    lines.iter().filter(|line| line["type"] == "message").map(|line| line["id"].as_u64().unwrap()).collect()
}

fn send(person: &Person, to: &str, body: &str) -> u64 {
    person.json(&["send", to, body])[0]["id"].as_u64().unwrap()
}

fn number(status: &Value, key: &str) -> u64 {
    status[key].as_u64().unwrap()
}

/// The files with the postings.
fn segments(search: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(search).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "idx")).collect()
}

/// Waits until a server's index holds all that the server has applied.
fn wait_until_indexed(cluster: &Cluster, place: usize) {
    wait("a complete search index", || {
        cluster.own_status(place).is_some_and(|own| {
            number(&own, "search_index") > 0 && number(&own, "search_index") >= number(&own, "applied_index")
        })
    });
}

#[test]
fn what_was_said_is_found_at_every_server_and_after_the_leaders_death() {
    let mut cluster = Cluster::start(&[]);
    let [alice, bob, eve] = ["alice", "bob", "eve"].map(|name| cluster.person(name));
    let one = send(&alice, "bob", "Das Café an der Straße");
    let two = send(&bob, "alice", "the cafe is closed, 東京都 is open");
    let own = send(&eve, "eve", "a cafe of my own");
    for place in 0..3 {
        let at = |person: &Person| person.at(&cluster.servers[place].client);
        // At once, whether the index has it or not; and again when it has.
        for _ in 0..2 {
            finds(&at(&alice), &["CAFÉ"], &[two, one]);
            finds(&at(&bob), &["straß*", "cafe"], &[one]);
            finds(&at(&bob), &["京都"], &[two]);
            finds(&at(&alice), &["cafe", "--from", "alice"], &[one]);
            finds(&at(&alice), &["cafe", "--in", "bob", "--limit", "1"], &[two]);
            finds(&at(&alice), &["cafe", "--before", &two.to_string()], &[one]);
            finds(&at(&eve), &["cafe"], &[own]);
            wait_until_indexed(&cluster, place);
        }
    }
    assert_eq!(alice.fails(&["search", "?"]).short(), (1, "SEARCH_INVALID"));
    assert_eq!(alice.fails(&["search", "x1", "--from", "nobody"]).short(), (1, "UNKNOWN_USER"));
    let shown = alice.done(&["search", "closed"]);
    assert!(shown.contains("bob → you: the cafe is closed"), "{shown}");

    alice.done(&["edit", &one.to_string(), "Das Kaffeehaus, ein Café"]);
    finds(&bob, &["straße"], &[]);
    finds(&bob, &["kaffeehaus"], &[one]);

    let leader = cluster.leader();
    cluster.servers[leader].kill();
    let three = send(&alice, "bob", "another cafe");
    bob.done(&["delete-message", &two.to_string(), "--everyone"]);
    alice.done(&["delete-message", &one.to_string()]);
    finds(&alice, &["cafe"], &[three]);
    finds(&bob, &["cafe"], &[three, one]);
    cluster.start_all();
    cluster.wait_until_whole();
    for place in 0..3 {
        wait_until_indexed(&cluster, place);
        finds(&alice.at(&cluster.servers[place].client), &["cafe"], &[three]);
        finds(&bob.at(&cluster.servers[place].client), &["cafe"], &[three, one]);
    }
}

#[test]
fn a_killed_servers_index_goes_on_and_a_broken_one_is_made_anew() {
    let mut cluster = Cluster::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    let flow = Flow::start(&alice, "bob");
    let place = (cluster.leader() + 1) % 3;
    for round in 0..4 {
        flow.wait_for_more(60);
        let search = cluster.servers[place].data.join("search");
        if round == 2 {
            // What is damaged must be part of the index, not left over from a commit that a kill prevented.
            let applied = number(&until("a status", || cluster.own_status(place)), "applied_index");
            let committed = |own: Value| number(&own, "search_index") >= applied;
            wait("a commit of the index", || cluster.own_status(place).is_some_and(committed));
        }
        cluster.servers[place].kill();
        match round {
            // Wherever it was, it goes on.
            0 | 1 => {}
            2 => {
                for file in segments(&search) {
                    fs::write(&file, b"nonsense").unwrap();
                }
            }
            _ => fs::remove_dir_all(&search).unwrap(),
        }
        cluster.servers[place].start(&[]);
        if round == 2 {
            // Before it is killed again.
            let server = &cluster.servers[place];
            wait("the damage to be noticed", || server.said().contains("search index is made anew"));
        }
    }
    cluster.wait_until_whole();
    let flow = flow.finish();
    wait_until_indexed(&cluster, place);
    // Every message exactly once, page by page.
    let bob = bob.at(&cluster.servers[place].client);
    wait("the last message", || bob.history("alice").len() >= flow.ids.len());
    let (mut all, mut before) = (Vec::new(), None::<u64>);
    loop {
        let start = before.map(|before| before.to_string());
        let page = match &start {
            Some(start) => found(&bob, &["alice", "--limit", "50", "--before", start]),
            None => found(&bob, &["alice", "--limit", "50"]),
        };
        let Some(last) = page.last() else { break };
        before = Some(*last);
        all.extend(page);
    }
    all.reverse();
    let history: Vec<u64> = bob.history("alice").iter().map(|message| number(message, "id")).collect();
    assert_eq!(all, history);
}
