//! `LeaveRoom`: a member goes. What was said until then may still be read.

use super::{find_own, take_out};
use crate::{
    apply::{Context, Outcome},
    command::Recipient,
    event::EventBody,
    ids::AccountId,
    reply::Reply,
};

pub(crate) fn leave_room(context: &mut Context<'_>, account: AccountId, room: &Recipient) -> Outcome<Reply> {
    let (id, record, _) = find_own(context, account, room)?;
    take_out(context, id, record, account, EventBody::MemberLeft { account })?;
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests {
    use crate::{
        EventBody, Operation, Recipient, Rejection, Reply, Role,
        query::{self, Page},
        world::{World, created, refused, say},
    };

    fn tea() -> Recipient {
        Recipient::Room("tea".to_owned())
    }

    fn create() -> Operation {
        Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public: true }
    }

    #[test]
    fn who_left_keeps_what_was_there_and_hears_no_more() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let room = created(&world.write(&mut ann, create())).0;
        world.write(&mut bob, Operation::JoinRoom { room: tea() });
        world.write(&mut ann, say("tea", "one"));
        assert_eq!(world.write(&mut bob, Operation::LeaveRoom { room: tea() }), Reply::Done);
        let told = EventBody::MemberLeft { account: bob.account };
        assert_eq!(world.everything(bob.account).last().unwrap().body, told);
        world.write(&mut ann, say("tea", "two"));
        assert_eq!(world.texts(bob.account, room, Page::Before(None), 9), ["one"]);
        assert_eq!(world.everything(bob.account).last().unwrap().body, told);
        assert!(query::conversations(&world.store, bob.account, false, None, 9).unwrap().items.is_empty());
        let info = query::conversation(&world.store, bob.account, room).unwrap().unwrap();
        assert_eq!((info.unread, info.messages, info.room.unwrap().role), (1, 1, None));
        let again = world.write(&mut bob, Operation::LeaveRoom { room: tea() });
        assert_eq!(refused(&again), Rejection::NotInRoom("you are not in #tea".to_owned()));
        assert!(matches!(refused(&world.write(&mut bob, say("tea", "x"))), Rejection::NotInRoom(_)));
    }

    #[test]
    fn the_next_in_line_becomes_owner_and_the_last_one_ends_the_room() {
        let mut world = World::new();
        let (mut ann, mut bob, mut cy) = (world.register("ann"), world.register("bob"), world.register("cy"));
        let room = created(&world.write(&mut ann, create())).0;
        for device in [&mut cy, &mut bob] {
            world.write(device, Operation::JoinRoom { room: tea() });
        }
        let role = Operation::SetRole { room: tea(), user: "cy".to_owned(), role: Role::Moderator };
        assert_eq!(world.write(&mut ann, role), Reply::Done);
        world.write(&mut ann, Operation::LeaveRoom { room: tea() });
        let told = EventBody::RoleChanged { account: cy.account, role: Role::Owner, by: None };
        assert_eq!(world.everything(bob.account).last().unwrap().body, told);
        world.write(&mut cy, Operation::LeaveRoom { room: tea() });
        let role = query::conversation(&world.store, bob.account, room).unwrap().unwrap().room.unwrap().role;
        assert_eq!(role, Some(Role::Owner));
        world.write(&mut bob, Operation::LeaveRoom { room: tea() });
        assert!(query::rooms(&world.store, bob.account, "", None, 9).unwrap().items.is_empty());
        assert_ne!(created(&world.write(&mut cy, create())).0, room);
    }
}
