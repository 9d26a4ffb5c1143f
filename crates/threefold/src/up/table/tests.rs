//! The table without a terminal and without a cluster: what is drawn in several sizes, what keys do, and that nothing breaks it.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use insta::assert_snapshot;
use proptest::prelude::*;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

use std::time::Duration;

use super::*;
use crate::tui::{text, theme::Colours};

fn empty(colours: Colours) -> Table {
    let servers = (1..=3).map(|number| (format!("server-{number}"), format!("127.0.0.1:{}", 7399 + number)));
    let mut table = Table::new(Theme::new(colours), "threefold-data", servers);
    table.set_clock("12:30:00".to_owned());
    table
}

fn running(number: u32) -> Process {
    Process::Running { pid: 1000 + number, memory_bytes: Some(u64::from(number) * 40_000_000), for_ms: 60_000 }
}

fn status(number: u32, role: &str) -> ServerStatus {
    ServerStatus {
        id: number.into(),
        name: format!("server-{number}"),
        client_address: format!("127.0.0.1:{}", 7399 + number),
        pid: 1000 + number,
        role: role.to_owned(),
        term: 3,
        voter: true,
        in_sync: true,
        last_index: 12_346,
        committed_index: 12_345,
        applied_index: 12_345,
        clients: number,
        uptime_ms: 3_725_000,
        ..ServerStatus::default()
    }
}

fn down(number: u32) -> ServerStatus {
    ServerStatus { name: format!("server-{number}"), role: "down".to_owned(), voter: true, ..ServerStatus::default() }
}

fn cluster(state: &str, detail: &str, servers: Vec<ServerStatus>) -> ClusterStatus {
    ClusterStatus { state: state.to_owned(), detail: detail.to_owned(), servers, ..ClusterStatus::default() }
}

const ALL_WELL: &str = "all 3 servers are in sync: the processes of any two may die";

/// Three servers, of which the second leads.
fn normal(colours: Colours) -> Table {
    let mut table = empty(colours);
    table.observe([running(1), running(2), running(3)]);
    let servers = vec![status(1, "follower"), status(2, "leader"), status(3, "follower")];
    table.look(Some(&cluster("normal", ALL_WELL, servers)));
    table.tell(&Event::Leads { server: "server-2".to_owned() });
    table
        .tell(&Event::Started { servers: report::rows(&cluster("", "", vec![status(1, ""); 3])), page: String::new() });
    table
}

/// The leader died, the first leads, and the third has much to catch up with.
fn eventful(colours: Colours) -> Table {
    let mut table = normal(colours);
    table.set_clock("12:31:07".to_owned());
    table.observe([running(1), Process::Dead, running(3)]);
    table.tell(&died("server-2"));
    let late = ServerStatus { in_sync: false, applied_index: 2_345, last_index: 2_345, ..status(3, "follower") };
    let detail = "server-2 and server-3 are not in sync: the cluster can lose none";
    let seen = |third: ServerStatus| {
        cluster("degraded", detail, vec![ServerStatus { term: 4, ..status(1, "leader") }, down(2), third])
    };
    table.look(Some(&seen(late.clone())));
    table.look(Some(&seen(ServerStatus { applied_index: 6_345, last_index: 6_345, ..late })));
    table.tell(&Event::Leads { server: "server-1".to_owned() });
    table
}

fn died(server: &str) -> Event {
    let command = Some("threefold serve --config x".to_owned());
    Event::Died { server: server.to_owned(), ending: "signal 9".to_owned(), said: None, command }
}

fn drawn(table: &Table, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view(frame, table)).unwrap();
    terminal.backend().buffer().clone()
}

fn shown(table: &Table, size: (u16, u16)) -> String {
    let buffer = drawn(table, size);
    let mut rows = Vec::new();
    for y in 0..buffer.area.height {
        let mut row = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            x += u16::try_from(text::cells(symbol).max(1)).unwrap();
        }
        rows.push(row.trim_end().to_owned());
    }
    rows.join("\n")
}

fn press(table: &mut Table, code: KeyCode) -> Option<Wish> {
    press_after(table, code, 1_000)
}

/// So long after the key before.
fn press_after(table: &mut Table, code: KeyCode, ms: u64) -> Option<Wish> {
    let before = table.last_key.map_or_else(Instant::now, |(_, at)| at);
    table.key(KeyEvent::new(code, KeyModifiers::NONE), before + Duration::from_millis(ms))
}

