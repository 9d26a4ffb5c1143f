//! `RemoveFromRoom`: moderators take members out, owners anybody but themselves. Who was only invited is invited no more.

use super::{end_invitation, find_own, person, require_role, take_out};
use crate::{
    apply::{Context, Outcome, webhook},
    command::{Recipient, Role},
    event::EventBody,
    ids::AccountId,
    key::Key,
    record::{InvitationRecord, MembershipRecord},
    reply::{Rejection, Reply},
};

pub(crate) fn remove_from_room(
    context: &mut Context<'_>,
    by: AccountId,
    room: &Recipient,
    user: &str,
) -> Outcome<Reply> {
    let (id, record, role) = find_own(context, by, room)?;
    let (account, name) = person(context, user)?;
    let membership = context.get::<MembershipRecord>(Key::Membership(account, id))?;
    if !membership.is_some_and(|membership| membership.is_in_room()) {
        let invitation = context.get::<InvitationRecord>(Key::Invitation(account, id))?;
        let invitation =
            invitation.ok_or_else(|| Rejection::NotInRoom(format!("{name} is not in #{}", record.name)))?;
        if invitation.by != by {
            require_role(role, Role::Moderator, "take back invitations of others")?;
        }
        end_invitation(context, account, id, &invitation);
        return Ok(Reply::Done);
    }
    if account == by {
        return Err(Rejection::Forbidden("nobody removes themselves: leave the room".to_owned()).into());
    }
    match record.role_of(account) {
        Role::Member => require_role(role, Role::Moderator, "remove members")?,
        Role::Moderator | Role::Owner => require_role(role, Role::Owner, "remove moderators and owners")?,
    }
    take_out(context, id, record, account, EventBody::MemberRemoved { account, by })?;
    // Or else whoever was removed would go on writing by them.
    webhook::delete_made_by(context, account, id)?;
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests {
    use crate::{
        EventBody, Operation, Recipient, Rejection, Reply, Role,
        apply::Audience,
        query,
        world::{Device, World, created, refused},
    };

    fn tea() -> Recipient {
        Recipient::Room("tea".to_owned())
    }

    fn remove(user: &str) -> Operation {
        Operation::RemoveFromRoom { room: tea(), user: user.to_owned() }
    }

    /// An owner, a moderator, a member.
    fn company() -> (World, [Device; 3]) {
        let mut world = World::new();
        let mut people = [world.register("ann"), world.register("bob"), world.register("cy")];
        let create = Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public: true };
        created(&world.write(&mut people[0], create));
        for person in &mut people[1..] {
            world.write(person, Operation::JoinRoom { room: tea() });
        }
        let role = Operation::SetRole { room: tea(), user: "bob".to_owned(), role: Role::Moderator };
        assert_eq!(world.write(&mut people[0], role), Reply::Done);
        (world, people)
    }

    #[test]
    fn who_is_removed_sees_that_and_no_more() {
        let (mut world, [mut ann, mut bob, cy]) = company();
        assert_eq!(world.write(&mut bob, remove("CY")), Reply::Done);
        assert_eq!(world.applied.happened[0].audience, Audience::MembersWithout(cy.account));
        let told = EventBody::MemberRemoved { account: cy.account, by: bob.account };
        assert_eq!(world.everything(cy.account).last().unwrap().body, told);
        let again = refused(&world.write(&mut bob, remove("cy")));
        assert_eq!(again, Rejection::NotInRoom("cy is not in #tea".to_owned()));
        assert_eq!(world.write(&mut ann, remove("bob")), Reply::Done);
    }

    #[test]
    fn roles_decide_who_removes_whom() {
        let (mut world, [mut ann, mut bob, mut cy]) = company();
        let mut forbidden = |who: &mut Device, whom: &str| {
            assert!(matches!(refused(&world.write(who, remove(whom))), Rejection::Forbidden(_)), "{whom}");
        };
        forbidden(&mut cy, "bob");
        forbidden(&mut bob, "ann");
        forbidden(&mut bob, "bob");
        forbidden(&mut ann, "ann");
    }

    #[test]
    fn an_invitation_is_taken_back() {
        let (mut world, [mut ann, mut bob, mut cy]) = company();
        let dora = world.register("dora");
        let invite = || Operation::InviteToRoom { room: tea(), user: "dora".to_owned() };
        let open = |world: &World| query::invitations(&world.store, dora.account).unwrap().len();
        world.write(&mut ann, invite());
        assert!(matches!(refused(&world.write(&mut cy, remove("dora"))), Rejection::Forbidden(_)));
        assert_eq!(world.write(&mut bob, remove("dora")), Reply::Done);
        assert_eq!(open(&world), 0);
        world.write(&mut cy, invite());
        assert_eq!(world.write(&mut cy, remove("dora")), Reply::Done);
        assert_eq!(open(&world), 0);
        let invited = world.everything(dora.account);
        assert!(!invited.iter().any(|event| matches!(event.body, EventBody::Invited { .. })));
    }
}
