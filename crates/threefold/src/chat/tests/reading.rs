//! What is read and what counts as seen, when the cluster refuses, answers late, or tells things in another order.

use threefold_client::chat::{ClusterStatus, FoundMessage, SearchAccountsReply, SearchMessagesReply};

use super::*;
use crate::chat::{conversation::Item, update::go_to};

const SIZE: (u16, u16) = (80, 24);

fn with_bob(unread: u64) -> Conversation {
    let last = Some(direct(9, BOB, "the last of many"));
    Conversation { conversation: 100, peer_name: "bob".to_owned(), unread, last, ..Conversation::default() }
}

fn said(ids: std::ops::RangeInclusive<u64>) -> HistoryReply {
    let messages = ids.map(|id| direct(id, BOB, &format!("line {id}"))).collect();
    HistoryReply { messages, ..HistoryReply::default() }
}

fn ids(model: &Model) -> Vec<u64> {
    model.current().unwrap().items.keys().copied().collect()
}

fn at(model: &mut Model, later_ms: u64) -> Vec<Effect> {
    update(model, Event::Tick(NOON + later_ms))
}

#[test]
fn a_page_that_was_refused_is_not_seen_and_asked_for_again_after_a_while() {
    let mut model = empty(SIZE, Colours::None);
    at(&mut model, 0);
    let effects = listed(&mut model, Ok(vec![with_bob(5)]));
    assert_eq!(pages(&effects).len(), 1);
    let effects = page(&mut model, Err("too much is asked".to_owned()));
    assert!(pages(&effects).is_empty(), "not at once: {effects:?}");
    assert!(marks(&at(&mut model, 500)).is_empty() && model.current().unwrap().unread == 5, "nobody has seen them");
    assert!(shown(&model).contains("loading …") && shown(&model).contains("too much is asked"));
    assert_eq!(pages(&at(&mut model, 1_000)).len(), 1);
    page(&mut model, Err("too much is asked".to_owned()));
    assert!(pages(&at(&mut model, 2_900)).is_empty(), "later each time");
    assert_eq!(pages(&at(&mut model, 3_000)).len(), 1);
    // A server answers again: nobody need wait longer.
    page(&mut model, Err("no server answers".to_owned()));
    assert_eq!(pages(&news(&mut model, News::Connected("127.0.0.1:7401".to_owned()))).len(), 1);
    page(&mut model, Ok(said(1..=9)));
    assert_eq!(marks(&at(&mut model, 3_100)), [(100, 9)]);
}

#[test]
fn an_older_page_that_was_refused_is_not_asked_for_in_a_loop() {
    let mut model = scene(SIZE, Colours::None);
    let handle = model.open.unwrap();
    ask(&mut model, handle, Page::Before(0));
    let effects =
        page(&mut model, Ok(HistoryReply { messages: tea_messages(), older: true, ..HistoryReply::default() }));
    assert_eq!(pages(&effects), [(To::Conversation(200), Page::Before(2))]);
    assert!(pages(&page(&mut model, Err("no".to_owned()))).is_empty());
    assert!(pages(&key(&mut model, KeyCode::PageUp)).is_empty());
    assert_eq!(pages(&at(&mut model, 1_000)).len(), 1);
}

#[test]
fn nothing_is_asked_after_the_end() {
    let mut model = empty(SIZE, Colours::None);
    at(&mut model, 0);
    listed(&mut model, Ok(vec![with_bob(5)]));
    news(&mut model, News::Ended("logged out elsewhere".to_owned()));
    assert_eq!(page(&mut model, Err("the session is over".to_owned())), []);
    assert_eq!(at(&mut model, 60_000), []);
    assert_eq!(key(&mut model, KeyCode::Char('x')), [Effect::Quit]);
}

