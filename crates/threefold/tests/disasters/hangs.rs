//! Servers that hang while others are started again, and links that pass through something else.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use crate::harness::{Cluster, Flow, free_ports, wait};

/// Stops both followers, and waits until the leader says that it hears nobody. The leader, and the two.
fn hang_both_followers(cluster: &Cluster) -> (usize, usize, usize) {
    let leader = cluster.leader();
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.servers[one].signal("-STOP");
    cluster.servers[other].signal("-STOP");
    wait("a leader that hears nobody", || cluster.status(leader).is_some_and(|status| status["state"] == "frozen"));
    (leader, one, other)
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
    let (leader, hangs, again) = hang_both_followers(&cluster);
    cluster.servers[again].signal("-CONT");
    let flow = Flow::start(&alice.at(&cluster.servers[leader].client), "bob");
    flow.wait_for_more(5);
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
    thread::sleep(Duration::from_secs(3));
    let before = warnings();
    let mut details = Vec::new();
    for _ in 0..20 {
        let detail = cluster.status(0).unwrap()["detail"].as_str().unwrap().to_owned();
        if details.last() != Some(&detail) {
            details.push(detail);
        }
        thread::sleep(Duration::from_millis(200));
    }
    let after = warnings();
    assert!(after <= before && details.len() == 1, "{} warnings more; said in turn: {details:#?}", after - before);
}
