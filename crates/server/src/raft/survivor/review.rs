//! Counterexamples found in review.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use openraft::{EntryPayload, Vote, storage::RaftLogStorage as _};
use threefold_core::{Position, apply::Happened};
use threefold_proto::peer;
use tokio::time::{sleep, timeout};

use crate::{
    config::{PeerTls, Tuning},
    peer::{
        certs,
        channels::Channels,
        death::{Announcer, Deaths},
        tls::Identity,
    },
    raft::{
        Engine, Parts,
        executor::InlineExecutor,
        log::{Log, LogWatch},
        machine::Observer,
        types::{CommittedLeader, Member, RaftEntry, RaftLogId, RaftMembership, Standing, log_id_to_wire},
    },
    storage::memory::{MemoryLog, MemoryState},
};

struct Nobody;

impl Observer for Nobody {
    fn applied(&self, _position: Position, _happened: &[Happened]) {}
    fn replaced(&self, _position: Position) {}
}

fn all_in_sync() -> RaftMembership {
    let standing = Standing { in_sync: 1, survivor_mode: true, ..Standing::default() };
    // Nobody listens at port 1.
    let node = |id: u64| (id, Member { standing, ..Member::at(format!("server-{id}"), "127.0.0.1:1", "") });
    RaftMembership::new(vec![BTreeSet::from([1, 2, 3])], (1..=3).map(node).collect::<BTreeMap<_, _>>()).unwrap()
}

/// Server 1 of three, all in sync, that last followed server 2.
async fn follower(directory: &std::path::Path) -> Arc<Engine> {
    certs::create_authority(directory).unwrap();
    certs::issue(directory, directory, "server-1", &[]).unwrap();
    let (certificate, key) = certs::server_files(directory, "server-1");
    let files = PeerTls { ca: directory.join("authority.pem"), certificate, key };
    let store = Arc::new(MemoryLog::default());
    let watch = LogWatch { configurations: Arc::default(), announcer: Arc::default() };
    let mut log = Log::new(store.clone(), watch);
    let log_id = RaftLogId::new(CommittedLeader::new(1), 0);
    log.append_durably(RaftEntry { log_id, payload: EntryPayload::Membership(all_in_sync()) }).await.unwrap();
    log.save_vote(&Vote::new_committed(1, 2)).await.unwrap();
    let parts = Parts {
        id: 1,
        incarnation: 1,
        log: store,
        state: Arc::new(MemoryState::default()),
        executor: Arc::new(InlineExecutor),
        channels: Arc::new(Channels::new(Arc::new(Identity::load(&files).unwrap()))),
        observer: Arc::new(Nobody),
        deaths: Arc::new(Deaths::default()),
        announcer: Arc::new(Announcer::default()),
    };
    Engine::start(parts, &Tuning::default()).await.unwrap()
}

/// Rule 9: the leader is gone without a proof, and a restarted server with a longer log stands cold. This one can neither
/// lead nor vote: it must restart itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_behind_a_cold_candidate_restarts_although_its_vote_is_still_the_lost_leaders() {
    let directory = tempfile::tempdir().unwrap();
    let engine = follower(directory.path()).await;
    let asking = engine.clone();
    let ask = tokio::spawn(async move {
        loop {
            let request = peer::VoteRequest {
                vote: Some(peer::Vote { term: 2, node_id: 3, committed: false }),
                last_log_id: Some(log_id_to_wire(&RaftLogId::new(CommittedLeader::new(1), 5))),
                leadership_transfer: false,
                incarnation: 2,
                cold: true,
            };
            let reply = asking.vote(request, true).await.unwrap();
            assert!(!reply.granted);
            sleep(Duration::from_millis(200)).await;
        }
    });
    let restarts = timeout(Duration::from_secs(15), engine.survivor().stuck()).await;
    ask.abort();
    assert!(restarts.is_ok(), "nobody leads, and this server will never let anybody");
}

