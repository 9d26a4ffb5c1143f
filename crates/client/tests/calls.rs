//! Single operations: retried at other servers, carried out once, refused or unavailable within their deadline.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

use std::time::Duration;

use threefold_client::{Client, Error, Options, Page, chat::ErrorCode, fake::FakeCluster};
use tokio::time::Instant;

const PASSWORD: &str = "password of alice";

async fn logged_in(cluster: &FakeCluster) -> Client {
    let client = cluster.client();
    let session = client.register("alice", PASSWORD, "test").await.unwrap();
    client.with_session(session).unwrap()
}

fn lose_answers(cluster: &FakeCluster, count: u32) {
    for server in 0..cluster.addresses().len() {
        cluster.behave(server, |behaviour| behaviour.lose_answers = count);
    }
}

#[tokio::test(start_paused = true)]
async fn one_server_of_three_is_enough() {
    for down in [[0, 1], [0, 2], [1, 2]] {
        let cluster = FakeCluster::in_memory(3);
        let client = logged_in(&cluster).await;
        cluster.kill(down[0]);
        cluster.behave(down[1], |behaviour| behaviour.unavailable = true);
        let begin = Instant::now();
        assert_eq!(client.who_am_i().await.unwrap().name, "alice");
        assert!(begin.elapsed() < Duration::from_millis(100), "the first retry is immediate");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_costs_one_attempt() {
    let cluster = FakeCluster::in_memory(2);
    let client = logged_in(&cluster).await;
    cluster.behave(0, |behaviour| behaviour.silent = true);
    let begin = Instant::now();
    client.who_am_i().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    let begin = Instant::now();
    client.who_am_i().await.unwrap();
    assert!(begin.elapsed() < Duration::from_millis(10), "stays with the one that answers");
}

#[tokio::test(start_paused = true)]
async fn without_servers_the_deadline_decides() {
    let cluster = FakeCluster::in_memory(2);
    let mut options = cluster.options();
    options.timeout = Duration::from_secs(3);
    cluster.kill(0);
    cluster.kill(1);
    let begin = Instant::now();
    let error = Client::new(options).unwrap().register("alice", PASSWORD, "test").await.unwrap_err();
    assert!((2000..=3000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    let Error::Unavailable { cause, tried } = error else { panic!("{error}") };
    assert_eq!(tried.len(), 2);
    assert!(cause.contains("refused"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn what_was_done_although_the_answer_was_lost_is_not_done_twice() {
    let cluster = FakeCluster::in_memory(2);
    lose_answers(&cluster, 1);
    let client = logged_in(&cluster).await;
    assert_eq!(cluster.with_state(|state| (state.accounts.len(), state.sessions.len())), (1, 1));
    lose_answers(&cluster, 1);
    client.log_in("alice", PASSWORD, "second").await.unwrap();
    assert_eq!(cluster.with_state(|state| state.sessions.len()), 2);
    let other = client.list_sessions().await.unwrap().into_iter().find(|session| !session.current).unwrap();
    lose_answers(&cluster, 1);
    client.end_session(other.session).await.unwrap();
    lose_answers(&cluster, 1);
    client.change_password(PASSWORD, "another password").await.unwrap();
    assert_eq!(cluster.with_state(|state| state.accounts[0].password.clone()), "another password");
    lose_answers(&cluster, 1);
    client.log_out().await.unwrap();
    let session = client.log_in("alice", "another password", "third").await.unwrap();
    lose_answers(&cluster, 1);
    client.with_session(session).unwrap().delete_account("another password").await.unwrap();
    assert_eq!(cluster.with_state(|state| state.accounts.len()), 0);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_final_and_tell_why() {
    let cluster = FakeCluster::in_memory(3);
    let client = logged_in(&cluster).await;
    let begin = Instant::now();
    let refused = [
        (client.register("ALICE", PASSWORD, "test").await.map(drop), ErrorCode::NameTaken),
        (client.log_in("alice", "wrong password", "test").await.map(drop), ErrorCode::WrongCredential),
        (client.change_password("wrong password", PASSWORD).await, ErrorCode::WrongCredential),
        (client.end_session(1).await, ErrorCode::UnknownSession),
        (client.history("nobody", Page::Before(0), 0).await.map(drop), ErrorCode::UnknownUser),
        (cluster.client().who_am_i().await.map(drop), ErrorCode::SessionInvalid),
    ];
    for (result, code) in refused {
        let error = result.unwrap_err();
        assert!(error.is_refusal(code), "{code:?}: {error}");
    }
    assert_eq!(begin.elapsed(), Duration::ZERO, "without a retry");
}

#[tokio::test(start_paused = true)]
async fn further_servers_are_learned_and_used() {
    let cluster = FakeCluster::in_memory(3);
    let all = cluster.addresses();
    let mut options = cluster.options();
    options.servers = vec![all[1].clone()];
    let client = Client::new(options).unwrap();
    let session = client.register("alice", PASSWORD, "test").await.unwrap();
    assert_eq!(session.servers.len(), 3);
    let client = client.with_session(session).unwrap();
    cluster.kill(1);
    assert_eq!(client.status().await.unwrap().servers.len(), 3);
    assert!(client.status_of(&all[2]).await.is_ok());
    assert!(matches!(client.status_of(&all[1]).await, Err(Error::Unavailable { .. })));
}

#[tokio::test(start_paused = true)]
async fn reads_are_never_older_than_what_was_written() {
    let cluster = FakeCluster::in_memory(1);
    let client = logged_in(&cluster).await;
    let before = client.position();
    let sent = client.writer().unwrap().send("alice", "note").await.unwrap().await.unwrap();
    assert!(client.position() >= sent.id && sent.id > before);
    assert_eq!(client.session().unwrap().position, client.position());
    assert_eq!(client.history("alice", Page::After(0), 0).await.unwrap().messages[0].body, "note");
    assert_eq!(client.conversations(false, 0, 0).await.unwrap().conversations.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_who_are_online_are_asked_for_page_by_page() {
    let cluster = FakeCluster::in_memory(1);
    let client = logged_in(&cluster).await;
    let ids: Vec<u64> = cluster.with_state(|state| {
        let like = state.accounts[0].clone();
        let others = (1..=450).map(|number| like.id + number);
        state.accounts.extend(others.clone().map(|id| {
            let mut account = like.clone();
            (account.id, account.name) = (id, format!("user{id}"));
            account
        }));
        state.online.extend(others.clone().map(|id| (id, 1)));
        others.collect()
    });
    let online: Vec<u64> = client.online().await.unwrap().iter().map(|account| account.account).collect();
    assert_eq!(online, ids);
    let page = client.online_page(100, ids[399]).await.unwrap();
    assert_eq!((page.accounts.len(), page.accounts[0].account, page.more), (50, ids[400], false));
    assert!(client.online_page(100, 0).await.unwrap().more);
}

#[tokio::test]
async fn plain_tcp_works_as_well() {
    let cluster = FakeCluster::on_loopback(2).await;
    let client = logged_in(&cluster).await;
    assert_eq!(client.search_accounts("ali", 0, "").await.unwrap().accounts[0].name, "alice");
}

#[test]
fn malformed_addresses_and_missing_authorities_are_usage_errors() {
    for servers in [vec![], vec!["no address".to_owned()], vec!["https://a.example:1".to_owned()]] {
        assert!(matches!(Client::new(Options::new(servers)), Err(Error::Usage(_))));
    }
}
