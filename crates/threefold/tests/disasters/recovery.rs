//! `recover --force`: two of three servers are lost for ever, and the third becomes a new cluster.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::harness::{Cluster, Failed, Flow, PROGRAM, Person, Server, check_history, text, until, wait};

/// A server's configuration as a file.
pub fn configuration(cluster: &Cluster, server: &Server) -> String {
    let peers = cluster.servers.iter().map(|peer| format!("{:?}", peer.as_peer())).collect::<Vec<_>>().join(", ");
    let certificate = |file: &str| server.certificates.join(file).display().to_string();
    let path = server.data.with_extension("toml");
    let text = format!(
        "name = {:?}\ndata-dir = {:?}\nclient-listen = {:?}\npeer-listen = {:?}\npeers = [{peers}]\n\
         peer-ca = {:?}\npeer-cert = {:?}\npeer-key = {:?}\n",
        server.name,
        server.data.display().to_string(),
        server.client,
        server.peer,
        certificate("authority.pem"),
        certificate(&format!("{}.pem", server.name)),
        certificate(&format!("{}.key", server.name)),
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().arg("recover").args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn fails(arguments: &[&str]) -> Failed {
    let output: Output = command(&[arguments, &["--json"]].concat()).output().unwrap();
    let error: Value = serde_json::from_str(&text(output.stderr)).unwrap();
    let word = |key: &str| error["error"][key].as_str().unwrap().to_owned();
    Failed { exit: output.status.code().unwrap(), code: word("code"), message: word("message") }
}

#[test]
fn one_server_goes_on_alone_and_the_others_come_back_only_when_they_are_emptied() {
    let mut cluster = Cluster::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    let flow = Flow::start(&alice, "bob");
    flow.wait_for_more(50);
    let kept = flow.finish();
    bob.done(&["follow", "--once"]);
    wait("everything on the first server", || {
        bob.at(&cluster.servers[0].client).history("alice").len() == kept.ids.len()
    });
    let file = configuration(&cluster, &cluster.servers[0]);
    let file = file.as_str();
    let running = fails(&["--force", "--yes", "server-1", "--config", file]);
    assert!(running.short() == (1, "REFUSED") && running.message.contains("stop the server first"), "{running:?}");
    // What the others acknowledge without the first is lost.
    cluster.servers[0].kill();
    for number in 0..20 {
        alice.done(&["send", "bob", &format!("lost {number}")]);
    }
    bob.done(&["follow", "--once"]);
    cluster.servers[1].kill();
    let running = fails(&["--force", "--yes", "server-1", "--config", file]);
    assert!(running.message.contains("there is still a process at server-3 at "), "{running:?}");
    // By the data directory alone, a connection is all there is to see.
    let data = cluster.servers[0].data.to_str().unwrap().to_owned();
    let running = fails(&["--force", "--yes", "server-1", "--data-dir", &data]);
    assert!(running.message.contains("there is still a process at server-3 at "), "{running:?}");
    cluster.servers[2].kill();
    let unforced = fails(&["--config", file]);
    assert!(unforced.short() == (1, "REFUSED") && unforced.message.contains("--force"), "{unforced:?}");
    assert_eq!(fails(&["--force", "--config", file]).short(), (2, "USAGE"), "nobody to ask");
    let wrong = fails(&["--force", "--yes", "server-2", "--config", file]);
    assert!(wrong.message.contains("called server-1, not server-2"), "{wrong:?}");
    assert_eq!(fails(&["--force", "--yes", "x", "--data-dir", "/nowhere/at/all"]).short(), (1, "REFUSED"));

    let output = command(&["--force", "--yes", "server-1", "--config", file]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = text(output.stdout);
    for words in ["server-3 at ", "does not answer", "ARE LOST", "a cluster of its own now", "before-recovery-1"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(cluster.servers[0].data.with_file_name("server-1.before-recovery-1").join("server").exists());

    // It goes on alone, also for those who have seen more than it has.
    cluster.servers[0].start(&[]);
    let again = alice.at(&cluster.servers[0].client);
    let sent = until("an acknowledgement", || {
        let output = again.run(&["send", "bob", "again", "--json"]);
        output.status.success().then(|| serde_json::from_str::<Value>(&text(output.stdout)).unwrap())
    });
    assert!(sent["id"].as_u64() > kept.ids.last().copied(), "ids go on rising: {sent}");
    let alone = bob.at(&cluster.servers[0].client);
    let failed = alone.fails(&["follow", "--once"]);
    assert_eq!(failed.short(), (1, "CURSOR_INVALID"), "{failed:?}");
    let bodies: Vec<Value> = alone.json(&["follow", "--once"]).iter().map(|event| event["body"].clone()).collect();
    assert_eq!(bodies.last(), Some(&Value::from("again")));

    // The others, as they were: refused, also when they would be a majority of the old cluster.
    are_refused_until_emptied(&mut cluster, [1, 2], &alice, "bob");
    cluster.wait_until_whole();
    // They carry it: with any one of the three gone the two others have everything.
    for place in 0..3 {
        cluster.servers[place].kill();
        let other = &cluster.servers[(place + 1) % 3].client;
        let history = bob.at(other).history_up_to("alice", sent["id"].as_u64().unwrap());
        check_history(&history[..kept.ids.len()], &[&kept]);
        until("an acknowledgement", || alice.at(other).run(&["send", "bob", "and on"]).status.success().then_some(()));
        cluster.start_all();
        cluster.wait_until_whole();
    }
}

#[test]
fn an_interrupted_recovery_is_noticed_and_can_be_finished() {
    let mut cluster = Cluster::start(&[]);
    let alice = cluster.person("alice");
    alice.done(&["send", "alice", "kept"]);
    wait("the note on the first server", || alice.at(&cluster.servers[0].client).history("alice").len() == 1);
    cluster.kill_all();
    let server = &cluster.servers[0];
    // As it is between the copy and the end of the rewriting.
    let identity = server.data.join("server");
    let mut contents: Value = serde_json::from_str(&fs::read_to_string(&identity).unwrap()).unwrap();
    contents["recovering"] = true.into();
    fs::write(&identity, contents.to_string()).unwrap();
    let (exit, said) = server.refuses();
    assert!(exit == 1 && said.contains("was interrupted"), "{exit}: {said}");
    let data = server.data.to_str().unwrap().to_owned();
    let output = command(&["--force", "--yes", "server-1", "--json", "--data-dir", &data]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_str(&text(output.stdout)).unwrap();
    assert_eq!(report["others"].as_array().unwrap().len(), 2);
    assert_eq!(report["recovered"]["term"], 1u64 << 32);
    cluster.servers[0].start(&[]);
    until("an acknowledgement", || {
        alice.at(&cluster.servers[0].client).run(&["send", "alice", "again"]).status.success().then_some(())
    });
    assert_eq!(alice.at(&cluster.servers[0].client).history("alice").len(), 2);
}

/// Starts servers of a history that another one took the place of, with what they have: they are refused, and take nothing. Then with nothing.
pub fn are_refused_until_emptied(cluster: &mut Cluster, places: [usize; 2], person: &Person, to: &str) {
    for place in places {
        cluster.servers[place].log.set_extension("refused");
        cluster.servers[place].start(&[]);
    }
    for place in places {
        let server = &cluster.servers[place];
        wait("a refusal", || server.said().contains("the cluster was recovered or restored without this server"));
        let lost = person.at(&server.client).with_session(&server.data.with_extension("session"), |session| {
            session["servers"] = Value::Array(Vec::new());
        });
        assert_eq!(lost.fails(&["send", to, "nowhere", "--timeout", "1"]).exit, 3);
        assert!(!server.said().contains("this server is a member"), "{}", server.said());
    }
    for place in places {
        cluster.servers[place].kill();
        fs::remove_dir_all(&cluster.servers[place].data).unwrap();
        cluster.servers[place].start(&[]);
    }
}
