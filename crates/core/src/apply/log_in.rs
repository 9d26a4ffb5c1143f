//! `LogIn`: a further session.

use super::{Context, Outcome, session};
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
    let current = |account: &AccountRecord| !account.deleted && account.credential_version == credential_version;
    let account = account.filter(current).ok_or(Rejection::WrongCredential)?;
    Ok(session::open(context, id, &account, token, device)?)
}
