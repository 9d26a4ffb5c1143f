//! What a restoration does to servers of the old cluster, and what it must not: they may be alive, and come back.

use std::fs;

use super::{
    backup::{at_another, refused, restore, word},
    recovery::{are_refused_until_emptied, configuration},
};
use crate::harness::{Cluster, Person, wait};

/// Sends something to oneself; gives the message's id.
fn sent(person: &Person, body: &str) -> u64 {
    person.json(&["send", "ann", body])[0]["id"].as_u64().unwrap()
}

/// Starts the first server, and waits until it leads.
fn lead(cluster: &mut Cluster) {
    cluster.servers[0].start(&[]);
    wait("a leader", || cluster.own_status(0).is_some_and(|status| status["role"] == "leader"));
}

#[test]
fn a_living_cluster_is_not_restored_over_and_its_servers_come_back_to_a_restored_one_only_when_they_are_emptied() {
    let mut cluster = Cluster::start(&[]);
    let ann = cluster.person("ann");
    let kept = sent(&ann, "kept");
    let path = cluster.directory.join("x.backup");
    cluster.operator().done(&["backup", word(&path)]);
    let since = sent(&ann, "since");
    let file = configuration(&cluster, &cluster.servers[0]);
    cluster.servers[0].kill();
    fs::remove_dir_all(&cluster.servers[0].data).unwrap();
    let declined = refused(&["restore", word(&path), "--config", &file]);
    let words = "nothing was made: there is still a process at server-2 at ";
    assert!(declined.short() == (1, "REFUSED") && declined.message.contains(words), "{declined:?}");
    assert!(!cluster.servers[0].data.exists());
    // One is as good as two: nobody knows what it alone has.
    cluster.servers[1].kill();
    let declined = refused(&["restore", word(&path), "--config", &file]);
    assert!(declined.message.contains("there is still a process at server-3 at "), "{declined:?}");
    cluster.start_all();
    cluster.wait_until_whole();
    assert_eq!(ann.history_up_to("ann", since).len(), 2, "everything is there that was");

    // Now they are stopped, as one is told to.
    cluster.kill_all();
    fs::remove_dir_all(&cluster.servers[0].data).unwrap();
    restore(&cluster, &path);
    cluster.servers[0].log.set_extension("restored");
    lead(&mut cluster);
    let restored = at_another(&ann, &cluster, "restored");
    let after = sent(&restored.at(&cluster.servers[0].client), "after");
    assert!(after > since, "no id is given twice");
    // Two of them are a majority of the old cluster, and nothing all the same.
    are_refused_until_emptied(&mut cluster, [1, 2], &ann, "ann");
    cluster.wait_until_whole();
    let ids =
        restored.history_up_to("ann", after).iter().map(|message| message["id"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(ids, [kept, after]);
}

#[test]
fn who_looks_into_a_backup_beside_the_living_cluster_stays_with_that_and_who_finds_it_gone_moves() {
    let mut living = Cluster::start(&[]);
    let ann = living.person("ann");
    let kept = sent(&ann, "kept");
    let path = living.directory.join("x.backup");
    living.operator().done(&["backup", word(&path)]);
    let since = sent(&ann, "since");
    let mut copy = Cluster::prepare(&[]);
    restore(&copy, &path);
    lead(&mut copy);
    let there = ann.at(&copy.servers[0].client);
    let ids = |person: &Person| {
        let messages = person.json(&["messages", "ann"]);
        messages.iter().filter_map(|message| message["id"].as_u64()).collect::<Vec<_>>()
    };
    let login = || fs::read_to_string(&ann.session).unwrap();
    ids(&ann);
    let before = login();
    assert_eq!(ids(&there), [kept]);
    there.json(&["follow", "--once"]);
    assert_eq!(login(), before);
    assert_eq!(ids(&ann), [kept, since], "read without waiting for what happened in the copy");

    living.kill_all();
    assert_eq!(ids(&there), [kept]);
    assert!(login().contains(&copy.servers[0].client), "{}", login());
}

#[test]
fn whoever_was_at_the_later_backup_goes_on_at_the_earlier_one() {
    let mut first = Cluster::start(&[]);
    let ann = first.person("ann");
    sent(&ann, "first");
    let [monday, tuesday] = ["monday", "tuesday"].map(|day| {
        let path = first.directory.join(day);
        first.operator().done(&["backup", word(&path)]);
        sent(&ann, day);
        path
    });
    first.kill_all();
    let (mut person, mut index, mut last) = (ann, 0, 0);
    for (turn, backup) in [&tuesday, &monday].into_iter().enumerate() {
        let mut cluster = Cluster::prepare(&[]);
        if turn == 0 {
            // One that is empty, and waits to be let in, is in nobody's way.
            cluster.servers[1].start(&[]);
            wait("a server that waits", || cluster.servers[1].said().contains("waiting to be admitted"));
        }
        let report = restore(&cluster, backup);
        let begins = report["index"].as_u64().unwrap();
        assert!(begins > index, "{begins} is not behind {index}");
        index = begins;
        lead(&mut cluster);
        person = at_another(&person, &cluster, &turn.to_string());
        for number in 0..5 {
            let id = sent(&person, &number.to_string());
            assert!(id > last, "{id} is not behind {last}");
            last = id;
        }
        // With the position that it has seen, of a history that is another one.
        assert_eq!(person.history_up_to("ann", last).last().unwrap()["id"], last);
    }
}
