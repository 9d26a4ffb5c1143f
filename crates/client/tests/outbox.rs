//! The outbox on disk: every write once and in order, through the end of the program. All programs have the same seed, and so ask for the instances
//! of those before them, too.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

use std::{path::Path, thread::sleep, time::Duration};

use threefold_client::{Client, DiskOutbox, Error, Options, Session, Writer, chat::ErrorCode, fake::FakeCluster};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A cluster on loopback, and the session of the first of two people.
fn cluster(servers: &Runtime) -> (FakeCluster, Session) {
    servers.block_on(async {
        let cluster = FakeCluster::on_loopback(2).await;
        let client = cluster.client();
        client.register("bob", "password of bob", "test").await.unwrap();
        let session = client.register("alice", "password of alice", "test").await.unwrap();
        (cluster, session)
    })
}

/// Opens it once the program that had it is gone.
fn opened(path: &Path, session: &Session) -> DiskOutbox {
    for _ in 0..1_000 {
        match DiskOutbox::open(path, session) {
            Ok(outbox) => return outbox,
            Err(error) if error.to_string().contains("another program") => sleep(Duration::from_millis(10)),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the outbox is never given back");
}

fn client(options: &Options, session: &Session) -> Client {
    Client::new(options.clone()).unwrap().with_session(session.clone()).unwrap()
}

/// One that reaches no server, and waits so long for it.
fn cut_off(path: &Path, session: &Session, timeout: Duration) -> Writer {
    let mut nowhere = Options::new(vec!["http://127.0.0.1:9".to_owned()]);
    nowhere.timeout = timeout;
    let nobody = Session { servers: Vec::new(), ..session.clone() };
    client(&nowhere, &nobody).writer_with(opened(path, session)).unwrap()
}

/// Waits until the cluster has carried out so many messages, whether or not anybody was told.
async fn carried_out(cluster: &FakeCluster, messages: usize) {
    let done = async {
        while cluster.with_state(|state| state.bodies().len()) < messages {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.unwrap();
}

fn numbers(count: u64) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[test]
fn a_program_that_ends_at_any_moment_loses_and_repeats_nothing() {
    const MESSAGES: u64 = 400;
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let (options, path) = (cluster.options(), directory.path().join("outbox"));
    for server in 0..2 {
        cluster.behave(server, |behaviour| behaviour.frames_per_stream = Some(11 + server));
    }
    let mut runs = 0_u64;
    loop {
        let program = runtime();
        let outbox = opened(&path, &session);
        let next = outbox.accepted();
        assert_eq!(next > 0, runs > 0, "what was accepted is remembered");
        let is_over = program.block_on(async {
            let writer = client(&options, &session).writer_with(outbox).unwrap();
            // Each run ends after some more writes were accepted, whatever has become of them.
            let until = (next + 5 + runs * 7 % 40).min(MESSAGES);
            for number in next..until {
                drop(writer.send("bob", number.to_string()).await.unwrap());
            }
            if runs.is_multiple_of(3) {
                // Some answers on their way.
                tokio::time::sleep(Duration::from_millis(runs)).await;
            }
            if until == MESSAGES {
                writer.waiting().wait_for(|waiting| *waiting == 0).await.unwrap();
            }
            until == MESSAGES
        });
        // Everything of the program is dropped wherever it is.
        program.shutdown_background();
        runs += 1;
        if is_over {
            break;
        }
    }
    assert!(runs > 10, "{runs}");
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(MESSAGES));
    let outbox = opened(&path, &session);
    assert_eq!((outbox.accepted(), outbox.waiting()), (MESSAGES, 0));
}

#[test]
fn what_was_accepted_without_any_server_is_sent_by_the_next_program() {
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let path = directory.path().join("outbox");
    let program = runtime();
    program.block_on(async {
        let writer = cut_off(&path, &session, Duration::from_millis(300));
        let first = writer.send("bob", "0").await.unwrap();
        drop(writer.send("bob", "1").await.unwrap());
        assert_eq!(*writer.waiting().borrow(), 2);
        let error = first.await.unwrap_err();
        assert!(matches!(&error, Error::OutcomeUnknown(words) if words.contains("kept on disk")), "{error}");
    });
    program.shutdown_background();
    servers.block_on(async {
        let writer = client(&cluster.options(), &session).writer_with(opened(&path, &session)).unwrap();
        let third = writer.send("bob", "2").await.unwrap();
        third.await.unwrap();
        writer.waiting().wait_for(|waiting| *waiting == 0).await.unwrap();
    });
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(3));
}

#[test]
fn it_is_full_some_time_and_says_so_and_takes_nothing_then() {
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let path = directory.path().join("outbox");
    let program = runtime();
    program.block_on(async {
        let writer = cut_off(&path, &session, Duration::from_millis(500));
        let patient = writer.with_timeout(Duration::from_secs(60));
        for number in 0..1_024 {
            drop(patient.send("bob", number.to_string()).await.unwrap());
        }
        // More than it takes.
        let more = (0..100).map(|_| writer.send("bob", "too much"));
        let results = futures::future::join_all(more).await;
        assert!(results.iter().all(|result| matches!(result, Err(Error::Unavailable { .. }))), "{results:?}");
    });
    program.shutdown_background();
    servers.block_on(async {
        let outbox = opened(&path, &session);
        assert_eq!((outbox.accepted(), outbox.waiting()), (1_024, 1_024));
        let writer = client(&cluster.options(), &session).writer_with(outbox).unwrap();
        writer.waiting().wait_for(|waiting| *waiting == 0).await.unwrap();
    });
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(1_024), "what was given up never takes effect");
}

#[test]
fn it_is_of_one_session() {
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let path = directory.path().join("outbox");
    servers.block_on(async {
        let other = cluster.client().log_in("alice", "password of alice", "another").await.unwrap();
        let outbox = opened(&path, &session);
        let error = client(&cluster.options(), &other).writer_with(outbox).unwrap_err();
        assert!(matches!(&error, Error::Usage(words) if words.contains("another session")), "{error}");
        let error = DiskOutbox::open(&path, &other).unwrap_err();
        assert!(matches!(&error, Error::Usage(words) if words.contains("another session")), "{error}");
    });
}

/// Leaves messages in an outbox, without any server.
fn leave(path: &Path, session: &Session, messages: &[(&str, &str)]) {
    let program = runtime();
    program.block_on(async {
        let writer = cut_off(path, session, Duration::from_secs(60));
        for (to, body) in messages {
            drop(writer.send(*to, *body).await.unwrap());
        }
    });
    program.shutdown_background();
}

#[test]
fn a_refusal_that_passes_takes_nothing_away() {
    for code in [ErrorCode::RateLimited, ErrorCode::Overloaded, ErrorCode::Internal, ErrorCode::Forbidden] {
        let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
        let (cluster, session) = cluster(&servers);
        let path = directory.path().join("outbox");
        leave(&path, &session, &[("bob", "0")]);
        let refuse =
            |code| (0..2).for_each(|server| cluster.behave(server, |behaviour| behaviour.refuse_instances = code));
        refuse(Some(code));
        servers.block_on(async {
            let mut options = cluster.options();
            options.timeout = Duration::from_millis(500);
            let writer = client(&options, &session).writer_with(opened(&path, &session)).unwrap();
            let error = writer.send("bob", "1").await.unwrap().await.unwrap_err();
            assert!(
                matches!(&error, Error::OutcomeUnknown(words) if words.contains("kept on disk")),
                "{code:?}: {error}"
            );
            assert_eq!(*writer.waiting().borrow(), 2, "{code:?}");
            refuse(None);
            writer.settled().await.unwrap();
        });
        assert_eq!(cluster.with_state(|state| state.bodies()), numbers(2), "{code:?}");
    }
}

#[test]
fn what_came_to_nothing_outlives_the_program_though_the_cluster_forgets_the_answer() {
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let path = directory.path().join("outbox");
    let program = runtime();
    program.block_on(async {
        let writer = client(&cluster.options(), &session).writer_with(opened(&path, &session)).unwrap();
        drop(writer.send("nobody", "lost").await.unwrap());
        writer.failed().wait_for(|failed| !failed.is_empty()).await.unwrap();
        // This one tells the cluster that the answer to the first has come; and its own is heard, by a program that tells nobody.
        assert!(writer.send("nobody", "lost too").await.unwrap().await.is_err());
        writer.send("bob", "0").await.unwrap().await.unwrap();
        writer.settled().await.unwrap();
    });
    program.shutdown_background();
    servers.block_on(async {
        let writer = client(&cluster.options(), &session).writer_with(opened(&path, &session)).unwrap();
        writer.settled().await.unwrap();
        let failed = writer.failed().borrow().clone();
        let texts: Vec<_> = failed.iter().map(|failed| failed.text().unwrap()).collect();
        assert_eq!(texts, ["lost", "lost too"]);
        assert!(failed.iter().all(|failed| failed.error.is_refusal(ErrorCode::UnknownUser)), "{failed:?}");
    });
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(1));
}

