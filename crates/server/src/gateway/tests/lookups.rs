//! Searches, and lists of who there is: whoever asks much keeps nobody waiting, and pages hold everybody once.

use threefold_core::{AccountId, BotAction, Command, Operation, RequestId, query};
use threefold_proto::{chat, convert::Token};
use tokio::time::{Duration, Instant};

use crate::gateway::{Caller, Gateway, door::Door as _, testing::Solo};

async fn user(door: &Solo, gateway: &Gateway<Solo>, name: &str) -> Caller {
    let token_hash = Token::new(rand::random()).hash();
    let (password_hash, device) = ("hash".to_owned(), "test".to_owned());
    door.apply(&Command::Register { name: name.to_owned(), password_hash, token_hash, device });
    gateway.authenticate(token_hash, soon()).await.unwrap()
}

/// A bot of that account's, which has written nothing yet.
async fn bot_of(owner: &Caller, door: &Solo, gateway: &Gateway<Solo>, name: &str) -> Caller {
    let token = Token::new(rand::random()).hash();
    let operation = Operation::ManageBot { name: name.to_owned(), action: BotAction::Create { token } };
    let request = RequestId { instance: 1, number: 1 };
    door.apply(&Command::Write { session: owner.token, request, operation, answered: None });
    let account = door.read(|store| query::account_by_name(store, name)).unwrap();
    let (token_hash, device) = (Token::new(rand::random()).hash(), "test".to_owned());
    let (account, credential_version) = (account.account, account.credential_version);
    door.apply(&Command::LogIn { account, credential_version, token_hash, device });
    gateway.authenticate(token_hash, soon()).await.unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn words() -> chat::SearchMessagesRequest {
    chat::SearchMessagesRequest { query: "words".to_owned(), ..Default::default() }
}

#[tokio::test]
async fn who_searches_much_keeps_nobody_else_waiting() {
    let door = Solo::new();
    let (gateway, mut searchers) = (door.gateway(), door.searchers());
    let (ann, bob) = (user(&door, &gateway, "ann").await, user(&door, &gateway, "bob").await);
    let echo = bot_of(&ann, &door, &gateway, "echo").await;
    let ask = |caller: &Caller| {
        let (gateway, caller) = (gateway.clone(), caller.clone());
        tokio::spawn(async move { gateway.search_messages(&caller, words(), soon()).await.unwrap() })
    };
    door.hold_searches(true);
    let mut asked: Vec<_> = [&ann, &ann, &ann, &echo, &echo].map(ask).into();
    searchers.wait_for(|began| !began.is_empty()).await.unwrap();
    // All of hers and her bot's are in line by now: the runtime has one thread, and each comes so far without waiting.
    asked.push(ask(&bob));
    let began = searchers.wait_for(|began| began.len() == 2).await.unwrap().clone();
    assert_eq!(began, [ann.session.account, bob.session.account]);
    door.hold_searches(false);
    for search in asked {
        search.await.unwrap();
    }
    assert_eq!(searchers.borrow().len(), 6);
}

async fn search(gateway: Gateway<Solo>, caller: Caller) {
    gateway.search_accounts(&caller, chat::SearchAccountsRequest::default(), soon()).await.unwrap();
}

async fn list_online(gateway: Gateway<Solo>, caller: Caller) {
    online(&gateway, &caller, 1, 0).await;
}

async fn list_rooms(gateway: Gateway<Solo>, caller: Caller) {
    gateway.list_rooms(&caller, chat::ListRoomsRequest::default(), soon()).await.unwrap();
}

async fn take_turns<F: Future<Output = ()> + Send + 'static>(look_up: impl Fn(Gateway<Solo>, Caller) -> F) {
    let door = Solo::new();
    let gateway = door.gateway();
    let (ann, bob) = (user(&door, &gateway, "ann").await, user(&door, &gateway, "bob").await);
    let echo = bot_of(&ann, &door, &gateway, "echo").await;
    let ask = |caller: &Caller| tokio::spawn(look_up(gateway.clone(), caller.clone()));
    let mut turns = gateway.shared.lookups.began.subscribe();
    door.hold_reads(true);
    let mut asked: Vec<_> = [&ann, &ann, &ann, &echo, &echo].map(ask).into();
    turns.wait_for(|turns| !turns.is_empty()).await.unwrap();
    asked.push(ask(&bob));
    let began = tokio::time::timeout_at(soon(), turns.wait_for(|turns| turns.len() == 2)).await;
    let began = began.map(|began| began.unwrap().clone());
    door.hold_reads(false);
    assert_eq!(began, Ok(vec![ann.session.account, bob.session.account]));
    for looked in asked {
        looked.await.unwrap();
    }
}

#[tokio::test]
async fn who_looks_through_names_much_keeps_nobody_else_waiting() {
    take_turns(search).await;
    take_turns(list_online).await;
    take_turns(list_rooms).await;
}

async fn online(gateway: &Gateway<Solo>, caller: &Caller, limit: u32, after: u64) -> chat::ListOnlineReply {
    gateway.list_online(caller, chat::ListOnlineRequest { limit, after }, soon()).await.unwrap()
}

#[tokio::test]
async fn pages_hold_everybody_who_is_online_once() {
    let door = Solo::new();
    let (gateway, mut present, mut expected, mut asker) = (door.gateway(), Vec::new(), Vec::new(), None);
    for number in 0..450 {
        let caller = user(&door, &gateway, &format!("user{number}")).await;
        if number % 3 > 0 {
            present.push(door.arrive(caller.session.account));
            expected.push(caller.session.account.0);
        }
        asker = Some(caller);
    }
    let asker = asker.unwrap();
    // Somebody of whom there is nothing any more.
    present.push(door.arrive(AccountId(expected[7] + 1)));
    for limit in [1, 7, 150, 200] {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let page = online(&gateway, &asker, limit, after).await;
            assert!(page.accounts.len() <= limit as usize);
            found.extend(page.accounts.iter().map(|account| account.account));
            after = *found.last().unwrap();
            if !page.more {
                break;
            }
        }
        assert_eq!(found, expected, "in pages of {limit}");
    }
    let all = online(&gateway, &asker, 0, 0).await;
    assert_eq!((all.accounts.len(), all.more), (300, false), "who knows of no pages is told everybody");
    let too_many = chat::ListOnlineRequest { limit: 201, after: 0 };
    assert!(gateway.list_online(&asker, too_many, soon()).await.is_err());
}
