//! Rooms: what they are, who is in them, what they are called, who may join.

use minicbor::{Decode, Encode};

use super::Record;
use crate::{
    command::Role,
    ids::{AccountId, ConversationId, EventId, Position},
};

/// A room that has members; with the last of them it goes. Apart from the conversation's own record, which is written with
/// every message and so is small. Who has a role stands here, so that nobody is looked for among the members.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RoomRecord {
    /// Without `#`.
    #[n(0)]
    pub(crate) name: String,
    #[n(1)]
    pub(crate) topic: String,
    /// From here on it is public, and who joins reads it from here; none: it is private. What was said while it was
    /// private stays among those who were there.
    #[n(2)]
    pub(crate) public_since: Option<Position>,
    #[n(3)]
    pub(crate) created_at_ms: u64,
    #[n(4)]
    pub(crate) members: u64,
    /// In the order in which they became owners; at least one.
    #[n(5)]
    pub(crate) owners: Vec<AccountId>,
    /// In the order in which they became moderators.
    #[n(6)]
    pub(crate) moderators: Vec<AccountId>,
}

impl RoomRecord {
    /// Anybody may find it and join.
    pub(crate) fn is_public(&self) -> bool {
        self.public_since.is_some()
    }

    /// What a member may do.
    pub(crate) fn role_of(&self, member: AccountId) -> Role {
        if self.owners.contains(&member) {
            Role::Owner
        } else if self.moderators.contains(&member) {
            Role::Moderator
        } else {
            Role::Member
        }
    }

    /// Gives a member a role, in the place of the one it has.
    pub(crate) fn set_role(&mut self, member: AccountId, role: Role) {
        self.owners.retain(|owner| *owner != member);
        self.moderators.retain(|moderator| *moderator != member);
        match role {
            Role::Member => {}
            Role::Moderator => self.moderators.push(member),
            Role::Owner => self.owners.push(member),
        }
    }
}

impl Record for RoomRecord {
    const NAME: &'static str = "room";

    fn size_hint(&self) -> usize {
        96 + self.topic.len() + 9 * (self.owners.len() + self.moderators.len())
    }
}

/// An account that is in a room now. What it may see is in its [`super::MembershipRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct MemberRecord {
    #[n(0)]
    pub(crate) joined_at_ms: u64,
    #[n(1)]
    pub(crate) invited_by: Option<AccountId>,
}

impl Record for MemberRecord {
    const NAME: &'static str = "member";
}

/// Which room has a name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RoomNameRecord {
    #[n(0)]
    pub(crate) conversation: ConversationId,
}

impl Record for RoomNameRecord {
    const NAME: &'static str = "room's name";
}

/// An open invitation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct InvitationRecord {
    #[n(0)]
    pub(crate) by: AccountId,
    #[n(1)]
    pub(crate) at_ms: u64,
    /// The mailbox event that told of it: it goes with the invitation.
    #[n(2)]
    pub(crate) event: EventId,
}

impl Record for InvitationRecord {
    const NAME: &'static str = "invitation";
}
