//! Servers that die, alone and all together, and one that comes back with nothing.

use std::fs;

use serde_json::Value;

use crate::harness::{Cluster, Flow, Follower, check_history, until, wait};

/// The log is purged all the time.
const SOON_PURGED: &[&str] = &["--snapshot-entries", "40", "--keep-entries", "10"];

#[test]
fn all_servers_killed_at_once_come_back_with_everything_acknowledged() {
    let mut cluster = Cluster::start(SOON_PURGED);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| cluster.person(name));
    let mut delivered = Follower::start(&bob, &cluster.directory);
    let from_alice = Flow::start(&alice.at(&cluster.servers[0].client), "bob");
    let from_carol = Flow::start(&carol.at(&cluster.servers[1].client), "bob");
    for _ in 0..3 {
        from_alice.wait_for_more(60);
        from_carol.wait_for_more(20);
        cluster.kill_all();
        cluster.start_all();
    }
    from_alice.wait_for_more(20);
    // One sender is killed together with the servers, and never learns what became of its last messages.
    cluster.kill_all();
    let from_carol = from_carol.kill();
    cluster.start_all();
    cluster.wait_until_whole();
    let from_alice = from_alice.finish();
    check_history(&bob.history_up_to("alice", from_alice.last()), &[&from_alice]);
    check_history(&bob.history_up_to("carol", from_carol.last()), &[&from_carol]);
    check_history(&alice.history("bob"), &[&from_alice]);
    let last = carol.json(&["send", "bob", &format!("carol {}", carol.history("bob").len())])[0]["id"].as_u64();
    let delivered = delivered.wait_for(last.unwrap());
    check_history(&delivered, &[&from_alice, &from_carol]);
    assert_eq!(delivered.len(), bob.history("alice").len() + bob.history("carol").len());
}

#[test]
fn an_emptied_server_takes_its_old_place_and_is_refilled_while_messages_flow() {
    let mut cluster = Cluster::start(SOON_PURGED);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    let flow = Flow::start(&alice, "bob");
    // First a follower, then the leader: it may be the one that founded the cluster, and must not do so again.
    let follower = (cluster.leader() + 1) % 3;
    empty_and_refill(&mut cluster, follower, &flow);
    let leader = cluster.leader();
    empty_and_refill(&mut cluster, leader, &flow);
    let flow = flow.finish();
    // With the one server dead that was never emptied, the others alone know.
    let third = 3 - follower - leader;
    cluster.servers[third].kill();
    let last = alice.json(&["send", "bob", &format!("alice {}", flow.ids.len())])[0]["id"].as_u64();
    for place in [follower, leader] {
        let bob = bob.at(&cluster.servers[place].client);
        let history = bob.history_up_to("alice", last.unwrap());
        check_history(&history, &[&flow]);
        assert_eq!(history.len(), flow.ids.len() + 1);
    }
}

fn empty_and_refill(cluster: &mut Cluster, place: usize, flow: &Flow) {
    let number = |status: &Value, key: &str| status[key].as_u64().unwrap();
    wait("a purge", || {
        (0..3).all(|place| cluster.own_status(place).is_some_and(|status| number(&status, "purged_index") > 0))
    });
    let old = number(&until("a status", || cluster.own_status(place)), "id");
    cluster.servers[place].kill();
    fs::remove_dir_all(&cluster.servers[place].data).unwrap();
    flow.wait_for_more(30);
    cluster.servers[place].start(&[]);
    flow.wait_for_more(30);
    cluster.wait_until_whole();
    let new = until("a status", || cluster.own_status(place));
    assert_ne!(number(&new, "id"), old, "a new member in the old one's place");
    assert!(number(&new, "purged_index") > 0, "refilled with a whole state, not with entries: {new}");
}
