//! `ChangePassword`: a new credential; every other session ends.

use super::{Context, Outcome, session};
use crate::{
    event::EventBody,
    ids::TokenHash,
    key::Key,
    record::AccountRecord,
    reply::{Rejection, Reply},
    text,
};

pub(super) fn change_password(
    context: &mut Context<'_>,
    token: &TokenHash,
    credential_version: u64,
    password_hash: &str,
) -> Outcome<Reply> {
    let own = session::require_live(context, token)?;
    text::check_password_hash(password_hash)?;
    let mut account: AccountRecord = context.require(Key::Account(own.account))?;
    if account.bot.is_some() {
        return Err(Rejection::NotForBots.into());
    }
    // Hashes are salted, so the same one again is the same command again.
    if account.password_hash == password_hash {
        return Ok(Reply::Done);
    }
    if account.credential_version != credential_version {
        return Err(Rejection::WrongCredential.into());
    }
    account.credential_version += 1;
    account.password_hash = password_hash.to_owned();
    context.put(Key::Account(own.account), &account);
    for (token, session) in session::all_of(context, own.account)? {
        if session.session != own.session && !session.ended {
            session::end(context, token, session)?;
        }
    }
    // One event for all of them: a command has few places, an account may have many sessions.
    context.tell_account(own.account, EventBody::PasswordChanged { by: own.session });
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, EventBody, Rejection, Reply, query,
        world::{World, refused},
    };

    #[test]
    fn all_other_sessions_end_and_a_retry_changes_nothing() {
        let mut world = World::new();
        let ann = world.register("ann");
        let phone = world.log_in(ann.account, "phone");
        let command =
            Command::ChangePassword { session: ann.token, credential_version: 1, password_hash: "new hash".to_owned() };
        assert_eq!(world.run(&command), Reply::Done);
        assert_eq!(world.run(&command), Reply::Done);
        assert!(world.written().is_empty());
        let account = query::account(&world.store, ann.account).unwrap().unwrap();
        assert_eq!((account.password_hash.as_str(), account.credential_version), ("new hash", 2));
        assert_eq!(query::session(&world.store, &phone.token).unwrap(), None);
        assert!(query::session(&world.store, &ann.token).unwrap().is_some());
        let told = world.everything(ann.account);
        assert_eq!(told.last().unwrap().body, EventBody::PasswordChanged { by: ann.session });
    }

    #[test]
    fn a_password_changed_meanwhile_or_a_bad_hash_is_refused() {
        let mut world = World::new();
        let ann = world.register("ann");
        let mut change = |credential_version, password_hash: String| {
            refused(&world.run(&Command::ChangePassword { session: ann.token, credential_version, password_hash }))
        };
        assert_eq!(change(2, "new".to_owned()), Rejection::WrongCredential);
        assert!(matches!(change(1, String::new()), Rejection::Invalid(_)));
        assert!(matches!(change(1, "x".repeat(10_000)), Rejection::Invalid(_)));
    }
}
