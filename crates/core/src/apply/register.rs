//! `Register`: a new account and its first session.

use super::{Context, Outcome, session};
use crate::{
    ids::{AccountId, Position, TokenHash},
    key::{Key, Range},
    record::{AccountRecord, NameRecord},
    reply::{Rejection, Reply},
    scan, text,
};

pub(super) fn register(
    context: &mut Context<'_>,
    name: &str,
    password_hash: &str,
    token: TokenHash,
    device: &str,
) -> Outcome<Reply> {
    let folded = text::fold_name(name);
    if let Some(reply) = session::opened_before(context, token, |_, account| text::fold_name(&account.name) == folded)?
    {
        return Ok(reply);
    }
    text::check_name(name)?;
    text::check_password_hash(password_hash)?;
    text::check_device(device)?;
    if context.get::<NameRecord>(Key::Name(&folded))?.is_some() {
        return Err(Rejection::NameTaken.into());
    }
    let first_ever = scan::keys(context.store, &Range::accounts(), 1)?.is_empty();
    let id = AccountId::from(context.take_place());
    let account = AccountRecord {
        name: name.to_owned(),
        password_hash: password_hash.to_owned(),
        credential_version: 1,
        administrator: first_ever,
        registered_at_ms: context.time_ms(),
        delivered_up_to: Position::default(),
        deleted: false,
    };
    context.put(Key::Account(id), &account);
    context.put(Key::Name(&folded), &NameRecord { account: id, deleted: false });
    Ok(session::open(context, id, &account, token, device)?)
}
