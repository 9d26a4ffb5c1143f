//! What earlier chats left and could not send: it goes to nobody else, and is lost nowhere.

use super::*;
use crate::chat::leaving::outcome;
use crate::chat::model::{KeptAs, Left, NotSent, Unsent};

const SIZE: (u16, u16) = (80, 24);

fn left(number: u64, to: Option<To>, text: &str) -> Unsent {
    let what = Left::Message { to, reply_to: 0, attachments: Vec::new(), files: Vec::new() };
    Unsent { kept_as: KeptAs::Write(number), what, why: "you are muted".to_owned(), text: Some(text.to_owned()) }
}

fn to_bob() -> Option<To> {
    Some(To::User("bob".to_owned()))
}

/// What was sent: where to, and what.
fn sends(effects: &[Effect]) -> Vec<(To, String, u64, Vec<u64>)> {
    let sends = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, body, reply_to, uploaded, .. } => {
            Some((to.clone(), body.clone(), *reply_to, uploaded.clone()))
        }
        _ => None,
    });
    sends.collect()
}

fn sent(id: u64) -> Result<threefold_client::chat::MessageSent, NotSent> {
    Ok(threefold_client::chat::MessageSent { conversation: 100, id, time_ms: NOON })
}

#[test]
fn it_is_listed_until_it_is_sent_or_given_up() {
    let mut model = scene(SIZE, Colours::None);
    let left = |number: u64| left(number, to_bob(), &format!("/left {number}"));
    news(&mut model, News::Unsent((1..=300).map(left).collect()));
    assert!(
        shown(&model).contains("Not sent") && shown(&model).contains("/left 1 · you are muted"),
        "{}",
        shown(&model)
    );
    // Later: it is kept, and told where nothing else is to be said.
    key(&mut model, KeyCode::Esc);
    assert!(shown(&model).contains("300 things were not sent: /unsent"), "{}", shown(&model));
    entered(&mut model, "/unsent");
    assert_eq!(key(&mut model, KeyCode::Delete), [Effect::Forget(KeptAs::Write(1))]);
    key(&mut model, KeyCode::Down);
    let is_struck = |effects: &[Effect]| effects.contains(&Effect::Forget(KeptAs::Write(3)));
    assert!(!is_struck(&key(&mut model, KeyCode::Enter)), "nothing has taken its place");
    assert_eq!((model.editor.text(), model.unsent.len()), ("//left 3", 299));
    assert_eq!(model.current().unwrap().title(), "bob");
    // What is being written is not disturbed, and lost is nothing.
    news(&mut model, News::Unsent(vec![left(301)]));
    assert!(model.overlay.is_none() && model.unsent.len() == 300);
    // Put away, it is still there.
    key(&mut model, KeyCode::Esc);
    assert!(model.editor.is_empty() && model.unsent.iter().any(|one| one.kept_as == KeptAs::Write(3)));
    entered(&mut model, "/unsent");
    key(&mut model, KeyCode::Down);
    key(&mut model, KeyCode::Enter);
    let effects = key(&mut model, KeyCode::Enter);
    assert_eq!(sends(&effects), [(To::Conversation(100), "/left 3".to_owned(), 0, Vec::new())]);
    assert!(!is_struck(&effects));
    // Twice is once too often.
    entered(&mut model, "/unsent");
    key(&mut model, KeyCode::Down);
    key(&mut model, KeyCode::Enter);
    assert!(model.editor.is_empty() && model.flash.as_ref().unwrap().text.contains("being sent again"));
    assert!(is_struck(&news(&mut model, News::Taken { local: 1, number: Some(400) })), "the other one is on disk");
    assert_eq!(model.unsent.len(), 299);
    assert!(!shown(&model).contains("/left 3 "), "{}", shown(&model));
}

#[test]
fn where_the_disk_takes_nothing_any_more_it_is_struck_once_the_other_is_sent() {
    let mut model = scene(SIZE, Colours::None);
    news(&mut model, News::Unsent(vec![left(1, to_bob(), "hello")]));
    key(&mut model, KeyCode::Enter);
    key(&mut model, KeyCode::Enter);
    let effects = news(&mut model, News::Sent { local: 1, result: sent(50) });
    assert!(effects.contains(&Effect::Forget(KeptAs::Write(1))) && model.unsent.is_empty());
}

