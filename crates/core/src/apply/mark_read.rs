//! `MarkRead`: the reader's marker moves forward.
//!
//! The event that told of the marker's last place is replaced, so that a mailbox holds one for each
//! conversation, however often it is read. A device that was away hears only of the newest, which is all it needs. In a
//! direct conversation the other one hears of it too, in the same way.

use std::ops::ControlFlow;

use super::{Context, Outcome};
use crate::{
    event::EventBody,
    ids::{AccountId, ConversationId, EventId},
    key::Key,
    record::{self, AccountRecord, ConversationKind, ConversationRecord, EventRecord, Marker, MembershipRecord},
    reply::{Rejection, Reply},
    store::{Direction, StoreError},
    visible::{Ids, Reach, View},
};

pub(super) fn mark_read(
    context: &mut Context<'_>,
    reader: AccountId,
    id: ConversationId,
    up_to: EventId,
) -> Outcome<Reply> {
    let membership = context.get::<MembershipRecord>(Key::Membership(reader, id))?;
    let mut membership = membership.ok_or(Rejection::UnknownConversation)?;
    let conversation: ConversationRecord = context.require(Key::Conversation(id))?;
    let Some(marker) = marker_at(context, reader, id, &membership, &conversation, up_to)? else {
        return Ok(Reply::Done);
    };
    if membership.marker.is_some_and(|old| marker.message <= old.message) {
        return Ok(Reply::Done);
    }
    if let Some(old) = membership.marker_event {
        context.delete(Key::Mailbox(reader, old));
    }
    membership.move_marker(marker);
    let unread = conversation.unread(reader, &membership);
    let moved = EventBody::ReadMarkerMoved { conversation: id, up_to: marker.message, unread };
    membership.marker_event = Some(context.tell_account(reader, moved));
    if let Some(peer) = conversation.peer_of(reader).filter(|peer| *peer != reader) {
        tell_peer(context, id, reader, peer, &mut membership)?;
    }
    context.put(Key::Membership(reader, id), &membership);
    Ok(Reply::Done)
}

/// Tells the other one of a direct conversation how far it was read.
fn tell_peer(
    context: &mut Context<'_>,
    id: ConversationId,
    reader: AccountId,
    peer: AccountId,
    membership: &mut MembershipRecord,
) -> Result<(), StoreError> {
    let Some(marker) = membership.marker else { return Ok(()) };
    // The mailbox of a deleted account is being removed: nothing may come into it any more.
    if context.require::<AccountRecord>(Key::Account(peer))?.deleted {
        return Ok(());
    }
    if let Some(old) = membership.receipt_event {
        context.delete(Key::Mailbox(peer, old));
    }
    let read = EventBody::PeerRead { conversation: id, by: reader, up_to: marker.message };
    membership.receipt_event = Some(context.tell_account(peer, read));
    Ok(())
}

/// The marker at the newest message at or before `up_to`, hidden ones included; none if there is no message.
fn marker_at(
    context: &Context<'_>,
    reader: AccountId,
    id: ConversationId,
    membership: &MembershipRecord,
    conversation: &ConversationRecord,
    up_to: EventId,
) -> Result<Option<Marker>, StoreError> {
    // A hidden message is read like any other.
    let everything = MembershipRecord { hides: false, ..membership.clone() };
    let reach = Reach::Readable;
    let view = View { store: context.store, reader, conversation: id, membership: &everything, reach };
    let mut newest = None;
    view.messages(Ids { first: 0, last: up_to.0 }, Direction::Descending, &mut |event, value| {
        newest = Some((event, record::decode::<EventRecord>(value)?));
        Ok(ControlFlow::Break(()))
    })?;
    let Some((message, EventRecord { body, .. })) = newest else {
        return Ok(None);
    };
    let EventBody::MessageSent { author, number, author_number, .. } = body else {
        return Err(StoreError::Corrupt(format!("{message} of conversation {id} is no message")));
    };
    let own = match conversation.kind {
        // What is not the author's is the other's.
        ConversationKind::Direct { .. } if author == reader => author_number,
        ConversationKind::Direct { .. } => number.saturating_sub(author_number),
        ConversationKind::Room => 0,
    };
    Ok(Some(Marker { message, number, own }))
}

