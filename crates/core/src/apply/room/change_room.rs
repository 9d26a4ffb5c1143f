//! `ChangeRoom`: moderators and owners set the topic, owners the name and whether the room is public.
//!
//! A room that turns public is so from now on: who joins then reads nothing of what was said while it was private.

use super::{find_own, require_role};
use crate::{
    apply::{Context, Outcome},
    command::{Recipient, Role},
    event::EventBody,
    ids::{AccountId, ConversationId},
    key::Key,
    record::{ConversationRecord, RoomNameRecord, RoomRecord},
    reply::{Rejection, Reply},
    text,
};

/// What is to be otherwise.
pub(crate) struct Changes<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) topic: Option<&'a str>,
    pub(crate) public: Option<bool>,
}

pub(crate) fn change_room(
    context: &mut Context<'_>,
    by: AccountId,
    room: &Recipient,
    changes: Changes<'_>,
) -> Outcome<Reply> {
    let (id, mut record, role) = find_own(context, by, room)?;
    require_role(role, Role::Moderator, "change it")?;
    if changes.name.is_some() || changes.public.is_some() {
        require_role(role, Role::Owner, "rename it or change who finds it")?;
    }
    let name = changes.name.map(text::room_name).filter(|name| *name != record.name).map(str::to_owned);
    let topic = changes.topic.filter(|topic| *topic != record.topic).map(str::to_owned);
    let public = changes.public.filter(|public| *public != record.is_public());
    if let Some(topic) = &topic {
        text::check_topic(topic)?;
        record.topic.clone_from(topic);
    }
    if let Some(name) = &name {
        rename(context, id, &mut record, name)?;
    }
    if name.is_none() && topic.is_none() && public.is_none() {
        return Ok(Reply::Done);
    }
    let mut conversation: ConversationRecord = context.require(Key::Conversation(id))?;
    let event = context.tell_conversation(id, &mut conversation, EventBody::RoomChanged { by, name, topic, public });
    if let Some(public) = public {
        record.public_since = public.then_some(event.position());
    }
    context.put(Key::Room(id), &record);
    Ok(Reply::Done)
}

/// Last of all that may be refused: it writes.
fn rename(context: &mut Context<'_>, id: ConversationId, record: &mut RoomRecord, name: &str) -> Outcome<()> {
    text::check_name(name)?;
    let folded = text::fold_name(name);
    let owner = context.get::<RoomNameRecord>(Key::RoomName(&folded))?;
    if owner.is_some_and(|owner| owner.conversation != id) {
        return Err(Rejection::RoomNameTaken(name.to_owned()).into());
    }
    context.delete(Key::RoomName(&text::fold_name(&record.name)));
    context.put(Key::RoomName(&folded), &RoomNameRecord { conversation: id });
    record.name = name.to_owned();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        EventBody, Operation, Recipient, Rejection, Reply,
        query::{self, Page},
        world::{Device, World, created, refused, say},
    };

    fn tea() -> Recipient {
        Recipient::Room("tea".to_owned())
    }

    fn change(name: Option<&str>, topic: Option<&str>, public: Option<bool>) -> Operation {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Operation::ChangeRoom { room: tea(), name: owned(name), topic: owned(topic), public }
    }

    fn set_up() -> (World, Device, Device, crate::ConversationId) {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let create = Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public: false };
        let room = created(&world.write(&mut ann, create)).0;
        world.write(&mut ann, Operation::InviteToRoom { room: tea(), user: "bob".to_owned() });
        world.write(&mut bob, Operation::JoinRoom { room: tea() });
        (world, ann, bob, room)
    }

    #[test]
    fn members_change_nothing() {
        let (mut world, mut ann, mut bob, _) = set_up();
        for what in [change(None, Some("x"), None), change(Some("x"), None, None), change(None, None, Some(true))] {
            assert!(matches!(refused(&world.write(&mut bob, what)), Rejection::Forbidden(_)));
        }
        let role = Operation::SetRole { room: tea(), user: "bob".to_owned(), role: crate::Role::Moderator };
        world.write(&mut ann, role);
        assert_eq!(world.write(&mut bob, change(None, Some("x"), None)), Reply::Done);
        assert!(matches!(refused(&world.write(&mut bob, change(Some("x"), None, None))), Rejection::Forbidden(_)));
    }

    #[test]
    fn what_changes_is_told_and_what_does_not_is_not() {
        let (mut world, mut ann, bob, room) = set_up();
        assert_eq!(world.write(&mut ann, change(Some("#Tea"), Some("leaves"), Some(false))), Reply::Done);
        let (name, topic) = (Some("Tea".to_owned()), Some("leaves".to_owned()));
        let told = EventBody::RoomChanged { by: ann.account, name, topic, public: None };
        assert_eq!(world.everything(bob.account).last().unwrap().body, told);
        assert_eq!(world.write(&mut ann, change(None, Some("leaves"), None)), Reply::Done);
        assert!(world.applied.happened.is_empty());
        let found = query::room(&world.store, bob.account, &tea()).unwrap().unwrap();
        assert_eq!((found.conversation, found.name.as_str()), (room, "Tea"));
    }

    #[test]
    fn an_old_name_is_free_and_a_taken_one_changes_nothing() {
        let (mut world, mut ann, mut bob, room) = set_up();
        let create = |name: &str| Operation::CreateRoom { name: name.to_owned(), topic: String::new(), public: true };
        created(&world.write(&mut bob, create("coffee")));
        let reply = world.write(&mut ann, change(Some("Coffee"), Some("lost"), None));
        assert_eq!(refused(&reply), Rejection::RoomNameTaken("Coffee".to_owned()));
        assert_eq!(query::room(&world.store, ann.account, &tea()).unwrap().unwrap().topic, "");
        assert_eq!(world.write(&mut ann, change(Some("mate"), None, None)), Reply::Done);
        assert_ne!(created(&world.write(&mut bob, create("tea"))).0, room);
    }

    #[test]
    fn what_was_said_in_private_stays_so() {
        let (mut world, mut ann, _, room) = set_up();
        world.write(&mut ann, say("tea", "secret"));
        assert_eq!(world.write(&mut ann, change(None, None, Some(true))), Reply::Done);
        world.write(&mut ann, say("tea", "open"));
        let mut cy = world.register("cy");
        assert_eq!(world.write(&mut cy, Operation::JoinRoom { room: tea() }), Reply::Done);
        assert_eq!(world.texts(cy.account, room, Page::Before(None), 9), ["open"]);
    }
}
