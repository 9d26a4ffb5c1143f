//! `DeclineInvitation`: an invitation is turned down, also one to a room that has ended.

use super::{end_invitation, named};
use crate::{
    apply::{Context, Outcome},
    command::Recipient,
    ids::AccountId,
    key::Key,
    record::InvitationRecord,
    reply::{Rejection, Reply},
    text,
};

pub(crate) fn decline_invitation(context: &mut Context<'_>, account: AccountId, room: &Recipient) -> Outcome<Reply> {
    let (id, unknown) = match room {
        Recipient::Room(name) => {
            (named(context, name)?, Rejection::NotInvited(text::quoted_name(text::room_name(name))))
        }
        Recipient::Conversation(id) => (*id, Rejection::UnknownConversation),
        Recipient::User(_) => {
            return Err(Rejection::Invalid("a room is meant, by its #name or its conversation".to_owned()).into());
        }
    };
    let invitation = context.get::<InvitationRecord>(Key::Invitation(account, id))?.ok_or(unknown)?;
    end_invitation(context, account, id, &invitation);
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests {
    use crate::{
        EventBody, Operation, Recipient, Rejection, Reply, query,
        world::{World, created, refused},
    };

    #[test]
    fn an_invitation_is_turned_down_once_and_also_when_the_room_is_gone() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let tea = || Recipient::Room("tea".to_owned());
        let create = Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public: false };
        let room = created(&world.write(&mut ann, create)).0;
        let invite = || Operation::InviteToRoom { room: tea(), user: "bob".to_owned() };
        world.write(&mut ann, invite());
        assert_eq!(world.write(&mut bob, Operation::DeclineInvitation { room: tea() }), Reply::Done);
        let told = EventBody::InvitationEnded { conversation: room };
        assert_eq!(world.everything(bob.account).last().unwrap().body, told);
        let again = refused(&world.write(&mut bob, Operation::DeclineInvitation { room: tea() }));
        assert_eq!(again, Rejection::NotInvited("tea".to_owned()));
        world.write(&mut ann, invite());
        world.write(&mut ann, Operation::LeaveRoom { room: tea() });
        assert!(query::invitations(&world.store, bob.account).unwrap().is_empty());
        let by_id = Operation::DeclineInvitation { room: Recipient::Conversation(room) };
        assert_eq!(world.write(&mut bob, by_id), Reply::Done);
    }
}
