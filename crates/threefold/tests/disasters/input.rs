//! Bad input from people: each a clear error with the right exit code, and nothing changed.

use std::{fs, net::TcpListener, path::Path};

use threefold_client::{Client, Error, Options, Page, Session, chat::ErrorCode, parse_servers};

use crate::harness::{Failed, Person, shared, text, until, wait};

/// Every command that needs a login, with arguments that make sense.
const LOGGED_IN: [&[&str]; 13] = [
    &["whoami"],
    &["delete-account", "--yes"],
    &["passwd"],
    &["sessions"],
    &["send", "somebody", "text"],
    &["messages", "somebody"],
    &["unread"],
    &["conversations"],
    &["read", "somebody"],
    &["delete-message", "4711"],
    &["users"],
    &["online"],
    &["follow", "--once"],
];

fn refused(failed: &Failed, code: &str, words: &str) {
    assert_eq!(failed.short(), (1, code), "{failed:?}");
    assert!(failed.message.contains(words), "{failed:?}");
}

fn usage(failed: &Failed, words: &str) {
    assert_eq!(failed.short(), (2, "USAGE"), "{failed:?}");
    assert!(failed.message.contains(words), "{failed:?}");
}

#[test]
fn names_passwords_and_devices_beyond_their_bounds() {
    let nobody = shared().stranger("names-nobody");
    let long = "n".repeat(33);
    for (name, words) in [
        ("", "1 to 32 characters"),
        (&*long, "1 to 32 characters, not 33"),
        ("two words", "letters a to z, digits"),
        ("größe", "letters a to z, digits"),
        ("#room", "letters a to z, digits"),
        ("bell\u{7}", "letters a to z, digits"),
        ("star*", "letters a to z, digits"),
    ] {
        refused(&nobody.fails(&["register", name]), "INVALID", words);
    }
    for (password, words) in [("1234567", "8"), ("", "8"), (&*"p".repeat(1025), "1024")] {
        let mut command = nobody.command(&["register", "names-nobody", "--json"]);
        refused(&Failed::of(command.env("THREEFOLD_PASSWORD", password), b""), "INVALID", words);
    }
    let long = "d".repeat(65);
    refused(&nobody.fails(&["register", "names-nobody", "--device", &long]), "INVALID", "64 bytes");
    assert!(!nobody.session.exists(), "nobody is logged in");
    refused(&nobody.fails(&["login", "names-nobody"]), "WRONG_CREDENTIAL", "wrong name or password");

    // The longest of each is fine, and is one name in any case.
    let longest = format!("Names-longest.{}", "n".repeat(18));
    let password = "p".repeat(1024);
    let mut command = nobody.command(&["register", &longest, "--device", &"d".repeat(64)]);
    assert!(command.env("THREEFOLD_PASSWORD", &password).output().unwrap().status.success());
    refused(&nobody.fails(&["register", &longest.to_uppercase(), "--force"]), "NAME_TAKEN", "taken");
    assert_eq!(nobody.done(&["whoami"]), format!("{longest}\n"), "a refused registration leaves the login alone");
}

#[test]
fn an_unknown_user_and_a_wrong_password_are_told_the_same() {
    let cluster = shared();
    let known = cluster.person("same-known");
    let guess = |name: &str| {
        let guesser = cluster.stranger("same-guesser");
        let mut command = guesser.command(&["login", name, "--json"]);
        Failed::of(command.env("THREEFOLD_PASSWORD", "wrong horse"), b"")
    };
    refused(&guess("same-known"), "WRONG_CREDENTIAL", "");
    assert_eq!(guess("same-known"), guess("same-nobody"));
    assert_eq!(guess("same-known"), guess("no name at all"));
    let mut command = known.command(&["delete-account", "--yes", "--json"]);
    refused(&Failed::of(command.env("THREEFOLD_PASSWORD", "wrong horse"), b""), "WRONG_CREDENTIAL", "");
    let mut command = known.command(&["passwd", "--json"]);
    command.env("THREEFOLD_PASSWORD", "wrong horse").env("THREEFOLD_NEW_PASSWORD", "battery staple");
    refused(&Failed::of(&mut command, b""), "WRONG_CREDENTIAL", "");
    let mut command = known.command(&["passwd", "--json"]);
    refused(&Failed::of(command.env("THREEFOLD_NEW_PASSWORD", "short"), b""), "INVALID", "8");
    assert_eq!(known.done(&["whoami"]), "same-known\n");
    cluster.stranger("same-guesser").done(&["login", "same-known"]);
}

