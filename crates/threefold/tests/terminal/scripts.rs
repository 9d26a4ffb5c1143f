//! What scripts rely on: `follow` into a file, `export`, completions and manual pages.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::harness::{Cluster, Failed, Flow, PROGRAM, Process, shared, wait};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The last line may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Ids and bodies of messages.
fn messages(lines: &[Value]) -> Vec<(u64, String)> {
    let all = lines.iter().filter(|line| line["type"] == "message");
    all.map(|line| (line["id"].as_u64().unwrap(), line["body"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_file_holds_each_message_once_and_in_order_while_servers_and_follow_itself_are_killed() {
    const ROUNDS: usize = 12;
    let mut cluster = Cluster::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    let path = cluster.directory.join("bob.jsonl");
    let arguments = ["follow", "--json", "--output", path.to_str().unwrap(), "--after", "0"];
    let flow = Flow::start(&alice, "bob");
    for round in 0..ROUNDS {
        let mut follower = Process::spawn(bob.command(&arguments).stdout(Stdio::null()));
        let before = lines(&path).len();
        wait("some lines in the file", || lines(&path).len() > before + 20);
        if round % 3 == 1 {
            let leader = cluster.leader();
            cluster.servers[leader].kill();
            wait("more lines than before the leader's death", || lines(&path).len() > before + 60);
        }
        if round % 3 == 2 {
            cluster.start_all();
            cluster.wait_until_whole();
        }
        // At any moment, most likely while it writes.
        follower.kill().unwrap();
        follower.wait().unwrap();
    }
    cluster.start_all();
    let flowed = flow.finish();
    bob.done(&["follow", "--json", "--output", path.to_str().unwrap(), "--once", "--timeout", "60"]);
    let told = messages(&lines(&path));
    let ids: Vec<u64> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, flowed.ids, "each acknowledged message once, in order, and nothing else");
    let expected: Vec<String> = (0..told.len()).map(|number| format!("alice {number}")).collect();
    assert_eq!(told.into_iter().map(|(_, body)| body).collect::<Vec<_>>(), expected);
}

#[test]
fn lines_in_an_outbox_arrive_once_and_in_order_though_the_command_and_the_leader_are_killed() {
    const LINES: usize = 1_500;
    const ROUNDS: usize = 6;
    let mut cluster = Cluster::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    let outbox = cluster.directory.join("alice.outbox");
    let arguments = ["send", "bob", "--lines", "--outbox", outbox.to_str().unwrap(), "--timeout", "60"];
    let input: Vec<String> = (0..LINES).map(|number| format!("line {number}\n")).collect();
    let mut arrived = 0;
    for round in 0..ROUNDS {
        let mut command = alice.command(&arguments);
        let mut sender = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::null()));
        let mut pipe = sender.stdin.take().unwrap();
        let lines = input.clone();
        // The same from its beginning each time, a line a millisecond, until nobody reads it any more.
        let feeder = thread::spawn(move || {
            lines.iter().try_for_each(|line| {
                thread::sleep(Duration::from_millis(1));
                pipe.write_all(line.as_bytes())
            })
        });
        if round % 3 == 1 {
            let leader = cluster.leader();
            cluster.servers[leader].kill();
        }
        let before = arrived;
        wait("more lines than before", || {
            arrived = bob.history("alice").len();
            arrived > before + 20 || sender.try_wait().unwrap().is_some()
        });
        // At any moment: most likely with lines that were accepted, and lines that were sent, and neither answered.
        sender.kill().unwrap();
        sender.wait().unwrap();
        // The pipe broke where the command died.
        let _ = feeder.join().unwrap();
        if round % 3 == 2 {
            cluster.start_all();
            cluster.wait_until_whole();
        }
    }
    cluster.start_all();
    let last = alice.piped(&arguments, input.concat().as_bytes());
    assert!(last.status.success(), "{last:?}");
    let bodies = |history: Vec<Value>| -> Vec<String> {
        history.into_iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
    };
    let expected: Vec<String> = (0..LINES).map(|number| format!("line {number}")).collect();
    assert_eq!(bodies(alice.history("bob")), expected, "each line once, in order");
    // Nothing is left to do; another's outbox is refused.
    assert!(alice.piped(&arguments, input.concat().as_bytes()).stdout.is_empty());
    let refused = Failed::of(&mut bob.command(&[&arguments[..], &["--json"]].concat()), b"");
    assert!(refused.exit == 2 && refused.message.contains("another session"), "{refused:?}");
    assert_eq!(alice.history("bob").len(), LINES);
}

#[test]
fn an_export_has_everything_and_says_that_it_is_whole() {
    let cluster = shared();
    let [ann, ben] = ["export-ann", "export-ben"].map(|name| cluster.person(name));
    let attached = cluster.directory.join("export.txt");
    fs::write(&attached, "attached").unwrap();
    ann.done(&["room", "create", "export-room"]);
    ben.done(&["join", "#export-room"]);
    // Long work shows how far it is to people only.
    let sent = ann.run(&["send", "#export-room", "with a file", "--attach", attached.to_str().unwrap()]);
    assert!(sent.status.success() && sent.stderr.is_empty(), "{sent:?}");
    let input: String = (0..250).map(|number| format!("direct {number}\n")).collect();
    assert!(ann.piped(&["send", "export-ben", "--lines"], input.as_bytes()).status.success());
    let (path, files) = (cluster.directory.join("ann.jsonl"), cluster.directory.join("ann-files"));
    // Somebody's own, which only looks like a part of an export.
    let other = cluster.directory.join("ann.jsonl.part");
    fs::write(&other, "mine").unwrap();
    let done = ann.json(&["export", "--output", path.to_str().unwrap(), "--files", files.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
    assert_eq!(
        (&done[0]["conversations"], &done[0]["messages"], &done[0]["files"]),
        (&2.into(), &251.into(), &1.into())
    );
    let exported = lines(&path);
    let kinds: BTreeSet<&str> = exported.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["account", "conversation", "end", "message", "session"].into());
    assert_eq!(exported.last().unwrap()["messages"], 251);
    let directs: Vec<String> =
        messages(&exported).into_iter().map(|(_, body)| body).filter(|body| body.starts_with("direct")).collect();
    assert_eq!(directs, (0..250).map(|number| format!("direct {number}")).collect::<Vec<_>>());
    let with_file = exported.iter().find(|line| line["body"] == "with a file").unwrap();
    let saved = files.join(with_file["id"].to_string()).join("export.txt");
    assert_eq!(fs::read_to_string(&saved).unwrap(), "attached");
    // Nobody else can read it, and a second export finds the files that are there, and mends one that was cut short.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!((mode(&path), mode(saved.parent().unwrap()), mode(&saved)), (0, 0, 0));
    let again = cluster.directory.join("ann-again.jsonl");
    for cut in [false, true] {
        if cut {
            fs::write(&saved, "att").unwrap();
        }
        let done = ann.json(&["export", "--output", again.to_str().unwrap(), "--files", files.to_str().unwrap()]);
        assert_eq!(done[0]["files"], 1);
        let there: Vec<_> = fs::read_dir(saved.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!((there, fs::read_to_string(&saved).unwrap().as_str()), (vec![saved.clone()], "attached"));
        fs::remove_file(&again).unwrap();
    }
    // The same to standard output; and what is there is not overwritten.
    assert_eq!(ann.done(&["export"]).lines().count(), exported.len());
    assert_eq!(ann.fails(&["export", "--output", path.to_str().unwrap()]).exit, 2);
}

#[test]
fn shells_and_readers_are_told_of_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(PROGRAM).args(arguments).env_clear().output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(["delete-account", "chat", "survivor-mode"].iter().all(|name| script.contains(name)), "{shell}");
        let path = directory.path().join(shell);
        fs::write(&path, &script).unwrap();
        // What the shell itself thinks of it, where there is one.
        if let Ok(output) = Command::new(shell).arg("-n").arg(&path).output() {
            assert!(output.status.success(), "{shell}: {output:?}");
        }
    }
    run(&["man", directory.path().to_str().unwrap()]);
    for page in ["threefold.1", "threefold-chat.1", "threefold-follow.1", "threefold-room-create.1"] {
        assert!(fs::read_to_string(directory.path().join(page)).unwrap().contains(".SH"), "{page}");
    }
}
