//! What keys and news do.

use std::path::PathBuf;

use threefold_client::chat::{
    MemberRemoved, MessageEdited, MessageSent, MessagesDeleted, Person, ReactionChanged, ReadMarkerMoved, RoomName,
};

use super::*;
use crate::chat::{
    conversation::Bottom,
    model::{Bell, NotSent, PendingState},
    view::title,
};

const SIZE: (u16, u16) = (80, 24);

fn bodies(model: &Model) -> Vec<String> {
    model
        .current()
        .unwrap()
        .items
        .values()
        .filter_map(|item| match item {
            crate::chat::conversation::Item::Message(message) => Some(message.body.clone()),
            crate::chat::conversation::Item::Notice { .. } => None,
        })
        .collect()
}

fn sent(id: u64) -> Result<MessageSent, NotSent> {
    Ok(MessageSent { conversation: 200, id, time_ms: NOON })
}

#[test]
fn a_message_is_shown_once_whatever_comes_first() {
    for event_first in [true, false] {
        let mut model = scene(SIZE, Colours::None);
        let effects = entered(&mut model, "unmistakable");
        let [Effect::Send { local, to, body, .. }] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!((to, body.as_str()), (&To::Conversation(200), "unmistakable"));
        assert_eq!(shown(&model).matches("unmistakable").count(), 1);
        assert!(shown(&model).contains("(sending)"));
        for step in [event_first, !event_first] {
            if step {
                event(&mut model, 50, Body::Message(in_tea(50, ALICE, "unmistakable")));
            } else {
                news(&mut model, News::Sent { local: *local, result: sent(50) });
            }
            assert_eq!(shown(&model).matches("unmistakable").count(), 1, "{}", shown(&model));
        }
        assert!(model.outbox.is_empty() && !shown(&model).contains("(sending)"));
    }
}

#[test]
fn two_messages_of_the_same_text_are_two() {
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "twice");
    entered(&mut model, "twice");
    event(&mut model, 50, Body::Message(in_tea(50, ALICE, "twice")));
    assert_eq!(shown(&model).matches("twice").count(), 2);
    news(&mut model, News::Sent { local: 1, result: sent(50) });
    news(&mut model, News::Sent { local: 2, result: sent(51) });
    event(&mut model, 51, Body::Message(in_tea(51, ALICE, "twice")));
    assert_eq!(shown(&model).matches("twice").count(), 2);
}

#[test]
fn the_same_text_from_another_device_is_not_taken_for_this_one_for_ever() {
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "hello");
    event(&mut model, 50, Body::Message(in_tea(50, ALICE, "hello")));
    news(&mut model, News::Sent { local: 1, result: Err(NotSent::Refused("refused".to_owned())) });
    assert_eq!(shown(&model).matches("hello").count(), 2, "one was sent elsewhere, one failed here");
    let effects = entered(&mut model, "/retry");
    assert!(matches!(&effects[..], [Effect::Send { body, .. }] if body == "hello"));
    assert!(model.outbox.iter().all(|pending| pending.state == PendingState::Waiting));
}

#[test]
fn what_comes_after_the_answer_to_a_later_message_is_read_too() {
    let mut model = scene(SIZE, Colours::None);
    update(&mut model, Event::Tick(NOON + 1_000));
    entered(&mut model, "from here");
    // Acknowledged, while what others wrote before it is still on its way, as after a failover.
    news(&mut model, News::Sent { local: 1, result: sent(53) });
    event(&mut model, 51, Body::Message(in_tea(51, BOB, "one")));
    let effects = update(&mut model, Event::Tick(NOON + 2_000));
    assert_eq!(marks(&effects), [(200, 51)], "not what has not come yet");
    event(&mut model, 52, Body::Message(in_tea(52, BOB, "two")));
    assert_eq!(marks(&update(&mut model, Event::Tick(NOON + 3_000))), [(200, 52)]);
    // A page may be ahead of the events too.
    let handle = model.open.unwrap();
    ask(&mut model, handle, Page::After(53));
    let reply = HistoryReply { messages: vec![in_tea(60, BOB, "three")], ..HistoryReply::default() };
    page(&mut model, Ok(reply));
    event(&mut model, 60, Body::Message(in_tea(60, BOB, "three")));
    assert_eq!(marks(&update(&mut model, Event::Tick(NOON + 4_000))), [(200, 60)]);
    assert_eq!(shown(&model).matches("three").count(), 1);
}