#[test]
fn what_was_acknowledged_is_on_disk_as_such_after_a_rest() {
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let path = directory.path().join("outbox");
    // As long as this one waits for its answer, the outbox is not empty.
    (0..2).for_each(|server| cluster.behave(server, |behaviour| behaviour.unanswered = Some(1)));
    servers.block_on(async {
        let writer = client(&cluster.options(), &session).writer_with(opened(&path, &session)).unwrap();
        drop(writer.send("bob", "0").await.unwrap());
        for number in 1..5 {
            writer.send("bob", number.to_string()).await.unwrap().await.unwrap();
        }
        // A copy, for what a program has open is not left.
        let copy = directory.path().join("copy");
        let left = || {
            std::fs::copy(&path, &copy).unwrap();
            DiskOutbox::left(&copy).unwrap().unwrap().writes
        };
        assert!(DiskOutbox::left(&path).is_err());
        let waited = async {
            while left().len() > 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap();
        assert!(matches!(&left()[..], [one] if one.text() == Some("0") && one.may_have_been_sent));
    });
}

#[test]
fn what_came_to_nothing_is_told_to_each_program_until_one_has_heard_it() {
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let path = directory.path().join("outbox");
    leave(&path, &session, &[("nobody", "lost"), ("bob", "0")]);
    for told in [false, false, true] {
        let program = runtime();
        program.block_on(async {
            let writer = client(&cluster.options(), &session).writer_with(opened(&path, &session)).unwrap();
            writer.settled().await.unwrap();
            let failed = writer.failed().borrow().clone();
            assert_eq!(failed.iter().map(|failed| failed.text()).collect::<Vec<_>>(), [Some("lost")]);
            assert!(matches!(failed[0].error, Error::Refused { .. } | Error::OutcomeUnknown(_)), "{failed:?}");
            if told {
                writer.told(&failed).await;
                assert!(writer.failed().borrow().is_empty());
            }
        });
        program.shutdown_background();
    }
    let outbox = opened(&path, &session);
    assert_eq!((outbox.accepted(), outbox.waiting()), (2, 0));
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(1));
}

