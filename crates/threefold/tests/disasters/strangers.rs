//! Servers that do not belong: each is kept out with words, and the cluster does not notice.

use std::{fs, path::Path};

use serde_json::Value;

use crate::harness::{Flow, Server, check_history, make_certificates, shared, until};

fn copy(from: &Path, to: &Path, files: &[&str]) {
    fs::create_dir_all(to).unwrap();
    for file in files {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

#[test]
fn servers_that_do_not_belong_are_kept_out_and_nobody_is_disturbed() {
    let cluster = shared();
    let [alice, bob] = ["strangers-alice", "strangers-bob"].map(|name| cluster.person(name));
    let members = || -> Vec<(Value, Value)> {
        // Whole: of a server that is late to answer nothing is known.
        let told = |status: &Value| status["servers"].as_array().unwrap().iter().all(|server| server["role"] != "down");
        let status = until("a status", || cluster.status(0).filter(told));
        let servers = status["servers"].as_array().unwrap().iter();
        servers.map(|server| (server["id"].clone(), server["pid"].clone())).collect()
    };
    let before = members();
    let flow = Flow::start(&alice, "strangers-bob");
    let directory = tempfile::tempdir().unwrap();
    let ours = cluster.directory.join("certs");
    let theirs = directory.path().join("theirs");
    make_certificates(&theirs, &["server-2", "server-9"]);
    // A certificate of theirs, but the authority is ours.
    let mixed = directory.path().join("mixed");
    copy(&theirs, &mixed, &["server-2.pem", "server-2.key"]);
    copy(&ours, &mixed, &["authority.pem"]);
    // Ours, but nobody expects a server of that name.
    let unexpected = directory.path().join("unexpected");
    copy(&ours, &unexpected, &["authority.pem", "authority.key"]);
    make_certificates(&unexpected, &["server-9"]);
    // Ours, but for another name than the server gives itself.
    let pretender = directory.path().join("pretender");
    copy(&ours, &pretender, &["authority.pem"]);
    for ending in ["pem", "key"] {
        fs::copy(unexpected.join(format!("server-9.{ending}")), pretender.join(format!("server-2.{ending}"))).unwrap();
    }
    let cases = [
        (&theirs, "server-2", "waiting to be admitted: server-1"),
        (&mixed, "server-2", "waiting to be admitted: server-1"),
        (&unexpected, "server-9", "server-9 is not among the configured peers"),
        (&pretender, "server-2", "the certificate is not for the name server-2"),
        // A second one of a server that is alive, in an empty directory.
        (&ours, "server-2", "waiting to be admitted: server-"),
    ];
    let peers = cluster.servers.iter().map(Server::as_peer).collect::<Vec<_>>().join(",");
    for (number, (certificates, name, words)) in cases.into_iter().enumerate() {
        let home = directory.path().join(format!("home-{number}"));
        fs::create_dir_all(&home).unwrap();
        let mut stranger = Server::new(&home, name);
        stranger.certificates.clone_from(certificates);
        stranger.options = ["--peer", &peers].map(str::to_owned).into();
        stranger.start(&[]);
        until("words", || stranger.said().contains(words).then_some(()));
        flow.wait_for_more(50);
        assert!(!stranger.said().contains("is a member"), "{}", stranger.said());
        // It takes nobody's messages either.
        let lost = alice.at(&stranger.client);
        let lost = lost.with_session(&home.join("session"), |session| session["servers"] = Value::Array(Vec::new()));
        let failed = lost.fails(&["send", "strangers-bob", "lost", "--timeout", "0.5"]);
        assert_eq!(failed.exit, 3, "{failed:?}");
        assert_eq!(stranger.stop().code(), Some(0), "{}", stranger.said());
    }
    let flow = flow.finish();
    check_history(&bob.history_up_to("strangers-alice", flow.last()), &[&flow]);
    assert_eq!(members(), before);
    cluster.wait_until_whole();
}
