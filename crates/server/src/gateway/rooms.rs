//! Rooms: the single calls. Whoever changes much uses a stream.

use threefold_core::{AccountId, Position, Reply, query};
use threefold_proto::{
    chat,
    convert::{self, Place, Refusal},
};
use tokio::time::Instant;

use super::{Caller, Gateway, door::Door, unexpected_reply};

/// A call that carries one write of a room, answered with the position at which it took effect.
macro_rules! plain {
    ($(#[$doc:meta])* $name:ident($request:ident.$field:ident) -> $reply:ident) => {
        $(#[$doc])*
        pub(super) async fn $name(
            &self,
            caller: &Caller,
            request: chat::$request,
            deadline: Instant,
        ) -> Result<chat::$reply, Refusal> {
            let id = convert::request_id(request.request)?;
            let what = request.$field.ok_or_else(|| Refusal::invalid("the call says nothing of what to do"))?;
            let position = self.write_plain(caller, id, what.try_into()?, deadline).await?;
            Ok(chat::$reply { position: position.0 })
        }
    };
}

impl<D: Door> Gateway<D> {
    /// Makes a room.
    pub(super) async fn create_room(
        &self,
        caller: &Caller,
        request: chat::CreateRoomRequest,
        deadline: Instant,
    ) -> Result<chat::CreateRoomReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let create = request.create.ok_or_else(|| Refusal::invalid("no room"))?;
        match self.write(caller, id, create.try_into()?, deadline).await?.0 {
            Reply::RoomCreated { conversation, event } => {
                let created = chat::RoomCreated { conversation: conversation.0, id: event.0 };
                Ok(chat::CreateRoomReply { created: Some(created) })
            }
            Reply::Rejected(rejection) => Err(rejection.into()),
            Reply::SessionOpened { .. }
            | Reply::InstanceOpened { .. }
            | Reply::MessageSent { .. }
            | Reply::UploadReached { .. }
            | Reply::AttachmentFinished(_)
            | Reply::BotCreated { .. }
            | Reply::WebhookCreated { .. }
            | Reply::Done => Err(unexpected_reply()),
        }
    }

    plain! {
        /// Makes the caller a member.
        join_room(JoinRoomRequest.join) -> JoinRoomReply
    }

    plain! {
        /// Takes the caller out.
        leave_room(LeaveRoomRequest.leave) -> LeaveRoomReply
    }

    plain! {
        /// Lets somebody join.
        invite_to_room(InviteToRoomRequest.invite) -> InviteToRoomReply
    }

    plain! {
        /// Takes somebody out.
        remove_from_room(RemoveFromRoomRequest.remove) -> RemoveFromRoomReply
    }

    plain! {
        /// Gives a role.
        set_role(SetRoleRequest.set) -> SetRoleReply
    }

    plain! {
        /// Changes the room itself.
        change_room(ChangeRoomRequest.change) -> ChangeRoomReply
    }

    plain! {
        /// Turns an invitation down.
        decline_invitation(DeclineInvitationRequest.decline) -> DeclineInvitationReply
    }

    /// One room.
    pub(super) async fn get_room(
        &self,
        caller: &Caller,
        request: chat::GetRoomRequest,
        deadline: Instant,
    ) -> Result<chat::GetRoomReply, Refusal> {
        let room = Place::try_from(request.room)?.into();
        self.wait_for(Position(request.position), deadline).await?;
        let info = self.door().read(|store| query::room(store, caller.session.account, &room))?;
        Ok(chat::GetRoomReply { room: Some(convert::room(info)) })
    }

    /// Rooms by a pattern.
    pub(super) async fn list_rooms(
        &self,
        caller: &Caller,
        request: chat::ListRoomsRequest,
        deadline: Instant,
    ) -> Result<chat::ListRoomsReply, Refusal> {
        let limit = convert::page_limit(request.limit)?;
        let pattern = convert::pattern(request.pattern)?;
        let after = (!request.after.is_empty()).then_some(request.after);
        self.wait_for(Position(request.position), deadline).await?;
        let look = move |gateway: &Self, reader| {
            gateway.door().read(|store| query::rooms(store, reader, &pattern, after.as_deref(), limit))
        };
        let page = self.look_up(caller, deadline, look).await?;
        Ok(chat::ListRoomsReply { rooms: page.items.into_iter().map(convert::room).collect(), more: page.more })
    }

    /// The members of a room.
    pub(super) async fn list_members(
        &self,
        caller: &Caller,
        request: chat::ListMembersRequest,
        deadline: Instant,
    ) -> Result<chat::ListMembersReply, Refusal> {
        let reader = caller.session.account;
        let limit = convert::page_limit(request.limit)?;
        let after = (request.after != 0).then_some(AccountId(request.after));
        let room = Place::try_from(request.room)?.into();
        self.wait_for(Position(request.position), deadline).await?;
        let page = self.door().read(|store| query::members(store, reader, &room, after, limit))?;
        let online = self.door().online();
        let mut names = self.directory().of(self.door(), reader);
        let members = page.items.into_iter().map(|member| {
            let is_online = online.binary_search(&member.account).is_ok();
            convert::member(member, is_online, &mut names)
        });
        Ok(chat::ListMembersReply { members: members.collect(), more: page.more })
    }

    /// The caller's open invitations.
    pub(super) async fn list_invitations(
        &self,
        caller: &Caller,
        request: chat::ListInvitationsRequest,
        deadline: Instant,
    ) -> Result<chat::ListInvitationsReply, Refusal> {
        let reader = caller.session.account;
        self.wait_for(Position(request.position), deadline).await?;
        let open = self.door().read(|store| query::invitations(store, reader));
        let mut names = self.directory().of(self.door(), reader);
        let invitations = open.into_iter().map(|invitation| convert::invitation(invitation, &mut names));
        Ok(chat::ListInvitationsReply { invitations: invitations.collect() })
    }
}

#[cfg(test)]
mod tests {
    use threefold_core::{Command, Rejection};
    use threefold_proto::{chat::recipient::To, convert::Token};

    use super::*;
    use crate::gateway::testing::Solo;

    struct User {
        gateway: Gateway<Solo>,
        caller: Caller,
        number: u64,
    }

    async fn user(door: &Solo, name: &str) -> User {
        let token = Token::new(rand::random()).hash();
        let (password_hash, device) = ("hash".to_owned(), "test".to_owned());
        door.apply(&Command::Register { name: name.to_owned(), password_hash, token_hash: token, device });
        let gateway = door.gateway();
        let caller = gateway.authenticate(token, Instant::now()).await.unwrap();
        User { gateway, caller, number: 0 }
    }

    impl User {
        fn next(&mut self) -> Option<chat::RequestId> {
            self.number += 1;
            Some(chat::RequestId { instance: 1, number: self.number })
        }

        async fn create(&mut self, name: &str, public: bool) -> Result<chat::RoomCreated, Refusal> {
            let create = Some(chat::CreateRoom { name: name.to_owned(), topic: "leaves".to_owned(), public });
            let request = chat::CreateRoomRequest { request: self.next(), create };
            let reply = self.gateway.create_room(&self.caller, request, Instant::now()).await?;
            Ok(reply.created.unwrap())
        }

        async fn join(&mut self, room: &str) -> Result<u64, Refusal> {
            let request = chat::JoinRoomRequest { request: self.next(), join: Some(chat::JoinRoom { room: at(room) }) };
            Ok(self.gateway.join_room(&self.caller, request, Instant::now()).await?.position)
        }

        async fn invite(&mut self, room: &str, user: &str) -> Result<u64, Refusal> {
            let invite = Some(chat::InviteToRoom { room: at(room), user: user.to_owned() });
            let request = chat::InviteToRoomRequest { request: self.next(), invite };
            Ok(self.gateway.invite_to_room(&self.caller, request, Instant::now()).await?.position)
        }

        async fn room(&self, room: &str) -> Result<chat::Room, Refusal> {
            let request = chat::GetRoomRequest { room: at(room), position: 0 };
            Ok(self.gateway.get_room(&self.caller, request, Instant::now()).await?.room.unwrap())
        }

        async fn members(&self, room: &str) -> Result<Vec<chat::Member>, Refusal> {
            let request = chat::ListMembersRequest { room: at(room), limit: 0, after: 0, position: 0 };
            Ok(self.gateway.list_members(&self.caller, request, Instant::now()).await?.members)
        }
    }

    fn at(room: &str) -> Option<chat::Recipient> {
        Some(chat::Recipient { to: Some(To::Room(room.to_owned())) })
    }

    #[tokio::test(start_paused = true)]
    async fn a_room_is_made_found_and_joined() {
        let door = Solo::new();
        let (mut ann, mut bob) = (user(&door, "ann").await, user(&door, "bob").await);
        let made = ann.create("#Tea", true).await.unwrap();
        let found = bob.room("tea").await.unwrap();
        assert_eq!(
            (found.conversation, found.name.as_str(), found.role()),
            (made.conversation, "Tea", chat::Role::Unspecified)
        );
        assert!(matches!(bob.members("tea").await, Err(Refusal::Rejected(Rejection::NotInRoom(_)))));
        bob.join("tea").await.unwrap();
        let members = bob.members("tea").await.unwrap();
        let seen: Vec<_> = members.iter().map(|member| (member.name.as_str(), member.role())).collect();
        assert_eq!(seen, [("ann", chat::Role::Owner), ("bob", chat::Role::Member)]);
        let request = chat::ListRoomsRequest { pattern: "t*".to_owned(), ..Default::default() };
        let listed = bob.gateway.list_rooms(&bob.caller, request, Instant::now()).await.unwrap();
        assert_eq!((listed.rooms.len(), listed.rooms[0].members, listed.more), (1, 2, false));
    }

    #[tokio::test(start_paused = true)]
    async fn an_invitation_bears_names() {
        let door = Solo::new();
        let (mut ann, mut bob) = (user(&door, "ann").await, user(&door, "bob").await);
        ann.create("den", false).await.unwrap();
        assert_eq!(bob.room("den").await, Err(Refusal::Rejected(Rejection::UnknownRoom("den".to_owned()))));
        assert_eq!(bob.join("den").await, Err(Refusal::Rejected(Rejection::NotInvited("den".to_owned()))));
        ann.invite("den", "bob").await.unwrap();
        let open = bob.gateway.list_invitations(&bob.caller, Default::default(), Instant::now()).await.unwrap();
        let invitation = &open.invitations[0];
        let by = invitation.by.clone().unwrap();
        assert_eq!((invitation.room_name.as_str(), by.name.as_str()), ("den", "ann"));
        bob.join("den").await.unwrap();
        assert!(matches!(bob.invite("den", "ann").await, Err(Refusal::Rejected(Rejection::Forbidden(_)))));
    }
}