#[test]
fn a_message_of_a_conversation_goes_nowhere_else() {
    // Before anybody answers, nobody knows where it belongs.
    let mut model = empty(SIZE, Colours::None);
    update(&mut model, Event::Tick(NOON));
    crate::chat::update::go_to(&mut model, "bob");
    news(&mut model, News::Unsent(vec![left(1, Some(To::Conversation(200)), "only for the room")]));
    assert_eq!(key(&mut model, KeyCode::Enter), []);
    assert!(model.editor.is_empty() && model.unsent.len() == 1);
    // The list says what it is called.
    let one = |conversation, room| Conversation { conversation, room, ..Conversation::default() };
    listed(&mut model, Ok(vec![one(200, Some(tea()))]));
    assert!(shown(&model).contains("to #tea"), "{}", shown(&model));
    key(&mut model, KeyCode::Enter);
    assert_eq!((model.current().unwrap().title(), model.editor.text()), ("#tea".to_owned(), "only for the room"));
}

#[test]
fn what_is_for_a_room_that_one_is_not_in_is_not_written_to_anybody_else() {
    for to in [To::Room("gone".to_owned()), To::Conversation(900)] {
        let mut model = scene(SIZE, Colours::None);
        crate::chat::update::go_to(&mut model, "bob");
        news(&mut model, News::Unsent(vec![left(1, Some(to), "hello")]));
        assert_eq!(key(&mut model, KeyCode::Enter), [], "nobody joins a room for an old message");
        assert!(model.editor.is_empty() && shown(&model).contains("↑ has the text"), "{}", shown(&model));
        assert_eq!(model.unsent.len(), 1, "it stays on disk");
        key(&mut model, KeyCode::Up);
        assert_eq!(model.editor.text(), "hello");
    }
}

#[test]
fn what_it_answers_and_its_files_come_back_with_it() {
    let mut model = scene(SIZE, Colours::None);
    let with_files = |number, text: &str| {
        let what = Left::Message { to: to_bob(), reply_to: 40, attachments: vec![77, 78], files: Vec::new() };
        Unsent { what, ..left(number, None, text) }
    };
    news(&mut model, News::Unsent(vec![with_files(1, ""), with_files(2, "look")]));
    assert!(shown(&model).contains("to bob") && shown(&model).contains("2 files · you are muted"), "{}", shown(&model));
    key(&mut model, KeyCode::Enter);
    assert!(shown(&model).contains("Enter sends it with 2 files · Esc"), "{}", shown(&model));
    let expected = |text: &str| [(To::Conversation(100), text.to_owned(), 40, vec![77, 78])];
    assert_eq!(sends(&key(&mut model, KeyCode::Enter)), expected(""));
    news(&mut model, News::Taken { local: 1, number: Some(3) });
    entered(&mut model, "/unsent");
    key(&mut model, KeyCode::Enter);
    assert_eq!(sends(&entered(&mut model, " here")), expected("look here"));
    // Refused again, and tried again.
    news(&mut model, News::Taken { local: 2, number: Some(4) });
    news(&mut model, News::Sent { local: 2, result: Err(NotSent::Refused("no".to_owned())) });
    assert_eq!(sends(&entered(&mut model, "/retry")), expected("look here"));
}

#[test]
fn who_presses_delete_for_a_selected_message_gives_nothing_else_up() {
    let mut model = scene(SIZE, Colours::None);
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Up);
    assert!(model.current().unwrap().selected.is_some() && model.is_idle());
    news(&mut model, News::Unsent(vec![left(1, to_bob(), "/precious"), left(2, to_bob(), "")]));
    assert!(model.overlay.is_none());
    assert!(!key(&mut model, KeyCode::Delete).contains(&Effect::Forget(KeptAs::Write(1))));
    assert_eq!(model.unsent.len(), 2);
    key(&mut model, KeyCode::Esc);
    key(&mut model, KeyCode::Esc);
    // And what was given up by a slip can be had again.
    entered(&mut model, "/unsent");
    assert_eq!(key(&mut model, KeyCode::Delete), [Effect::Forget(KeptAs::Write(1))]);
    assert_eq!(key(&mut model, KeyCode::Delete), [Effect::Forget(KeptAs::Write(2))]);
    key(&mut model, KeyCode::Up);
    assert_eq!(model.editor.text(), "//precious");
}

#[test]
fn what_is_written_after_a_text_was_cleared_takes_no_place() {
    let mut model = scene(SIZE, Colours::None);
    let what = Left::Message { to: to_bob(), reply_to: 40, attachments: Vec::new(), files: Vec::new() };
    news(&mut model, News::Unsent(vec![Unsent { what, ..left(1, None, "old") }]));
    key(&mut model, KeyCode::Enter);
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('u'));
    assert_eq!(key(&mut model, KeyCode::Enter), []);
    let effects = entered(&mut model, "new");
    assert_eq!(sends(&effects), [(To::Conversation(100), "new".to_owned(), 0, Vec::new())]);
    assert_eq!(news(&mut model, News::Taken { local: 1, number: Some(2) }), []);
    assert_eq!(model.unsent.len(), 1, "it was not sent");
}

