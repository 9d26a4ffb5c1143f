//! `OpenInstance`: a window of its own for a client process.

use super::{Context, Outcome, session};
use crate::{
    bounds::INSTANCES_PER_SESSION,
    ids::TokenHash,
    key::{Key, Range},
    record::{SessionRecord, WindowRecord},
    reply::Reply,
    scan,
};

pub(super) fn open_instance(context: &mut Context<'_>, token: &TokenHash, nonce: u64) -> Outcome<Reply> {
    let session = session::require_live(context, token)?;
    let live = scan::collect::<WindowRecord>(context.store, &Range::windows(session.session), INSTANCES_PER_SESSION)?;
    if let Some((instance, _)) = live.iter().find(|(_, window)| window.nonce == Some(nonce)) {
        return Ok(Reply::InstanceOpened { instance: *instance });
    }
    let least_recent = live.iter().min_by_key(|(instance, window)| (window.last_used, *instance));
    if live.len() >= INSTANCES_PER_SESSION
        && let Some((instance, _)) = least_recent
    {
        context.delete(Key::Window(session.session, *instance));
    }
    // Counted up for ever: the number of an evicted instance never comes back to life.
    let instance = session.instances + 1;
    context.put(Key::Window(session.session, instance), &WindowRecord::new(Some(nonce), context.position()));
    context.put(Key::Session(*token), &SessionRecord { instances: instance, ..session });
    Ok(Reply::InstanceOpened { instance })
}
