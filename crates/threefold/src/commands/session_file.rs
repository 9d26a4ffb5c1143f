//! The file that keeps a login between commands.
//!
//! Promises: only its owner can read it; a reader sees the old or the new content, never a mixture; commands that run
//! at the same time do not undo each other's changes, because each changes the present content under a lock.

use std::{
    env, fs,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process,
};

use serde::{Deserialize, Serialize};
use threefold_client::Session;

use super::Failure;

/// The version of the format. A file of a newer one is refused.
const VERSION: u32 = 1;

/// A session file, which may not exist yet.
#[derive(Clone, Debug)]
pub struct SessionFile {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    #[serde(flatten)]
    session: Session,
}

impl SessionFile {
    /// The file at `path`, or the user's usual one.
    pub fn new(path: Option<PathBuf>) -> Result<Self, Failure> {
        let usual = || {
            let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
            let configuration = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
            configuration.map(|directory| directory.join("threefold").join("session.json"))
        };
        let path = path.or_else(usual);
        path.map(|path| Self { path })
            .ok_or_else(|| Failure::usage("no home directory: name a file with --session FILE"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The session, if there is one. Warns if others can read it.
    pub fn load(&self) -> Result<Option<Session>, Failure> {
        let session = self.read()?;
        if session.is_some()
            && let Ok(metadata) = fs::metadata(&self.path)
            && metadata.permissions().mode() & 0o077 != 0
        {
            let path = self.path.display();
            eprintln!("threefold: warning: others can read {path}, which holds your login: run `chmod 600 {path}`");
        }
        Ok(session)
    }

    /// Replaces whatever is there.
    pub fn store(&self, session: &Session) -> Result<(), Failure> {
        let _lock = self.lock()?;
        self.write(session)
    }

    /// Changes what is there now, if it still is the session `of`. Says whether it was.
    pub fn update(&self, of: &Session, change: impl FnOnce(&mut Session)) -> Result<bool, Failure> {
        let _lock = self.lock()?;
        let Some(mut present) = self.read()?.filter(|present| present.token == of.token) else { return Ok(false) };
        change(&mut present);
        self.write(&present)?;
        Ok(true)
    }

    /// Removes the file, if it still holds the session `of`.
    pub fn remove(&self, of: &Session) -> Result<(), Failure> {
        let _lock = self.lock()?;
        if self.read()?.is_some_and(|present| present.token == of.token) {
            fs::remove_file(&self.path).map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    fn read(&self) -> Result<Option<Session>, Failure> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        let damaged = |error: serde_json::Error| {
            let path = self.path.display();
            Failure::usage(format!("{path} is no session file ({error}): remove it and log in again"))
        };
        let version = serde_json::from_str::<serde_json::Value>(&text).map_err(damaged)?.get("version").cloned();
        if version.and_then(|version| version.as_u64()).is_some_and(|version| version > VERSION.into()) {
            let path = self.path.display();
            return Err(Failure::usage(format!(
                "{path} was written by a newer threefold: use that, or another --session"
            )));
        }
        Ok(Some(serde_json::from_str::<Stored>(&text).map_err(damaged)?.session))
    }

    /// Writes a new file and renames it into place.
    fn write(&self, session: &Session) -> Result<(), Failure> {
        let new = self.beside(&format!("new-{}", process::id()));
        let stored = Stored { version: VERSION, session: session.clone() };
        let write = || -> io::Result<()> {
            let mut text = serde_json::to_string_pretty(&stored).map_err(io::Error::other)?;
            text.push('\n');
            // A left-over of a process that died might have other permissions.
            drop(fs::remove_file(&new));
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|error| self.failed(&error))
    }

    /// Where `chat` keeps what was written and is not answered.
    pub fn outbox(&self) -> PathBuf {
        self.beside("outbox")
    }

    /// Waits for the lock; it is released when the file is dropped.
    fn lock(&self) -> Result<File, Failure> {
        if let Some(parent) = self.path.parent().filter(|parent| *parent != Path::new("") && !parent.exists()) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(|error| Failure::file(parent, &error))?;
        }
        let path = self.beside("lock");
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(|error| Failure::file(&path, &error))?;
        file.lock().map_err(|error| Failure::file(&path, &error))?;
        Ok(file)
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{suffix}"));
        self.path.with_file_name(name)
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::file(&self.path, error)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use threefold_client::Token;

    use super::*;

    fn session() -> Session {
        Session {
            token: Token::generate().unwrap(),
            account: 1,
            session: 2,
            name: "alice".to_owned(),
            expires_at_ms: 3,
            delivered_up_to: 4,
            position: 5,
            cursor: None,
            recovery_id: vec![0xab],
            servers: vec!["127.0.0.1:7400".to_owned()],
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_its_owner_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new directory").join("session.json");
        let file = SessionFile::new(Some(path.clone())).unwrap();
        assert!(file.load().unwrap().is_none());
        let session = session();
        file.store(&session).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let loaded = file.load().unwrap().unwrap();
        assert_eq!(
            (loaded.token.clone(), loaded.name, loaded.recovery_id),
            (session.token.clone(), session.name.clone(), vec![0xab])
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        file.update(&session, |_| ()).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn changes_at_the_same_time_all_take_effect() {
        let directory = tempfile::tempdir().unwrap();
        let file = SessionFile::new(Some(directory.path().join("session.json"))).unwrap();
        let session = Session { position: 0, cursor: Some(0), ..session() };
        file.store(&session).unwrap();
        thread::scope(|scope| {
            for worker in 0..8 {
                let (file, session) = (&file, &session);
                scope.spawn(move || {
                    for _ in 0..25 {
                        let change = |present: &mut Session| {
                            if worker % 2 == 0 {
                                present.position += 1;
                            } else {
                                present.cursor = present.cursor.map(|cursor| cursor + 1);
                            }
                        };
                        assert!(file.update(session, change).unwrap());
                        assert!(file.load().unwrap().is_some());
                    }
                });
            }
        });
        let end = file.load().unwrap().unwrap();
        assert_eq!((end.position, end.cursor), (100, Some(100)));
    }

    #[test]
    fn the_session_of_a_later_login_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = SessionFile::new(Some(directory.path().join("session.json"))).unwrap();
        let (old, new) = (session(), session());
        file.store(&old).unwrap();
        file.store(&new).unwrap();
        assert!(!file.update(&old, |present| present.position = 99).unwrap());
        file.remove(&old).unwrap();
        assert_eq!(file.load().unwrap().unwrap().position, 5);
        file.remove(&new).unwrap();
        assert!(file.load().unwrap().is_none());
    }

    #[test]
    fn damaged_and_newer_files_are_refused_with_words() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("session.json");
        let file = SessionFile::new(Some(path.clone())).unwrap();
        for text in ["", "{", "[]", "{\"version\":2}", "{\"version\":1}"] {
            fs::write(&path, text).unwrap();
            assert_eq!(file.load().unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
