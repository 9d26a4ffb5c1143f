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

#[cfg(test)]
mod tests {
    use crate::{
        Command, Rejection, Reply,
        bounds::SESSION_MS,
        query,
        world::{World, refused},
    };

    #[test]
    fn a_renewed_session_lives_its_full_term_again() {
        let mut world = World::new();
        let ann = world.register("ann");
        let command = Command::RenewSession { session: ann.token };
        world.time_ms += SESSION_MS - 1;
        assert_eq!(world.run(&command), Reply::Done);
        let renewed = query::session(&world.store, &ann.token).unwrap().unwrap();
        assert_eq!(renewed.expires_at_ms, world.time_ms + SESSION_MS);
        world.time_ms += SESSION_MS;
        assert_eq!(refused(&world.run(&command)), Rejection::SessionInvalid);
        assert_eq!(query::session(&world.store, &ann.token).unwrap(), None);
    }

    #[test]
    fn a_leader_whose_clock_is_behind_shortens_nothing() {
        let mut world = World::new();
        let ann = world.register("ann");
        let before = query::session(&world.store, &ann.token).unwrap();
        world.time_ms -= 500_000;
        assert_eq!(world.run(&Command::RenewSession { session: ann.token }), Reply::Done);
        assert_eq!(query::session(&world.store, &ann.token).unwrap(), before);
    }
}
