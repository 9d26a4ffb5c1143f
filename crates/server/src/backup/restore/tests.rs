use std::{fs, path::PathBuf};

use threefold_core::{
    Command, TokenHash, entry,
    store::{MemoryStore, Read as _},
};
use threefold_proto::peer;

use super::*;
use crate::{backup::file::Writer, raft::types::to_record, storage::StateStore};

const NAME: &str = "server-1";

struct Scene {
    home: tempfile::TempDir,
    records: Vec<peer::KeyValue>,
}

fn snapshot(index: u64) -> peer::SnapshotHeader {
    let last_log_id = Some(peer::LogId { term: 3, index });
    let last_membership = Some(peer::StoredMembership::default());
    peer::SnapshotHeader { version: 1, last_log_id, last_membership, ..peer::SnapshotHeader::default() }
}

fn header(index: u64) -> Header {
    let (recovery_id, snapshot) = (vec![9; 16].into(), Some(snapshot(index)));
    Header::of(peer::BackupHeader { recovery_id, snapshot, ..peer::BackupHeader::default() }).unwrap()
}

impl Scene {
    /// A state in which somebody has registered, and an operator has removed a server.
    fn new() -> Self {
        let register = Command::Register {
            name: "ann".to_owned(),
            password_hash: "$argon2id$".to_owned(),
            token_hash: TokenHash([7; 32]),
            device: "desk".to_owned(),
        };
        let mut store = MemoryStore::default();
        let packed = entry::pack(1_700_000_000_000, [entry::encode_command(&register)].iter());
        threefold_core::apply(&mut store, 5, &entry::unpack(&packed).unwrap()).unwrap();
        store.entries.insert(vec![0, 1], to_record(&snapshot(5)).to_vec());
        store.entries.insert(vec![0, 2], vec![9; 16]);
        store.entries.insert(b"\x00\x03server-2".to_vec(), b"an operator's word".to_vec());
        let record = |(key, value): (Vec<u8>, Vec<u8>)| peer::KeyValue { key: key.into(), value: value.into() };
        Self { home: tempfile::tempdir().unwrap(), records: store.entries.into_iter().map(record).collect() }
    }

