//! The data directory of one server: who it belongs to, and that only one process uses it.
//!
//! Promises: while a [`Directory`] is alive no other process opens the same one; the node id is chosen once, when
//! the directory is new, and never changes; the incarnation is larger at every open, and durably so before `open`
//! returns. A directory that lost its log or its state, is not ours, belongs to another server, or was written by a newer program is refused
//! untouched. What is inside `log/` and `state/` is left to the stores.
//!
//! ```text
//! lock      held (flock) while a process uses the directory; empty
//! server    who this is: JSON, replaced as a whole at every open
//! log/      the log's database
//! state/    the state's database
//! search/   the search index; may be removed while no process uses the directory
//! ```

mod error;

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

pub use error::DirectoryError;
use rand::{TryRngCore, rngs::OsRng};
use serde::{Deserialize, Serialize};

use super::{
    backup,
    files::{remove_directory, replace_file, sync_directory},
    fjall_log::FjallLog,
    fjall_state::FjallState,
};

/// The format of the directory that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;
/// Node ids stay below this, so that they survive JavaScript's numbers.
const NODE_ID_LIMIT: u64 = 1 << 53;
/// Only the server's own account may look inside: password hashes and messages are there.
const DIRECTORY_MODE: u32 = 0o700;
const LOCK_FILE: &str = "lock";
/// A process that is just ending, or one that was just forked and has not become another program yet, holds the lock for a moment.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// Between two attempts.
const LOCK_RETRY: Duration = Duration::from_millis(10);
const IDENTITY_FILE: &str = "server";
/// Left over when a crash hits the first replacement of the identity file.
const IDENTITY_FILE_UNFINISHED: &str = "server.new";

/// What the identity file says. Later formats may add fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Identity {
    format: u32,
    server: String,
    node_id: u64,
    incarnation: u64,
    /// Log and state were created: from then on they must be there.
    #[serde(default)]
    has_stores: bool,
    /// Its history is being replaced by another: until that is done nothing in it can be relied on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    recovering: bool,
    /// It is being made from a backup: until that is done there is nothing in it that can be relied on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    restoring: bool,
    /// The number drawn at the last opening.
    #[serde(default)]
    process: u64,
    /// The server that knew a later run of this directory: it must not be used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outdated: Option<String>,
}

/// What tells a run of a directory from one on a copy of it: numbers drawn at random at each opening. Never zero but where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// This run's.
    pub process: u64,
    /// That of the run before; zero: there was none, or an older program's.
    pub previous: u64,
}

/// The part of the identity file that every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// An open data directory, locked until dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    identity: Identity,
    /// The number of the run before.
    previous: u64,
    is_new: bool,
    /// Closing it releases the lock.
    _lock: File,
}

impl Directory {
    /// Opens the directory at `path` for the server called `server_name`; creates it if it is missing or empty.
    ///
    /// # Errors
    /// When it is in use, not ours, newer, another server's, damaged, or the disk fails.
    pub fn open(path: impl Into<PathBuf>, server_name: &str) -> Result<Self, DirectoryError> {
        let directory = Self::open_any(path.into(), server_name)?;
        if directory.identity.recovering {
            return Err(DirectoryError::HalfRecovered(directory.path));
        }
        if directory.identity.restoring {
            return Err(DirectoryError::HalfRestored(directory.path));
        }
        if let Some(known_by) = directory.identity.outdated {
            return Err(DirectoryError::Outdated { path: directory.path, known_by });
        }
        Ok(directory)
    }

    /// Opens the directory of a server that was here before, also one whose recovery was interrupted.
    ///
    /// # Errors
    /// As [`Directory::open`], and when there is no server's log and state.
    pub fn open_to_recover(path: impl Into<PathBuf>, server_name: &str) -> Result<Self, DirectoryError> {
        let path = path.into();
        if Self::owner(&path)?.is_none() {
            return Err(DirectoryError::Nothing(path));
        }
        let directory = Self::open_any(path, server_name)?;
        if directory.identity.restoring {
            return Err(DirectoryError::HalfRestored(directory.path));
        }
        if directory.identity.has_stores { Ok(directory) } else { Err(DirectoryError::Nothing(directory.path)) }
    }

    /// Opens a directory to make a server's data in it from a backup: a new or empty one, or one where that was begun before, of which
    /// nothing is left then. Until [`Directory::record_restored`] no server starts on it.
    ///
    /// # Errors
    /// As [`Directory::open`], and when there is anything else in it.
    pub fn open_to_restore(path: impl Into<PathBuf>, server_name: &str) -> Result<Self, DirectoryError> {
        let path = path.into();
        check_restorable(&path)?;
        let mut directory = Self::open_any(path, server_name)?;
        // Again under the lock.
        check_restorable(&directory.path)?;
        directory.identity.restoring = true;
        write_identity(&directory.path, &directory.identity)?;
        for store in [directory.log_path(), directory.state_path(), directory.search_path()] {
            for path in [store.with_extension("new"), store] {
                remove_directory(&path).map_err(|source| io_error("remove", &path, source))?;
            }
        }
        Ok(directory)
    }

