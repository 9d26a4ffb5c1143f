//! Backups of a cluster in use, with its leader killed in one, and new clusters from them.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    slice,
    thread::sleep,
    time::Duration,
};

use serde_json::Value;

use super::recovery::configuration;
use crate::harness::{
    Cluster, Failed, Flow, Flowed, Operator, PROGRAM, Person, Process, Server, check_history, text, until, wait,
};

/// Of each of two files: with them a state is much larger than all that may be on its way between a server and who takes its backup.
const FILE_BYTES: usize = 24 << 20;
/// A backup that has come no further than this can go no further when its server dies.
const EARLY_BYTES: u64 = 16 << 20;

/// Between two looks at something that is soon over.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Bytes that do not repeat within a chunk.
fn content(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..FILE_BYTES).map(|_| next()).collect()
}

/// `threefold` with these arguments and nothing else around it.
pub fn threefold(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn printed(output: Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_str(&text(output.stdout)).unwrap()
}

pub fn refused(arguments: &[&str]) -> Failed {
    Failed::of(&mut threefold(&[arguments, &["--json"]].concat()), b"")
}

pub fn word(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The names in a directory that begin so.
pub fn beginning(directory: &Path, with: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(with)).collect()
}

/// What is unread of whom.
fn unread(person: &Person) -> BTreeMap<String, u64> {
    let all = person.json(&["unread"]).into_iter();
    all.map(|one| (one["conversation"].to_string(), one["unread"].as_u64().unwrap())).collect()
}

/// The names of those in a room, and their roles.
fn members(person: &Person, room: &str) -> BTreeMap<String, String> {
    let all = person.json(&["room", "members", room]).into_iter();
    all.map(|one| (one["name"].to_string(), one["role"].to_string())).collect()
}

/// An operator who asks this server first.
fn first_at(cluster: &Cluster, place: usize) -> Operator {
    let mut servers: Vec<&Server> = cluster.servers.iter().collect();
    servers.swap(0, place);
    let peers = servers.iter().map(|server| server.as_peer()).collect::<Vec<_>>().join(",");
    Operator { peers, ..cluster.operator() }
}

/// Takes a backup during which the leader, whose state it is to be, dies. Gives the file and what the command said.
fn with_the_leader_killed(cluster: &mut Cluster, leader: usize) -> (PathBuf, Value, String) {
    let operator = first_at(cluster, leader);
    let mut number = 0;
    let (path, mut running) = until("a backup that is under way", || {
        number += 1;
        let path = cluster.directory.join(format!("{number}.backup"));
        let mut running = Process::spawn(&mut operator.command(&["backup", word(&path)]));
        let part = format!("{number}.backup.part-");
        let size = || {
            beginning(&cluster.directory, &part).first().map_or(0, |part| fs::metadata(part).map_or(0, |it| it.len()))
        };
        while size() == 0 {
            if running.try_wait().unwrap().is_some() {
                return None;
            }
            sleep(LOOK_AGAIN);
        }
        // Held here, so that the server dies in the middle. On a machine that lets this thread wait it may be too late.
        running.signal("-STOP");
        let is_early = beginning(&cluster.directory, &part).len() == 1 && size() < EARLY_BYTES;
        is_early.then_some((path, running))
    });
    cluster.kill(&[leader]);
    running.signal("-CONT");
    let status = until("the end of the backup", || running.try_wait().unwrap());
    let (mut printed, mut said) = (String::new(), String::new());
    running.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    running.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.success(), "{said}");
    (path, serde_json::from_str(&printed).unwrap(), said)
}