#[test]
fn a_first_message_to_somebody_opens_the_conversation() {
    let mut model = scene(SIZE, Colours::None);
    let effects = entered(&mut model, "/msg dora Hello!");
    assert!(
        matches!(&effects[..], [Effect::Send { to: To::User(name), body, .. }] if name == "dora" && body == "Hello!")
    );
    let first = Message { conversation: 400, peer_name: "dora".to_owned(), ..message(60, ALICE, "Hello!") };
    event(&mut model, 60, Body::Message(first));
    let result = Ok(MessageSent { conversation: 400, id: 60, time_ms: NOON });
    news(&mut model, News::Sent { local: 1, result });
    assert_eq!(model.conversations.values().filter(|one| one.title() == "dora").count(), 1);
    assert_eq!(model.current().unwrap().id, Some(400));
    assert_eq!(bodies(&model), ["Hello!"]);
}

#[test]
fn a_conversation_opened_by_name_is_read_once_it_is_known() {
    let mut model = empty(SIZE, Colours::None);
    crate::chat::update::go_to(&mut model, "bob");
    let (conversation, peer_name) = (100, "bob".to_owned());
    let one = Conversation { conversation, peer_name, last: Some(direct(1, BOB, "hi")), ..Conversation::default() };
    update(&mut model, Event::Tick(NOON));
    let effects = listed(&mut model, Ok(vec![one]));
    assert_eq!(pages(&effects), [(To::Conversation(100), Page::Before(0))]);
    assert_eq!(model.conversations.len(), 1);
}

#[test]
fn what_is_looked_at_is_read_and_the_rest_counted() {
    let mut model = scene(SIZE, Colours::None);
    event(&mut model, 50, Body::Message(in_tea(50, BOB, "seen at once")));
    let effects = update(&mut model, Event::Tick(NOON + 1_000));
    assert!(
        effects.iter().any(|effect| matches!(
            effect,
            Effect::Write { what: Write::MarkRead { conversation: 200, up_to: 50 }, .. }
        ))
    );
    let before = model.unread_elsewhere().0;
    event(&mut model, 51, Body::Message(direct(51, BOB, "elsewhere")));
    assert_eq!(model.unread_elsewhere().0, before + 1);
    update(&mut model, Event::Terminal(Input::FocusLost));
    event(&mut model, 52, Body::Message(direct(52, BOB, "nobody looks")));
    event(&mut model, 53, Body::Message(in_tea(53, BOB, "nobody looks here either")));
    assert_eq!(model.current().unwrap().unread, 1);
    assert!(shown(&model).contains("── new ─"), "{}", shown(&model));
    update(&mut model, Event::Terminal(Input::FocusGained));
    assert_eq!(model.current().unwrap().unread, 0);
    // Another device has read the rest.
    event(&mut model, 54, Body::ReadMarkerMoved(ReadMarkerMoved { conversation: 100, up_to: 52, unread: 0 }));
    assert_eq!(model.unread_elsewhere().0, 12);
}