#[test]
fn bodies_beyond_their_bounds() {
    let [alice, bob] = ["bodies-alice", "bodies-bob"].map(|name| shared().person(name));
    let send = |body: &[u8]| Failed::of(&mut alice.command(&["send", "bodies-bob", "--json"]), body);
    usage(&send(b""), "empty");
    usage(&send(&[b'x'; 16385]), "16384");
    usage(&send(&vec![b'x'; 3 << 20]), "16384");
    usage(&send(b"not utf-8: \xff"), "UTF-8");
    refused(&send(b" \n\t"), "INVALID", "empty");
    refused(&send(b"escape \x1b[2J"), "INVALID", "U+001B");
    refused(&send(b"nul \0"), "INVALID", "U+0000");
    refused(&alice.fails(&["send", "bodies-nobody", "text"]), "UNKNOWN_USER", "bodies-nobody");
    refused(&alice.fails(&["send", "no such name", "text"]), "UNKNOWN_USER", "");
    assert!(bob.history("bodies-alice").is_empty(), "nothing of it arrived");

    // One bad line does not keep the others from their way.
    let mut lines = b"one\n".to_vec();
    lines.extend([b'x'; 20_000]);
    lines.extend(b"\nbell \x1b\ntwo\n");
    let output = alice.piped(&["send", "bodies-bob", "--lines", "--json"], &lines);
    assert_eq!(output.status.code(), Some(2), "the first failure decides");
    assert_eq!((text(output.stdout).lines().count(), text(output.stderr).lines().count()), (2, 2));

    let longest = "é".repeat(8192);
    assert!(alice.piped(&["send", "bodies-bob"], longest.as_bytes()).status.success());
    let bodies: Vec<String> =
        bob.history("bodies-alice").iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect();
    assert_eq!(bodies, ["one", "two", &longest]);
}

#[test]
fn paging_beyond_its_bounds() {
    let cluster = shared();
    let [alice, bob] = ["paging-alice", "paging-bob"].map(|name| cluster.person(name));
    let lines: String = (0..230).map(|number| format!("{number}\n")).collect();
    assert!(alice.piped(&["send", "paging-bob", "--lines"], lines.as_bytes()).status.success());
    let count = |arguments: &[&str]| bob.json(&[&["messages", "paging-alice"], arguments].concat()).len();
    // From here on what was seen here is seen everywhere.
    wait("all of it", || count(&["4294967295"]) == 230);
    assert_eq!(count(&[]), 20);
    assert_eq!(count(&["4294967295"]), 230);
    assert_eq!(count(&["4294967295", "--after", "0"]), 230);
    assert_eq!(count(&["--before", "1"]), 0);
    assert_eq!(count(&["5", "--before", "18446744073709551615"]), 5);
    assert_eq!(count(&["--after", "18446744073709551615"]), 0);
    for wrong in [&["0"][..], &["-1"], &["4294967296"], &["--before", "-1"], &["--before", "1", "--after", "1"]] {
        let arguments = [&["messages", "paging-alice"], wrong].concat();
        usage(&bob.fails(&arguments), "");
    }
    refused(&bob.fails(&["messages", "paging-nobody"]), "UNKNOWN_USER", "paging-nobody");
    refused(&bob.fails(&["read", "paging-nobody"]), "UNKNOWN_CONVERSATION", "");
    refused(&bob.fails(&["delete-message", "1"]), "UNKNOWN_MESSAGE", "");
    refused(&bob.fails(&["delete-message", "18446744073709551615"]), "UNKNOWN_MESSAGE", "");
    for limit in ["0", "201", "-1", "many"] {
        usage(&bob.fails(&["users", "--limit", limit]), "");
    }
    refused(&bob.fails(&["users", &"x".repeat(65)]), "INVALID", "64 bytes");
    let page = bob.json(&["users", "paging-*", "--limit", "1"]);
    assert_eq!(page.len(), 2, "{page:?}");
    assert_eq!(page[1], serde_json::json!({"type": "more", "after": page[0]["name"]}));
    let rest = bob.json(&["users", "paging-*", "--after", page[0]["name"].as_str().unwrap()]);
    assert!(!rest.is_empty() && rest.iter().all(|one| one.get("type").is_none()), "all of it: {rest:?}");
    assert_eq!(bob.json(&["users", "--after", "zzzzzzzz"]).len(), 0);

    // The program never asks for more than a page at a time; another program may.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let session: Session = serde_json::from_str(&fs::read_to_string(&bob.session).unwrap()).unwrap();
        let client = Client::new(Options::new(parse_servers(&cluster.addresses()).unwrap())).unwrap();
        let client = client.with_session(session).unwrap();
        let invalid = |error: Error| assert!(error.is_refusal(ErrorCode::Invalid), "{error}");
        invalid(client.history("paging-alice", Page::Before(0), 201).await.unwrap_err());
        invalid(client.history("paging-alice", Page::After(0), u32::MAX).await.unwrap_err());
        invalid(client.conversations(false, 201, 0).await.unwrap_err());
        invalid(client.search_accounts("", 201, "").await.unwrap_err());
        let unknown = client.history(u64::MAX, Page::Before(0), 1).await.unwrap_err();
        assert!(unknown.is_refusal(ErrorCode::UnknownConversation), "{unknown}");
        assert_eq!(client.history("paging-alice", Page::Before(0), 200).await.unwrap().messages.len(), 200);
    });
}