#[test]
fn a_cluster_is_backed_up_while_its_leader_dies_and_goes_on_as_another() {
    let mut cluster = Cluster::start(&[]);
    let [ann, ben, cid] = ["ann", "ben", "cid"].map(|name| cluster.person(name));
    let files = [1, 2].map(|number| {
        let path = cluster.directory.join(format!("{number}.bin"));
        fs::write(&path, content(number)).unwrap();
        path
    });
    let sent = ann.json(&["send", "ben", "two files", "--attach", word(&files[0]), "--attach", word(&files[1])]);
    let with_files = sent[0]["id"].to_string();
    ann.done(&["room", "create", "tea", "--topic", "leaves"]);
    ben.done(&["join", "#tea"]);
    ann.done(&["room", "role", "tea", "ben", "moderator"]);
    ben.done(&["send", "#tea", "some oolong"]);
    for number in 0..3 {
        cid.done(&["send", "ben", &format!("unread {number}")]);
    }
    let flow = Flow::start(&ann, "cid");
    flow.wait_for_more(30);
    let before = (members(&ann, "tea"), unread(&ben));
    assert_eq!(before.0.len(), 2);
    let acknowledged = flow.count();
    let leader = cluster.leader();
    let (path, report, said) = with_the_leader_killed(&mut cluster, leader);
    let dead = cluster.servers[leader].name.clone();
    assert!(said.contains(&format!("{dead}: it ended before the end")) && said.contains("beginning again"), "{said}");
    assert_ne!(report["server"], dead.as_str());
    assert!(report["messages"].as_u64() >= Some(acknowledged as u64 + 5) && report["attachments"] == 2, "{report}");
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(beginning(&cluster.directory, name), slice::from_ref(&path), "nothing half is left");
    assert_eq!(printed(threefold(&["backup", "--check", word(&path), "--json"]).output().unwrap()), report);
    // What happens now is lost with the old cluster.
    flow.wait_for_more(20);
    let flowed = flow.finish();
    ben.done(&["follow", "--once"]);
    let lost = ben.json(&["send", "#tea", "lost"])[0]["id"].as_u64().unwrap();
    let logged_out = cid.session.with_extension("before");
    fs::copy(&cid.session, &logged_out).unwrap();
    cid.done(&["logout"]);
    let rest: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    cluster.kill(&rest);

    let mut new = Cluster::prepare(&[]);
    let restored = restore(&new, &path);
    assert_eq!(restored["backup"]["records"], report["records"]);
    assert_ne!(restored["recovery_id"], report["recovery_id"]);
    for server in &mut new.servers {
        server.start(&[]);
    }
    new.wait_until_whole();
    // Nobody logs in again; also who has logged out since is as before.
    let cid = Person { session: logged_out, ..cid };
    let [ann, ben, cid] = [ann, ben, cid].map(|person| at_another(&person, &new, "restored"));
    let kept = Flowed { ids: flowed.ids[..acknowledged].to_vec(), ..flowed };
    check_history(&ann.history("cid"), &[&kept]);
    assert_eq!((members(&ann, "tea"), unread(&ben)), before);
    let down = new.directory.join("down");
    fs::create_dir(&down).unwrap();
    ben.done(&["download", &with_files, "--to", word(&down)]);
    for file in &files {
        assert!(
            fs::read(down.join(file.file_name().unwrap())).unwrap() == fs::read(file).unwrap(),
            "not what was sent"
        );
    }
    wait("the index to be made anew", || {
        ann.json(&["search", "oolong"]).iter().any(|found| found["body"] == "some oolong")
    });
    // A cursor of the lost history is refused, and what there is comes from the beginning.
    assert_eq!(ben.fails(&["follow", "--once"]).short(), (1, "CURSOR_INVALID"));
    let events = ben.json(&["follow", "--once"]);
    let said = |body: &str| events.iter().filter(|event| event["body"] == body).count();
    assert_eq!((said("two files"), said("some oolong"), said("lost")), (1, 1, 0));
    let again = ann.json(&["send", "#tea", "again"])[0]["id"].as_u64().unwrap();
    assert!(again > lost && again > kept.last(), "no id is ever given twice");
    cid.done(&["send", "ann", "back"]);
    // All three carry it.
    let leader = new.leader();
    new.kill(&[leader]);
    until("an acknowledgement", || ann.run(&["send", "#tea", "and on"]).status.success().then_some(()));
    check_history(&ann.history("cid"), &[&kept]);
    interrupted(&path);
}

/// Somebody with the same session at another cluster, whose addresses they were told.
pub fn at_another(person: &Person, cluster: &Cluster, name: &str) -> Person {
    let forget = |session: &mut Value| session["servers"] = Value::Array(Vec::new());
    person.at(&cluster.addresses()).with_session(&person.session.with_extension(name), forget)
}

