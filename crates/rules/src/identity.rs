//! Who a server is, and where an entry stands.

/// A server, as the replicated configuration names it. It belongs to one data directory: an emptied directory has another.
pub type ServerId = u64;

/// One run of one server's process.
///
/// The counter is raised durably at every start, before anything else is done, so no two runs are ever the same
/// incarnation. What is said of an incarnation (it is in sync, it is dead) is therefore never mistaken for its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// The data directory's id.
    pub directory: u64,
    /// How often the directory has been started.
    pub counter: u64,
}

impl Incarnation {
    /// Whether this is a later run on the same directory: the earlier one is dead then, since a directory is locked.
    #[must_use]
    pub fn succeeds(self, earlier: Self) -> bool {
        self.directory == earlier.directory && self.counter > earlier.counter
    }
}

/// A server in its current incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Which server.
    pub id: ServerId,
    /// Which run of it.
    pub incarnation: Incarnation,
}

/// An entry's identity: in Raft, term and index together name one entry for ever. Ordered by term, then index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// The term it was appended in.
    pub term: u64,
    /// Its place in the log.
    pub index: u64,
}
