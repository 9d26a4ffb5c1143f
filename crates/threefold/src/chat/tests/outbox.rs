//! Messages that were not sent, or perhaps not.

use std::path::PathBuf;

use threefold_client::chat::MessageSent;

use super::*;
use crate::chat::{
    leaving::outcome,
    model::{NotSent, PendingState, Unsent},
};

const SIZE: (u16, u16) = (80, 24);

fn unknown() -> Result<MessageSent, NotSent> {
    Err(NotSent::Unknown("no answer came".to_owned()))
}

fn refused() -> Result<MessageSent, NotSent> {
    Err(NotSent::Refused("you are muted".to_owned()))
}

#[test]
fn what_was_perhaps_sent_is_said_to_be_so_and_gone_once_it_is_seen() {
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "unmistakable");
    news(&mut model, News::Sent { local: 1, result: unknown() });
    assert!(shown(&model).contains("(perhaps sent") && !shown(&model).contains("(not sent"), "{}", shown(&model));
    event(&mut model, 50, Body::Message(in_tea(50, ALICE, "unmistakable")));
    assert!(model.outbox.is_empty());
    assert_eq!(entered(&mut model, "/retry"), [], "it is there: sent again, it would be there twice");
    // The other way round.
    entered(&mut model, "another");
    event(&mut model, 51, Body::Message(in_tea(51, ALICE, "another")));
    news(&mut model, News::Sent { local: 2, result: unknown() });
    assert!(model.outbox.is_empty());
    assert_eq!(shown(&model).matches("another").count(), 1);
    // And by a page, after the event was missed.
    entered(&mut model, "third");
    news(&mut model, News::Sent { local: 3, result: unknown() });
    let handle = model.open.unwrap();
    ask(&mut model, handle, Page::Before(0));
    let reply = HistoryReply { messages: vec![in_tea(52, ALICE, "third")], ..HistoryReply::default() };
    page(&mut model, Ok(reply));
    assert!(model.outbox.is_empty());
}

#[test]
fn what_was_refused_is_never_taken_for_what_came() {
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "hello");
    news(&mut model, News::Sent { local: 1, result: refused() });
    event(&mut model, 50, Body::Message(in_tea(50, ALICE, "hello")));
    assert_eq!(shown(&model).matches("hello").count(), 2, "one came from another device, one was refused here");
    assert!(shown(&model).contains("(not sent: you are muted"));
}

#[test]
fn discarded_texts_can_all_be_had_again() {
    let mut model = scene(SIZE, Colours::None);
    for (local, text) in [(1, "one"), (2, "//two"), (3, "/attach \"/tmp/a b\" three")] {
        entered(&mut model, text);
        news(&mut model, News::Sent { local, result: refused() });
    }
    model.history = Default::default();
    entered(&mut model, "/discard");
    for text in ["/attach \"/tmp/a b\" three", "//two", "one"] {
        key(&mut model, KeyCode::Up);
        assert_eq!(model.editor.text(), text);
    }
}

#[test]
fn files_that_are_there_are_not_uploaded_again() {
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "/attach /tmp/a.png look");
    news(&mut model, News::Uploaded { local: 1, attachment: 77 });
    news(&mut model, News::Sent { local: 1, result: refused() });
    let effects = entered(&mut model, "/retry");
    let sends = |effects: &[Effect], expected: &[u64]| {
        let path = PathBuf::from("/tmp/a.png");
        matches!(effects, [Effect::Send { files, uploaded, .. }] if *files == [path] && uploaded == expected)
    };
    assert!(sends(&effects, &[77]), "{effects:?}");
    // The cluster does not keep for ever what no message names.
    news(&mut model, News::Sent { local: 2, result: Err(NotSent::FilesGone("no such file".to_owned())) });
    let effects = entered(&mut model, "/retry");
    assert!(sends(&effects, &[]), "{effects:?}");
}

#[test]
fn the_end_tells_what_was_refused_from_what_nobody_knows() {
    let mut model = scene(SIZE, Colours::None);
    let end = |model: &Model| outcome(model).err().map(|failure| (failure.exit_code(), failure.message().to_owned()));
    assert_eq!(end(&model), None);
    entered(&mut model, "one");
    assert_eq!(end(&model).unwrap().0, 3, "not acknowledged");
    news(&mut model, News::Sent { local: 1, result: refused() });
    assert_eq!(end(&model), Some((1, "a message was not sent: you are muted".to_owned())));
    entered(&mut model, "two");
    news(&mut model, News::Sent { local: 2, result: unknown() });
    let (exit, message) = end(&model).unwrap();
    assert!(exit == 3 && message.starts_with("a message was not acknowledged: see"), "{message}");
    // What is on disk goes out with the next chat.
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "one");
    entered(&mut model, "two");
    assert!(!end(&model).unwrap().1.contains("kept"), "the disk has not taken them yet");
    for local in [1, 2] {
        news(&mut model, News::Taken { local });
    }
    let (exit, message) = end(&model).unwrap();
    assert!(exit == 3 && message.contains("they are kept"), "{message}");
    news(&mut model, News::Sent { local: 2, result: unknown() });
    let (_, message) = end(&model).unwrap();
    assert!(message.contains("it is kept") && message.contains("; a message was not acknowledged: see"), "{message}");
}

