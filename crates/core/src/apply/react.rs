//! `React`: a reaction to a message is added, or taken back.
//!
//! One record says that an account reacts, one a message counts. A reaction that was taken back keeps its record, under
//! another key, for the event that told of it: the next one takes its place, so that changing one's mind for ever does
//! not make the state grow. What is so already tells nobody.

use std::ops::ControlFlow;

use super::{Context, Outcome, target};
use crate::{
    event::EventBody,
    ids::{AccountId, ConversationId, EventId},
    key::{Key, Range},
    record::{self, ConversationRecord, ReactionRecord, ReactionsRecord},
    reply::Reply,
    scan,
    store::{Direction, StoreError},
    text,
};

pub(super) fn react(
    context: &mut Context<'_>,
    account: AccountId,
    id: ConversationId,
    message: EventId,
    emoji: &str,
    add: bool,
) -> Outcome<Reply> {
    text::check_emoji(emoji)?;
    target::find(context, account, id, message)?;
    let (stands, withdrawn) =
        (Key::Reaction(id, message, emoji, account), Key::WithdrawnReaction(id, message, emoji, account));
    let standing = context.get::<ReactionRecord>(stands)?;
    if standing.is_some() == add {
        return Ok(Reply::Done);
    }
    let mut reactions = context.get::<ReactionsRecord>(Key::Reactions(id, message))?.unwrap_or_default();
    let count = if add { reactions.add(emoji)? } else { reactions.remove(emoji) };
    let (from, to) = if add { (withdrawn, stands) } else { (stands, withdrawn) };
    if let Some(last) = context.get::<ReactionRecord>(from)? {
        context.delete(Key::Notice(id, last.notice));
        context.delete(from);
    }
    // Also with nothing left in it: that it is there says that there is something to remove with the message.
    context.put(Key::Reactions(id, message), &reactions);
    let told = EventBody::ReactionChanged { account, message, emoji: emoji.to_owned(), added: add, count };
    let mut conversation: ConversationRecord = context.require(Key::Conversation(id))?;
    let notice = context.tell_conversation(id, &mut conversation, told);
    context.put(to, &ReactionRecord { notice });
    Ok(Reply::Done)
}

