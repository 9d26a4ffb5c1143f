//! The storage of one server: the contracts of the log and the state, on disk and in memory, and what survives crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod directory;
mod full_disk;
mod large_values;
mod log;
mod state;

/// A directory in memory, where there is such a thing: for tests that open and close many databases, and in which
/// nothing depends on what a sync does.
fn quick_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}
