//! What is too much, by single calls, and who is shut out by it and who is not.

use std::net::IpAddr;

use threefold_core::{BotAction, Command, Operation, RequestId};
use threefold_proto::convert::error_of;
use tokio::time::Instant;

use super::*;
use crate::config::{Limits, Rate};

#[tokio::test]
async fn guesses_are_limited_whether_the_name_exists_or_not() {
    let server = start_with(Solo::with_limits(&Limits::new(0, 0, 3))).await;
    server.user("ann").await;
    let mut chat = server.chat().await;
    for name in ["ann", "nobody"] {
        let mut guess = async |password| {
            let refused = chat.login(log_in(name, password, &Token::new(rand::random()))).await.map(drop);
            refused.map_err(|status| error_of_status(&status))
        };
        for _ in 0..3 {
            assert_eq!(guess("wrong horse").await.unwrap_err().code(), ErrorCode::WrongCredential);
        }
        // The right one too: else it would be told apart from wrong ones.
        let error = guess(PASSWORD).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::RateLimited);
        assert!(error.retry_after_ms > 1_000_000, "{error:?}");
        assert_eq!(error.message, "too many failed log-ins: try again in 20 minutes");
    }
}

#[tokio::test]
async fn log_ins_that_succeed_cost_nothing() {
    let server = start_with(Solo::with_limits(&Limits::new(0, 0, 3))).await;
    server.user("ann").await;
    let mut chat = server.chat().await;
    for _ in 0..10 {
        // It is given back a moment after the answer.
        let logged_in = async {
            while chat.login(log_in("ann", PASSWORD, &Token::new(rand::random()))).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, logged_in).await.unwrap();
    }
}

#[tokio::test]
async fn registrations_from_an_address_are_limited() {
    let server = start_with(Solo::with_limits(&Limits::new(0, 2, 0))).await;
    let mut chat = server.chat().await;
    let mut codes = Vec::new();
    for name in ["ann", "bob", "cy"] {
        let registered = chat.register(register(name, PASSWORD, &Token::new(rand::random()))).await;
        codes.push(registered.map_or_else(|status| error_of_status(&status).code(), |_| ErrorCode::Unspecified));
    }
    assert_eq!(codes, [ErrorCode::Unspecified, ErrorCode::Unspecified, ErrorCode::RateLimited]);
}

