//! Events about a message, as their reader is shown them: an edit with the text of this moment, and neither edits nor
//! reactions of a message that was deleted, or that the reader may not see.

use std::collections::BTreeMap;

use crate::{
    event::{Event, EventBody, Scope},
    ids::{AccountId, ConversationId, EventId},
    key::Key,
    record::{self, EventRecord, MembershipRecord},
    store::{Read, StoreError},
    visible::{Reach, View},
};

/// Looks for the messages that one reader's events are about.
pub(super) struct Current<'a> {
    store: &'a dyn Read,
    reader: AccountId,
    memberships: BTreeMap<ConversationId, Option<MembershipRecord>>,
}

impl<'a> Current<'a> {
    pub(super) fn new(store: &'a dyn Read, reader: AccountId) -> Self {
        Self { store, reader, memberships: BTreeMap::new() }
    }

    /// The event as the reader is shown it; none if it is not.
    pub(super) fn show(&mut self, mut event: Event) -> Result<Option<Event>, StoreError> {
        let (EventBody::MessageEdited { message, .. } | EventBody::ReactionChanged { message, .. }) = &event.body
        else {
            return Ok(Some(event));
        };
        let Scope::Conversation(conversation) = event.scope else { return Ok(None) };
        let message = *message;
        if !self.is_shown(conversation, message)? {
            return Ok(None);
        }
        let record: Option<EventRecord> = record::get(self.store, Key::Message(conversation, message))?;
        let Some(EventBody::MessageSent { body, mentions, deleted: false, .. }) = record.map(|record| record.body)
        else {
            return Ok(None);
        };
        if let EventBody::MessageEdited { body: shown, mentions: named, .. } = &mut event.body {
            (*shown, *named) = (body, mentions);
        }
        Ok(Some(event))
    }

    fn is_shown(&mut self, conversation: ConversationId, message: EventId) -> Result<bool, StoreError> {
        if !self.memberships.contains_key(&conversation) {
            let membership = record::get(self.store, Key::Membership(self.reader, conversation))?;
            self.memberships.insert(conversation, membership);
        }
        match self.memberships.get(&conversation) {
            Some(Some(membership)) => {
                View { store: self.store, reader: self.reader, conversation, membership, reach: Reach::Readable }
                    .shows(message)
            }
            _ => Ok(false),
        }
    }
}
