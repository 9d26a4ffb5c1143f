//! `MarkRead`: the reader's marker moves forward.
//!
//! The event that told of the marker's last place is replaced, so that a mailbox holds one for each
//! conversation, however often it is read. A device that was away hears only of the newest, which is all it needs.

use std::ops::ControlFlow;

use super::{Context, Outcome};
use crate::{
    event::EventBody,
    ids::{AccountId, ConversationId, EventId},
    key::Key,
    record::{self, ConversationRecord, EventRecord, Marker, MembershipRecord},
    reply::{Rejection, Reply},
    store::{Direction, StoreError},
    visible::{Ids, View},
};

pub(super) fn mark_read(
    context: &mut Context<'_>,
    reader: AccountId,
    id: ConversationId,
    up_to: EventId,
) -> Outcome<Reply> {
    let membership = context.get::<MembershipRecord>(Key::Membership(reader, id))?;
    let mut membership = membership.ok_or(Rejection::UnknownConversation)?;
    let Some(marker) = marker_at(context, reader, id, &membership, up_to)? else {
        return Ok(Reply::Done);
    };
    if membership.marker.is_some_and(|old| marker.message <= old.message) {
        return Ok(Reply::Done);
    }
    let conversation: ConversationRecord = context.require(Key::Conversation(id))?;
    if let Some(old) = membership.marker_event {
        context.delete(Key::Mailbox(reader, old));
    }
    let unread = conversation.unread(reader, Some(&marker));
    let moved = EventBody::ReadMarkerMoved { conversation: id, up_to: marker.message, unread };
    membership.marker = Some(marker);
    membership.marker_event = Some(context.tell_account(reader, moved));
    context.put(Key::Membership(reader, id), &membership);
    Ok(Reply::Done)
}

/// The marker at the newest message at or before `up_to`, hidden ones included; none if there is no message.
fn marker_at(
    context: &Context<'_>,
    reader: AccountId,
    id: ConversationId,
    membership: &MembershipRecord,
    up_to: EventId,
) -> Result<Option<Marker>, StoreError> {
    // A hidden message is read like any other.
    let everything = MembershipRecord { hides: false, ..membership.clone() };
    let view = View { store: context.store, reader, conversation: id, membership: &everything };
    let mut newest = None;
    view.messages(Ids { first: 0, last: up_to.0 }, Direction::Descending, &mut |event, value| {
        newest = Some((event, record::decode::<EventRecord>(value)?));
        Ok(ControlFlow::Break(()))
    })?;
    let Some((message, EventRecord { body, .. })) = newest else {
        return Ok(None);
    };
    let EventBody::MessageSent { author, number, author_number, .. } = body else {
        return Err(StoreError::Corrupt(format!("{message} of conversation {id} is no message")));
    };
    // In a direct conversation, what is not the author's is the other's.
    let own = if author == reader { author_number } else { number.saturating_sub(author_number) };
    Ok(Some(Marker { message, number, own }))
}
