//! What one command works with: the state, the time, and its places in the log.

use super::Happened;
use crate::{
    bounds::PLACES_PER_COMMAND,
    event::{EventBody, Scope},
    ids::{AccountId, ConversationId, EventId, Position},
    key::Key,
    record::{self, ConversationRecord, EventRecord, MetaRecord, Record},
    store::{StoreError, Write},
};

pub(super) struct Context<'a> {
    pub(super) store: &'a mut dyn Write,
    pub(super) meta: &'a mut MetaRecord,
    first: Position,
    taken: u64,
    happened: &'a mut Vec<Happened>,
}

impl<'a> Context<'a> {
    /// For the command whose places start at `first`.
    pub(super) fn new(
        store: &'a mut dyn Write,
        first: Position,
        meta: &'a mut MetaRecord,
        happened: &'a mut Vec<Happened>,
    ) -> Self {
        Self { store, meta, first, taken: 0, happened }
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
    /// If the command takes more than [`PLACES_PER_COMMAND`]: it would take the next command's names. How many a
    /// command takes is fixed by its code, never by its content.
    pub(super) fn take_place(&mut self) -> Position {
        assert!(self.taken < PLACES_PER_COMMAND, "a command has {PLACES_PER_COMMAND} places");
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
        self.wake(Scope::Mailbox(account), event.position(), vec![account]);
        event
    }

    /// A new event, other than a message, for everybody in a conversation.
    pub(super) fn tell_conversation(
        &mut self,
        id: ConversationId,
        conversation: &mut ConversationRecord,
        body: EventBody,
    ) -> EventId {
        let event = EventId::from(self.take_place());
        conversation.last_notice = event;
        let record = EventRecord { time_ms: self.time_ms(), body };
        self.put(Key::Notice(id, event), &record);
        self.put(Key::Conversation(id), conversation);
        self.wake(Scope::Conversation(id), event.position(), conversation.audience());
        event
    }

    /// Somebody's view changed.
    pub(super) fn wake(&mut self, scope: Scope, position: Position, audience: Vec<AccountId>) {
        self.happened.push(Happened { scope, position, audience });
    }
}
