//! Subscriptions: every event once and in order, whatever servers do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

use futures::StreamExt as _;
use threefold_client::{
    Client, Cursor, Error, Incoming, Subscription, chat::ErrorCode, chat::event::Body, fake::FakeCluster,
};

/// A cluster in memory, with alice who writes and bob who follows.
async fn cluster(servers: usize) -> (FakeCluster, Client, Client) {
    let cluster = FakeCluster::in_memory(servers);
    let client = cluster.client();
    let alice = client.register("alice", "password of alice", "test").await.unwrap();
    let bob = client.register("bob", "password of bob", "test").await.unwrap();
    (cluster.clone(), cluster.client().with_session(alice).unwrap(), cluster.client().with_session(bob).unwrap())
}

async fn send(client: &Client, numbers: std::ops::Range<usize>) {
    let writer = client.writer().unwrap();
    for number in numbers {
        writer.send("bob", number.to_string()).await.unwrap().await.unwrap();
    }
}

/// The texts of the next so many messages; checks that ids grow.
async fn take(subscription: &mut Subscription, count: usize, cursor: &mut u64) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let Incoming::Event(event) = subscription.next().await.unwrap() else { continue };
        assert!(event.id > *cursor, "{} after {cursor}", event.id);
        *cursor = event.id;
        if let Some(Body::Message(message)) = event.body {
            texts.push(message.body);
        }
    }
    texts
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_came_before_and_what_comes_later_arrive_the_same_way() {
    let (_cluster, alice, bob) = cluster(3).await;
    send(&alice, 0..10).await;
    let mut subscription = bob.subscribe(Cursor::default(), false).unwrap();
    let mut cursor = 0;
    assert_eq!(take(&mut subscription, 10, &mut cursor).await, numbers(0..10));
    send(&alice, 10..20).await;
    assert_eq!(take(&mut subscription, 10, &mut cursor).await, numbers(10..20));
    let mut again = bob.subscribe(Cursor { after: cursor, recovery_id: vec![1] }, false).unwrap();
    send(&alice, 20..21).await;
    assert_eq!(take(&mut again, 1, &mut cursor).await, numbers(20..21));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_a_stream_like_any_other() {
    let (cluster, alice, bob) = cluster(3).await;
    send(&alice, 0..5).await;
    let subscription = bob.subscribe(Cursor::default(), false).unwrap();
    let bodies = subscription.filter_map(async |incoming| match incoming {
        Incoming::Event(event) => match event.body {
            Some(Body::Message(message)) => Some(message.body),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(bodies.take(5).collect::<Vec<_>>().await, numbers(0..5));
    // Its end is the end of the stream.
    let subscription = bob.subscribe(Cursor::default(), false).unwrap();
    cluster.with_state(|state| state.sessions.clear());
    let rest: Vec<Incoming> = subscription.collect().await;
    assert!(matches!(rest.last(), Some(Incoming::Ended(_))), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn broken_streams_and_doubled_events_change_nothing() {
    let (cluster, alice, bob) = cluster(3).await;
    let mut subscription = bob.subscribe(Cursor::default(), false).unwrap();
    for server in 0..3 {
        cluster.behave(server, |behaviour| {
            behaviour.frames_per_stream = Some(6 + server);
            behaviour.twice = true;
        });
    }
    let sending = send(&alice, 0..200);
    let mut cursor = 0;
    let (texts, ()) = tokio::join!(take(&mut subscription, 200, &mut cursor), sending);
    assert_eq!(texts, numbers(0..200));
}

#[tokio::test(start_paused = true)]
async fn killed_and_silent_servers_are_left_for_others() {
    let (cluster, alice, bob) = cluster(3).await;
    let mut subscription = bob.subscribe(Cursor::default(), false).unwrap();
    let mut cursor = 0;
    for round in 0..12 {
        send(&alice, round..round + 1).await;
        assert_eq!(take(&mut subscription, 1, &mut cursor).await, numbers(round..round + 1));
        let server = round % 3;
        if round % 2 == 0 {
            cluster.kill(server);
        } else {
            cluster.behave(server, |behaviour| behaviour.silent = true);
        }
        send(&alice, 100 + round..101 + round).await;
        assert_eq!(take(&mut subscription, 1, &mut cursor).await, numbers(100 + round..101 + round));
        cluster.behave(server, |behaviour| behaviour.silent = false);
        if round % 2 == 0 {
            cluster.start(server);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_reads_nothing_loses_nothing_and_can_still_write() {
    let (cluster, alice, bob) = cluster(1).await;
    let mut subscription = bob.subscribe(Cursor::default(), false).unwrap();
    send(&alice, 0..1500).await;
    // Long enough for every kind of impatience.
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    bob.writer().unwrap().send("alice", "busy").await.unwrap().await.unwrap();
    let mut cursor = 0;
    let mut expected = numbers(0..1500);
    expected.push("busy".to_owned());
    assert_eq!(take(&mut subscription, 1501, &mut cursor).await, expected);
    assert_eq!(cluster.with_state(|state| state.subscriptions.len()), 1, "without a reconnect");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_history_is_told_before_it_starts_over() {
    let (cluster, alice, bob) = cluster(1).await;
    send(&alice, 0..2).await;
    let mut subscription = bob.subscribe(Cursor::default(), false).unwrap();
    take(&mut subscription, 2, &mut 0).await;
    cluster.with_state(|state| state.recovery_id = vec![9]);
    cluster.kill(0);
    cluster.start(0);
    loop {
        match subscription.next().await.unwrap() {
            Incoming::Resynchronise => break,
            Incoming::Event(event) => panic!("{event:?} before the notice"),
            _ => {}
        }
    }
    let Incoming::Connected { recovery_id, .. } = subscription.next().await.unwrap() else { panic!("connected again") };
    assert_eq!(recovery_id, [9]);
    assert_eq!(take(&mut subscription, 2, &mut 0).await, numbers(0..2));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_is_the_end() {
    let (cluster, _alice, bob) = cluster(2).await;
    let mut subscription = bob.subscribe(Cursor::default(), false).unwrap();
    while !matches!(subscription.next().await.unwrap(), Incoming::CaughtUp { .. }) {}
    cluster.with_state(|state| state.sessions.clear());
    let Incoming::Ended(error) = subscription.next().await.unwrap() else { panic!("the end") };
    assert!(error.is_refusal(ErrorCode::SessionInvalid), "{error}");
    assert!(subscription.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn presence_lasts_as_long_as_the_subscription() {
    let (cluster, alice, bob) = cluster(2).await;
    let mut hidden = alice.subscribe(Cursor::default(), true).unwrap();
    let mut subscription = bob.subscribe(Cursor::default(), false).unwrap();
    for following in [&mut hidden, &mut subscription] {
        while !matches!(following.next().await.unwrap(), Incoming::Connected { .. }) {}
    }
    let online = bob.online().await.unwrap();
    assert_eq!(online.iter().map(|account| account.name.as_str()).collect::<Vec<_>>(), ["bob"]);
    drop(subscription);
    while cluster.with_state(|state| state.online.values().sum::<usize>()) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_subscribes_without_a_login() {
    let cluster = FakeCluster::in_memory(1);
    let error = cluster.client().subscribe(Cursor::default(), false).unwrap_err();
    assert!(matches!(error, Error::Refused { code: ErrorCode::SessionInvalid, .. }));
}
