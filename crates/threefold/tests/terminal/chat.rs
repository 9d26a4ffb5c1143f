//! Two people in two terminals.

use std::process::Command;

use serde_json::Value;

use crate::{
    harness::{Cluster, until},
    terminal::{Terminal, there_are_terminals},
};

/// How often something is on a screen.
fn count(screen: &str, text: &str) -> usize {
    screen.matches(text).count()
}

/// The terminal is as it was: the shell is on its own screen, what is typed is seen, the mouse is nobody's.
pub fn is_given_back(terminal: &Terminal) {
    terminal.wait_for("ready>");
    terminal.enter("echo it is $((20 + 22))");
    terminal.wait_for("it is 42");
    let state = terminal.state("#{alternate_on} #{mouse_any_flag} #{cursor_flag}");
    assert_eq!(state, "0 0 1");
}

#[test]
fn two_talk_while_the_leader_dies_and_no_line_is_lost_or_doubled() {
    if !there_are_terminals() {
        return;
    }
    let mut cluster = Cluster::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    alice.done(&["send", "bob", "before"]);
    let mut wide = Terminal::open(&alice, (100, 40));
    let narrow = Terminal::open(&bob, (40, 30));
    wide.enter("threefold chat bob");
    narrow.enter("threefold chat alice");
    wide.wait_for("write to bob");
    narrow.wait_for("before");

    wide.enter("a1 hello");
    narrow.wait_for("a1 hello");
    narrow.enter("b1 hello too");
    wide.wait_for("b1 hello too");

    let leader = cluster.leader();
    cluster.servers[leader].kill();
    // At once, while nobody leads.
    for number in 2..6 {
        wide.enter(&format!("a{number} on and on"));
        narrow.enter(&format!("b{number} and on"));
    }
    let both = |screen: &str| {
        let all = (1..6).flat_map(|number| [format!("a{number} "), format!("b{number} ")]);
        all.into_iter().all(|line| count(screen, &line) == 1) && !screen.contains("(sending)")
    };
    wide.wait_until("every line once", both);
    narrow.wait_until("every line once", both);
    let told = alice.history("bob");
    assert_eq!(told.len(), 11, "{told:?}");
    let of = |name: &str| -> Vec<String> {
        let own = told.iter().filter(|message| message["from"] == name);
        own.map(|message| message["body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("bob"), ["b1 hello too", "b2 and on", "b3 and on", "b4 and on", "b5 and on"]);

    cluster.start_all();
    cluster.wait_until_whole();
    // Another size, an edit, an answer, a reaction.
    wide.resize((60, 20));
    wide.enter("/edit a5 and on, edited");
    narrow.wait_for("a5 and on, edited (edited)");
    narrow.enter("/react +1");
    wide.wait_for("👍 1");
    narrow.press(&["C-Up"]);
    narrow.wait_for("r reply");
    narrow.press(&["r"]);
    narrow.wait_for("your answer");
    narrow.enter("b6 an answer");
    // Whichever of the two came last while nobody led.
    wide.wait_until("the answer, with what it answers", |screen| {
        screen.contains("╭ bob: b5") || screen.contains("╭ alice: a5")
    });
    assert_eq!(until("the answer", || alice.json(&["messages", "bob", "1"]).pop())["body"], "b6 an answer");

    wide.enter("/quit");
    is_given_back(&wide);
    // A signal, with something half typed.
    narrow.press(&["h", "a", "l", "f"]);
    narrow.wait_for("half");
    assert!(Command::new("kill").args(["-TERM", &narrow.program()]).status().unwrap().success());
    is_given_back(&narrow);
    let unread: Vec<Value> = bob.json(&["unread"]);
    assert!(unread.is_empty(), "what was seen is read: {unread:?}");
}

#[test]
fn rooms_files_and_search_from_a_small_terminal() {
    if !there_are_terminals() {
        return;
    }
    let cluster = crate::harness::shared();
    let [carol, dora] = ["terminal-carol", "terminal-dora"].map(|name| cluster.person(name));
    let file = cluster.directory.join("terminal-carol.txt");
    std::fs::write(&file, "leaves").unwrap();
    let terminal = Terminal::open(&carol, (60, 16));
    terminal.enter("threefold chat");
    terminal.wait_for("No conversation is open.");
    terminal.enter("/room terminal-den where we meet");
    terminal.wait_for("#terminal-den");
    dora.done(&["join", "#terminal-den"]);
    terminal.wait_for("terminal-dora joined");
    dora.done(&["send", "#terminal-den", "has anybody seen the teapot, @terminal-carol?"]);
    terminal.wait_for("seen the teapot");
    terminal.enter(&format!("/attach {} here it is", file.display()));
    terminal.wait_for("[terminal-carol.txt, 6 bytes]");
    until("the file to arrive", || {
        let messages = dora.json(&["messages", "#terminal-den", "1"]);
        (messages.first()?["attachments"][0]["bytes"] == 6).then_some(())
    });
    terminal.enter("/search teapot");
    terminal.wait_for("1 found");
    terminal.press(&["Enter"]);
    terminal.wait_until("the found message selected", |screen| screen.contains("▌") && screen.contains("teapot"));
    terminal.press(&["Escape"]);
    terminal.enter("/leave");
    terminal.wait_for("Leave #terminal-den?");
    terminal.press(&["y"]);
    terminal.wait_for("left #terminal-den");
    terminal.press(&["C-c"]);
    is_given_back(&terminal);
}

#[test]
fn whoever_is_logged_out_elsewhere_is_told_and_the_terminal_given_back() {
    if !there_are_terminals() {
        return;
    }
    let cluster = crate::harness::shared();
    let person = cluster.person("terminal-erin");
    let other = person.elsewhere("other");
    let terminal = Terminal::open(&person, (80, 24));
    terminal.enter("threefold chat");
    terminal.wait_for("No conversation is open.");
    other.done(&["sessions", "--end-others"]);
    terminal.wait_for("any key leaves");
    terminal.press(&["x"]);
    is_given_back(&terminal);
    // On however many rows.
    let screen = terminal.screen();
    assert!(screen.replace('\n', "").contains("threefold login NAME"), "{screen}");
}

#[test]
fn signals_that_come_while_it_starts_or_that_stop_it_are_heeded() {
    if !there_are_terminals() {
        return;
    }
    let cluster = crate::harness::shared();
    let person = cluster.person("terminal-fred");
    let signal = |terminal: &Terminal, name: &str| {
        let program = until("the program", || Some(terminal.program()).filter(|program| !program.is_empty()));
        assert!(Command::new("kill").args([name, &program]).status().unwrap().success());
    };
    // Somebody who listens and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let terminal = Terminal::open(&person.at(&silent.local_addr().unwrap().to_string()), (80, 24));
    terminal.enter("threefold chat --timeout 3600");
    silent.accept().unwrap();
    signal(&terminal, "-TERM");
    is_given_back(&terminal);

    let terminal = Terminal::open(&person, (80, 24));
    terminal.enter("threefold chat");
    terminal.wait_for("No conversation is open.");
    signal(&terminal, "-TSTP");
    terminal.wait_for("Stopped");
    is_given_back(&terminal);
    terminal.enter("fg");
    terminal.wait_for("No conversation is open.");
    // By its own key, too; and what is drawn anew is all there.
    terminal.press(&["C-z"]);
    terminal.wait_until("it has stopped again", |screen| count(screen, "Stopped") == 2);
    terminal.enter("fg");
    terminal.wait_for("No conversation is open.");
    terminal.press(&["C-l", "h", "i"]);
    terminal.wait_until("all of it", |screen| screen.contains("No conversation is open.") && screen.contains("› hi"));
    terminal.press(&["C-c"]);
    terminal.enter("/quit");
    is_given_back(&terminal);
}

#[test]
fn what_was_written_outlives_a_chat_that_is_killed() {
    if !there_are_terminals() {
        return;
    }
    let mut cluster = Cluster::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    alice.done(&["send", "bob", "before"]);
    bob.done(&["room", "create", "den"]);
    alice.done(&["join", "#den"]);
    let terminal = Terminal::open(&alice, (100, 30));
    terminal.enter("threefold chat '#den'");
    terminal.wait_for("write to #den");
    // Another one of the same login has to do without.
    let second = Terminal::open(&alice, (100, 30));
    second.enter("threefold chat");
    second.wait_for("will be lost");
    second.enter("/quit");
    is_given_back(&second);

    cluster.kill_all();
    terminal.enter("to the room");
    terminal.enter("/msg bob");
    terminal.wait_for("write to bob");
    terminal.enter("to bob");
    let kept = alice.session.with_file_name("alice.session.outbox");
    until("both to be kept", || {
        let bytes = std::fs::read(&kept).ok()?;
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        (has("to the room") && has("to bob")).then_some(())
    });
    assert!(Command::new("kill").args(["-KILL", &terminal.program()]).status().unwrap().success());
    terminal.close();

    cluster.start_all();
    cluster.wait_until_whole();
    bob.done(&["room", "remove", "den", "alice"]);
    let terminal = Terminal::open(&alice, (100, 30));
    terminal.enter("threefold chat bob");
    // Listed until somebody says what is to become of it; and again by the next one, if nobody does.
    terminal.wait_for("Not sent");
    terminal.wait_for("to the room");
    terminal.press(&["Escape"]);
    let is_there = |screen: &str| count(screen, "to bob") == 2 && !screen.contains("(sending)");
    terminal.wait_until("what was kept, beside the line one writes on", is_there);
    assert!(Command::new("kill").args(["-KILL", &terminal.program()]).status().unwrap().success());
    terminal.close();
    let terminal = Terminal::open(&alice, (100, 30));
    terminal.enter("threefold chat bob");
    terminal.wait_for("Not sent");
    // Once it is known where it belongs: it is written to nobody else, and nobody joins a room for it.
    terminal.wait_for("to a conversation that is not yours");
    terminal.press(&["Enter"]);
    terminal.wait_for("↑ has the text");
    assert!(!terminal.screen().contains("› to the room"), "{}", terminal.screen());
    terminal.press(&["Up"]);
    terminal.wait_for("› to the room");
    terminal.press(&["C-u"]);
    terminal.enter("/unsent");
    terminal.wait_for("give it up");
    terminal.press(&["DC"]);
    terminal.wait_until("the list closed", |screen| !screen.contains("give it up"));
    terminal.enter("/quit");
    is_given_back(&terminal);
    let bodies = |of: &str| -> Vec<String> {
        bob.history(of).iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(bodies("alice"), ["before", "to bob"]);
    assert!(!bodies("#den").contains(&"to the room".to_owned()));
    // It was given up.
    terminal.enter("clear");
    terminal.enter("threefold chat bob");
    let screen = terminal.wait_for("write to bob");
    assert!(!screen.contains("Not sent") && !screen.contains("/unsent"), "{screen}");
    terminal.enter("/quit");
    is_given_back(&terminal);
}

#[test]
fn it_opens_where_no_server_answers_and_says_what_is_kept_and_what_is_not() {
    if !there_are_terminals() {
        return;
    }
    let mut cluster = Cluster::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| cluster.person(name));
    alice.done(&["send", "bob", "before"]);
    let file = cluster.directory.join("plan.txt");
    std::fs::write(&file, "the plan").unwrap();
    cluster.kill_all();
    let terminal = Terminal::open(&alice, (300, 30));
    terminal.enter("threefold chat bob");
    terminal.wait_for("No server answers yet");
    terminal.enter("written early");
    terminal.wait_for("written early (sending)");
    terminal.enter(&format!("/attach {} see this", file.display()));
    terminal.wait_for("(waiting to be uploaded)");
    let kept = alice.session.with_file_name("alice.session.outbox");
    until("the text to be kept", || {
        let bytes = std::fs::read(&kept).ok()?;
        bytes.windows(13).any(|part| part == b"written early").then_some(())
    });
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    until("the message with a file to be kept", || has(&std::fs::read(&kept).ok()?, "see this").then_some(()));
    // Killed, it lists what was not uploaded; and so does the next one, when nobody has said what is to become of it.
    assert!(Command::new("kill").args(["-KILL", &terminal.program()]).status().unwrap().success());
    terminal.close();
    let terminal = Terminal::open(&alice, (300, 30));
    terminal.enter("threefold chat");
    terminal.wait_for("Not sent");
    let screen = terminal.wait_for("to bob");
    assert!(screen.contains("see this · /"), "with its path: {screen}");
    terminal.press(&["Escape"]);
    terminal.wait_for("Kept from before");
    terminal.enter("/quit");
    is_given_back(&terminal);
    let screen = terminal.screen().replace('\n', "");
    assert!(screen.contains("a message was not acknowledged: it is kept, and the next"), "{screen}");
    // What is kept is told, also before anybody can be asked in which conversation it belongs.
    terminal.enter("clear");
    terminal.enter("threefold chat");
    terminal.wait_for("Not sent");
    terminal.press(&["Escape"]);
    terminal.wait_for("Kept from before");
    terminal.wait_for("… to bob: written early");
    cluster.start_all();
    cluster.wait_until_whole();
    let is_sent = |screen: &str| {
        screen.contains("write to bob") && screen.contains("written early") && !screen.contains("Kept from before")
    };
    terminal.wait_until("what was kept, sent", is_sent);
    let bodies = || -> Vec<String> {
        bob.history("alice").iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
    };
    until("it to arrive", || (bodies().len() == 2).then_some(()));
    assert_eq!(bodies(), ["before", "written early"]);
    // What was not uploaded is, when somebody says so.
    terminal.enter("/unsent");
    terminal.wait_for("see this");
    terminal.press(&["Enter"]);
    terminal.wait_for("Enter sends it with its file");
    terminal.press(&["Enter"]);
    until("it to arrive", || (bodies().len() == 3).then_some(()));
    let last = bob.history("alice").pop().unwrap();
    assert_eq!((last["body"].as_str(), last["attachments"][0]["name"].as_str()), (Some("see this"), Some("plan.txt")));
    terminal.wait_until("nothing left unsent", |screen| !screen.contains("/unsent"));
    terminal.enter("/quit");
    is_given_back(&terminal);
}

#[test]
fn a_session_that_is_over_is_told_at_once_and_the_terminal_given_back() {
    if !there_are_terminals() {
        return;
    }
    let cluster = crate::harness::shared();
    let person = cluster.person("terminal-gina");
    let other = person.elsewhere("other");
    other.done(&["sessions", "--end-others"]);
    let terminal = Terminal::open(&person, (80, 24));
    terminal.enter("threefold chat || echo \"it ended with $?\"");
    terminal.wait_for("it ended with 1");
    is_given_back(&terminal);
    let screen = terminal.screen();
    assert!(screen.replace('\n', "").contains("threefold login NAME"), "{screen}");
}

#[test]
fn a_panic_anywhere_gives_the_terminal_back() {
    if !there_are_terminals() {
        return;
    }
    let cluster = crate::harness::shared();
    for place in ["loop", "task", "thread"] {
        let person = cluster.person(&format!("terminal-panic-{place}"));
        let servers = format!("THREEFOLD_SERVERS={}", person.servers);
        let session = format!("THREEFOLD_SESSION={}", person.session.display());
        let terminal = Terminal::open_with(&[&servers, &session, &format!("THREEFOLD_TEST_PANIC={place}")], (100, 30));
        let modes = |name: &str| cluster.directory.join(format!("terminal-panic-{place}-{name}"));
        let state = "#{alternate_on} #{mouse_any_flag} #{cursor_flag} #{pane_title}";
        let (before, title) = (terminal.state(state), terminal.state("#{pane_title}"));
        // A shell that runs scripts leaves the terminal as it finds it.
        let line = "sh -c 'stty -a >\"$1\"; threefold chat; stty -a >\"$2\"' sh";
        terminal.enter(&format!("{line} {} {}", modes("before").display(), modes("after").display()));
        terminal.wait_for("No conversation is open.");
        until("the terminal to be taken", || (terminal.state(state) == "1 1 1 threefold").then_some(()));
        terminal.press(&["F12"]);
        terminal.wait_for("panicked at");
        is_given_back(&terminal);
        assert_eq!(terminal.state(state), before);
        assert_ne!(title, "threefold");
        let [before, after] = ["before", "after"].map(|name| std::fs::read_to_string(modes(name)).unwrap());
        assert!(before.contains(" echo ") && before.contains(" icanon "), "{before}");
        assert_eq!(after, before, "{place}");
    }
}

#[test]
fn a_small_and_a_large_terminal_show_it_pleasantly() {
    if !there_are_terminals() {
        return;
    }
    let cluster = crate::harness::shared();
    let [mia, ben, tom] = ["mia", "benedict", "tom-of-the-hills"].map(|name| cluster.person(name));
    mia.done(&["display-name", "Mia Möwe"]);
    ben.done(&["display-name", "Benedict B. Longfellow"]);
    mia.done(&["room", "create", "harbour", "--topic", "boats, tides and the weather of tomorrow"]);
    for person in [&ben, &tom] {
        person.done(&["join", "#harbour"]);
    }
    mia.done(&["room", "create", "quiet-corner"]);
    let say = |person: &crate::harness::Person, to: &str, text: &str| person.done(&["send", to, text]);
    say(&ben, "#harbour", "Good morning! The **tide** turns at 10:40, and the ferry `north-2` is late again.");
    say(&ben, "#harbour", "See https://tides.example/harbour for the table.");
    say(&tom, "#harbour", "@mia are you coming?\n\nWe leave from the second pier:\n```\npier 2, boat \"Lachs\"\n```");
    say(&mia, "#harbour", "Yes! Keep a place for me; I bring bread, cheese and the large thermos with tea.");
    say(&ben, "#harbour", "晴れ後曇り 🌤️ says the forecast");
    say(&ben, "mia", "psst: it is Tom's birthday");
    say(&tom, "mia", "Could you bring the map?");
    let small = Terminal::open(&mia, (40, 12));
    small.enter("threefold chat '#harbour'");
    small.wait_for("says the forecast");
    let large = Terminal::open(&mia, (200, 60));
    large.enter("threefold chat '#harbour'");
    large.wait_for("says the forecast");
    large.enter("/react +1");
    small.wait_for("👍 1");
    small.enter("/reply bring an umbrella");
    let mut screens = Vec::new();
    for (terminal, (width, height), answer) in
        [(&small, (40, 12), "╭ "), (&large, (200, 60), "╭ Benedict B. Longfellow: 晴れ")]
    {
        let mut look = |name: &str, text: &str| {
            let screen = terminal.wait_for(text);
            assert_eq!(screen.trim_end_matches('\n').lines().count().max(height), height);
            assert!(screen.lines().all(|line| line.chars().count() <= width), "{screen}");
            screens.push(format!("{name} {width}x{height}\n{screen}"));
        };
        look("room", answer);
        // What follows too soon after it would be taken for one key with it.
        let close = || {
            terminal.press(&["Escape"]);
            terminal.wait_until("nothing over the messages", |screen| !screen.contains('┌'));
        };
        terminal.press(&["C-o"]);
        look("switcher", "Go to");
        close();
        for (line, text) in [
            ("/rooms", "Enter goes there"),
            ("/who mi", "Enter opens"),
            ("/members", "owner · Mia"),
            ("/search tea", "1 found"),
        ] {
            terminal.enter(line);
            look(line, text);
            close();
        }
        terminal.press(&["F1"]);
        look("help", "Help");
        close();
        terminal.enter("/msg benedict");
        look("direct", "birthday");
        terminal.enter("/quit");
        is_given_back(terminal);
    }
    for screen in screens {
        println!("{screen}");
    }
}
