//! What keeps a server from starting: one sentence, and nothing is touched.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::harness::{PROGRAM, Person, Server, make_certificates, text, wait};

/// Every file below a directory, with its content.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(contents(&entry.path()));
        } else {
            found.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    found
}

fn refuses(server: &Server, words: &str) {
    let (code, said) = server.refuses();
    assert_eq!(code, 1, "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("threefold: ") && last.contains(words), "{said}");
    assert!(!said.contains("panicked") && !said.contains("broken invariant"), "{said}");
}

/// Somebody who has said something at a server.
fn somebody(directory: &Path, server: &Server) -> Person {
    let alice = Person::new(directory, "alice", &server.client);
    wait("a server that takes people", || alice.run(&["register", "alice"]).status.success());
    alice.done(&["send", "alice", "remember me"]);
    alice
}

#[test]
fn a_directory_in_use_and_ports_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::alone(directory.path(), "solo");
    server.start(&[]);
    let alice = somebody(directory.path(), &server);
    let other = || Server { certificates: server.certificates.clone(), ..Server::new(directory.path(), "solo") };
    refuses(&other(), "is in use by another process");
    let elsewhere = || Server { data: directory.path().join("elsewhere"), ..other() };
    let words = format!("the client port {} is in use by another process", server.client);
    refuses(&Server { client: server.client.clone(), ..elsewhere() }, &words);
    let words = format!("the peer port {} is in use by another process", server.peer);
    refuses(&Server { peer: server.peer.clone(), ..elsewhere() }, &words);
    refuses(&Server { client: "192.0.2.1:7400".to_owned(), ..elsewhere() }, "192.0.2.1:7400");
    // What was tried did not keep it from anything.
    assert!(server.runs());
    assert_eq!(alice.history("alice").len(), 1);
    assert_eq!(server.stop().code(), Some(0), "{}", server.said());
}

#[test]
fn directories_that_are_not_this_servers() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::alone(directory.path(), "solo");
    server.start(&[]);
    let alice = somebody(directory.path(), &server);
    server.stop();
    let identity = server.data.join("server");
    let whole = fs::read_to_string(&identity).unwrap();
    let unchanged = |server: &Server, words: &str| {
        let before = contents(&server.data);
        refuses(server, words);
        assert_eq!(contents(&server.data), before, "{words}");
    };

    make_certificates(&server.certificates, &["other"]);
    let other = Server { data: server.data.clone(), ..Server::new(directory.path(), "other") };
    unchanged(&other, "belongs to the server \"solo\", not to \"other\"");
    fs::write(&identity, whole.replace("\"format\": 1", "\"format\": 2, \"more\": []")).unwrap();
    unchanged(&server, "was written by a newer Threefold: format 2");
    for damaged in ["", "{", "nonsense", "{\"format\":1}", &whole[..whole.len() / 2]] {
        fs::write(&identity, damaged).unwrap();
        unchanged(&server, "is damaged");
    }
    fs::remove_file(&identity).unwrap();
    unchanged(&server, "is not a Threefold data directory, and it is not empty");
    fs::write(&identity, &whole).unwrap();

    let diary = directory.path().join("diary");
    fs::create_dir(&diary).unwrap();
    fs::write(diary.join("today"), "dear diary").unwrap();
    let elsewhere = |data: &Path| Server {
        data: data.to_owned(),
        certificates: server.certificates.clone(),
        ..Server::new(directory.path(), "solo")
    };
    unchanged(&elsewhere(&diary), "is not a Threefold data directory, and it is not empty");
    refuses(&elsewhere(&diary.join("today")), "today");
    refuses(&elsewhere(&diary.join("today").join("below")), "today");

    // After all of that, everything is as it was.
    server.start(&[]);
    wait("everything to be there", || alice.run(&["messages", "alice"]).status.success());
    assert_eq!(alice.history("alice")[0]["body"], "remember me");
    assert_eq!(fs::metadata(&server.data).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn certificates_that_are_missing_broken_or_of_somebody_else() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::alone(directory.path(), "solo");
    make_certificates(&server.certificates, &["other"]);
    let file = |name: &str| server.certificates.join(name);
    let with = |name: &str, content: Option<&[u8]>, words: &str| {
        let whole = fs::read(file(name)).unwrap();
        match content {
            Some(content) => fs::write(file(name), content).unwrap(),
            None => fs::remove_file(file(name)).unwrap(),
        }
        refuses(&server, words);
        fs::write(file(name), whole).unwrap();
    };
    for name in ["authority.pem", "solo.pem", "solo.key"] {
        with(name, None, name);
        with(name, Some(b""), name);
        with(name, Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), name);
        with(name, Some(&[0xff; 100]), name);
    }
    // A key that does not fit its certificate.
    with("solo.key", Some(&fs::read(file("other.key")).unwrap()), "solo.");
    assert!(!server.data.exists(), "nothing was begun");
}

#[test]
fn settings_that_make_no_sense_name_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.toml");
    let serve = |content: &[u8], further: &[&str]| {
        fs::write(&path, content).unwrap();
        let mut command = std::process::Command::new(PROGRAM);
        let output = command.env_clear().arg("serve").arg("--config").arg(&path).args(further).output().unwrap();
        let said = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        said
    };
    let cases: [(&str, &str); 8] = [
        ("name = \"a\"\nnmae = \"b\"\n", "chat.toml:2: unknown field `nmae`"),
        ("name = \"a\"\ndata-dir = 7\n", "chat.toml:2: data-dir: invalid type"),
        ("name = \"a\"\n\nclient-listen = \"here\"\n", "chat.toml:3: client-listen: \"here\" is no address"),
        ("name = \"a\"\npeers = [\"b\"]\n", "chat.toml:2: peers: \"b\" is no peer"),
        ("name = \"a\"\nbootstrap = \"yes\"\n", "chat.toml:2: bootstrap: invalid type"),
        ("name = \"a\"\nlog-level\n", "chat.toml:2"),
        ("name = \"a\n", "chat.toml:1"),
        ("", "name is missing: give --name, THREEFOLD_NAME, or name in the configuration file"),
    ];
    for (content, words) in cases {
        let said = serve(content.as_bytes(), &[]);
        assert!(said.contains(words) && said.lines().count() == 1, "{said}");
    }
    assert!(serve(b"\xff\xfe", &[]).contains("chat.toml"));
    let whole = "name = \"a\"\ndata-dir = \"d\"\npeer-ca = \"c\"\npeer-cert = \"c\"\npeer-key = \"k\"\n";
    for (further, words) in [
        (&["--name", "two words"][..], "no server name"),
        (&["--peer", "b=h:1,b=h:2"], "listed twice"),
        (&["--client-listen", "0.0.0.0:7400"], "client-address is missing"),
        (&["--client-listen", "127.0.0.1:7500"], "both 127.0.0.1:7500"),
        (&["--log-level", "a=b=c"], "no log level"),
        (&["--snapshot-entries", "0"], "--snapshot-entries"),
    ] {
        assert!(serve(whole.as_bytes(), further).contains(words), "{further:?}");
    }
    assert!(!directory.path().join("d").exists(), "nothing was begun");
}
