//! `MarkSeen`: when accounts were last connected, as their servers tell it.
//!
//! The time is that of the entry: a server says it soon after it happened, and a second more or less means nothing to people.

use super::{Context, Outcome};
use crate::{
    bounds::SEEN_ACCOUNTS,
    ids::AccountId,
    key::Key,
    record::{AccountRecord, SeenRecord},
    reply::{Rejection, Reply},
};

pub(super) fn mark_seen(context: &mut Context<'_>, accounts: &[AccountId]) -> Outcome<Reply> {
    if accounts.len() > SEEN_ACCOUNTS {
        let what = format!("at most {SEEN_ACCOUNTS} accounts are marked as seen at once, not {}", accounts.len());
        return Err(Rejection::Invalid(what).into());
    }
    let seen = SeenRecord { at_ms: context.time_ms() };
    for account in accounts {
        let lives = context.get::<AccountRecord>(Key::Account(*account))?.is_some_and(|account| !account.deleted);
        if lives {
            context.put(Key::Seen(*account), &seen);
        }
    }
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests {
    use crate::{
        AccountId, Command, Rejection, Reply,
        bounds::SEEN_ACCOUNTS,
        query,
        world::{World, refused},
    };

    #[test]
    fn accounts_are_seen_when_the_entry_says_so() {
        let mut world = World::new();
        let (ann, bob) = (world.register("ann"), world.register("bob"));
        let seen = |world: &World| query::account(&world.store, ann.account).unwrap().unwrap().last_seen_ms;
        assert_eq!(seen(&world), 0);
        world.run(&Command::DeleteAccount { session: bob.token, credential_version: 1 });
        world.time_ms += 5000;
        let accounts = vec![ann.account, bob.account, AccountId(u64::MAX)];
        assert_eq!(world.run(&Command::MarkSeen { accounts }), Reply::Done);
        assert_eq!(seen(&world), world.time_ms);
        assert_eq!(world.written().len(), 1, "nobody else is there to be seen");
        world.run(&Command::DeleteAccount { session: ann.token, credential_version: 1 });
        assert_eq!(seen(&world), 0);
    }

    #[test]
    fn too_many_at_once_are_refused() {
        let mut world = World::new();
        let accounts = vec![AccountId(1); SEEN_ACCOUNTS + 1];
        assert!(matches!(refused(&world.run(&Command::MarkSeen { accounts })), Rejection::Invalid(_)));
    }
}
