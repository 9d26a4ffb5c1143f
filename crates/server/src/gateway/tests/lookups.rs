//! Searches, and lists of who there is: whoever asks much keeps nobody waiting, and pages hold everybody once.

use threefold_core::{AccountId, Command};
use threefold_proto::{chat, convert::Token};
use tokio::time::{Duration, Instant};

use crate::gateway::{Caller, Gateway, door::Door as _, testing::Solo};

async fn user(door: &Solo, gateway: &Gateway<Solo>, name: &str) -> Caller {
    let token_hash = Token::new(rand::random()).hash();
    let (password_hash, device) = ("hash".to_owned(), "test".to_owned());
    door.apply(&Command::Register { name: name.to_owned(), password_hash, token_hash, device });
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
    let ask = |caller: &Caller| {
        let (gateway, caller) = (gateway.clone(), caller.clone());
        tokio::spawn(async move { gateway.search_messages(&caller, words(), soon()).await.unwrap() })
    };
    door.hold_searches(true);
    let mut asked: Vec<_> = (0..8).map(|_| ask(&ann)).collect();
    searchers.wait_for(|began| !began.is_empty()).await.unwrap();
    // All of hers are in line by now: the runtime has one thread, and each comes so far without waiting.
    asked.push(ask(&bob));
    let began = searchers.wait_for(|began| began.len() == 2).await.unwrap().clone();
    assert_eq!(began, [ann.session.account, bob.session.account]);
    door.hold_searches(false);
    for search in asked {
        search.await.unwrap();
    }
    assert_eq!(searchers.borrow().len(), 9);
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
