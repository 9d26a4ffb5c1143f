//! Commands: every change of the replicated state. A command carries everything that is not
//! deterministic (token hashes, password hashes, random nonces), so that `apply` needs no clock and no
//! randomness. The numbers on variants and fields are stored in logs and are never reused.

use minicbor::{Decode, Encode};

use crate::{
    content::ContentHash,
    ids::{AccountId, AttachmentId, ConversationId, EventId, RequestId, RequestName, SessionId, TokenHash},
};

/// One change asked for by somebody. Encoded with CBOR; a new field must be optional.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Command {
    /// Create an account and its first session. A retry with the same token hash gets the same reply.
    #[n(0)]
    Register {
        /// As the user wrote it; unique ignoring case.
        #[n(0)]
        name: String,
        /// Argon2id in PHC string form.
        #[n(1)]
        password_hash: String,
        /// Of the token the new session will use.
        #[n(2)]
        token_hash: TokenHash,
        /// The device's name.
        #[n(3)]
        device: String,
    },
    /// Open a session; the gateway has verified the password. A retry with the same token hash gets
    /// the same reply.
    #[n(1)]
    LogIn {
        /// Who.
        #[n(0)]
        account: AccountId,
        /// The credential the gateway verified against; the log-in is refused if it changed since.
        #[n(1)]
        credential_version: u64,
        /// Of the token the new session will use.
        #[n(2)]
        token_hash: TokenHash,
        /// The device's name.
        #[n(3)]
        device: String,
    },
    /// End a session of the account that `session` belongs to (itself, or another device). Ending a session that is
    /// over is done, whoever ended it.
    #[n(2)]
    EndSession {
        /// On whose behalf.
        #[n(0)]
        session: TokenHash,
        /// Which one; none means the session itself (log out).
        #[n(1)]
        target: Option<SessionId>,
    },
    /// Delete the account of a session; the gateway has verified the password. A retry gets the same reply.
    #[n(3)]
    DeleteAccount {
        /// On whose behalf.
        #[n(0)]
        session: TokenHash,
        /// The credential the gateway verified against.
        #[n(1)]
        credential_version: u64,
    },
    /// Hand out a new instance of a session to a client process. A retry with the same nonce gets the
    /// same instance while that is still live.
    #[n(4)]
    OpenInstance {
        /// On whose behalf.
        #[n(0)]
        session: TokenHash,
        /// Random.
        #[n(1)]
        nonce: u64,
    },
    /// A numbered write of a session: run once, in order, however often it arrives.
    #[n(5)]
    Write {
        /// On whose behalf.
        #[n(0)]
        session: TokenHash,
        /// The write's name.
        #[n(1)]
        request: RequestId,
        /// What to do.
        #[n(2)]
        operation: Operation,
        /// Every number of the instance up to this one is answered, and will never be asked again: what acknowledges
        /// replies in RIFL (Lee et al., "Implementing Linearizability at Large Scale and Low Latency", SOSP 2015,
        /// section 3). None: nothing is said. Not part of what is to be done: a retry may say more than the first try.
        #[n(3)]
        answered: Option<u64>,
    },
    /// Extend a session's life to the full term from now; asked by a gateway when half of it has gone.
    #[n(6)]
    RenewSession {
        /// Which.
        #[n(0)]
        session: TokenHash,
    },
    /// Replace the account's password; the gateway has verified the old one. Ends all other sessions.
    #[n(7)]
    ChangePassword {
        /// On whose behalf.
        #[n(0)]
        session: TokenHash,
        /// The credential the gateway verified against.
        #[n(1)]
        credential_version: u64,
        /// Argon2id in PHC string form.
        #[n(2)]
        password_hash: String,
    },
    /// These accounts came or went a moment ago, say the servers that they were connected to. Nobody's command: a
    /// server proposes it now and then, for many accounts at once.
    #[n(9)]
    MarkSeen {
        /// Which, at most [`crate::bounds::SEEN_ACCOUNTS`].
        #[n(0)]
        accounts: Vec<AccountId>,
    },
    /// A numbered write whose client has named it: run once for its account, by whichever session it arrives again while
    /// its name is remembered. For clients that keep nothing but that name: the number is their gateway's.
    #[n(8)]
    NamedWrite {
        /// On whose behalf.
        #[n(0)]
        session: TokenHash,
        /// The write's name in its session: what makes it run in order, and once however often the servers pass it on.
        #[n(1)]
        request: RequestId,
        /// What to do.
        #[n(2)]
        operation: Operation,
        /// As in [`Command::Write`].
        #[n(3)]
        answered: Option<u64>,
        /// The write's name in its account.
        #[n(4)]
        name: RequestName,
    },
    /// Begin to upload a file, or ask how far that is: a retry with the same nonce finds the same upload.
    #[n(10)]
    BeginAttachment {
        /// On whose behalf.
        #[n(0)]
        session: TokenHash,
        /// Random.
        #[n(1)]
        nonce: u64,
        /// The file's name, at most [`crate::bounds::FILE_NAME_BYTES`].
        #[n(2)]
        name: String,
        /// What it is said to be, at most [`crate::bounds::CONTENT_TYPE_BYTES`]; may be empty.
        #[n(3)]
        content_type: String,
        /// Its size, at most [`crate::bounds::ATTACHMENT_BYTES`] whatever the server allows.
        #[n(4)]
        bytes: u64,
        /// What the account's attachments may take in all, by the configuration of the server that took the command.
        #[n(5)]
        quota_bytes: u64,
    },
    /// The next part of a file. One that is there already is done, whatever it holds.
    #[n(11)]
    PutChunk {
        /// On whose behalf.
        #[n(0)]
        session: TokenHash,
        /// Of which upload.
        #[n(1)]
        attachment: AttachmentId,
        /// Where in the file: a multiple of [`crate::bounds::CHUNK_BYTES`].
        #[n(2)]
        offset: u64,
        /// Of what it holds.
        #[n(3)]
        hash: ContentHash,
        /// [`crate::bounds::CHUNK_BYTES`], or what is left of the file.
        #[cbor(n(4), with = "minicbor::bytes")]
        content: Vec<u8>,
    },
    /// All of a file is there. A retry gets the same reply.
    #[n(12)]
    FinishAttachment {
        /// On whose behalf.
        #[n(0)]
        session: TokenHash,
        /// Which upload.
        #[n(1)]
        attachment: AttachmentId,
        /// Of the whole, as the gateway has seen it.
        #[n(2)]
        sha256: ContentHash,
        /// Of the chunks that the gateway has seen, see [`crate::content`].
        #[n(3)]
        chain: ContentHash,
        /// What the gateway has seen it to be, where that is not what was announced.
        #[n(4)]
        content_type: Option<String>,
    },
    /// Take back an upload that no message has yet. One that is not there (any more) is done.
    #[n(13)]
    DiscardAttachment {
        /// On whose behalf.
        #[n(0)]
        session: TokenHash,
        /// Which.
        #[n(1)]
        attachment: AttachmentId,
    },
    /// Send a message into the room of a webhook, in the webhook's name: run once under the request's name while that is
    /// remembered.
    #[n(14)]
    PostWebhook {
        /// Which: the account that bears its name.
        #[n(0)]
        webhook: AccountId,
        /// Of the token that was shown.
        #[n(1)]
        token: TokenHash,
        /// The request's name among those of the webhook; random where the one who posts gave none.
        #[n(2)]
        name: RequestName,
        /// The text, as for [`Operation::SendMessage`].
        #[n(3)]
        body: String,
        /// How many posts of the webhook were counted when this one came in ([`crate::query::webhook_counts`]). It is carried out only while it would still be
        /// known if it had been before: servers propose a command again whose answer they have not heard.
        #[n(4)]
        after: Option<u64>,
    },
}

