//! `EditMessage`: one's own message gets another text. `RemoveText`: it gets none, where something is attached to it.
//!
//! The stored text is overwritten, and the event that tells of it holds none (see [`EventBody::MessageEdited`]). There is
//! one such event a message, however often it is edited: the next one takes the place of the last.

use super::{
    Context, Outcome,
    mentions::{self, Mentioning},
    target,
};
use crate::{
    event::{Edited, EventBody},
    ids::{AccountId, ConversationId, EventId},
    key::Key,
    record::ConversationRecord,
    reply::{Rejection, Reply},
    store::StoreError,
    text,
};

pub(super) fn edit_message(
    context: &mut Context<'_>,
    account: AccountId,
    id: ConversationId,
    message: EventId,
    text: &str,
) -> Outcome<Reply> {
    text::check_body(text)?;
    replace(context, account, id, message, text)
}

pub(super) fn remove_text(
    context: &mut Context<'_>,
    account: AccountId,
    id: ConversationId,
    message: EventId,
) -> Outcome<Reply> {
    replace(context, account, id, message, "")
}

fn replace(
    context: &mut Context<'_>,
    account: AccountId,
    id: ConversationId,
    message: EventId,
    text: &str,
) -> Outcome<Reply> {
    let mut record = target::find(context, account, id, message)?;
    let EventBody::MessageSent { author, body, number, edited, mentions, attachments, .. } = &mut record.body else {
        return Err(StoreError::Corrupt(format!("{message} of conversation {id} is no message")).into());
    };
    if *author != account {
        let what = format!("message {message} is somebody else's: only its author can edit it");
        return Err(Rejection::Forbidden(what).into());
    }
    if text.is_empty() && attachments.as_deref().is_none_or(<[_]>::is_empty) {
        return Err(Rejection::Invalid("the message would be empty: delete it".to_owned()).into());
    }
    if body == text {
        return Ok(Reply::Done);
    }
    let named = mentions::of(context, id, text)?;
    let of = Mentioning { conversation: id, message, number: *number, author: account };
    mentions::change(context, &of, mentions, &named)?;
    if let Some(last) = edited {
        context.delete(Key::Notice(id, last.notice));
    }
    let told = EventBody::MessageEdited { by: account, message, body: String::new(), mentions: Vec::new() };
    let mut conversation: ConversationRecord = context.require(Key::Conversation(id))?;
    let notice = context.tell_conversation(id, &mut conversation, told);
    *edited = Some(Edited { at_ms: context.time_ms(), notice });
    text.clone_into(body);
    *mentions = named;
    context.put(Key::Message(id, message), &record);
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests {
    use crate::{
        DeleteScope::{Everyone, Me},
        Edited, EventBody, EventId, Operation, Rejection, Reply,
        apply::Audience,
        world::{World, refused, sent, text, uploads},
    };

    #[test]
    fn the_text_is_replaced_and_the_old_one_is_nowhere() {
        let mut world = World::new();
        let (mut ann, bob) = (world.register("ann"), world.register("bob"));
        let (conversation, message) = world.send(&mut ann, "bob", "frist");
        world.time_ms += 5;
        assert_eq!(world.edit(&mut ann, conversation, message, "first"), Reply::Done);
        assert_eq!(world.applied.happened[0].audience, Audience::Accounts(vec![ann.account, bob.account]));
        assert!(!world.holds("frist"));
        let shown = world.shown(bob.account, conversation, message).unwrap().event;
        let last = world.everything(bob.account).pop().unwrap();
        let EventBody::MessageSent { edited, .. } = &shown.body else { panic!("{shown:?}") };
        assert_eq!(*edited, Some(Edited { at_ms: world.time_ms, notice: last.id }));
        assert_eq!((shown.time_ms, text(&shown)), (world.time_ms - 5, "first".to_owned()));
        let told =
            EventBody::MessageEdited { by: ann.account, message, body: "first".to_owned(), mentions: Vec::new() };
        assert_eq!(last.body, told);
    }

    #[test]
    fn one_event_tells_of_all_edits_with_the_text_of_the_moment() {
        let mut world = World::new();
        let (mut ann, bob) = (world.register("ann"), world.register("bob"));
        let (conversation, message) = world.send(&mut ann, "bob", "zero");
        for text in ["one", "two", "three"] {
            world.edit(&mut ann, conversation, message, text);
        }
        let edits: Vec<_> = world
            .everything(bob.account)
            .into_iter()
            .filter_map(|event| match event.body {
                EventBody::MessageEdited { body, .. } => Some(body),
                _ => None,
            })
            .collect();
        assert_eq!(edits, ["three"]);
        assert_eq!(world.edit(&mut ann, conversation, message, "three"), Reply::Done);
        assert!(world.applied.happened.is_empty());
        assert_eq!(world.unread(bob.account, conversation), 1);
    }

    #[test]
    fn the_text_of_a_file_may_go_and_no_other() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let file = world.upload(&ann, 1, "plan.txt", b"words");
        let (conversation, message) = sent(&world.write(&mut ann, uploads::send_files("bob", "for @bob", &[file])));
        let remove = |message| Operation::RemoveText { conversation, message };
        let reply = world.write(&mut bob, remove(message));
        assert!(matches!(refused(&reply), Rejection::Forbidden(_)));
        let (_, plain) = world.send(&mut ann, "bob", "plain");
        let reply = world.write(&mut ann, remove(plain));
        assert!(matches!(refused(&reply), Rejection::Invalid(_)));
        let reply = world.edit(&mut ann, conversation, message, "");
        assert!(matches!(refused(&reply), Rejection::Invalid(_)), "as it always was");

        assert_eq!(world.write(&mut ann, remove(message)), Reply::Done);
        let shown = world.shown(bob.account, conversation, message).unwrap().event;
        let EventBody::MessageSent { body, mentions, edited, attachments, .. } = &shown.body else {
            panic!("{shown:?}")
        };
        assert_eq!(
            (body.as_str(), mentions.len(), edited.is_some(), attachments.as_deref().map_or(0, <[_]>::len)),
            ("", 0, true, 1)
        );
        let told = EventBody::MessageEdited { by: ann.account, message, body: String::new(), mentions: Vec::new() };
        assert_eq!(world.everything(bob.account).pop().unwrap().body, told);
        assert_eq!(world.edit(&mut ann, conversation, message, "again"), Reply::Done);
    }

    #[test]
    fn what_is_deleted_or_hidden_is_told_of_no_more() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, message) = world.send(&mut ann, "bob", "zero");
        world.edit(&mut ann, conversation, message, "quince");
        let edits = |world: &World, reader| {
            let told = world.everything(reader);
            told.iter().filter(|event| matches!(event.body, EventBody::MessageEdited { .. })).count()
        };
        assert_eq!((edits(&world, ann.account), edits(&world, bob.account)), (1, 1));
        world.delete(&mut bob, conversation, &[message], Me);
        assert_eq!((edits(&world, ann.account), edits(&world, bob.account)), (1, 0));
        world.delete(&mut ann, conversation, &[message], Everyone);
        assert_eq!(edits(&world, ann.account), 0);
        assert!(!world.holds("quince"));
        let reply = world.edit(&mut ann, conversation, message, "again");
        assert_eq!(refused(&reply), Rejection::MessageDeleted(message));
    }

    #[test]
    fn only_the_author_edits_and_only_with_a_text() {
        let mut world = World::new();
        let (mut ann, mut bob, mut eve) = (world.register("ann"), world.register("bob"), world.register("eve"));
        let (conversation, message) = world.send(&mut ann, "bob", "zero");
        let reply = world.edit(&mut bob, conversation, message, "mine");
        assert!(matches!(refused(&reply), Rejection::Forbidden(_)));
        let reply = world.edit(&mut eve, conversation, message, "mine");
        assert_eq!(refused(&reply), Rejection::UnknownConversation);
        let reply = world.edit(&mut ann, conversation, EventId(5), "mine");
        assert_eq!(refused(&reply), Rejection::UnknownMessage(EventId(5)));
        for text in [" ", "a\0", &"x".repeat(16385)] {
            let reply = world.edit(&mut ann, conversation, message, text);
            assert!(matches!(refused(&reply), Rejection::Invalid(_)));
        }
        world.delete(&mut ann, conversation, &[message], Me);
        let reply = world.edit(&mut ann, conversation, message, "unseen");
        assert_eq!(refused(&reply), Rejection::UnknownMessage(message));
        assert_eq!(text(&world.shown(bob.account, conversation, message).unwrap().event), "zero");
    }
}
