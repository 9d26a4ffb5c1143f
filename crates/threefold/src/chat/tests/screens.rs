//! How it looks, in several sizes: each screen is compared with the one in `snapshots/`.

use insta::assert_snapshot;
use threefold_client::chat::{ClusterStatus, Condition, FoundMessage, Mark, SearchMessagesReply, ServerStatus};

use super::*;
use crate::chat::model::NotSent;

#[test]
fn a_room_in_every_size() {
    for (width, height) in [(40, 12), (80, 24), (120, 30), (200, 60), (20, 6), (10, 3)] {
        let model = scene((width, height), Colours::None);
        assert_snapshot!(format!("room_{width}x{height}"), shown(&model));
    }
}

#[test]
fn colours_are_those_of_the_terminal_or_none() {
    for (name, colours) in [("none", Colours::None), ("16", Colours::Sixteen), ("true", Colours::True)] {
        let model = scene((72, 14), colours);
        assert_snapshot!(format!("styles_{name}"), styles(&drawn(&model)));
    }
}

/// Every run of cells with a style of its own.
fn styles(buffer: &Buffer) -> String {
    let mut runs = Vec::new();
    for y in 0..buffer.area.height {
        let mut run: Option<(u16, String, ratatui::style::Style)> = None;
        for x in 0..=buffer.area.width {
            let cell = (x < buffer.area.width).then(|| &buffer[(x, y)]);
            let style = cell.map(ratatui::buffer::Cell::style);
            if let (Some((_, text, before)), Some(cell)) = (&mut run, cell)
                && Some(*before) == style
            {
                text.push_str(cell.symbol());
                continue;
            }
            if let Some((from, text, style)) = run.take()
                && (style.fg.is_some_and(|colour| colour != ratatui::style::Color::Reset)
                    || !style.add_modifier.is_empty())
                && !text.trim().is_empty()
            {
                let fg = style.fg.filter(|colour| *colour != ratatui::style::Color::Reset);
                let fg = fg.map(|colour| format!(" {colour}")).unwrap_or_default();
                let modifiers = style.add_modifier;
                let modifiers = if modifiers.is_empty() { String::new() } else { format!(" {modifiers:?}") };
                runs.push(format!("{y:>2} {from:>2}{fg}{modifiers}: {}", text.trim_end()));
            }
            run = cell.map(|cell| (x, cell.symbol().to_owned(), cell.style()));
        }
    }
    runs.join("\n")
}

#[test]
fn a_first_screen_says_what_one_can_do() {
    let mut model = empty((80, 24), Colours::None);
    assert_snapshot!("connecting", shown(&model));
    news(&mut model, News::Connected("127.0.0.1:7400".to_owned()));
    listed(&mut model, Ok(Vec::new()));
    assert_snapshot!("no_conversations", shown(&model));
}

#[test]
fn what_is_on_its_way_and_what_failed() {
    for (width, height) in [(40, 12), (80, 14)] {
        let mut model = scene((width, height), Colours::None);
        entered(&mut model, "This one waits.");
        entered(&mut model, "This one was refused.");
        news(&mut model, News::Sent { local: 2, result: Err(NotSent::Refused("you are not in #tea".to_owned())) });
        update(&mut model, Event::Tick(NOON + 60_000));
        news(&mut model, News::Reconnecting("127.0.0.1:7400: Connection refused".to_owned()));
        assert_snapshot!(format!("pending_{width}x{height}"), shown(&model));
    }
}

#[test]
fn a_frozen_cluster_is_told_with_its_reason() {
    let mut model = scene((80, 10), Colours::None);
    let detail = "only server-1 answers; two of three are needed".to_owned();
    news(&mut model, News::Condition(Condition { state: "frozen".to_owned(), detail }));
    assert_snapshot!("frozen", shown(&model));
}

#[test]
fn help_in_two_sizes() {
    for (width, height) in [(40, 12), (80, 24)] {
        let mut model = scene((width, height), Colours::None);
        key(&mut model, KeyCode::F(1));
        assert_snapshot!(format!("help_{width}x{height}"), shown(&model));
    }
}

#[test]
fn going_somewhere() {
    for (width, height) in [(40, 12), (80, 24)] {
        let mut model = scene((width, height), Colours::None);
        with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('o'));
        typed(&mut model, "a");
        assert_snapshot!(format!("switcher_{width}x{height}"), shown(&model));
    }
}

#[test]
fn what_was_found() {
    for (width, height) in [(40, 12), (80, 24)] {
        let mut model = scene((width, height), Colours::None);
        entered(&mut model, "/search oolong");
        let found = |id: u64, body: &str, start: u32| FoundMessage {
            message: Some(in_tea(id, BOB, body)),
            marks: vec![Mark { start, end: start + 6 }],
        };
        let long = format!("{}oolong at the end of a long text", "word ".repeat(40));
        let reply = SearchMessagesReply {
            found: vec![found(3, "Good morning! Who has the **oolong**?", 28), found(2, &long, 200)],
            complete: true,
            ..SearchMessagesReply::default()
        };
        let request = last_request(&model);
        news(&mut model, News::Found { request, result: Ok(reply) });
        assert_snapshot!(format!("search_{width}x{height}"), shown(&model));
    }
}

#[test]
fn a_selected_message_an_answer_and_a_question() {
    let mut model = scene((80, 16), Colours::None);
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Up);
    key(&mut model, KeyCode::Up);
    key(&mut model, KeyCode::Up);
    assert_snapshot!("selected", shown(&model));
    key(&mut model, KeyCode::Char('r'));
    typed(
        &mut model,
        "An answer that is so long that it does not fit into one row of this screen, but needs two of them",
    );
    assert_snapshot!("answering", shown(&model));
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('c'));
    entered(&mut model, "/delete everyone");
    assert_snapshot!("question", shown(&model));
}

