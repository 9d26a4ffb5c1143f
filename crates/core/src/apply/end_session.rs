//! `EndSession`: log out, or throw another device out.
//!
//! A server that hears no answer proposes the command again, and by then one's own session may be over. That it is
//! over was the wish, so the answer is the same; whoever ended it, or whether it ever was, makes no difference.

use super::{Context, Outcome, session};
use crate::{
    event::EventBody,
    ids::{SessionId, TokenHash},
    key::Key,
    record::{AccountSessionRecord, SessionRecord},
    reply::{Rejection, Reply},
};

pub(super) fn end_session(context: &mut Context<'_>, token: &TokenHash, target: Option<SessionId>) -> Outcome<Reply> {
    if wish_fulfilled(context, token, target)? {
        return Ok(Reply::Done);
    }
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

/// Whether the session to be ended is the token's own and is over.
fn wish_fulfilled(context: &Context<'_>, token: &TokenHash, target: Option<SessionId>) -> Outcome<bool> {
    let own = context.get::<SessionRecord>(Key::Session(*token))?;
    let over = own.as_ref().is_none_or(|own| !own.is_live(context.time_ms()));
    let is_own = target.is_none_or(|target| own.is_some_and(|own| own.session == target));
    Ok(over && is_own)
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, Rejection, Reply, query,
        world::{World, refused, send_to},
    };

    #[test]
    fn logging_out_ends_the_session_and_its_windows() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let command = Command::EndSession { session: ann.token, target: None };
        assert_eq!(world.run(&command), Reply::Done);
        assert_eq!(refused(&world.write(&mut ann, send_to("ann", "x"))), Rejection::SessionInvalid);
        assert_eq!(query::session(&world.store, &ann.token).unwrap(), None);
        assert_eq!(world.store.entries.keys().filter(|key| key[0] == 0x06).count(), 0);
    }

    #[test]
    fn ending_ones_own_session_again_is_done_and_writes_nothing() {
        let mut world = World::new();
        let ann = world.register("ann");
        let phone = world.log_in(ann.account, "phone");
        let named = Command::EndSession { session: ann.token, target: Some(ann.session) };
        let unnamed = Command::EndSession { session: ann.token, target: None };
        assert_eq!(world.run(&named), Reply::Done);
        for again in [&named, &unnamed] {
            assert_eq!(world.run(again), Reply::Done);
            assert!(world.written().is_empty() && world.applied.happened.is_empty());
        }
        // Nothing else can be asked for with it.
        let other = Command::EndSession { session: ann.token, target: Some(phone.session) };
        assert_eq!(refused(&world.run(&other)), Rejection::SessionInvalid);
        let token = world.fresh_token();
        assert_eq!(world.run(&Command::EndSession { session: token, target: None }), Reply::Done, "there is none");
        let foreign = Command::EndSession { session: token, target: Some(phone.session) };
        assert_eq!(refused(&world.run(&foreign)), Rejection::SessionInvalid);
        assert!(query::session(&world.store, &phone.token).unwrap().is_some());
    }

    #[test]
    fn another_device_is_ended_once_however_often_asked() {
        let mut world = World::new();
        let ann = world.register("ann");
        let phone = world.log_in(ann.account, "phone");
        let command = Command::EndSession { session: ann.token, target: Some(phone.session) };
        assert_eq!(world.run(&command), Reply::Done);
        assert_eq!(world.applied.happened.len(), 1);
        assert_eq!(world.run(&command), Reply::Done);
        assert!(world.written().is_empty());
        assert_eq!(query::sessions(&world.store, ann.account).unwrap().len(), 1);
    }

    #[test]
    fn sessions_of_others_are_unknown() {
        let mut world = World::new();
        let (ann, bob) = (world.register("ann"), world.register("bob"));
        let reply = world.run(&Command::EndSession { session: ann.token, target: Some(bob.session) });
        assert_eq!(refused(&reply), Rejection::UnknownSession(bob.session));
        assert!(query::session(&world.store, &bob.token).unwrap().is_some());
    }
}
