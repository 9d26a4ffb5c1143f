//! `CreateRoom`: a conversation with a name, and its first member and owner.

use super::count_in;
use crate::{
    apply::{Audience, Context, Outcome},
    event::EventBody,
    ids::{AccountId, ConversationId},
    key::Key,
    record::{ConversationRecord, MemberRecord, MembershipRecord, RoomNameRecord, RoomRecord},
    reply::{Rejection, Reply},
    text,
};

pub(crate) fn create_room(
    context: &mut Context<'_>,
    by: AccountId,
    name: &str,
    topic: &str,
    public: bool,
) -> Outcome<Reply> {
    let name = text::room_name(name);
    text::check_name(name)?;
    text::check_topic(topic)?;
    let folded = text::fold_name(name);
    if context.get::<RoomNameRecord>(Key::RoomName(&folded))?.is_some() {
        return Err(Rejection::RoomNameTaken(name.to_owned()).into());
    }
    let opened = context.position();
    let mut room = RoomRecord {
        name: name.to_owned(),
        topic: topic.to_owned(),
        public_since: public.then_some(opened),
        created_at_ms: context.time_ms(),
        members: 0,
        owners: vec![by],
        moderators: Vec::new(),
    };
    count_in(context, by, &mut room)?;
    let id = ConversationId::from(context.take_place());
    let mut membership = MembershipRecord::outside();
    membership.join(opened, opened, None);
    context.put(Key::RoomName(&folded), &RoomNameRecord { conversation: id });
    context.put(Key::Room(id), &room);
    context.put(Key::Membership(by, id), &membership);
    context.put(Key::Member(id, by), &MemberRecord { joined_at_ms: context.time_ms(), invited_by: None });
    let told = EventBody::RoomOpened { by, name: room.name, topic: room.topic, public };
    let event = context.tell_audience(id, &mut ConversationRecord::room(), told, Audience::MembersWith(by));
    Ok(Reply::RoomCreated { conversation: id, event })
}

#[cfg(test)]
mod tests {
    use crate::{
        Operation, Rejection, Reply, Role,
        apply::Audience,
        bounds::ROOMS_PER_ACCOUNT,
        query,
        world::{World, created, refused},
    };

    fn create(name: &str, topic: &str, public: bool) -> Operation {
        Operation::CreateRoom { name: name.to_owned(), topic: topic.to_owned(), public }
    }

    #[test]
    fn who_makes_a_room_owns_it() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let reply = world.write(&mut ann, create("#Tea", "leaves", true));
        let Reply::RoomCreated { conversation, event } = reply else { panic!("{reply:?}") };
        assert_eq!(world.applied.happened[0].audience, Audience::MembersWith(ann.account));
        assert_eq!(world.everything(ann.account).last().unwrap().id, event);
        let info = query::conversation(&world.store, ann.account, conversation).unwrap().unwrap();
        let room = info.room.unwrap();
        assert_eq!((room.name.as_str(), room.topic.as_str(), room.public), ("Tea", "leaves", true));
        assert_eq!((room.role, room.members, info.peer), (Some(Role::Owner), 1, None));
    }

    #[test]
    fn names_are_unique_ignoring_case_and_keep_the_rules() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        created(&world.write(&mut ann, create("tea", "", false)));
        let reply = world.write(&mut bob, create("#TEA", "", true));
        assert_eq!(refused(&reply), Rejection::RoomNameTaken("TEA".to_owned()));
        // Accounts and rooms have names of their own.
        created(&world.write(&mut bob, create("ann", "", true)));
        for name in ["", "#", "##tea", "two words", &"n".repeat(33)] {
            assert!(matches!(refused(&world.write(&mut bob, create(name, "", true))), Rejection::Invalid(_)), "{name}");
        }
        let reply = world.write(&mut bob, create("new", "two\nlines", true));
        assert!(matches!(refused(&reply), Rejection::Invalid(_)));
    }

    #[test]
    fn nobody_is_in_more_rooms_than_the_bound() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let commands: Vec<_> =
            (0..=ROOMS_PER_ACCOUNT).map(|number| ann.next(create(&format!("r{number}"), "", true))).collect();
        let (most, last) = commands.split_at(ROOMS_PER_ACCOUNT as usize);
        world.apply(most).iter().for_each(|reply| assert_ne!(created(reply).0.0, 0));
        assert!(matches!(refused(&world.run(&last[0])), Rejection::LimitReached(_)));
        world.write(&mut ann, Operation::LeaveRoom { room: crate::Recipient::Room("r7".to_owned()) });
        created(&world.write(&mut ann, create("again", "", true)));
    }
}
