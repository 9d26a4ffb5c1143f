//! A server whose disk is full stops with a clear error; the others go on; with room again it has everything.
//!
//! Needs a small file system to fill, so it runs only where one can be mounted, and says so elsewhere.

use crate::harness::{Cluster, Flow, SmallDisk, check_history, wait};

#[test]
fn a_server_with_a_full_disk_stops_and_comes_back_with_everything() {
    let mut cluster = Cluster::prepare(&[]);
    // A directory within, for the filler is not the server's.
    let Some(disk) = SmallDisk::mount(&cluster.directory.join("small")) else { return };
    cluster.servers[0].data = disk.path.join("data");
    cluster.found();
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    let flow = Flow::start(&alice, "bob");
    // Twice: the one that founded the cluster most likely leads at first, and follows after it has come back.
    for round in 0..2 {
        flow.wait_for_more(20);
        disk.fill(256 << 10);
        let before = full(&cluster.servers[0].said());
        let server = &mut cluster.servers[0];
        // Long texts fill what is left.
        let text = "x".repeat(16_000);
        wait("the server to stop", || {
            alice.done(&["send", "alice", &text]);
            !server.runs()
        });
        // In order, or at once where that takes too long.
        let ended = server.wait();
        let said = server.said();
        assert!(!ended.success() && full(&said) > before, "{ended}: {said}");
        flow.wait_for_more(20);
        // It does not start on a disk that is still full.
        let (code, said) = cluster.servers[0].refuses();
        assert_eq!(code, 1, "{said}");
        assert!(last_word(&said).contains("No space left on device"), "round {round}: {said}");
        flow.wait_for_more(20);
        disk.make_room();
        cluster.servers[0].start(&[]);
        cluster.wait_until_whole();
    }
    let flow = flow.finish();
    // Without one of the others, its part in every majority shows.
    cluster.servers[1].kill();
    let last = alice.json(&["send", "bob", &format!("alice {}", flow.ids.len())])[0]["id"].as_u64();
    let history = bob.at(&cluster.servers[0].client).history_up_to("alice", last.unwrap());
    check_history(&history, &[&flow]);
    assert_eq!(history.len(), flow.ids.len() + 1);
    drop(cluster);
}

/// How often it was said that there is no room.
fn full(said: &str) -> usize {
    said.matches("No space left on device").count()
}

/// Why the program ended, as it says at the end. Behind it a thread that runs still may have written to the log.
fn last_word(said: &str) -> &str {
    said.lines().rfind(|line| line.starts_with("threefold: ")).unwrap_or_default()
}