#[test]
fn edits_reactions_and_deletions_change_what_is_shown() {
    let mut model = scene(SIZE, Colours::None);
    let edited = MessageEdited {
        conversation: 200,
        message: 3,
        body: "Who has the mint?".to_owned(),
        ..MessageEdited::default()
    };
    event(&mut model, 60, Body::MessageEdited(edited));
    let changed = ReactionChanged {
        conversation: 200,
        message: 3,
        account: BOB,
        emoji: "🎉".to_owned(),
        added: true,
        count: 1,
        ..ReactionChanged::default()
    };
    event(&mut model, 61, Body::ReactionChanged(changed.clone()));
    assert!(shown(&model).contains("Who has the mint? (edited)") && shown(&model).contains("🎉 1"));
    event(&mut model, 62, Body::ReactionChanged(ReactionChanged { added: false, count: 0, ..changed }));
    assert!(!shown(&model).contains("🎉"));
    event(&mut model, 63, Body::MessagesDeleted(MessagesDeleted { conversation: 200, by: BOB, messages: vec![3] }));
    assert!(!shown(&model).contains("mint"));
}

#[test]
fn who_is_removed_from_a_room_sees_it_no_more() {
    let mut model = scene(SIZE, Colours::None);
    let person = |account, name: &str| Some(Person { account, name: name.to_owned() });
    let room = Some(RoomName { conversation: 200, name: "tea".to_owned() });
    event(
        &mut model,
        70,
        Body::MemberRemoved(MemberRemoved { room, member: person(ALICE, "alice"), by: person(BOB, "bob") }),
    );
    assert!(model.open.is_none() && shown(&model).contains("bob removed you from #tea"));
    assert_eq!(model.listed().len(), 2);
}

#[test]
fn older_messages_are_read_when_they_come_into_sight() {
    let mut model = scene((80, 10), Colours::None);
    let handle = model.open.unwrap();
    ask(&mut model, handle, Page::Before(0));
    let messages: Vec<Message> = (1000..1060).map(|id| in_tea(id, BOB, &format!("line {id}"))).collect();
    let reply = HistoryReply { messages, older: true, ..HistoryReply::default() };
    page(&mut model, Ok(reply));
    assert!(shown(&model).contains("line 1059") && !shown(&model).contains("line 1040"));
    let mut asked = Vec::new();
    for _ in 0..10 {
        asked.extend(key(&mut model, KeyCode::PageUp));
    }
    assert_eq!(pages(&asked), [(To::Conversation(200), Page::Before(1000))], "asked once");
    let top = shown(&model);
    let messages: Vec<Message> = (900..1000).map(|id| in_tea(id, BOB, &format!("line {id}"))).collect();
    page(&mut model, Ok(HistoryReply { messages, ..HistoryReply::default() }));
    let row = |text: &str, words: &str| text.lines().position(|line| line.contains(words));
    assert_eq!(row(&top, "line 1003"), row(&shown(&model), "line 1003"), "what one reads stays where it is");
    event(&mut model, 1100, Body::Message(in_tea(1100, BOB, "news")));
    assert_eq!(row(&top, "line 1003"), row(&shown(&model), "line 1003"));
    assert!(shown(&model).contains("1 new"));
    with(&mut model, KeyModifiers::CONTROL, KeyCode::End);
    assert!(shown(&model).contains("news") && model.current().unwrap().bottom == Bottom::Newest);
}

#[test]
fn a_found_message_is_shown_with_what_lies_around_it() {
    let mut model = scene((80, 12), Colours::None);
    entered(&mut model, "/search needle");
    let found = threefold_client::chat::FoundMessage { message: Some(in_tea(1, BOB, "needle")), marks: Vec::new() };
    let reply =
        threefold_client::chat::SearchMessagesReply { found: vec![found], complete: true, ..Default::default() };
    let request = last_request(&model);
    news(&mut model, News::Found { request, result: Ok(reply) });
    let effects = key(&mut model, KeyCode::Enter);
    assert_eq!(pages(&effects), [(To::Conversation(200), Page::Around(1))]);
    let messages: Vec<Message> = (0..30).map(|id| in_tea(id, BOB, if id == 1 { "needle" } else { "hay" })).collect();
    let reply = HistoryReply { messages, newer: true, ..HistoryReply::default() };
    page(&mut model, Ok(reply));
    assert!(shown(&model).contains("needle"), "{}", shown(&model));
    let effects = with(&mut model, KeyModifiers::CONTROL, KeyCode::End);
    assert_eq!(pages(&effects), [(To::Conversation(200), Page::Before(0))]);
}