/// Rule 7: the configuration that is being announced while a received state takes its place is in the log all the same.
#[test]
fn a_configuration_that_is_being_announced_survives_the_installation_of_a_state_before_it() {
    let stored = |index| {
        let place = RaftLogId::new(CommittedLeader::new(1), index);
        openraft::StoredMembership::new(Some(place), all_in_sync())
    };
    let configurations = super::configurations::Configurations::new(stored(2), []);
    // The consensus task appends an entry that follows the state which the apply worker is installing.
    configurations.announcing(stored(15));
    configurations.replaced(stored(9), 12);
    configurations.appended(15);
    assert_eq!(configurations.newest().rule.log_id.index, 15, "it is on disk, and decides");
}

/// Two voters cannot lose one: that is not normal, whoever is about to join.
#[test]
fn two_of_three_servers_are_not_normal_while_the_third_is_still_a_learner() {
    use super::condition::{View, Word};
    let nodes = (1..=3).map(|id| (id, Member::at(format!("server-{id}"), "", "")));
    let two = RaftMembership::new(vec![BTreeSet::from([1, 2])], nodes.collect::<BTreeMap<_, _>>()).unwrap();
    let place = RaftLogId::new(CommittedLeader::new(1), 5);
    let newest = super::configuration::rule_configuration(Some(place), &two);
    let names = (1..=3).map(|id| (id, format!("server-{id}"))).collect();
    let all = BTreeSet::from([2, 3]);
    let view = View {
        own: super::configuration::member(1, 1),
        newest: &newest,
        names: &names,
        is_led: true,
        holding_up: BTreeSet::new(),
        reachable: &all,
        dead: &BTreeSet::new(),
        indirect: &BTreeSet::new(),
        deaf: &BTreeSet::new(),
        blocked: None,
    };
    let condition = view.judge();
    assert_eq!(condition.word, Word::Degraded, "{}", condition.detail);
}

/// A server that was just started again hears the leader before it has caught up: what its log says of itself is of another run.
#[test]
fn a_server_that_was_restarted_does_not_call_the_cluster_normal_by_its_old_log() {
    use super::condition::{View, Word};
    let place = RaftLogId::new(CommittedLeader::new(1), 5);
    let newest = super::configuration::rule_configuration(Some(place), &all_in_sync());
    let names = (1..=3).map(|id| (id, format!("server-{id}"))).collect();
    let view = View {
        own: super::configuration::member(1, 2),
        newest: &newest,
        names: &names,
        is_led: true,
        holding_up: BTreeSet::new(),
        reachable: &BTreeSet::from([2, 3]),
        dead: &BTreeSet::new(),
        indirect: &BTreeSet::new(),
        deaf: &BTreeSet::new(),
        blocked: None,
    };
    let condition = view.judge();
    assert_ne!(condition.word, Word::Normal, "{}", condition.detail);
}

/// Dials reach a process that takes them and never answers: its host lost power, or the network was cut, just then.
#[derive(Default)]
struct NoAnswer {
    dialled: std::sync::Mutex<Vec<tokio::io::DuplexStream>>,
}

impl crate::net::PeerNetwork for NoAnswer {
    fn dial(&self, _: &str, _: &str) -> futures::future::BoxFuture<'static, std::io::Result<crate::net::Connection>> {
        Box::pin(std::future::ready(Err(std::io::ErrorKind::TimedOut.into())))
    }

    fn dial_death(
        &self,
        _: &str,
        _: &str,
    ) -> futures::future::BoxFuture<'static, std::io::Result<crate::net::DeathStream>> {
        let (here, there) = tokio::io::duplex(1 << 16);
        self.dialled.lock().unwrap().push(there);
        let end = "127.0.0.1:1".parse().unwrap();
        let ends = crate::net::Ends { local: end, remote: end };
        let stream = crate::net::DeathStream { connection: Box::new(here), ends };
        Box::pin(std::future::ready(Ok(stream)))
    }

    fn knock(&self, _: &str) -> futures::future::BoxFuture<'static, std::io::Result<()>> {
        Box::pin(std::future::ready(Err(std::io::ErrorKind::TimedOut.into())))
    }
}

