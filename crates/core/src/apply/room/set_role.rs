//! `SetRole`: owners say who moderates and who owns. A room always has an owner.

use super::{find_own, person, require_role};
use crate::{
    apply::{Context, Outcome},
    bounds::{MODERATORS_PER_ROOM, OWNERS_PER_ROOM},
    command::{Recipient, Role},
    event::EventBody,
    ids::AccountId,
    key::Key,
    record::{ConversationRecord, MembershipRecord, RoomRecord},
    reply::{Rejection, Reply},
};

pub(crate) fn set_role(
    context: &mut Context<'_>,
    by: AccountId,
    room: &Recipient,
    user: &str,
    role: Role,
) -> Outcome<Reply> {
    let (id, mut record, own) = find_own(context, by, room)?;
    require_role(own, Role::Owner, "give roles")?;
    let (account, name) = person(context, user)?;
    let membership = context.get::<MembershipRecord>(Key::Membership(account, id))?;
    if !membership.is_some_and(|membership| membership.is_in_room()) {
        return Err(Rejection::NotInRoom(format!("{name} is not in #{}", record.name)).into());
    }
    if record.role_of(account) == role {
        return Ok(Reply::Done);
    }
    check_bounds(&record, role)?;
    record.set_role(account, role);
    if record.owners.is_empty() {
        let what = "a room has at least one owner: make somebody else an owner first";
        return Err(Rejection::Forbidden(what.to_owned()).into());
    }
    context.put(Key::Room(id), &record);
    let mut conversation: ConversationRecord = context.require(Key::Conversation(id))?;
    context.tell_conversation(id, &mut conversation, EventBody::RoleChanged { account, role, by: Some(by) });
    Ok(Reply::Done)
}

fn check_bounds(record: &RoomRecord, role: Role) -> Result<(), Rejection> {
    let full = match role {
        Role::Member => None,
        Role::Moderator if record.moderators.len() < MODERATORS_PER_ROOM => None,
        Role::Owner if record.owners.len() < OWNERS_PER_ROOM => None,
        Role::Moderator => Some(format!("the room has {MODERATORS_PER_ROOM} moderators")),
        Role::Owner => Some(format!("the room has {OWNERS_PER_ROOM} owners")),
    };
    full.map_or(Ok(()), |full| Err(Rejection::LimitReached(format!("{full}, and cannot have more"))))
}

#[cfg(test)]
mod tests {
    use crate::{
        EventBody, Operation, Recipient, Rejection, Reply, Role,
        bounds::OWNERS_PER_ROOM,
        world::{World, created, refused},
    };

    fn tea() -> Recipient {
        Recipient::Room("tea".to_owned())
    }

    fn set(user: &str, role: Role) -> Operation {
        Operation::SetRole { room: tea(), user: user.to_owned(), role }
    }

    fn create() -> Operation {
        Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public: true }
    }

    #[test]
    fn owners_give_roles_and_one_always_stays() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        created(&world.write(&mut ann, create()));
        assert!(matches!(refused(&world.write(&mut ann, set("bob", Role::Owner))), Rejection::NotInRoom(_)));
        world.write(&mut bob, Operation::JoinRoom { room: tea() });
        assert!(matches!(refused(&world.write(&mut bob, set("bob", Role::Owner))), Rejection::Forbidden(_)));
        assert!(matches!(refused(&world.write(&mut ann, set("ann", Role::Member))), Rejection::Forbidden(_)));
        for told in [1, 0] {
            assert_eq!(world.write(&mut ann, set("bob", Role::Owner)), Reply::Done);
            assert_eq!(world.applied.happened.len(), told);
        }
        let told = EventBody::RoleChanged { account: bob.account, role: Role::Owner, by: Some(ann.account) };
        assert_eq!(world.everything(ann.account).last().unwrap().body, told);
        assert_eq!(world.write(&mut bob, set("ann", Role::Member)), Reply::Done);
        assert!(matches!(refused(&world.write(&mut ann, set("bob", Role::Member))), Rejection::Forbidden(_)));
    }

    #[test]
    fn owners_are_bounded() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        created(&world.write(&mut ann, create()));
        for number in 1..=OWNERS_PER_ROOM {
            let mut other = world.register(&format!("other{number}"));
            world.write(&mut other, Operation::JoinRoom { room: tea() });
            let reply = world.write(&mut ann, set(&format!("other{number}"), Role::Owner));
            if number < OWNERS_PER_ROOM {
                assert_eq!(reply, Reply::Done);
            } else {
                assert!(matches!(refused(&reply), Rejection::LimitReached(_)));
            }
        }
    }
}