    /// Whether a backup could be restored into `path`. Changes nothing.
    ///
    /// # Errors
    /// When it could not.
    pub fn may_restore(path: &Path) -> Result<(), DirectoryError> {
        check_restorable(path)
    }

    /// Whether a process has `path` open now, as a server has until its very end. Changes nothing.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn is_in_use(path: &Path) -> Result<bool, DirectoryError> {
        let file = path.join(LOCK_FILE);
        let lock = match File::options().write(true).open(&file) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(io_error("open", &file, source)),
        };
        match lock.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &file, source)),
        }
    }

    /// Whether a restoration into `path` was begun and not finished. Changes nothing.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or newer.
    pub fn is_half_restored(path: &Path) -> Result<bool, DirectoryError> {
        Ok(read_identity(path)?.is_some_and(|identity| identity.restoring))
    }

    /// Remembers, durably, that all of the backup is there. The stores must be closed.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn record_restored(&mut self) -> Result<(), DirectoryError> {
        self.identity.has_stores = true;
        self.identity.restoring = false;
        self.check_stores()?;
        write_identity(&self.path, &self.identity)
    }

    /// The name of the server that the directory at `path` belongs to, if it belongs to any. Changes nothing.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or newer.
    pub fn owner(path: &Path) -> Result<Option<String>, DirectoryError> {
        Ok(read_identity(path)?.map(|identity| identity.server))
    }

    /// Remembers, durably, that its history is about to be replaced, or that this is done.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn record_recovery(&mut self, under_way: bool) -> Result<(), DirectoryError> {
        self.identity.recovering = under_way;
        if !under_way {
            // What it holds is another history now, of which nobody knows more.
            self.identity.outdated = None;
        }
        write_identity(&self.path, &self.identity)
    }

    /// Remembers, durably, that another server knows a later run of this directory than it knows itself: it will not be opened again, but to
    /// recover from it. Gives what is to be said.
    pub fn record_outdated(&mut self, known_by: String) -> DirectoryError {
        self.identity.outdated = Some(known_by.clone());
        let outdated = DirectoryError::Outdated { path: self.path.clone(), known_by };
        write_identity(&self.path, &self.identity).err().unwrap_or(outdated)
    }

    /// Copies everything in it to a new directory beside it, durably, and gives that one's path. The stores must be closed.
    ///
    /// # Errors
    /// When the disk fails or is full; then nothing is left of the copy.
    pub fn back_up(&self) -> Result<PathBuf, DirectoryError> {
        backup::beside(&self.path, LOCK_FILE).map_err(|source| io_error("make a copy of", &self.path, source))
    }

    fn open_any(path: PathBuf, server_name: &str) -> Result<Self, DirectoryError> {
        create(&path)?;
        // Before the lock file is made: in a directory that is not ours nothing must change.
        let is_new = !path.join(IDENTITY_FILE).try_exists().map_err(|source| io_error("read", &path, source))?;
        if is_new && !is_vacant(&path)? {
            return Err(DirectoryError::NotOurs(path));
        }
        let lock = acquire(&path)?;
        // Again under the lock: another process may have been first.
        let recorded = read_identity(&path)?;
        let is_new = recorded.is_none();
        let identity = match recorded {
            Some(identity) if identity.server != server_name => {
                let configured = server_name.to_owned();
                return Err(DirectoryError::OtherServer { path, recorded: identity.server, configured });
            }
            Some(identity) => identity,
            None => claim(&path, server_name)?,
        };
        let mut directory = Self { path, previous: identity.process, identity, is_new, _lock: lock };
        directory.check_stores()?;
        directory.identity.incarnation += 1;
        directory.identity.process = draw(&directory.path)?.max(1);
        write_identity(&directory.path, &directory.identity)?;
        Ok(directory)
    }

    /// Remembers that log and state were created, durably: the next opening refuses a directory without them. To be
    /// called once both are open; what a crash before this leaves is created, or opened, again.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn record_stores(&mut self) -> Result<(), DirectoryError> {
        if self.identity.has_stores {
            return Ok(());
        }
        self.identity.has_stores = true;
        write_identity(&self.path, &self.identity)
    }

    fn check_stores(&self) -> Result<(), DirectoryError> {
        if !self.identity.has_stores {
            return Ok(());
        }
        let (log, state) = (self.log_path(), self.state_path());
        let stores = [("log", FjallLog::is_present(&log), log), ("state", FjallState::is_present(&state), state)];
        for (what, is_present, path) in stores {
            if !is_present.map_err(|source| io_error("read", &path, source))? {
                return Err(DirectoryError::Missing { what, path, directory: self.path.clone() });
            }
        }
        Ok(())
    }

    /// The random number that tells this directory, and so this server's data, from every other. Below 2^53, never 0.
    #[must_use]
    pub fn node_id(&self) -> u64 {
        self.identity.node_id
    }

    /// How many times the directory was opened, this time included.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.identity.incarnation
    }

    /// What tells this opening from one of a copy.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        Lineage { process: self.identity.process, previous: self.previous }
    }

    /// Whether this open created it: there is neither log nor state yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The name of the server it belongs to.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.identity.server
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log lives.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where the search index lives. It is made from the state: what is missing there is made again.
    #[must_use]
    pub fn search_path(&self) -> PathBuf {
        self.path.join("search")
    }

    /// Where the state lives.
    #[must_use]
    pub fn state_path(&self) -> PathBuf {
        self.path.join("state")
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Io { action, path: path.to_owned(), source }
}

