//! `RenewSession`: the full term from now on.

use super::{Context, Outcome, session};
use crate::{bounds::SESSION_MS, ids::TokenHash, key::Key, reply::Reply};

pub(super) fn renew_session(context: &mut Context<'_>, token: &TokenHash) -> Outcome<Reply> {
    let mut session = session::require_live(context, token)?;
    let renewed = context.time_ms().saturating_add(SESSION_MS);
    if renewed > session.expires_at_ms {
        session.expires_at_ms = renewed;
        context.put(Key::Session(*token), &session);
    }
    Ok(Reply::Done)
}
