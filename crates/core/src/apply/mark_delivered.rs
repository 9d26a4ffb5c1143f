//! `MarkDelivered`: where a client without a cursor starts. Never goes back.

use super::{Context, Outcome};
use crate::{
    ids::{AccountId, EventId},
    key::Key,
    record::AccountRecord,
    reply::Reply,
};

pub(super) fn mark_delivered(context: &mut Context<'_>, id: AccountId, up_to: EventId) -> Outcome<Reply> {
    let mut account: AccountRecord = context.require(Key::Account(id))?;
    // What has not happened yet was not delivered: a mark in the future would swallow messages.
    let mark = up_to.position().min(context.position());
    if mark > account.delivered_up_to {
        account.delivered_up_to = mark;
        context.put(Key::Account(id), &account);
    }
    Ok(Reply::Done)
}
