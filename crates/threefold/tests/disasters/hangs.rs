//! Servers that hang while others are started again, and links that pass through something else.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use crate::harness::{Cluster, Flow, Process, free_ports, text, until, wait};

/// Stops both followers while they are in sync, and waits until the leader says that it hears nobody. The leader, and the two.
fn hang_both_followers(cluster: &Cluster) -> (usize, usize, usize) {
    let changes = || cluster.said().matches("changing the in-sync set").count();
    until("two followers that hang while all are in sync", || {
        let leader = cluster.leader();
        let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
        let (before, is_normal) = (changes(), cluster.status(leader)?["state"] == "normal");
        let leadership = || cluster.own_status(leader).map(|status| (status["term"].clone(), status["role"].clone()));
        let led = leadership().filter(|(_, role)| is_normal && role == "leader")?.0;
        cluster.servers[one].signal("-STOP");
        cluster.servers[other].signal("-STOP");
        wait("a leader that hears nobody", || cluster.status(leader).is_some_and(|status| status["state"] == "frozen"));
        // One that was slow just then may have been taken out (rule 3): then the disk of the other one is waited for, and rightly.
        if changes() == before && until("a status", leadership).0 == led {
            return Some((leader, one, other));
        }
        cluster.servers[one].signal("-CONT");
        cluster.servers[other].signal("-CONT");
        cluster.wait_until_whole();
        None
    })
}

/// The leader never stopped, is in sync and leads; a second server's process was started again; the third hangs (or its host
/// is gone): two of three, one of them in sync all the time. The silent one must leave the in-sync set first: without it only disks are
/// needed that are here. Were the restarted one to leave first, the silent one's disk would be waited for.
#[test]
fn a_leader_and_a_server_started_again_go_on_while_the_third_hangs() {
    let mut cluster = Cluster::start(&[]);
    let alice = cluster.person("alice");
    cluster.person("bob");
    let (leader, hangs, again) = hang_both_followers(&cluster);
    cluster.kill(&[again]);
    cluster.servers[again].start(&[]);
    let flow = Flow::start(&alice.at(&cluster.servers[leader].client), "bob");
    flow.wait_for_more(5);
    cluster.servers[hangs].signal("-CONT");
    cluster.wait_until_whole();
    flow.finish();
}

/// The same, but the second server only hung too, and goes on as it is: the leader and it go on.
#[test]
fn a_leader_and_a_server_that_hung_go_on_while_the_third_hangs() {
    let cluster = Cluster::start(&[]);
    let alice = cluster.person("alice");
    cluster.person("bob");
    let carol = cluster.person("carol");
    alice.done(&["send", "bob", "before"]);
    let (leader, hangs, again) = hang_both_followers(&cluster);
    // Nothing that is written from here on concerns her.
    let mut waits = Process::spawn(&mut carol.at(&cluster.servers[leader].client).command(&["follow", "--once"]));
    let alice = alice.at(&cluster.servers[leader].client);
    // Until then what there is can be read, and nobody says that it is all.
    let told = alice.run(&["follow", "--once", "--json", "--after", "0", "--timeout", "2"]);
    assert_eq!(told.status.code(), Some(3), "{told:?}");
    assert!(text(told.stdout).contains("before"));
    assert!(alice.done(&["messages", "bob"]).contains("before"));
    cluster.servers[again].signal("-CONT");
    let flow = Flow::start(&alice, "bob");
    flow.wait_for_more(5);
    let ended = until("that all there is has come", || waits.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    cluster.servers[hangs].signal("-CONT");
    cluster.wait_until_whole();
    flow.finish();
}

/// Passes connections on, as a forwarded port does.
fn forward(from: u16, to: String) {
    let listener = TcpListener::bind(("127.0.0.1", from)).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().filter_map(Result::ok) {
            let Ok(server) = TcpStream::connect(&to) else { continue };
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
}

/// A stream over a link that is not direct never stands at the other side, and so is never named: it is opened anew every two
/// seconds, warns each time, and what is said of the cluster changes to and fro.
#[test]
fn streams_over_forwarded_ports_are_not_opened_anew_for_ever() {
    let mut cluster = Cluster::prepare(&[]);
    for server in &mut cluster.servers {
        let port = free_ports(1);
        forward(port, server.peer.clone());
        server.options.extend(["--peer-address".to_owned(), format!("127.0.0.1:{port}")]);
    }
    for (place, server) in cluster.servers.iter_mut().enumerate() {
        server.start(if place == 0 { &["--bootstrap"] } else { &[] });
    }
    wait("three voters", || {
        cluster.status(0).is_some_and(|status| {
            let servers = status["servers"].as_array().unwrap();
            servers.len() == 3 && servers.iter().all(|server| server["voter"] == true)
        })
    });
    let warnings = || cluster.said().matches("is not direct").count();
    // Opened anew every two seconds, they would never leave a stretch of four.
    wait("a stretch in which no stream is opened anew", || {
        let before = warnings();
        // Each server has told of its two streams.
        if before < 6 {
            return false;
        }
        let look = || cluster.status(0).map(|status| status["detail"].clone());
        let first = look();
        let mut looks = (0..20).map(|_| {
            thread::sleep(Duration::from_millis(200));
            look()
        });
        first.is_some() && looks.all(|detail| detail == first) && warnings() == before
    });
}