#[test]
fn commands_become_writes() {
    let cases: [(&str, Write); 7] = [
        ("/edit new text", Write::Edit { message: 6, body: "new text".to_owned() }),
        ("/react +1", Write::React { message: 7, emoji: "👍".to_owned(), add: true }),
        (
            "/room den quiet place",
            Write::CreateRoom { name: "den".to_owned(), topic: "quiet place".to_owned(), public: true },
        ),
        ("/join #den", Write::JoinRoom(To::Room("den".to_owned()))),
        ("/invite @dora", Write::Invite { room: To::Conversation(200), user: "dora".to_owned() }),
        ("/role bob owner", Write::SetRole { room: To::Conversation(200), user: "bob".to_owned(), role: Role::Owner }),
        ("/name Alice A.", Write::DisplayName("Alice A.".to_owned())),
    ];
    for (line, expected) in cases {
        let mut model = scene(SIZE, Colours::None);
        let effects = entered(&mut model, line);
        assert!(matches!(&effects[..], [Effect::Write { what, .. }] if *what == expected), "{line}: {effects:?}");
    }
    let mut model = scene(SIZE, Colours::None);
    let effects = entered(&mut model, "/attach \"/tmp/a b.png\" look");
    assert!(
        matches!(&effects[..], [Effect::Send { body, files, .. }] if body == "look" && *files == [PathBuf::from("/tmp/a b.png")])
    );
    assert!(entered(&mut model, "/nonsense").is_empty());
    assert!(shown(&model).contains("there is no command /nonsense"));
    assert!(matches!(&entered(&mut model, "//slash")[..], [Effect::Send { body, .. }] if body == "/slash"));
}

#[test]
fn nothing_is_deleted_or_left_without_a_question() {
    let mut model = scene(SIZE, Colours::None);
    assert!(entered(&mut model, "/delete").is_empty());
    assert!(key(&mut model, KeyCode::Char('n')).is_empty() && model.overlay.is_none());
    entered(&mut model, "/leave");
    let effects = key(&mut model, KeyCode::Char('y'));
    assert!(matches!(&effects[..], [Effect::Write { what: Write::LeaveRoom(To::Conversation(200)), .. }]));
    entered(&mut model, "still waiting");
    assert!(!entered(&mut model, "/quit").contains(&Effect::Quit), "something waits");
    assert!(key(&mut model, KeyCode::Char('y')).contains(&Effect::Quit));
}

#[test]
fn keys_of_a_selected_message() {
    let mut model = scene(SIZE, Colours::None);
    key(&mut model, KeyCode::Esc);
    assert_eq!(model.current().unwrap().selected, Some(8));
    for _ in 0..2 {
        key(&mut model, KeyCode::Char('k'));
    }
    assert_eq!(model.current().unwrap().selected, Some(6));
    assert!(typed(&mut model, "e").is_empty());
    assert_eq!(model.editor.text(), "It is on the shelf.\nSecond row, left.");
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('u'));
    let effects = entered(&mut model, "Gone.");
    let body = "It is on the shelf.\nGone.".to_owned();
    assert_eq!(effects, [Effect::Write { what: Write::Edit { message: 6, body }, done: String::new() }]);
}

