//! The file of a backup that is not finished, beside the one that is to be.
//!
//! Promises: it gets the name when it is whole, or that name stays free; what has the name stays. It is removed when it is given up. Whoever makes one is
//! known by a lock on it, which ends with the process: what is not locked was left by one that was killed, and is removed by the next.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Seek as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::take::{NotTaken, file_error};
use crate::storage::sync_directory;

/// Password hashes and messages are in it.
const MODE: u32 = 0o600;
/// Unfinished files of other backups of this name, at most.
const OTHER_PARTS: u32 = 100;
/// Between the name that it is to have and the numbers that make it one of many.
const MARK: &str = ".part-";

/// A file that is not finished. Removed when dropped.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    part: PathBuf,
    file: File,
}

impl Part {
    /// Makes one for a file that is to be at `path`.
    pub(super) fn create(path: &Path) -> Result<Self, NotTaken> {
        if path.try_exists().map_err(|error| file_error(path, error))? {
            return Err(NotTaken::Exists(path.to_owned()));
        }
        let missing = || file_error(path, io::Error::new(io::ErrorKind::InvalidInput, "it has no name"));
        let name = path.file_name().ok_or_else(missing)?;
        remove_left(parent(path), name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(MODE);
        let mut number = 1;
        loop {
            let mut part = name.to_owned();
            part.push(format!("{MARK}{}-{number}", std::process::id()));
            let part = path.with_file_name(part);
            let file = match options.open(&part) {
                // Another one that looks for what was left may have been faster.
                Ok(file) => is_mine(&file, &part).then_some(file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                Err(error) => return Err(file_error(&part, error)),
            };
            match file {
                Some(file) => return Ok(Self { path: path.to_owned(), part, file }),
                None if number < OTHER_PARTS => number += 1,
                None => return Err(file_error(&part, io::ErrorKind::AlreadyExists.into())),
            }
        }
    }

    /// The name that it is to have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, empty.
    pub(super) fn again(&self) -> Result<File, NotTaken> {
        let empty = || {
            let mut file = self.file.try_clone()?;
            file.set_len(0)?;
            file.rewind()?;
            Ok(file)
        };
        empty().map_err(|error| file_error(&self.part, error))
    }

    /// Gives it its name, unless something has that by now.
    pub(super) fn keep(self) -> Result<(), NotTaken> {
        self.keep_with(sync_directory)
    }

    fn keep_with(self, sync: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), NotTaken> {
        let named = match fs::hard_link(&self.part, &self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(NotTaken::Exists(self.path.clone()));
            }
            // Not everything that holds files knows two names for one.
            Err(_) if !self.path.exists() => fs::rename(&self.part, &self.path),
            named => named,
        };
        named.map_err(|error| file_error(&self.path, error))?;
        sync(parent(&self.path)).map_err(|error| {
            // Nobody finds it there who was told that there is none. That it cannot be removed is the lesser news.
            let _ = fs::remove_file(&self.path);
            file_error(&self.path, error)
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Where it has its name already, this takes the other one; that it cannot be removed is the lesser news.
        let _ = fs::remove_file(&self.part);
    }
}

/// The directory that a file is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether the file there is this one, and this process has it.
fn is_mine(file: &File, path: &Path) -> bool {
    // Where locks are not known nobody takes a file for one that was left.
    let is_locked = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    is_locked && is_at(file, path)
}

/// Whether the file there is this one.
fn is_at(file: &File, path: &Path) -> bool {
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (own, found) = (file.metadata().map(place), fs::symlink_metadata(path).map(place));
    matches!((own, found), (Ok(own), Ok(found)) if own == found)
}

/// Removes what killed backups of this name have left. What cannot be removed stays.
fn remove_left(directory: &Path, name: &OsStr) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let is_file = || entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_part_of(&entry.file_name(), name) || !is_file() {
            continue;
        }
        let path = entry.path();
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        if file.try_lock().is_ok() && is_at(&file, &path) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Whether a file of this name is an unfinished one of a file called `of`.
fn is_part_of(name: &OsStr, of: &OsStr) -> bool {
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let rest = name.as_encoded_bytes().strip_prefix(of.as_encoded_bytes());
    let mut numbers =
        rest.and_then(|rest| rest.strip_prefix(MARK.as_bytes())).unwrap_or_default().split(|byte| *byte == b'-');
    let all = (numbers.next(), numbers.next(), numbers.next());
    matches!(all, (Some(process), Some(number), None) if is_number(process) && is_number(number))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_gets_its_name_in_the_end_or_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.backup");
        drop(Part::create(&path).unwrap());
        assert!(names(directory.path()).is_empty());
        let part = Part::create(&path).unwrap();
        part.again().unwrap().write_all(b"what a server gave that has died").unwrap();
        part.again().unwrap().write_all(b"whole").unwrap();
        part.keep().unwrap();
        assert_eq!(names(directory.path()), ["x.backup"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, MODE);
    }

    #[test]
    fn what_has_the_name_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.backup");
        let part = Part::create(&path).unwrap();
        fs::write(&path, "of somebody else").unwrap();
        assert!(matches!(part.keep(), Err(NotTaken::Exists(_))));
        assert!(matches!(Part::create(&path), Err(NotTaken::Exists(_))));
        assert_eq!(names(directory.path()), ["x.backup"]);
        assert_eq!(fs::read(&path).unwrap(), b"of somebody else");
    }

    #[test]
    fn what_is_not_certain_to_stay_does_not_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.backup");
        let failed = Part::create(&path).unwrap().keep_with(|_| Err(io::ErrorKind::StorageFull.into()));
        assert!(matches!(failed, Err(NotTaken::File { .. })));
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn what_the_killed_have_left_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.backup");
        let others =
            ["x.backup.part-1", "x.backup.part-1-2-3", "x.backup.part-a-1", "x.backup.part-old", "y.backup.part-1-1"];
        for name in others.into_iter().chain(["x.backup.part-1-1", "x.backup.part-77-2"]) {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        let living = Part::create(&path).unwrap();
        let second = Part::create(&path).unwrap();
        assert!(living.part.exists() && second.part.exists() && living.part != second.part);
        drop((living, second));
        let mut left = names(directory.path());
        left.sort();
        assert_eq!(left, others);
    }
}
