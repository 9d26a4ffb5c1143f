//! The outbox: every write once and in order, whatever servers do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

use std::time::Duration;

use threefold_client::{Client, Error, Incoming, LinkState, chat::ErrorCode, fake::FakeCluster};

/// A cluster in memory with two people; the client is the first.
async fn cluster(servers: usize) -> (FakeCluster, Client) {
    let cluster = FakeCluster::in_memory(servers);
    let client = cluster.client();
    client.register("bob", "password of bob", "test").await.unwrap();
    let session = client.register("alice", "password of alice", "test").await.unwrap();
    let client = client.with_session(session).unwrap();
    (cluster, client)
}

/// Sends so many numbered messages without waiting, then waits for all acknowledgements.
async fn send_many(client: &Client, count: usize) -> threefold_client::Statistics {
    let writer = client.writer().unwrap();
    let mut receipts = Vec::new();
    for number in 0..count {
        receipts.push(writer.send("bob", number.to_string()).await.unwrap());
    }
    let mut last = 0;
    for receipt in receipts {
        let sent = receipt.await.unwrap();
        assert!(sent.id > last, "acknowledged in the order sent");
        last = sent.id;
    }
    writer.statistics()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn pipelined_messages_arrive_once_and_in_order() {
    let (cluster, client) = cluster(3).await;
    let statistics = send_many(&client, 500).await;
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(500));
    assert_eq!((statistics.sent, statistics.acknowledged, statistics.retried), (500, 500, 0));
}

#[tokio::test(start_paused = true)]
async fn streams_that_break_all_the_time_lose_and_repeat_nothing() {
    let (cluster, client) = cluster(3).await;
    for server in 0..3 {
        cluster.behave(server, |behaviour| behaviour.frames_per_stream = Some(7 + server));
    }
    let statistics = send_many(&client, 300).await;
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(300));
    assert!(statistics.reconnects >= 30, "{statistics:?}");
    assert!(statistics.retried > 0, "{statistics:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_need_not_keep_what_was_answered() {
    let (cluster, client) = cluster(3).await;
    send_many(&client, 200).await;
    let writer = client.writer().unwrap();
    writer.send("bob", "200").await.unwrap().await.unwrap();
    // Two instances at most: the one that wrote the last message keeps its reply alone.
    let kept = cluster.with_state(|state| state.replies_kept());
    writer.send("bob", "201").await.unwrap().await.unwrap();
    assert_eq!(cluster.with_state(|state| state.replies_kept()), kept);
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(202));
}

#[tokio::test(start_paused = true)]
async fn a_killed_server_is_replaced_by_another() {
    let (cluster, client) = cluster(3).await;
    let writer = client.writer().unwrap();
    writer.send("bob", "0").await.unwrap().await.unwrap();
    for number in 1..30 {
        let LinkState::Connected(server) = writer.state().borrow().clone() else { panic!("connected after an answer") };
        let index = cluster.addresses().iter().position(|address| address.ends_with(&server)).unwrap();
        cluster.kill(index);
        writer.send("bob", number.to_string()).await.unwrap().await.unwrap();
        cluster.start(index);
    }
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(30));
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_twice_count_once() {
    let (cluster, client) = cluster(1).await;
    cluster.behave(0, |behaviour| behaviour.twice = true);
    let statistics = send_many(&client, 100).await;
    assert_eq!(statistics.acknowledged, 100);
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(100));
}

#[tokio::test(start_paused = true)]
async fn writes_refused_for_now_are_repeated_in_order() {
    let (cluster, client) = cluster(2).await;
    for server in 0..2 {
        cluster.behave(server, |behaviour| behaviour.refuse_writes = 10);
    }
    send_many(&client, 200).await;
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(200));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_vanished_is_repeated_before_those_behind_it() {
    let (cluster, client) = cluster(1).await;
    cluster.behave(0, |behaviour| behaviour.swallow_writes = 1);
    send_many(&client, 50).await;
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(50));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left_for_another() {
    let (cluster, client) = cluster(2).await;
    cluster.behave(0, |behaviour| behaviour.silent = true);
    send_many(&client, 20).await;
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(20));
}

