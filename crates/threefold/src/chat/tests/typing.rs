//! What one types goes where one meant it, whatever comes meanwhile; and no word does what it does not say.

use super::*;
use crate::chat::{
    model::{Composing, NotSent},
    overlay::Overlay,
};

const SIZE: (u16, u16) = (80, 24);

fn with_bob() -> Conversation {
    let last = Some(direct(1, BOB, "hi"));
    Conversation { conversation: 100, peer_name: "bob".to_owned(), last, ..Conversation::default() }
}

#[test]
fn the_list_takes_no_word_away() {
    let mut model = empty(SIZE, Colours::None);
    update(&mut model, Event::Tick(NOON));
    typed(&mut model, "/msg ca");
    listed(&mut model, Ok(vec![with_bob()]));
    assert!(model.open.is_none() && model.editor.text() == "/msg ca");
    typed(&mut model, "rol");
    let effects = entered(&mut model, " hello");
    assert!(matches!(&effects[..], [Effect::Send { to: To::User(name), .. }] if name == "carol"), "{effects:?}");
    // Going somewhere by oneself keeps what was begun while nothing was open.
    let mut model = empty(SIZE, Colours::None);
    typed(&mut model, "to whom");
    crate::chat::update::go_to(&mut model, "bob");
    assert_eq!(model.editor.text(), "to whom");
}

#[test]
fn a_word_typed_where_an_emoji_was_asked_for_is_no_reaction_and_stays() {
    let mut model = scene(SIZE, Colours::None);
    for words in ["hello", "two words"] {
        model.composing = Composing::React(7);
        assert!(entered(&mut model, words).is_empty());
        assert!(model.flash.as_ref().is_some_and(|flash| flash.text.contains("no emoji")));
        assert_eq!(model.editor.text(), words);
        key(&mut model, KeyCode::Esc);
        model.editor.take();
    }
}

#[test]
fn what_was_said_gives_way_to_what_is_typed_once_it_was_seen() {
    let mut model = empty(SIZE, Colours::None);
    update(&mut model, Event::Tick(NOON));
    entered(&mut model, "/nothing");
    assert!(model.flash.is_some());
    typed(&mut model, "/jo");
    assert!(model.flash.is_some(), "just said");
    update(&mut model, Event::Tick(NOON + 2_000));
    typed(&mut model, "in");
    assert!(model.flash.is_none());
}

#[test]
fn a_room_that_was_joined_is_not_shown_in_the_middle_of_a_word() {
    for is_writing in [true, false] {
        let mut model = scene(SIZE, Colours::None);
        crate::chat::update::go_to(&mut model, "bob");
        let what = Write::JoinRoom(To::Room("garden".to_owned()));
        if is_writing {
            typed(&mut model, "half");
        }
        news(&mut model, News::Written { what, done: "joined #garden".to_owned(), result: Ok(()) });
        typed(&mut model, " a word");
        let title = model.current().unwrap().title();
        assert_eq!(title, if is_writing { "bob" } else { "#garden" });
        assert!(model.arriving.is_none(), "and not later either");
    }
}

#[test]
fn what_was_being_written_in_a_room_goes_nowhere_else() {
    let mut model = scene(SIZE, Colours::None);
    typed(&mut model, "only for tea drinkers");
    let person = |account, name: &str| Some(threefold_client::chat::Person { account, name: name.to_owned() });
    let room = Some(threefold_client::chat::RoomName { conversation: 200, name: "tea".to_owned() });
    let removed =
        threefold_client::chat::MemberRemoved { room, member: person(ALICE, "alice"), by: person(BOB, "bob") };
    event(&mut model, 70, Body::MemberRemoved(removed));
    assert!(model.editor.is_empty());
    key(&mut model, KeyCode::Up);
    assert_eq!(model.editor.text(), "only for tea drinkers");
}

#[test]
fn commands_are_commands_also_in_an_answer_and_in_an_edit() {
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "/reply");
    assert!(matches!(model.composing, Composing::Reply(_)));
    assert!(entered(&mut model, "/help").is_empty() && matches!(model.overlay, Some(Overlay::Help { .. })));
    key(&mut model, KeyCode::Esc);
    let effects = entered(&mut model, "/attach /tmp/x look");
    assert!(matches!(&effects[..], [Effect::Send { reply_to: 7, files, .. }] if files.len() == 1), "{effects:?}");
    assert_eq!(model.composing, Composing::Message);
    entered(&mut model, "/edit");
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('k'));
    model.editor.set("/who");
    let effects = key(&mut model, KeyCode::Enter);
    assert!(matches!(&effects[..], [Effect::ListUsers { .. }]), "{effects:?}");
    assert_eq!(model.composing, Composing::Message, "what comes next is no text of that message");
}

#[test]
fn a_text_with_a_slash_is_edited_as_it_was_typed() {
    let mut model = scene(SIZE, Colours::None);
    event(&mut model, 50, Body::Message(in_tea(50, ALICE, "/usr/bin")));
    entered(&mut model, "/edit");
    assert_eq!(model.editor.text(), "//usr/bin");
    let effects = entered(&mut model, "/env");
    let body = "/usr/bin/env".to_owned();
    assert_eq!(effects, [Effect::Write { what: Write::Edit { message: 50, body }, done: String::new() }]);
}

