//! `docs/commands.md` and what the commands print with `--json`: each field is in both, or in neither.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use crate::harness::{Cluster, PROGRAM, Person};

/// What the document says of one kind of object.
#[derive(Debug, Default)]
struct Row {
    always: BTreeSet<String>,
    /// In brackets.
    sometimes: BTreeSet<String>,
    /// Of the latter, those that were there.
    seen: BTreeSet<String>,
}

impl Row {
    /// From words with fields in backticks; what stands in parentheses is about something else.
    fn of(text: &str) -> Self {
        let (mut row, mut depth, mut is_optional) = (Self::default(), 0, false);
        for (place, part) in text.split('`').enumerate() {
            if place % 2 == 1 && depth == 0 {
                let fields = if is_optional { &mut row.sometimes } else { &mut row.always };
                fields.insert(part.to_owned());
            }
            for mark in part.chars().filter(|_| place % 2 == 0) {
                match mark {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    '[' => is_optional = true,
                    ']' => is_optional = false,
                    _ => {}
                }
            }
        }
        row
    }

    fn check(&mut self, what: &str, object: &Value) {
        let keys: BTreeSet<String> = object.as_object().unwrap().keys().cloned().collect();
        let missing: Vec<_> = self.always.difference(&keys).collect();
        assert!(missing.is_empty(), "{what}: {missing:?} documented, but not in {object}");
        let unknown: Vec<_> = keys.difference(&self.always).filter(|key| !self.sometimes.contains(*key)).collect();
        assert!(unknown.is_empty(), "{what}: {unknown:?} not documented, but in {object}");
        self.seen.extend(keys.intersection(&self.sometimes).cloned());
    }
}

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md")).unwrap()
}

/// The rows of the table whose first column is called so, by each of the names in their first cells.
fn table(called: &str) -> BTreeMap<String, String> {
    let document = document();
    let (_, rows) = document.split_once(&format!("| {called} |")).unwrap();
    let rows = rows.lines().skip(2).map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let named = rows.flat_map(|(first, rest)| {
        let names = first.split('`').skip(1).step_by(2);
        names.map(move |name| (name.to_owned(), rest.to_owned()))
    });
    named.collect()
}

struct Checked(BTreeMap<String, Row>);

impl Checked {
    fn of(called: &str) -> Self {
        Self(table(called).into_iter().map(|(name, text)| (name, Row::of(&text))).collect())
    }

    fn check(&mut self, name: &str, objects: &[Value]) {
        let row = self.0.get_mut(name).unwrap_or_else(|| panic!("{name} has no row"));
        assert!(!objects.is_empty(), "{name} has printed nothing");
        objects.iter().for_each(|object| row.check(name, object));
    }

    /// What is documented and was never there.
    fn end(self, names: &[&str]) {
        for name in names {
            let row = &self.0[*name];
            let never: Vec<_> = row.sometimes.difference(&row.seen).collect();
            assert!(never.is_empty(), "{name}: {never:?} documented, but never there");
        }
    }
}