#[cfg(test)]
mod tests {
    use crate::{
        ConversationId, EventBody, EventId, Position, Rejection, Reply,
        apply::Audience,
        query,
        world::{World, refused},
    };

    #[test]
    fn the_marker_counts_down_and_never_goes_back() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "one");
        let (_, _) = world.send(&mut bob, "ann", "own");
        let (_, two) = world.send(&mut ann, "bob", "two");
        assert_eq!(world.unread(bob.account, conversation), 2);
        // Told are the reader's own devices, and the other one.
        for (up_to, unread, told) in [(one, 1, 2), (one, 1, 0), (two, 0, 2), (one, 0, 0)] {
            assert_eq!(world.mark_read(&mut bob, conversation, up_to), Reply::Done);
            assert_eq!(world.unread(bob.account, conversation), unread);
            assert_eq!(world.applied.happened.len(), told);
        }
        assert_eq!(world.unread(ann.account, conversation), 1);
    }

    #[test]
    fn any_place_means_the_newest_message_at_or_before_it() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "one");
        world.mark_read(&mut bob, conversation, EventId(one.0 - 1));
        assert_eq!(world.unread(bob.account, conversation), 1);
        world.mark_read(&mut bob, conversation, EventId(u64::MAX));
        assert_eq!(world.unread(bob.account, conversation), 0);
        let moved = EventBody::ReadMarkerMoved { conversation, up_to: one, unread: 0 };
        assert_eq!(world.everything(bob.account).last().unwrap().body, moved);
    }

    #[test]
    fn a_mailbox_holds_one_marker_for_each_conversation() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        for number in 0..5 {
            let (conversation, event) = world.send(&mut ann, "bob", &format!("{number}"));
            world.mark_read(&mut bob, conversation, event);
        }
        let markers = world.everything(bob.account);
        let markers = markers.iter().filter(|event| matches!(event.body, EventBody::ReadMarkerMoved { .. }));
        assert_eq!(markers.count(), 1);
    }

    #[test]
    fn the_other_one_of_a_direct_conversation_hears_of_it_once() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "one");
        let (_, two) = world.send(&mut ann, "bob", "two");
        let read_up_to = |world: &World| {
            let info = query::conversation(&world.store, ann.account, conversation).unwrap().unwrap();
            info.peer_read_up_to
        };
        assert_eq!(read_up_to(&world), Position(0));
        for up_to in [one, two] {
            world.mark_read(&mut bob, conversation, up_to);
            assert_eq!(world.applied.happened[1].audience, Audience::Accounts(vec![ann.account]));
            assert_eq!(read_up_to(&world), up_to.position());
            let receipts: Vec<_> = world
                .everything(ann.account)
                .into_iter()
                .filter(|event| matches!(event.body, EventBody::PeerRead { .. }))
                .map(|event| event.body)
                .collect();
            assert_eq!(receipts, [EventBody::PeerRead { conversation, by: bob.account, up_to }]);
        }
        let (own, note) = world.send(&mut ann, "ann", "note");
        world.mark_read(&mut ann, own, note);
        assert_eq!(world.applied.happened.len(), 1, "nobody else is there");
    }

    #[test]
    fn nothing_comes_into_the_mailbox_of_a_deleted_account() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let (conversation, one) = world.send(&mut ann, "bob", "one");
        let (_, two) = world.send(&mut ann, "bob", "two");
        world.mark_read(&mut bob, conversation, one);
        world.run(&crate::Command::DeleteAccount { session: ann.token, credential_version: 1 });
        assert_eq!(world.mark_read(&mut bob, conversation, two), Reply::Done);
        assert_eq!(world.applied.happened.len(), 1);
        let of_ann = |key: &&Vec<u8>| key[0] == 0x0c && key[1..9] == ann.account.0.to_be_bytes();
        assert_eq!(world.store.entries.keys().filter(of_ann).count(), 0);
    }

    #[test]
    fn strangers_are_refused() {
        let mut world = World::new();
        let (mut ann, mut eve) = (world.register("ann"), world.register("eve"));
        let (conversation, event) = world.send(&mut ann, "ann", "mine");
        let reply = world.mark_read(&mut eve, conversation, event);
        assert_eq!(refused(&reply), Rejection::UnknownConversation);
        let reply = world.mark_read(&mut eve, ConversationId(1), event);
        assert_eq!(refused(&reply), Rejection::UnknownConversation);
    }
}