#[tokio::test(start_paused = true)]
async fn refusals_reach_the_caller_and_do_not_stop_what_follows() {
    let (cluster, client) = cluster(1).await;
    let writer = client.writer().unwrap();
    let refused = writer.send("nobody", "1").await.unwrap();
    let sent = writer.send("bob", "2").await.unwrap();
    assert!(refused.await.unwrap_err().is_refusal(ErrorCode::UnknownUser));
    sent.await.unwrap();
    assert_eq!(cluster.with_state(|state| state.bodies()), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn without_any_server_a_write_is_unavailable_and_never_done_later() {
    let (cluster, client) = cluster(2).await;
    let writer = client.writer().unwrap();
    cluster.kill(0);
    cluster.kill(1);
    let error = writer.send("bob", "lost").await.unwrap().await.unwrap_err();
    let Error::Unavailable { tried, .. } = &error else { panic!("{error}") };
    assert_eq!(tried.len(), 2, "{error}");
    cluster.start(0);
    writer.send("bob", "found").await.unwrap().await.unwrap();
    assert_eq!(cluster.with_state(|state| state.bodies()), ["found"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_sent_but_never_answered_is_unknown_and_stays_before_what_follows() {
    let (cluster, client) = cluster(1).await;
    let writer = client.writer().unwrap();
    writer.send("bob", "first").await.unwrap().await.unwrap();
    cluster.behave(0, |behaviour| behaviour.silent = true);
    let error = writer.send("bob", "second").await.unwrap().await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error}");
    cluster.behave(0, |behaviour| behaviour.silent = false);
    writer.send("bob", "third").await.unwrap().await.unwrap();
    assert_eq!(cluster.with_state(|state| state.bodies()), ["first", "second", "third"]);
}

#[tokio::test(start_paused = true)]
async fn an_evicted_instance_is_replaced_without_the_caller_noticing() {
    let (cluster, client) = cluster(1).await;
    let writer = client.writer().unwrap();
    writer.send("bob", "0").await.unwrap().await.unwrap();
    cluster.with_state(|state| state.evict_instances());
    let mut receipts = Vec::new();
    for number in 1..50 {
        receipts.push(writer.send("bob", number.to_string()).await.unwrap());
    }
    for receipt in receipts {
        receipt.await.unwrap();
    }
    assert_eq!(cluster.with_state(|state| state.bodies()), numbers(50));
}

#[tokio::test(start_paused = true)]
async fn an_instance_evicted_while_an_answer_is_out_is_reported_not_repeated() {
    let (cluster, client) = cluster(1).await;
    let writer = client.writer().unwrap();
    writer.send("bob", "0").await.unwrap().await.unwrap();
    cluster.behave(0, |behaviour| behaviour.silent = true);
    let pending = writer.send("bob", "1").await.unwrap();
    while cluster.with_state(|state| state.bodies().len()) < 2 {
        tokio::task::yield_now().await;
    }
    cluster.with_state(|state| state.evict_instances());
    cluster.behave(0, |behaviour| behaviour.silent = false);
    cluster.kill(0);
    cluster.start(0);
    assert!(matches!(pending.await.unwrap_err(), Error::OutcomeUnknown(_)));
    writer.send("bob", "2").await.unwrap().await.unwrap();
    assert_eq!(cluster.with_state(|state| state.bodies()), ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_ends_all_writes() {
    let (cluster, client) = cluster(2).await;
    let writer = client.writer().unwrap();
    writer.send("bob", "0").await.unwrap().await.unwrap();
    cluster.with_state(|state| state.sessions.clear());
    for number in 0..3 {
        let error = writer.send("bob", "1").await.unwrap().await.unwrap_err();
        // What was under way when the stream ended may have run.
        let may_have_run = number == 0 && matches!(&error, Error::OutcomeUnknown(why) if why.contains("the session"));
        assert!(error.is_refusal(ErrorCode::SessionInvalid) || may_have_run, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn bounds_are_checked_before_anything_is_sent() {
    let (_cluster, client) = cluster(1).await;
    let writer = client.writer().unwrap();
    assert!(matches!(writer.send("bob", "").await.unwrap_err(), Error::Usage(_)));
    assert!(matches!(writer.send("bob", "x".repeat(16 * 1024 + 1)).await.unwrap_err(), Error::Usage(_)));
    assert!(matches!(writer.send("b".repeat(33).as_str(), "x").await.unwrap_err(), Error::Usage(_)));
    assert!(matches!(writer.delete(0, vec![], false).await.unwrap_err(), Error::Usage(_)));
    writer.send("bob", "é".repeat(8 * 1024)).await.unwrap().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_is_sent_although_the_writer_is_dropped() {
    let (cluster, client) = cluster(1).await;
    let mut events = client.subscribe(threefold_client::Cursor::default(), false).unwrap();
    let writer = client.writer().unwrap();
    drop(writer.send("bob", "gone").await.unwrap());
    drop(writer);
    let arrived = async { while !matches!(events.next().await.unwrap(), Incoming::Event(_)) {} };
    tokio::time::timeout(Duration::from_secs(5), arrived).await.unwrap();
    assert_eq!(cluster.with_state(|state| state.bodies()), ["gone"]);
}

#[tokio::test(start_paused = true)]
async fn edits_follow_what_they_edit_in_order() {
    let (cluster, client) = cluster(2).await;
    cluster.behave(0, |behaviour| behaviour.frames_per_stream = Some(5));
    let writer = client.writer().unwrap();
    let sent = writer.send("bob", "frist").await.unwrap().await.unwrap();
    let answer = writer.reply("bob", "second", sent.id).await.unwrap();
    let edits = [writer.edit(sent.id, "first").await.unwrap(), writer.edit(sent.id, "first!").await.unwrap()];
    let answer = answer.await.unwrap();
    for edit in edits {
        assert!(edit.await.unwrap() > answer.id);
    }
    assert_eq!(cluster.with_state(|state| state.bodies()), ["first!", "second"]);
    let found = client.messages(0, vec![answer.id, sent.id]).await.unwrap();
    assert_eq!((found[0].reply_to, found[1].edited_at_ms > 0), (sent.id, true));
    let nowhere = writer.edit(5, "x").await.unwrap().await.unwrap_err();
    assert!(matches!(nowhere, Error::Refused { code: ErrorCode::UnknownMessage, .. }), "{nowhere}");
    assert!(matches!(writer.edit(sent.id, "").await, Err(Error::Usage(_))));
    assert!(matches!(writer.react(sent.id, "a b", true).await, Err(Error::Usage(_))));
}
