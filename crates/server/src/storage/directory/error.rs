//! Why a data directory cannot be used, each in a sentence that says what to do.

use std::{io, path::PathBuf};

use super::{FORMAT, IDENTITY_FILE};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The operating system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("the data directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// There are files, but none that says whose.
    #[error("{} is not a Threefold data directory, and it is not empty", .0.display())]
    NotOurs(PathBuf),
    /// The format is unknown here.
    #[error(
        "the data directory {} was written by a newer Threefold: format {found}, this program knows {FORMAT}; \
         start it with the newer program, or give another directory",
        path.display()
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The directory has another owner.
    #[error(
        "the data directory {} belongs to the server \"{recorded}\", not to \"{configured}\"",
        path.display()
    )]
    OtherServer {
        /// The directory.
        path: PathBuf,
        /// The name written in it.
        recorded: String,
        /// The name this server was started with.
        configured: String,
    },
    /// A store was here, and is not any more. An empty one in its place would forget votes, or messages.
    #[error(
        "{} is missing: this server had its {what} there; put it back, or empty the directory {} so that it comes back \
         as a new member",
        path.display(), directory.display()
    )]
    Missing {
        /// The store.
        what: &'static str,
        /// Where it was.
        path: PathBuf,
        /// The data directory.
        directory: PathBuf,
    },
    /// Its history was being replaced, and that was cut short.
    #[error(
        "the recovery of {} was interrupted: run `threefold recover --force` again, or put the backup beside it in its place",
        .0.display()
    )]
    HalfRecovered(PathBuf),
    /// It was being made from a backup, and that was cut short.
    #[error("restoring {} from a backup was interrupted: run `threefold restore` again, or remove the directory", .0.display())]
    HalfRestored(PathBuf),
    /// A backup is restored into a directory of its own.
    #[error(
        "{} is not empty: a backup is restored into a new directory only; name another one, or remove this one if nobody needs what is in it (an \
         earlier restoration that was cut short may have left it)",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// Another server knew a later run of it than it knows itself.
    #[error(
        "{} is an old copy of this server's directory, or one of two: {known_by} knows a run of it whose votes and messages are \
         missing here. Empty it, so that it comes back as a new member; only if you are certain that it is the newest, and that no \
         copy of it runs, take the line \"outdated\" out of the file {} instead",
        path.display(),
        path.join(IDENTITY_FILE).display()
    )]
    Outdated {
        /// The directory.
        path: PathBuf,
        /// The other server's name.
        known_by: String,
    },
    /// There is no server's data to work on.
    #[error("there is no server's data in {}", .0.display())]
    Nothing(PathBuf),
    /// The identity file makes no sense.
    #[error("the file {} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
