use threefold_client::chat::{MessageEdited, MessagesDeleted, ReactionChanged};

use super::*;

fn message() -> Message {
    Message {
        id: 8192,
        time_ms: 1,
        conversation: 4096,
        author: 7,
        author_name: "alice".to_owned(),
        body: "two\nlines \u{1b}[2J".to_owned(),
        number: 3,
        deleted: false,
        peer_name: "alice".to_owned(),
        ..Message::default()
    }
}

/// The same with all that can belong to a message.
fn rich() -> Message {
    Message {
        edited_at_ms: 2,
        reply_to: 4097,
        mentions: vec![Mention { account: 9, name: "bob".to_owned() }],
        reactions: vec![
            Reaction { emoji: "👍".to_owned(), count: 2, own: true },
            Reaction { emoji: "\u{202e}".to_owned(), count: 1, own: false },
        ],
        body: "@bob".to_owned(),
        ..message()
    }
}

#[test]
fn what_belongs_to_a_message_is_shown_with_it() {
    let message = rich();
    let line = Line::message(&message, 9);
    let text = line.human_message(Some("you: \"tea?\"")).unwrap();
    let expected =
        "] alice → you (mentions you, answers you: \"tea?\"): @bob (edited)\n    👍 2 with yours  \\u{202e} 1";
    assert!(text.ends_with(expected), "{text}");
    assert!(line.human().unwrap().contains("answers 4097"));
    let json = serde_json::to_string(&line).unwrap();
    let expected = "\"deleted\":false,\"edited_at_ms\":2,\"reply_to\":4097,\"mentions\":[\"bob\"],\"reactions\":\
                    [{\"emoji\":\"👍\",\"count\":2,\"own\":true},{\"emoji\":\"\u{202e}\",\"count\":1,\"own\":false}]}";
    assert!(json.ends_with(expected), "{json}");
}

#[test]
fn quotes_are_short_and_safe() {
    let mut answered = message();
    assert_eq!(quote(&answered), "alice: \"two…\"");
    answered.body = "\n  tea?  ".to_owned();
    assert_eq!(quote(&answered), "alice: \"tea?\"");
    answered.body = format!("\u{1b}{}", "x".repeat(100));
    assert_eq!(quote(&answered), format!("alice: \"\\u{{1b}}{}…\"", "x".repeat(QUOTE_CHARS - 1)));
    answered.deleted = true;
    assert_eq!(quote(&answered), "alice's deleted message");
}

#[test]
fn edits_and_reactions_are_told() {
    let edited = MessageEdited {
        message: 8192,
        by: 7,
        by_name: "alice".to_owned(),
        body: "new\ntext".to_owned(),
        ..MessageEdited::default()
    };
    let event = Event { id: 9000, time_ms: 1, body: Some(Body::MessageEdited(edited)) };
    let text = Line::event(&event, 9).human().unwrap();
    assert!(text.ends_with("] alice → you: edited 8192: new\n    text"), "{text}");
    assert!(serde_json::to_string(&Line::event(&event, 9)).unwrap().starts_with("{\"type\":\"edited\",\"id\":9000,"));
    let mut changed = ReactionChanged {
        message: 8192,
        account: 7,
        name: "alice".to_owned(),
        peer_name: "bob".to_owned(),
        emoji: "👍".to_owned(),
        added: true,
        ..ReactionChanged::default()
    };
    let mut told = |account| {
        let event = Event { id: 9001, time_ms: 1, body: Some(Body::ReactionChanged(changed.clone())) };
        changed.added = false;
        Line::event(&event, account).human().unwrap()
    };
    assert!(told(9).ends_with("] alice → you: reacted to 8192: 👍"));
    assert!(told(7).ends_with("] you → bob: took back from 8192: 👍"));
}

#[test]
fn a_rooms_message_says_where() {
    let said = Message { peer_name: String::new(), room_name: "tea".to_owned(), ..message() };
    let text = Line::message(&said, 9).human().unwrap();
    assert!(text.ends_with("] #tea alice: two\n    lines \\u{1b}[2J"), "{text}");
    assert!(Line::message(&said, 7).human().unwrap().contains("] #tea you: two"));
    let json = serde_json::to_string(&Line::message(&said, 9)).unwrap();
    assert!(json.contains("\"peer\":\"\",\"room\":\"tea\""), "{json}");
}

#[test]
fn programs_get_the_text_as_it_is() {
    let event = Event { id: 8192, time_ms: 1, body: Some(Body::Message(message())) };
    let json = serde_json::to_string(&Line::event(&event, 9)).unwrap();
    assert_eq!(
        json,
        "{\"type\":\"message\",\"id\":8192,\"time_ms\":1,\"conversation\":4096,\"from\":\"alice\",\"peer\":\"alice\",\
         \"own\":false,\"number\":3,\"body\":\"two\\nlines \\u001b[2J\",\"deleted\":false}"
    );
}

#[test]
fn people_get_it_made_safe() {
    let theirs = Line::message(&message(), 9).human().unwrap();
    assert!(theirs.ends_with("] alice → you: two\n    lines \\u{1b}[2J"), "{theirs}");
    let mut own = message();
    own.peer_name = "bob".to_owned();
    let text = Line::message(&own, 7).human().unwrap();
    assert!(text.contains("] you → bob: two"), "{text}");
    own.deleted = true;
    own.peer_name.clear();
    assert!(Line::message(&own, 7).human().unwrap().ends_with("] you → (deleted user): (deleted)"));
}

#[test]
fn attachments_are_named_with_their_sizes() {
    let file = Attachment { attachment: 5, name: "a\n.png".to_owned(), bytes: 2_100_000, ..Attachment::default() };
    let with_file = Message { body: String::new(), attachments: vec![file], ..message() };
    let line = Line::message(&with_file, 9);
    let text = line.human().unwrap();
    assert!(text.ends_with("] alice → you: [a .png, 2.0 MiB]"), "{text}");
    let json = serde_json::to_string(&line).unwrap();
    assert!(
        json.contains("\"attachments\":[{\"id\":5,\"name\":\"a\\n.png\",\"content_type\":\"\",\"bytes\":2100000,"),
        "{json}"
    );
}

#[test]
fn every_event_has_its_id_in_json() {
    let deleted = Body::MessagesDeleted(MessagesDeleted { conversation: 1, by: 2, messages: vec![3, 4] });
    let event = Event { id: 5, time_ms: 6, body: Some(deleted) };
    let expected = "{\"type\":\"deleted\",\"id\":5,\"time_ms\":6,\"conversation\":1,\"by\":2,\"messages\":[3,4]}";
    assert_eq!(serde_json::to_string(&Line::event(&event, 0)).unwrap(), expected);
    let event = Event { id: 5, time_ms: 6, body: None };
    assert_eq!(
        serde_json::to_string(&Line::event(&event, 0)).unwrap(),
        "{\"type\":\"unknown\",\"id\":5,\"time_ms\":6}"
    );
}
