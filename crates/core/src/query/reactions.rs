//! Reactions: how many of what below a message, and by whom.

use std::{collections::BTreeMap, ops::ControlFlow};

use super::{Paged, ReactedBy, ReactionInfo, Shown};
use crate::{
    bounds::PAGE,
    event::{Event, EventBody},
    ids::{AccountId, ConversationId, EventId},
    key::{self, Key, Range},
    record::{self, EventRecord, MembershipRecord, ReactionRecord, ReactionsRecord},
    reply::Rejection,
    scan,
    store::{Direction, Read, StoreError},
    visible::{Reach, View},
};

/// Who reacted to a message, with one emoji or with any: in the order of the emoji, then of the accounts, after
/// `after`. At most [`PAGE`] of them. Nobody reacts to a deleted message.
///
/// # Errors
/// When the store cannot be read.
pub fn reactions(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
    message: EventId,
    emoji: Option<&str>,
    after: Option<(&str, AccountId)>,
    limit: usize,
) -> Result<Result<Paged<ReactedBy>, Rejection>, StoreError> {
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(reader, conversation))? else {
        return Ok(Err(Rejection::UnknownConversation));
    };
    let view = View { store, reader, conversation, membership: &membership, reach: Reach::Readable };
    let Some(record) = record::get::<EventRecord>(store, Key::Message(conversation, message))? else {
        return Ok(Err(Rejection::UnknownMessage(message)));
    };
    if !view.shows(message)? {
        return Ok(Err(Rejection::UnknownMessage(message)));
    }
    let mut page = Paged { items: Vec::new(), more: false };
    if is_deleted(&record.body) {
        return Ok(Ok(page));
    }
    let limit = limit.clamp(1, PAGE);
    let mut range = Range::reacting(conversation, message, emoji);
    if let Some((emoji, account)) = after {
        range = range.after(Key::Reaction(conversation, message, emoji, account));
    }
    if range.start >= range.end {
        return Ok(Ok(page));
    }
    scan::scan(store, &range, Direction::Ascending, |key, _| {
        page.more = page.items.len() == limit;
        if page.more {
            return Ok(ControlFlow::Break(()));
        }
        let (emoji, account) = key::reaction(key)?;
        page.items.push(ReactedBy { emoji: emoji.to_owned(), account });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(Ok(page))
}

/// Messages that the reader may see, in order, with the reactions to them.
pub(super) fn shown(view: &View<'_>, events: Vec<Event>) -> Result<Vec<Shown>, StoreError> {
    let mut summaries = summaries(view, &events)?;
    let mut shown = Vec::with_capacity(events.len());
    for event in events {
        let summary = summaries.remove(&event.id).filter(|_| !is_deleted(&event.body)).unwrap_or_default();
        let mut reactions = Vec::with_capacity(summary.counts.len());
        for of in summary.counts {
            let own = Key::Reaction(view.conversation, event.id, &of.emoji, view.reader);
            let own = record::get::<ReactionRecord>(view.store, own)?.is_some();
            reactions.push(ReactionInfo { emoji: of.emoji, count: of.count, own });
        }
        shown.push(Shown { event, reactions });
    }
    Ok(shown)
}

/// One look finds what there is for a page, which is mostly nothing; where other messages may lie between those of the
/// page, each has its own.
fn summaries(view: &View<'_>, events: &[Event]) -> Result<BTreeMap<EventId, ReactionsRecord>, StoreError> {
    let mut found = BTreeMap::new();
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(found) };
    if view.membership.hides || view.membership.spans.len() > 1 {
        for event in events {
            let summary = record::get::<ReactionsRecord>(view.store, Key::Reactions(view.conversation, event.id))?;
            found.extend(summary.map(|summary| (event.id, summary)));
        }
        return Ok(found);
    }
    let range = Range::reactions(view.conversation, first.id, last.id);
    scan::scan(view.store, &range, Direction::Ascending, |key, value| {
        found.insert(EventId(key::last_id(key)?), record::decode(value)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

fn is_deleted(body: &EventBody) -> bool {
    matches!(body, EventBody::MessageSent { deleted: true, .. })
}
