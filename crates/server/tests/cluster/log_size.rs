//! The log stays small, whatever its entries weigh and however often the server is restarted.

use super::harness::{Cluster, Person};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_entries_are_purged_by_their_bytes() {
    let mut cluster = Cluster::start(1).await;
    cluster.halt(0).await;
    cluster.tune(0, |tuning| {
        (tuning.snapshot_entries, tuning.keep_entries, tuning.log_bytes) = (1_000_000, 1_000_000, 64 << 10);
    });
    cluster.resume(0);
    let mut alice = Person::register(&cluster, 0, "alice").await;
    let mut bob = Person::register(&cluster, 0, "bob").await;
    let texts = (0..60).map(|n| format!("{n} {}", "x".repeat(2000))).collect::<Vec<_>>();
    for text in &texts {
        alice.send(0, "bob", text).await;
    }
    cluster.wait_until_purged(0, 10).await;
    // What was purged is in the state.
    cluster.halt(0).await;
    cluster.resume(0);
    assert_eq!(bob.receive(0, texts.len()).await, texts);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_restarted_often_purges_all_the_same() {
    let mut cluster = Cluster::start(1).await;
    cluster.halt(0).await;
    cluster.tune(0, |tuning| tuning.snapshot_entries = 1_000_000);
    cluster.resume(0);
    let mut alice = Person::register(&cluster, 0, "alice").await;
    for n in 0..100 {
        alice.send(0, "alice", &format!("message {n}")).await;
    }
    cluster.halt(0).await;
    // Fewer than that since the start, more in the log.
    cluster.tune(0, |tuning| tuning.snapshot_entries = 80);
    cluster.resume(0);
    cluster.wait_until_purged(0, 80).await;
    cluster.stop().await;
}
