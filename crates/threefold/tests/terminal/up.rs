//! `up` on a terminal: a live table, with keys that kill and start servers.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    chat::is_given_back,
    harness::{PROGRAM, free_ports, wait},
    terminal::{Terminal, there_are_terminals},
};

/// Up to the last of the ports of servers among themselves.
const PORTS: u16 = 110;

/// The row of a server: on a wide terminal it has the server's address.
fn row<'a>(screen: &'a str, server: &str) -> &'a str {
    screen.lines().find(|line| line.contains(server) && line.contains("127.0.0.1:")).unwrap_or_default()
}

/// The server that leads, by its row.
fn leader(screen: &str) -> Option<String> {
    let names = (1..=3).map(|number| format!("server-{number}"));
    names.into_iter().find(|name| row(screen, name).contains(" leader "))
}

/// `up` in a terminal, with its directory and its first port; `behind` follows on its line.
fn begun(environment: &[&str], size: (u16, u16), behind: &str) -> (tempfile::TempDir, u16, Terminal) {
    begun_by("", environment, size, behind)
}

/// The same, with something before it on its line.
fn begun_by(before: &str, environment: &[&str], size: (u16, u16), behind: &str) -> (tempfile::TempDir, u16, Terminal) {
    let directory = tempfile::tempdir().unwrap();
    let port = free_ports(PORTS);
    let terminal = Terminal::open_with(environment, size);
    let data = directory.path().join("data");
    terminal.enter(&format!("{before}threefold up --data-dir {} --port {port}{behind}", data.display()));
    (directory, port, terminal)
}

