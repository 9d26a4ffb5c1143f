//! Replies. A rejection is a reply like any other: the same on every replica, and remembered for a
//! retry. That the cluster is unavailable is not a reply: nothing was decided.

use minicbor::{Decode, Encode};

use crate::{
    event::Attached,
    ids::{AccountId, AttachmentId, ConversationId, EventId, SessionId},
};

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Reply {
    /// To `Register` and `LogIn`.
    #[n(0)]
    SessionOpened {
        /// Whose.
        #[n(0)]
        account: AccountId,
        /// Which.
        #[n(1)]
        session: SessionId,
        /// A first instance, for the process that logged in.
        #[n(2)]
        instance: u64,
        /// The account's name as registered.
        #[n(3)]
        name: String,
        /// When the session ends unless it is renewed.
        #[n(4)]
        expires_at_ms: u64,
        /// Everything up to here was delivered to some device of the account.
        #[n(5)]
        delivered_up_to: u64,
    },
    /// To `OpenInstance`.
    #[n(1)]
    InstanceOpened {
        /// The new instance.
        #[n(0)]
        instance: u64,
    },
    /// To `SendMessage`.
    #[n(2)]
    MessageSent {
        /// Where.
        #[n(0)]
        conversation: ConversationId,
        /// The message's name.
        #[n(1)]
        event: EventId,
        /// The time it bears.
        #[n(2)]
        time_ms: u64,
    },
    /// To everything whose success says it all.
    #[n(3)]
    Done,
    /// The command was refused and changed nothing.
    #[n(4)]
    Rejected(#[n(0)] Rejection),
    /// To `BeginAttachment` and `PutChunk`: how far the upload is.
    #[n(8)]
    UploadReached {
        /// Which.
        #[n(0)]
        attachment: AttachmentId,
        /// Bytes that are there.
        #[n(1)]
        received: u64,
    },
    /// To `FinishAttachment`, and to a `BeginAttachment` that finds its upload finished.
    #[n(9)]
    AttachmentFinished(#[n(0)] Attached),
    /// To `CreateRoom`.
    #[n(5)]
    RoomCreated {
        /// The room's id, which its name may change.
        #[n(0)]
        conversation: ConversationId,
        /// Its first event.
        #[n(1)]
        event: EventId,
    },
    /// To `ManageBot` that makes one.
    #[n(10)]
    BotCreated {
        /// The bot's account.
        #[n(0)]
        account: AccountId,
    },
    /// To `CreateWebhook`.
    #[n(11)]
    WebhookCreated {
        /// The webhook, which is its account.
        #[n(0)]
        webhook: AccountId,
        /// Where it posts.
        #[n(1)]
        conversation: ConversationId,
    },
}

/// Why a command was refused. Each says what was wrong; the text for people is its `Display`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Rejection {
    /// No such session, or it was ended, or its account is gone.
    #[n(0)]
    #[error("not logged in: the session is unknown, ended or expired")]
    SessionInvalid,
    /// `Register`: somebody has the name.
    #[n(1)]
    #[error("the name is taken")]
    NameTaken,
    /// A text or number beyond its bounds; the words say which.
    #[n(2)]
    #[error("{0}")]
    Invalid(#[n(0)] String),
    /// Nobody has that name.
    #[n(3)]
    #[error("no such user: {0}")]
    UnknownUser(#[n(0)] String),
    /// The conversation does not exist, or the one who asks is not in it.
    #[n(4)]
    #[error("no such conversation")]
    UnknownConversation,
    /// The message does not exist, or the one who asks may not see it.
    #[n(5)]
    #[error("no such message: {0}")]
    UnknownMessage(#[n(0)] EventId),
    /// The one who asks may not do that; the words say what.
    #[n(6)]
    #[error("{0}")]
    Forbidden(#[n(0)] String),
    /// The password (or the account's state) changed between the check and the command, or was wrong.
    #[n(7)]
    #[error("wrong name or password")]
    WrongCredential,
    /// The request's number is ahead of its instance: numbers before it are missing.
    #[n(8)]
    #[error("out of order: the next request number of this instance is {expected}")]
    OutOfOrder {
        /// The number that is due.
        #[n(0)]
        expected: u64,
    },
    /// The same request id came with other content.
    #[n(9)]
    #[error("request id used before with other content")]
    RequestMismatch,
    /// The request was answered so long ago that the reply is forgotten.
    #[n(10)]
    #[error("request answered too long ago: its reply is no longer kept")]
    ReplyForgotten,
    /// The instance was evicted by newer ones of the same session, or never existed.
    #[n(11)]
    #[error("unknown instance: too many newer ones of this session, or never opened")]
    UnknownInstance,
    /// No such session of this account.
    #[n(12)]
    #[error("no such session: {0}")]
    UnknownSession(#[n(0)] SessionId),
    /// The account may not log in; an administrator disabled it.
    #[n(25)]
    #[error("the account is disabled: ask an administrator")]
    AccountDisabled,
    /// The one who asks is no administrator.
    #[n(26)]
    #[error("only administrators may do that")]
    NotAdministrator,
    /// The message was deleted for everyone: there is nothing left to edit, answer or react to.
    #[n(19)]
    #[error("message {0} was deleted")]
    MessageDeleted(#[n(0)] EventId),
    /// A message has as many different reactions as it may have.
    #[n(20)]
    #[error("a message has at most {0} different reactions: use one that is there already")]
    TooManyReactions(#[n(0)] u64),
    /// A file beyond what is allowed.
    #[n(27)]
    #[error("an attachment has at most {limit_bytes} bytes")]
    AttachmentTooLarge {
        /// What is allowed.
        #[n(0)]
        limit_bytes: u64,
    },
    /// The account's attachments would take more than they may.
    #[n(28)]
    #[error(
        "no room: your attachments take {used_bytes} of {quota_bytes} bytes; delete messages with attachments first"
    )]
    QuotaExceeded {
        /// What they take.
        #[n(0)]
        used_bytes: u64,
        /// What they may take.
        #[n(1)]
        quota_bytes: u64,
    },
    /// There is no such attachment, it is not the one's who asks, or it was sent or has expired.
    #[n(29)]
    #[error("no such attachment: {0}")]
    UnknownAttachment(#[n(0)] AttachmentId),
    /// A part of a file, or its end, came before what is due.
    #[n(30)]
    #[error("out of place: the next byte of this upload is {expected}")]
    UploadOutOfPlace {
        /// The offset that is due.
        #[n(0)]
        expected: u64,
    },
    /// The one who asks has no such bot.
    #[n(31)]
    #[error("you have no such bot: {0}")]
    UnknownBot(#[n(0)] String),
    /// There is no such webhook, or the token is another one.
    #[n(32)]
    #[error("no such webhook, or a wrong token")]
    UnknownWebhook,
    /// The one who asks is a bot.
    #[n(33)]
    #[error("bots may not do that: their owners do")]
    NotForBots,
    /// No room has that name.
    #[n(13)]
    #[error("no such room: #{0}")]
    UnknownRoom(#[n(0)] String),
    /// Another room has the name.
    #[n(14)]
    #[error("another room is called #{0}")]
    RoomNameTaken(#[n(0)] String),
    /// The one who asks, or the one it is about, is not in the room; the words say who.
    #[n(15)]
    #[error("{0}")]
    NotInRoom(#[n(0)] String),
    /// The room is private, and there is no invitation to it.
    #[n(16)]
    #[error("you are not invited to #{0}")]
    NotInvited(#[n(0)] String),
    /// As many rooms, members, owners, moderators or invitations as there may be; the words say which.
    #[n(17)]
    #[error("{0}")]
    LimitReached(#[n(0)] String),
}
