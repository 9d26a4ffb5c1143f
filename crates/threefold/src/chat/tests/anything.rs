//! Whatever comes, on whatever screen: nothing breaks.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use threefold_client::chat::{ReactionChanged, SearchMessagesReply};

use super::*;
use crate::chat::model::{KeptAs, Left, NotSent, Unsent};

fn codes() -> impl Strategy<Value = KeyCode> {
    prop_oneof![
        6 => prop::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Backspace, KeyCode::Delete, KeyCode::Left,
            KeyCode::Right, KeyCode::Up, KeyCode::Down, KeyCode::Home, KeyCode::End, KeyCode::PageUp, KeyCode::PageDown,
            KeyCode::F(1), KeyCode::Insert, KeyCode::Null,
        ]),
        6 => prop::sample::select("abcdefghijklmnopqrstuvwxyz/@#:* _`1ÄéΩ漢👩\u{301}\u{200d}".chars().collect::<Vec<_>>())
            .prop_map(KeyCode::Char),
    ]
}

fn inputs() -> impl Strategy<Value = Event> {
    let modifiers = prop::sample::select(vec![
        KeyModifiers::NONE,
        KeyModifiers::NONE,
        KeyModifiers::CONTROL,
        KeyModifiers::ALT,
        KeyModifiers::SHIFT,
    ]);
    let kinds = prop::sample::select(vec![
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
        MouseEventKind::Moved,
    ]);
    let lines = prop::sample::select(vec![
        "/help",
        "/msg bob hi",
        "/search a",
        "/rooms",
        "/who",
        "/members",
        "/status",
        "/delete",
        "/leave",
        "/edit",
        "/reply x",
        "/react +1",
        "/attach /tmp/x",
        "/topic",
        "/name",
        "/remove bob",
        "/save",
        "/room x y",
        "/retry",
        "/discard",
        "/unread",
        "text\nmore",
        "/quit",
        "/invitations",
        "/find x",
        "/unsent",
    ]);
    prop_oneof![
        12 => (codes(), modifiers).prop_map(|(code, modifiers)| Event::Terminal(Input::Key(KeyEvent::new(code, modifiers)))),
        3 => (kinds, 0..230_u16, 0..80_u16).prop_map(|(kind, column, row)| {
            Event::Terminal(Input::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
        }),
        2 => (0..210_u16, 0..70_u16).prop_map(|(width, height)| Event::Terminal(Input::Resize(width, height))),
        2 => "[a\n\té漢]{0,60}".prop_map(|text| Event::Terminal(Input::Paste(text))),
        4 => lines.prop_map(|line| Event::Terminal(Input::Paste(line.to_owned()))),
        1 => Just(Event::Terminal(Input::FocusLost)),
        1 => Just(Event::Terminal(Input::FocusGained)),
        1 => (0..1_000_000_u64).prop_map(|later| Event::Tick(NOON + later)),
        6 => happened().prop_map(|news| Event::News(Box::new(news))),
    ]
}

fn happened() -> impl Strategy<Value = News> {
    let ids = 1..40_u64;
    prop_oneof![
        (ids.clone(), 1..4_u64, ".{0,80}")
            .prop_map(|(id, author, body)| told(id, Body::Message(in_tea(id, author, &body)))),
        (ids.clone(), 1..4_u64, ".{0,20}")
            .prop_map(|(id, author, body)| told(id, Body::Message(direct(id, author, &body)))),
        (ids.clone(), ids.clone(), 0..3_u64).prop_map(|(id, message, count)| {
            let emoji = "🎉".to_owned();
            told(
                id,
                Body::ReactionChanged(ReactionChanged {
                    conversation: 200,
                    message,
                    emoji,
                    count,
                    ..ReactionChanged::default()
                }),
            )
        }),
        (1..4_u32, 1..30_u64, ids.clone(), any::<bool>(), any::<bool>()).prop_map(
            |(handle, request, from, older, newer)| {
                let messages = (from..from + 20).map(|id| in_tea(id, id % 3 + 1, "some words\nand more")).collect();
                let reply = HistoryReply { messages, more: older, older, newer };
                News::History { request, handle, reply: Ok(reply) }
            }
        ),
        (1..4_u32, 1..30_u64, any::<bool>()).prop_map(|(handle, request, well)| News::History {
            request,
            handle,
            reply: if well { Ok(HistoryReply::default()) } else { Err("not now".to_owned()) }
        }),
        (1..30_u64).prop_map(|request| News::Conversations { request, result: Err("not now".to_owned()) }),
        (1..8_u64, 0..3_u8).prop_map(|(local, how)| {
            let sent = threefold_client::chat::MessageSent { conversation: 200, id: 40 + local, time_ms: NOON };
            let result = match how {
                0 => Ok(sent),
                1 => Err(NotSent::Refused("no".to_owned())),
                _ => Err(NotSent::Unknown("late".to_owned())),
            };
            News::Sent { local, result }
        }),
        (1..8_u64, 100..400_u64).prop_map(|(number, conversation)| {
            let to = Some(threefold_client::To::Conversation(conversation / 100 * 100));
            let what = Left::Message {
                to,
                reply_to: number % 3,
                attachments: vec![7; (number % 2) as usize],
                files: vec![std::path::PathBuf::from("/tmp/a"); usize::from(number > 4)],
            };
            let kept_as = if number > 4 { KeptAs::Draft(number) } else { KeptAs::Write(number) };
            News::Unsent(vec![Unsent { kept_as, what, why: "no".to_owned(), text: Some("left\nthere".to_owned()) }])
        }),
        (20..28_u64).prop_map(|number| {
            let text = Some("edited\nthere".to_owned());
            News::EditsFailed(vec![Unsent {
                kept_as: KeptAs::Write(number),
                what: Left::Edit,
                why: "no".to_owned(),
                text,
            }])
        }),
        (1..8_u64).prop_map(|local| News::Taken { local, number: Some(local) }),
        (1..8_u64).prop_map(|local| News::Drafted { local, draft: local }),
        Just(News::Begun(Box::default())),
        Just(News::Reconnecting("away".to_owned())),
        Just(News::Connected("there".to_owned())),
        Just(News::Resynchronised),
        (1..30_u64).prop_map(|request| News::Found {
            request,
            result: Ok(SearchMessagesReply { found: vec![Default::default(); 3], ..Default::default() })
        }),
        (1..30_u64).prop_map(|request| News::Paths {
            request,
            start: 3,
            choices: vec!["/tmp/a".to_owned(), "/tmp/b/".to_owned()]
        }),
        (1..30_u64).prop_map(|request| News::Rooms {
            request,
            pattern: String::new(),
            result: Ok(threefold_client::chat::ListRoomsReply { rooms: vec![tea(); 30], more: true })
        }),
    ]
}

fn told(id: u64, body: Body) -> News {
    News::Event(Box::new(ChatEvent { id, time_ms: NOON + id, body: Some(body) }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_the_screen(size in (0..210_u16, 0..70_u16), inputs in prop::collection::vec(inputs(), 0..60)) {
        let mut model = scene(size, Colours::Sixteen);
        for input in inputs {
            update(&mut model, input);
            drawn(&model);
            crate::chat::update::drawn(&mut model);
        }
    }
}
