//! What clients do with messages besides sending them, by single calls.

use super::*;

#[tokio::test]
async fn messages_are_edited_answered_and_reacted_to() {
    let server = start().await;
    let (mut ann, mut bob) = (server.user("ann").await, server.user("bob").await);
    let first = ann.say("bob", "frist").await.unwrap();
    let edit = |message, body: &str| Some(chat::EditMessage { conversation: 0, message, body: body.into() });
    let request = ann.next();
    for _ in 0..2 {
        let request = ann.with(chat::EditMessageRequest { request, edit: edit(first.id, "first, @bob") });
        ann.chat.edit_message(request).await.unwrap();
    }
    let request = bob.next();
    let request = bob.with(chat::EditMessageRequest { request, edit: edit(first.id, "mine") });
    assert_eq!(code(bob.chat.edit_message(request).await), ErrorCode::Forbidden);
    let request = bob.next();
    let request = bob.with(chat::EditMessageRequest { request, edit: edit(5, "nowhere") });
    assert_eq!(code(bob.chat.edit_message(request).await), ErrorCode::UnknownMessage);
    assert_eq!(bob.conversations(true).await[0].unread_mentions, 1);

    let request = bob.next();
    let send = Some(chat::SendMessage {
        to: to("ann"),
        body: "second".into(),
        reply_to: first.id,
        ..chat::SendMessage::default()
    });
    let request = bob.with(chat::SendMessageRequest { request, send });
    let second = bob.chat.send_message(request).await.unwrap().into_inner().sent.unwrap();
    for (is_ann, remove) in [(true, false), (false, false), (false, true)] {
        let user = if is_ann { &mut ann } else { &mut bob };
        let request = user.next();
        let react = Some(chat::React { conversation: 0, message: first.id, emoji: "👍".into(), remove });
        let request = user.with(chat::ReactRequest { request, react });
        user.chat.react(request).await.unwrap();
    }
    let question = chat::ListReactionsRequest { message: first.id, ..Default::default() };
    let request = bob.with(question.clone());
    let listed = bob.chat.list_reactions(request).await.unwrap().into_inner();
    assert_eq!((listed.reactions.len(), listed.reactions[0].name.as_str(), listed.more), (1, "ann", false));
    let request = bob.with(chat::ListReactionsRequest { message: 5, ..question });
    assert_eq!(code(bob.chat.list_reactions(request).await), ErrorCode::UnknownMessage);

    let messages = vec![second.id, first.id, 5];
    let request = ann.with(chat::GetMessagesRequest { conversation: 0, messages, position: 0 });
    let found = ann.chat.get_messages(request).await.unwrap().into_inner().messages;
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].body.as_str(), found[0].reply_to), ("second", first.id));
    assert_eq!((found[1].body.as_str(), found[1].mentions[0].name.as_str()), ("first, @bob", "bob"));
    assert!(found[1].edited_at_ms > 0);
    assert_eq!(found[1].reactions, [chat::Reaction { emoji: "👍".into(), count: 1, own: true }]);
    let request = ann.with(chat::GetMessagesRequest::default());
    assert_eq!(code(ann.chat.get_messages(request).await), ErrorCode::Invalid);

    let around = bob.history("ann", 1, Some(From::Around(first.id))).await.unwrap();
    assert_eq!((around.messages[0].id, around.older, around.newer, around.more), (first.id, false, true, true));
    let later = bob.history("ann", 0, Some(From::AtMs(second.time_ms))).await.unwrap();
    assert_eq!(later.messages.last().unwrap().id, second.id);
    let mark = Some(chat::MarkRead { r#in: to("ann"), up_to: 0 });
    let request = bob.next();
    let request = bob.with(chat::MarkReadRequest { request, mark });
    bob.chat.mark_read(request).await.unwrap();
    assert_eq!(ann.conversations(false).await[0].peer_read_up_to, second.id);
}