#[test]
fn sessions_that_have_ended() {
    let cluster = shared();
    let alice = cluster.person("ended-alice");
    // By another device, by a new password, and by itself while somebody kept a copy.
    let [phone, tablet] = ["phone", "tablet"].map(|device| alice.elsewhere(device));
    let phone_session = until("the phone's session", || {
        let sessions = alice.json(&["sessions"]);
        sessions.iter().find(|session| session["device"] == "phone").map(|phone| phone["session"].to_string())
    });
    alice.done(&["sessions", "--end", &phone_session]);
    // Once more does no harm; one that never was is unknown.
    alice.done(&["sessions", "--end", &phone_session]);
    refused(&alice.fails(&["sessions", "--end", "1"]), "UNKNOWN_SESSION", "");
    let changed = alice.command(&["passwd"]).env("THREEFOLD_NEW_PASSWORD", "battery staple").output().unwrap();
    assert!(changed.status.success(), "{changed:?}");
    let copy = alice.with_session(&alice.session.with_extension("copy"), |_| ());
    // A token that nobody ever had.
    let invented = alice.session.with_extension("invented");
    let invented = alice.with_session(&invented, |session| session["token"] = "5a".repeat(32).into());
    alice.done(&["logout"]);
    for person in [&phone, &tablet, &copy, &invented] {
        // Every server has heard of it.
        for server in &cluster.servers {
            let person = person.at(&server.client);
            wait("the end of a session", || person.is_refused(&["whoami"], "SESSION_INVALID"));
        }
        for command in LOGGED_IN {
            let mut command = person.command(&[command, &["--json"]].concat());
            let failed = Failed::of(command.env("THREEFOLD_NEW_PASSWORD", "battery staple"), b"");
            refused(&failed, "SESSION_INVALID", "threefold login NAME");
        }
        // Logged out already: that is all anybody wanted.
        person.done(&["logout"]);
        assert!(!person.session.exists());
    }
    for command in LOGGED_IN.iter().chain([&&["logout"][..]]) {
        refused(&alice.fails(command), "SESSION_INVALID", "not logged in here");
    }
}