#[test]
fn a_refused_edit_of_this_chat_is_listed_until_it_is_given_up() {
    let mut model = scene(SIZE, Colours::None);
    let edit = |body: &str| Write::Edit { message: 6, body: body.to_owned() };
    model.write(edit("better words"), "");
    news(&mut model, News::EditTaken { message: 6, body: "better words".to_owned(), number: Some(7) });
    let result = Err(NotSent::Refused("too late".to_owned()));
    news(&mut model, News::Written { what: edit("better words"), done: String::new(), result });
    let failed = Unsent { what: Left::Edit, why: "too late".to_owned(), ..left(7, None, "better words") };
    news(&mut model, News::EditsFailed(vec![failed]));
    assert!(model.waiting_edits().count() == 0 && model.overlay.is_none(), "whoever writes on is not disturbed");
    model.flash = None;
    assert!(shown(&model).contains("something was not sent: /unsent"), "{}", shown(&model));
    entered(&mut model, "/unsent");
    assert!(shown(&model).contains("better words · too late"), "{}", shown(&model));
    assert!(outcome(&model).is_err());
    assert_eq!(key(&mut model, KeyCode::Delete), [Effect::Forget(KeptAs::Write(7))]);
    assert!(outcome(&model).is_ok(), "it was given up");
    key(&mut model, KeyCode::Up);
    assert_eq!(model.editor.text(), "better words");
}

#[test]
fn what_cannot_be_written_again_is_not_struck() {
    let mut model = scene(SIZE, Colours::None);
    let edit = Unsent { what: Left::Edit, ..left(1, None, "better words") };
    let other = Unsent { what: Left::Other("a reaction"), text: None, ..left(2, None, "") };
    news(&mut model, News::Unsent(vec![edit, other]));
    assert!(shown(&model).contains("better words · you are muted"), "{}", shown(&model));
    assert_eq!(key(&mut model, KeyCode::Enter), []);
    key(&mut model, KeyCode::Up);
    assert_eq!((model.editor.text(), model.unsent.len()), ("better words", 2));
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('u'));
    entered(&mut model, "/unsent");
    key(&mut model, KeyCode::Down);
    assert_eq!(key(&mut model, KeyCode::Enter), []);
    assert_eq!(key(&mut model, KeyCode::Delete), [Effect::Forget(KeptAs::Write(2))]);
}

#[test]
fn what_waited_for_its_upload_is_listed_with_its_path_and_uploaded_only_if_somebody_says_so() {
    let mut model = scene(SIZE, Colours::None);
    let path = std::path::PathBuf::from("/home/plan.pdf");
    let draft = |number, text| Unsent {
        kept_as: KeptAs::Draft(number),
        what: Left::Message { to: to_bob(), reply_to: 40, attachments: Vec::new(), files: vec![path.clone()] },
        ..left(number, None, text)
    };
    let effects = news(&mut model, News::Unsent(vec![draft(1, "see this"), draft(2, "")]));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Send { .. })));
    let screen = shown(&model);
    assert!(screen.contains("to bob") && screen.contains("see this · /home/plan.pdf · you are muted"), "{screen}");
    key(&mut model, KeyCode::Enter);
    assert!(shown(&model).contains("Enter sends it with its file · Esc"), "{}", shown(&model));
    let effects = entered(&mut model, "!");
    let is_sent = |effect: &Effect| {
        matches!(effect, Effect::Send { to: To::Conversation(100), body, reply_to: 40, files, uploaded, .. }
        if body == "see this!" && *files == [path.clone()] && uploaded.is_empty())
    };
    assert!(effects.iter().any(is_sent), "{effects:?}");
    assert_eq!(model.unsent.len(), 2, "nothing has taken its place on disk");
    assert_eq!(news(&mut model, News::Drafted { local: 1, draft: 5 }), [Effect::Forget(KeptAs::Draft(1))]);
    // Given up, it can be had again as it was typed.
    entered(&mut model, "/unsent");
    assert_eq!(key(&mut model, KeyCode::Delete), [Effect::Forget(KeptAs::Draft(2))]);
    key(&mut model, KeyCode::Up);
    assert_eq!(model.editor.text(), "/attach \"/home/plan.pdf\" ");
}
