//! Numbered writes: from the wire to the domain, and their results back.
//!
//! A number that the state machine never sees leaves a gap that blocks all later numbers of its
//! instance. So only what cannot be understood is refused here (no operation, no recipient); content
//! beyond its bounds is passed on for `apply` to refuse, which uses the number up. What is passed on is
//! bounded all the same, by [`FORWARDED_BYTES`]: a refused write costs its bytes in every server's log.

use std::fmt;

use prost::Message as _;
use threefold_core::{
    AdministratorAction, AttachmentId, ConversationId, DeleteScope, EventId, Operation as Command, Position, Recipient,
    Rejection, Reply, RequestId, bounds,
};

use super::{Refusal, error_of};
use crate::chat::{self, recipient::To, write::Operation as Wire};

/// The most bytes of one operation that are passed on to the state machine, even if only to be refused
/// there: four times the largest good one.
pub const FORWARDED_BYTES: usize = 4 * bounds::BODY_BYTES;

/// "All there is" as a marker: positions stay below 2^53, and a marker goes to the newest message at or
/// before the one named. Left to the state machine and not filled in before, so that a retry is the same
/// request as the first try.
const EVERYTHING: EventId = EventId((1 << 53) - 1);

/// An operation as a client may put it. What it leaves open (which conversation) is resolved by the server,
/// from the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Complete.
    Complete(Command),
    /// Mark messages read in a conversation that is named by its person or its room.
    MarkRead {
        /// Where.
        place: Place,
        /// The last message read.
        up_to: EventId,
    },
    /// Delete messages of the conversation that the first of them is in.
    DeleteMessages {
        /// Which, and at least one.
        messages: Vec<EventId>,
        /// For whom.
        scope: DeleteScope,
    },
    /// Edit a message, wherever it is.
    EditMessage {
        /// Which.
        message: EventId,
        /// The new text.
        body: String,
    },
    /// React to a message, wherever it is.
    React {
        /// To which.
        message: EventId,
        /// With what.
        emoji: String,
        /// Add it, or take it back.
        add: bool,
    },
    /// Do something to an account. Whether a configuration entitles the one who asks is the server's to say.
    Administer {
        /// The account's name.
        name: String,
        /// What.
        action: Administer,
    },
}

/// What is to be done to an account.
#[derive(Clone, PartialEq, Eq)]
pub enum Administer {
    /// Complete.
    Complete(AdministratorAction),
    /// Give it this password, which is still to be hashed.
    ResetPassword(String),
}

impl fmt::Debug for Administer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete(AdministratorAction::ResetPassword { .. }) | Self::ResetPassword(_) => {
                f.write_str("ResetPassword(..)")
            }
            Self::Complete(action) => action.fmt(f),
        }
    }
}

/// A conversation, named by itself, by the person it is with, or as a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The room of this name.
    Room(String),
    /// The direct conversation with the person of this name.
    With(String),
    /// This conversation.
    Conversation(ConversationId),
}

impl TryFrom<Option<chat::Recipient>> for Place {
    type Error = Refusal;

    fn try_from(recipient: Option<chat::Recipient>) -> Result<Self, Refusal> {
        match recipient.and_then(|recipient| recipient.to) {
            Some(To::User(name)) => Ok(Self::With(name)),
            Some(To::Room(name)) => Ok(Self::Room(name)),
            Some(To::Conversation(conversation)) => Ok(Self::Conversation(ConversationId(conversation))),
            None => Err(Refusal::invalid("no user, no room and no conversation is named")),
        }
    }
}

impl From<Place> for Recipient {
    fn from(place: Place) -> Self {
        match place {
            Place::With(name) => Self::User(name),
            Place::Room(name) => Self::Room(name),
            Place::Conversation(conversation) => Self::Conversation(conversation),
        }
    }
}

impl TryFrom<Option<Wire>> for Operation {
    type Error = Refusal;