    fn backup(&self, header: &Header) -> PathBuf {
        let path = self.home.path().join("x.backup");
        let mut writer = Writer::begin(fs::File::create(&path).unwrap(), header).unwrap();
        for records in self.records.chunks(3) {
            writer.records(records.to_vec()).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn restore(&self, path: &Path) -> Result<Restored, RestoreError> {
        self.unfinished(path, 0)?.finish()
    }

    /// All but the last word, at this time.
    fn unfinished(&self, path: &Path, now_ms: u64) -> Result<Unfinished, RestoreError> {
        let founder = Founder {
            name: NAME.to_owned(),
            peer_address: "host:7500".to_owned(),
            client_address: "host:7400".to_owned(),
            survivor_mode: true,
        };
        check(path, &self.data_dir(), &mut |_| {})?.make(&founder, now_ms, &mut |_| {})
    }

    /// Opens what was restored as a server does.
    fn opened(&self) -> (Directory, FjallState) {
        let directory = Directory::open(self.data_dir(), NAME).unwrap();
        let state = FjallState::open(&directory.state_path()).unwrap();
        (directory, state)
    }
}

#[test]
fn a_directory_is_made_that_a_server_starts_on() {
    let scene = Scene::new();
    let restored = scene.restore(&scene.backup(&header(5))).unwrap();
    assert_eq!(restored.beginning, Beginning { term: 1 << 32, index: 5 + offline::SKIPPED_BY_RESTORING });
    assert_eq!((restored.summary.contents.accounts, restored.summary.contents.sessions), (1, 1));
    let (directory, state) = scene.opened();
    let (recovery_id, described) = machine::described(&state).unwrap();
    assert_eq!(recovery_id, restored.recovery_id);
    assert_eq!(described.last_log_id.unwrap().index, restored.beginning.index);
    let members = described.last_membership.unwrap().membership.unwrap().nodes;
    assert_eq!(members[&directory.node_id()].name, NAME);
    assert!(members[&directory.node_id()].survivor_mode && members.len() == 1);
    assert!(state.get(b"\x00\x03server-2").unwrap().is_none(), "that was about servers of the old cluster");
    let mut changed = 0;
    for record in scene.records.iter().filter(|record| record.key[0] != 0) {
        let found = state.get(&record.key).unwrap().unwrap();
        changed += usize::from(found != record.value);
    }
    assert_eq!(changed, 1, "the session's instances, and nothing else");
}

#[test]
fn a_damaged_backup_leaves_nothing_behind() {
    let scene = Scene::new();
    let path = scene.backup(&header(5));
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(scene.restore(&path), Err(RestoreError::Backup(BackupError::Damaged { .. }))));
    fs::write(&path, &bytes[..last]).unwrap();
    assert!(matches!(scene.restore(&path), Err(RestoreError::Backup(BackupError::Truncated(_)))));
    assert!(!scene.data_dir().exists());
}

#[test]
fn what_is_in_a_directory_stays() {
    let scene = Scene::new();
    let path = scene.backup(&header(5));
    fs::create_dir(scene.data_dir()).unwrap();
    fs::write(scene.data_dir().join("letters"), "dear").unwrap();
    let refused = |scene: &Scene| {
        let error = scene.restore(&path).unwrap_err();
        assert!(matches!(error, RestoreError::Directory(DirectoryError::NotEmpty(_))), "{error}");
    };
    refused(&scene);
    assert_eq!(fs::read_dir(scene.data_dir()).unwrap().count(), 1);
    fs::remove_file(scene.data_dir().join("letters")).unwrap();
    scene.restore(&path).unwrap();
    // And so does a server's data.
    refused(&scene);
    scene.opened();
}

#[test]
fn an_interrupted_restoration_is_refused_by_the_server_and_begun_again() {
    let scene = Scene::new();
    let path = scene.backup(&header(5));
    // As far as the state, which is there with a part of what belongs into it.
    let directory = Directory::open_to_restore(scene.data_dir(), NAME).unwrap();
    drop(FjallLog::open(&directory.log_path()).unwrap());
    let state = FjallState::open(&directory.state_path()).unwrap();
    state.commit([(b"\x02half".to_vec(), Some(b"of it".to_vec()))].into()).unwrap();
    drop((state, directory));
    for refused in [Directory::open(scene.data_dir(), NAME), Directory::open_to_recover(scene.data_dir(), NAME)] {
        let error = refused.unwrap_err();
        assert!(matches!(error, DirectoryError::HalfRestored(_)), "{error}");
    }
    scene.restore(&path).unwrap();
    let (_, state) = scene.opened();
    assert!(state.get(b"\x02half").unwrap().is_none(), "nothing is left of the first attempt");
}

#[test]
fn a_first_attempt_that_came_to_nothing_is_no_obstacle() {
    let scene = Scene::new();
    let path = scene.backup(&header(5));
    // Killed between the identity and the mark.
    drop(Directory::open(scene.data_dir(), NAME).unwrap());
    scene.restore(&path).unwrap();
    scene.opened();
}

#[test]
fn records_of_another_position_than_the_header_says_are_refused() {
    let scene = Scene::new();
    let error = scene.restore(&scene.backup(&header(6))).unwrap_err();
    assert!(error.to_string().contains("its header is of another state"), "{error}");
    assert!(Directory::open(scene.data_dir(), NAME).is_err(), "no server starts on it");
}

#[test]
fn one_backup_at_two_times_begins_two_histories_the_later_one_behind_the_earlier() {
    let scenes = [Scene::new(), Scene::new()];
    let path = scenes[0].backup(&header(5));
    let found = [7_000, 8_000].map(|after_ms| {
        let scene = &scenes[usize::from(after_ms > 7_000)];
        let now_ms = offline::FIRST_MS + after_ms;
        let restored = scene.unfinished(&path, now_ms).unwrap().finish().unwrap();
        let (_, state) = scene.opened();
        let sessions = scene.records.iter().filter(|record| record.key[0] == threefold_core::backup::CHANGED_TABLE);
        let sessions = sessions.map(|record| state.get(&record.key).unwrap().unwrap()).collect::<Vec<_>>();
        (restored.beginning.index, restored.recovery_id, sessions)
    });
    assert_eq!([found[0].0, found[1].0], [7_000, 8_000]);
    assert_ne!(found[0].1, found[1].1);
    assert!(found[0].2.len() == 1 && found[0].2 != found[1].2, "nor are instances counted alike");
}

#[test]
fn nothing_is_made_with_a_clock_that_cannot_be_right() {
    let scene = Scene::new();
    let error = scene.unfinished(&scene.backup(&header(5)), u64::MAX).unwrap_err();
    assert!(matches!(error, RestoreError::Offline(OfflineError::Clock)), "{error}");
    assert!(!scene.data_dir().exists());
}

#[test]
fn until_the_last_word_no_server_starts() {
    let scene = Scene::new();
    let path = scene.backup(&header(5));
    let unfinished = scene.unfinished(&path, 0).unwrap();
    assert!(Directory::is_half_restored(&scene.data_dir()).unwrap());
    drop(unfinished);
    assert!(matches!(Directory::open(scene.data_dir(), NAME), Err(DirectoryError::HalfRestored(_))));
    scene.restore(&path).unwrap();
    assert!(!Directory::is_half_restored(&scene.data_dir()).unwrap());
    scene.opened();
}
