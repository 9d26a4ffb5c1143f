//! What is done with rooms goes through the outbox like messages: exactly once, and in order with them.

use threefold_proto::chat::{
    ChangeRoom, CreateRoom, DeclineInvitation, InviteToRoom, JoinRoom, LeaveRoom, RemoveFromRoom, Role, RoomCreated,
    SetRole, write::Operation,
};

use super::{Outcome, Receipt, To, Writer, position};
use crate::Error;

/// What is to be otherwise in a room; what is none stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomChanges {
    /// A new name.
    pub name: Option<String>,
    /// A new topic.
    pub topic: Option<String>,
    /// Whether anybody may find it and join.
    pub public: Option<bool>,
}

impl Writer {
    /// Makes a room, with this account as its owner.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn create_room(
        &self,
        name: impl Into<String>,
        topic: impl Into<String>,
        public: bool,
    ) -> Result<Receipt<RoomCreated>, Error> {
        let create = CreateRoom { name: name.into(), topic: topic.into(), public };
        self.submit(Operation::CreateRoom(create), |outcome| match outcome {
            Outcome::RoomCreated(created) => Some(created),
            _ => None,
        })
        .await
    }

    /// Becomes a member of a room.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn join_room(&self, room: impl Into<To>) -> Result<Receipt<u64>, Error> {
        let room = Some(room.into().into_recipient()?);
        self.submit(Operation::JoinRoom(JoinRoom { room }), position).await
    }

    /// Is no member any more.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn leave_room(&self, room: impl Into<To>) -> Result<Receipt<u64>, Error> {
        let room = Some(room.into().into_recipient()?);
        self.submit(Operation::LeaveRoom(LeaveRoom { room }), position).await
    }

    /// Lets somebody join a room.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn invite(&self, room: impl Into<To>, user: impl Into<String>) -> Result<Receipt<u64>, Error> {
        let room = Some(room.into().into_recipient()?);
        self.submit(Operation::InviteToRoom(InviteToRoom { room, user: user.into() }), position).await
    }

    /// Takes somebody out of a room, or back the invitation of one who has not joined.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn remove_from_room(&self, room: impl Into<To>, user: impl Into<String>) -> Result<Receipt<u64>, Error> {
        let room = Some(room.into().into_recipient()?);
        self.submit(Operation::RemoveFromRoom(RemoveFromRoom { room, user: user.into() }), position).await
    }

    /// Gives a member of a room a role.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn set_role(
        &self,
        room: impl Into<To>,
        user: impl Into<String>,
        role: Role,
    ) -> Result<Receipt<u64>, Error> {
        let room = Some(room.into().into_recipient()?);
        self.submit(Operation::SetRole(SetRole { room, user: user.into(), role: role.into() }), position).await
    }

    /// Changes a room's name, topic or visibility.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn change_room(&self, room: impl Into<To>, changes: RoomChanges) -> Result<Receipt<u64>, Error> {
        let room = Some(room.into().into_recipient()?);
        let RoomChanges { name, topic, public } = changes;
        self.submit(Operation::ChangeRoom(ChangeRoom { room, name, topic, public }), position).await
    }

    /// Turns down an invitation to a room.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn decline_invitation(&self, room: impl Into<To>) -> Result<Receipt<u64>, Error> {
        let room = Some(room.into().into_recipient()?);
        self.submit(Operation::DeclineInvitation(DeclineInvitation { room }), position).await
    }
}