    fn try_from(wire: Option<Wire>) -> Result<Self, Refusal> {
        match wire {
            Some(Wire::Send(send)) => send.try_into(),
            Some(Wire::MarkRead(mark)) => mark.try_into(),
            Some(Wire::Delete(delete)) => delete.try_into(),
            Some(Wire::MarkDelivered(mark)) => {
                Ok(Self::Complete(Command::MarkDelivered { up_to: EventId(mark.up_to) }))
            }
            Some(Wire::SetDisplayName(set)) => set.try_into(),
            Some(Wire::Administer(administer)) => administer.try_into(),
            Some(Wire::Edit(edit)) => edit.try_into(),
            Some(Wire::React(react)) => react.try_into(),
            Some(Wire::CreateRoom(create)) => create.try_into(),
            Some(Wire::JoinRoom(join)) => join.try_into(),
            Some(Wire::LeaveRoom(leave)) => leave.try_into(),
            Some(Wire::InviteToRoom(invite)) => invite.try_into(),
            Some(Wire::RemoveFromRoom(remove)) => remove.try_into(),
            Some(Wire::SetRole(set)) => set.try_into(),
            Some(Wire::ChangeRoom(change)) => change.try_into(),
            Some(Wire::DeclineInvitation(decline)) => decline.try_into(),
            Some(Wire::CreateBot(create)) => create.try_into(),
            Some(Wire::SetBotToken(set)) => set.try_into(),
            Some(Wire::DeleteBot(delete)) => delete.try_into(),
            Some(Wire::CreateWebhook(create)) => create.try_into(),
            Some(Wire::DeleteWebhook(delete)) => delete.try_into(),
            None => Err(Refusal::invalid("the write has no operation that this server knows")),
        }
    }
}

impl TryFrom<chat::SendMessage> for Operation {
    type Error = Refusal;

    fn try_from(send: chat::SendMessage) -> Result<Self, Refusal> {
        forwardable(send.encoded_len())?;
        let to = Place::try_from(send.to)?.into();
        let reply_to = (send.reply_to != 0).then_some(EventId(send.reply_to));
        let attachments: Vec<_> = send.attachments.into_iter().map(AttachmentId).collect();
        let attachments = (!attachments.is_empty()).then_some(attachments);
        Ok(Self::Complete(Command::SendMessage { to, body: send.body, reply_to, attachments }))
    }
}

impl TryFrom<chat::MarkRead> for Operation {
    type Error = Refusal;

    fn try_from(mark: chat::MarkRead) -> Result<Self, Refusal> {
        forwardable(mark.encoded_len())?;
        let up_to = if mark.up_to == 0 { EVERYTHING } else { EventId(mark.up_to) };
        Ok(match Place::try_from(mark.r#in)? {
            Place::Conversation(conversation) => Self::Complete(Command::MarkRead { conversation, up_to }),
            place @ (Place::With(_) | Place::Room(_)) => Self::MarkRead { place, up_to },
        })
    }
}

impl TryFrom<chat::DeleteMessages> for Operation {
    type Error = Refusal;

    fn try_from(delete: chat::DeleteMessages) -> Result<Self, Refusal> {
        forwardable(delete.encoded_len())?;
        let scope = if delete.for_everyone { DeleteScope::Everyone } else { DeleteScope::Me };
        let messages: Vec<_> = delete.messages.into_iter().map(EventId).collect();
        Ok(if delete.conversation == 0 && !messages.is_empty() {
            Self::DeleteMessages { messages, scope }
        } else {
            let conversation = ConversationId(delete.conversation);
            Self::Complete(Command::DeleteMessages { conversation, messages, scope })
        })
    }
}

impl TryFrom<chat::SetDisplayName> for Operation {
    type Error = Refusal;

    fn try_from(set: chat::SetDisplayName) -> Result<Self, Refusal> {
        forwardable(set.encoded_len())?;
        Ok(Self::Complete(Command::SetDisplayName { display_name: set.display_name }))
    }
}

impl TryFrom<chat::Administer> for Operation {
    type Error = Refusal;

    fn try_from(administer: chat::Administer) -> Result<Self, Refusal> {
        use chat::administer::Action;
        forwardable(administer.encoded_len())?;
        let complete = |action| Ok(Administer::Complete(action));
        let action = match administer.action {
            Some(Action::Disable(chat::Disable {})) => complete(AdministratorAction::Disable),
            Some(Action::Enable(chat::Enable {})) => complete(AdministratorAction::Enable),
            Some(Action::ResetPassword(reset)) => Ok(Administer::ResetPassword(reset.new_password)),
            Some(Action::Delete(chat::DeleteForGood {})) => complete(AdministratorAction::Delete),
            Some(Action::FreeName(chat::FreeName {})) => complete(AdministratorAction::FreeName),
            Some(Action::Grant(chat::Grant {})) => complete(AdministratorAction::Grant),
            Some(Action::Revoke(chat::Revoke {})) => complete(AdministratorAction::Revoke),
            None => Err(Refusal::invalid("nothing that this server knows is to be done to the account")),
        };
        Ok(Self::Administer { name: administer.name, action: action? })
    }
}

impl TryFrom<chat::EditMessage> for Operation {
    type Error = Refusal;

    fn try_from(edit: chat::EditMessage) -> Result<Self, Refusal> {
        forwardable(edit.encoded_len())?;
        let (message, body) = (EventId(edit.message), edit.body);
        Ok(match edit.conversation {
            0 => Self::EditMessage { message, body },
            id => Self::Complete(edit_of(ConversationId(id), message, body)),
        })
    }
}

