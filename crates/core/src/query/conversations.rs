//! Conversations as their members see them.

use super::{ConversationInfo, Paged, account_by_name, each_membership, history};
use crate::{
    bounds::PAGE,
    ids::{AccountId, ConversationId, EventId, Position},
    key::Key,
    record::{self, ConversationRecord, DirectRecord, MembershipRecord},
    reply::Rejection,
    store::{Read, StoreError},
    text,
    visible::View,
};

/// The direct conversation of `reader` with the person of that name. The outer rejection: no such user.
///
/// # Errors
/// When the store cannot be read.
pub fn direct_conversation(
    store: &dyn Read,
    reader: AccountId,
    peer_name: &str,
) -> Result<Result<Option<ConversationId>, Rejection>, StoreError> {
    let Some(peer) = account_by_name(store, peer_name)? else {
        return Ok(Err(Rejection::UnknownUser(text::quoted_name(peer_name))));
    };
    let key = Key::Direct(reader.min(peer.account), reader.max(peer.account));
    Ok(Ok(record::get::<DirectRecord>(store, key)?.map(|direct| direct.conversation)))
}

/// One conversation as `reader` sees it.
///
/// # Errors
/// When the store cannot be read.
pub fn conversation(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
) -> Result<Result<ConversationInfo, Rejection>, StoreError> {
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(reader, conversation))? else {
        return Ok(Err(Rejection::UnknownConversation));
    };
    let record: ConversationRecord = record::require(store, Key::Conversation(conversation))?;
    Ok(Ok(info(store, reader, conversation, &membership, &record)?))
}

/// The conversation an event belongs to, if `reader` may see it there.
///
/// No record leads from a message to its conversation (it would double what a message costs), so this looks
/// into the reader's conversations, one read each; only those older than the message.
///
/// # Errors
/// When the store cannot be read.
pub fn conversation_of_message(
    store: &dyn Read,
    reader: AccountId,
    message: EventId,
) -> Result<Option<ConversationId>, StoreError> {
    let mut found = None;
    each_membership(store, reader, None, |id, membership| {
        if id.0 > message.0 {
            return Ok(false);
        }
        if membership.covers(message)
            && (store.get(&Key::Message(id, message).bytes())?.is_some()
                || store.get(&Key::Notice(id, message).bytes())?.is_some())
        {
            found = Some(id);
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// The reader's conversations in the order of their ids, after `after`. At most [`PAGE`] of them. With
/// `unread_only`, all of them may have to be looked at.
///
/// # Errors
/// When the store cannot be read.
pub fn conversations(
    store: &dyn Read,
    reader: AccountId,
    unread_only: bool,
    after: Option<ConversationId>,
    limit: usize,
) -> Result<Paged<ConversationInfo>, StoreError> {
    let limit = limit.clamp(1, PAGE);
    let mut items = Vec::new();
    let mut more = false;
    each_membership(store, reader, after, |id, membership| {
        let record: ConversationRecord = record::require(store, Key::Conversation(id))?;
        if unread_only && record.unread(reader, membership.marker.as_ref()) == 0 {
            return Ok(true);
        }
        more = items.len() == limit;
        if !more {
            items.push(info(store, reader, id, &membership, &record)?);
        }
        Ok(!more)
    })?;
    Ok(Paged { items, more })
}

fn info(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
    membership: &MembershipRecord,
    record: &ConversationRecord,
) -> Result<ConversationInfo, StoreError> {
    let stranger =
        || StoreError::Corrupt(format!("account {reader} has a membership of {conversation} without being in it"));
    Ok(ConversationInfo {
        conversation,
        peer: record.peer_of(reader).ok_or_else(stranger)?,
        unread: record.unread(reader, membership.marker.as_ref()),
        read_up_to: membership.marker.map_or(Position::default(), |marker| marker.message.position()),
        messages: record.messages,
        last: history::newest(&View { store, reader, conversation, membership })?,
    })
}