#[test]
fn the_mouse_opens_selects_and_scrolls() {
    use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
    let mut model = scene(SIZE, Colours::None);
    let mouse = |kind, column, row| {
        Event::Terminal(Input::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
    };
    let row = shown(&model).lines().position(|line| line.contains("Second row")).unwrap();
    let click = MouseEventKind::Down(MouseButton::Left);
    update(&mut model, mouse(click, 60, u16::try_from(row).unwrap()));
    assert_eq!(model.current().unwrap().selected, Some(6));
    let row = shown(&model).lines().position(|line| line.contains(" bob  ")).unwrap();
    update(&mut model, mouse(click, 5, u16::try_from(row).unwrap()));
    assert_eq!(model.current().unwrap().title(), "bob");
}

#[test]
fn who_types_is_shown_until_they_have_written() {
    let mut model = scene(SIZE, Colours::None);
    let notice = threefold_client::chat::TypingNotice {
        conversation: 200,
        account: BOB,
        account_name: "bob".to_owned(),
        position: 40,
    };
    news(&mut model, News::Typing(notice.clone()));
    assert!(shown(&model).contains("bob is typing …"));
    event(&mut model, 50, Body::Message(in_tea(50, BOB, "written")));
    assert!(!shown(&model).contains("is typing"));
    news(&mut model, News::Typing(notice.clone()));
    assert!(!shown(&model).contains("is typing"), "what overtook its notice");
    news(&mut model, News::Typing(threefold_client::chat::TypingNotice { position: 60, ..notice }));
    update(&mut model, Event::Tick(NOON + 7_000));
    assert!(!shown(&model).contains("is typing"), "it is over by itself");
    let effects = typed(&mut model, "abc");
    assert_eq!(effects, [Effect::Typing(To::Conversation(200))], "told now and then");
    let mut model = scene(SIZE, Colours::None);
    assert!(typed(&mut model, "/he").is_empty());
}

#[test]
fn drafts_stay_where_they_were_begun() {
    let mut model = scene(SIZE, Colours::None);
    typed(&mut model, "half a thou");
    with(&mut model, KeyModifiers::ALT, KeyCode::Down);
    assert!(model.editor.is_empty());
    with(&mut model, KeyModifiers::ALT, KeyCode::Up);
    assert_eq!(model.editor.text(), "half a thou");
}

#[test]
fn names_are_completed() {
    let mut model = scene(SIZE, Colours::None);
    typed(&mut model, "hi @ca");
    key(&mut model, KeyCode::Tab);
    assert_eq!(model.editor.text(), "hi @carol ");
    typed(&mut model, "see #g");
    key(&mut model, KeyCode::Tab);
    assert_eq!(model.editor.text(), "hi @carol see #garden ");
    typed(&mut model, ":tad");
    key(&mut model, KeyCode::Tab);
    assert_eq!(model.editor.text(), "hi @carol see #garden 🎉 ");
}

#[test]
fn nothing_of_others_controls_the_terminal() {
    let mut model = scene((200, 60), Colours::True);
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}x\r\u{8}";
    let mut message = in_tea(90, BOB, evil);
    message.author_name = evil.to_owned();
    event(&mut model, 90, Body::Message(message));
    let renamed = threefold_client::chat::RoomChanged {
        room: Some(RoomName { conversation: 200, name: "tea".to_owned() }),
        topic: Some(evil.to_owned()),
        ..Default::default()
    };
    event(&mut model, 91, Body::RoomChanged(renamed));
    news(&mut model, News::Saved(Err(evil.to_owned())));
    let screen = drawn(&model);
    assert!(screen.content().iter().all(|cell| !cell.symbol().chars().any(|c| c.is_control() || c == '\u{202e}')));
    assert!(text_of(&screen).contains("\\u{1b}[2J"));
}

