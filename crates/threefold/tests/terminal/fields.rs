//! `docs/commands.md` and what the commands print with `--json`: each field is in both, or in neither.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    documented::Checked,
    harness::{Cluster, PROGRAM, Person, Process, free_ports, until, wait},
};

/// Up to the last of the ports of `up`'s servers among themselves.
const PORTS: u16 = 110;

#[test]
fn every_field_is_documented_and_every_documented_field_is_there() {
    // Of its own, because the first account of a cluster is an administrator.
    let cluster = Cluster::start(&[]);
    let (mut rows, mut lists) = (Checked::of("command", &[]), Checked::of("at the end", &["type"]));
    let fay = cluster.stranger("fay");
    rows.check("register", &fay.json(&["register", "fay"]));
    let [gus, hal, ida, kim] = ["gus", "hal", "ida", "kim"].map(|name| cluster.person(name));
    cluster.person("jo");
    let [other, third] = ["other", "third"].map(|device| gus.elsewhere(device));
    let sessions = gus.json(&["sessions"]);
    let orphan = sessions.iter().find(|one| one["device"] == "other").unwrap()["session"].to_string();
    let at = |name: &str| cluster.directory.join(name).to_str().unwrap().to_owned();
    let (file, secret, saved) = (at("fields.txt"), at("secret"), at("saved"));
    let [exported, exported_by_fay] = ["gus.jsonl", "fay.jsonl"].map(at);
    fs::write(&file, "x").unwrap();
    fs::write(&secret, "battery staple").unwrap();
    fs::create_dir_all(&saved).unwrap();
    let id = fay.json(&["send", "gus", "hello @gus"])[0]["id"].to_string();
    let with_file = fay.json(&["send", "gus", "--attach", &file, "--reply-to", &id])[0]["id"].to_string();
    let regretted = fay.json(&["send", "gus", "oh"])[0]["id"].to_string();
    let cases = [
        ("login", &other, vec!["login", "gus"]),
        ("whoami", &fay, vec!["whoami"]),
        ("sessions", &fay, vec!["sessions"]),
        ("display-name", &fay, vec!["display-name", "Fay"]),
        ("passwd", &kim, vec!["passwd", "--new-password-file", &secret]),
        ("delete-account", &hal, vec!["delete-account", "--yes"]),
        ("status", &gus, vec!["status"]),
        ("send", &fay, vec!["send", "gus", "more"]),
        ("edit", &fay, vec!["edit", &id, "hello, @gus"]),
        ("react ID EMOJI", &gus, vec!["react", &id, "👍"]),
        ("react ID", &gus, vec!["react", &id]),
        ("edit", &fay, vec!["edit", &id, "hello again, @gus"]),
        ("messages", &gus, vec!["messages", "fay"]),
        ("download", &gus, vec!["download", &with_file, "--to", &saved]),
        ("room create", &fay, vec!["room", "create", "den", "--private"]),
        ("room invite", &fay, vec!["room", "invite", "den", "gus"]),
        ("room invite", &fay, vec!["room", "invite", "den", "ida"]),
        ("invitations", &gus, vec!["invitations"]),
        ("room join", &gus, vec!["room", "join", "den"]),
        ("room decline", &ida, vec!["room", "decline", "den"]),
        ("room role", &fay, vec!["room", "role", "den", "gus", "moderator"]),
        ("room topic", &fay, vec!["room", "topic", "den", "where", "we", "meet"]),
        ("room rename", &fay, vec!["room", "rename", "den", "lair"]),
        ("room public", &fay, vec!["room", "public", "lair"]),
        ("room private", &fay, vec!["room", "private", "lair"]),
        ("room public", &fay, vec!["room", "public", "lair"]),
        ("room members", &fay, vec!["room", "members", "lair"]),
        ("room show", &fay, vec!["room", "show", "lair"]),
        ("room members", &fay, vec!["room", "members", "lair", "--limit", "1"]),
        ("rooms", &gus, vec!["rooms", "lair"]),
        ("room join", &ida, vec!["join", "#lair"]),
        ("room remove", &fay, vec!["room", "remove", "lair", "ida"]),
        ("send", &fay, vec!["send", "#lair", "hello all"]),
        ("messages", &gus, vec!["messages", "#lair", "--consistent"]),
        ("search", &gus, vec!["search", "hello"]),
        ("search", &gus, vec!["search", "hello", "--limit", "1"]),
        ("unread", &gus, vec!["unread"]),
        ("conversations", &gus, vec!["conversations"]),
        ("read", &gus, vec!["read", "fay"]),
        ("read", &gus, vec!["read", "fay", "--up-to", &id]),
        ("leave", &gus, vec!["leave", "lair"]),
        ("room join", &gus, vec!["room", "join", "lair"]),
        ("room leave", &gus, vec!["room", "leave", "lair"]),
        ("room invite", &fay, vec!["room", "invite", "lair", "gus"]),
        ("webhook create", &fay, vec!["webhook", "create", "lair", "ci"]),
        ("webhook list", &fay, vec!["webhook", "list", "lair"]),
        ("webhook delete", &fay, vec!["webhook", "delete", "lair", "ci"]),
        ("bot create", &fay, vec!["bot", "create", "echo"]),
        ("bot token", &fay, vec!["bot", "token", "echo"]),
        ("bot token --revoke", &fay, vec!["bot", "token", "echo", "--revoke"]),
        ("bot list", &fay, vec!["bot", "list"]),
        ("users", &gus, vec!["users"]),
        ("users", &gus, vec!["users", "--limit", "1"]),
        ("online", &gus, vec!["online"]),
        ("bot delete", &fay, vec!["bot", "delete", "echo", "--yes"]),
        ("admin grant", &fay, vec!["admin", "grant", "ida"]),
        ("admin revoke", &fay, vec!["admin", "revoke", "ida"]),
        ("admin disable", &fay, vec!["admin", "disable", "ida"]),
        ("admin enable", &fay, vec!["admin", "enable", "ida"]),
        ("admin reset-password", &fay, vec!["admin", "reset-password", "ida", "--new-password-file", &secret]),
        ("admin delete", &fay, vec!["admin", "delete", "jo", "--yes"]),
        ("admin free-name", &fay, vec!["admin", "free-name", "jo"]),
        ("admin log", &fay, vec!["admin", "log"]),
        ("admin log", &fay, vec!["admin", "log", "--limit", "1"]),
        ("delete-message", &gus, vec!["delete-message", &with_file]),
        ("delete-message", &fay, vec!["delete-message", &regretted, "--everyone"]),
        ("export --output", &gus, vec!["export", "--output", &exported]),
        ("export --output", &fay, vec!["export", "--output", &exported_by_fay]),
        ("logout", &third, vec!["logout"]),
        ("sessions --end", &gus, vec!["sessions", "--end", &orphan]),
        ("sessions --end-others", &gus, vec!["sessions", "--end-others"]),
    ];
    // Whoever follows is online.
    let _following = Process::spawn(fay.command(&["follow"]).stdout(Stdio::null()));
    wait("somebody online", || !gus.json(&["online"]).is_empty());
    for (name, who, arguments) in &cases {
        // Another server may need a moment to know what the first one has acknowledged.
        let printed = until("something to compare", || {
            Some(who.json(&patiently(arguments))).filter(|printed| !printed.is_empty())
        });
        let (about, printed): (Vec<Value>, Vec<Value>) =
            printed.into_iter().partition(|object| object["type"] == "more" || object["type"] == "incomplete");
        about.iter().for_each(|object| lists.check(object["type"].as_str().unwrap(), std::slice::from_ref(object)));
        rows.check(name, &printed);
    }
    lists.end(&["message", "incomplete"], &[]);
    // What a message may have, all of it.
    let in_room = fay.json(&patiently(&["send", "#lair", "in a room"]))[0]["id"].to_string();
    fay.done(&patiently(&["edit", &in_room, "in the room"]));
    fay.done(&patiently(&["react", &in_room, "👍"]));
    for place in ["gus", "#lair"] {
        rows.check("message", &fay.json(&patiently(&["messages", place])));
    }
    ida.done(&patiently(&["login", "ida", "--password-file", &secret]));
    follow(&[&fay, &gus, &ida, &kim]);
    export(&[&exported, &exported_by_fay]);
    operate(cluster, &mut rows);
    // Rows that are about other objects' rows, and what prints nothing.
    let others = ["follow", "up", "chat", "serve", "certs", "completions", "man"];
    rows.end(&others, &[]);
}