/// `threefold chat bob`, and something happens before the list of conversations is here.
#[test]
fn what_was_said_before_the_list_came_is_read_all_the_same() {
    for sends in [true, false] {
        let mut model = empty(SIZE, Colours::None);
        go_to(&mut model, "bob");
        at(&mut model, 0);
        let effects = if sends {
            entered(&mut model, "hello");
            let sent = threefold_client::chat::MessageSent { conversation: 100, id: 10, time_ms: NOON };
            news(&mut model, News::Sent { local: 1, result: Ok(sent) })
        } else {
            event(&mut model, 10, Body::Message(direct(10, BOB, "hello")))
        };
        assert_eq!(pages(&effects), [(To::Conversation(100), Page::Before(0))]);
        assert!(shown(&model).contains("hello"));
        let effects = listed(&mut model, Ok(vec![with_bob(9)]));
        assert!(pages(&effects).is_empty() && marks(&at(&mut model, 1_000)).is_empty(), "nothing was read yet");
        page(&mut model, Ok(said(1..=9)));
        assert_eq!(ids(&model), (1..=10).collect::<Vec<_>>(), "what came meanwhile is behind the page");
        assert_eq!(marks(&at(&mut model, 2_000)).len(), 1);
        assert_eq!(model.conversations.len(), 1);
    }
}

#[test]
fn what_comes_while_a_page_is_on_its_way_is_not_lost() {
    let mut model = scene(SIZE, Colours::None);
    let handle = model.open.unwrap();
    ask(&mut model, handle, Page::Before(2));
    event(&mut model, 50, Body::Message(in_tea(50, BOB, "meanwhile")));
    page(&mut model, Ok(HistoryReply::default()));
    assert!(shown(&model).contains("meanwhile"));
}

#[test]
fn the_answer_to_a_question_that_nobody_asks_any_more_is_not_taken() {
    let mut model = scene(SIZE, Colours::None);
    let handle = model.open.unwrap();
    ask(&mut model, handle, Page::Before(2));
    let older = last_request(&model);
    // Far back, around a found message: what is older than what was here before does not lie before that.
    ask(&mut model, handle, Page::Around(20));
    let around = (15..=25).map(|id| in_tea(id, BOB, "hay")).collect();
    page(&mut model, Ok(HistoryReply { messages: around, more: true, older: true, newer: true }));
    let reply = Ok(HistoryReply { messages: vec![in_tea(1, BOB, "first")], ..HistoryReply::default() });
    news(&mut model, News::History { request: older, handle, reply });
    assert_eq!(ids(&model), (15..=25).collect::<Vec<_>>());
    assert!(model.current().unwrap().has_older);
}

#[test]
fn a_list_is_filled_by_the_answer_to_its_own_question() {
    let mut model = scene(SIZE, Colours::None);
    let person = |name: &str| threefold_client::chat::Account { name: name.to_owned(), ..Default::default() };
    let users = |request, name: &str| {
        let result = Ok(SearchAccountsReply { accounts: vec![person(name)], ..SearchAccountsReply::default() });
        News::Users { request, pattern: String::new(), result }
    };
    entered(&mut model, "/who a");
    let first = last_request(&model);
    key(&mut model, KeyCode::Esc);
    entered(&mut model, "/who b");
    let second = last_request(&model);
    news(&mut model, users(second, "betty"));
    news(&mut model, users(first, "anna"));
    assert!(shown(&model).contains("betty") && !shown(&model).contains("anna"));

    // The same words, once everywhere and once here.
    let found = |request, body: &str| {
        let found = vec![FoundMessage { message: Some(in_tea(3, BOB, body)), marks: Vec::new() }];
        News::Found { request, result: Ok(SearchMessagesReply { found, complete: true, ..Default::default() }) }
    };
    key(&mut model, KeyCode::Esc);
    entered(&mut model, "/search leaf");
    let first = last_request(&model);
    key(&mut model, KeyCode::Esc);
    entered(&mut model, "/find leaf");
    let second = last_request(&model);
    news(&mut model, found(first, "everywhere"));
    news(&mut model, found(second, "only here"));
    assert!(shown(&model).contains("only here") && !shown(&model).contains("everywhere"));

    key(&mut model, KeyCode::Esc);
    entered(&mut model, "/status");
    let request = last_request(&model);
    entered(&mut model, "q/members");
    news(&mut model, News::Status { request, result: Ok(ClusterStatus::default()) });
    let shown_now = shown(&model);
    assert!(shown_now.contains("Members") && shown_now.contains('…'), "{shown_now}");
}