#[test]
fn the_bell_rings_for_what_is_not_looked_at_also_where_the_terminal_tells_no_focus() {
    let rings = |bell: Bell, focused: bool, message: Message| {
        let mut model = scene(SIZE, Colours::None);
        (model.bell, model.focused) = (bell, focused);
        event(&mut model, 50, Body::Message(message)).contains(&Effect::Bell)
    };
    let mention = || Message {
        mentions: vec![Mention { account: ALICE, name: "alice".to_owned() }],
        ..in_tea(50, BOB, "@alice")
    };
    let elsewhere = || Message { conversation: 300, room_name: "garden".to_owned(), ..mention() };
    let unmentioned = || Message { mentions: Vec::new(), ..elsewhere() };
    // The room with tea is open.
    for (message, focused, expected) in [
        (direct(50, BOB, "hi"), true, [false, true, true]),
        (direct(50, BOB, "hi"), false, [false, true, true]),
        (direct(50, ALICE, "mine"), true, [false, false, false]),
        (elsewhere(), true, [false, true, true]),
        (unmentioned(), false, [false, false, false]),
        (mention(), true, [false, false, true]),
        (mention(), false, [false, true, true]),
    ] {
        let told = [Bell::Never, Bell::Away, Bell::Always].map(|bell| rings(bell, focused, message.clone()));
        assert_eq!(told, expected, "{focused} {message:?}");
    }
    // All that was missed rings once.
    let mut model = scene(SIZE, Colours::None);
    let effects: Vec<Effect> =
        (50..90).flat_map(|id| event(&mut model, id, Body::Message(direct(id, BOB, "hi")))).collect();
    assert_eq!(effects.iter().filter(|effect| **effect == Effect::Bell).count(), 1);
    update(&mut model, Event::Tick(NOON + 1_000));
    assert!(event(&mut model, 91, Body::Message(direct(91, BOB, "hi"))).contains(&Effect::Bell));
}

#[test]
fn the_window_is_called_by_what_is_open_and_unread() {
    let mut model = scene(SIZE, Colours::None);
    assert_eq!(title(&model), "(14) #tea · threefold");
    assert_eq!(title(&empty(SIZE, Colours::None)), "threefold");
    let evil = format!("x\u{1b}]0;owned\u{7}\u{9c}\u{202e}\n{}", "漢".repeat(200));
    let message = Message { conversation: 400, peer_name: evil, ..message(90, BOB, "hi") };
    event(&mut model, 90, Body::Message(message));
    let handle = model.handle_of(400).unwrap();
    crate::chat::update::open(&mut model, handle);
    let called = title(&model);
    assert!(
        crate::chat::text::width(&called) <= 80 && !called.chars().any(|c| c.is_control() || c == '\u{202e}'),
        "{called:?}"
    );
}

#[test]
fn a_selected_message_leads_to_what_it_answers_to_who_reacted_and_elsewhere() {
    use threefold_client::chat::{ListReactionsReply, ReactedBy};
    let mut model = scene(SIZE, Colours::None);
    let select = |model: &mut Model, id: u64| model.current_mut().unwrap().selected = Some(id);
    select(&mut model, 6);
    assert_eq!(key(&mut model, KeyCode::Char('o')), []);
    assert_eq!(model.current().unwrap().selected, Some(5), "it is here");
    assert_eq!(key(&mut model, KeyCode::Char('o')), []);
    assert!(shown(&model).contains("answers none") && model.current().unwrap().selected == Some(5));
    event(&mut model, 50, Body::Message(Message { reply_to: 1, ..in_tea(50, BOB, "an answer to what is far up") }));
    select(&mut model, 50);
    let effects = key(&mut model, KeyCode::Char('o'));
    assert_eq!(pages(&effects), [(To::Conversation(200), Page::Around(1))]);
    select(&mut model, 6);
    assert!(matches!(&key(&mut model, KeyCode::Char('w'))[..], [Effect::LoadReactions { message: 6, .. }]));
    let reacted =
        |emoji: &str, name: &str| ReactedBy { emoji: emoji.to_owned(), name: name.to_owned(), ..ReactedBy::default() };
    let reactions = vec![reacted("👍", "bob"), reacted("🍵", "")];
    let request = last_request(&model);
    news(&mut model, News::Reactions { request, result: Ok(ListReactionsReply { reactions, more: false }) });
    assert!(shown(&model).contains("👍 bob") && shown(&model).contains("🍵 (deleted user)"), "{}", shown(&model));
    key(&mut model, KeyCode::Esc);
    select(&mut model, 6);
    assert_eq!(
        key(&mut model, KeyCode::Char('y')),
        [Effect::Copy("It is on the shelf.\nSecond row, left.".to_owned())]
    );
    select(&mut model, 8);
    assert_eq!(key(&mut model, KeyCode::Char('y')), [], "deleted");
}
