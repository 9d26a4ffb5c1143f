//! Messages that were not sent, or perhaps not.

use std::path::PathBuf;

use threefold_client::chat::MessageSent;

use super::*;
use crate::chat::{
    leaving::outcome,
    model::{KeptAs, NotSent, PendingState},
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
    assert_eq!(end(&model), Some((1, "a message was not sent (you are muted): one".to_owned())));
    entered(&mut model, "two");
    news(&mut model, News::Sent { local: 2, result: unknown() });
    let (exit, message) = end(&model).unwrap();
    assert!(exit == 3 && message.starts_with("a message was not acknowledged: see"), "{message}");
    // What is on disk goes out with the next chat.
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "one");
    entered(&mut model, "two");
    let (exit, message) = end(&model).unwrap();
    assert_eq!(exit, 3);
    assert_eq!(
        message, "2 messages were perhaps not sent, and are not kept: one, two",
        "the disk has not taken them yet"
    );
    for local in [1, 2] {
        news(&mut model, News::Taken { local, number: Some(local) });
    }
    let (exit, message) = end(&model).unwrap();
    assert!(exit == 3 && message.contains("they are kept"), "{message}");
    news(&mut model, News::Sent { local: 2, result: unknown() });
    let (_, message) = end(&model).unwrap();
    assert!(message.contains("it is kept") && message.contains("; a message was not acknowledged: see"), "{message}");
}

#[test]
fn a_disk_that_fails_keeps_nothing_and_nobody_says_so() {
    let mut model = scene(SIZE, Colours::None);
    news(&mut model, News::NotKept("the disk failed".to_owned()));
    assert!(shown(&model).contains("will be lost with this chat: "), "{}", shown(&model));
    entered(&mut model, "one");
    entered(&mut model, "/quit");
    assert!(shown(&model).contains("It is not kept: if it"), "{}", shown(&model));
    let end = outcome(&model).unwrap_err();
    assert_eq!((end.exit_code(), end.message()), (3, "a message was perhaps not sent, and is not kept: one"));
    // Seen, it is there.
    event(&mut model, 50, Body::Message(in_tea(50, ALICE, "one")));
    assert!(outcome(&model).unwrap_err().message().starts_with("a message was not acknowledged: see"));
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
    news(&mut model, News::Taken { local: 2, number: Some(1) });
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
    news(&mut model, News::Taken { local: 1, number: Some(2) });
    assert!(end(&model).unwrap().1.starts_with("2 messages were not acknowledged: they are kept"));
}

#[test]
fn a_message_whose_file_is_not_uploaded_is_a_draft_on_disk_until_then() {
    let mut model = scene(SIZE, Colours::None);
    let end = |model: &Model| outcome(model).err().map(|failure| (failure.exit_code(), failure.message().to_owned()));
    entered(&mut model, "/attach plan.pdf see this");
    news(&mut model, News::Drafted { local: 1, draft: 4 });
    entered(&mut model, "/quit");
    assert!(shown(&model).contains("the next chat lists what you wrote with it"), "{}", shown(&model));
    key(&mut model, KeyCode::Esc);
    let kept = "a message was not sent, for its file was not uploaded: it is kept, and the next `threefold chat` of this login lists it (/unsent)";
    assert_eq!(end(&model), Some((3, kept.to_owned())));
    news(&mut model, News::Uploaded { local: 1, attachment: 77 });
    assert_eq!(end(&model), Some((3, kept.to_owned())), "no message has taken its place");
    news(&mut model, News::Taken { local: 1, number: Some(9) });
    assert!(end(&model).unwrap().1.starts_with("a message was not acknowledged: it is kept"));
    news(&mut model, News::Sent { local: 1, result: Ok(MessageSent { conversation: 200, id: 50, time_ms: NOON }) });
    assert_eq!(end(&model), None);
}

#[test]
fn a_draft_that_was_refused_is_on_disk_until_it_was_seen_or_written_again_or_given_up() {
    let begun = || {
        let mut model = scene(SIZE, Colours::None);
        entered(&mut model, "/attach plan.pdf see this");
        news(&mut model, News::Drafted { local: 1, draft: 4 });
        news(&mut model, News::Sent { local: 1, result: Err(NotSent::Refused("no such file".to_owned())) });
        model
    };
    let is_struck = |effects: &[Effect], draft: u64| effects.contains(&Effect::Forget(KeptAs::Draft(draft)));
    let mut model = begun();
    update(&mut model, Event::Terminal(Input::FocusLost));
    super::drawn(&model);
    crate::chat::update::drawn(&mut model);
    assert!(!is_struck(&std::mem::take(&mut model.effects), 4), "nobody looks");
    update(&mut model, Event::Terminal(Input::FocusGained));
    crate::chat::update::drawn(&mut model);
    assert!(is_struck(&std::mem::take(&mut model.effects), 4));
    assert!(outcome(&model).unwrap_err().message().contains("(no such file): /attach"));
    let mut model = begun();
    assert!(!is_struck(&entered(&mut model, "/retry"), 4));
    assert!(is_struck(&news(&mut model, News::Drafted { local: 2, draft: 5 }), 4), "the other one is on disk");
    news(&mut model, News::Sent { local: 2, result: Err(NotSent::Refused("no such file".to_owned())) });
    assert!(is_struck(&entered(&mut model, "/discard"), 5));
    // Given up before it was on disk.
    entered(&mut model, "/attach plan.pdf see this");
    news(&mut model, News::Sent { local: 3, result: refused() });
    entered(&mut model, "/discard");
    assert!(is_struck(&news(&mut model, News::Drafted { local: 3, draft: 6 }), 6));
}

