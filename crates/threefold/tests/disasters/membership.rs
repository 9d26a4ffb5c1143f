//! A cluster that grows, shrinks, and has its servers replaced, by operators' commands while messages flow.

use crate::harness::{Cluster, Flow, Server, check_history, leader, until, voters, wait};

/// Waits until a server says, in its log, that it is a member no more.
fn until_it_says_that_it_is_removed(server: &Server) {
    wait("a removed server's word", || server.said().contains("this server is not a member any more"));
}

#[test]
fn from_three_servers_to_five_and_back_to_three_while_messages_flow() {
    let mut cluster = Cluster::start(&[]);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| cluster.person(name));
    let flows = [Flow::start(&alice, "bob"), Flow::start(&carol, "bob")];
    let go_on = || flows.iter().for_each(|flow| flow.wait_for_more(60));
    let operator = cluster.operator();
    // One that runs before it is let in, and one after.
    let mut fourth = cluster.further("server-4");
    fourth.start(&[]);
    wait("a stranger's word", || fourth.said().contains("`threefold join server-4 "));
    go_on();
    operator.done(&["join", "server-4", &fourth.peer, "--wait"]);
    let mut fifth = cluster.further("server-5");
    operator.done(&["join", "server-5", &fifth.peer]);
    fifth.start(&[]);
    let answer = operator.done(&["join", "server-5", &fifth.peer, "--wait"]);
    assert_eq!(voters(&answer), ["server-1", "server-2", "server-3", "server-4", "server-5"]);
    cluster.servers.extend([fourth, fifth]);
    cluster.wait_until_whole();
    // Of five, two may be lost, also the two that were there before.
    for place in [0, 1] {
        cluster.servers[place].kill();
    }
    go_on();
    cluster.start_all();
    cluster.wait_until_whole();
    // The leader leaves, and another of the first.
    let mut removed = Vec::new();
    for _ in 0..2 {
        let place = cluster.leader();
        let name = cluster.servers[place].name.clone();
        let answer = operator.done(&["remove", &name]);
        assert!(!voters(&answer).contains(&name.as_str()), "{answer}");
        let server = cluster.servers.remove(place);
        until_it_says_that_it_is_removed(&server);
        removed.push(server);
        go_on();
    }
    cluster.wait_until_whole();
    // Neither a restart nor an empty directory brings them back, although they are configured everywhere.
    removed[0].kill();
    removed[0].log.set_extension("again");
    removed[0].start(&[]);
    removed[1].kill();
    std::fs::remove_dir_all(&removed[1].data).unwrap();
    removed[1].log.set_extension("again");
    removed[1].start(&[]);
    removed.iter().for_each(until_it_says_that_it_is_removed);
    cluster.kill_all();
    cluster.start_all();
    go_on();
    cluster.wait_until_whole();
    let flows = flows.map(Flow::finish);
    for (flow, author) in flows.iter().zip(["alice", "carol"]) {
        for server in &cluster.servers {
            check_history(&bob.at(&server.client).history_up_to(author, flow.last()), &[flow]);
        }
    }
    // An operator may think again.
    let answer = operator.done(&["join", &removed[0].name, &removed[0].peer, "--wait"]);
    assert_eq!(voters(&answer).len(), 4);
    cluster.servers.push(removed.remove(0));
    cluster.wait_until_whole();
    let last = flows[0].last();
    check_history(&bob.at(&cluster.servers[3].client).history_up_to("alice", last), &[&flows[0]]);
}

#[test]
fn a_server_is_replaced_by_a_new_one_in_a_single_change() {
    let mut cluster = Cluster::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    let flow = Flow::start(&alice, "bob");
    let operator = cluster.operator();
    // The leader of all is replaced, while it runs; then a follower, which is dead.
    for (round, name) in ["server-4", "server-5"].into_iter().enumerate() {
        let place = if round == 0 { cluster.leader() } else { (cluster.leader() + 1) % 3 };
        if round == 1 {
            cluster.servers[place].kill();
        }
        let mut new = cluster.further(name);
        let old = cluster.servers.remove(place);
        flow.wait_for_more(30);
        operator.done(&["replace", &old.name, name, &new.peer]);
        new.start(&[]);
        let answer = operator.done(&["replace", &old.name, name, &new.peer, "--wait"]);
        assert_eq!(voters(&answer).len(), 3);
        assert!(voters(&answer).contains(&name) && !voters(&answer).contains(&old.name.as_str()), "{answer}");
        flow.wait_for_more(30);
        if round == 0 {
            until_it_says_that_it_is_removed(&old);
        }
        cluster.servers.push(new);
        cluster.wait_until_whole();
    }
    let flow = flow.finish();
    for server in &cluster.servers {
        check_history(&bob.at(&server.client).history_up_to("alice", flow.last()), &[&flow]);
    }
}

