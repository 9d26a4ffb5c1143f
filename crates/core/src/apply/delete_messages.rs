//! `DeleteMessages`: for oneself, or, one's own and what a webhook posted, for everyone. All of them or none.
//!
//! Deleted for everyone, a message's text is overwritten, and with it go its edits, reactions and mentions; a tombstone
//! keeps its place and numbers, so that counts (unread ones too) do not change. What is deleted already is fine, and
//! tells nobody again. What was attached goes with the text: out of reach at once, the rest by and by. Who has left a room
//! changes nothing there for the others.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Context, Outcome, attachment, bot,
    mentions::{self, Mentioning},
    react,
};
use crate::{
    bounds::{DELETE_IDS, REACTIONS_REMOVED},
    command::{DeleteScope, Role},
    event::EventBody,
    hidden::Hidden,
    ids::{AccountId, ConversationId, EventId},
    key::Key,
    record::{AccountRecord, Attendance, ConversationRecord, EventRecord, MembershipRecord, RoomRecord},
    reply::{Rejection, Reply},
    store::StoreError,
};

pub(super) fn delete_messages(
    context: &mut Context<'_>,
    account: AccountId,
    id: ConversationId,
    messages: &[EventId],
    scope: DeleteScope,
) -> Outcome<Reply> {
    if messages.is_empty() || messages.len() > DELETE_IDS {
        let what = format!("1 to {DELETE_IDS} messages can be deleted at once, not {}", messages.len());
        return Err(Rejection::Invalid(what).into());
    }
    let membership = context.get::<MembershipRecord>(Key::Membership(account, id))?;
    let membership = membership.ok_or(Rejection::UnknownConversation)?;
    let mut found = Vec::new();
    for message in messages.iter().copied().collect::<BTreeSet<_>>() {
        let unknown = || Rejection::UnknownMessage(message);
        let record = context.get::<EventRecord>(Key::Message(id, message))?.filter(|_| membership.covers(message));
        found.push((message, record.ok_or_else(unknown)?));
    }
    match scope {
        DeleteScope::Me => Ok(hide(context, account, id, membership, &found)?),
        DeleteScope::Everyone if matches!(membership.attendance, Some(Attendance::Left { .. })) => {
            Err(Rejection::NotInRoom("you are not in that room any more".to_owned()).into())
        }
        DeleteScope::Everyone => erase(context, account, id, found),
    }
}

fn hide(
    context: &mut Context<'_>,
    account: AccountId,
    id: ConversationId,
    mut membership: MembershipRecord,
    found: &[(EventId, EventRecord)],
) -> Result<Reply, StoreError> {
    let hidden = Hidden { account, conversation: id };
    let mut fresh = Vec::new();
    let mut mentioned = false;
    for (message, record) in found {
        let (_, number) = author_and_number(record)?;
        if !hidden.holds(context.store, *message)? {
            hidden.hide(context.store, *message, number)?;
            mentioned |= membership.remove_mention(number);
            fresh.push(*message);
        }
    }
    if fresh.is_empty() {
        return Ok(Reply::Done);
    }
    if mentioned || !membership.hides {
        membership.hides = true;
        context.put(Key::Membership(account, id), &membership);
    }
    context.tell_account(account, EventBody::MessagesHidden { conversation: id, messages: fresh });
    Ok(Reply::Done)
}

fn erase(
    context: &mut Context<'_>,
    by: AccountId,
    id: ConversationId,
    found: Vec<(EventId, EventRecord)>,
) -> Outcome<Reply> {
    let mut retracts = BTreeMap::from([(by, true)]);
    for (message, record) in &found {
        let author = author_and_number(record)?.0;
        let may = match retracts.get(&author) {
            Some(may) => *may,
            None => may_retract(context, by, id, author)?,
        };
        retracts.insert(author, may);
        if !may {
            let what = format!("message {message} is somebody else's: only its author can delete it for everyone");
            return Err(Rejection::Forbidden(what).into());
        }
    }
    let mut fresh = Vec::new();
    let mut reactions = REACTIONS_REMOVED;
    for (message, mut record) in found {
        let author = author_and_number(&record)?.0;
        if let EventBody::MessageSent { body, number, deleted, edited, reply_to, mentions, attachments, .. } =
            &mut record.body
            && !*deleted
        {
            body.clear();
            *deleted = true;
            *reply_to = None;
            let of = Mentioning { conversation: id, message, number: *number, author };
            mentions::change(context, &of, &std::mem::take(mentions), &[])?;
            if let Some(edited) = edited.take() {
                context.delete(Key::Notice(id, edited.notice));
            }
            react::remove_all(context, id, message, &mut reactions)?;
            attachment::detach(context, author, attachments.take())?;
            context.put(Key::Message(id, message), &record);
            fresh.push(message);
        }
    }
    if !fresh.is_empty() {
        let mut conversation: ConversationRecord = context.require(Key::Conversation(id))?;
        context.tell_conversation(id, &mut conversation, EventBody::MessagesDeleted { by, messages: fresh });
    }
    Ok(Reply::Done)
}