#[test]
fn a_cluster_in_every_size() {
    for size in [(40, 12), (80, 24), (200, 60), (20, 6), (100, 8)] {
        let name = |what: &str| format!("{what}_{}x{}", size.0, size.1);
        assert_snapshot!(name("normal"), shown(&normal(Colours::None), size));
        assert_snapshot!(name("eventful"), shown(&eventful(Colours::None), size));
    }
}

#[test]
fn before_it_is_complete_and_when_nobody_is_left() {
    let mut table = empty(Colours::None);
    table.observe((1..=3).map(|number| Process::Running { pid: number, memory_bytes: None, for_ms: 500 }));
    table.look(None);
    assert_snapshot!("starting", shown(&table, (80, 16)));
    let mut table = normal(Colours::None);
    table.observe([Process::Dead, Process::Dead, Process::Dead]);
    (1..=3).for_each(|number| table.tell(&died(&format!("server-{number}"))));
    table.look(None);
    assert_snapshot!("all_dead", shown(&table, (80, 16)));
    table.look(Some(&cluster(
        "frozen",
        "waiting for server-1: a majority of 2 is needed",
        vec![down(1), down(2), status(3, "candidate")],
    )));
    assert_snapshot!("frozen", shown(&table, (80, 16)));
}

#[test]
fn without_colours_there_are_none() {
    for table in [normal(Colours::None), eventful(Colours::None)] {
        let buffer = drawn(&table, (80, 24));
        assert!(buffer.content.iter().all(|cell| cell.fg == ratatui::style::Color::Reset));
    }
    let coloured = drawn(&eventful(Colours::Sixteen), (80, 24));
    assert!(coloured.content.iter().any(|cell| cell.fg == ratatui::style::Color::Red), "a death stands out");
}

#[test]
fn keys_choose_kill_and_start() {
    let mut table = normal(Colours::None);
    let kill = |name: &str| Some(Wish::Kill(name.to_owned()));
    let start = |names: &[&str]| Some(Wish::Start(names.iter().map(|name| (*name).to_owned()).collect()));
    assert_eq!(press(&mut table, KeyCode::Char('k')), kill("server-1"));
    assert_eq!(press(&mut table, KeyCode::Down), None);
    assert_eq!(press(&mut table, KeyCode::Char('k')), kill("server-2"));
    assert_eq!(press(&mut table, KeyCode::Char('3')), None);
    assert_eq!(press(&mut table, KeyCode::Char('s')), start(&["server-3"]));
    assert_eq!(press(&mut table, KeyCode::Char('9')), None);
    assert_eq!(press(&mut table, KeyCode::Char('k')), kill("server-3"));
    assert_eq!(press(&mut table, KeyCode::Char('a')), None);
    assert!(shown(&table, (80, 24)).contains("no server is dead"));
    // The leader is chosen by its death, so that the next key starts it again.
    assert_eq!(press(&mut table, KeyCode::Char('l')), kill("server-2"));
    table.observe([running(1), Process::Dead, running(3)]);
    assert_eq!(press(&mut table, KeyCode::Char('l')), None, "nobody leads, whatever was heard before");
    assert_eq!(press(&mut table, KeyCode::Char('s')), start(&["server-2"]));
    assert_eq!(press(&mut table, KeyCode::Char('a')), start(&["server-2"]));
    assert_eq!(press(&mut table, KeyCode::Char('q')), Some(Wish::Quit));
    let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(table.key(control, Instant::now()), Some(Wish::Quit));
    let held = KeyEvent::new_with_kind(KeyCode::Char('k'), KeyModifiers::NONE, KeyEventKind::Repeat);
    let long_after = Instant::now() + Duration::from_secs(60);
    assert_eq!(table.key(held, long_after), None, "a key that is held down kills once");
}

#[test]
fn a_key_that_is_held_down_kills_once_though_the_terminal_tells_each_repetition_as_a_press() {
    let mut table = normal(Colours::None);
    let kill = |name: &str| Some(Wish::Kill(name.to_owned()));
    assert_eq!(press(&mut table, KeyCode::Char('l')), kill("server-2"));
    // At first after a while, then fast, for longer than any pause.
    assert_eq!(press_after(&mut table, KeyCode::Char('l'), 660), None);
    for _ in 0..100 {
        assert_eq!(press_after(&mut table, KeyCode::Char('l'), 33), None);
    }
    assert_eq!(press_after(&mut table, KeyCode::Char('l'), 700), kill("server-2"), "it was let go");
    // Another key between two says that neither is held.
    assert_eq!(press_after(&mut table, KeyCode::Up, 10), None);
    assert_eq!(press_after(&mut table, KeyCode::Char('k'), 10), kill("server-1"));
    assert_eq!(press_after(&mut table, KeyCode::Down, 10), None);
    assert_eq!(press_after(&mut table, KeyCode::Char('k'), 10), kill("server-2"));
}

