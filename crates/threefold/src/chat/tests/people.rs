//! What people are called, and finding those whom nobody here has seen.

use threefold_client::chat::{Account, SearchAccountsReply};

use super::*;
use crate::chat::overlay::Overlay;

const SIZE: (u16, u16) = (80, 24);

fn account(name: &str, display_name: &str) -> Account {
    Account { name: name.to_owned(), display_name: display_name.to_owned(), ..Account::default() }
}

/// The answer to the question of `effects`; the pattern that was asked for.
fn answered(model: &mut Model, effects: &[Effect], names: &[&str]) -> String {
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::FindPeople { request, pattern } => Some((*request, pattern.clone())),
        _ => None,
    });
    let (request, pattern) = asked.unwrap_or_else(|| panic!("nobody was asked for: {effects:?}"));
    let accounts = names.iter().map(|name| account(name, "")).collect();
    let result = Ok(SearchAccountsReply { accounts, more: false });
    news(model, News::People { request, pattern: pattern.clone(), result });
    pattern
}

fn said_as(id: u64, author: u64, chosen: &str) -> Message {
    Message { author_display_name: chosen.to_owned(), ..in_tea(id, author, "said") }
}

#[test]
fn people_are_called_as_they_chose_wherever_they_are_seen() {
    let mut model = scene((200, 30), Colours::None);
    event(&mut model, 50, Body::Message(said_as(50, BOB, "Bob Builder")));
    let screen = shown(&model);
    let has = |part: &str| screen.lines().any(|line| line.contains(part));
    assert!(has("Bob Builder bob │ said"), "before what they said\n{screen}");
    assert!(has(" ● Bob Builder bob"), "in the list, and among the members\n{screen}");
    crate::chat::update::go_to(&mut model, "bob");
    assert!(shown(&model).lines().next().unwrap().contains(" Bob Builder bob  online"), "{}", shown(&model));
    // Where there is less room, they are still told apart.
    let mut model = scene((40, 12), Colours::None);
    event(&mut model, 50, Body::Message(said_as(50, BOB, "Bob Builder")));
    assert!(shown(&model).contains(" Bob Builder bob 12:"), "{}", shown(&model));
    let mut model = scene((80, 16), Colours::None);
    event(&mut model, 50, Body::Message(said_as(50, BOB, "carol")));
    let screen = shown(&model);
    assert!(screen.contains(" bob 12:") && !screen.contains("carol bob"), "nobody looks like somebody else\n{screen}");
    event(&mut model, 51, Body::Message(said_as(51, BOB, "alice  (me)")));
    let notice = |account_name: &str| threefold_client::chat::TypingNotice {
        conversation: 200,
        account: BOB,
        account_name: account_name.to_owned(),
        position: 60,
    };
    news(&mut model, News::Typing(notice("bob")));
    assert!(shown(&model).contains("alice (me) is typing"), "{}", shown(&model));
    event(&mut model, 52, Body::Message(said_as(52, BOB, "ALICE")));
    news(&mut model, News::Typing(notice("bob")));
    assert!(shown(&model).contains(" bob is typing"), "nobody is taken for somebody else: {}", shown(&model));
    // Oneself, at once.
    let what = Write::DisplayName("Alice A.".to_owned());
    news(&mut model, News::Written { what, done: String::new(), result: Ok(()) });
    entered(&mut model, "mine");
    assert!(shown(&model).lines().any(|line| line.contains("Alice A. alice 12:")), "{}", shown(&model));
}

#[test]
fn no_chosen_name_breaks_a_screen() {
    let evil = [
        "\u{202e}\u{1b}[2J\u{7}evil\n",
        &"漢".repeat(42),
        &"\u{301}".repeat(60),
        &"a\u{301}".repeat(40),
        "\u{200b}\u{2800}",
        "👩\u{200d}👩\u{200d}👧\u{200d}👦",
        "bob",
        "שלום",
    ];
    for size in [(10, 3), (20, 6), (40, 12), (64, 10), (80, 24), (200, 60)] {
        let plain = scene(size, Colours::None);
        for chosen in evil {
            let mut model = scene(size, Colours::None);
            news(&mut model, News::Online(vec![account("bob", chosen), account("alice", "")]));
            for (id, author) in [(50, BOB), (51, CAROL)] {
                event(&mut model, id, Body::Message(said_as(id, author, chosen)));
            }
            let screen = drawn(&model);
            let is_harmless = |c: char| !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c);
            assert!(
                screen.content().iter().all(|cell| cell.symbol().chars().all(is_harmless)),
                "{chosen:?} in {size:?}"
            );
            // What divides the parts stands where it stood.
            let bars = |model: &Model, row: u16| {
                let screen = drawn(model);
                (0..size.0).filter(|x| screen[(*x, row)].symbol() == "│").count()
            };
            assert_eq!(bars(&model, 0), bars(&plain, 0), "{chosen:?} in {size:?}:\n{}", shown(&model));
            with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('o'));
            drawn(&model);
        }
    }
}