#[test]
fn what_may_have_run_when_its_instance_was_forgotten_is_told_as_unknown() {
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let path = directory.path().join("outbox");
    // Carried out, and never answered.
    (0..2).for_each(|server| cluster.behave(server, |behaviour| behaviour.silent = true));
    let program = runtime();
    program.block_on(async {
        cluster.behave(0, |behaviour| behaviour.silent = false);
        let mut options = cluster.options();
        options.servers.truncate(1);
        let writer = client(&options, &session).writer_with(opened(&path, &session)).unwrap();
        writer.send("bob", "0").await.unwrap().await.unwrap();
        cluster.behave(0, |behaviour| behaviour.silent = true);
        let _unanswered = writer.send("bob", "1").await.unwrap();
        carried_out(&cluster, 2).await;
    });
    program.shutdown_background();
    cluster.with_state(|state| state.evict_instances());
    (0..2).for_each(|server| cluster.behave(server, |behaviour| behaviour.silent = false));
    servers.block_on(async {
        let writer = client(&cluster.options(), &session).writer_with(opened(&path, &session)).unwrap();
        writer.settled().await.unwrap();
        let failed = writer.failed().borrow().clone();
        assert!(
            matches!(&failed[..], [one] if one.text() == Some("1") && matches!(one.error, Error::OutcomeUnknown(_))),
            "{failed:?}"
        );
    });
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(2));
}

