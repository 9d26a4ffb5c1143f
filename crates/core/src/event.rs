//! Events: what happened, as every device hears of it. Stored once, in the conversation (or in the
//! mailbox of one account) it belongs to.

use minicbor::{Decode, Encode};

use crate::{
    command::Role,
    content::ContentHash,
    ids::{AccountId, AttachmentId, ConversationId, EventId, SessionId},
};

/// Where an event is stored, and so who may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Scope {
    /// Everybody who was in the conversation at the time.
    #[n(0)]
    Conversation(#[n(0)] ConversationId),
    /// The devices of one account.
    #[n(1)]
    Mailbox(#[n(0)] AccountId),
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Event {
    /// Its name and place in the order of everything.
    #[n(0)]
    pub id: EventId,
    /// The leader's clock, milliseconds since 1970, never going backwards.
    #[n(1)]
    pub time_ms: u64,
    /// Where it belongs.
    #[n(2)]
    pub scope: Scope,
    /// What.
    #[n(3)]
    pub body: EventBody,
}

/// A file attached to a message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Attached {
    /// Its id.
    #[n(0)]
    pub attachment: AttachmentId,
    /// The file's name, as its author gave it.
    #[n(1)]
    pub name: String,
    /// What its author says it is; may be empty. Not to be relied on.
    #[n(2)]
    pub content_type: String,
    /// Its size.
    #[n(3)]
    pub bytes: u64,
    /// The hash of the whole.
    #[n(4)]
    pub sha256: ContentHash,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum EventBody {
    /// A message. In a conversation.
    #[n(0)]
    MessageSent {
        /// By whom.
        #[n(0)]
        author: AccountId,
        /// The text; empty once deleted for everyone.
        #[n(1)]
        body: String,
        /// The how-manieth message of the conversation, from 1.
        #[n(2)]
        number: u64,
        /// The how-manieth of its author there, from 1; zero in a room, where nobody needs it.
        #[n(3)]
        author_number: u64,
        /// Deleted for everyone: only this tombstone is left.
        #[n(4)]
        deleted: bool,
        /// The last edit; none: the text is as it was sent.
        #[n(5)]
        edited: Option<Edited>,
        /// The message of the same conversation that this one answers.
        #[n(6)]
        reply_to: Option<EventId>,
        /// Those in the conversation whom the text names, in its order.
        #[n(7)]
        #[cbor(skip_if = "Vec::is_empty")]
        mentions: Vec<AccountId>,
        /// What is attached; none: nothing, or nothing any more.
        #[n(8)]
        attachments: Option<Vec<Attached>>,
    },
    /// Messages were deleted for everyone. In a conversation.
    #[n(1)]
    MessagesDeleted {
        /// By whom.
        #[n(0)]
        by: AccountId,
        /// Which.
        #[n(1)]
        messages: Vec<EventId>,
    },
    /// The reader's own marker moved. In the mailbox; the next one of that conversation takes its place.
    #[n(2)]
    ReadMarkerMoved {
        /// Where.
        #[n(0)]
        conversation: ConversationId,
        /// To which message.
        #[n(1)]
        up_to: EventId,
        /// Unread messages left there.
        #[n(2)]
        unread: u64,
    },
    /// Messages were deleted for this account only. In the mailbox.
    #[n(3)]
    MessagesHidden {
        /// Where.
        #[n(0)]
        conversation: ConversationId,
        /// Which.
        #[n(1)]
        messages: Vec<EventId>,
    },
    /// A device logged in. In the mailbox.
    #[n(4)]
    SessionOpened {
        /// Which.
        #[n(0)]
        session: SessionId,
        /// Its name.
        #[n(1)]
        device: String,
    },
    /// A session ended. In the mailbox.
    #[n(5)]
    SessionEnded {
        /// Which.
        #[n(0)]
        session: SessionId,
    },
    /// The password was changed, and with it every other session ended. In the mailbox.
    #[n(6)]
    PasswordChanged {
        /// The session that did it: the only one left.
        #[n(0)]
        by: SessionId,
    },
    /// An administrator gave the account another password, and with it every session ended. In the mailbox.
    #[n(19)]
    PasswordReset {
        /// By whom.
        #[n(0)]
        by: AccountId,
    },
    /// A message was edited. In its conversation; the next one of that message takes its place.
    ///
    /// Stored without text and mentions, which are in the message itself; who reads it is shown those of that moment. So
    /// an old text is nowhere, and deleting the message leaves none.
    #[n(16)]
    MessageEdited {
        /// By whom: its author.
        #[n(0)]
        by: AccountId,
        /// Which.
        #[n(1)]
        message: EventId,
        /// The text it has now; empty as stored.
        #[n(2)]
        body: String,
        /// Whom that names; empty as stored.
        #[n(3)]
        #[cbor(skip_if = "Vec::is_empty")]
        mentions: Vec<AccountId>,
    },
    /// Somebody added a reaction to a message, or took it back. In its conversation; the next one of the same account,
    /// message and emoji takes its place.
    #[n(17)]
    ReactionChanged {
        /// Who.
        #[n(0)]
        account: AccountId,
        /// To which.
        #[n(1)]
        message: EventId,
        /// With what.
        #[n(2)]
        emoji: String,
        /// Added, or taken back.
        #[n(3)]
        added: bool,
        /// How many accounts then reacted to the message with this.
        #[n(4)]
        count: u64,
    },
    /// The other one of a direct conversation has read. In the mailbox; the next one of that conversation takes its
    /// place.
    #[n(18)]
    PeerRead {
        /// Where.
        #[n(0)]
        conversation: ConversationId,
        /// Who has read.
        #[n(1)]
        by: AccountId,
        /// Up to which message.
        #[n(2)]
        up_to: EventId,
    },
    /// A room was made; its first event. In the conversation.
    #[n(7)]
    RoomOpened {
        /// By whom: its first owner.
        #[n(0)]
        by: AccountId,
        /// Its name, without `#`.
        #[n(1)]
        name: String,
        /// What it is about.
        #[n(2)]
        topic: String,
        /// Anybody may find it and join.
        #[n(3)]
        public: bool,
    },
    /// Somebody became a member. In the conversation.
    #[n(8)]
    MemberJoined {
        /// Who.
        #[n(0)]
        account: AccountId,
        /// By whose invitation, if by one.
        #[n(1)]
        invited_by: Option<AccountId>,
    },
    /// A member left, or its account was deleted. In the conversation; the last event there that it sees.
    #[n(9)]
    MemberLeft {
        /// Who.
        #[n(0)]
        account: AccountId,
    },
    /// A member was taken out. In the conversation; the last event there that it sees.
    #[n(10)]
    MemberRemoved {
        /// Who.
        #[n(0)]
        account: AccountId,
        /// By whom.
        #[n(1)]
        by: AccountId,
    },
    /// A member has another role. In the conversation.
    #[n(11)]
    RoleChanged {
        /// Who.
        #[n(0)]
        account: AccountId,
        /// Which role.
        #[n(1)]
        role: Role,
        /// By whom; none where a room was left without an owner, and the next in line became one.
        #[n(2)]
        by: Option<AccountId>,
    },
    /// The room's name, topic or visibility changed; what is none stayed. In the conversation.
    #[n(12)]
    RoomChanged {
        /// By whom.
        #[n(0)]
        by: AccountId,
        /// The new name.
        #[n(1)]
        name: Option<String>,
        /// The new topic.
        #[n(2)]
        topic: Option<String>,
        /// Whether anybody may find it and join now.
        #[n(3)]
        public: Option<bool>,
    },
    /// Somebody may join a room. In the mailbox, until the invitation ends.
    #[n(14)]
    Invited {
        /// The room.
        #[n(0)]
        conversation: ConversationId,
        /// Its name at the time.
        #[n(1)]
        room: String,
        /// By whom.
        #[n(2)]
        by: AccountId,
    },
    /// An invitation was taken up, turned down or taken back. In the mailbox.
    #[n(15)]
    InvitationEnded {
        /// The room.
        #[n(0)]
        conversation: ConversationId,
    },
}

/// The last edit of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Edited {
    /// When: the leader's clock, milliseconds since 1970.
    #[n(0)]
    pub at_ms: u64,
    /// The event that told of it.
    #[n(1)]
    pub notice: EventId,
}