#[test]
fn what_an_earlier_chat_left_is_listed_until_it_is_taken_up_or_given_up() {
    let mut model = scene(SIZE, Colours::None);
    let left = |number: u64| Unsent {
        number,
        what: "to bob".to_owned(),
        why: "you are muted".to_owned(),
        to: Some("bob".to_owned()),
        text: Some(format!("/left {number}")),
    };
    news(&mut model, News::Unsent((1..=300).map(left).collect()));
    assert!(
        shown(&model).contains("Not sent") && shown(&model).contains("/left 1 · you are muted"),
        "{}",
        shown(&model)
    );
    // Later: it is kept, and told where nothing else is to be said.
    key(&mut model, KeyCode::Esc);
    assert!(shown(&model).contains("300 things that earlier chats wrote were not sent: /unsent"), "{}", shown(&model));
    entered(&mut model, "/unsent");
    assert_eq!(key(&mut model, KeyCode::Delete), [Effect::Forget(1)]);
    key(&mut model, KeyCode::Down);
    assert!(key(&mut model, KeyCode::Enter).contains(&Effect::Forget(3)));
    assert_eq!((model.editor.text(), model.unsent.len()), ("//left 3", 298));
    assert_eq!(model.current().unwrap().title(), "bob");
    // What is being written is not disturbed, and lost is nothing.
    news(&mut model, News::Unsent(vec![left(301)]));
    assert!(model.overlay.is_none() && model.unsent.len() == 299);
}

#[test]
fn an_old_message_makes_nobody_join_a_room() {
    let mut model = scene(SIZE, Colours::None);
    let to = Some("#gone".to_owned());
    let left = Unsent { number: 1, what: "to #gone".into(), why: "no".into(), to, text: Some("hello".into()) };
    news(&mut model, News::Unsent(vec![left]));
    assert_eq!(key(&mut model, KeyCode::Enter), [Effect::Forget(1)]);
    assert_eq!(model.editor.text(), "hello");
}

#[test]
fn a_disk_that_fails_keeps_nothing_and_nobody_says_so() {
    let mut model = scene(SIZE, Colours::None);
    news(&mut model, News::NotKept("the disk failed".to_owned()));
    assert!(shown(&model).contains("will be lost with this chat: "), "{}", shown(&model));
    entered(&mut model, "one");
    assert!(!outcome(&model).unwrap_err().message().contains("kept"));
}

#[test]
fn what_waits_when_the_history_is_replaced_waits_where_it_belongs() {
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "goes on");
    entered(&mut model, "was refused");
    news(&mut model, News::Sent { local: 2, result: refused() });
    typed(&mut model, "half a thou");
    news(&mut model, News::Resynchronised);
    assert_eq!(model.waiting(), 1);
    let room = Room { conversation: 900, ..tea() };
    let last = Some(Message { conversation: 900, ..in_tea(3, BOB, "x") });
    listed(&mut model, Ok(vec![Conversation { conversation: 900, room: Some(room), last, ..Conversation::default() }]));
    assert_eq!((model.current().unwrap().id, model.listed().len()), (Some(900), 1));
    assert!(shown(&model).contains("goes on (sending)"), "{}", shown(&model));
    assert_eq!(model.outbox.iter().filter(|one| matches!(one.state, PendingState::Failed(_))).count(), 0);
    for text in ["half a thou", "was refused"] {
        key(&mut model, KeyCode::Up);
        assert_eq!(model.editor.text(), text);
    }
}

#[test]
fn a_message_is_kept_only_once_its_files_are_uploaded() {
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "/attach plan.pdf see this");
    entered(&mut model, "and that");
    news(&mut model, News::Taken { local: 2 });
    assert!(shown(&model).contains("see this (waiting to be uploaded)"), "{}", shown(&model));
    entered(&mut model, "/quit");
    assert!(shown(&model).contains("what you wrote with it will not be kept"), "{}", shown(&model));
    let end = |model: &Model| outcome(model).err().map(|failure| (failure.exit_code(), failure.message().to_owned()));
    let (exit, message) = end(&model).unwrap();
    assert_eq!(exit, 3);
    assert!(message.starts_with("a message was not acknowledged: it is kept"), "{message}");
    let lost = "a message was not sent, and is not kept, for its file was not uploaded: /attach \"plan.pdf\" see this";
    assert!(message.ends_with(lost), "{message}");
    news(&mut model, News::Uploading { local: 1, done: 3, total: 6 });
    assert!(end(&model).unwrap().1.ends_with(lost), "half of it is none");
    news(&mut model, News::Uploaded { local: 1, attachment: 77 });
    news(&mut model, News::Taken { local: 1 });
    assert!(end(&model).unwrap().1.starts_with("2 messages were not acknowledged: they are kept"));
}
