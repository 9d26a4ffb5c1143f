//! A disk that is full: a plain error for everybody, and nothing reported that is not there.
//!
//! Needs a small file system to fill, so it runs only where one can be mounted, and says so elsewhere.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::channel,
};

use threefold_core::store::Read;
use threefold_server::storage::{LogStore, StateStore, fjall_log::FjallLog, fjall_state::FjallState};

/// A file system of a few megabytes, unmounted when dropped.
struct SmallDisk {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(&path)
            .output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self { path, _directory: directory });
        }
        eprintln!("skipped: a small disk cannot be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Makes room again, as an administrator would.
fn fill(directory: &Path, bytes: usize) -> PathBuf {
    let filler = directory.join("filler");
    std::fs::write(&filler, vec![1; bytes]).unwrap();
    filler
}

#[test]
fn a_log_on_a_full_disk_says_so_and_keeps_what_it_reported() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let path = disk.path.join("log");
    let filler = fill(&disk.path, 2 << 20);
    let log = FjallLog::open(&path).unwrap();
    let mut reported = 0;
    let error = loop {
        let (told, tell) = channel();
        log.append(reported, vec![vec![7; 100_000].into()], Box::new(move |result| told.send(result).unwrap()));
        match tell.recv().unwrap() {
            Ok(()) => reported += 1,
            Err(error) => break error,
        }
        assert!(reported < 1000, "the disk is never full");
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert!(reported > 10);
    // It stays that way, also when there is room again: only a restart starts afresh.
    std::fs::remove_file(filler).unwrap();
    let (told, tell) = channel();
    log.save_vote("vote".into(), Box::new(move |result| told.send(result).unwrap()));
    assert_eq!(tell.recv().unwrap().unwrap_err().kind(), io::ErrorKind::StorageFull);
    drop(log);
    let log = FjallLog::open(&path).unwrap();
    let extent = log.extent();
    assert_eq!(extent.vote, None);
    assert!(extent.indices.end >= reported, "{reported} were reported, {:?} are there", extent.indices);
    assert_eq!(log.read(0..reported, usize::MAX).unwrap().len() as u64, reported);
    let (told, tell) = channel();
    log.append(extent.indices.end, vec!["more".into()], Box::new(move |result| told.send(result).unwrap()));
    tell.recv().unwrap().unwrap();
}

#[test]
fn a_state_on_a_full_disk_says_so_and_keeps_what_it_persisted() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let path = disk.path.join("state");
    let filler = fill(&disk.path, 2 << 20);
    let state = FjallState::open(&path).unwrap();
    let mut persisted = 0u32;
    let error = loop {
        let key = persisted.to_be_bytes().to_vec();
        let change = [(key, Some(vec![7; 100_000])), (b"applied".to_vec(), Some(persisted.to_be_bytes().to_vec()))];
        match state.commit(change.into_iter().collect()).and_then(|()| state.persist()) {
            Ok(()) => persisted += 1,
            Err(error) => break error,
        }
        assert!(persisted < 1000, "the disk is never full");
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert_eq!(state.commit(Default::default()).unwrap_err().kind(), io::ErrorKind::StorageFull);
    drop(state);
    std::fs::remove_file(filler).unwrap();
    let state = FjallState::open(&path).unwrap();
    let applied = state.get(b"applied").unwrap().map(|value| u32::from_be_bytes(value.try_into().unwrap()));
    assert!(applied >= persisted.checked_sub(1), "{persisted} were persisted, {applied:?} is there");
    for key in 0..persisted {
        assert!(state.get(&key.to_be_bytes()).unwrap().is_some(), "{key} of {persisted}");
    }
}