/// The edit of a message there. One to nothing takes its text away.
#[must_use]
pub fn edit_of(conversation: ConversationId, message: EventId, body: String) -> Command {
    match body.is_empty() {
        true => Command::RemoveText { conversation, message },
        false => Command::EditMessage { conversation, message, body },
    }
}

impl TryFrom<chat::React> for Operation {
    type Error = Refusal;

    fn try_from(react: chat::React) -> Result<Self, Refusal> {
        forwardable(react.encoded_len())?;
        let (message, emoji, add) = (EventId(react.message), react.emoji, !react.remove);
        Ok(match react.conversation {
            0 => Self::React { message, emoji, add },
            id => Self::Complete(Command::React { conversation: ConversationId(id), message, emoji, add }),
        })
    }
}

pub(super) fn forwardable(bytes: usize) -> Result<(), Refusal> {
    if bytes > FORWARDED_BYTES {
        let bound = bounds::BODY_BYTES;
        return Err(Refusal::invalid(format!("a message has at most {bound} bytes of text; this write has {bytes}")));
    }
    Ok(())
}

/// A write's name.
///
/// # Errors
/// When there is none. (Whether the instance and the number are due is the state machine's to say.)
pub fn request_id(request: Option<chat::RequestId>) -> Result<RequestId, Refusal> {
    match request {
        Some(chat::RequestId { instance, number }) if number != 0 => Ok(RequestId { instance, number }),
        Some(_) => Err(Refusal::invalid("request numbers count from 1")),
        None => Err(Refusal::invalid("the write has no request id")),
    }
}

/// What a write says of the answers before it.
#[must_use]
pub fn answered(write: &chat::Write) -> Option<u64> {
    (write.answered != 0).then_some(write.answered)
}

/// A write's result on a stream.
#[must_use]
pub fn result(request: Option<chat::RequestId>, outcome: Result<(Reply, Position), Refusal>) -> chat::WriteResult {
    use chat::write_result::Result as Wire;
    let result = match outcome {
        Ok((Reply::MessageSent { conversation, event, time_ms }, _)) => {
            Wire::Sent(chat::MessageSent { conversation: conversation.0, id: event.0, time_ms })
        }
        Ok((Reply::Done, position)) => Wire::Done(chat::Done { position: position.0 }),
        Ok((Reply::RoomCreated { conversation, event }, _)) => {
            Wire::RoomCreated(chat::RoomCreated { conversation: conversation.0, id: event.0 })
        }
        Ok((Reply::BotCreated { account }, _)) => Wire::BotCreated(chat::BotCreated { account: account.0 }),
        Ok((Reply::WebhookCreated { webhook, conversation }, _)) => {
            Wire::WebhookCreated(chat::WebhookCreated { webhook: webhook.0, conversation: conversation.0 })
        }
        Ok((Reply::Rejected(rejection), _)) => Wire::Error(error_of(&rejection.into())),
        Ok((
            Reply::SessionOpened { .. }
            | Reply::InstanceOpened { .. }
            | Reply::UploadReached { .. }
            | Reply::AttachmentFinished(_),
            _,
        )) => Wire::Error(error_of(&unexpected())),
        Err(refusal) => Wire::Error(error_of(&refusal)),
    };
    chat::WriteResult { request, result: Some(result) }
}

/// The reply to a registration or log-in.
///
/// # Errors
/// When it was refused.
pub fn session_reply(reply: Reply, position: Position, servers: Vec<String>) -> Result<chat::SessionReply, Refusal> {
    match reply {
        Reply::SessionOpened { account, session, instance, name, expires_at_ms, delivered_up_to } => {
            Ok(chat::SessionReply {
                account: account.0,
                session: session.0,
                instance,
                name,
                expires_at_ms,
                delivered_up_to,
                servers,
                position: position.0,
            })
        }
        Reply::Rejected(rejection) => Err(rejection.into()),
        Reply::InstanceOpened { .. }
        | Reply::MessageSent { .. }
        | Reply::Done
        | Reply::RoomCreated { .. }
        | Reply::UploadReached { .. }
        | Reply::AttachmentFinished(_)
        | Reply::BotCreated { .. }
        | Reply::WebhookCreated { .. } => Err(unexpected()),
    }
}

fn unexpected() -> Refusal {
    Refusal::Internal("the state machine answered another kind of request".into())
}

impl From<Refusal> for chat::Error {
    fn from(refusal: Refusal) -> Self {
        error_of(&refusal)
    }
}

impl From<&Rejection> for chat::Error {
    fn from(rejection: &Rejection) -> Self {
        error_of(&Refusal::Rejected(rejection.clone()))
    }
}

#[cfg(test)]
mod tests;
