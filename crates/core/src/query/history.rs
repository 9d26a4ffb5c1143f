//! Pages of a conversation.

use std::ops::ControlFlow;

use super::{Page, Paged};
use crate::{
    bounds::PAGE,
    event::{Event, Scope},
    ids::{AccountId, ConversationId},
    key::Key,
    record::{self, EventRecord, MembershipRecord},
    reply::Rejection,
    store::{Direction, Read, StoreError},
    visible::{Ids, View},
};

/// Messages (only [`crate::EventBody::MessageSent`], tombstones included, hidden ones not) of a conversation,
/// oldest first. At most [`PAGE`] of them.
///
/// # Errors
/// When the store cannot be read.
pub fn history(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
    page: Page,
    limit: usize,
) -> Result<Result<Paged<Event>, Rejection>, StoreError> {
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(reader, conversation))? else {
        return Ok(Err(Rejection::UnknownConversation));
    };
    let view = View { store, reader, conversation, membership: &membership };
    let (ids, direction) = match page {
        Page::Before(None) => (Some(Ids::ALL), Direction::Descending),
        Page::Before(Some(event)) => {
            (event.0.checked_sub(1).map(|last| Ids { last, ..Ids::ALL }), Direction::Descending)
        }
        Page::After(position) => {
            (position.0.checked_add(1).map(|first| Ids { first, ..Ids::ALL }), Direction::Ascending)
        }
    };
    let limit = limit.clamp(1, PAGE);
    let mut items = match ids {
        Some(ids) => read(&view, ids, direction, limit + 1)?,
        None => Vec::new(),
    };
    let more = items.len() > limit;
    items.truncate(limit);
    if direction == Direction::Descending {
        items.reverse();
    }
    Ok(Ok(Paged { items, more }))
}

/// The newest message the reader may see.
pub(super) fn newest(view: &View<'_>) -> Result<Option<Event>, StoreError> {
    Ok(read(view, Ids::ALL, Direction::Descending, 1)?.pop())
}

fn read(view: &View<'_>, ids: Ids, direction: Direction, count: usize) -> Result<Vec<Event>, StoreError> {
    let mut found = Vec::new();
    view.messages(ids, direction, &mut |event, value| {
        let record: EventRecord = record::decode(value)?;
        found.push(record.into_event(event, Scope::Conversation(view.conversation)));
        Ok(if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}
