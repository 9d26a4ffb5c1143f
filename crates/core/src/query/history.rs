//! Pages of a conversation, and single messages of it.

use std::ops::ControlFlow;

use super::{HistoryPage, Page, Shown, reactions};
use crate::{
    bounds::{EVENTS_BYTES, MESSAGES_BY_ID, PAGE},
    event::{Event, Scope},
    ids::{AccountId, ConversationId, EventId},
    key::Key,
    record::{self, ConversationRecord, EventRecord, MembershipRecord},
    reply::Rejection,
    store::{Direction, Read, StoreError},
    visible::{Ids, Reach, View},
};

/// Messages (only [`crate::EventBody::MessageSent`], tombstones included, hidden ones not) of a conversation,
/// oldest first. At most [`PAGE`] of them, and no more than fit into [`EVENTS_BYTES`], one at least: `older` and `newer` say truly whether
/// there are more.
///
/// # Errors
/// When the store cannot be read.
pub fn history(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
    page: Page,
    limit: usize,
) -> Result<Result<HistoryPage, Rejection>, StoreError> {
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(reader, conversation))? else {
        return Ok(Err(Rejection::UnknownConversation));
    };
    let view = View { store, reader, conversation, membership: &membership, reach: Reach::Readable };
    let limit = limit.clamp(1, PAGE);
    let sides = match page {
        Page::Before(None) => Sides::read(&view, None, limit, 0, EVENTS_BYTES)?,
        Page::Before(Some(event)) => Sides::read(&view, Some(event.0), limit, 0, EVENTS_BYTES)?,
        Page::After(position) => Sides::read(&view, position.0.checked_add(1), 0, limit, EVENTS_BYTES)?,
        Page::Around(event) => Sides::read(&view, Some(event.0), limit, limit, EVENTS_BYTES / 2)?.balanced(limit),
        Page::At(time_ms) => {
            Sides::read(&view, first_at(&view, time_ms)?.map(|event| event.0), 0, limit, EVENTS_BYTES)?
        }
    };
    let Sides { mut before, after, older, newer } = sides;
    before.reverse();
    before.extend(after);
    Ok(Ok(HistoryPage { items: reactions::shown(&view, before)?, older, newer }))
}

/// Messages of a conversation by their ids, in the order of those; what the reader may not see is left out, and so
/// is what stands behind the first [`MESSAGES_BY_ID`].
///
/// # Errors
/// When the store cannot be read.
pub fn messages(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
    ids: &[EventId],
) -> Result<Result<Vec<Shown>, Rejection>, StoreError> {
    let Some(membership) = record::get::<MembershipRecord>(store, Key::Membership(reader, conversation))? else {
        return Ok(Err(Rejection::UnknownConversation));
    };
    let view = View { store, reader, conversation, membership: &membership, reach: Reach::Readable };
    let mut found = Vec::new();
    for id in ids.iter().take(MESSAGES_BY_ID) {
        if let Some(record) = record::get::<EventRecord>(store, Key::Message(conversation, *id))?
            && view.shows(*id)?
        {
            found.extend(reactions::shown(&view, vec![record.into_event(*id, Scope::Conversation(conversation))])?);
        }
    }
    Ok(Ok(found))
}

/// The newest message the reader may see.
pub(super) fn newest(view: &View<'_>) -> Result<Option<Event>, StoreError> {
    Ok(read(view, Ids::ALL, Direction::Descending, 1)?.pop())
}

/// The messages before a place, newest first, and those from it on, oldest first.
struct Sides {
    before: Vec<Event>,
    after: Vec<Event>,
    /// There are more before those.
    older: bool,
    /// There are more after those.
    newer: bool,
}

impl Sides {
    /// So many before the id `place`, and so many from it on, each no more than fit into so many bytes. No place: the end.
    fn read(
        view: &View<'_>,
        place: Option<u64>,
        before: usize,
        after: usize,
        bytes: usize,
    ) -> Result<Self, StoreError> {
        let older = match place {
            None => Some(Ids::ALL),
            Some(place) => place.checked_sub(1).map(|last| Ids { last, ..Ids::ALL }),
        };
        let newer = place.map(|first| Ids { first, ..Ids::ALL });
        let (before, older) = side(view, older, Direction::Descending, before, bytes)?;
        let (after, newer) = side(view, newer, Direction::Ascending, after, bytes)?;
        Ok(Self { before, after, older, newer })
    }

