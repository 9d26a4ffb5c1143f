use threefold_core::{AccountId, SessionId};

use super::*;

fn to(to: To) -> Option<chat::Recipient> {
    Some(chat::Recipient { to: Some(to) })
}

#[test]
fn content_beyond_its_bounds_is_passed_on_but_not_without_limit() {
    let send = |bytes: usize| {
        Operation::try_from(chat::SendMessage {
            to: to(To::User(String::new())),
            body: "x".repeat(bytes),
            ..chat::SendMessage::default()
        })
    };
    assert!(send(0).is_ok());
    assert!(send(bounds::BODY_BYTES + 1).is_ok());
    assert!(send(FORWARDED_BYTES + 1).is_err());
    let name = "n".repeat(FORWARDED_BYTES + 1);
    assert!(Operation::try_from(chat::MarkRead { r#in: to(To::User(name)), up_to: 1 }).is_err());
    let messages = vec![u64::MAX; FORWARDED_BYTES / 9];
    let delete = chat::DeleteMessages { conversation: 1, messages, for_everyone: false };
    assert!(Operation::try_from(delete).is_err());
}

#[test]
fn nonsense_is_refused() {
    assert!(Operation::try_from(None).is_err());
    assert!(
        Operation::try_from(chat::SendMessage { to: None, body: "x".into(), ..chat::SendMessage::default() }).is_err()
    );
    let empty = Some(chat::Recipient { to: None });
    assert!(
        Operation::try_from(chat::SendMessage { to: empty, body: "x".into(), ..chat::SendMessage::default() }).is_err()
    );
    assert!(Operation::try_from(chat::MarkRead { r#in: None, up_to: 0 }).is_err());
    assert!(request_id(None).is_err());
    assert!(request_id(Some(chat::RequestId { instance: 1, number: 0 })).is_err());
}

#[test]
fn what_is_open_stays_open() {
    let mark = |recipient, up_to| Operation::try_from(chat::MarkRead { r#in: to(recipient), up_to });
    let complete = |up_to| Command::MarkRead { conversation: ConversationId(7), up_to };
    assert_eq!(mark(To::Conversation(7), 9), Ok(Operation::Complete(complete(EventId(9)))));
    assert_eq!(mark(To::Conversation(7), 0), Ok(Operation::Complete(complete(EVERYTHING))));
    let by_name = |up_to| Operation::MarkRead { place: Place::With("bob".into()), up_to };
    assert_eq!(mark(To::User("bob".into()), 9), Ok(by_name(EventId(9))));
    assert_eq!(mark(To::User("bob".into()), 0), Ok(by_name(EVERYTHING)));
    let in_room = Operation::MarkRead { place: Place::Room("tea".into()), up_to: EventId(9) };
    assert_eq!(mark(To::Room("tea".into()), 9), Ok(in_room));

    let delete = |conversation, messages| {
        Operation::try_from(chat::DeleteMessages { conversation, messages, for_everyone: true })
    };
    let scope = DeleteScope::Everyone;
    assert_eq!(delete(0, vec![5]), Ok(Operation::DeleteMessages { messages: vec![EventId(5)], scope }));
    let complete = |conversation, messages| {
        let conversation = ConversationId(conversation);
        Ok(Operation::Complete(Command::DeleteMessages { conversation, messages, scope }))
    };
    assert_eq!(delete(3, vec![5]), complete(3, vec![EventId(5)]));
    assert_eq!(delete(0, vec![]), complete(0, vec![]));

    let edit = |conversation| Operation::try_from(chat::EditMessage { conversation, message: 5, body: "x".into() });
    let (message, body) = (EventId(5), "x".to_owned());
    assert_eq!(edit(0), Ok(Operation::EditMessage { message, body: body.clone() }));
    let conversation = ConversationId(3);
    assert_eq!(edit(3), Ok(Operation::Complete(Command::EditMessage { conversation, message, body })));
    let none = chat::EditMessage { conversation: 3, message: 5, body: String::new() };
    assert_eq!(Operation::try_from(none), Ok(Operation::Complete(Command::RemoveText { conversation, message })));
    let react = |conversation| {
        Operation::try_from(chat::React { conversation, message: 5, emoji: "👍".into(), remove: true })
    };
    let (emoji, add) = ("👍".to_owned(), false);
    assert_eq!(react(0), Ok(Operation::React { message, emoji: emoji.clone(), add }));
    assert_eq!(react(3), Ok(Operation::Complete(Command::React { conversation, message, emoji, add })));
}

#[test]
fn zero_answers_nothing() {
    let send = |reply_to| {
        Operation::try_from(chat::SendMessage {
            to: to(To::User("bob".into())),
            body: "x".into(),
            reply_to,
            ..chat::SendMessage::default()
        })
    };
    let complete = |reply_to| {
        Ok(Operation::Complete(Command::SendMessage {
            to: Recipient::User("bob".into()),
            body: "x".into(),
            reply_to,
            attachments: None,
        }))
    };
    assert_eq!(send(0), complete(None));
    assert_eq!(send(7), complete(Some(EventId(7))));
}

#[test]
fn zero_says_nothing_of_answers() {
    assert_eq!(answered(&chat::Write::default()), None);
    assert_eq!(answered(&chat::Write { answered: 7, ..Default::default() }), Some(7));
}

#[test]
fn results_say_what_happened() {
    use chat::write_result::Result as Wire;
    let of = |outcome| result(None, outcome).result.unwrap();
    let sent = Reply::MessageSent { conversation: ConversationId(1), event: EventId(2), time_ms: 3 };
    let wire = chat::MessageSent { conversation: 1, id: 2, time_ms: 3 };
    assert_eq!(of(Ok((sent, Position(9)))), Wire::Sent(wire));
    assert_eq!(of(Ok((Reply::Done, Position(9)))), Wire::Done(chat::Done { position: 9 }));
    let made = Reply::RoomCreated { conversation: ConversationId(1), event: EventId(2) };
    assert_eq!(of(Ok((made, Position(9)))), Wire::RoomCreated(chat::RoomCreated { conversation: 1, id: 2 }));
    let rejected = Reply::Rejected(Rejection::UnknownConversation);
    assert!(matches!(of(Ok((rejected, Position(9)))), Wire::Error(error)
        if error.code() == chat::ErrorCode::UnknownConversation));
    assert!(matches!(of(Err(Refusal::unavailable("gone"))), Wire::Error(error)
        if error.code() == chat::ErrorCode::Unavailable));
    let opened = Reply::InstanceOpened { instance: 1 };
    assert!(matches!(of(Ok((opened, Position(9)))), Wire::Error(error)
        if error.code() == chat::ErrorCode::Internal));
}

#[test]
fn a_session_reply_is_complete() {
    let opened = Reply::SessionOpened {
        account: AccountId(1),
        session: SessionId(2),
        instance: 3,
        name: "Ann".into(),
        expires_at_ms: 4,
        delivered_up_to: 5,
    };
    let wire = session_reply(opened, Position(6), vec!["a:1".into()]).unwrap();
    assert_eq!((wire.account, wire.session, wire.instance, wire.position), (1, 2, 3, 6));
    let refused = session_reply(Reply::Rejected(Rejection::NameTaken), Position(6), vec![]);
    assert_eq!(refused, Err(Refusal::Rejected(Rejection::NameTaken)));
    assert!(session_reply(Reply::Done, Position(6), vec![]).is_err());
}
