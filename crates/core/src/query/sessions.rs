//! Sessions as read by gateways.

use super::SessionInfo;
use crate::{
    bounds::SESSIONS_PER_ACCOUNT,
    ids::{AccountId, TokenHash},
    key::{Key, Range},
    record::{self, AccountSessionRecord, SessionRecord},
    scan,
    store::{Read, StoreError},
};

/// The session of a token, if it is live at the state's own time and its account is too.
///
/// # Errors
/// When the store cannot be read.
pub fn session(store: &dyn Read, token: &TokenHash) -> Result<Option<SessionInfo>, StoreError> {
    let Some(session) = record::get::<SessionRecord>(store, Key::Session(*token))? else {
        return Ok(None);
    };
    // The sessions of a deleted account are gone with it, or ended.
    Ok(session.is_live(record::meta(store)?.clock_ms).then(|| info(session)))
}

/// The live sessions of an account, oldest first.
///
/// # Errors
/// When the store cannot be read.
pub fn sessions(store: &dyn Read, account: AccountId) -> Result<Vec<SessionInfo>, StoreError> {
    let clock_ms = record::meta(store)?.clock_ms;
    let mut live = Vec::new();
    for (_, listed) in scan::collect::<AccountSessionRecord>(store, &Range::sessions(account), SESSIONS_PER_ACCOUNT)? {
        // One that is listed and not there is not live; no answer depends on why.
        let session = record::get::<SessionRecord>(store, Key::Session(listed.token))?;
        live.extend(session.filter(|session| session.is_live(clock_ms)).map(info));
    }
    Ok(live)
}

fn info(session: SessionRecord) -> SessionInfo {
    SessionInfo {
        session: session.session,
        account: session.account,
        device: session.device,
        opened_at_ms: session.opened_at_ms,
        expires_at_ms: session.expires_at_ms,
    }
}