/// Creates the directory, and those above it, if they are missing.
fn create(path: &Path) -> Result<(), DirectoryError> {
    let absolute = std::path::absolute(path).map_err(|source| io_error("find", path, source))?;
    let missing: Vec<_> = absolute.ancestors().take_while(|ancestor| !ancestor.is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
        .map_err(|source| io_error("create", path, source))?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        sync_directory(parent).map_err(|source| io_error("sync", parent, source))?;
    }
    Ok(())
}

/// Whether a backup may be restored into this directory: there is nothing, or what an earlier attempt has left.
fn check_restorable(path: &Path) -> Result<(), DirectoryError> {
    if !path.try_exists().map_err(|source| io_error("read", path, source))? {
        return Ok(());
    }
    if Directory::is_half_restored(path)? || is_vacant(path)? {
        Ok(())
    } else {
        Err(DirectoryError::NotEmpty(path.to_owned()))
    }
}

/// Whether nothing is there but what a first open that was cut short leaves.
fn is_vacant(path: &Path) -> Result<bool, DirectoryError> {
    for entry in fs::read_dir(path).map_err(|source| io_error("read", path, source))? {
        let name = entry.map_err(|source| io_error("read", path, source))?.file_name();
        if name != LOCK_FILE && name != IDENTITY_FILE && name != IDENTITY_FILE_UNFINISHED {
            return Ok(false);
        }
    }
    Ok(true)
}

fn acquire(path: &Path) -> Result<File, DirectoryError> {
    let file = path.join(LOCK_FILE);
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(|source| io_error("open", &file, source))?;
    let give_up = Instant::now() + LOCK_PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => thread::sleep(LOCK_RETRY),
            Err(TryLockError::WouldBlock) => return Err(DirectoryError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &file, source)),
        }
    }
}

/// Reads the identity file; none if the directory is new.
fn read_identity(path: &Path) -> Result<Option<Identity>, DirectoryError> {
    let file = path.join(IDENTITY_FILE);
    let contents = match fs::read(&file) {
        Ok(contents) => contents,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("read", &file, source)),
    };
    let damaged = |error: serde_json::Error| DirectoryError::Damaged { path: file.clone(), reason: error.to_string() };
    // The format first: a newer one may mean anything by the rest.
    let Format { format } = serde_json::from_slice(&contents).map_err(damaged)?;
    if format > FORMAT {
        return Err(DirectoryError::Newer { path: path.to_owned(), found: format });
    }
    let identity: Identity = serde_json::from_slice(&contents).map_err(damaged)?;
    if identity.node_id == 0 || identity.node_id >= NODE_ID_LIMIT {
        let reason = format!("{} is no node id", identity.node_id);
        return Err(DirectoryError::Damaged { path: file, reason });
    }
    Ok(Some(identity))
}

fn draw(path: &Path) -> Result<u64, DirectoryError> {
    OsRng.try_next_u64().map_err(|error| io_error("draw a number for", path, io::Error::other(error)))
}

/// Makes a vacant directory this server's own. Nothing is durable before the identity is written.
fn claim(path: &Path, server_name: &str) -> Result<Identity, DirectoryError> {
    fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY_MODE))
        .map_err(|source| io_error("set the permissions of", path, source))?;
    let node_id = loop {
        match draw(path)? % NODE_ID_LIMIT {
            0 => {}
            node_id => break node_id,
        }
    };
    Ok(Identity {
        format: FORMAT,
        server: server_name.to_owned(),
        node_id,
        incarnation: 0,
        has_stores: false,
        recovering: false,
        restoring: false,
        process: 0,
        outdated: None,
    })
}

fn write_identity(path: &Path, identity: &Identity) -> Result<(), DirectoryError> {
    let mut contents = serde_json::to_vec_pretty(identity).map_err(|error| io_error("write to", path, error.into()))?;
    contents.push(b'\n');
    replace_file(path, IDENTITY_FILE, &contents).map_err(|source| io_error("write to", path, source))
}
