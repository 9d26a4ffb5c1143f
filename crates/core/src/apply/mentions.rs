//! Mentions: whom a text names, and who has not read that yet.
//!
//! A mention is of an account that is in the conversation when the text is written. Its unread mentions are numbers of
//! messages in its own membership: one write each, at most [`MENTIONS`] a message, and none for a text without `@`.

use super::{Context, Outcome};
use crate::{
    bounds::MENTIONS,
    hidden::Hidden,
    ids::{AccountId, ConversationId, EventId},
    key::Key,
    mention,
    record::{MembershipRecord, NameRecord},
    store::StoreError,
};

/// The accounts in the conversation that a text mentions, in its order.
pub(super) fn of(context: &Context<'_>, conversation: ConversationId, body: &str) -> Outcome<Vec<AccountId>> {
    let mut accounts = Vec::new();
    for name in mention::names(context.mentions, body) {
        if accounts.len() == MENTIONS {
            break;
        }
        let Some(NameRecord { account, deleted: false, .. }) = context.get::<NameRecord>(Key::Name(&name))? else {
            continue;
        };
        let membership = context.get::<MembershipRecord>(Key::Membership(account, conversation))?;
        if membership.is_some_and(|membership| membership.is_in()) {
            accounts.push(account);
        }
    }
    Ok(accounts)
}

/// A message that mentions somebody, or did.
pub(super) struct Mentioning {
    pub(super) conversation: ConversationId,
    pub(super) message: EventId,
    pub(super) number: u64,
    pub(super) author: AccountId,
}