#[test]
fn the_servers() {
    let mut model = scene((80, 16), Colours::None);
    entered(&mut model, "/status");
    let server = |name: &str, role: &str| ServerStatus {
        name: name.to_owned(),
        role: role.to_owned(),
        client_address: "127.0.0.1:7400".to_owned(),
        clients: 3,
        ..ServerStatus::default()
    };
    let status = ClusterStatus {
        state: "degraded".to_owned(),
        detail: "server-2 does not answer".to_owned(),
        servers: vec![server("server-1", "leader"), server("server-2", "down")],
        ..ClusterStatus::default()
    };
    let request = last_request(&model);
    news(&mut model, News::Status { request, result: Ok(status) });
    assert_snapshot!("servers", shown(&model));
}

#[test]
fn completion_offers_what_there_is() {
    let mut model = scene((80, 12), Colours::None);
    typed(&mut model, "/re");
    assert_snapshot!("commands_begun", shown(&model));
    key(&mut model, KeyCode::Tab);
    key(&mut model, KeyCode::Tab);
    assert_snapshot!("commands_offered", shown(&model));
}

/// Asks for a list, and shows the answer.
fn show(model: &mut Model, line: &str, answer: &dyn Fn(u64) -> News, name: &str) {
    entered(model, line);
    let request = last_request(model);
    news(model, answer(request));
    let (width, height) = model.size;
    assert_snapshot!(format!("{name}_{width}x{height}"), shown(model));
    key(model, KeyCode::Esc);
}

#[test]
fn rooms_people_members_and_invitations() {
    use threefold_client::chat::{Account, Invitation, ListRoomsReply, Person, SearchAccountsReply};
    for (width, height) in [(40, 12), (80, 16)] {
        let mut model = named((width, height));
        let garden = Room { name: "garden".to_owned(), role: Role::Unspecified.into(), members: 1, ..tea() };
        let cellar = Room { name: "cellar".to_owned(), public: false, invited: true, ..garden.clone() };
        let rooms = ListRoomsReply { rooms: vec![tea(), garden, cellar], more: false };
        show(
            &mut model,
            "/rooms",
            &|request| News::Rooms { request, pattern: String::new(), result: Ok(rooms.clone()) },
            "rooms",
        );
        let account = |name: &str, display_name: &str, online| Account {
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            online,
            ..Account::default()
        };
        let accounts = vec![account("carol", "", false), account("bob", "Robert \"Bob\" Builder the Elder", true)];
        let people = SearchAccountsReply { accounts, more: true };
        show(
            &mut model,
            "/who",
            &|request| News::Users { request, pattern: String::new(), result: Ok(people.clone()) },
            "who",
        );
        let handle = model.open.unwrap();
        let members = model.current().unwrap().members.clone();
        let members = ListMembersReply { members, more: false };
        show(
            &mut model,
            "/members",
            &|request| News::Members { request, handle, result: Ok(members.clone()) },
            "members",
        );
        let invitation = |room_name: &str, topic: &str| Invitation {
            room_name: room_name.to_owned(),
            topic: topic.to_owned(),
            by: Some(Person { account: BOB, name: "bob".to_owned() }),
            ..Invitation::default()
        };
        let open = vec![invitation("cellar", "wine and potatoes"), invitation("attic", "")];
        show(&mut model, "/invitations", &|_| News::Invitations(open.clone()), "invitations");
        assert_snapshot!(format!("invited_{width}x{height}"), shown(&model));
    }
}

/// The scene, with people who chose names.
fn named(size: (u16, u16)) -> Model {
    let mut model = scene(size, Colours::None);
    let said = |id, author, chosen: &str, body: &str| {
        Body::Message(Message { author_display_name: chosen.to_owned(), ..in_tea(id, author, body) })
    };
    event(&mut model, 50, said(50, BOB, "Robert \"Bob\" Builder the Elder", "I chose a long name."));
    event(&mut model, 51, said(51, CAROL, "Caro", "And I a short one."));
    event(&mut model, 52, said(52, 4, "alice", "I am somebody else."));
    model
}

#[test]
fn people_by_the_names_they_chose() {
    for (width, height) in [(40, 12), (84, 16), (140, 30)] {
        assert_snapshot!(format!("named_{width}x{height}"), shown(&named((width, height))));
    }
}

#[test]
fn somebody_types() {
    let mut model = named((80, 12));
    for (account, name) in [(CAROL, "carol"), (BOB, "bob"), (4, "Ωlga")] {
        let notice = threefold_client::chat::TypingNotice {
            conversation: 200,
            account,
            account_name: name.to_owned(),
            position: 60,
        };
        news(&mut model, News::Typing(notice));
        assert_snapshot!(
            format!("typing_{name}").replace('Ω', "o"),
            shown(&model).lines().rev().nth(1).unwrap_or_default()
        );
    }
}

#[test]
fn where_no_server_answers_what_is_kept_is_told() {
    let mut model = empty((60, 14), Colours::None);
    news(&mut model, News::Left(vec!["to bob: see you\nat nine".to_owned(), "a file".to_owned()]));
    news(&mut model, News::Reconnecting("no answer so far".to_owned()));
    assert_snapshot!("no_server", shown(&model));
    crate::chat::update::go_to(&mut model, "bob");
    entered(&mut model, "a first word");
    assert_snapshot!("no_server_open", shown(&model));
    let end = crate::chat::leaving::outcome(&model).unwrap_err();
    assert!(end.message().starts_with("2 messages were not acknowledged: they are kept"), "{}", end.message());
    news(&mut model, News::Left(Vec::new()));
    assert!(!shown(&model).contains("2 messages wait") && shown(&model).contains("a message waits"));
}