/// What a webhook posted nobody could take back if only its author could: so its maker does, and the room's moderators and owners.
fn may_retract(
    context: &Context<'_>,
    by: AccountId,
    id: ConversationId,
    author: AccountId,
) -> Result<bool, StoreError> {
    let account: AccountRecord = context.require(Key::Account(author))?;
    let Some(maker) = bot::maker_of(context, author, &account)? else { return Ok(false) };
    let room = context.get::<RoomRecord>(Key::Room(id))?;
    Ok(maker == by || room.is_some_and(|room| room.role_of(by) >= Role::Moderator))
}

fn author_and_number(record: &EventRecord) -> Result<(AccountId, u64), StoreError> {
    match record.body {
        EventBody::MessageSent { author, number, .. } => Ok((author, number)),
        _ => Err(StoreError::Corrupt("another event among the messages".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        DeleteScope::{Everyone, Me},
        EventBody, EventId, Rejection, Reply,
        apply::Audience,
        query::Page,
        world::{World, refused},
    };

    #[test]
    fn for_everyone_the_text_is_gone_and_a_tombstone_stays() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "regrettable");
        world.send(&mut ann, "bob", "fine");
        assert_eq!(world.delete(&mut ann, conversation, &[one, one], Everyone), Reply::Done);
        assert_eq!(world.applied.happened[0].audience, Audience::Accounts(vec![ann.account, bob.account]));
        assert_eq!(world.texts(bob.account, conversation, Page::Before(None), 9), ["(deleted)", "fine"]);
        assert!(!world.store.entries.values().any(|value| String::from_utf8_lossy(value).contains("regrettable")));
        assert_eq!(world.unread(bob.account, conversation), 2);
        world.mark_read(&mut bob, conversation, one);
        assert_eq!(world.unread(bob.account, conversation), 1);
        let told = EventBody::MessagesDeleted { by: ann.account, messages: vec![one] };
        assert!(world.everything(bob.account).iter().any(|event| event.body == told));
        assert_eq!(world.delete(&mut ann, conversation, &[one], Everyone), Reply::Done);
        assert!(world.applied.happened.is_empty());
    }

    #[test]
    fn for_me_only_my_view_changes() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "one");
        let (_, two) = world.send(&mut ann, "bob", "two");
        assert_eq!(world.delete(&mut bob, conversation, &[two], Me), Reply::Done);
        assert_eq!(world.applied.happened[0].audience, Audience::Accounts(vec![bob.account]));
        assert_eq!(world.delete(&mut bob, conversation, &[two], Me), Reply::Done);
        assert!(world.applied.happened.is_empty());
        assert_eq!(world.texts(bob.account, conversation, Page::Before(None), 9), ["one"]);
        assert_eq!(world.texts(ann.account, conversation, Page::Before(None), 9), ["one", "two"]);
        assert_eq!(world.unread(bob.account, conversation), 2);
        assert!(!world.everything(bob.account).iter().any(|event| event.id == two));
        assert_eq!(world.delete(&mut bob, conversation, &[one, two], Me), Reply::Done);
        assert!(world.texts(bob.account, conversation, Page::Before(None), 9).is_empty());
    }

    #[test]
    fn all_or_none() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "one");
        let (_, theirs) = world.send(&mut bob, "ann", "theirs");
        let reply = world.delete(&mut ann, conversation, &[one, theirs], Everyone);
        assert!(matches!(refused(&reply), Rejection::Forbidden(_)));
        for scope in [Me, Everyone] {
            let reply = world.delete(&mut ann, conversation, &[one, EventId(5)], scope);
            assert_eq!(refused(&reply), Rejection::UnknownMessage(EventId(5)));
        }
        assert_eq!(world.texts(ann.account, conversation, Page::Before(None), 9), ["one", "theirs"]);
    }

    #[test]
    fn other_conversations_and_numbers_beyond_the_bound_are_refused() {
        let mut world = World::new();
        let (mut ann, mut eve) = (world.register("ann"), world.register("eve"));
        let (conversation, one) = world.send(&mut ann, "ann", "one");
        let (own, _) = world.send(&mut eve, "eve", "own");
        let reply = world.delete(&mut eve, conversation, &[one], Me);
        assert_eq!(refused(&reply), Rejection::UnknownConversation);
        let reply = world.delete(&mut eve, own, &[one], Me);
        assert_eq!(refused(&reply), Rejection::UnknownMessage(one));
        for messages in [vec![], vec![one; 101]] {
            let reply = world.delete(&mut ann, conversation, &messages, Me);
            assert!(matches!(refused(&reply), Rejection::Invalid(_)));
        }
    }
}
