//! No acknowledgement precedes its fsyncs: every server has a log on a real disk that takes longer than it needs, and notes
//! what it has reported as synced.

use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use threefold_core::Position;
use threefold_server::storage::{Done, LogExtent, LogStore, fjall_log::FjallLog};

use crate::harness::{Cluster, Person};

const MESSAGES: u64 = 30;

/// What is known of one server's disk.
#[derive(Debug)]
pub struct Disk {
    /// What every sync takes besides the real one.
    latency: Duration,
    /// The last log index that was reported as synced. (Nothing is truncated in these tests.)
    synced: AtomicU64,
    /// Appends that were reported as synced.
    syncs: AtomicU64,
}

impl Disk {
    fn new(latency_ms: u64) -> Arc<Self> {
        let latency = Duration::from_millis(latency_ms);
        Arc::new(Self { latency, synced: AtomicU64::new(0), syncs: AtomicU64::new(0) })
    }

    fn synced(&self) -> u64 {
        self.synced.load(Ordering::SeqCst)
    }

    fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }
}

type Report = (Option<u64>, io::Result<()>, Done);

/// A log whose reports come late, in their order.
pub struct SlowLog {
    log: FjallLog,
    reports: mpsc::Sender<Report>,
}

impl SlowLog {
    pub fn new(log: FjallLog, disk: Arc<Disk>) -> Self {
        let (reports, late) = mpsc::channel::<Report>();
        thread::spawn(move || {
            for (last_index, result, done) in late {
                thread::sleep(disk.latency);
                if let Some(last_index) = last_index.filter(|_| result.is_ok()) {
                    disk.synced.fetch_max(last_index, Ordering::SeqCst);
                    disk.syncs.fetch_add(1, Ordering::SeqCst);
                }
                done(result);
            }
        });
        Self { log, reports }
    }

    fn late(&self, last_index: Option<u64>, done: Done) -> Done {
        let reports = self.reports.clone();
        Box::new(move |result| drop(reports.send((last_index, result, done))))
    }
}

impl LogStore for SlowLog {
    fn extent(&self) -> LogExtent {
        self.log.extent()
    }

    fn append(&self, first_index: u64, entries: Vec<Bytes>, done: Done) {
        let last_index = (first_index + entries.len() as u64).checked_sub(1);
        self.log.append(first_index, entries, self.late(last_index, done));
    }

    fn save_vote(&self, vote: Bytes, done: Done) {
        self.log.save_vote(vote, self.late(None, done));
    }

    fn truncate(&self, from_index: u64, done: Done) {
        self.log.truncate(from_index, self.late(None, done));
    }

    fn purge(&self, to_index: u64, purged: Bytes, done: Done) {
        self.log.purge(to_index, purged, self.late(None, done));
    }

    fn held_bytes(&self) -> u64 {
        self.log.held_bytes()
    }

    fn read_from_memory(&self, indices: Range<u64>, max_bytes: usize) -> Option<Vec<Bytes>> {
        self.log.read_from_memory(indices, max_bytes)
    }

    fn read(&self, indices: Range<u64>, max_bytes: usize) -> io::Result<Vec<Bytes>> {
        self.log.read(indices, max_bytes)
    }
}

/// Sends one message after the other, through every server in turn, and says after each acknowledgement which servers had
/// its entry synced.
async fn synced_at_acknowledgements(disks: &[Arc<Disk>], survivor_mode: bool) -> Vec<Vec<bool>> {
    let cluster = Cluster::start_on(disks, survivor_mode).await;
    let mut alice = Person::register(&cluster, 0, "alice").await;
    let before = disks.iter().map(|disk| disk.syncs()).collect::<Vec<_>>();
    let mut synced = Vec::new();
    for n in 0..MESSAGES {
        let sent = alice.send(n as usize % disks.len(), "alice", &format!("message {n}")).await;
        let index = Position(sent.id).log_index();
        synced.push(disks.iter().map(|disk| disk.synced() >= index).collect());
    }
    // Each message waited for the one before, so that none shares its entry, and so its sync, with another.
    let syncs = disks.iter().zip(before).map(|(disk, before)| disk.syncs() - before).collect::<Vec<_>>();
    let enough = syncs.iter().filter(|syncs| **syncs >= MESSAGES).count();
    let needed = if survivor_mode { disks.len() } else { disks.len() / 2 + 1 };
    assert!(enough >= needed, "{MESSAGES} acknowledgements, and so many syncs on each disk: {syncs:?}");
    cluster.stop().await;
    synced
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_survivor_mode_an_acknowledgement_follows_its_sync_on_every_disk() {
    let disks = [Disk::new(0), Disk::new(5), Disk::new(20)];
    let synced = synced_at_acknowledgements(&disks, true).await;
    assert!(synced.iter().flatten().all(|synced| *synced), "{synced:?}");
}

/// And the check sees a disk that is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_plain_raft_an_acknowledgement_follows_its_sync_on_a_majority_of_disks() {
    let disks = [Disk::new(0), Disk::new(5), Disk::new(200)];
    let synced = synced_at_acknowledgements(&disks, false).await;
    let count = |synced: &Vec<bool>| synced.iter().filter(|synced| **synced).count();
    assert!(synced.iter().all(|synced| count(synced) >= 2), "{synced:?}");
    assert!(synced.iter().any(|synced| count(synced) == 2), "the slow disk was always there in time: {synced:?}");
}
