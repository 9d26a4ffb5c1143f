//! `DeleteAccount`: the account, its sessions and what only it could see go; what others received stays.
//!
//! Its name stays taken. The mailbox, memberships and hidden runs may be many: they are out of reach at once,
//! and removed a few with each following entry (see `cleanup`).

use super::{Context, Outcome, session};
use crate::{
    event::Scope,
    ids::TokenHash,
    key::Key,
    record::{AccountRecord, CleanupRecord, NameRecord},
    reply::{Rejection, Reply},
    text,
};

pub(super) fn delete_account(context: &mut Context<'_>, token: &TokenHash, credential_version: u64) -> Outcome<Reply> {
    let id = session::require_live(context, token)?.account;
    let mut account: AccountRecord = context.require(Key::Account(id))?;
    if account.credential_version != credential_version {
        return Err(Rejection::WrongCredential.into());
    }
    for (token, session) in session::all_of(context, id)? {
        session::forget(context, token, &session)?;
    }
    let folded = text::fold_name(&account.name);
    context.put(Key::Name(&folded), &NameRecord { account: id, deleted: true });
    account.name.clear();
    account.password_hash.clear();
    account.credential_version += 1;
    account.administrator = false;
    account.deleted = true;
    context.put(Key::Account(id), &account);
    context.put(Key::Cleanup(id), &CleanupRecord {});
    context.meta.cleanups += 1;
    // Nothing is left to read, but whoever follows must find out that its session is gone.
    context.wake(Scope::Mailbox(id), context.position(), vec![id]);
    Ok(Reply::Done)
}
