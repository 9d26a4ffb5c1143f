//! Whole clusters in one process, over real sockets: forming, failing over, coming back empty.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod durability;
mod harness;
mod log_size;
mod review;

use std::time::Duration;

use harness::{Cluster, Person};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_form_a_cluster_and_any_of_them_takes_a_message() {
    let cluster = Cluster::start(3).await;
    let mut alice = Person::register(&cluster, 0, "alice").await;
    let mut bob = Person::register(&cluster, 1, "bob").await;
    for (server, text) in [(0, "one"), (1, "two"), (2, "three")] {
        alice.send(server, "bob", text).await;
    }
    assert_eq!(bob.receive(2, 3).await, ["one", "two", "three"]);
    assert_eq!(bob.receive(0, 3).await, ["one", "two", "three"], "the same from every server");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_an_emptied_directory_takes_the_old_ones_place_by_streamed_install() {
    let mut cluster = Cluster::start(3).await;
    let mut alice = Person::register(&cluster, 0, "alice").await;
    let mut bob = Person::register(&cluster, 1, "bob").await;
    let texts = (0..200).map(|n| format!("message {n}")).collect::<Vec<_>>();
    for text in &texts[..150] {
        alice.send(0, "bob", text).await;
    }
    let follower = cluster.a_follower().await;
    cluster.halt(follower).await;
    cluster.empty(follower);
    let survivor = (follower + 1) % 3;
    for text in &texts[150..] {
        alice.send(survivor, "bob", text).await;
    }
    cluster.resume(follower);
    cluster.wait_until_whole(Duration::from_secs(60)).await;
    let status = cluster.status(follower).await;
    assert!(status.purged_index > 0, "it was refilled by an install, not from the log: {status:?}");
    assert_eq!(bob.receive(follower, texts.len()).await, texts);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_and_everything_goes_on() {
    let mut cluster = Cluster::start(3).await;
    let mut alice = Person::register(&cluster, 0, "alice").await;
    for round in 0..3 {
        let leader = cluster.leader().await;
        alice.send(leader, "alice", &format!("before {round}")).await;
        cluster.halt(leader).await;
        alice.send((leader + 1) % 3, "alice", &format!("after {round}")).await;
        cluster.resume(leader);
        cluster.wait_until_whole(Duration::from_secs(30)).await;
    }
    let expected = (0..3).flat_map(|round| [format!("before {round}"), format!("after {round}")]).collect::<Vec<_>>();
    assert_eq!(alice.receive(1, 6).await, expected);
    cluster.stop().await;
}