#[test]
fn every_field_is_documented_and_every_documented_field_is_there() {
    // Of its own, because the first account of a cluster is an administrator.
    let cluster = Cluster::start(&[]);
    let mut rows = Checked::of("command");
    let fay = cluster.stranger("fay");
    rows.check("register", &fay.json(&["register", "fay"]));
    let [gus, hal, ida] = ["gus", "hal", "ida"].map(|name| cluster.person(name));
    let [other, third] = ["other", "third"].map(|device| gus.elsewhere(device));
    let at = |name: &str| cluster.directory.join(name).to_str().unwrap().to_owned();
    let (file, secret, saved, exported) = (at("fields.txt"), at("secret"), at("saved"), at("gus.jsonl"));
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
        ("passwd", &hal, vec!["passwd", "--new-password-file", &secret]),
        ("delete-account", &hal, vec!["delete-account", "--password-file", &secret]),
        ("status", &gus, vec!["status"]),
        ("send", &fay, vec!["send", "gus", "more"]),
        ("edit", &fay, vec!["edit", &id, "hello, @gus"]),
        ("react ID EMOJI", &gus, vec!["react", &id, "👍"]),
        ("react ID", &gus, vec!["react", &id]),
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
        ("rooms", &gus, vec!["rooms", "lair"]),
        ("room join", &ida, vec!["join", "#lair"]),
        ("room remove", &fay, vec!["room", "remove", "lair", "ida"]),
        ("send", &fay, vec!["send", "#lair", "hello all"]),
        ("unread", &gus, vec!["unread"]),
        ("read", &gus, vec!["read", "fay"]),
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
        ("online", &gus, vec!["online"]),
        ("bot delete", &fay, vec!["bot", "delete", "echo", "--yes"]),
        ("admin grant", &fay, vec!["admin", "grant", "ida"]),
        ("admin revoke", &fay, vec!["admin", "revoke", "ida"]),
        ("admin disable", &fay, vec!["admin", "disable", "ida"]),
        ("admin enable", &fay, vec!["admin", "enable", "ida"]),
        ("admin reset-password", &fay, vec!["admin", "reset-password", "ida", "--new-password-file", &secret]),
        ("admin delete", &fay, vec!["admin", "delete", "ida", "--yes"]),
        ("admin free-name", &fay, vec!["admin", "free-name", "ida"]),
        ("admin log", &fay, vec!["admin", "log"]),
        ("delete-message", &gus, vec!["delete-message", &with_file]),
        ("delete-message", &fay, vec!["delete-message", &regretted, "--everyone"]),
        ("export --output", &gus, vec!["export", "--output", &exported]),
        ("logout", &third, vec!["logout"]),
        ("sessions --end-others", &gus, vec!["sessions", "--end-others"]),
    ];
    let mut told = BTreeSet::new();
    // Something is unread, so that `online` has somebody to tell of: whoever follows is online.
    let _following = crate::harness::Process::spawn(fay.command(&["follow"]).stdout(std::process::Stdio::null()));
    crate::harness::wait("somebody online", || !gus.json(&["online"]).is_empty());
    for (name, who, arguments) in &cases {
        rows.check(name, &who.json(arguments));
        told.insert(*name);
    }
    let operator = cluster.operator();
    let orders: [(&str, &[&str]); 4] = [
        ("survivor-mode", &["survivor-mode", "on"]),
        ("transfer-leader", &["transfer-leader"]),
        ("join", &["join", "server-4", "127.0.0.1:1"]),
        ("remove", &["remove", "server-4"]),
    ];
    for (name, arguments) in orders {
        rows.check(name, &[operator.done(arguments)]);
    }
    let (backup, restored) = (at("fields.backup"), at("restored"));
    rows.check("backup", &[operator.done(&["backup", &backup])]);
    rows.check("backup --check", &[operator.done(&["backup", "--check", &backup])]);
    let output = std::process::Command::new(PROGRAM).args(["restore", &backup, "--up", &restored, "--json"]).output();
    rows.check("restore", &[serde_json::from_slice(&output.unwrap().stdout).unwrap()]);
    rows.end(&told.into_iter().collect::<Vec<_>>());
    events(&[fay, gus]);
}

fn events(people: &[Person]) {
    let document = document();
    let (_, message) = document.split_once("A **message** has ").unwrap();
    let (message, _) = message.split_once("\n\n").unwrap();
    let mut rows = Checked::of("type");
    rows.0.insert("message".to_owned(), Row::of(message));
    let common = ["type", "id", "time_ms"].map(str::to_owned);
    rows.0.values_mut().for_each(|row| row.always.extend(common.clone()));
    let mut told = BTreeSet::new();
    for event in people.iter().flat_map(|one| one.json(&["follow", "--once", "--after", "0"])) {
        let kind = event["type"].as_str().unwrap().to_owned();
        rows.check(&kind, &[event]);
        told.insert(kind);
    }
    // Told only to who is not among these two any more, or by a newer server.
    let not_here = ["password_changed", "password_reset", "member_removed", "invitation_ended", "unknown"];
    let never: Vec<&String> =
        rows.0.keys().filter(|kind| !told.contains(*kind) && !not_here.contains(&kind.as_str())).collect();
    assert!(never.is_empty(), "{never:?} documented, but never told");
}
