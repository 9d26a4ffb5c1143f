//! `EndSession`: log out, or throw another device out.

use super::{Context, Outcome, session};
use crate::{
    event::EventBody,
    ids::{SessionId, TokenHash},
    key::Key,
    record::{AccountSessionRecord, SessionRecord},
    reply::{Rejection, Reply},
};

pub(super) fn end_session(context: &mut Context<'_>, token: &TokenHash, target: Option<SessionId>) -> Outcome<Reply> {
    let own = session::require_live(context, token)?;
    let account = own.account;
    let target = target.unwrap_or(own.session);
    let listed = context.get::<AccountSessionRecord>(Key::AccountSession(account, target))?;
    let listed = listed.ok_or(Rejection::UnknownSession(target))?;
    let ended: SessionRecord = context.require(Key::Session(listed.token))?;
    // Ended before, perhaps by this very command: what was asked for is so.
    if !ended.ended {
        session::end(context, listed.token, ended)?;
        context.tell_account(account, EventBody::SessionEnded { session: target });
    }
    Ok(Reply::Done)
}
