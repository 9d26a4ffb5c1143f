//! Servers that have lost a part of what they had, or are told to found a cluster a second time.

use std::{fs, process::Command};

use crate::harness::{Cluster, Flow, check_history, wait};

/// Does something to the last server's directory while it is down and messages flow, and has it started again.
/// Whether it refuses or goes on: the others must not notice.
fn others_do_not_notice(options: &[&str], further: &[&str], lose: impl FnOnce(&mut Cluster, &Flow)) {
    let mut cluster = Cluster::start(options);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    let flow = Flow::start(&alice, "bob");
    flow.wait_for_more(200);
    lose(&mut cluster, &flow);
    cluster.servers[2].start(further);
    flow.wait_for_more(300);
    let flow = flow.finish();
    for place in 0..2 {
        assert!(cluster.servers[place].runs(), "{}", cluster.said());
        let history = bob.at(&cluster.servers[place].client).history_up_to("alice", flow.last());
        check_history(&history, &[&flow]);
    }
    assert!(!cluster.servers[2].said().contains("founded a new cluster"), "{}", cluster.servers[2].said());
    if cluster.servers[2].runs() {
        cluster.wait_until_whole();
        check_history(&bob.at(&cluster.servers[2].client).history_up_to("alice", flow.last()), &[&flow]);
    } else {
        assert!(!cluster.servers[2].said().contains("broken invariant"), "{}", cluster.servers[2].said());
    }
}

#[test]
fn a_server_whose_log_is_gone() {
    others_do_not_notice(&[], &[], |cluster, _| {
        cluster.servers[2].kill();
        fs::remove_dir_all(cluster.servers[2].data.join("log")).unwrap();
    });
}

/// Puts the last server's directory back as it was before its last run. `end` ends that run.
fn put_an_old_copy_back(end: impl Fn(&mut Cluster)) {
    others_do_not_notice(&[], &[], |cluster, flow| {
        let old = cluster.directory.join("old");
        cluster.servers[2].kill();
        let copied = Command::new("cp").arg("-r").arg(&cluster.servers[2].data).arg(&old).status();
        assert!(copied.unwrap().success());
        cluster.servers[2].start(&[]);
        cluster.wait_until_whole();
        flow.wait_for_more(200);
        end(cluster);
        fs::remove_dir_all(&cluster.servers[2].data).unwrap();
        fs::rename(&old, &cluster.servers[2].data).unwrap();
        cluster.servers[2].start(&[]);
        assert!(!cluster.servers[2].wait().success());
        let said = cluster.servers[2].said();
        assert!(said.contains("is an old copy of this server's directory"), "{said}");
        // Nor is it let in by being started again.
        let (code, again) = cluster.servers[2].refuses();
        assert!(code != 0 && again.contains("is an old copy of this server's directory"), "{again}");
        // As it says: emptied, it comes back.
        fs::remove_dir_all(&cluster.servers[2].data).unwrap();
    });
}

#[test]
fn a_server_with_an_old_copy_of_its_directory() {
    let proofs = |cluster: &Cluster| {
        let said = cluster.servers[0].said();
        said.lines().filter(|line| line.contains("proven") && line.contains("server-3")).count()
    };
    put_an_old_copy_back(|cluster| {
        let known = proofs(cluster);
        cluster.servers[2].kill();
        wait("the proof of its death", || proofs(cluster) > known);
    });
}

#[test]
fn a_server_with_an_old_copy_whose_last_run_nobody_saw_die() {
    put_an_old_copy_back(|cluster| cluster.servers[2].kill());
}

#[test]
fn a_server_whose_state_is_gone() {
    others_do_not_notice(&["--snapshot-entries", "40", "--keep-entries", "10"], &[], |cluster, _| {
        cluster.servers[2].kill();
        fs::remove_dir_all(cluster.servers[2].data.join("state")).unwrap();
    });
}

#[test]
fn a_server_that_founds_again_although_the_others_know_a_cluster() {
    others_do_not_notice(&[], &["--bootstrap"], |cluster, _| {
        cluster.servers[2].kill();
        fs::remove_dir_all(&cluster.servers[2].data).unwrap();
        fs::remove_file(&cluster.servers[2].log).unwrap();
    });
}
