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
use threefold_proto::peer;
use threefold_server::{
    raft::types::from_record,
    storage::{Done, LogExtent, LogStore, fjall_log::FjallLog},
};

use crate::harness::{Cluster, PATIENCE, Person};

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
    /// Configurations that were appended.
    configurations: AtomicU64,
}

impl Disk {
    fn new(latency_ms: u64) -> Arc<Self> {
        let latency = Duration::from_millis(latency_ms);
        let [synced, syncs, configurations] = [0; 3].map(AtomicU64::new);
        Arc::new(Self { latency, synced, syncs, configurations })
    }

    fn configurations(&self) -> u64 {
        self.configurations.load(Ordering::SeqCst)
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
    disk: Arc<Disk>,
}

fn is_configuration(record: &Bytes) -> bool {
    let entry = from_record::<peer::Entry>(record.clone()).unwrap();
    matches!(entry.payload, Some(peer::entry::Payload::Membership(_)))
}

impl SlowLog {
    pub fn new(log: FjallLog, disk: Arc<Disk>) -> Self {
        let (reports, late) = mpsc::channel::<Report>();
        let noted = disk.clone();
        thread::spawn(move || {
            for (last_index, result, done) in late {
                thread::sleep(noted.latency);
                if let Some(last_index) = last_index.filter(|_| result.is_ok()) {
                    noted.synced.fetch_max(last_index, Ordering::SeqCst);
                    noted.syncs.fetch_add(1, Ordering::SeqCst);
                }
                done(result);
            }
        });
        Self { log, reports, disk }
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
        let configurations = entries.iter().filter(|entry| is_configuration(entry)).count() as u64;
        self.disk.configurations.fetch_add(configurations, Ordering::SeqCst);
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
/// its entry synced. None: who is in sync has changed meanwhile (a machine that stalls for most of a second does that), and so whose disks were waited for.
async fn synced_at_acknowledgements(latencies_ms: [u64; 3], survivor_mode: bool) -> Option<Vec<Vec<bool>>> {
    let disks = latencies_ms.map(Disk::new);
    let cluster = Cluster::start_on(&disks, survivor_mode).await;
    let mut alice = Person::register(&cluster, 0, "alice").await;
    let configurations = || disks.iter().map(|disk| disk.configurations()).max();
    // In this order: from `before` on all three are in sync, or the count changes.
    let before = configurations();
    cluster.wait_until_whole(PATIENCE).await;
    let syncs = || disks.iter().map(|disk| disk.syncs()).collect::<Vec<_>>();
    let (mut synced, mut advanced, mut last) = (Vec::new(), Vec::new(), syncs());
    for n in 0..MESSAGES {
        let sent = alice.send(n as usize % disks.len(), "alice", &format!("message {n}")).await;
        let index = Position(sent.id).log_index();
        synced.push(disks.iter().map(|disk| disk.synced() >= index).collect());
        // Its entry is younger than the acknowledgement before: whoever was waited for has synced since.
        let now = syncs();
        advanced.push(now.iter().zip(&last).filter(|(now, last)| now > last).count());
        last = now;
    }
    let is_steady = configurations() == before;
    cluster.stop().await;
    if survivor_mode && !is_steady {
        return None;
    }
    let needed = if survivor_mode { disks.len() } else { disks.len() / 2 + 1 };
    assert!(advanced.iter().all(|count| *count >= needed), "disks that synced for each message: {advanced:?}");
    Some(synced)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_survivor_mode_an_acknowledgement_follows_its_sync_on_every_disk() {
    for _ in 0..5 {
        if let Some(synced) = synced_at_acknowledgements([0, 5, 20], true).await {
            assert!(synced.iter().flatten().all(|synced| *synced), "{synced:?}");
            return;
        }
    }
    panic!("who is in sync has changed in each of five runs");
}

/// And the check sees a disk that is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_plain_raft_an_acknowledgement_follows_its_sync_on_a_majority_of_disks() {
    let synced = synced_at_acknowledgements([0, 5, 200], false).await.unwrap();
    let count = |synced: &Vec<bool>| synced.iter().filter(|synced| **synced).count();
    assert!(synced.iter().all(|synced| count(synced) >= 2), "{synced:?}");
    assert!(synced.iter().any(|synced| count(synced) == 2), "the slow disk was always there in time: {synced:?}");
}
