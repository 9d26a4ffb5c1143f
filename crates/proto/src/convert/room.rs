//! Rooms on the wire: what is asked of them, what is shown of them, and what happens in them.

use prost::Message as _;
use threefold_core::{
    AccountId, ConversationId, EventBody, Operation as Command, Recipient, Role, Scope,
    query::{InvitationInfo, MemberInfo, RoomInfo},
};

use super::{Names, Operation, Place, PlaceName, Refusal, write::forwardable};
use crate::chat::{self, event::Body};

impl TryFrom<chat::CreateRoom> for Operation {
    type Error = Refusal;

    fn try_from(create: chat::CreateRoom) -> Result<Self, Refusal> {
        forwardable(create.encoded_len())?;
        let chat::CreateRoom { name, topic, public } = create;
        Ok(Self::Complete(Command::CreateRoom { name, topic, public }))
    }
}

impl TryFrom<chat::JoinRoom> for Operation {
    type Error = Refusal;

    fn try_from(join: chat::JoinRoom) -> Result<Self, Refusal> {
        Ok(Self::Complete(Command::JoinRoom { room: named(join.encoded_len(), join.room)? }))
    }
}

impl TryFrom<chat::LeaveRoom> for Operation {
    type Error = Refusal;

    fn try_from(leave: chat::LeaveRoom) -> Result<Self, Refusal> {
        Ok(Self::Complete(Command::LeaveRoom { room: named(leave.encoded_len(), leave.room)? }))
    }
}

impl TryFrom<chat::InviteToRoom> for Operation {
    type Error = Refusal;

    fn try_from(invite: chat::InviteToRoom) -> Result<Self, Refusal> {
        let room = named(invite.encoded_len(), invite.room)?;
        Ok(Self::Complete(Command::InviteToRoom { room, user: invite.user }))
    }
}

impl TryFrom<chat::RemoveFromRoom> for Operation {
    type Error = Refusal;

    fn try_from(remove: chat::RemoveFromRoom) -> Result<Self, Refusal> {
        let room = named(remove.encoded_len(), remove.room)?;
        Ok(Self::Complete(Command::RemoveFromRoom { room, user: remove.user }))
    }
}

impl TryFrom<chat::SetRole> for Operation {
    type Error = Refusal;

    fn try_from(set: chat::SetRole) -> Result<Self, Refusal> {
        let role = match set.role() {
            chat::Role::Member => Role::Member,
            chat::Role::Moderator => Role::Moderator,
            chat::Role::Owner => Role::Owner,
            chat::Role::Unspecified => return Err(Refusal::invalid("no role that this server knows is named")),
        };
        let room = named(set.encoded_len(), set.room)?;
        Ok(Self::Complete(Command::SetRole { room, user: set.user, role }))
    }
}

impl TryFrom<chat::ChangeRoom> for Operation {
    type Error = Refusal;

    fn try_from(change: chat::ChangeRoom) -> Result<Self, Refusal> {
        let room = named(change.encoded_len(), change.room)?;
        let (name, topic, public) = (change.name, change.topic, change.public);
        Ok(Self::Complete(Command::ChangeRoom { room, name, topic, public }))
    }
}

impl TryFrom<chat::DeclineInvitation> for Operation {
    type Error = Refusal;

    fn try_from(decline: chat::DeclineInvitation) -> Result<Self, Refusal> {
        Ok(Self::Complete(Command::DeclineInvitation { room: named(decline.encoded_len(), decline.room)? }))
    }
}

/// The room of a write of so many bytes. That it is no person is checked when the write is carried out.
fn named(bytes: usize, room: Option<chat::Recipient>) -> Result<Recipient, Refusal> {
    forwardable(bytes)?;
    Ok(Place::try_from(room)?.into())
}

/// A room as the reader sees it.
#[must_use]
pub fn room(info: RoomInfo) -> chat::Room {
    chat::Room {
        conversation: info.conversation.0,
        name: info.name,
        topic: info.topic,
        public: info.public,
        members: info.members,
        role: info.role.map_or(chat::Role::Unspecified, role).into(),
        created_at_ms: info.created_at_ms,
        invited: info.invited,
    }
}

/// A member of a room.
#[must_use]
pub fn member(info: MemberInfo, is_online: bool, names: &mut impl Names) -> chat::Member {
    chat::Member {
        account: info.account.0,
        name: names.account(info.account),
        role: role(info.role).into(),
        joined_at_ms: info.joined_at_ms,
        invited_by: info.invited_by.map(|by| person(by, names)),
        online: is_online,
    }
}

/// An open invitation.
#[must_use]
pub fn invitation(info: InvitationInfo, names: &mut impl Names) -> chat::Invitation {
    chat::Invitation {
        conversation: info.conversation.0,
        room_name: info.name,
        topic: info.topic,
        members: info.members,
        by: Some(person(info.by, names)),
        at_ms: info.at_ms,
    }
}

