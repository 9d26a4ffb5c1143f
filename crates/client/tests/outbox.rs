//! The outbox on disk: every write once and in order, through the end of the program. All programs have the same seed, and so ask for the instances
//! of those before them, too.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

use std::{path::Path, thread::sleep, time::Duration};

use threefold_client::{Client, DiskOutbox, Error, Options, Session, fake::FakeCluster};
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
        let mut nowhere = Options::new(vec!["http://127.0.0.1:9".to_owned()]);
        nowhere.timeout = Duration::from_millis(300);
        let nobody = Session { servers: Vec::new(), ..session.clone() };
        let writer = client(&nowhere, &nobody).writer_with(opened(&path, &session)).unwrap();
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
        let mut nowhere = Options::new(vec!["http://127.0.0.1:9".to_owned()]);
        nowhere.timeout = Duration::from_millis(500);
        let nobody = Session { servers: Vec::new(), ..session.clone() };
        let writer = client(&nowhere, &nobody).writer_with(opened(&path, &session)).unwrap();
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
