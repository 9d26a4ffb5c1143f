//! The message that a command is about: whether the account may answer it, react to it or edit it.

use super::{Context, Outcome};
use crate::{
    event::EventBody,
    ids::{AccountId, ConversationId, EventId},
    key::Key,
    record::{EventRecord, MembershipRecord},
    reply::Rejection,
    visible::{Reach, View},
};

/// A message that the account sees, in a conversation that it is in now, and that was not deleted for everyone.
pub(super) fn find(
    context: &Context<'_>,
    account: AccountId,
    conversation: ConversationId,
    message: EventId,
) -> Outcome<EventRecord> {
    let membership = context.get::<MembershipRecord>(Key::Membership(account, conversation))?;
    let membership = membership.ok_or(Rejection::UnknownConversation)?;
    if !membership.is_in() {
        return Err(Rejection::Forbidden("who is not in a conversation any more can only read it".to_owned()).into());
    }
    let record = context.get::<EventRecord>(Key::Message(conversation, message))?;
    let view =
        View { store: context.store, reader: account, conversation, membership: &membership, reach: Reach::Readable };
    match record {
        Some(record) if view.shows(message)? => match record.body {
            EventBody::MessageSent { deleted: true, .. } => Err(Rejection::MessageDeleted(message).into()),
            _ => Ok(record),
        },
        _ => Err(Rejection::UnknownMessage(message).into()),
    }
}
