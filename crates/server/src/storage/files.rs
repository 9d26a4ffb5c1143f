//! Small durable steps on files: what the data directory and the databases in it share.
//!
//! A new file or directory survives a loss of power only once the directory that names it is synced too;
//! that is all this module is about.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

/// Makes the names in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Replaces the file `name` in `directory`: after a crash it holds either what it held before or all of `contents`.
pub(super) fn replace_file(directory: &Path, name: &str, contents: &[u8]) -> io::Result<()> {
    let next = directory.join(format!("{name}.new"));
    let mut file = File::create(&next)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&next, directory.join(name))?;
    sync_directory(directory)
}

/// Removes a directory with everything in it; one that is not there is fine.
pub(super) fn remove_directory(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Closes what holds `directory` (`close`) and removes it, on a thread of its own: gigabytes take a while, and the caller
/// may be answering a client. What is not removed now, for whatever reason, is at the next opening.
pub(super) fn remove_in_background(directory: PathBuf, close: impl FnOnce() + Send + 'static) {
    let removal = thread::Builder::new().name("state-removal".into()).spawn(move || {
        close();
        if let Err(error) = remove_directory(&directory) {
            tracing::warn!(path = %directory.display(), %error, "a state without use is left until the next start");
        }
    });
    if let Err(error) = removal {
        tracing::warn!(%error, "a state without use is left until the next start");
    }
}

/// Locks `mutex`. A thread that panicked with the lock held is no reason to panic here as well: what these mutexes
/// guard is changed in steps that cannot panic half way.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A failure that is kept and reported again: `io::Error` itself cannot be cloned.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    kind: io::ErrorKind,
    message: String,
}

impl Failure {
    /// Keeps `error`, which happened while doing `what`.
    pub(super) fn new(what: &str, error: &io::Error) -> Self {
        Self { kind: error.kind(), message: format!("{what}: {error}") }
    }

    /// The error again.
    pub(super) fn error(&self) -> io::Error {
        io::Error::new(self.kind, self.message.clone())
    }
}
