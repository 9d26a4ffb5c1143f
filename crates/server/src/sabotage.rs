//! Rules taken away on purpose, so that the simulation can show that it would notice.
//!
//! Only with the cargo feature `sabotage` can a rule be taken away, and only on a thread that asks for it. In every other
//! build [`is`] is a constant, and nothing of this is left.

/// What a server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Shows and acknowledges an entry once it is committed, on whichever disks that is (against rule 2).
    MajorityIsVisible,
    /// Stands and votes after a restart as if it had not stopped (against rules 4 and 9).
    RestartedVotes,
    /// A leader answers consistent reads without asking a majority, for as long as its lease lasts.
    LeaseReads,
}

#[cfg(feature = "sabotage")]
mod chosen {
    use std::cell::Cell;

    use super::Sabotage;

    thread_local! {
        static CHOSEN: Cell<Option<Sabotage>> = const { Cell::new(None) };
    }

    /// Servers on this thread do this wrong from now on.
    pub fn choose(sabotage: Option<Sabotage>) {
        CHOSEN.set(sabotage);
    }

    /// Whether servers on this thread do this wrong.
    #[must_use]
    pub fn is(sabotage: Sabotage) -> bool {
        CHOSEN.get() == Some(sabotage)
    }
}

#[cfg(not(feature = "sabotage"))]
mod chosen {
    use super::Sabotage;

    /// They do not.
    #[must_use]
    pub const fn is(_: Sabotage) -> bool {
        false
    }
}

pub use chosen::*;
