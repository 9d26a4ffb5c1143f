//! The screen without a terminal and without a cluster: what is drawn, what keys do, and that nothing breaks it.

mod anything;
mod behaviour;
mod outbox;
mod people;
mod reading;
mod screens;
mod scrolling;
mod typing;
mod unsent;

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};
use threefold_client::{
    Page, To,
    chat::{
        Attachment, Conversation, Event as ChatEvent, HistoryReply, ListMembersReply, Mention, Message, Reaction, Role,
        Room, event::Body,
    },
};

use super::{
    model::{Effect, Event, Model, News, Write, Zone},
    theme::{Colours, Theme},
    update::update,
    view::view,
};

/// Sunday, 22 November 2026, 12:30 UTC.
pub const NOON: u64 = 1_795_350_600_000;
pub const ALICE: u64 = 1;
pub const BOB: u64 = 2;
pub const CAROL: u64 = 3;
const NAMES: [&str; 5] = ["", "alice", "bob", "carol", "Ωlga"];

/// Alice's screen, before anything came.
pub fn empty(size: (u16, u16), colours: Colours) -> Model {
    let mut model = Model::new(ALICE, "alice", Theme::new(colours), Zone::Utc, NOON);
    (model.size, model.has_begun) = (size, true);
    model
}

/// The cluster tells something.
pub fn news(model: &mut Model, news: News) -> Vec<Effect> {
    update(model, Event::News(Box::new(news)))
}

pub fn event(model: &mut Model, id: u64, body: Body) -> Vec<Effect> {
    news(model, News::Event(Box::new(ChatEvent { id, time_ms: NOON + id, body: Some(body) })))
}

/// The answer to the question for the conversations.
pub fn listed(model: &mut Model, result: Result<Vec<Conversation>, String>) -> Vec<Effect> {
    let request = model.list_asked.expect("the list was not asked for");
    news(model, News::Conversations { request, result })
}

/// Asks for a page, as scrolling would.
pub fn ask(model: &mut Model, handle: u32, page: Page) {
    super::update::ask(model, handle, page);
    model.effects.clear();
}

/// The answer to the question for a page of the conversation that is open.
pub fn page(model: &mut Model, reply: Result<HistoryReply, String>) -> Vec<Effect> {
    let handle = model.open.unwrap();
    let request = model.conversations[&handle].asked.expect("no page was asked for").request;
    news(model, News::History { request, handle, reply })
}

/// The number of the question that was asked last.
pub fn last_request(model: &Model) -> u64 {
    model.next_request - 1
}

/// The pages asked for, of which conversation.
pub fn pages(effects: &[Effect]) -> Vec<(To, Page)> {
    let pages = effects.iter().filter_map(|effect| match effect {
        Effect::LoadHistory { of, page, .. } => Some((of.clone(), *page)),
        _ => None,
    });
    pages.collect()
}

/// The messages marked as read, of which conversation.
pub fn marks(effects: &[Effect]) -> Vec<(u64, u64)> {
    let marks = effects.iter().filter_map(|effect| match effect {
        Effect::Write { what: Write::MarkRead { conversation, up_to }, .. } => Some((*conversation, *up_to)),
        _ => None,
    });
    marks.collect()
}

pub fn key(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    with(model, KeyModifiers::NONE, code)
}

pub fn with(model: &mut Model, modifiers: KeyModifiers, code: KeyCode) -> Vec<Effect> {
    update(model, Event::Terminal(Input::Key(KeyEvent::new(code, modifiers))))
}

pub fn typed(model: &mut Model, text: &str) -> Vec<Effect> {
    text.chars().flat_map(|c| key(model, KeyCode::Char(c))).collect()
}

/// Types a line and sends it: what comes of the sending.
pub fn entered(model: &mut Model, text: &str) -> Vec<Effect> {
    typed(model, text);
    key(model, KeyCode::Enter)
}

pub fn message(id: u64, author: u64, body: &str) -> Message {
    Message {
        id,
        time_ms: NOON - 600_000 + id * 20_000,
        author,
        author_name: NAMES[usize::try_from(author).unwrap()].to_owned(),
        body: body.to_owned(),
        number: id,
        ..Message::default()
    }
}

pub fn direct(id: u64, author: u64, body: &str) -> Message {
    Message { conversation: 100, peer_name: "bob".to_owned(), ..message(id, author, body) }
}