#[test]
fn what_waits_under_an_instance_of_before_the_backup_is_sent_to_the_restored_cluster_once() {
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let path = directory.path().join("outbox");
    let mut options = cluster.options();
    options.servers.truncate(1);
    let program = runtime();
    let backup = program.block_on(async {
        let writer = client(&options, &session).writer_with(opened(&path, &session)).unwrap();
        let send = async |body: &str| writer.send("bob", body).await.unwrap();
        send("0").await.await.unwrap();
        let backup = cluster.with_state(|state| state.clone());
        // The restored cluster waits for the number of the first of these, which nobody says again.
        for lost in ["lost 1", "lost 2"] {
            send(lost).await.await.unwrap();
        }
        (0..2).for_each(|server| cluster.behave(server, |behaviour| behaviour.unanswered = Some(4)));
        // Carried out in a history that is lost; the client never hears of it.
        let _unanswered = send("1").await;
        carried_out(&cluster, 4).await;
        backup
    });
    program.shutdown_background();
    let instances = cluster.with_state(|state| {
        *state = backup;
        state.recovery_id = vec![2];
        state.instances_opened += 1 << 20;
        state.instances_opened
    });
    (0..2).for_each(|server| cluster.behave(server, |behaviour| behaviour.unanswered = None));
    servers.block_on(async {
        let writer = client(&options, &session).writer_with(opened(&path, &session)).unwrap();
        drop(writer.send("bob", "2").await.unwrap());
        writer.settled().await.unwrap();
        assert!(writer.failed().borrow().is_empty());
    });
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(3));
    assert!(cluster.with_state(|state| state.instances_opened) > instances, "under other numbers");
}

#[test]
fn a_session_that_is_over_leaves_what_waits_waiting() {
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let path = directory.path().join("outbox");
    leave(&path, &session, &[("bob", "0"), ("bob", "1")]);
    cluster.with_state(|state| state.sessions.clear());
    servers.block_on(async {
        let writer = client(&cluster.options(), &session).writer_with(opened(&path, &session)).unwrap();
        let mut waiting = writer.waiting();
        let error = writer.settled().await.unwrap_err();
        assert!(error.is_refusal(ErrorCode::SessionInvalid), "{error}");
        assert!(waiting.wait_for(|waiting| *waiting == 0).await.is_err(), "it is closed, and not at zero");
        assert!(writer.send("bob", "2").await.is_err());
    });
    let other = Session { session: session.session + 1, ..session.clone() };
    for _ in 0..1_000 {
        let error = DiskOutbox::open(&path, &other).unwrap_err().to_string();
        if error.contains("another program") {
            sleep(Duration::from_millis(10));
            continue;
        }
        assert!(error.contains("2 writes were taken, 2 of them not acknowledged"), "{error}");
        break;
    }
    assert_eq!(opened(&path, &session).waiting(), 2);
}

#[test]
fn a_receipt_has_the_number_under_which_the_outbox_keeps_it_and_the_oldest_that_waits_is_told() {
    let (servers, directory) = (runtime(), tempfile::tempdir().unwrap());
    let (cluster, session) = cluster(&servers);
    let path = directory.path().join("outbox");
    let program = runtime();
    program.block_on(async {
        let writer = cut_off(&path, &session, Duration::from_secs(60));
        assert_eq!(*writer.oldest().borrow(), None);
        assert_eq!(writer.send("bob", "0").await.unwrap().number(), Some(1));
        assert_eq!(writer.edit(7, "1").await.unwrap().number(), Some(2));
        assert_eq!(*writer.oldest().borrow(), Some(1));
    });
    program.shutdown_background();
    servers.block_on(async {
        let unkept = client(&cluster.options(), &session).writer().unwrap();
        let unkept = unkept.send("bob", "elsewhere").await.unwrap();
        assert_eq!(unkept.number(), None);
        unkept.await.unwrap();
        let writer = client(&cluster.options(), &session).writer_with(opened(&path, &session)).unwrap();
        assert_eq!(*writer.oldest().borrow(), Some(1));
        let nobody = writer.send("nobody", "2").await.unwrap();
        assert_eq!(nobody.number(), Some(3));
        nobody.await.unwrap_err();
        writer.settled().await.unwrap();
        assert_eq!(*writer.oldest().borrow(), None);
        let failed = writer.failed().borrow().clone();
        let last = failed.last().unwrap();
        assert_eq!((last.number(), last.text()), (3, Some("2")));
        assert!(failed.iter().all(|one| one.number() != 2 || one.text() == Some("1")), "the text of an edit");
    });
}
