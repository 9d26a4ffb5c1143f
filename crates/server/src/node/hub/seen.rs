//! What a follower is given: events of its own reading, or ones that many are given alike.
//!
//! What somebody makes of an event that many are given (the form in which it is sent to them) is made once and kept with it.

use std::{
    any::Any,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use threefold_core::Event;

/// An event, as a follower is given it.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Read for this follower alone.
    Own(Event),
    /// The same for many.
    Common(Arc<Common>),
}

/// An event that looks the same to many.
#[derive(Debug)]
pub struct Common {
    event: Event,
    made: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

impl Common {
    /// Nothing is made of it yet.
    pub fn new(event: Event) -> Self {
        Self { event, made: Mutex::default() }
    }

    /// What is made of the event: by whoever asks first, and then the same for all, as long as it `is_good`. One kind of thing is kept.
    pub fn made<T: Send + Sync + 'static>(
        &self,
        is_good: impl FnOnce(&T) -> bool,
        make: impl FnOnce(&Event) -> T,
    ) -> Arc<T> {
        // Nothing but the last one made is behind it.
        let lock = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = lock().clone().and_then(|made| made.downcast::<T>().ok());
        if let Some(made) = kept.filter(|made| is_good(made)) {
            return made;
        }
        // Not under the lock: whoever makes it may have to read. Two who do both make the same.
        let made = Arc::new(make(&self.event));
        *lock() = Some(Arc::clone(&made) as Arc<dyn Any + Send + Sync>);
        made
    }
}

impl Deref for Common {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

impl Deref for Seen {
    type Target = Event;

    fn deref(&self) -> &Event {
        match self {
            Self::Own(event) => event,
            Self::Common(common) => common,
        }
    }
}

impl Seen {
    /// The event itself; a copy where it is others' as well.
    pub fn into_event(self) -> Event {
        match self {
            Self::Own(event) => event,
            Self::Common(common) => common.event.clone(),
        }
    }
}

impl From<Event> for Seen {
    fn from(event: Event) -> Self {
        Self::Own(event)
    }
}

#[cfg(test)]
mod tests {
    use threefold_core::{AccountId, ConversationId, EventBody, EventId, Scope};

    use super::*;

    #[test]
    fn what_many_are_given_is_made_once() {
        let body = EventBody::MemberLeft { account: AccountId(7) };
        let scope = Scope::Conversation(ConversationId(1));
        let common = Common::new(Event { id: EventId(1), time_ms: 1, scope, body });
        let any = |_: &String| true;
        let first = common.made(any, |event| event.id.0.to_string());
        let second = common.made(any, |_| -> String { panic!("made again") });
        assert!(Arc::ptr_eq(&first, &second) && *first == "1");
        // What is not good any more is made again, for all who come after.
        let third = common.made(|_: &String| false, |_| "again".to_owned());
        assert!(Arc::ptr_eq(&third, &common.made(any, |_| -> String { panic!("made again") })));
    }
}