#[test]
fn a_cluster_that_goes_on_without_one_of_its_servers_is_not_starting_for_ever() {
    let mut table = empty(Colours::None);
    table.observe([running(1), running(2), running(3)]);
    let seen = |state: &str| cluster(state, "why", vec![status(1, "leader"), status(2, "follower")]);
    table.look(Some(&seen("normal")));
    assert!(shown(&table, (80, 24)).contains("● starting"));
    table.goes_on();
    assert!(shown(&table, (80, 24)).contains("● normal"));
    table.look(Some(&seen("degraded")));
    assert_eq!(table.told().last(), Some("the cluster is degraded: why"));
}

#[test]
fn what_is_known_of_a_process_counts_more_than_what_was_heard_of_it() {
    let mut table = normal(Colours::None);
    let row = |table: &Table| shown(table, (80, 24)).lines().find(|line| line.contains("server-2")).unwrap().to_owned();
    table.observe([running(1), Process::Dead, running(3)]);
    assert!(row(&table).contains("dead"), "{}", row(&table));
    // Another process of it, which somebody started by hand.
    let mut by_hand = status(2, "follower");
    by_hand.pid = 77;
    table.look(Some(&cluster("normal", "", vec![status(1, "leader"), by_hand, status(3, "follower")])));
    assert!(row(&table).contains("follower"), "{}", row(&table));
    table.observe([running(1), Process::Running { pid: 78, memory_bytes: None, for_ms: 100 }, running(3)]);
    table.look(None);
    assert!(row(&table).contains("starting"), "{}", row(&table));
}

#[test]
fn a_return_ends_with_in_sync() {
    let mut table = eventful(Colours::None);
    assert!(shown(&table, (80, 24)).contains("server-3 catches up █"), "{}", shown(&table, (80, 24)));
    table.look(Some(&cluster(
        "normal",
        ALL_WELL,
        vec![status(1, "leader"), status(2, "follower"), status(3, "follower")],
    )));
    let screen = shown(&table, (80, 24));
    assert!(!screen.contains("catches up") && screen.contains("server-3 is in sync"), "{screen}");
    assert_eq!(table.told().last(), Some(&*format!("the cluster is normal: {ALL_WELL}")));
}

#[test]
fn a_bar_is_shown_once_there_is_something_to_measure() {
    let mut table = normal(Colours::None);
    let empty = ServerStatus { in_sync: false, applied_index: 0, last_index: 0, ..status(3, "follower") };
    let mut seen = |applied_index: u64| {
        let third = ServerStatus { applied_index, ..empty.clone() };
        table.look(Some(&cluster("degraded", "", vec![status(1, "leader"), status(2, "follower"), third])));
        shown(&table, (80, 24))
    };
    // While it is sent a copy of the state, it has applied nothing.
    let filled = seen(0);
    assert!(filled.contains("server-3 catches up: it is ") && !filled.contains(" 0 %"), "{filled}");
    assert!(seen(6_345).contains("server-3 catches up █"));
}

proptest! {
    #[test]
    fn nothing_is_wider_than_the_terminal(
        name in "\\PC{0,30}", state in "\\PC{0,20}", detail in "(\\PC|漢|\u{301}| ){0,200}",
        number in any::<u64>(), width in 1u16..130, height in 1u16..40, keys in "[klsa0-9]{0,5}"
    ) {
        let mut table = eventful(Colours::True);
        let odd = ServerStatus {
            name, client_address: detail.clone(), role: "follower".to_owned(), term: number, applied_index: number / 3,
            committed_index: number, last_index: number, uptime_ms: number, ..ServerStatus::default()
        };
        table.look(Some(&cluster(&state, &detail, vec![odd, status(1, "leader")])));
        table.tell(&Event::Unavailable { detail: detail.clone() });
        keys.chars().for_each(|key| drop(press(&mut table, KeyCode::Char(key))));
        for remark in [None, Some(detail)] {
            remark.iter().for_each(|words| table.remark(words));
            let rows = view::rows(&table, width.into(), height.into());
            prop_assert_eq!(rows.len(), usize::from(height));
            for row in rows {
                prop_assert!(text::width(&row.to_string()) <= usize::from(width), "{}: {:?}", width, row.to_string());
            }
            drawn(&table, (width, height));
        }
    }
}