/// Removes the reactions to a message that was deleted, and the events that told of them: as many records as are left
/// of a bound. Those beyond it are void, because nothing shows reactions to a deleted message.
pub(super) fn remove_all(
    context: &mut Context<'_>,
    id: ConversationId,
    message: EventId,
    left: &mut usize,
) -> Result<(), StoreError> {
    if context.get::<ReactionsRecord>(Key::Reactions(id, message))?.is_none() {
        return Ok(());
    }
    context.delete(Key::Reactions(id, message));
    let mut found = Vec::new();
    scan::scan(context.store, &Range::of_reactions(id, message), Direction::Ascending, |key, value| {
        if found.len() == *left {
            return Ok(ControlFlow::Break(()));
        }
        found.push((key.to_vec(), record::decode::<ReactionRecord>(value)?.notice));
        Ok(ControlFlow::Continue(()))
    })?;
    *left -= found.len();
    for (key, notice) in found {
        context.store.delete(key);
        context.delete(Key::Notice(id, notice));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        DeleteScope::{Everyone, Me},
        EventBody, EventId, Rejection, Reply,
        apply::Audience,
        bounds::EMOJI_PER_MESSAGE,
        query::{self, ReactionInfo},
        world::{World, refused},
    };

    #[test]
    fn reactions_are_counted_and_listed() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, message) = world.send(&mut ann, "bob", "tea?");
        assert_eq!(world.react(&mut bob, conversation, message, "👍", true), Reply::Done);
        assert_eq!(world.applied.happened[0].audience, Audience::Accounts(vec![ann.account, bob.account]));
        world.react(&mut ann, conversation, message, "👍", true);
        world.react(&mut ann, conversation, message, "🎉", true);
        let of = |emoji: &str, count, own| ReactionInfo { emoji: emoji.to_owned(), count, own };
        let shown = |reader| world.shown(reader, conversation, message).unwrap().reactions;
        assert_eq!(shown(bob.account), [of("👍", 2, true), of("🎉", 1, false)]);
        assert_eq!(shown(ann.account), [of("👍", 2, true), of("🎉", 1, true)]);
        let by = |emoji| query::reactions(&world.store, bob.account, conversation, message, emoji, None, 9).unwrap();
        assert_eq!(by(None).unwrap().items.len(), 3);
        assert_eq!(by(Some("🎉")).unwrap().items[0].account, ann.account);
        let told = world.everything(bob.account).pop().unwrap().body;
        let (account, emoji) = (ann.account, "🎉".to_owned());
        assert_eq!(told, EventBody::ReactionChanged { account, message, emoji, added: true, count: 1 });
    }

    #[test]
    fn changing_ones_mind_for_ever_takes_no_room() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, message) = world.send(&mut ann, "bob", "tea?");
        let mut sizes = Vec::new();
        for _ in 0..20 {
            for add in [true, false] {
                world.react(&mut bob, conversation, message, "👍", add);
                sizes.push(world.store.entries.len());
                world.react(&mut bob, conversation, message, "👍", add);
                assert!(world.applied.happened.is_empty(), "what is so already tells nobody");
            }
        }
        assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
        assert!(world.shown(ann.account, conversation, message).unwrap().reactions.is_empty());
        let told = world.everything(ann.account);
        let told: Vec<_> =
            told.iter().filter(|event| matches!(event.body, EventBody::ReactionChanged { .. })).collect();
        assert!(
            matches!(told[..], [event] if matches!(event.body, EventBody::ReactionChanged { added: false, count: 0, .. }))
        );
    }

    #[test]
    fn they_go_with_their_message() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, message) = world.send(&mut ann, "bob", "tea?");
        world.react(&mut bob, conversation, message, "plum", true);
        world.react(&mut ann, conversation, message, "pear", true);
        world.react(&mut ann, conversation, message, "pear", false);
        world.delete(&mut bob, conversation, &[message], Me);
        let told = |world: &World, reader| {
            let told = world.everything(reader);
            told.iter().filter(|event| matches!(event.body, EventBody::ReactionChanged { .. })).count()
        };
        assert_eq!((told(&world, ann.account), told(&world, bob.account)), (2, 0));
        world.delete(&mut ann, conversation, &[message], Everyone);
        assert_eq!(told(&world, ann.account), 0);
        assert!(!world.holds("plum") && !world.holds("pear"));
        assert!(world.shown(ann.account, conversation, message).unwrap().reactions.is_empty());
        let reply = world.react(&mut ann, conversation, message, "pear", true);
        assert_eq!(refused(&reply), Rejection::MessageDeleted(message));
    }

    #[test]
    fn bounds_and_strangers() {
        let mut world = World::new();
        let (mut ann, mut bob, mut eve) = (world.register("ann"), world.register("bob"), world.register("eve"));
        let (conversation, message) = world.send(&mut ann, "bob", "tea?");
        for number in 0..EMOJI_PER_MESSAGE {
            assert_eq!(world.react(&mut ann, conversation, message, &format!("{number}"), true), Reply::Done);
        }
        let reply = world.react(&mut bob, conversation, message, "👍", true);
        assert_eq!(refused(&reply), Rejection::TooManyReactions(EMOJI_PER_MESSAGE as u64));
        assert_eq!(world.react(&mut bob, conversation, message, "7", true), Reply::Done);
        assert_eq!(world.react(&mut bob, conversation, message, "never", false), Reply::Done);
        for emoji in ["", "a b", &"x".repeat(33)] {
            let reply = world.react(&mut ann, conversation, message, emoji, true);
            assert!(matches!(refused(&reply), Rejection::Invalid(_)));
        }
        let reply = world.react(&mut eve, conversation, message, "👍", true);
        assert_eq!(refused(&reply), Rejection::UnknownConversation);
        let reply = world.react(&mut ann, conversation, EventId(5), "👍", true);
        assert_eq!(refused(&reply), Rejection::UnknownMessage(EventId(5)));
        let unseen = query::reactions(&world.store, eve.account, conversation, message, None, None, 9).unwrap();
        assert_eq!(unseen, Err(Rejection::UnknownConversation));
    }
}
