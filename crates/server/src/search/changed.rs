//! Which conversations changed since the indexer last looked. The state machine tells after each step, so this takes
//! a lock for a moment and no more.
//!
//! Promises: of whatever became visible up to the position that is taken, the conversation is told, or else that
//! all may have changed. Bounded: beyond a number of conversations it is told that all may have.

use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use threefold_core::{ConversationId, Position, Scope, apply::Happened};

/// Conversations remembered one by one: about 1 MiB. Looking through all is then hardly more work.
const CONVERSATIONS: usize = 16_384;

/// What changed, and the thread that waits for it.
pub(super) struct Changed {
    inner: Mutex<Inner>,
    wake: Condvar,
}

struct Inner {
    position: Position,
    which: Which,
    /// Events since it was last asked.
    events: u64,
    /// What was taken is being looked at.
    looking: bool,
    woken: bool,
    closing: bool,
}

/// Where something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// In these conversations and nowhere else.
    Some(BTreeSet<ConversationId>),
    /// Anywhere.
    Any,
}

impl Changed {
    /// Nothing is known of what happened up to `position`.
    pub(super) fn new(position: Position) -> Self {
        let inner = Inner { position, which: Which::Any, events: 0, looking: false, woken: false, closing: false };
        Self { inner: Mutex::new(inner), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn applied(&self, position: Position, happened: &[Happened]) {
        let mut inner = self.lock();
        inner.position = position;
        inner.events += happened.len() as u64;
        let was_quiet = inner.is_quiet();
        if let Which::Some(conversations) = &mut inner.which {
            for event in happened {
                match event.scope {
                    Scope::Conversation(conversation) => drop(conversations.insert(conversation)),
                    Scope::Mailbox(_) => {}
                }
            }
            if conversations.len() > CONVERSATIONS {
                inner.which = Which::Any;
            }
        }
        let wake = was_quiet && !inner.is_quiet();
        drop(inner);
        if wake {
            self.wake.notify_one();
        }
    }

    pub(super) fn replaced(&self, position: Position) {
        let mut inner = self.lock();
        inner.position = position;
        inner.which = Which::Any;
        drop(inner);
        self.wake.notify_one();
    }

    /// Ends every wait, now and later.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }

    /// Ends one wait for a change.
    pub(super) fn wake(&self) {
        self.lock().woken = true;
        self.wake.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// What was taken is done; waits until something changed.
    pub(super) fn wait(&self) {
        let mut inner = self.lock();
        inner.looking = false;
        while inner.is_quiet() && !inner.closing && !inner.woken {
            inner = self.wake.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.woken = false;
    }

    /// Sleeps so long, or until it closes.
    pub(super) fn sleep(&self, pause: Duration) {
        let inner = self.lock();
        drop(self.wake.wait_timeout_while(inner, pause, |inner| !inner.closing));
    }

    /// Takes what changed, and the position up to which that is all.
    pub(super) fn take(&self) -> (Position, Which) {
        let mut inner = self.lock();
        inner.looking = true;
        let which = std::mem::replace(&mut inner.which, Which::Some(BTreeSet::new()));
        (inner.position, which)
    }

    /// The position, if nothing has changed up to there that is not done.
    pub(super) fn done_up_to(&self) -> Option<Position> {
        let inner = self.lock();
        (inner.is_quiet() && !inner.looking).then_some(inner.position)
    }

    /// How many events there were since this was last asked.
    pub(super) fn events(&self) -> u64 {
        std::mem::take(&mut self.lock().events)
    }
}

impl Inner {
    fn is_quiet(&self) -> bool {
        match &self.which {
            Which::Some(conversations) => conversations.is_empty(),
            Which::Any => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use threefold_core::{AccountId, apply::Audience};

    use super::*;

    fn at(changed: &Changed, index: u64, scopes: impl IntoIterator<Item = Scope>) {
        let position = Position::end_of(index);
        let happened: Vec<Happened> = scopes
            .into_iter()
            .map(|scope| Happened { scope, position, audience: Audience::Accounts(Vec::new()) })
            .collect();
        changed.applied(position, &happened);
    }

    #[test]
    fn what_changed_is_told_once_and_all_of_it() {
        let changed = Changed::new(Position(7));
        assert_eq!(changed.done_up_to(), None);
        assert_eq!(changed.take(), (Position(7), Which::Any), "at first anything may have");
        assert_eq!(changed.done_up_to(), None);
        changed.wake();
        changed.wait();
        at(&changed, 1, [Scope::Mailbox(AccountId(1))]);
        assert_eq!(changed.done_up_to(), Some(Position::end_of(1)), "mailboxes are not searched");
        assert_eq!(changed.take(), (Position::end_of(1), Which::Some(BTreeSet::new())));
        at(&changed, 2, [3, 4, 3].map(|id| Scope::Conversation(ConversationId(id))));
        let both = [ConversationId(3), ConversationId(4)].into();
        assert_eq!(changed.take(), (Position::end_of(2), Which::Some(both)));
        assert_eq!((changed.events(), changed.events()), (4, 0));
        changed.replaced(Position::end_of(9));
        assert_eq!(changed.take(), (Position::end_of(9), Which::Any));
    }

    #[test]
    fn too_many_conversations_are_all() {
        let changed = Changed::new(Position(0));
        changed.take();
        at(&changed, 1, (0..CONVERSATIONS as u64).map(|id| Scope::Conversation(ConversationId(id))));
        assert!(matches!(changed.take().1, Which::Some(all) if all.len() == CONVERSATIONS));
        at(&changed, 2, (0..=CONVERSATIONS as u64).map(|id| Scope::Conversation(ConversationId(id))));
        assert_eq!(changed.take().1, Which::Any);
    }

    #[test]
    fn waits_end_with_a_change_a_call_or_the_end() {
        let changed = Changed::new(Position(0));
        changed.wait();
        changed.take();
        changed.wake();
        changed.wait();
        changed.close();
        changed.wait();
        changed.sleep(Duration::from_secs(3600));
        assert!(changed.is_closing());
    }
}