#[test]
fn members_of_another_room_are_not_shown_as_those_of_this_one() {
    let mut model = scene(SIZE, Colours::None);
    let tea = model.open.unwrap();
    let garden = model.handle_called("#garden").unwrap();
    entered(&mut model, "/members");
    let of_tea = last_request(&model);
    key(&mut model, KeyCode::Esc);
    crate::chat::update::go_to(&mut model, "#garden");
    entered(&mut model, "/members");
    let of_garden = last_request(&model);
    let member = |name: &str| threefold_client::chat::Member { name: name.to_owned(), ..Default::default() };
    let reply = |name: &str| Ok(ListMembersReply { members: vec![member(name)], more: false });
    news(&mut model, News::Members { request: of_tea, handle: tea, result: reply("teresa") });
    assert!(!shown(&model).contains("teresa"));
    news(&mut model, News::Members { request: of_garden, handle: garden, result: reply("gareth") });
    assert!(shown(&model).contains("gareth"));
    assert_eq!(model.conversations[&tea].members[0].name, "teresa");
}

#[test]
fn what_could_not_be_had_is_asked_for_again() {
    let mut model = empty(SIZE, Colours::None);
    let asks = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::LoadAll(_)));
    assert!(asks(&at(&mut model, 0)));
    listed(&mut model, Err("too much is asked".to_owned()));
    assert!(!asks(&at(&mut model, 900)) && asks(&at(&mut model, 1_000)), "the conversations");

    let mut model = scene(SIZE, Colours::None);
    let quotes = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::LoadQuoted { .. }));
    let answer = Message { reply_to: 1, ..in_tea(50, BOB, "an answer") };
    assert!(quotes(&event(&mut model, 50, Body::Message(answer))));
    news(&mut model, News::Quoted { asked: vec![1], result: Err("no".to_owned()) });
    assert!(!quotes(&at(&mut model, 900)) && quotes(&at(&mut model, 1_000)), "what is answered");

    let members = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::LoadMembers { .. }));
    let handle = model.handle_called("#garden").unwrap();
    go_to(&mut model, "#garden");
    assert!(members(&at(&mut model, 1_100)));
    let request = model.conversations[&handle].members_asked.unwrap();
    news(&mut model, News::Members { request, handle, result: Err("no".to_owned()) });
    assert!(!members(&at(&mut model, 2_000)) && members(&at(&mut model, 2_100)), "who is in a room");
}

#[test]
fn who_reads_far_up_does_not_keep_everything() {
    let mut model = scene((80, 12), Colours::None);
    for _ in 0..3 {
        key(&mut model, KeyCode::PageUp);
    }
    let before = shown(&model);
    for id in 100..4_100 {
        event(&mut model, id, Body::Message(in_tea(id, BOB, "flood")));
    }
    let current = model.current().unwrap();
    assert!(current.items.len() <= 2_000 && current.has_newer, "{}", current.items.len());
    let body = |text: &str| -> Vec<String> {
        text.lines().skip(1).take(7).map(|line| line.chars().skip(21).collect()).collect()
    };
    assert_eq!(body(&before), body(&shown(&model)), "what is looked at stays");
    let effects = with(&mut model, KeyModifiers::CONTROL, KeyCode::End);
    assert_eq!(pages(&effects), [(To::Conversation(200), Page::Before(0))]);
    assert!(model.current().unwrap().items.values().all(|item| !matches!(item, Item::Message(_))));
}

#[test]
fn the_list_follows_the_keyboard() {
    let mut model = scene((80, 12), Colours::None);
    let person = |number: u64| Conversation {
        conversation: 1_000 + number,
        peer_name: format!("person-{number:02}"),
        last: Some(Message { conversation: 1_000 + number, ..message(number, BOB, "x") }),
        ..Conversation::default()
    };
    model.list_wanted = true;
    at(&mut model, 0);
    listed(&mut model, Ok((0..30).map(person).collect()));
    let is_in_sight = |model: &Model| {
        let title = model.current().unwrap().title();
        shown(model).lines().skip(1).any(|line| line.chars().take(18).collect::<String>().contains(&title))
    };
    for _ in 0..32 {
        with(&mut model, KeyModifiers::ALT, KeyCode::Down);
        assert!(is_in_sight(&model) || model.current().unwrap().is_room(), "{}", shown(&model));
    }
    for _ in 0..32 {
        with(&mut model, KeyModifiers::ALT, KeyCode::Up);
        assert!(is_in_sight(&model) || model.current().unwrap().is_room(), "{}", shown(&model));
    }
}