/// A machine that is busy with other things shall change nothing.
fn patiently<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--timeout", "60"]].concat()
}

/// The events of these people, from the first on.
fn follow(people: &[&Person]) {
    let mut rows = Checked::of("type", &["type", "id", "time_ms"]);
    for event in people.iter().flat_map(|one| one.json(&patiently(&["follow", "--once", "--after", "0"]))) {
        rows.check(event["type"].as_str().unwrap(), std::slice::from_ref(&event));
    }
    // Reactions are events of their own.
    rows.end(&["unknown"], &["message: reactions"]);
}

/// The lines of exports.
fn export(files: &[&str]) {
    let mut rows = Checked::of("line", &["type"]);
    for file in files {
        for line in fs::read_to_string(file).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            rows.check(line["type"].as_str().unwrap(), std::slice::from_ref(&line));
        }
    }
    // What a message may have is seen elsewhere.
    rows.end(&[], &["message: reply_to"]);
}

/// What operators' commands print; the cluster is over then.
fn operate(mut cluster: Cluster, rows: &mut Checked) {
    let at = |name: &str| cluster.directory.join(name).to_str().unwrap().to_owned();
    let (operator, backup, restored) = (cluster.operator(), at("fields.backup"), at("restored"));
    let orders: [(&str, &[&str]); 7] = [
        ("survivor-mode", &["survivor-mode", "on"]),
        ("transfer-leader", &["transfer-leader"]),
        ("join", &["join", "server-4", "127.0.0.1:1"]),
        ("remove", &["remove", "server-4"]),
        ("backup", &["backup", &backup]),
        ("backup --check", &["backup", "--check", &backup]),
        ("replace", &["replace", "server-3", "server-5", "127.0.0.1:1"]),
    ];
    for (name, arguments) in orders {
        rows.check(name, &[operator.done(arguments)]);
    }
    rows.check("restore", &[printed(&["restore", &backup, "--up", &restored])]);
    // First what the others have, while they run; then what became of it.
    let server = &cluster.servers[0];
    let configuration = server.data.with_extension("toml");
    let certificates = cluster.directory.join("certs");
    let peers: Vec<String> = cluster.servers.iter().map(|server| format!("{:?}", server.as_peer())).collect();
    let text = format!(
        "name = \"server-1\"\ndata-dir = {:?}\npeers = [{}]\npeer-ca = {:?}\npeer-cert = {:?}\npeer-key = {:?}\n",
        server.data,
        peers.join(", "),
        certificates.join("authority.pem"),
        certificates.join("server-1.pem"),
        certificates.join("server-1.key"),
    );
    fs::write(&configuration, text).unwrap();
    let recover = ["recover", "--config", configuration.to_str().unwrap()];
    cluster.servers[0].kill();
    rows.check("recover", &[printed(&recover)]);
    cluster.kill(&[1, 2]);
    rows.check("recover", &[printed(&[&recover[..], &["--force", "--yes", "server-1"]].concat())]);
}