/// Restores into the first server of a cluster that was not started.
pub fn restore(new: &Cluster, path: &Path) -> Value {
    let file = configuration(new, &new.servers[0]);
    printed(threefold(&["restore", word(path), "--config", &file, "--json"]).output().unwrap())
}

/// A restoration that is killed in the middle leaves nothing that a server takes for its data, and may be begun again.
fn interrupted(path: &Path) {
    let new = until("a restoration that is under way", || {
        let new = Cluster::prepare(&[]);
        let file = configuration(&new, &new.servers[0]);
        let identity = new.servers[0].data.join("server");
        let is_unfinished = || fs::read_to_string(&identity).is_ok_and(|said| said.contains("\"restoring\": true"));
        let mut running = Process::spawn(&mut threefold(&["restore", word(path), "--config", &file]));
        while running.try_wait().unwrap().is_none() && !is_unfinished() {
            sleep(LOOK_AGAIN);
        }
        drop(running);
        is_unfinished().then_some(new)
    });
    let (exit, said) = new.servers[0].refuses();
    assert!(exit == 1 && said.contains("run `threefold restore` again"), "{exit}: {said}");
    let file = configuration(&new, &new.servers[0]);
    let recovered = refused(&["recover", "--force", "--yes", "server-1", "--config", &file]);
    assert!(recovered.message.contains("run `threefold restore` again"), "{recovered:?}");
    restore(&new, path);
    let again = refused(&["restore", word(path), "--config", &file]);
    assert!(again.short() == (1, "REFUSED") && again.message.contains("is not empty"), "{again:?}");
}

#[test]
fn what_is_no_backup_or_has_no_place_is_refused_and_nothing_is_left() {
    let cluster = crate::harness::shared();
    let home = tempfile::tempdir().unwrap();
    let (path, data) = (home.path().join("x.backup"), home.path().join("up"));
    let operator = cluster.operator();
    let report = operator.done(&["backup", word(&path)]);
    assert_eq!(report["file_bytes"], fs::metadata(&path).unwrap().len());
    let there = Failed::of(&mut operator.command(&["backup", word(&path)]), b"");
    assert!(there.short() == (2, "USAGE") && there.message.contains("is there already"), "{there:?}");
    let nowhere = Operator { peers: "server-1=127.0.0.1:1".to_owned(), ..operator.clone() };
    let away = Failed::of(&mut nowhere.command(&["backup", word(&home.path().join("y")), "--timeout", "1"]), b"");
    assert_eq!(away.short(), (3, "UNAVAILABLE"));
    assert_eq!(refused(&["backup", word(&home.path().join("y"))]).short(), (2, "USAGE"), "no cluster is named");
    let names = beginning(home.path(), "");
    assert_eq!(names, slice::from_ref(&path), "nothing half is left");

    let damaged = home.path().join("damaged.backup");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    // In the header.
    bytes[20] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    let short = home.path().join("short.backup");
    fs::write(&short, &fs::read(&path).unwrap()[..middle]).unwrap();
    let newer = home.path().join("newer.backup");
    bytes[11] = 2;
    fs::write(&newer, &bytes).unwrap();
    let cases = [(&damaged, "it is damaged"), (&short, "it was cut short"), (&newer, "a newer Threefold")];
    for (file, why) in cases {
        for arguments in [&["backup", "--check", word(file)][..], &["restore", word(file), "--up", word(&data)]] {
            let failed = refused(arguments);
            assert!(failed.short() == (1, "REFUSED") && failed.message.contains(why), "{arguments:?}: {failed:?}");
        }
    }
    let missing = refused(&["restore", "/nowhere/x.backup", "--up", word(&data)]);
    assert_eq!(missing.short(), (2, "USAGE"), "{missing:?}");
    // What can be read once is enough for a look, and not for more; nobody waits for what would come.
    let pipe = home.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let once = refused(&["restore", word(&pipe), "--up", word(&data)]);
    assert!(once.short() == (2, "USAGE") && once.message.contains("cannot be read twice: name a file"), "{once:?}");
    let mut looking = threefold(&["backup", "--check", "/dev/stdin", "--json"]);
    let mut looking = Process::spawn(looking.stdin(Stdio::piped()));
    looking.stdin.take().unwrap().write_all(&fs::read(&path).unwrap()).unwrap();
    let status = until("the end of the check", || looking.try_wait().unwrap());
    assert!(status.success());
    assert!(!data.exists(), "nothing was made");
}

