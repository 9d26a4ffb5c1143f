//! `InviteToRoom`: somebody may join. Any member invites to a public room, moderators and owners to a private one.

use super::{find_own, person, require_role};
use crate::{
    apply::{Context, Outcome},
    bounds::INVITATIONS_PER_ACCOUNT,
    command::{Recipient, Role},
    event::EventBody,
    ids::{AccountId, ConversationId},
    key::{Key, Range},
    record::{InvitationRecord, MembershipRecord, RoomRecord},
    reply::{Rejection, Reply},
    scan,
    store::StoreError,
};

pub(crate) fn invite_to_room(context: &mut Context<'_>, by: AccountId, room: &Recipient, user: &str) -> Outcome<Reply> {
    let (id, record, role) = find_own(context, by, room)?;
    if !record.is_public() {
        require_role(role, Role::Moderator, "invite to it while it is private")?;
    }
    let (account, name) = person(context, user)?;
    let membership = context.get::<MembershipRecord>(Key::Membership(account, id))?;
    let is_in = membership.is_some_and(|membership| membership.is_in_room());
    if is_in || context.get::<InvitationRecord>(Key::Invitation(account, id))?.is_some() {
        return Ok(Reply::Done);
    }
    if !has_room(context, account)? {
        let what = format!("{name} has {INVITATIONS_PER_ACCOUNT} open invitations, and cannot have more");
        return Err(Rejection::LimitReached(what).into());
    }
    let told = EventBody::Invited { conversation: id, room: record.name, by };
    let event = context.tell_account(account, told);
    context.put(Key::Invitation(account, id), &InvitationRecord { by, at_ms: context.time_ms(), event });
    Ok(Reply::Done)
}

/// Whether there may be one more invitation. Those to rooms that have ended are nothing to anybody: where there are too
/// many, they go first.
fn has_room(context: &mut Context<'_>, account: AccountId) -> Result<bool, StoreError> {
    let open = scan::collect::<InvitationRecord>(context.store, &Range::invitations(account), INVITATIONS_PER_ACCOUNT)?;
    if open.len() < INVITATIONS_PER_ACCOUNT {
        return Ok(true);
    }
    let mut freed = false;
    for (id, invitation) in open {
        let id = ConversationId(id);
        if context.get::<RoomRecord>(Key::Room(id))?.is_none() {
            context.delete(Key::Invitation(account, id));
            context.delete(Key::Mailbox(account, invitation.event));
            freed = true;
        }
    }
    Ok(freed)
}

#[cfg(test)]
mod tests {
    use crate::{
        EventBody, Operation, Recipient, Rejection, Reply,
        bounds::INVITATIONS_PER_ACCOUNT,
        query,
        world::{Device, World, created, refused},
    };

    fn create(name: &str, public: bool) -> Operation {
        Operation::CreateRoom { name: name.to_owned(), topic: String::new(), public }
    }

    fn invite(room: &str, user: &str) -> Operation {
        Operation::InviteToRoom { room: Recipient::Room(room.to_owned()), user: user.to_owned() }
    }

    fn join(room: &str) -> Operation {
        Operation::JoinRoom { room: Recipient::Room(room.to_owned()) }
    }

    fn three() -> (World, Device, Device, Device) {
        let mut world = World::new();
        let (ann, bob, cy) = (world.register("ann"), world.register("bob"), world.register("cy"));
        (world, ann, bob, cy)
    }

    #[test]
    fn an_invitation_is_told_once_and_shown_until_it_ends() {
        let (mut world, mut ann, bob, _) = three();
        let room = created(&world.write(&mut ann, create("tea", false))).0;
        for told in [1, 0] {
            assert_eq!(world.write(&mut ann, invite("tea", "BOB")), Reply::Done);
            assert_eq!(world.applied.happened.len(), told);
        }
        let told = EventBody::Invited { conversation: room, room: "tea".to_owned(), by: ann.account };
        assert_eq!(world.everything(bob.account).last().unwrap().body, told);
        let open = query::invitations(&world.store, bob.account).unwrap();
        assert_eq!((open.len(), open[0].by, open[0].name.as_str()), (1, ann.account, "tea"));
    }

    #[test]
    fn members_invite_to_public_rooms_only() {
        let (mut world, mut ann, mut bob, _) = three();
        created(&world.write(&mut ann, create("open", true)));
        created(&world.write(&mut ann, create("closed", false)));
        world.write(&mut ann, invite("closed", "bob"));
        for room in ["open", "closed"] {
            assert_eq!(world.write(&mut bob, join(room)), Reply::Done);
        }
        assert_eq!(world.write(&mut bob, invite("open", "cy")), Reply::Done);
        assert!(matches!(refused(&world.write(&mut bob, invite("closed", "cy"))), Rejection::Forbidden(_)));
        let nobody = refused(&world.write(&mut ann, invite("closed", "nobody")));
        assert_eq!(nobody, Rejection::UnknownUser("nobody".to_owned()));
    }

    #[test]
    fn strangers_learn_only_that_a_name_is_taken() {
        let (mut world, mut ann, mut bob, _) = three();
        let room = created(&world.write(&mut ann, create("tea", false))).0;
        let by_name = refused(&world.write(&mut bob, invite("tea", "cy")));
        assert_eq!(by_name, Rejection::NotInRoom("you are not in #tea".to_owned()));
        let by_id = Operation::InviteToRoom { room: Recipient::Conversation(room), user: "cy".to_owned() };
        assert_eq!(refused(&world.write(&mut bob, by_id)), Rejection::UnknownConversation);
    }

    #[test]
    fn a_full_list_makes_room_only_for_rooms_that_are() {
        let (mut world, mut ann, bob, mut cy) = three();
        for number in 0..INVITATIONS_PER_ACCOUNT {
            created(&world.write(&mut ann, create(&format!("r{number}"), true)));
            world.write(&mut ann, invite(&format!("r{number}"), "bob"));
        }
        created(&world.write(&mut cy, create("more", true)));
        assert!(matches!(refused(&world.write(&mut cy, invite("more", "bob"))), Rejection::LimitReached(_)));
        world.write(&mut ann, Operation::LeaveRoom { room: Recipient::Room("r5".to_owned()) });
        assert_eq!(world.write(&mut cy, invite("more", "bob")), Reply::Done);
        let open = query::invitations(&world.store, bob.account).unwrap();
        assert_eq!(open.len(), INVITATIONS_PER_ACCOUNT);
    }
}
