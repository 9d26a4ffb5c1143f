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