#[test]
fn session_files_that_are_none() {
    let cluster = shared();
    let person = cluster.stranger("file-broken");
    let with = |path: &Path, arguments: &[&str]| Person { session: path.to_owned(), ..person.clone() }.fails(arguments);
    for content in ["", "{", "[]", "nonsense", "{\"version\":1}", "{\"version\":1,\"token\":\"12\"}", "\u{0}\u{1}"] {
        fs::write(&person.session, content).unwrap();
        for command in [&["whoami"][..], &["login", "file-broken"], &["logout"], &["status"]] {
            let failed = person.fails(command);
            usage(&failed, "is no session file");
            assert!(failed.message.contains("file-broken.session"), "{failed:?}");
        }
        assert_eq!(fs::read_to_string(&person.session).unwrap(), content, "it is left alone");
    }
    fs::write(&person.session, [0xff, 0xfe]).unwrap();
    usage(&person.fails(&["whoami"]), "file-broken.session");
    fs::write(&person.session, "{\"version\":2,\"anything\":true}").unwrap();
    usage(&person.fails(&["whoami"]), "newer threefold");
    usage(&with(&cluster.directory, &["whoami"]), "");
    usage(&with(&person.session.join("below a file"), &["register", "file-broken"]), "file-broken.session");
}

#[test]
fn servers_that_cannot_be_reached_are_told_as_such() {
    let cluster = shared();
    let alice = cluster.person("unreachable-alice");
    let lost = alice.session.with_extension("lost");
    let lost = alice.with_session(&lost, |session| session["servers"] = serde_json::json!([]));
    // A port that nobody listens on, and one that says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("127.0.0.1:1,{}", silent.local_addr().unwrap());
    let commands = LOGGED_IN.iter().copied().chain([
        &["logout"][..],
        &["register", "unreachable", "--force"],
        &["login", "unreachable", "--force"],
        &["status"],
    ]);
    for command in commands {
        let mut command = lost.at(&nowhere).command(&[command, &["--json", "--timeout", "0.2"]].concat());
        let failed = Failed::of(command.env("THREEFOLD_NEW_PASSWORD", "battery staple"), b"");
        assert_eq!(failed.short(), (3, "UNAVAILABLE"), "{failed:?}");
        assert!(failed.message.contains("no server answered in time"), "{failed:?}");
    }
    assert_eq!(alice.done(&["whoami"]), "unreachable-alice\n", "the login is still there");
    for servers in ["not an address", "", "127.0.0.1:99999", "http://"] {
        usage(&alice.at(servers).fails(&["whoami"]), "");
    }
    // One that answers is enough, whatever else is named.
    assert_eq!(alice.at(&format!("{nowhere},{}", cluster.servers[2].client)).done(&["unread"]), "nothing unread\n");
}

#[test]
fn commands_that_make_no_sense() {
    let person = shared().stranger("usage-nobody");
    let cases: [&[&str]; 14] = [
        &["register"],
        &["login"],
        &["logout", "now"],
        &["whoami", "me"],
        &["send"],
        &["send", "somebody", "text", "--lines"],
        &["messages"],
        &["read"],
        &["delete-message"],
        &["delete-message", "first"],
        &["sessions", "--end", "1", "--end-others"],
        &["users", "--no-such-flag"],
        &["status", "--timeout", "0"],
        &["unread", "--timeout", "never"],
    ];
    for command in cases {
        usage(&person.fails(command), "");
        // For people the same in words.
        let output = person.run(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(text(output.stderr).contains("--help"), "{command:?}");
        assert!(output.stdout.is_empty(), "{command:?}");
    }
    usage(&person.fails(&["no-such-command"]), "no-such-command");
    // Passwords that cannot be had.
    let path = person.session.with_extension("password");
    usage(&person.fails(&["login", "x", "--password-file", path.to_str().unwrap()]), "usage-nobody.password");
    fs::write(&path, "\n").unwrap();
    usage(&person.fails(&["login", "x", "--password-file", path.to_str().unwrap()]), "holds no password");
    for asked in [&["--help"][..], &["--version"], &["send", "--help"]] {
        let output = person.run(asked);
        assert!(output.status.success() && output.stderr.is_empty() && !output.stdout.is_empty(), "{asked:?}");
    }
}