    /// So many of both together, and half of them from before: fewer only where there are no more.
    fn balanced(mut self, limit: usize) -> Self {
        let before = (limit / 2).max(limit.saturating_sub(self.after.len())).min(self.before.len());
        let after = limit.saturating_sub(before).min(self.after.len());
        self.older |= before < self.before.len();
        self.newer |= after < self.after.len();
        self.before.truncate(before);
        self.after.truncate(after);
        self
    }
}

/// The first messages of these ids, and whether there are more.
fn side(
    view: &View<'_>,
    ids: Option<Ids>,
    direction: Direction,
    count: usize,
    bytes: usize,
) -> Result<(Vec<Event>, bool), StoreError> {
    let Some(ids) = ids else { return Ok((Vec::new(), false)) };
    let (mut found, mut left, mut more) = (Vec::new(), bytes, false);
    view.messages(ids, direction, &mut |event, value| {
        // One that is larger than a page is a page.
        if found.len() == count || (value.len() > left && !found.is_empty()) {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        left = left.saturating_sub(value.len());
        let record: EventRecord = record::decode(value)?;
        found.push(record.into_event(event, Scope::Conversation(view.conversation)));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((found, more))
}

/// The first message of that time or later, a hidden one too.
///
/// Times do not decrease from one message to the next, so this halves the ids between which it must be: at most 64
/// times, whatever the conversation holds.
fn first_at(view: &View<'_>, time_ms: u64) -> Result<Option<EventId>, StoreError> {
    let everything = MembershipRecord { hides: false, ..view.membership.clone() };
    let view = View { membership: &everything, ..*view };
    let conversation: ConversationRecord = record::require(view.store, Key::Conversation(view.conversation))?;
    let mut ids = Ids { first: view.conversation.0, last: conversation.last_message.0 };
    let mut found = None;
    while ids.first <= ids.last {
        let middle = ids.first + (ids.last - ids.first) / 2;
        match read(&view, Ids { first: middle, ..ids }, Direction::Ascending, 1)?.pop() {
            Some(event) if event.time_ms < time_ms => ids.first = event.id.0.saturating_add(1),
            other => {
                found = other.map(|event| event.id).or(found);
                let Some(last) = middle.checked_sub(1) else { break };
                ids.last = last;
            }
        }
    }
    Ok(found)
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        DeleteScope, Position,
        bounds::BODY_BYTES,
        world::{Device, World, text},
    };

    /// A conversation with these pauses before its messages, some of them hidden by who reads it.
    fn talk(pauses: &[u64], hidden: &[usize]) -> (World, Device, ConversationId, Vec<(EventId, u64)>) {
        let mut world = World::new();
        let (mut ann, _bob) = (world.register("ann"), world.register("bob"));
        let mut messages = Vec::new();
        let mut conversation = world.send(&mut ann, "ann", "elsewhere").0;
        for (number, pause) in pauses.iter().enumerate() {
            world.time_ms += pause;
            let (place, event) = world.send(&mut ann, "bob", &format!("{number}"));
            conversation = place;
            messages.push((event, world.time_ms));
        }
        let hidden: Vec<_> = hidden.iter().filter_map(|index| messages.get(*index)).map(|(event, _)| *event).collect();
        if !hidden.is_empty() {
            world.delete(&mut ann, conversation, &hidden, DeleteScope::Me);
            messages.retain(|(event, _)| !hidden.contains(event));
        }
        (world, ann, conversation, messages)
    }

    fn page(world: &World, reader: &Device, conversation: ConversationId, page: Page, limit: usize) -> HistoryPage {
        history(&world.store, reader.account, conversation, page, limit).unwrap().unwrap()
    }

    #[test]
    fn around_a_message_is_half_before_and_half_after() {
        let (world, ann, conversation, messages) = talk(&[1; 10], &[]);
        let around = |index: usize, limit| {
            let found = page(&world, &ann, conversation, Page::Around(messages[index].0), limit);
            let texts: Vec<_> = found.items.iter().map(|shown| text(&shown.event)).collect();
            (texts.concat(), found.older, found.newer)
        };
        assert_eq!(around(5, 4), ("3456".to_owned(), true, true));
        assert_eq!(around(5, 5), ("34567".to_owned(), true, true));
        assert_eq!(around(5, 1), ("5".to_owned(), true, true));
        assert_eq!(around(0, 4), ("0123".to_owned(), false, true));
        assert_eq!(around(9, 4), ("6789".to_owned(), true, false));
        assert_eq!(around(5, 100), ("0123456789".to_owned(), false, false));
    }

    #[test]
    fn both_directions_are_told_of_every_page() {
        let (world, ann, conversation, messages) = talk(&[1; 4], &[]);
        let sides = |of, limit| {
            let found = page(&world, &ann, conversation, of, limit);
            (found.items.len(), found.older, found.newer)
        };
        assert_eq!(sides(Page::Before(None), 4), (4, false, false));
        assert_eq!(sides(Page::Before(None), 3), (3, true, false));
        assert_eq!(sides(Page::Before(Some(messages[0].0)), 3), (0, false, true));
        assert_eq!(sides(Page::After(messages[3].0.position()), 3), (0, true, false));
        assert_eq!(sides(Page::After(messages[0].0.position()), 2), (2, true, true));
        assert_eq!(sides(Page::At(u64::MAX), 2), (0, true, false));
        assert_eq!(sides(Page::Around(EventId(u64::MAX)), 2), (2, true, false));
        assert_eq!(sides(Page::Around(EventId(0)), 2), (2, false, true));
    }

    /// As whoever looks through everything does: nothing is missed, and no page is large.
    #[test]
    fn a_page_of_long_messages_is_shorter_and_says_so() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let (long, count) = ("x".repeat(BODY_BYTES), 60);
        let mut sent = Vec::new();
        let mut conversation = ConversationId(0);
        for _ in 0..count {
            let (place, event) = world.send(&mut ann, "ann", &long);
            conversation = place;
            sent.push(event);
        }
        let ids = |found: &HistoryPage| found.items.iter().map(|shown| shown.event.id).collect::<Vec<_>>();
        let fits = |found: &HistoryPage| found.items.len() * BODY_BYTES <= EVENTS_BYTES;
        let (mut backwards, mut before) = (Vec::new(), None);
        loop {
            let found = page(&world, &ann, conversation, Page::Before(before), PAGE);
            assert!(fits(&found) && !found.items.is_empty());
            backwards.splice(0..0, ids(&found));
            before = backwards.first().copied();
            if !found.older {
                break;
            }
        }
        assert_eq!(backwards, sent);
        let (mut forwards, mut after) = (Vec::new(), Position(0));
        loop {
            let found = page(&world, &ann, conversation, Page::After(after), PAGE);
            assert!(fits(&found) && !found.items.is_empty());
            forwards.extend(ids(&found));
            after = forwards.last().unwrap().position();
            if !found.newer {
                break;
            }
        }
        assert_eq!(forwards, sent);
        let around = page(&world, &ann, conversation, Page::Around(sent[30]), PAGE);
        assert!(fits(&around) && around.older && around.newer && ids(&around).contains(&sent[30]));
    }

    #[test]
    fn single_messages_are_shown_to_those_who_may_see_them() {
        let (mut world, ann, conversation, messages) = talk(&[1; 3], &[1]);
        let eve = world.register("eve");
        let ids = [messages[1].0, EventId(5), messages[0].0, EventId(messages[0].0.0 + 1)];
        let found = super::messages(&world.store, ann.account, conversation, &ids).unwrap().unwrap();
        assert_eq!(found.iter().map(|shown| text(&shown.event)).collect::<Vec<_>>(), ["2", "0"]);
        let refused = super::messages(&world.store, eve.account, conversation, &ids).unwrap();
        assert_eq!(refused, Err(Rejection::UnknownConversation));
        let many = vec![messages[0].0; MESSAGES_BY_ID + 1];
        assert_eq!(
            super::messages(&world.store, ann.account, conversation, &many).unwrap().unwrap().len(),
            MESSAGES_BY_ID
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a look at every message.
        #[test]
        fn from_a_time_on(pauses in vec(0u64..5, 0..20), hidden in vec(0usize..20, 0..6), after in 0u64..60, limit in 1usize..8) {
            let (world, ann, conversation, messages) = talk(&pauses, &hidden);
            prop_assume!(!pauses.is_empty());
            let time_ms = 1_000_000 + after;
            let found = page(&world, &ann, conversation, Page::At(time_ms), limit);
            let expected: Vec<_> = messages.iter().filter(|(_, at)| *at >= time_ms).map(|(event, _)| *event).collect();
            let ids: Vec<_> = found.items.iter().map(|shown| shown.event.id).collect();
            prop_assert_eq!(&ids, &expected[..limit.min(expected.len())]);
            prop_assert_eq!(found.newer, expected.len() > limit);
            prop_assert_eq!(found.older, expected.len() < messages.len());
        }
    }
}