/// Whom a message goes to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Recipient {
    /// A person, by name (any case): opens the direct conversation if there is none.
    #[n(0)]
    User(#[n(0)] String),
    /// A conversation the author is in.
    #[n(1)]
    Conversation(#[n(0)] ConversationId),
    /// A room, by name (any case), with or without its `#`. Resolved when the command is carried out, so that a name means
    /// the room that bears it then.
    #[n(2)]
    Room(#[n(0)] String),
}

/// What a member of a room may do there; each role may do what the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Role {
    /// Reads, writes, and invites to a public room.
    #[n(0)]
    Member,
    /// Invites to a private room too, removes members, sets the topic.
    #[n(1)]
    Moderator,
    /// Does everything: roles, the name, whether the room is public.
    #[n(2)]
    Owner,
}

/// For whom messages are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DeleteScope {
    /// Only for the one who asks.
    #[n(0)]
    Me,
    /// For everyone: only the author may; a tombstone stays.
    #[n(1)]
    Everyone,
}

/// A numbered write.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Operation {
    /// Send a message.
    #[n(0)]
    SendMessage {
        /// To whom.
        #[n(0)]
        to: Recipient,
        /// The text, at most [`crate::bounds::BODY_BYTES`]; may be empty where something is attached.
        #[n(1)]
        body: String,
        /// The message of the same conversation that it answers.
        #[n(2)]
        reply_to: Option<EventId>,
        /// Finished uploads of the author's that no message has yet, at most [`crate::bounds::ATTACHMENTS_PER_MESSAGE`].
        #[n(3)]
        attachments: Option<Vec<AttachmentId>>,
    },
    /// Move the reader's marker forward in a conversation (never back).
    #[n(1)]
    MarkRead {
        /// Where.
        #[n(0)]
        conversation: ConversationId,
        /// The last message read.
        #[n(1)]
        up_to: EventId,
    },
    /// Delete messages of one conversation: all of them or, if one may not be, none.
    #[n(2)]
    DeleteMessages {
        /// Where.
        #[n(0)]
        conversation: ConversationId,
        /// Which, at most [`crate::bounds::DELETE_IDS`].
        #[n(1)]
        messages: Vec<EventId>,
        /// For whom.
        #[n(2)]
        scope: DeleteScope,
    },
    /// Move the account's delivered-up-to mark forward: where a client without a cursor starts.
    #[n(3)]
    MarkDelivered {
        /// The last event delivered.
        #[n(0)]
        up_to: EventId,
    },
    /// Give one's own message another text.
    #[n(12)]
    EditMessage {
        /// Where.
        #[n(0)]
        conversation: ConversationId,
        /// Which.
        #[n(1)]
        message: EventId,
        /// The text, at most [`crate::bounds::BODY_BYTES`].
        #[n(2)]
        body: String,
    },
    /// Add a reaction to a message, or take it back.
    #[n(13)]
    React {
        /// Where.
        #[n(0)]
        conversation: ConversationId,
        /// To which message.
        #[n(1)]
        message: EventId,
        /// With what, at most [`crate::bounds::EMOJI_BYTES`].
        #[n(2)]
        emoji: String,
        /// Add it, or take it back.
        #[n(3)]
        add: bool,
    },
    /// Make a room, and be its owner.
    #[n(4)]
    CreateRoom {
        /// As for accounts; unique ignoring case among the rooms there are.
        #[n(0)]
        name: String,
        /// What it is about, at most [`crate::bounds::TOPIC_BYTES`]; may be empty.
        #[n(1)]
        topic: String,
        /// Anybody may find it and join; else only who is invited.
        #[n(2)]
        public: bool,
    },
    /// Become a member of a room. Done for one who is.
    #[n(5)]
    JoinRoom {
        /// Which.
        #[n(0)]
        room: Recipient,
    },
    /// Be no member of a room any more.
    #[n(6)]
    LeaveRoom {
        /// Which.
        #[n(0)]
        room: Recipient,
    },
    /// Let somebody join a room. Done for one who is invited, or in it.
    #[n(7)]
    InviteToRoom {
        /// Which.
        #[n(0)]
        room: Recipient,
        /// Whom, by name (any case).
        #[n(1)]
        user: String,
    },
    /// Take somebody out of a room, or back the invitation of one who has not joined.
    #[n(8)]
    RemoveFromRoom {
        /// Which.
        #[n(0)]
        room: Recipient,
        /// Whom, by name (any case).
        #[n(1)]
        user: String,
    },
    /// Give a member of a room a role.
    #[n(9)]
    SetRole {
        /// Which.
        #[n(0)]
        room: Recipient,
        /// Whose, by name (any case).
        #[n(1)]
        user: String,
        /// Which role.
        #[n(2)]
        role: Role,
    },
    /// Change what a room is; what is none stays as it is.
    #[n(10)]
    ChangeRoom {
        /// Which.
        #[n(0)]
        room: Recipient,
        /// A new name.
        #[n(1)]
        name: Option<String>,
        /// A new topic.
        #[n(2)]
        topic: Option<String>,
        /// Whether anybody may find it and join.
        #[n(3)]
        public: Option<bool>,
    },
    /// Turn down an invitation.
    #[n(11)]
    DeclineInvitation {
        /// To which room.
        #[n(0)]
        room: Recipient,
    },
    /// Choose the name that people are shown beside the account's own; empty: none.
    #[n(14)]
    SetDisplayName {
        /// At most [`crate::bounds::DISPLAY_NAME_BYTES`].
        #[n(0)]
        display_name: String,
    },
    /// Do something to an account as an administrator; recorded for all administrators to see.
    #[n(15)]
    Administer {
        /// The account's name, any case.
        #[n(0)]
        name: String,
        /// What.
        #[n(1)]
        action: AdministratorAction,
        /// The one who asks is an administrator by the configuration of the server that took the command; otherwise the
        /// account itself must be one.
        #[n(2)]
        by_configuration: bool,
    },
    /// Make a bot, or do something to one's own.
    #[n(16)]
    ManageBot {
        /// Its account's name, any case.
        #[n(0)]
        name: String,
        /// What.
        #[n(1)]
        action: BotAction,
    },
    /// Let whoever shows a token write into a room, by a bot account that is made for it; for moderators and owners.
    #[n(17)]
    CreateWebhook {
        /// Which room.
        #[n(0)]
        room: Recipient,
        /// The account's name, as for accounts.
        #[n(1)]
        name: String,
        /// Of the token.
        #[n(2)]
        token: TokenHash,
    },
    /// Delete a webhook and its account; for who made it, and for the room's moderators and owners.
    #[n(18)]
    DeleteWebhook {
        /// Which.
        #[n(0)]
        webhook: AccountId,
    },
    /// Take away the text of one's own message, which is then what is attached to it. Not an edit to nothing: that was refused once, and a log
    /// may be applied again.
    #[n(19)]
    RemoveText {
        /// Where.
        #[n(0)]
        conversation: ConversationId,
        /// Which.
        #[n(1)]
        message: EventId,
    },
}

/// What its owner may do with a bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BotAction {
    /// Make it.
    #[n(0)]
    Create {
        /// Of the token that logs it in.
        #[n(0)]
        token: TokenHash,
    },
    /// Replace the token; none: nothing logs it in any more. Ends its sessions.
    #[n(1)]
    SetToken {
        /// Of the new one.
        #[n(0)]
        token: Option<TokenHash>,
    },
    /// Delete it.
    #[n(2)]
    Delete,
}

/// What an administrator may do to an account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AdministratorAction {
    /// End its sessions, and let it not log in.
    #[n(0)]
    Disable,
    /// Let it log in again.
    #[n(1)]
    Enable,
    /// Give it another password, and end its sessions.
    #[n(2)]
    ResetPassword {
        /// Argon2id in PHC string form.
        #[n(0)]
        password_hash: String,
    },
    /// Delete it, as its owner could.
    #[n(3)]
    Delete,
    /// Let the name of a deleted account be taken again.
    #[n(4)]
    FreeName,
    /// Make it an administrator.
    #[n(5)]
    Grant,
    /// Make it an administrator no longer.
    #[n(6)]
    Revoke,
}
