//! The thread that keeps the index: reads from the state what happened after the index's position, and commits.
//!
//! A *pass* goes from the index's position to the state's, through the conversations that changed, or after a start and
//! whenever it is not known which, through all. A pass through all commits on its way and goes on from there after a crash.
//!
//! Promises: it reads the state in small chunks, each on a view of its own, and gives way: its threads are of the
//! lowest priority (on Linux), and while others write it rests most of the time. Memory is bounded
//! by a chunk and the index's own buffer. A failing index is closed, and tried again later; the server goes on without.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use threefold_core::{
    ConversationId, Position,
    changes::{self, Cursor},
    store::{Read, StoreError},
};

use super::{
    Shared,
    changed::Which,
    index::{Index, IndexError, Progress, Unfinished},
};
use crate::raft::machine;

/// Before the next look for a state that is behind the index, at least.
const POSTPONED: Duration = Duration::from_millis(50);
/// Messages read at once: a fraction of a millisecond.
const CHUNK: usize = 128;
/// Conversations looked at at once, in a pass through all.
const CONVERSATIONS: usize = 512;
/// Messages in a pass through all between two commits: a second or two of work that a crash can cost.
const COMMIT_MESSAGES: usize = 100_000;
/// While there are writes, it rests so many times as long as it works; the library's own thread works beside it. An index may be late,
/// for what is not in it yet is looked for in the state.
const REST: u32 = 15;
/// At most so long at once.
const LONGEST_REST: Duration = Duration::from_millis(500);
/// After a failure of the disk.
const AGAIN: Duration = Duration::from_secs(10);
/// Added to the threads' nice value: the most there is.
const NICER: i32 = 19;

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the state cannot be read: {0}")]
    State(#[from] StoreError),
    #[error("{0}")]
    Index(#[from] IndexError),
    /// It closes, or the index is to be made anew.
    #[error("interrupted")]
    Interrupted,
}

/// What the thread works with.
pub(super) struct Indexer {
    path: PathBuf,
    shared: Arc<Shared>,
}

impl Indexer {
    pub(super) fn new(path: PathBuf, shared: Arc<Shared>) -> Self {
        Self { path, shared }
    }

    /// Keeps the index until it closes.
    pub(super) fn run(self) {
        // The library's threads are started from this one, and so get its priority. Elsewhere it is one of the whole process.
        // Not in unit tests, which wait for it on machines that may have other things to do.
        if cfg!(target_os = "linux")
            && !cfg!(test)
            && let Err(error) = rustix::process::nice(NICER)
        {
            tracing::debug!(%error, "the search index is kept at the usual priority");
        }
        while !self.shared.changed.is_closing() {
            match self.keep() {
                Ok(()) | Err(Ended::Interrupted) => {}
                Err(Ended::State(error)) => {
                    // Those who read the state for anything else end the server.
                    tracing::error!(%error, "the search index is not kept any more");
                    return;
                }
                Err(Ended::Index(error)) => {
                    tracing::warn!(%error, "the search index cannot be written; it is tried again");
                    self.shared.changed.sleep(AGAIN);
                }
            }
        }
    }

    /// Opens the index, and keeps it until it closes or fails, or is to be made anew.
    fn keep(&self) -> Result<(), Ended> {
        let is_damaged = self.shared.damaged.swap(false, Ordering::Relaxed);
        let mut index = if is_damaged { Index::create(&self.path)? } else { Index::open(&self.path)? };
        let ended = self.follow(&mut index);
        if !self.shared.changed.is_closing() {
            // The next one takes its place.
            index.close();
        }
        ended
    }

    /// Takes in what happens, pass by pass, for ever.
    fn follow(&self, index: &mut Index) -> Result<(), Ended> {
        // Whatever was told before may be missing in it.
        let (mut end, mut which) = (self.shared.changed.take().0, Which::Any);
        loop {
            self.check_history(index)?;
            self.publish(index);
            let began = Instant::now();
            let is_done = self.pass(index, end, which)?;
            self.publish(index);
            let mut pause = self.shared.commit_pause.saturating_sub(began.elapsed());
            if is_done {
                self.shared.changed.wait();
            } else {
                pause = pause.max(POSTPONED);
            }
            self.shared.changed.sleep(pause);
            self.check_wanted()?;
            (end, which) = self.shared.changed.take();
        }
    }

    fn publish(&self, index: &Index) {
        let mut published = self.shared.published.lock().unwrap_or_else(PoisonError::into_inner);
        *published = Some(Arc::new(index.published()));
    }

    /// An index of another history may hold what never happened in this one, and lie beyond it.
    fn check_history(&self, index: &mut Index) -> Result<(), Ended> {
        let history = self.read(machine::recovery_id)?.unwrap_or_default();
        if index.progress().history == history {
            return Ok(());
        }
        if index.progress().up_to == 0 {
            index.commit(Progress::nothing(history))?;
            return Ok(());
        }
        tracing::info!("the search index is of another history, and is made anew");
        self.shared.damaged.store(true, Ordering::Relaxed);
        self.check_wanted()
    }

    /// Whether this index is wanted any longer.
    fn check_wanted(&self) -> Result<(), Ended> {
        if self.shared.damaged.load(Ordering::Relaxed) {
            *self.shared.published.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return Err(Ended::Interrupted);
        }
        if self.shared.changed.is_closing() { Err(Ended::Interrupted) } else { Ok(()) }
    }

    fn read<T>(&self, query: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let view = self.shared.state.snapshot()?;
        query(&*view)
    }

    /// Takes in all that happened after the index's position and up to `end`, in conversations that may have changed. False: not yet.
    fn pass(&self, index: &mut Index, end: Position, which: Which) -> Result<bool, Ended> {
        if let Some(unfinished) = index.progress().pass {
            // After a crash the state may be behind the index, until the log was applied again: what is not there yet cannot be read. It comes as
            // new, and so is told of.
            if unfinished.up_to > end.0 {
                return Ok(false);
            }
            // First the end of what was begun: afterwards one position tells again how far all of it is.
            self.all(index, Position(unfinished.up_to), Some(ConversationId(unfinished.conversation)))?;
        }
        let since = Position(index.progress().up_to);
        if end <= since {
            return Ok(true);
        }
        match which {
            Which::Any => self.all(index, end, None)?,
            Which::Some(conversations) => {
                for conversation in conversations {
                    self.conversation(index, conversation, since, end)?;
                }
                index.commit(index.progress().complete_up_to(end))?;
            }
        }
        Ok(true)
    }

    /// The same, in all conversations after `after`.
    fn all(&self, index: &mut Index, end: Position, mut after: Option<ConversationId>) -> Result<(), Ended> {
        let since = Position(index.progress().up_to);
        let mut uncommitted = 0;
        loop {
            let began = Instant::now();
            let (changed, last) = self.read(|store| changes::conversations(store, since, after, CONVERSATIONS))?;
            self.rest(began)?;
            for conversation in changed {
                uncommitted += self.conversation(index, conversation, since, end)?;
                if uncommitted >= COMMIT_MESSAGES {
                    let pass = Unfinished { up_to: end.0, conversation: conversation.0 };
                    index.commit(index.progress().within(pass))?;
                    self.publish(index);
                    uncommitted = 0;
                }
            }
            if last.is_none() {
                break;
            }
            after = last;
        }
        index.commit(index.progress().complete_up_to(end))?;
        Ok(())
    }

    /// Takes in what happened in one conversation; gives the number of changes.
    fn conversation(
        &self,
        index: &Index,
        conversation: ConversationId,
        since: Position,
        end: Position,
    ) -> Result<usize, Ended> {
        let (mut next, mut count) = (Some(Cursor::Messages(since)), 0);
        while let Some(cursor) = next {
            let began = Instant::now();
            let (changes, further) =
                self.read(|store| changes::of_conversation(store, conversation, since, cursor, end, CHUNK))?;
            count += changes.len();
            for change in changes {
                index.take(conversation, change)?;
            }
            next = further;
            self.rest(began)?;
        }
        Ok(count)
    }

    /// Gives way after some work, if anybody writes.
    fn rest(&self, began: Instant) -> Result<(), Ended> {
        self.check_wanted()?;
        if self.shared.changed.events() > 0 {
            self.shared.changed.sleep((began.elapsed() * REST).min(LONGEST_REST));
        }
        Ok(())
    }
}