#[test]
fn a_search_does_not_overwrite_what_is_typed() {
    let mut model = scene(SIZE, Colours::None);
    typed(&mut model, "a long text");
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('f'));
    assert_eq!(model.editor.text(), "a long text");
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('c'));
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('f'));
    assert_eq!(model.editor.text(), "/search ");
}

#[test]
fn an_edit_is_still_one_after_a_look_elsewhere() {
    let mut model = scene(SIZE, Colours::None);
    entered(&mut model, "/edit");
    let text = model.editor.text().to_owned();
    with(&mut model, KeyModifiers::ALT, KeyCode::Down);
    assert_eq!((&model.composing, model.editor.text()), (&Composing::Message, ""));
    with(&mut model, KeyModifiers::ALT, KeyCode::Up);
    assert_eq!((&model.composing, model.editor.text()), (&Composing::Edit(6), text.as_str()));
}

#[test]
fn no_word_deletes() {
    let mut model = scene(SIZE, Colours::None);
    event(&mut model, 50, Body::Message(in_tea(50, ALICE, "mine")));
    key(&mut model, KeyCode::Esc);
    assert_eq!(model.current().unwrap().selected, Some(50));
    for letter in "Dynamic dynasty".chars() {
        let effects = key(&mut model, KeyCode::Char(letter));
        let is_harmless = effects.iter().all(|effect| matches!(effect, Effect::Copy(_)));
        assert!(is_harmless && !matches!(model.overlay, Some(Overlay::Question { .. })), "{letter}");
    }
    let asks = |model: &mut Model, modifiers, words: &str| {
        with(model, modifiers, KeyCode::Delete);
        let is_asked = matches!(&model.overlay, Some(Overlay::Question { text, .. }) if text.contains(words));
        assert!(is_asked, "{words}: {:?}", model.overlay);
        key(model, KeyCode::Char('n'));
    };
    asks(&mut model, KeyModifiers::NONE, "for you");
    asks(&mut model, KeyModifiers::SHIFT, "for everyone");
}

#[test]
fn bare_commands_show_and_change_nothing() {
    let mut model = scene(SIZE, Colours::None);
    assert!(entered(&mut model, "/topic").is_empty());
    assert!(shown(&model).contains("the topic is: leaves, water"), "{}", shown(&model));
    assert_eq!(entered(&mut model, "/name"), [Effect::ShowName]);
    news(&mut model, News::Named(Ok("Alice A.".to_owned())));
    assert!(shown(&model).contains("beside your name stands: Alice A."));
    let cleared = |effects: Vec<Effect>| match &effects[..] {
        [Effect::Write { what: Write::DisplayName(name), .. }] => name.is_empty(),
        [Effect::Write { what: Write::ChangeRoom { changes, .. }, .. }] => changes.topic.as_deref() == Some(""),
        other => panic!("{other:?}"),
    };
    assert!(cleared(entered(&mut model, "/topic -")) && cleared(entered(&mut model, "/name -")));
    assert!(entered(&mut model, "/remove bob").is_empty() && shown(&model).contains("Take bob out of #tea?"));
    let effects = key(&mut model, KeyCode::Char('y'));
    assert!(matches!(&effects[..], [Effect::Write { what: Write::Remove { .. }, .. }]), "{effects:?}");
}

#[test]
fn paths_complete_what_stood_there_when_they_were_asked_for() {
    let mut model = scene(SIZE, Colours::None);
    typed(&mut model, "/attach /tm");
    key(&mut model, KeyCode::Tab);
    let request = last_request(&model);
    let found = |request| News::Paths { request, start: 8, choices: vec!["/tmp/".to_owned()] };
    typed(&mut model, "q");
    news(&mut model, found(request));
    assert_eq!(model.editor.text(), "/attach /tmq");
    key(&mut model, KeyCode::Backspace);
    key(&mut model, KeyCode::Tab);
    let request = last_request(&model);
    news(&mut model, found(request));
    assert_eq!(model.editor.text(), "/attach /tmp/");
}

#[test]
fn a_room_that_is_begun_with_is_the_first_to_be_read() {
    let room = |role: Role| Some(Room { role: role.into(), ..tea() });
    let in_room = || Conversation { conversation: 200, room: room(Role::Member), ..Conversation::default() };
    let begun = || {
        let mut model = empty(SIZE, Colours::None);
        crate::chat::update::go_to(&mut model, "#tea");
        assert_eq!(model.effects, []);
        update(&mut model, Event::Tick(NOON));
        model
    };
    let mut model = begun();
    let effects = listed(&mut model, Ok(vec![with_bob(), in_room()]));
    assert_eq!(pages(&effects), [(To::Conversation(200), Page::Before(0))], "and nothing else is opened, and so read");
    assert_eq!(model.current().unwrap().title(), "#tea");
    // One that is to be joined first, and one that cannot be.
    let mut model = begun();
    let effects = listed(&mut model, Ok(vec![with_bob()]));
    let what = Write::JoinRoom(To::Room("tea".to_owned()));
    assert!(effects.contains(&Effect::Write { what: what.clone(), done: "joined #tea".to_owned() }), "{effects:?}");
    assert!(model.open.is_none());
    news(
        &mut model,
        News::Written { what, done: String::new(), result: Err(NotSent::Refused("there is no such room".to_owned())) },
    );
    assert_eq!(model.current().unwrap().title(), "bob");
    assert!(shown(&model).contains("there is no such room"));
}