/// The object that a command prints, whatever it makes of it.
fn printed(arguments: &[&str]) -> Value {
    let output = Command::new(PROGRAM).args(arguments).arg("--json").env_clear().stdin(Stdio::null()).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"))
}

#[test]
fn every_event_of_up_is_documented() {
    let directory = tempfile::tempdir().unwrap();
    let (data, said) = (directory.path().join("data"), directory.path().join("said"));
    let port = free_ports(PORTS).to_string();
    let mut command = Command::new(PROGRAM);
    command.args(["up", "--json", "--restart", "--port", &port, "--data-dir"]).arg(&data).env_clear();
    let up = Process::spawn(command.stdin(Stdio::null()).stdout(fs::File::create(&said).unwrap()));
    let wait_for = |event: &str| until(event, || events(&said).into_iter().rfind(|one| one["event"] == event));
    let started = wait_for("started");
    let leads = |one: &&Value| one["role"] == "leader";
    let leader = started["servers"].as_array().unwrap().iter().find(leads).unwrap();
    let killed = Command::new("kill").args(["-9", &leader["pid"].to_string()]).status();
    assert!(killed.unwrap().success());
    for event in ["died", "restarted", "returned", "leads"] {
        wait_for(event);
    }
    up.signal("-TERM");
    wait_for("stopped");
    let mut rows = Checked::of("event", &["event"]);
    for event in events(&said) {
        rows.check(event["event"].as_str().unwrap(), std::slice::from_ref(&event));
    }
    // Of a slow start and a cluster in trouble; a server that `up` does not start again, and one that ends by itself.
    let in_trouble = ["message", "waiting", "unavailable", "available", "silent"];
    rows.end(&in_trouble, &["died: said", "died: command"]);
}

/// Whole lines of `up`.
fn events(said: &Path) -> Vec<Value> {
    let text = fs::read_to_string(said).unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
