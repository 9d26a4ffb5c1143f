//! Search in messages: an index of words beside the state, made from it, and what a reader finds with it.
//!
//! ```text
//! words     what a text is made of: words of any script, folded; what is compared and what is indexed
//! question  what somebody searches for; says of a text whether it is found, and where
//! index     the index on disk (tantivy): content and position in one commit
//! newest    of all that the index has, the newest few
//! changed   which conversations changed since the last look, told by the state machine
//! indexer   the thread that reads the state after the index's position, and gives way to writes
//! find      a search: what the index proposes and what it does not hold yet, as far as the reader may see it
//! ```
//!
//! Promises: nothing is found that the reader may not read now, or that does not say what is searched for: the index
//! only proposes messages, and each is read from the state through [`threefold_core::query`] and compared. An index
//! that is missing, damaged, of another version or of another history is made anew while the server serves; an answer
//! says whether it is complete. What the index does not hold yet is read from the state itself, so a message is found
//! as soon as it is visible, and the index need not hurry.
//!
//! Left out on purpose: ranking (the newest are first), and anything that decides. The index is this server's own: it is
//! in no snapshot, no other server hears of it, and a simulation runs without it.

mod changed;
mod find;
mod index;
mod indexer;
mod newest;
mod question;
#[cfg(test)]
mod tests;
mod words;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use threefold_core::{Position, apply::Happened};

pub use find::{Found, Hit, Wanted, find};
pub use index::Published;
pub use question::{NotSearchable, Question};

use crate::{raft::machine::Observer, storage::StateStore};
use changed::Changed;
use indexer::Indexer;

/// Between two commits of the index. Each costs about ten syncs of the disk that the log is on, and what is not
/// committed is found in the state.
const COMMIT_PAUSE: Duration = Duration::from_secs(3);

/// The index of this server, and the thread that keeps it.
pub struct Search {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread, the state machine and the searches have in common.
struct Shared {
    state: Arc<dyn StateStore>,
    changed: Changed,
    published: Mutex<Option<Arc<Published>>>,
    /// A search could not read the index.
    damaged: AtomicBool,
    commit_pause: Duration,
}

impl Search {
    /// Opens the index in the directory at `path` and keeps it from then on, in the background: this returns at once, and
    /// does not fail. `state` is at `position`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(path: PathBuf, state: Arc<dyn StateStore>, position: Position) -> std::io::Result<Arc<Self>> {
        Self::start_with(path, state, position, COMMIT_PAUSE)
    }

    fn start_with(
        path: PathBuf,
        state: Arc<dyn StateStore>,
        position: Position,
        commit_pause: Duration,
    ) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            state,
            changed: Changed::new(position),
            published: Mutex::new(None),
            damaged: AtomicBool::new(false),
            commit_pause,
        });
        let indexer = Indexer::new(path, Arc::clone(&shared));
        let thread = thread::Builder::new().name("search-index".to_owned()).spawn(move || indexer.run())?;
        Ok(Arc::new(Self { shared, thread: Mutex::new(Some(thread)) }))
    }

    /// The index as of its last commit; none while it is being opened.
    pub fn published(&self) -> Option<Arc<Published>> {
        self.shared.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything up to here is in the index: its position, or the state's, if nothing happened in between that it would hold.
    pub fn indexed_up_to(&self) -> Position {
        let done = self.shared.changed.done_up_to();
        done.unwrap_or_else(|| self.published().map_or(Position::default(), |published| published.up_to()))
    }

    /// The index could not be read: it is made anew.
    pub fn rebuild(&self) {
        self.shared.damaged.store(true, Ordering::Relaxed);
        self.shared.changed.wake();
    }

    /// Ends the thread. What it had not committed is indexed after the next start.
    pub fn close(&self) {
        self.shared.changed.close();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // One that panicked has ended the process.
            let _ = thread.join();
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.close();
    }
}

impl Observer for Search {
    fn applied(&self, position: Position, happened: &[Happened]) {
        self.shared.changed.applied(position, happened);
    }

    fn replaced(&self, position: Position) {
        self.shared.changed.replaced(position);
    }
}
