//! `LogIn`: a further session.

use super::{Context, Outcome, bot, session};
use crate::{
    ids::{AccountId, TokenHash},
    key::Key,
    record::AccountRecord,
    reply::{Rejection, Reply},
    text,
};

pub(super) fn log_in(
    context: &mut Context<'_>,
    id: AccountId,
    credential_version: u64,
    token: TokenHash,
    device: &str,
) -> Outcome<Reply> {
    if let Some(reply) = session::opened_before(context, token, |account, _| account == id)? {
        return Ok(reply);
    }
    text::check_device(device)?;
    let account = context.get::<AccountRecord>(Key::Account(id))?;
    let opens = |account: &AccountRecord| account.bot.is_none_or(|bot| bot.token.is_some());
    let current = |account: &AccountRecord| {
        !account.deleted && account.credential_version == credential_version && opens(account)
    };
    let account = account.filter(current).ok_or(Rejection::WrongCredential)?;
    if bot::is_disabled(context, &account)? {
        return Err(Rejection::AccountDisabled.into());
    }
    Ok(session::open(context, id, &account, token, device)?)
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, EventBody, Rejection,
        bounds::SESSIONS_PER_ACCOUNT,
        query,
        world::{World, refused},
    };

    #[test]
    fn a_retry_gets_the_first_reply_even_after_a_renewal() {
        let mut world = World::new();
        let ann = world.register("ann");
        let token_hash = world.fresh_token();
        let command =
            Command::LogIn { account: ann.account, credential_version: 1, token_hash, device: "phone".to_owned() };
        let first = world.run(&command);
        world.time_ms += 1000;
        world.run(&Command::RenewSession { session: token_hash });
        assert_eq!(world.run(&command), first);
        assert!(world.written().is_empty());
        assert_eq!(query::sessions(&world.store, ann.account).unwrap().len(), 2);
    }

    #[test]
    fn an_old_credential_or_an_unknown_account_is_refused() {
        let mut world = World::new();
        let ann = world.register("ann");
        for (account, credential_version) in [(ann.account, 0), (ann.account, 2), (crate::AccountId(9), 1)] {
            let token_hash = world.fresh_token();
            let reply =
                world.run(&Command::LogIn { account, credential_version, token_hash, device: "phone".to_owned() });
            assert_eq!(refused(&reply), Rejection::WrongCredential);
        }
    }

    #[test]
    fn one_more_than_the_bound_ends_the_oldest() {
        let mut world = World::new();
        let ann = world.register("ann");
        let devices: Vec<_> =
            (1..SESSIONS_PER_ACCOUNT).map(|number| world.log_in(ann.account, &format!("device {number}"))).collect();
        assert!(query::session(&world.store, &ann.token).unwrap().is_some());
        world.log_in(ann.account, "one more");
        assert_eq!(query::session(&world.store, &ann.token).unwrap(), None);
        assert!(query::session(&world.store, &devices[0].token).unwrap().is_some());
        assert_eq!(query::sessions(&world.store, ann.account).unwrap().len(), SESSIONS_PER_ACCOUNT);
        let ended = |event: &crate::Event| event.body == EventBody::SessionEnded { session: ann.session };
        assert!(world.everything(ann.account).iter().any(ended));
    }

    #[test]
    fn a_session_that_is_over_makes_room_before_a_live_one() {
        let mut world = World::new();
        let ann = world.register("ann");
        let second = world.log_in(ann.account, "second");
        for number in 2..SESSIONS_PER_ACCOUNT {
            world.log_in(ann.account, &format!("device {number}"));
        }
        world.run(&Command::EndSession { session: ann.token, target: Some(second.session) });
        world.log_in(ann.account, "one more");
        assert!(query::session(&world.store, &ann.token).unwrap().is_some());
        assert_eq!(query::sessions(&world.store, ann.account).unwrap().len(), SESSIONS_PER_ACCOUNT);
    }

    #[test]
    fn a_late_duplicate_does_not_open_an_ended_session_again() {
        let mut world = World::new();
        let ann = world.register("ann");
        let token_hash = world.fresh_token();
        let command =
            Command::LogIn { account: ann.account, credential_version: 1, token_hash, device: "phone".to_owned() };
        world.run(&command);
        world.run(&Command::EndSession { session: token_hash, target: None });
        assert_eq!(refused(&world.run(&command)), Rejection::SessionInvalid);
        assert!(world.written().is_empty());
    }
}