#[test]
fn an_edit_that_is_refused_at_the_very_end_is_named() {
    let mut model = scene(SIZE, Colours::None);
    let edit = |body: &str| Write::Edit { message: 6, body: body.to_owned() };
    let written = |model: &mut Model, body: &str, why| {
        news(model, News::Written { what: edit(body), done: String::new(), result: Err(why) });
    };
    let end = |model: &Model| outcome(model).err().map(|failure| (failure.exit_code(), failure.message().to_owned()));
    model.write(edit("better words"), "");
    written(&mut model, "better words", NotSent::Refused("too late".to_owned()));
    let one = "an edit was not sent (too late): better words";
    assert_eq!(end(&model), Some((1, one.to_owned())));
    entered(&mut model, "hello");
    news(&mut model, News::Sent { local: 1, result: refused() });
    assert_eq!(end(&model).unwrap().1, "a message and an edit were not sent (too late): hello, better words");
    assert!(!shown(&model).contains("an edit waits"), "{}", shown(&model));
    model.write(edit("other words"), "");
    written(&mut model, "other words", NotSent::Unknown("no answer came".to_owned()));
    let (exit, words) = end(&model).unwrap();
    assert!(
        exit == 3 && words.starts_with("an edit was not acknowledged: see with `threefold messages` whether"),
        "{words}"
    );
}

#[test]
fn an_edit_that_waits_counts_as_a_message_does() {
    let mut model = scene(SIZE, Colours::None);
    let end = |model: &Model| outcome(model).err().map(|failure| (failure.exit_code(), failure.message().to_owned()));
    let edit = |body: &str| Write::Edit { message: 6, body: body.to_owned() };
    model.write(edit("one"), "");
    model.effects.clear();
    assert!(shown(&model).contains("an edit waits"), "{}", shown(&model));
    assert_eq!(end(&model), Some((3, "an edit was perhaps not sent, and is not kept: one".to_owned())));
    assert_eq!(entered(&mut model, "/quit"), [], "asked first");
    assert!(shown(&model).contains("an edit is not acknowledged yet. It is not kept"), "{}", shown(&model));
    key(&mut model, KeyCode::Esc);
    news(&mut model, News::EditTaken { message: 6, body: "one".to_owned(), number: Some(1) });
    entered(&mut model, "a message");
    news(&mut model, News::Taken { local: 1, number: Some(2) });
    let (exit, message) = end(&model).unwrap();
    assert!(
        exit == 3 && message.starts_with("a message and an edit were not acknowledged: they are kept"),
        "{message}"
    );
    entered(&mut model, "/quit");
    assert!(shown(&model).contains("a message and an edit are not acknowledged yet. Quit"), "{}", shown(&model));
    key(&mut model, KeyCode::Esc);
    news(&mut model, News::Written { what: edit("one"), done: String::new(), result: Ok(()) });
    assert!(end(&model).unwrap().1.starts_with("a message was not acknowledged: it is kept"));
}

#[test]
fn a_session_that_ends_takes_no_words_away() {
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "/attach plan.pdf see this");
    entered(&mut model, "not kept");
    entered(&mut model, "kept");
    news(&mut model, News::Taken { local: 3, number: Some(1) });
    let refused = crate::chat::leaving::refused(&model, crate::commands::Failure::not_logged_in());
    news(&mut model, News::Ended("the session has ended".to_owned()));
    let end = outcome(&model).unwrap_err();
    assert_eq!(end.exit_code(), 1);
    for (end, why) in [(end, "the session has ended"), (refused, "not logged in here")] {
        let words = end.message();
        assert!(words.starts_with(why), "{words}");
        let parts = [
            "; a message was not acknowledged: it is kept; ",
            "for its file was not uploaded: /attach \"plan.pdf\" see this",
            "perhaps not sent, and is not kept: not kept",
        ];
        assert!(parts.iter().all(|part| words.contains(part)), "{words}");
        assert!(!words.contains("of this login"), "no other chat of it can send anything: {words}");
    }
}

#[test]
fn what_was_refused_stays_on_disk_until_it_was_in_sight() {
    let mut model = scene((80, 10), Colours::None);
    let drawn = |model: &mut Model| {
        super::drawn(model);
        crate::chat::update::drawn(model);
    };
    entered(&mut model, "in the room");
    news(&mut model, News::Taken { local: 1, number: Some(7) });
    crate::chat::update::go_to(&mut model, "bob");
    news(&mut model, News::Sent { local: 1, result: refused() });
    drawn(&mut model);
    let is_unseen = crate::chat::update::is_unseen;
    assert!(is_unseen(&model, 7), "another conversation is looked at");
    crate::chat::update::go_to(&mut model, "#tea");
    update(&mut model, Event::Terminal(Input::FocusLost));
    drawn(&mut model);
    assert!(is_unseen(&model, 7), "nobody looks");
    update(&mut model, Event::Terminal(Input::FocusGained));
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Home);
    drawn(&mut model);
    assert!(is_unseen(&model, 7), "it is further down");
    with(&mut model, KeyModifiers::CONTROL, KeyCode::End);
    drawn(&mut model);
    assert!(!is_unseen(&model, 7));
    // Written again, it is kept until the other one is; given up, no longer.
    entered(&mut model, "/retry");
    assert!(is_unseen(&model, 7));
    news(&mut model, News::Taken { local: 2, number: Some(8) });
    assert!(!is_unseen(&model, 7) && is_unseen(&model, 8));
    crate::chat::update::go_to(&mut model, "bob");
    news(&mut model, News::Sent { local: 2, result: refused() });
    crate::chat::update::go_to(&mut model, "#tea");
    entered(&mut model, "/discard");
    assert!(!is_unseen(&model, 8));
}
