//! Opening, checking and ending sessions: shared by the commands that do.

use super::{Context, Outcome};
use crate::{
    bounds::{INSTANCES_PER_SESSION, SESSION_MS, SESSIONS_PER_ACCOUNT, SESSIONS_PER_BOT},
    event::EventBody,
    ids::{AccountId, SessionId, TokenHash},
    key::{Key, Range},
    record::{AccountRecord, AccountSessionRecord, SessionRecord, WindowRecord},
    reply::{Rejection, Reply},
    scan,
    store::StoreError,
};

/// The instance that comes with a log-in.
pub(super) const FIRST_INSTANCE: u64 = 1;

/// The session of a token, if it may be used now.
pub(super) fn require_live(context: &Context<'_>, token: &TokenHash) -> Outcome<SessionRecord> {
    match context.get::<SessionRecord>(Key::Session(*token))? {
        Some(session) if session.is_live(context.time_ms()) => Ok(session),
        _ => Err(Rejection::SessionInvalid.into()),
    }
}

/// The first reply again, if the token's session is there: this is a retry. A token opens one session, ever: one
/// that has ended is not opened again by a late duplicate of its log-in.
pub(super) fn opened_before(
    context: &Context<'_>,
    token: TokenHash,
    is_meant: impl FnOnce(AccountId, &AccountRecord) -> bool,
) -> Outcome<Option<Reply>> {
    let Some(session) = context.get::<SessionRecord>(Key::Session(token))? else {
        return Ok(None);
    };
    let account: AccountRecord = context.require(Key::Account(session.account))?;
    if !is_meant(session.account, &account) {
        return Err(Rejection::Invalid("the session's token is in use: choose a fresh random one".to_owned()).into());
    }
    if !session.is_live(context.time_ms()) {
        return Err(Rejection::SessionInvalid.into());
    }
    Ok(Some(opened(&session, account.name)))
}

/// Opens a session, and ends the oldest one if the account has too many.
pub(super) fn open(
    context: &mut Context<'_>,
    account_id: AccountId,
    account: &AccountRecord,
    token: TokenHash,
    device: &str,
) -> Result<Reply, StoreError> {
    let most = if account.bot.is_some() { SESSIONS_PER_BOT } else { SESSIONS_PER_ACCOUNT };
    make_room(context, account_id, most)?;
    let id = SessionId::from(context.take_place());
    let expires_at_ms = context.time_ms().saturating_add(SESSION_MS);
    let session = SessionRecord {
        session: id,
        account: account_id,
        device: device.to_owned(),
        opened_at_ms: context.time_ms(),
        expires_at_ms,
        first_expires_at_ms: expires_at_ms,
        first_delivered_up_to: account.delivered_up_to,
        instances: FIRST_INSTANCE,
        ended: false,
    };
    context.put(Key::Session(token), &session);
    context.put(Key::AccountSession(account_id, id), &AccountSessionRecord { token });
    context.put(Key::Window(id, FIRST_INSTANCE), &WindowRecord::new(None, context.position()));
    context.tell_account(account_id, EventBody::SessionOpened { session: id, device: device.to_owned() });
    Ok(opened(&session, account.name.clone()))
}

fn opened(session: &SessionRecord, name: String) -> Reply {
    Reply::SessionOpened {
        account: session.account,
        session: session.session,
        instance: FIRST_INSTANCE,
        name,
        expires_at_ms: session.first_expires_at_ms,
        delivered_up_to: session.first_delivered_up_to.0,
    }
}

/// The sessions of an account that are remembered, live or not, oldest first.
pub(super) fn all_of(context: &Context<'_>, account: AccountId) -> Result<Vec<(TokenHash, SessionRecord)>, StoreError> {
    let listed = scan::collect::<AccountSessionRecord>(context.store, &Range::sessions(account), SESSIONS_PER_ACCOUNT)?;
    listed.into_iter().map(|(_, listed)| Ok((listed.token, context.require(Key::Session(listed.token))?))).collect()
}

/// Forgets one session of an account that has as many as it may: rather one that is over than a live one.
fn make_room(context: &mut Context<'_>, account: AccountId, most: usize) -> Result<(), StoreError> {
    let sessions = all_of(context, account)?;
    if sessions.len() < most {
        return Ok(());
    }
    let clock_ms = context.time_ms();
    let over = sessions.iter().find(|(_, session)| !session.is_live(clock_ms));
    if let Some((token, session)) = over.or(sessions.first()) {
        forget(context, *token, session)?;
        if session.is_live(clock_ms) {
            context.tell_account(account, EventBody::SessionEnded { session: session.session });
        }
    }
    Ok(())
}

/// Ends a session. Its record stays, so that a retry of the log-in or of the ending is understood.
pub(super) fn end(context: &mut Context<'_>, token: TokenHash, session: SessionRecord) -> Result<(), StoreError> {
    remove_windows(context, session.session)?;
    context.put(Key::Session(token), &SessionRecord { ended: true, ..session });
    Ok(())
}

/// Removes every trace of a session.
pub(super) fn forget(context: &mut Context<'_>, token: TokenHash, session: &SessionRecord) -> Result<(), StoreError> {
    remove_windows(context, session.session)?;
    context.delete(Key::AccountSession(session.account, session.session));
    context.delete(Key::Session(token));
    Ok(())
}

fn remove_windows(context: &mut Context<'_>, session: SessionId) -> Result<(), StoreError> {
    for key in scan::keys(context.store, &Range::windows(session), INSTANCES_PER_SESSION)? {
        context.store.delete(key);
    }
    Ok(())
}