/// What a process has had of a processor, in hundredths of a second.
fn ticks(process: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // Behind the name, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Waits until it has let go of its keys, and does nothing to speak of.
fn reads_no_keys_and_rests(process: &str) {
    wait("the table to be left", || {
        let input = std::fs::read_link(format!("/proc/{process}/fd/0"));
        input.is_ok_and(|input| input.to_string_lossy().starts_with("pipe:"))
    });
    wait("it to rest", || {
        let before = ticks(process);
        std::thread::sleep(Duration::from_millis(500));
        ticks(process) - before < 15
    });
}

fn wait_for_free_ports(port: u16) {
    wait("all servers to have ended", || {
        (port..port + 3).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
    });
}

#[test]
fn the_leader_is_killed_and_started_by_keys_and_the_terminal_given_back() {
    if !there_are_terminals() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let port = free_ports(PORTS);
    let mut terminal = Terminal::open_with(&[], (150, 40));
    terminal.enter(&format!("threefold up --data-dir {} --port {port}", directory.path().join("data").display()));
    let whole = |screen: &str| screen.contains("● normal") && leader(screen).is_some();
    let before = terminal.wait_until("a whole cluster", whole);
    let first = leader(&before).unwrap();
    assert!(
        before.contains(&format!("http://127.0.0.1:{port}/")) && before.contains("threefold register NAME"),
        "{before}"
    );
    assert!(row(&before, &first).contains(" MiB"), "{before}");

    terminal.press(&["l"]);
    let is_led_by_another =
        |screen: &str| row(screen, &first).contains(" dead ") && leader(screen).is_some_and(|leader| leader != first);
    let after = terminal.wait_until("the leader dead and another in its place", is_led_by_another);
    terminal.wait_for(&format!("{first} died (signal 9)"));
    assert!(after.contains("leads now, in term"), "{after}");

    terminal.press(&["s"]);
    let is_back = |screen: &str| {
        let row = row(screen, &first);
        row.contains(" follower ") && row.contains(" yes ") && whole(screen)
    };
    terminal.wait_until("it is in sync again", is_back);
    terminal.resize((40, 12));
    let small = terminal.wait_until("a small table", |screen| screen.contains("k kill") && !screen.contains("ADDRESS"));
    assert!(small.lines().all(|line| line.chars().count() <= 40) && small.contains(&first), "{small}");

    terminal.press(&["q"]);
    terminal.wait_for("all servers have stopped");
    is_given_back(&terminal);
    wait_for_free_ports(port);
}

/// Sends a signal to a process, or with `-` before it to a group.
fn signal(name: &str, process: &str) {
    assert!(Command::new("kill").args([name, "--", process]).status().unwrap().success());
}

#[test]
fn in_the_background_it_leaves_the_terminal_alone_and_runs() {
    if !there_are_terminals() {
        return;
    }
    let (_directory, port, terminal) = begun(&["NO_COLOR=1"], (120, 30), " &");
    let screen = terminal.wait_for(&format!("open http://127.0.0.1:{port}/"));
    assert!(!screen.contains("WHAT HAPPENED") && !screen.contains("Stopped"), "{screen}");
    terminal.enter("kill %1");
    terminal.wait_for("all servers have stopped");
}

#[test]
fn stopped_from_outside_it_gives_the_terminal_back_until_it_goes_on() {
    if !there_are_terminals() {
        return;
    }
    let (_directory, _, terminal) = begun(&["NO_COLOR=1"], (120, 30), "");
    terminal.wait_for("● normal");
    signal("-TSTP", &terminal.program());
    terminal.wait_for("Stopped");
    is_given_back(&terminal);
    terminal.enter("fg");
    terminal.wait_for("● normal");
    // And where it is to go on in the background, it does so in lines.
    terminal.press(&["C-z"]);
    terminal.wait_until("it has stopped again", |screen| screen.matches("Stopped").count() == 2);
    terminal.enter("bg");
    // Were it stopped, it could not say so.
    terminal.enter("kill %1");
    terminal.wait_for("all servers have stopped");
}

#[test]
fn stopped_by_force_it_takes_the_terminal_again_or_leaves_it_to_whoever_has_it() {
    if !there_are_terminals() {
        return;
    }
    let (_directory, _, terminal) = begun(&["NO_COLOR=1"], (120, 30), "");
    terminal.wait_for("● normal");
    let program = terminal.program();
    signal("-STOP", &program);
    terminal.wait_for("Stopped");
    terminal.enter("fg");
    terminal.wait_until("the table drawn anew", |screen| screen.contains("● normal") && !screen.contains("Stopped"));
    // Keys are read one by one again, and not as lines.
    terminal.press(&["l"]);
    terminal.wait_for("died (signal 9)");
    signal("-STOP", &program);
    terminal.wait_for("Stopped");
    terminal.enter("bg");
    terminal.wait_for("threefold up");
    // What is typed is for the shell; one that asks for it again and again takes a whole processor.
    terminal.enter("echo $((40 + 2))");
    terminal.wait_for("42");
    reads_no_keys_and_rests(&program);
    terminal.enter("kill %1");
    terminal.wait_for("all servers have stopped");
}

#[test]
fn a_terminal_that_goes_away_ends_it_in_order() {
    if !there_are_terminals() {
        return;
    }
    let (_directory, _, terminal) = begun(&["NO_COLOR=1"], (120, 30), "");
    terminal.wait_for("● normal");
    signal("-HUP", &terminal.program());
    terminal.wait_for("all servers have stopped");
    is_given_back(&terminal);
}

#[test]
fn a_signal_ends_it_in_order_and_plain_lines_stay_where_they_are_asked_for() {
    if !there_are_terminals() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let port = free_ports(PORTS);
    let terminal = Terminal::open_with(&["NO_COLOR=1"], (80, 24));
    let up = format!("threefold up --data-dir {} --port {port}", directory.path().join("data").display());
    terminal.enter(&format!("{up} --plain"));
    let plain = terminal.wait_for(&format!("open http://127.0.0.1:{port}/"));
    assert!(plain.contains("CHAT TCP AT") && !plain.contains("WHAT HAPPENED"), "{plain}");
    terminal.press(&["C-c"]);
    terminal.wait_for("all servers have stopped");
    terminal.enter("clear");
    terminal.enter(&up);
    terminal.wait_for("● normal");
    let program = terminal.program();
    assert!(Command::new("kill").args(["-TERM", &program]).status().unwrap().success());
    terminal.wait_for("all servers have stopped");
    is_given_back(&terminal);
}

/// Ends a process that outlives its terminal, however the test ends.
struct Ending(String);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0]).stderr(Stdio::null()).status();
    }
}

#[test]
fn without_its_terminal_it_goes_on_and_rests_where_it_is_told_to() {
    if !there_are_terminals() {
        return;
    }
    let (directory, port, terminal) =
        begun_by("sh -c 'trap \"\" HUP; exec \"$@\"' sh ", &["NO_COLOR=1"], (120, 30), "");
    terminal.wait_for("● normal");
    let program = terminal.program();
    let ending = Ending(program.clone());
    terminal.close();
    // One that asks a terminal that is gone again and again takes a whole processor.
    reads_no_keys_and_rests(&program);
    let servers = format!("127.0.0.1:{port}");
    let mut status = Command::new(PROGRAM);
    status.args(["status", "--servers", &servers, "--session"]).arg(directory.path().join("nobody")).env_clear();
    let status = status.output().unwrap();
    assert!(status.status.success(), "{status:?}");
    drop(ending);
    wait_for_free_ports(port);
}

#[test]
fn it_does_not_stop_where_nobody_would_let_it_go_on() {
    if !there_are_terminals() {
        return;
    }
    let (_directory, port, terminal) = begun_by("exec ", &["NO_COLOR=1"], (120, 30), "");
    terminal.wait_for("● normal");
    terminal.press(&["C-z"]);
    terminal.wait_for("there is no shell here");
    terminal.press(&["q"]);
    wait_for_free_ports(port);
}
