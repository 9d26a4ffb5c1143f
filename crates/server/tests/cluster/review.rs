//! Review: what an operator may do by mistake must not lose or diverge anything.

use std::time::Duration;

use super::harness::{Cluster, Person};

/// The founder's configuration still says `bootstrap` when it comes back with an emptied directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_founder_does_not_found_a_second_cluster() {
    let mut cluster = Cluster::start(3).await;
    let mut alice = Person::register(&cluster, 1, "alice").await;
    let mut bob = Person::register(&cluster, 2, "bob").await;
    let texts = (0..20).map(|n| format!("message {n}")).collect::<Vec<_>>();
    for text in &texts {
        alice.send(1, "bob", text).await;
    }
    cluster.halt(0).await;
    cluster.empty(0);
    cluster.resume(0);
    cluster.wait_until_whole(Duration::from_secs(30)).await;
    let of = |status: threefold_proto::chat::ClusterStatus| status.recovery_id;
    let (one, other) = (cluster.whole_status(0).await, cluster.whole_status(1).await);
    assert_eq!(of(one), of(other), "one history");
    assert_eq!(bob.receive(0, texts.len()).await, texts);
    cluster.stop().await;
}

/// The state's directory is lost, the log (purged) is not: the server must refuse, not go on from nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_state_beside_a_purged_log_is_noticed() {
    let mut cluster = Cluster::start(3).await;
    let mut alice = Person::register(&cluster, 0, "alice").await;
    let mut bob = Person::register(&cluster, 1, "bob").await;
    let texts = (0..150).map(|n| format!("message {n}")).collect::<Vec<_>>();
    for text in &texts {
        alice.send(0, "bob", text).await;
    }
    let follower = cluster.a_follower().await;
    cluster.wait_until_purged(follower, 1).await;
    cluster.halt(follower).await;
    cluster.lose_state(follower);
    cluster.resume(follower);
    let said = cluster.refusal(follower).await;
    assert!(said.contains("state is missing"), "{said}");
    // The others have everything.
    assert_eq!(bob.receive((follower + 1) % 3, texts.len()).await, texts);
    cluster.stop().await;
}

/// The log's directory is lost, and with it the vote: the server must refuse, or it could vote twice in a term.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_log_beside_a_state_is_noticed() {
    let mut cluster = Cluster::start(3).await;
    let mut alice = Person::register(&cluster, 0, "alice").await;
    alice.send(0, "alice", "hello").await;
    let follower = cluster.a_follower().await;
    cluster.halt(follower).await;
    cluster.lose_log(follower);
    cluster.resume(follower);
    let said = cluster.refusal(follower).await;
    assert!(said.contains("log is missing"), "{said}");
    cluster.stop().await;
}

/// A follower comes back at another address: the leader must dial that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_moved_is_followed_to_its_new_address() {
    let mut cluster = Cluster::start(3).await;
    let mut alice = Person::register(&cluster, 0, "alice").await;
    let follower = cluster.a_follower().await;
    cluster.halt(follower).await;
    cluster.move_peer_port(follower);
    cluster.resume(follower);
    drop(cluster.connect(follower).await);
    let sender = cluster.leader().await;
    alice.send(sender, "alice", "hello").await;
    let text = tokio::time::timeout(Duration::from_secs(30), alice.receive(follower, 1)).await;
    assert_eq!(text.expect("the leader still dials the old address"), ["hello"]);
    cluster.stop().await;
}
