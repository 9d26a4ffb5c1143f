//! What one command works with: the state, the time, and its places in the log.

use super::{Audience, Happened};
use crate::{
    event::{EventBody, Scope},
    ids::{AccountId, ConversationId, EventId, Position},
    key::Key,
    mention::MentionRule,
    record::{self, ConversationRecord, EventRecord, MetaRecord, Record},
    store::{StoreError, Write},
};

pub(super) struct Context<'a> {
    pub(super) store: &'a mut dyn Write,
    pub(super) meta: &'a mut MetaRecord,
    /// How mentions in texts are read.
    pub(super) mentions: MentionRule,
    first: Position,
    taken: u64,
    places: u64,
    happened: &'a mut Vec<Happened>,
}

impl<'a> Context<'a> {
    /// For what has `places` places, from `first` on.
    pub(super) fn new(
        store: &'a mut dyn Write,
        first: Position,
        places: u64,
        meta: &'a mut MetaRecord,
        happened: &'a mut Vec<Happened>,
    ) -> Self {
        Self { store, meta, mentions: MentionRule::NEWEST, first, taken: 0, places, happened }
    }

    /// The state's own time.
    pub(super) fn time_ms(&self) -> u64 {
        self.meta.clock_ms
    }

    /// The command's own position: later than everything before it.
    pub(super) fn position(&self) -> Position {
        self.first
    }

    /// A name for something new.
    ///
    /// # Panics
    /// If more are taken than there are: they would be the next command's names. How many a command takes at most is fixed
    /// by its code, never by its content.
    pub(super) fn take_place(&mut self) -> Position {
        assert!(self.taken < self.places, "there are {} places", self.places);
        let place = Position(self.first.0 + self.taken);
        self.taken += 1;
        place
    }

    pub(super) fn get<R: Record>(&self, key: Key<'_>) -> Result<Option<R>, StoreError> {
        record::get(self.store, key)
    }

    pub(super) fn require<R: Record>(&self, key: Key<'_>) -> Result<R, StoreError> {
        record::require(self.store, key)
    }

    pub(super) fn put<R: Record>(&mut self, key: Key<'_>, record: &R) {
        self.store.put(key.bytes(), record::encode(record));
    }

    pub(super) fn delete(&mut self, key: Key<'_>) {
        self.store.delete(key.bytes());
    }

    /// A new event for the devices of an account.
    pub(super) fn tell_account(&mut self, account: AccountId, body: EventBody) -> EventId {
        let event = EventId::from(self.take_place());
        let record = EventRecord { time_ms: self.time_ms(), body };
        self.put(Key::Mailbox(account, event), &record);
        self.wake(Scope::Mailbox(account), event.position(), Audience::Accounts(vec![account]));
        event
    }

    /// A new event, other than a message, for everybody in a conversation.
    pub(super) fn tell_conversation(
        &mut self,
        id: ConversationId,
        conversation: &mut ConversationRecord,
        body: EventBody,
    ) -> EventId {
        let audience = conversation.audience();
        self.tell_audience(id, conversation, body, audience)
    }

    /// The same for an audience that the event itself changes.
    pub(super) fn tell_audience(
        &mut self,
        id: ConversationId,
        conversation: &mut ConversationRecord,
        body: EventBody,
        audience: Audience,
    ) -> EventId {
        let event = EventId::from(self.take_place());
        conversation.last_notice = event;
        let record = EventRecord { time_ms: self.time_ms(), body };
        self.put(Key::Notice(id, event), &record);
        self.put(Key::Conversation(id), conversation);
        self.wake(Scope::Conversation(id), event.position(), audience);
        event
    }

    /// Somebody's view changed.
    pub(super) fn wake(&mut self, scope: Scope, position: Position, audience: Audience) {
        self.happened.push(Happened { scope, position, audience });
    }
}
