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

#[cfg(test)]
mod tests {
    use crate::{EventId, Operation::MarkDelivered, Position, Reply, query, world::World};

    #[test]
    fn the_mark_moves_forward_only_and_not_into_the_future() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let mut mark = |up_to| {
            assert_eq!(world.write(&mut ann, MarkDelivered { up_to: EventId(up_to) }), Reply::Done);
            query::account(&world.store, ann.account).unwrap().unwrap().delivered_up_to
        };
        assert_eq!(mark(100), Position(100));
        assert_eq!(mark(50), Position(100));
        assert_eq!(mark(u64::MAX), Position::new(4, 0));
        let (mut bob, account) = (world.register("bob"), ann.account);
        let (_, event) = world.send(&mut bob, "ann", "later");
        let mark = query::account(&world.store, account).unwrap().unwrap().delivered_up_to;
        assert!(mark < event.position());
    }
}