/// What happened in a room, or to an invitation; none for anything else.
pub(super) fn event(scope: Scope, body: EventBody, names: &mut impl Names) -> Option<Body> {
    Some(match body {
        EventBody::RoomOpened { by, name: _, topic, public } => {
            let (room, by) = (place(scope, names), Some(person(by, names)));
            Body::RoomOpened(chat::RoomOpened { room, by, topic, public })
        }
        EventBody::MemberJoined { account, invited_by } => {
            let invited_by = invited_by.map(|by| person(by, names));
            let (room, member) = (place(scope, names), Some(person(account, names)));
            Body::MemberJoined(chat::MemberJoined { room, member, invited_by })
        }
        EventBody::MemberLeft { account } => {
            let (room, member) = (place(scope, names), Some(person(account, names)));
            Body::MemberLeft(chat::MemberLeft { room, member })
        }
        EventBody::MemberRemoved { account, by } => {
            let (room, member) = (place(scope, names), Some(person(account, names)));
            Body::MemberRemoved(chat::MemberRemoved { room, member, by: Some(person(by, names)) })
        }
        EventBody::RoleChanged { account, role: now, by } => {
            let by = by.map(|by| person(by, names));
            let (room, member) = (place(scope, names), Some(person(account, names)));
            Body::RoleChanged(chat::RoleChanged { room, member, role: role(now).into(), by })
        }
        EventBody::RoomChanged { by, name, topic, public } => {
            let (room, by) = (place(scope, names), Some(person(by, names)));
            Body::RoomChanged(chat::RoomChanged { room, by, name, topic, public })
        }
        EventBody::Invited { conversation, room, by } => {
            let room = Some(chat::RoomName { conversation: conversation.0, name: room });
            Body::Invited(chat::Invited { room, by: Some(person(by, names)) })
        }
        EventBody::InvitationEnded { conversation } => {
            Body::InvitationEnded(chat::InvitationEnded { conversation: conversation.0 })
        }
        EventBody::MessageSent { .. }
        | EventBody::MessagesDeleted { .. }
        | EventBody::ReadMarkerMoved { .. }
        | EventBody::MessagesHidden { .. }
        | EventBody::SessionOpened { .. }
        | EventBody::SessionEnded { .. }
        | EventBody::PasswordChanged { .. }
        | EventBody::PasswordReset { .. }
        | EventBody::MessageEdited { .. }
        | EventBody::ReactionChanged { .. }
        | EventBody::PeerRead { .. } => return None,
    })
}

fn place(scope: Scope, names: &mut impl Names) -> Option<chat::RoomName> {
    let Scope::Conversation(ConversationId(conversation)) = scope else { return None };
    let name = match names.place(ConversationId(conversation)) {
        PlaceName::Room(name) => name,
        PlaceName::Peer(_) => String::new(),
    };
    Some(chat::RoomName { conversation, name })
}

fn person(account: AccountId, names: &mut impl Names) -> chat::Person {
    chat::Person { account: account.0, name: names.account(account) }
}

fn role(role: Role) -> chat::Role {
    match role {
        Role::Member => chat::Role::Member,
        Role::Moderator => chat::Role::Moderator,
        Role::Owner => chat::Role::Owner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chat::{recipient::To, write::Operation as Wire},
        convert::FORWARDED_BYTES,
    };

    fn tea() -> Option<chat::Recipient> {
        Some(chat::Recipient { to: Some(To::Room("tea".into())) })
    }

    #[test]
    fn what_is_asked_of_rooms_is_complete() {
        let room = || Recipient::Room("tea".to_owned());
        let user = || "bob".to_owned();
        let change = chat::ChangeRoom { room: tea(), name: None, topic: Some(String::new()), public: Some(true) };
        let pairs = [
            (
                Wire::CreateRoom(chat::CreateRoom { name: "tea".into(), topic: "leaves".into(), public: true }),
                Command::CreateRoom { name: "tea".into(), topic: "leaves".into(), public: true },
            ),
            (Wire::JoinRoom(chat::JoinRoom { room: tea() }), Command::JoinRoom { room: room() }),
            (Wire::LeaveRoom(chat::LeaveRoom { room: tea() }), Command::LeaveRoom { room: room() }),
            (
                Wire::InviteToRoom(chat::InviteToRoom { room: tea(), user: user() }),
                Command::InviteToRoom { room: room(), user: user() },
            ),
            (
                Wire::RemoveFromRoom(chat::RemoveFromRoom { room: tea(), user: user() }),
                Command::RemoveFromRoom { room: room(), user: user() },
            ),
            (
                Wire::SetRole(chat::SetRole { room: tea(), user: user(), role: chat::Role::Owner.into() }),
                Command::SetRole { room: room(), user: user(), role: Role::Owner },
            ),
            (
                Wire::ChangeRoom(change),
                Command::ChangeRoom { room: room(), name: None, topic: Some(String::new()), public: Some(true) },
            ),
            (
                Wire::DeclineInvitation(chat::DeclineInvitation { room: tea() }),
                Command::DeclineInvitation { room: room() },
            ),
        ];
        for (wire, command) in pairs {
            assert_eq!(Operation::try_from(Some(wire)), Ok(Operation::Complete(command)));
        }
    }

    #[test]
    fn nonsense_and_excess_are_refused() {
        assert!(Operation::try_from(chat::JoinRoom { room: None }).is_err());
        assert!(Operation::try_from(chat::SetRole { room: tea(), user: "bob".into(), role: 0 }).is_err());
        assert!(Operation::try_from(chat::SetRole { room: tea(), user: "bob".into(), role: 99 }).is_err());
        let user = "n".repeat(FORWARDED_BYTES + 1);
        assert!(Operation::try_from(chat::InviteToRoom { room: tea(), user }).is_err());
    }
}
