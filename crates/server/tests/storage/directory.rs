//! The data directory: whose it is, and that only one process uses it.

use std::{os::unix::fs::PermissionsExt, path::Path};

use threefold_server::storage::{
    directory::{Directory, DirectoryError},
    fjall_log::FjallLog,
    fjall_state::FjallState,
};

#[test]
fn a_directory_knows_whose_it_is() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("deep/data");
    let directory = Directory::open(&path, "one").unwrap();
    assert!(directory.is_new());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let (node_id, incarnation) = (directory.node_id(), directory.incarnation());
    assert!(node_id > 0 && node_id < 1 << 53);
    let in_use = Directory::open(&path, "one").unwrap_err();
    assert!(matches!(in_use, DirectoryError::InUse(_)));
    assert!(in_use.to_string().contains(path.to_str().unwrap()), "{in_use}");
    drop(directory);

    let again = Directory::open(&path, "one").unwrap();
    assert!(!again.is_new());
    assert_eq!(again.node_id(), node_id);
    assert!(again.incarnation() > incarnation);
}

#[test]
fn a_directory_of_another_server_or_a_newer_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let node_id = Directory::open(path, "one").unwrap().node_id();
    let other = Directory::open(path, "two").unwrap_err();
    assert!(matches!(other, DirectoryError::OtherServer { .. }), "{other}");
    let identity = path.join("server");
    let written = std::fs::read_to_string(&identity).unwrap();
    std::fs::write(&identity, r#"{"format": 3, "anything": "else"}"#).unwrap();
    let newer = Directory::open(path, "one").unwrap_err();
    assert!(newer.to_string().contains("written by a newer Threefold: format 3, this program knows 1"), "{newer}");
    std::fs::write(&identity, "garbage").unwrap();
    assert!(matches!(Directory::open(path, "one").unwrap_err(), DirectoryError::Damaged { .. }));
    std::fs::write(&identity, written).unwrap();
    assert_eq!(Directory::open(path, "one").unwrap().node_id(), node_id);
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("photo.jpg"), "").unwrap();
    assert!(matches!(Directory::open(directory.path(), "one").unwrap_err(), DirectoryError::NotOurs(_)));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// Opens everything, as a server does at its start.
fn start(path: &Path) -> Result<(), String> {
    let mut directory = Directory::open(path, "one").map_err(|error| error.to_string())?;
    drop(FjallLog::open(&directory.log_path()).map_err(|error| error.to_string())?);
    drop(FjallState::open(&directory.state_path()).map_err(|error| error.to_string())?);
    directory.record_stores().map_err(|error| error.to_string())
}

#[test]
fn a_directory_that_lost_its_log_or_its_state_is_refused() {
    for lost in ["log", "state", "state/CURRENT"] {
        let parent = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (parent.path().join("data"), parent.path().join("elsewhere"));
        start(&path).unwrap();
        std::fs::rename(path.join(lost), &elsewhere).unwrap();
        for _ in 0..2 {
            let error = start(&path).unwrap_err();
            assert!(error.contains("is missing") && error.contains("comes back as a new member"), "{error}");
        }
        // An empty one in its place is no better.
        std::fs::create_dir_all(path.join(lost)).unwrap();
        if lost != "state/CURRENT" {
            assert!(start(&path).unwrap_err().contains("is missing"));
        }
        std::fs::remove_dir(path.join(lost)).unwrap();
        std::fs::rename(&elsewhere, path.join(lost)).unwrap();
        start(&path).unwrap();
    }
}

#[test]
fn a_first_start_that_was_cut_short_is_started_again() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    // After each step but the last.
    drop(Directory::open(&path, "one").unwrap());
    drop(FjallLog::open(&Directory::open(&path, "one").unwrap().log_path()).unwrap());
    std::fs::create_dir_all(path.join("state.new/generation-1")).unwrap();
    drop(Directory::open(&path, "one").unwrap());
    start(&path).unwrap();
    start(&path).unwrap();
}

#[test]
fn a_directory_that_was_found_to_be_an_old_copy_is_not_opened_again_but_to_recover() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("data");
    let mut directory = Directory::open(&path, "server-1").unwrap();
    FjallLog::open(&directory.log_path()).unwrap();
    FjallState::open(&directory.state_path()).unwrap();
    directory.record_stores().unwrap();
    let first = directory.lineage();
    drop(directory);
    let mut directory = Directory::open(&path, "server-1").unwrap();
    assert_eq!(directory.lineage().previous, first.process);
    assert_ne!(directory.lineage().process, first.process);
    let said = directory.record_outdated("server-2".to_owned()).to_string();
    drop(directory);
    assert!(said.contains("server-2 knows a run of it"), "{said}");
    assert_eq!(Directory::open(&path, "server-1").unwrap_err().to_string(), said);
    let mut directory = Directory::open_to_recover(&path, "server-1").unwrap();
    directory.record_recovery(true).unwrap();
    directory.record_recovery(false).unwrap();
    drop(directory);
    assert!(Directory::open(&path, "server-1").is_ok(), "another history begins");
}
