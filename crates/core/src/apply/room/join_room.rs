//! `JoinRoom`: anybody into a public room, who is invited into a private one.
//!
//! What is said from now on comes to the new member's devices; in a public room what was said before, while it was public,
//! may be looked up as well. Nothing of that is unread.

use super::{count_in, end_invitation, find};
use crate::{
    apply::{Audience, Context, Outcome},
    command::Recipient,
    event::EventBody,
    ids::AccountId,
    key::Key,
    record::{ConversationRecord, InvitationRecord, MemberRecord, MembershipRecord},
    reply::{Rejection, Reply},
    text,
};

pub(crate) fn join_room(context: &mut Context<'_>, account: AccountId, room: &Recipient) -> Outcome<Reply> {
    let (id, mut record) = find(context, room)?;
    let membership = context.get::<MembershipRecord>(Key::Membership(account, id))?;
    let mut membership = membership.unwrap_or_else(MembershipRecord::outside);
    if membership.is_in_room() {
        return Ok(Reply::Done);
    }
    let invitation = context.get::<InvitationRecord>(Key::Invitation(account, id))?;
    if !record.is_public() && invitation.is_none() {
        return Err(not_invited(room).into());
    }
    count_in(context, account, &mut record)?;
    let invited_by = invitation.as_ref().map(|invitation| invitation.by);
    let mut conversation: ConversationRecord = context.require(Key::Conversation(id))?;
    let end = conversation.end();
    let told = EventBody::MemberJoined { account, invited_by };
    let event = context.tell_audience(id, &mut conversation, told, Audience::MembersWith(account));
    membership.join(event.position(), record.public_since.unwrap_or(event.position()), end);
    context.put(Key::Membership(account, id), &membership);
    context.put(Key::Member(id, account), &MemberRecord { joined_at_ms: context.time_ms(), invited_by });
    context.put(Key::Room(id), &record);
    if let Some(invitation) = invitation {
        end_invitation(context, account, id, &invitation);
    }
    Ok(Reply::Done)
}

/// To somebody who may not join a private room.
fn not_invited(room: &Recipient) -> Rejection {
    match room {
        Recipient::Room(name) => Rejection::NotInvited(text::quoted_name(text::room_name(name))),
        Recipient::Conversation(_) | Recipient::User(_) => Rejection::UnknownConversation,
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Operation, Recipient, Rejection, Reply,
        query::{self, Page},
        world::{Device, World, created, refused, say},
    };

    fn join(name: &str) -> Operation {
        Operation::JoinRoom { room: Recipient::Room(name.to_owned()) }
    }

    fn set_up(public: bool) -> (World, Device, Device, crate::ConversationId) {
        let mut world = World::new();
        let (mut ann, bob) = (world.register("ann"), world.register("bob"));
        let create = Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public };
        let room = created(&world.write(&mut ann, create)).0;
        world.write(&mut ann, say("tea", "before"));
        (world, ann, bob, room)
    }

    #[test]
    fn what_was_there_before_may_be_looked_up_in_a_public_room_and_is_no_news() {
        let (mut world, mut ann, mut bob, room) = set_up(true);
        assert_eq!(world.write(&mut bob, join("#TEA")), Reply::Done);
        world.write(&mut ann, say("tea", "after"));
        assert_eq!(world.texts(bob.account, room, Page::Before(None), 9), ["before", "after"]);
        assert_eq!(world.delivered(bob.account, room), ["after"]);
        assert_eq!(world.unread(bob.account, room), 1);
        assert_eq!(world.write(&mut bob, join("tea")), Reply::Done);
        assert!(world.applied.happened.is_empty());
    }

    #[test]
    fn a_private_room_is_for_the_invited_and_begins_with_them() {
        let (mut world, mut ann, mut bob, room) = set_up(false);
        assert_eq!(refused(&world.write(&mut bob, join("tea"))), Rejection::NotInvited("tea".to_owned()));
        let by_id = Operation::JoinRoom { room: Recipient::Conversation(room) };
        assert_eq!(refused(&world.write(&mut bob, by_id)), Rejection::UnknownConversation);
        let invite = Operation::InviteToRoom { room: Recipient::Room("tea".to_owned()), user: "Bob".to_owned() };
        world.write(&mut ann, invite);
        assert_eq!(world.write(&mut bob, join("tea")), Reply::Done);
        assert!(query::invitations(&world.store, bob.account).unwrap().is_empty());
        world.write(&mut ann, say("tea", "after"));
        assert_eq!(world.texts(bob.account, room, Page::Before(None), 9), ["after"]);
        assert_eq!(world.unread(bob.account, room), 1);
    }

    #[test]
    fn rooms_and_people_are_told_apart() {
        let (mut world, _, mut bob, _) = set_up(true);
        assert_eq!(refused(&world.write(&mut bob, join("coffee"))), Rejection::UnknownRoom("coffee".to_owned()));
        let person = Operation::JoinRoom { room: Recipient::User("ann".to_owned()) };
        assert!(matches!(refused(&world.write(&mut bob, person)), Rejection::Invalid(_)));
    }
}