pub fn in_tea(id: u64, author: u64, body: &str) -> Message {
    Message { conversation: 200, room_name: "tea".to_owned(), ..message(id, author, body) }
}

pub fn tea() -> Room {
    Room {
        conversation: 200,
        name: "tea".to_owned(),
        topic: "leaves, water, and patience".to_owned(),
        public: true,
        members: 4,
        role: Role::Owner.into(),
        created_at_ms: NOON - 86_400_000,
        ..Room::default()
    }
}

/// What is said in the room.
pub fn tea_messages() -> Vec<Message> {
    let mention = Mention { account: ALICE, name: "alice".to_owned() };
    vec![
        Message { time_ms: NOON - 86_400_000, ..in_tea(2, BOB, "Yesterday's tea was cold.") },
        in_tea(3, BOB, "Good morning! Who has the **oolong**?"),
        in_tea(4, BOB, "I have `water` and a link: https://example.com/tea"),
        Message {
            mentions: vec![mention],
            ..in_tea(
                5,
                CAROL,
                "@alice had it last; see the list: a long line that has to be broken somewhere, wherever that is",
            )
        },
        Message {
            reply_to: 5,
            edited_at_ms: NOON,
            reactions: vec![
                Reaction { emoji: "👍".to_owned(), count: 2, own: true },
                Reaction { emoji: "🍵".to_owned(), count: 1, own: false },
            ],
            ..in_tea(6, ALICE, "It is on the shelf.\nSecond row, left.")
        },
        Message {
            attachments: vec![Attachment {
                attachment: 1,
                name: "shelf.jpg".to_owned(),
                bytes: 2_100_000,
                ..Attachment::default()
            }],
            ..in_tea(7, 4, "漢字 and \u{1b}[31mred\u{1b}[0m cafe\u{301}")
        },
        Message { deleted: true, body: String::new(), ..in_tea(8, CAROL, "") },
    ]
}

/// Alice's screen with three conversations, the room open.
pub fn scene(size: (u16, u16), colours: Colours) -> Model {
    let mut model = empty(size, colours);
    news(&mut model, News::Connected("127.0.0.1:7400".to_owned()));
    let one = |conversation, peer_name: &str, room, unread, unread_mentions, last: Message| Conversation {
        conversation,
        peer_name: peer_name.to_owned(),
        room,
        unread,
        unread_mentions,
        last: Some(last),
        ..Conversation::default()
    };
    let garden = Room {
        conversation: 300,
        name: "garden".to_owned(),
        topic: String::new(),
        members: 40,
        role: Role::Member.into(),
        ..tea()
    };
    let all = vec![
        one(200, "", Some(tea()), 0, 0, in_tea(8, CAROL, "")),
        one(100, "bob", None, 2, 0, direct(1, BOB, "hi")),
        one(300, "", Some(garden), 12, 1, Message { conversation: 300, ..message(0, BOB, "x") }),
    ];
    listed(&mut model, Ok(all));
    let online =
        ["bob", "alice"].map(|name| threefold_client::chat::Account { name: name.to_owned(), ..Default::default() });
    news(&mut model, News::Online(online.to_vec()));
    let handle = model.open.unwrap();
    let reply = HistoryReply { messages: tea_messages(), ..HistoryReply::default() };
    page(&mut model, Ok(reply));
    let member = |account: u64, role: Role| threefold_client::chat::Member {
        account,
        name: NAMES[usize::try_from(account).unwrap()].to_owned(),
        role: role.into(),
        ..Default::default()
    };
    let members =
        vec![member(1, Role::Owner), member(2, Role::Moderator), member(3, Role::Member), member(4, Role::Member)];
    let request = model.conversations[&handle].members_asked.unwrap();
    let result = Ok(ListMembersReply { members, more: false });
    news(&mut model, News::Members { request, handle, result });
    model
}

/// The screen as it is drawn.
pub fn drawn(model: &Model) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| view(frame, model)).unwrap();
    terminal.backend().buffer().clone()
}

/// The same as text.
pub fn shown(model: &Model) -> String {
    text_of(&drawn(model))
}

fn text_of(buffer: &Buffer) -> String {
    let mut rows = Vec::new();
    for y in 0..buffer.area.height {
        let mut row = String::new();
        let mut covered = 0;
        for x in 0..buffer.area.width {
            if covered > 0 {
                covered -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            covered = super::text::cells(symbol).saturating_sub(1);
            row.push_str(symbol);
        }
        rows.push(row.trim_end().to_owned());
    }
    rows.join("\n")
}
