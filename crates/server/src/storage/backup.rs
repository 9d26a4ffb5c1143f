//! A copy of a directory beside it, complete and durable before its name appears.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::files::{remove_directory, sync_directory};

/// Only the server's own account may look inside, as in the original.
const MODE: u32 = 0o700;
/// Copies of one directory: more than anybody makes, and a bound for the search of a name.
const COPIES: u32 = 10_000;

/// Copies `directory` but for the file `left_out` to `DIRECTORY.before-recovery-N`, with the first N that is free.
///
/// # Errors
/// When the disk fails or is full. Nothing is left of the copy then.
pub(super) fn beside(directory: &Path, left_out: &str) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(directory)?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a directory without a name"));
    };
    let name = name.to_string_lossy();
    let free = |path: &PathBuf| path.try_exists().is_ok_and(|exists| !exists);
    let place = (1..=COPIES).map(|number| parent.join(format!("{name}.before-recovery-{number}"))).find(free);
    let place = place.ok_or_else(|| io::Error::other("there are too many copies beside it"))?;
    let unfinished = parent.join(format!("{name}.before-recovery.unfinished"));
    remove_directory(&unfinished)?;
    let copied = copy(&absolute, &unfinished, Some(left_out)).and_then(|()| fs::rename(&unfinished, &place));
    if let Err(error) = copied {
        // What cannot be removed either is removed by the next attempt.
        let _ = remove_directory(&unfinished);
        return Err(error);
    }
    sync_directory(parent)?;
    Ok(place)
}

fn copy(from: &Path, to: &Path, left_out: Option<&str>) -> io::Result<()> {
    DirBuilder::new().mode(MODE).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if left_out.is_some_and(|name| entry.file_name() == name) {
            continue;
        }
        if kind.is_dir() {
            copy(&entry.path(), &target, None)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    sync_directory(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_holds_everything_but_the_lock_and_takes_a_free_name() {
        let home = tempfile::tempdir().unwrap();
        let original = home.path().join("server-1");
        fs::create_dir_all(original.join("log/inner")).unwrap();
        fs::write(original.join("lock"), "").unwrap();
        fs::write(original.join("server"), "identity").unwrap();
        fs::write(original.join("log/inner/entries"), "entries").unwrap();
        for number in 1..=2 {
            let copied = beside(&original, "lock").unwrap();
            assert_eq!(copied, home.path().join(format!("server-1.before-recovery-{number}")));
            assert_eq!(fs::read_to_string(copied.join("log/inner/entries")).unwrap(), "entries");
            assert_eq!(fs::read_to_string(copied.join("server")).unwrap(), "identity");
            assert!(!copied.join("lock").exists());
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3, "nothing unfinished is left");
    }
}
