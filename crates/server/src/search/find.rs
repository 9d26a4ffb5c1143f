//! A search: what the index proposes and what it does not hold yet, as far as the reader may see it, newest first.
//!
//! Promises: every message found is one the reader may see in the state that is given, with its present text, and that
//! text says what is searched for. The work is bounded: a search that looked at very many in vain says where to go on.
//! Left out on purpose: waiting for the index. What happened after its position is read from the state, and where that
//! would be too much, the answer says that it is not complete.

use std::{collections::VecDeque, ops::Range};

use threefold_core::{
    AccountId, ConversationId, Event, EventBody, EventId, Position,
    query::{self, Shown},
    store::{Read, StoreError},
};

use super::{index::Published, newest::Filter, question::Question};

/// Messages that the index does not hold yet, looked at by one search: some milliseconds.
const RECENT: usize = 2000;
/// Messages asked of the index at once: a page and some that may not be shown.
const AT_ONCE: usize = 64;
/// Messages of the index looked at by one search: each costs a few reads of the state.
const LOOKED_AT: usize = 1024;

/// What is wanted, by whom.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Who searches.
    pub reader: AccountId,
    /// What for.
    pub question: Question,
    /// Only in this conversation.
    pub conversation: Option<ConversationId>,
    /// Only by this author.
    pub author: Option<AccountId>,
    /// Only messages older than this one.
    pub before: Option<EventId>,
    /// At most so many.
    pub limit: usize,
}

/// A message found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The message.
    pub event: Event,
    /// Where it says what was searched for, in characters of its text.
    pub marks: Vec<Range<usize>>,
}

impl Hit {
    /// With the reactions to it, as the reader sees them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn shown(self, store: &dyn Read, reader: AccountId) -> Result<(Shown, Vec<Range<usize>>), StoreError> {
        Ok((query::with_reactions(store, reader, self.event)?, self.marks))
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// There may be more, before this message.
    pub more_before: Option<EventId>,
    /// Nothing that happened since `indexed_up_to` was passed over.
    pub complete: bool,
    /// How far the index is.
    pub indexed_up_to: Position,
    /// The index cannot be read: it should be made anew.
    pub damaged: bool,
}

/// Searches in the state as of one commit. Of an index that is newer (as it may be when a server has just started) only
/// what the state has is found.
///
/// # Errors
/// When the store cannot be read.
pub fn find(store: &dyn Read, index: Option<&Published>, wanted: &Wanted) -> Result<Found, StoreError> {
    let indexed_up_to = index.map_or(Position::default(), Published::up_to);
    let Wanted { reader, conversation, before, .. } = *wanted;
    let recent = query::recent_messages(store, reader, conversation, indexed_up_to, before, RECENT)?;
    let mut finding = Finding {
        store,
        wanted,
        recent: recent.messages.into_iter().filter_map(|event| wanted.hit(event)).collect(),
        hits: Vec::new(),
        left: LOOKED_AT,
    };
    let mut found = Found { hits: Vec::new(), more_before: None, complete: recent.all, indexed_up_to, damaged: false };
    if let Some(index) = index {
        let conversations = match conversation {
            Some(one) => vec![one],
            None => query::conversation_ids(store, reader)?,
        };
        match finding.indexed(index, &conversations)? {
            Proposed::All => {}
            Proposed::Until(message) => found.more_before = Some(message),
            Proposed::Unreadable => (found.complete, found.damaged) = (false, true),
        }
    }
    // What is left of the recent ones is older than all that the index proposed, unless it stopped before its end.
    if found.more_before.is_none() {
        finding.recent_down_to(EventId(0));
    }
    if finding.is_full() {
        finding.hits.truncate(wanted.limit);
        found.more_before = finding.hits.last().map(|hit| hit.event.id);
    }
    Ok(Found { hits: finding.hits, ..found })
}

impl Wanted {
    /// A message, if it is one that is wanted.
    fn hit(&self, event: Event) -> Option<Hit> {
        let EventBody::MessageSent { author, body, deleted: false, .. } = &event.body else { return None };
        if self.author.is_some_and(|wanted| wanted != *author) {
            return None;
        }
        let marks = self.question.marks(body)?;
        Some(Hit { event, marks })
    }
}

/// How far the index was asked.
enum Proposed {
    /// To its end, or until there were enough.
    All,
    /// Down to this message.
    Until(EventId),
    Unreadable,
}

struct Finding<'a> {
    store: &'a dyn Read,
    wanted: &'a Wanted,
    /// Found in the state alone, newest first.
    recent: VecDeque<Hit>,
    hits: Vec<Hit>,
    /// Messages of the index that may still be looked at.
    left: usize,
}

impl Finding<'_> {
    /// One more than a page tells that there are more.
    fn is_full(&self) -> bool {
        self.hits.len() > self.wanted.limit
    }

    fn indexed(&mut self, index: &Published, conversations: &[ConversationId]) -> Result<Proposed, StoreError> {
        let mut before = self.wanted.before.unwrap_or(EventId(u64::MAX));
        loop {
            let Wanted { question, author, .. } = self.wanted;
            let filter = Filter { question, conversations, author: *author, before };
            let proposed = match index.newest(&filter, AT_ONCE) {
                Ok(proposed) => proposed,
                Err(error) => {
                    tracing::warn!(%error, "the search index cannot be read");
                    return Ok(Proposed::Unreadable);
                }
            };
            for (message, conversation) in &proposed {
                self.look_at(*message, *conversation)?;
                if self.is_full() {
                    return Ok(Proposed::All);
                }
            }
            match proposed.last() {
                Some((last, _)) if proposed.len() == AT_ONCE => before = *last,
                _ => return Ok(Proposed::All),
            }
            self.left = self.left.saturating_sub(AT_ONCE);
            if self.left == 0 {
                return Ok(Proposed::Until(before));
            }
        }
    }

    /// Looks at a message that the index proposes.
    fn look_at(&mut self, message: EventId, conversation: ConversationId) -> Result<(), StoreError> {
        self.recent_down_to(EventId(message.0.saturating_add(1)));
        if self.recent.front().is_some_and(|recent| recent.event.id == message) {
            // Rewritten since, and found as it is now.
            self.hits.extend(self.recent.pop_front());
            return Ok(());
        }
        let event = query::visible_message(self.store, self.wanted.reader, conversation, message)?;
        self.hits.extend(event.and_then(|event| self.wanted.hit(event)));
        Ok(())
    }

    /// Takes the recent ones that are not older than `message`, as far as there is room.
    fn recent_down_to(&mut self, message: EventId) {
        while !self.is_full() && self.recent.front().is_some_and(|recent| recent.event.id >= message) {
            self.hits.extend(self.recent.pop_front());
        }
    }
}