/// The message's text named `before`, and now names `after`: counts it as unread with those who are new and may see it,
/// and no more with those who are not named any more. Nobody is told of what they wrote themselves.
pub(super) fn change(
    context: &mut Context<'_>,
    of: &Mentioning,
    before: &[AccountId],
    after: &[AccountId],
) -> Result<(), StoreError> {
    let others = |account: &&AccountId| **account != of.author;
    for account in after.iter().filter(others).filter(|account| !before.contains(account)) {
        let key = Key::Membership(*account, of.conversation);
        let mut membership: MembershipRecord = context.require(key)?;
        let hidden = Hidden { account: *account, conversation: of.conversation };
        let sees = membership.covers(of.message) && !(membership.hides && hidden.holds(context.store, of.message)?);
        if sees && membership.add_mention(of.number) {
            context.put(key, &membership);
        }
    }
    for account in before.iter().filter(others).filter(|account| !after.contains(account)) {
        let key = Key::Membership(*account, of.conversation);
        // Gone with its account, perhaps.
        if let Some(mut membership) = context.get::<MembershipRecord>(key)?
            && membership.remove_mention(of.number)
        {
            context.put(key, &membership);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        AccountId, ConversationId, DeleteScope, EventBody, EventId, MentionRule, Operation, Rejection,
        bounds::UNREAD_MENTIONS,
        query,
        world::{World, refused, reply_in, send_in, send_to, sent},
    };

    fn mentions(world: &World, reader: AccountId, conversation: ConversationId) -> u64 {
        query::conversation(&world.store, reader, conversation).unwrap().unwrap().unread_mentions
    }

    #[test]
    fn those_in_the_conversation_are_counted_until_they_read() {
        let mut world = World::new();
        let (mut ann, mut bob, _eve) = (world.register("ann"), world.register("bob"), world.register("eve"));
        let (conversation, one) = world.send(&mut ann, "bob", "@BOB @eve @ann: tea?");
        world.send(&mut ann, "bob", "nothing");
        let (_, two) = world.send(&mut ann, "bob", "@bob?");
        assert_eq!(mentions(&world, bob.account, conversation), 2);
        assert_eq!(mentions(&world, ann.account, conversation), 0, "nobody is told of what they wrote");
        let shown = world.shown(bob.account, conversation, one).unwrap().event.body;
        let EventBody::MessageSent { mentions: named, .. } = shown else { panic!("{shown:?}") };
        assert_eq!(named, [bob.account, ann.account]);
        world.mark_read(&mut bob, conversation, one);
        assert_eq!(mentions(&world, bob.account, conversation), 1);
        world.mark_read(&mut bob, conversation, two);
        assert_eq!(mentions(&world, bob.account, conversation), 0);
    }

    #[test]
    fn edits_and_deletions_change_who_is_mentioned() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "tea?");
        world.edit(&mut ann, conversation, one, "@bob tea?");
        assert_eq!(mentions(&world, bob.account, conversation), 1);
        world.edit(&mut ann, conversation, one, "@bob, tea?");
        assert_eq!(mentions(&world, bob.account, conversation), 1);
        world.edit(&mut ann, conversation, one, "tea?");
        assert_eq!(mentions(&world, bob.account, conversation), 0);
        let (_, two) = world.send(&mut ann, "bob", "@bob");
        let (_, three) = world.send(&mut ann, "bob", "@bob!");
        world.delete(&mut ann, conversation, &[two], DeleteScope::Everyone);
        assert_eq!(mentions(&world, bob.account, conversation), 1);
        world.delete(&mut bob, conversation, &[three], DeleteScope::Me);
        assert_eq!(mentions(&world, bob.account, conversation), 0);
        world.edit(&mut ann, conversation, three, "again, @bob");
        assert_eq!(mentions(&world, bob.account, conversation), 0, "what is hidden does not come back");
        // What was read already is not unread again.
        let (_, four) = world.send(&mut ann, "bob", "read");
        world.mark_read(&mut bob, conversation, four);
        world.edit(&mut ann, conversation, four, "read, @bob");
        assert_eq!(mentions(&world, bob.account, conversation), 0);
    }

    /// A log may be applied again by a newer program, on one server and not on another.
    #[test]
    fn an_entry_of_before_is_read_by_the_rule_of_before() {
        let mut world = World::new();
        let (mut ann, bob) = (world.register("ann"), world.register("bob"));
        let named = |world: &World, (conversation, message)| {
            let shown = world.shown(bob.account, conversation, message).unwrap().event.body;
            let EventBody::MessageSent { mentions, .. } = shown else { panic!("{shown:?}") };
            mentions
        };
        let send = || send_to("bob", "_@bob_");
        let now = sent(&world.run_under(MentionRule::Slanted, &ann.next(send())));
        assert_eq!(named(&world, now), [bob.account]);
        let before = sent(&world.run_under(MentionRule::Plain, &ann.next(send())));
        assert_eq!(named(&world, before), []);
        let (conversation, message) = before;
        let edit = |body: &str| Operation::EditMessage { conversation, message, body: body.to_owned() };
        world.run_under(MentionRule::Plain, &ann.next(edit("_@bob_!")));
        assert_eq!(named(&world, before), []);
        world.run_under(MentionRule::Slanted, &ann.next(edit("_@bob_?")));
        assert_eq!(named(&world, before), [bob.account]);
    }

    #[test]
    fn they_are_counted_up_to_a_bound() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let sent: Vec<_> = (0..UNREAD_MENTIONS + 5).map(|_| world.send(&mut ann, "bob", "@bob")).collect();
        let conversation = sent[0].0;
        assert_eq!(mentions(&world, bob.account, conversation), UNREAD_MENTIONS as u64);
        world.mark_read(&mut bob, conversation, sent[sent.len() - 3].1);
        assert_eq!(mentions(&world, bob.account, conversation), 2);
    }

    #[test]
    fn a_text_without_mention_costs_no_more_than_before() {
        let mut world = World::new();
        let (mut ann, _bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "one");
        for (operation, records) in [
            (send_to("bob", "two"), 3),
            (send_in(conversation, "at home@work"), 3),
            (reply_in(conversation, one, "three"), 3),
            (send_to("bob", "@bob"), 4),
        ] {
            world.write(&mut ann, operation);
            assert_eq!(world.written().len(), records);
        }
    }

    #[test]
    fn answers_name_a_message_that_is_there() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "one");
        world.write(&mut bob, reply_in(conversation, one, "two"));
        let EventBody::MessageSent { reply_to, .. } = world.everything(ann.account).pop().unwrap().body else {
            panic!("no message")
        };
        assert_eq!(reply_to, Some(one));
        let (elsewhere, other) = world.send(&mut bob, "bob", "note");
        let mut refuse = |operation| refused(&world.write(&mut bob, operation));
        assert_eq!(refuse(reply_in(conversation, other, "x")), Rejection::UnknownMessage(other));
        assert_eq!(refuse(reply_in(elsewhere, EventId(5), "x")), Rejection::UnknownMessage(EventId(5)));
        world.delete(&mut bob, conversation, &[one], DeleteScope::Me);
        let reply = world.write(&mut bob, reply_in(conversation, one, "x"));
        assert_eq!(refused(&reply), Rejection::UnknownMessage(one));
        world.delete(&mut ann, conversation, &[one], DeleteScope::Everyone);
        let reply = world.write(&mut ann, reply_in(conversation, one, "x"));
        assert_eq!(refused(&reply), Rejection::MessageDeleted(one));
    }

    #[test]
    fn an_answer_opens_no_conversation() {
        let mut world = World::new();
        let (mut ann, _bob) = (world.register("ann"), world.register("bob"));
        let (_, own) = world.send(&mut ann, "ann", "note");
        let mut operation = send_to("bob", "x");
        if let crate::Operation::SendMessage { reply_to, .. } = &mut operation {
            *reply_to = Some(own);
        }
        let reply = world.write(&mut ann, operation);
        assert_eq!(refused(&reply), Rejection::UnknownMessage(own));
        assert_eq!(world.written().len(), 1, "nothing but the window");
    }
}