#[test]
fn the_cluster_is_asked_for_names_that_nobody_here_has_seen() {
    for line in ["/msg be", "/invite be", "/role @be"] {
        let mut model = scene(SIZE, Colours::None);
        typed(&mut model, line);
        let effects = key(&mut model, KeyCode::Tab);
        assert_eq!(answered(&mut model, &effects, &["Ben"]), "be*");
        assert_eq!(model.editor.text(), line.replace("be", "Ben ").replace('@', ""), "one alone is taken");
    }
    let mut model = scene(SIZE, Colours::None);
    typed(&mut model, "/msg be");
    let effects = key(&mut model, KeyCode::Tab);
    assert!(key(&mut model, KeyCode::Tab).is_empty(), "once");
    typed(&mut model, "rt");
    answered(&mut model, &effects, &["Ben", "Bert"]);
    assert_eq!(
        (model.editor.text(), model.completion.is_none()),
        ("/msg bert", true),
        "that is not what stands there now"
    );
    key(&mut model, KeyCode::Tab);
    assert_eq!(model.editor.text(), "/msg Bert ");
    // A failure may be asked again; nothing but names is asked for.
    let mut model = scene(SIZE, Colours::None);
    typed(&mut model, "/msg zo");
    let effects = key(&mut model, KeyCode::Tab);
    let [Effect::FindPeople { request, pattern }] = &effects[..] else { panic!("{effects:?}") };
    news(&mut model, News::People { request: *request, pattern: pattern.clone(), result: Err("away".to_owned()) });
    assert_eq!(key(&mut model, KeyCode::Tab).len(), 1);
    for line in ["hello zo", "/msg carol zo", "/msg z*", "/msg ", "/join #zo"] {
        let mut model = scene(SIZE, Colours::None);
        typed(&mut model, line);
        let effects = key(&mut model, KeyCode::Tab);
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::FindPeople { .. })), "{line}: {effects:?}");
    }
}

#[test]
fn the_switcher_asks_too_and_what_is_chosen_stays_chosen() {
    let mut model = scene(SIZE, Colours::None);
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('o'));
    let effects = typed(&mut model, "o");
    let chosen = |model: &Model| match &model.overlay {
        Some(Overlay::Switcher { filter, index }) => {
            crate::chat::update::candidates(model, filter.text())[*index].clone()
        }
        other => panic!("{other:?}"),
    };
    key(&mut model, KeyCode::Down);
    let before = chosen(&model);
    assert_eq!(answered(&mut model, &effects, &["Aaron", "zoe"]), "o");
    assert_eq!(chosen(&model), before);
    assert!(shown(&model).contains("Aaron") && shown(&model).contains("zoe"), "{}", shown(&model));
    assert_eq!(key(&mut model, KeyCode::Backspace), []);
    assert_eq!(typed(&mut model, "o"), [], "once");
}

#[test]
fn a_name_of_nobody_leaves_no_conversation() {
    let titles = |model: &Model| -> Vec<String> {
        model.listed().iter().map(|handle| model.conversations[handle].title()).collect()
    };
    let mut model = scene(SIZE, Colours::None);
    let before = titles(&model);
    let effects = entered(&mut model, "/msg nobody-there");
    assert_eq!(model.current().unwrap().title(), "nobody-there");
    typed(&mut model, "half");
    assert_eq!(answered(&mut model, &effects, &["nobody-there-either"]), "nobody-there*");
    assert!(shown(&model).contains("nobody is called nobody-there"), "{}", shown(&model));
    // What is being written stays where it is: the next key would go to somebody else.
    assert_eq!((model.current().unwrap().title(), model.editor.text()), ("nobody-there".to_owned(), "half"));
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('u'));
    with(&mut model, KeyModifiers::ALT, KeyCode::Down);
    assert_eq!(titles(&model), before);
    // Or while it lies somewhere else.
    let mut model = scene(SIZE, Colours::None);
    let effects = entered(&mut model, "/msg nobody-there");
    typed(&mut model, "half");
    with(&mut model, KeyModifiers::ALT, KeyCode::Down);
    answered(&mut model, &effects, &[]);
    assert_eq!(titles(&model).len(), before.len() + 1);
    // Where nothing was begun, nothing is left.
    let mut model = scene(SIZE, Colours::None);
    let effects = entered(&mut model, "/msg nobody-there");
    answered(&mut model, &effects, &[]);
    assert_eq!((titles(&model), model.current().unwrap().title()), (before.clone(), "#tea".to_owned()));
    // Somebody who is there, and with whom nothing was begun.
    let mut model = scene(SIZE, Colours::None);
    let effects = entered(&mut model, "/msg dora");
    answered(&mut model, &effects, &["Dora"]);
    assert_eq!(model.current().unwrap().title(), "dora");
    typed(&mut model, "half");
    with(&mut model, KeyModifiers::ALT, KeyCode::Down);
    assert_eq!(titles(&model).len(), before.len() + 1, "a draft is kept where it was begun");
    with(&mut model, KeyModifiers::ALT, KeyCode::Up);
    with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('u'));
    with(&mut model, KeyModifiers::ALT, KeyCode::Down);
    assert_eq!(titles(&model), before);
}