#[test]
fn what_would_do_harm_is_refused_and_what_is_done_already_is_done() {
    let mut cluster = Cluster::start(&[]);
    let operator = cluster.operator();
    let [first, second, third] = [0, 1, 2].map(|place| cluster.servers[place].peer.clone());
    for (arguments, words) in [
        (&["remove", "server-9"][..], "no server is called server-9; the members are server-1, server-2, server-3"),
        (&["transfer-leader", "server-9"], "no server is called server-9"),
        (&["replace", "server-9", "server-4", "127.0.0.1:1"], "no server is called server-9"),
        (&["replace", "server-1", "server-1", &first], "server-1 cannot replace itself"),
        (&["replace", "server-1", "server-2", &second], "server-2 is a member already: remove server-1"),
        (&["join", "server-4", &third], "server-3 is at "),
        (&["join", "server-2", "127.0.0.1:1"], "server-2 is a member already, at "),
        (&["join", "not a name", "127.0.0.1:1"], "not a name"),
    ] {
        let message = operator.refused(arguments);
        assert!(message.contains(words), "{arguments:?}: {message}");
    }
    assert_eq!(voters(&operator.done(&["join", "server-2", &second])).len(), 3, "it is a member");
    // An invitation may be taken back, twice.
    operator.done(&["join", "server-4", "127.0.0.1:1"]);
    for _ in 0..2 {
        operator.done(&["remove", "server-4"]);
    }
    for name in ["server-1", "server-2", "server-3", "server-3"] {
        let answer = operator.done(&["transfer-leader", name]);
        assert!(answer["detail"].as_str().unwrap().contains(name), "{answer}");
        wait("the chosen leader", || leader(&operator.done(&["transfer-leader", name])) == Some(name));
    }
    // One that takes long is asked of the next leader again, which may give it back.
    wait("another leader", || {
        let answer = operator.done(&["transfer-leader"]);
        answer["detail"].as_str().unwrap().strip_suffix(" leads").is_some_and(|name| name != "server-3")
    });
    for (word, on) in [("on", true), ("on", true), ("off", false)] {
        assert_eq!(operator.done(&["survivor-mode", word])["survivor_mode"], on);
    }
    // With one down, only that one may leave.
    let leads = cluster.leader();
    let (down, up) = ((leads + 1) % 3, (leads + 2) % 3);
    cluster.servers[down].kill();
    let [down, up] = [down, up].map(|place| cluster.servers[place].name.clone());
    let meant_a_room = operator.refused(&["remove", "bob"]);
    assert!(meant_a_room.contains("no server is called bob") && meant_a_room.contains("room remove"), "{meant_a_room}");
    let message = operator.refused(&["remove", &up]);
    assert!(message.contains("only 1 of 2 servers would be up") && message.contains(&down), "{message}");
    assert!(operator.refused(&["transfer-leader", &down]).contains("does not answer"));
    assert_eq!(voters(&operator.done(&["remove", &down])).len(), 2);
    // The last one stays.
    assert_eq!(voters(&operator.done(&["remove", &up])).len(), 1);
    let last = &cluster.servers[leads].name;
    assert!(operator.refused(&["remove", last]).contains("is the only server"));
    until("a message", || cluster.stranger("late").run(&["register", "late"]).status.success().then_some(()));
}

#[test]
fn the_operator_of_a_sole_survivor_lets_the_dead_go_and_others_in() {
    let mut cluster = Cluster::start(&[]);
    let operator = cluster.operator();
    let alice = cluster.person("alice");
    alice.done(&["send", "alice", "before"]);
    cluster.leave_alone(0);
    alice.done(&["send", "alice", "alone", "--timeout", "30"]);
    assert_eq!(voters(&operator.done(&["remove", "server-2"])), ["server-1"]);
    let removed = cluster.servers.remove(1);
    let mut fourth = cluster.further("server-4");
    operator.done(&["join", "server-4", &fourth.peer]);
    fourth.start(&[]);
    operator.done(&["join", "server-4", &fourth.peer, "--wait"]);
    cluster.servers.push(fourth);
    cluster.start_all();
    cluster.wait_until_whole();
    assert_eq!(voters(&operator.done(&["join", "server-4", &cluster.servers[2].peer])).len(), 3);
    drop(removed);
    cluster.wait_until_whole();
    // And again the last one goes on alone.
    cluster.leave_alone(2);
    let last = alice.at(&cluster.servers[2].client);
    last.done(&["send", "alice", "alone again", "--timeout", "30"]);
    assert_eq!(last.history("alice").len(), 3);
}