/// Rule 6: a death stream whose hello is never answered is given up, and dialled again. Nothing is ever written to it before the answer, so
/// that no kernel finds out that the other end is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_stream_that_is_not_answered_is_dialled_again() {
    let directory = tempfile::tempdir().unwrap();
    let engine = follower(directory.path()).await;
    let network = Arc::new(NoAnswer::default());
    let streams = crate::peer::death::DeathStreams::new(
        engine.clone(),
        Arc::new(Channels::new(network.clone())),
        network.clone(),
        peer::Hello { node_id: 1, name: "server-1".to_owned(), version: String::new(), incarnation: 1 },
        crate::storage::directory::Lineage::default(),
        (Arc::new(Deaths::default()), Arc::new(Announcer::default())),
    );
    tokio::spawn(Arc::new(streams).run());
    // One to each of two servers.
    let again = async {
        while network.dialled.lock().unwrap().len() <= 2 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(60), again).await.expect("the first ones are waited for, for ever");
}

/// Two members that do not hear each other, for a link between them is cut, both follow the leader. If the two others die, each has
/// no proof of the other's death.
#[tokio::test(start_paused = true)]
async fn a_member_that_hears_nothing_of_another_does_not_promise_that_any_two_may_die() {
    use super::condition::{View, Word};
    let place = RaftLogId::new(CommittedLeader::new(1), 5);
    let newest = super::configuration::rule_configuration(Some(place), &all_in_sync());
    let names = (1..=3).map(|id| (id, format!("server-{id}"))).collect();
    let watch = LogWatch { configurations: Arc::default(), announcer: Arc::default() };
    let survivor = super::Survivor::new(1, 1, watch, Arc::default());
    let run = |id| super::configuration::incarnation(id, 1);
    let hears = |id, others: &[u64]| {
        let stream = survivor.deaths.begin(run(id), 0, true, Vec::new());
        survivor.deaths.alive(stream, others.iter().map(|id| run(*id)).collect());
    };
    hears(2, &[1, 3]);
    hears(3, &[1, 2]);
    assert_eq!(survivor.deaf(&newest.in_sync), BTreeSet::new());
    hears(3, &[1]);
    assert_eq!(survivor.deaf(&newest.in_sync), BTreeSet::from([(2, 3)]), "what others say is known too");
    hears(3, &[2]);
    assert_eq!(survivor.deaf(&newest.in_sync), BTreeSet::from([(1, 3)]));
    let view = View {
        own: super::configuration::member(1, 1),
        newest: &newest,
        names: &names,
        is_led: true,
        holding_up: BTreeSet::new(),
        reachable: &BTreeSet::from([2]),
        dead: &BTreeSet::new(),
        indirect: &BTreeSet::new(),
        deaf: &survivor.deaf(&newest.in_sync),
        blocked: None,
    };
    let condition = view.judge();
    assert_ne!(condition.word, Word::Normal, "{}", condition.detail);
}

/// A reader that meets a failed disk waits for consensus to end the server in order: consensus must be able to run meanwhile. On a machine
/// of two cores two readers are enough to stop everything.
#[test]
fn readers_that_wait_for_the_orderly_end_leave_the_runtime_to_consensus() {
    const CHILD: &str = "REVIEW2_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.spawn(async {
            loop {
                sleep(Duration::from_millis(50)).await;
                std::io::Write::write_all(&mut std::io::stderr(), b"tick\n").unwrap();
            }
        });
        for _ in 0..2 {
            runtime.spawn(async {
                let failed = std::io::Error::other("the disk has failed");
                crate::node::stop(&threefold_core::store::StoreError::Io(failed));
            });
        }
        std::thread::sleep(Duration::from_secs(5));
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "raft::survivor::review::readers_that_wait_for_the_orderly_end_leave_the_runtime_to_consensus",
        ])
        .arg("--nocapture")
        .env(CHILD, "1")
        .output()
        .unwrap();
    let ticks = String::from_utf8_lossy(&output.stderr).matches("tick").count();
    assert!(ticks >= 5, "{ticks} ticks of 50 ms while two readers waited for two seconds");
}