#[test]
fn a_backup_that_is_given_up_leaves_nothing_and_one_that_is_killed_nothing_for_long() {
    let cluster = crate::harness::shared();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("x.backup");
    let begun = || !beginning(home.path(), "x.backup.part-").is_empty();
    // Somebody who takes connections, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peers = format!("server-1={}", listener.local_addr().unwrap());
    let nobody = Operator { peers, ..cluster.operator() };
    for signal in ["-TERM", "-INT", "-KILL"] {
        let mut running = Process::spawn(&mut nobody.command(&["backup", word(&path)]));
        wait("a backup that waits", begun);
        running.signal(signal);
        let status = until("its end", || running.try_wait().unwrap());
        if signal != "-KILL" {
            assert_eq!(status.code(), Some(4));
            let mut said = String::new();
            running.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(said.contains("interrupted: there is no backup") && !begun(), "{signal}: {said}");
        }
    }
    assert!(begun(), "whoever is killed tidies nothing up");
    cluster.operator().done(&["backup", word(&path)]);
    assert_eq!(beginning(home.path(), ""), slice::from_ref(&path), "the next one does");
}

#[test]
fn a_backup_becomes_a_cluster_of_up() {
    let mut cluster = Cluster::start(&[]);
    let ann = cluster.person("ann");
    ann.done(&["send", "ann", "kept"]);
    let path = cluster.directory.join("x.backup");
    cluster.operator().done(&["backup", word(&path)]);
    cluster.kill_all();
    let port = crate::harness::free_ports(103);
    let data = cluster.directory.join("up");
    let restored = ["restore", word(&path), "--up", word(&data), "--port", &port.to_string(), "--json"];
    assert_eq!(printed(threefold(&restored).output().unwrap())["server"], "server-1");
    let again = refused(&restored[..6]);
    assert!(again.short() == (1, "REFUSED") && again.message.contains("there is a cluster"), "{again:?}");
    // As it is when it is killed before its last word, and before the word before that.
    for is_remembered in [true, false] {
        let identity = data.join("server-1").join("server");
        let mut said: Value = serde_json::from_str(&fs::read_to_string(&identity).unwrap()).unwrap();
        said["restoring"] = true.into();
        fs::write(&identity, said.to_string()).unwrap();
        if !is_remembered {
            fs::remove_file(data.join("cluster")).unwrap();
        }
        let up = threefold(&["up", "--plain", "--data-dir", word(&data)]).output().unwrap();
        let refused = text(up.stderr);
        assert!(up.status.code() == Some(1) && refused.contains("`threefold restore --up` again"), "{refused}");
        assert_eq!(data.join("cluster").exists(), is_remembered, "nothing is said of a cluster that is not there");
        printed(threefold(&restored).output().unwrap());
    }
    let _up = Process::spawn(
        threefold(&["up", "--plain", "--data-dir", word(&data)]).stdout(Stdio::null()).stderr(Stdio::null()),
    );
    let at_up = ann.at(&format!("127.0.0.1:{port}"));
    let at_up = at_up.with_session(&cluster.directory.join("up.session"), |session| {
        session["servers"] = Value::Array(Vec::new());
    });
    wait("three servers with what one was given", || {
        let status = at_up.run(&["status", "--json", "--timeout", "2"]);
        let status: Option<Value> = status.status.success().then(|| serde_json::from_slice(&status.stdout).unwrap());
        status.is_some_and(|status| {
            let votes = status["servers"].as_array().unwrap().iter().filter(|server| server["voter"] == true).count();
            status["state"] == "normal" && votes == 3
        })
    });
    assert_eq!(at_up.history("ann").len(), 1);
}
