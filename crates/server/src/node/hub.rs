//! Who follows what: wakes exactly the followers that an event concerns.
//!
//! Nothing is queued here for a client. A follower keeps one number, its place in everything it may see, and is
//! told which conversations to look into; what it has not read yet stays in the state. A burst costs it one wake-up.
//! Whom a room's events concern is known by [`followers`].

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use threefold_core::{
    AccountId, ConversationId, Position, Scope,
    apply::{Audience, Happened},
    query,
};
use tokio::sync::{Notify, watch};

#[cfg(test)]
pub use self::seen::Common;
pub use self::seen::Seen;
use self::{
    followers::{Concern, Followers},
    recent::{Found, Recent},
};
use super::typing::Notice;
use crate::{raft::machine::Observer, storage::StateStore};

mod followers;
mod recent;
mod seen;

/// Events read at once for one follower: bounds its memory and the time others wait for the store.
const EVENTS_AT_ONCE: usize = 256;

/// All followers of this server.
pub struct Hub {
    state: Arc<dyn StateStore>,
    position: watch::Sender<Position>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    position: Position,
    next_id: u64,
    followers: Followers,
    recent: Recent,
}

impl Hub {
    /// Over `state`, which is at `position`.
    pub fn new(state: Arc<dyn StateStore>, position: Position) -> Arc<Self> {
        let inner = Inner { position, ..Inner::default() };
        Arc::new(Self { state, position: watch::Sender::new(position), inner: Mutex::new(inner) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the visible state is; changes are seen.
    pub fn position(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// Follows everything `account` may see after `after`.
    pub fn follow(self: &Arc<Self>, account: AccountId, after: Position) -> Follower {
        let wake = Arc::new(Notify::new());
        let mut inner = self.lock();
        inner.next_id += 1;
        let id = inner.next_id;
        inner.followers.add(account, id, Concern::new(wake.clone()));
        drop(inner);
        Follower { hub: self.clone(), account, id, wake, cursor: after, unread: None }
    }

    /// Tells those who follow here, and should see it, that somebody types.
    pub fn tell_typing(&self, notice: Notice) {
        let woken = self.lock().followers.tell_typing(notice);
        for wake in woken {
            wake.notify_one();
        }
    }

    fn publish(&self, position: Position, mark: impl FnOnce(&mut Inner) -> Vec<Arc<Notify>>) {
        let mut inner = self.lock();
        let woken = mark(&mut inner);
        inner.position = position;
        drop(inner);
        self.position.send_replace(position);
        for wake in woken {
            wake.notify_one();
        }
    }
}

impl Inner {
    /// An event of a room that many follow will be read once for all of them.
    fn note_recent(&mut self, event: &Happened) {
        let Scope::Conversation(room) = event.scope else { return };
        let of_members = !matches!(event.audience, Audience::Accounts(_));
        if of_members && self.followers.number_in(room) >= recent::SHARED_FROM {
            self.recent.note(room, event.position);
        } else {
            self.recent.forget(room);
        }
    }
}

impl Observer for Hub {
    fn applied(&self, position: Position, happened: &[Happened]) {
        self.publish(position, |inner| {
            let mut woken = Vec::new();
            // Nobody looks while this goes on: once all members of a room are told, more of it is nothing new to them. (Who
            // joins is told with all the others.)
            let mut told = BTreeSet::new();
            for event in happened {
                let is_of_members = !matches!(event.audience, Audience::Accounts(_));
                let is_told = is_of_members && !told.insert(event.scope);
                if !is_told || !matches!(event.audience, Audience::Members) {
                    inner.followers.concern(event, &mut woken);
                }
                inner.note_recent(event);
            }
            woken
        });
    }

    fn replaced(&self, position: Position) {
        self.publish(position, |inner| {
            inner.recent.forget_all();
            inner.followers.start_over()
        });
    }
}

/// What a follower has been told of and not read to its end.
struct Unread {
    up_to: Position,
    /// None: look into everything.
    only: Option<BTreeSet<Scope>>,
}

/// A reader's place in everything it may see.
pub struct Follower {
    hub: Arc<Hub>,
    account: AccountId,
    id: u64,
    wake: Arc<Notify>,
    cursor: Position,
    unread: Option<Unread>,
}

/// Some events in order, and how far they reach.
#[derive(Debug, Default)]
pub struct Followed {
    /// In the order of their ids; may be empty.
    pub events: Vec<Seen>,
    /// Everything the reader may see up to here has been given.
    pub up_to: Position,
    /// Who types just now.
    pub typing: Vec<Notice>,
    /// Something happened to the account itself: perhaps its session has ended, of which no event tells where it was disabled or
    /// deleted.
    pub is_of_account: bool,
}

impl Follower {
    /// Waits for the next events. Cancel safe.
    pub async fn next(&mut self) -> Followed {
        loop {
            let mut typing = Vec::new();
            if self.unread.is_none() {
                (self.unread, typing) = self.take_unread();
            }
            if let Some(unread) = self.unread.take() {
                return Followed { typing, ..self.read(unread) };
            }
            if !typing.is_empty() {
                return Followed { events: Vec::new(), up_to: self.cursor, typing, is_of_account: false };
            }
            self.wake.notified().await;
        }
    }

    /// Takes what is to be looked into together with the position it is complete for.
    ///
    /// The rooms of an account that is new here are read first. Until they are known it may not be told of events of theirs;
    /// but until then every follower of it is to look into everything, which is taken under the same lock. The state may be
    /// ahead of what was told: rooms left since then count as well, for what happened there before that is still to be told.
    fn take_unread(&self) -> (Option<Unread>, Vec<Notice>) {
        let mut inner = self.hub.lock();
        while let Some(generation) = inner.followers.unknown_rooms(self.account) {
            let told = inner.position;
            drop(inner);
            let rooms = super::view::query(&*self.hub.state, |store| query::rooms_of(store, self.account, told));
            let rooms = rooms.unwrap_or_else(|error| super::stop(&error));
            inner = self.hub.lock();
            let known_at = inner.position;
            inner.followers.learn_rooms(self.account, rooms, generation, known_at);
        }
        let up_to = inner.position;
        let Some(concern) = inner.followers.concern_of(self.account, self.id) else { return (None, Vec::new()) };
        let everything = std::mem::take(&mut concern.everything);
        let scopes = std::mem::take(&mut concern.scopes);
        let only = if everything { None } else { Some(scopes) };
        let nothing = only.as_ref().is_some_and(BTreeSet::is_empty);
        let typing = std::mem::take(&mut concern.typing).into_values().collect();
        ((!nothing).then_some(Unread { up_to, only }), typing)
    }

    fn read(&mut self, unread: Unread) -> Followed {
        let Unread { up_to, only } = unread;
        if up_to <= self.cursor {
            return Followed { up_to: self.cursor, is_of_account: true, ..Followed::default() };
        }
        let is_of_account = only.as_ref().is_none_or(|scopes| scopes.contains(&Scope::Mailbox(self.account)));
        if let Some(room) = only.as_ref().and_then(only_room)
            && let Some(events) = self.read_together(room, up_to)
        {
            self.cursor = up_to;
            return Followed { events, up_to, typing: Vec::new(), is_of_account };
        }
        let read = super::view::query(&*self.hub.state, |store| {
            query::events_after(store, self.account, self.cursor, up_to, only.as_ref(), EVENTS_AT_ONCE)
        });
        let caught_up = read.unwrap_or_else(|error| super::stop(&error));
        self.cursor = caught_up.reached;
        if caught_up.reached < up_to {
            self.unread = Some(Unread { up_to, only });
        }
        Followed {
            events: caught_up.events.into_iter().map(Seen::Own).collect(),
            up_to: caught_up.reached,
            typing: Vec::new(),
            is_of_account,
        }
    }
}

impl Follower {
    /// Whether it is known to be in this room now, as far as it was told.
    pub fn attends(&self, room: ConversationId) -> bool {
        self.hub.lock().followers.attends(self.account, room, self.cursor)
    }

    /// What happened in a room since, where it is read once for all who follow it here.
    fn read_together(&self, room: ConversationId, up_to: Position) -> Option<Vec<Seen>> {
        let seen = |events: Vec<_>| events.into_iter().map(Seen::Common).collect();
        let find = |inner: &Inner| match inner.followers.attends(self.account, room, self.cursor) {
            true => inner.recent.find(room, self.cursor, up_to),
            false => Found::Nothing,
        };
        let found = find(&self.hub.lock());
        let after = match found {
            Found::Events(events) => return Some(seen(events)),
            Found::Missing(after) => after,
            Found::Nothing => return None,
        };
        let read = super::view::query(&*self.hub.state, |store| {
            query::conversation_events(store, room, after, up_to, recent::EVENTS)
        });
        let read = read.unwrap_or_else(|error| super::stop(&error));
        let mut inner = self.hub.lock();
        inner.recent.add(room, after, read.events);
        match find(&inner) {
            Found::Events(events) => Some(seen(events)),
            Found::Missing(_) | Found::Nothing => None,
        }
    }
}

/// The room that is all there is to look into.
fn only_room(scopes: &BTreeSet<Scope>) -> Option<ConversationId> {
    match (scopes.len(), scopes.first()) {
        (1, Some(Scope::Conversation(room))) => Some(*room),
        _ => None,
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.hub.lock().followers.remove(self.account, self.id);
    }
}

#[cfg(test)]
mod tests;
