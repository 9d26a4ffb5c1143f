use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    let rate = |burst, every| Some(Rate { burst, every });
    Limits {
        writes: rate(10, SECOND / 10),
        failed_logins: rate(3, 10 * SECOND),
        failed_logins_at: rate(2, 10 * SECOND),
        failed_logins_from: None,
        registrations: rate(1, SECOND),
    }
}

fn spent(account: u64, amount: u32) -> peer::ChargeRequest {
    let charges = vec![Key::Writes(AccountId(account)).to_wire(amount)];
    peer::ChargeRequest { charges, spent: true, give_back: false }
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_through_and_then_the_rate() {
    let keeper = Keeper::new(&limits());
    for _ in 0..10 {
        assert_eq!(keeper.count_write(AccountId(1)), Ok(()));
    }
    assert_eq!(keeper.count_write(AccountId(1)), Err(SECOND / 10));
    assert_eq!(keeper.count_write(AccountId(2)), Ok(()), "another account's bucket");
    advance(SECOND / 10).await;
    assert_eq!(keeper.count_write(AccountId(1)), Ok(()));
    assert!(keeper.count_write(AccountId(1)).is_err());
    advance(60 * SECOND).await;
    let through = (0..100).take_while(|_| keeper.count_write(AccountId(1)).is_ok()).count();
    assert_eq!(through, 10, "a bucket holds no more than a burst, however long it filled");
}

/// Three servers, each of which lets a burst through: the leader adds them up, and all are told to wait.
#[tokio::test(start_paused = true)]
async fn three_servers_do_not_triple_a_limit() {
    let leader = Keeper::new(&limits());
    assert_eq!(leader.answer(spent(1, 10)).waits_ms, [0]);
    assert_eq!(leader.answer(spent(1, 10)).waits_ms, [1000]);
    assert_eq!(leader.answer(spent(1, 10)).waits_ms, [2000]);
    let server = Keeper::new(&limits());
    server.hold([(AccountId(1), 2000), (AccountId(2), 0)].into_iter());
    assert_eq!(server.count_write(AccountId(1)), Err(2 * SECOND));
    assert_eq!(server.count_write(AccountId(2)), Ok(()));
    advance(2 * SECOND).await;
    assert_eq!(server.count_write(AccountId(1)), Ok(()));
    assert_eq!(leader.answer(spent(1, 1_000_000)).waits_ms, [LONGEST_WAIT.as_millis() as u64]);
}

/// An account that writes all it may at three servers for as long as it likes.
#[tokio::test(start_paused = true)]
async fn in_the_long_run_three_servers_let_through_what_one_would() {
    let usual = Limits::default();
    for limits in [limits(), usual] {
        let rate = limits.writes.unwrap();
        let leader = Keeper::new(&limits);
        let servers = [(); 3].map(|()| Keeper::new(&limits));
        let mut written = 0;
        let pauses = 1200;
        for _ in 0..pauses {
            for server in &servers {
                written +=
                    std::iter::repeat_with(|| server.count_write(AccountId(1))).take_while(Result::is_ok).count();
            }
            for server in &servers {
                for (account, count) in server.take_unreported() {
                    let waits_ms = leader.answer(spent(account.0, count)).waits_ms;
                    server.hold(std::iter::once(account).zip(waits_ms));
                }
            }
            advance(REPORT_PAUSE).await;
        }
        let in_time = (pauses * REPORT_PAUSE).as_nanos() / rate.every.as_nanos();
        // Beside its first burst at each server.
        let most = in_time as usize + 4 * rate.burst as usize;
        assert!(written <= most, "{written} instead of {most}: {rate:?}");
        assert!(written >= in_time as usize * 9 / 10, "{written} of {in_time}: what is allowed goes through");
    }
}

/// Who keeps to the limit at one server is hardly ever held by the leader, whose clock and reports are a little behind.
#[tokio::test(start_paused = true)]
async fn who_writes_at_one_server_gets_all_of_the_rate() {
    let limits = limits();
    let (leader, server) = (Keeper::new(&limits), Keeper::new(&limits));
    let mut written = 0;
    for pause in 0..600_u32 {
        written += std::iter::repeat_with(|| server.count_write(AccountId(1))).take_while(Result::is_ok).count();
        // A report now and then takes longer.
        advance(REPORT_PAUSE + Duration::from_millis(u64::from(pause % 7) * 10)).await;
        for (account, count) in server.take_unreported() {
            let waits_ms = leader.answer(spent(account.0, count)).waits_ms;
            server.hold(std::iter::once(account).zip(waits_ms));
        }
    }
    assert!(written >= 600, "{written} in more than a minute, at ten a second");
}

#[tokio::test(start_paused = true)]
async fn what_succeeds_is_given_back() {
    let keeper = Keeper::new(&limits());
    let key = Key::failed_logins("Ann");
    for _ in 0..20 {
        assert_eq!(keeper.take(&key), Ok(()));
        keeper.give_back(&Key::failed_logins("ann"));
    }
    for _ in 0..3 {
        assert_eq!(keeper.take(&key), Ok(()));
    }
    assert_eq!(keeper.take(&key), Err(10 * SECOND));
    assert_eq!(keeper.take(&Key::failed_logins_from([127, 0, 0, 1].into())), Ok(()), "not limited");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_bounded() {
    let keeper = Keeper::new(&limits());
    for account in 0..KEYS as u64 + 10 {
        keeper.count_write(AccountId(account)).unwrap();
    }
    assert_eq!(keeper.lock().own.full_at.len(), KEYS);
    advance(SECOND).await;
    keeper.count_write(AccountId(u64::MAX)).unwrap();
    assert_eq!(keeper.lock().own.full_at.len(), 1, "the full ones went");
    assert_eq!(keeper.take_unreported().len(), REPORTED);
}

#[test]
fn keys_survive_the_wire_and_households_are_one() {
    let v6 = |text: &str| Key::registrations(text.parse().unwrap());
    let keys = [
        Key::Writes(AccountId(7)),
        Key::failed_logins("Ann"),
        Key::failed_logins("no name at all"),
        Key::failed_logins_at("Ann", Some([192, 0, 2, 1].into())),
        Key::failed_logins_at("ann", Some("2001:db8::1".parse().unwrap())),
        Key::failed_logins_at("ann", None),
        Key::failed_logins_from([192, 0, 2, 1].into()),
        v6("2001:db8::1"),
    ];
    for key in keys {
        assert_eq!(key.to_wire(1).key.and_then(Key::from_wire), Some(key));
    }
    assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
    assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
    assert_eq!(v6("::ffff:192.0.2.1"), Key::registrations([192, 0, 2, 1].into()));
    let strange = charge::Key::Registrations(vec![1; 5].into());
    assert_eq!(Key::from_wire(strange), None);
}