#[test]
fn nothing_is_read_before_it_is_known_from_where_on_everything_is_told() {
    let mut model = empty(SIZE, Colours::None);
    model.has_begun = false;
    let reads = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::LoadAll(_) | Effect::LoadHistory { .. }))
    };
    assert!(!reads(&update(&mut model, Event::Tick(NOON))));
    crate::chat::update::go_to(&mut model, "bob");
    assert!(!reads(&news(&mut model, News::Connected("there".to_owned()))));
    // A message goes out all the same; its conversation is read later.
    entered(&mut model, "hello");
    let sent = threefold_client::chat::MessageSent { conversation: 100, id: 40, time_ms: NOON };
    assert!(!reads(&news(&mut model, News::Sent { local: 1, result: Ok(sent) })));
    let me = threefold_client::chat::WhoAmIReply { account: ALICE, position: 60, ..Default::default() };
    let effects = news(&mut model, News::Begun(Box::new(me)));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::LoadAll(_))), "{effects:?}");
    assert_eq!(pages(&effects), [(To::Conversation(100), Page::Before(0))]);
    let last = Some(direct(50, BOB, "was said meanwhile"));
    let bob =
        Conversation { conversation: 100, peer_name: "bob".to_owned(), unread: 1, last, ..Conversation::default() };
    listed(&mut model, Ok(vec![bob]));
    let said = vec![direct(40, ALICE, "hello"), direct(50, BOB, "was said meanwhile")];
    page(&mut model, Ok(HistoryReply { messages: said, ..HistoryReply::default() }));
    assert!(shown(&model).contains("was said meanwhile"), "{}", shown(&model));
}

#[test]
fn what_was_taken_back_stays_in_no_quotes() {
    use threefold_client::chat::{MessageEdited, MessagesDeleted, MessagesHidden};
    let mut model = scene((120, 24), Colours::None);
    let answer = |id: u64, reply_to| Body::Message(Message { reply_to, ..in_tea(id, CAROL, "an answer") });
    // None of what they answer is here but for that.
    for (id, quoted) in [(500, 91), (501, 92), (502, 93)] {
        event(&mut model, id, answer(id, quoted));
    }
    let quoted = |id, text: &str| in_tea(id, BOB, text);
    let messages = vec![quoted(91, "first secret"), quoted(92, "second secret"), quoted(93, "third secret")];
    news(&mut model, News::Quoted { asked: vec![91, 92, 93], result: Ok(messages.clone()) });
    assert_eq!(shown(&model).matches(" secret").count(), 3, "{}", shown(&model));
    let deleted = MessagesDeleted { conversation: 200, messages: vec![91], ..MessagesDeleted::default() };
    event(&mut model, 600, Body::MessagesDeleted(deleted));
    let hidden = MessagesHidden { conversation: 200, messages: vec![92] };
    event(&mut model, 601, Body::MessagesHidden(hidden));
    let edited = |message| {
        let body = "other words".to_owned();
        Body::MessageEdited(MessageEdited { conversation: 200, message, body, ..MessageEdited::default() })
    };
    event(&mut model, 602, edited(93));
    let screen = shown(&model);
    assert!(!screen.contains("secret") && screen.contains("bob: other words"), "{screen}");
    assert!(
        screen.contains("a deleted message") && screen.contains("a message that is not there any more"),
        "{screen}"
    );
    // An answer that was given before the change, and comes after it.
    event(&mut model, 610, answer(610, 94));
    event(&mut model, 611, edited(94));
    let effects = news(&mut model, News::Quoted { asked: vec![94], result: Ok(vec![quoted(94, "fourth secret")]) });
    assert!(!shown(&model).contains("secret"), "{}", shown(&model));
    let again = Effect::LoadQuoted { conversation: 200, messages: vec![94] };
    assert!(effects.contains(&again), "{effects:?}");
    news(&mut model, News::Quoted { asked: vec![94], result: Ok(vec![quoted(94, "fourth, now")]) });
    assert!(shown(&model).contains("bob: fourth, now"), "{}", shown(&model));
}