#[tokio::test]
async fn single_writes_over_the_limit_are_refused_and_can_be_repeated() {
    // So seldom that a machine with much else to do comes to the third before it is allowed.
    let writes = Some(Rate { burst: 2, every: Duration::from_secs(8) });
    let server = start_with(Solo::with_limits(&Limits { writes, ..Limits::new(0, 0, 0) })).await;
    let mut ann = server.user("ann").await;
    for _ in 0..2 {
        ann.say("ann", "note").await.unwrap();
    }
    let refused = error_of_status(&ann.say("ann", "one more").await.unwrap_err());
    assert_eq!(refused.code(), ErrorCode::RateLimited);
    assert!((1..=8000).contains(&refused.retry_after_ms), "{refused:?}");
    // Its number was not used up: the same write goes through later.
    ann.number -= 1;
    let later = async {
        while ann.say("ann", "one more").await.is_err() {
            ann.number -= 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, later).await.unwrap();
}

/// The log-in of somebody who knows the password fails again and again, for the server's reasons.
#[tokio::test]
async fn who_meets_a_server_that_cannot_tell_is_not_shut_out() {
    let server = start_with(Solo::with_limits(&Limits::new(0, 0, 3))).await;
    server.user("ann").await;
    let mut chat = server.chat().await;
    server.door.set_cut_off(true);
    for _ in 0..10 {
        let refused = async {
            // What was taken is given back a moment after the answer.
            while code(chat.login(log_in("ann", PASSWORD, &Token::new(rand::random()))).await) != ErrorCode::Unavailable
            {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, refused).await.unwrap();
    }
    server.door.set_cut_off(false);
    let logged_in = async {
        while chat.login(log_in("ann", PASSWORD, &Token::new(rand::random()))).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, logged_in).await.unwrap();
}

/// Whoever has found a session does not find the password with it, nor keeps out whoever logs in.
#[tokio::test]
async fn guesses_with_a_session_are_limited_too() {
    let server = start_with(Solo::with_limits(&Limits::new(0, 0, 3))).await;
    let mut ann = server.user("ann").await;
    let mut codes = Vec::new();
    for _ in 0..2 {
        let (old_password, new_password) = ("wrong horse".into(), "another horse".into());
        let request = ann.with(chat::ChangePasswordRequest { old_password, new_password });
        codes.push(code(ann.chat.change_password(request).await));
        let request = ann.with(chat::DeleteAccountRequest { password: "wrong horse".into() });
        codes.push(code(ann.chat.delete_account(request).await));
    }
    let wrong = ErrorCode::WrongCredential;
    assert_eq!(codes, [wrong, wrong, wrong, ErrorCode::RateLimited]);
    ann.chat.login(log_in("ann", PASSWORD, &Token::new(rand::random()))).await.unwrap();
}

/// By whoever fails for somebody at one address, or a few.
#[tokio::test]
async fn nobody_is_shut_out_at_another_address() {
    let solo = Solo::with_limits(&Limits::new(0, 0, 3));
    let gateway = solo.gateway();
    let token = Token::new(rand::random());
    // Of each call by itself: a hash takes what it takes, and here are well over a hundred.
    let deadline = || Instant::now() + PATIENCE;
    let address = |number: u8| IpAddr::from([192, 0, 2, number]);
    gateway.register(register("ann", PASSWORD, &token), address(1), deadline()).await.unwrap();
    let guess = async |password: &str, from| {
        let logged_in = gateway.log_in(log_in("ann", password, &Token::new(rand::random())), from, deadline()).await;
        // What was taken for nothing is put back by a task of its own, which has its turn here: a hash that is done at once leaves it none.
        tokio::task::yield_now().await;
        logged_in.map(drop).map_err(|refusal| error_of(&refusal).code())
    };
    for number in 10..19 {
        for _ in 0..3 {
            assert_eq!(guess("wrong horse", address(number)).await, Err(ErrorCode::WrongCredential));
        }
        assert_eq!(guess(PASSWORD, address(number)).await, Err(ErrorCode::RateLimited), "where it was guessed");
        assert_eq!(guess(PASSWORD, address(1)).await, Ok(()), "at home");
    }
    // Of anything that could be a token no number shuts anybody out elsewhere.
    for number in 30..60 {
        for _ in 0..3 {
            assert_eq!(guess(&"ab".repeat(32), address(number)).await, Err(ErrorCode::WrongCredential));
        }
    }
    assert_eq!(guess(PASSWORD, address(1)).await, Ok(()));
    // But from many addresses at once no more is guessed than from ten.
    let mut refused = 0;
    for number in 60..80 {
        refused += u32::from(guess("wrong horse", address(number)).await == Err(ErrorCode::RateLimited));
    }
    assert!(refused >= 17, "{refused}");
}

/// How long it takes says as little as what is said.
#[tokio::test]
async fn a_wrong_token_of_a_bot_costs_a_hash_as_an_unknown_name_does() {
    let solo = Solo::new();
    let gateway = solo.gateway();
    let token = Token::new(rand::random());
    let deadline = || Instant::now() + PATIENCE;
    let from = IpAddr::from([192, 0, 2, 1]);
    gateway.register(register("ann", PASSWORD, &token), from, deadline()).await.unwrap();
    let action = BotAction::Create { token: Token::new([8; 32]).hash() };
    let operation = Operation::ManageBot { name: "echo".to_owned(), action };
    let request = RequestId { instance: 1, number: 1 };
    solo.apply(&Command::Write { session: token.hash(), request, operation, answered: None });
    let guess = async |name: &str, password: &str| {
        let before = gateway.passwords().hashed();
        let request = log_in(name, password, &Token::new(rand::random()));
        let is_let_in = gateway.log_in(request, from, deadline()).await.is_ok();
        (is_let_in, gateway.passwords().hashed() - before)
    };
    for wrong in ["wrong horse".to_owned(), "ab".repeat(32)] {
        assert_eq!(guess("echo", &wrong).await, (false, 1));
        assert_eq!(guess("nobody", &wrong).await, (false, 1));
        assert_eq!(guess("ann", &wrong).await, (false, 1));
    }
    assert_eq!(guess("echo", &"08".repeat(32)).await, (true, 0));
}

/// Whatever costs a place in the log counts, not only what is called a write.
#[tokio::test]
async fn nothing_that_is_written_passes_by_the_limit() {
    let writes = Some(Rate { burst: 2, every: Duration::from_secs(600) });
    let server = start_with(Solo::with_limits(&Limits { writes, ..Limits::new(0, 0, 0) })).await;
    let mut ann = server.user("ann").await;
    for nonce in 0..2 {
        let request = ann.with(chat::OpenInstanceRequest { nonce });
        ann.chat.open_instance(request).await.unwrap();
    }
    let applied = server.door.applied();
    let request = ann.with(chat::OpenInstanceRequest { nonce: 2 });
    assert_eq!(code(ann.chat.open_instance(request).await), ErrorCode::RateLimited);
    let request = ann.with(chat::EndSessionRequest { session: 1 });
    assert_eq!(code(ann.chat.end_session(request).await), ErrorCode::RateLimited);
    let request = ann.with(chat::DiscardAttachmentRequest { attachment: 1 });
    assert_eq!(code(ann.chat.discard_attachment(request).await), ErrorCode::RateLimited);
    assert_eq!(server.door.applied(), applied);
    // Who goes may always go.
    let request = ann.with(chat::LogoutRequest {});
    ann.chat.logout(request).await.unwrap();
}

#[tokio::test]
async fn who_needs_an_instance_gets_it_when_it_is_time() {
    let server = start_with(Solo::with_limits(&Limits::new(1, 0, 0))).await;
    let mut ann = server.user("ann").await;
    for nonce in 0..12 {
        let request = ann.with(chat::OpenInstanceRequest { nonce });
        ann.chat.open_instance(request).await.unwrap();
    }
}
