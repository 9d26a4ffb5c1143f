//! `SendMessage`: one new record, and the conversation's counters. Whom it mentions costs one more each. Who writes in a room
//! has read it: the author's own marker moves along, whatever the number of members.

use super::{
    Context, Outcome, attachment,
    mentions::{self, Mentioning},
    room, target,
};
use crate::{
    command::Recipient,
    event::{Attached, EventBody, Scope},
    ids::{AccountId, AttachmentId, ConversationId, EventId},
    key::Key,
    record::{
        AccountRecord, AttachmentRecord, ConversationKind, ConversationRecord, DirectRecord, EventRecord, Marker,
        MembershipRecord, NameRecord, WebhookRecord,
    },
    reply::{Rejection, Reply},
    text,
};

pub(super) fn send_message(
    context: &mut Context<'_>,
    author: AccountId,
    to: &Recipient,
    body: &str,
    reply_to: Option<EventId>,
    attachments: &[AttachmentId],
) -> Outcome<Reply> {
    if !body.is_empty() || attachments.is_empty() {
        text::check_body(body)?;
    }
    let attached = attachment::attachable(context, author, attachments)?;
    let Place { id, conversation, membership } = place(context, author, to, reply_to)?;
    if let Some(message) = reply_to {
        // A tombstone has nothing to be answered any more.
        target::find(context, author, id, message)?;
    }
    let message = Message { author, body, reply_to, attached };
    put(context, Place { id, conversation, membership }, message)
}

/// Sends a message of an account that is not in the room: a webhook's.
pub(super) fn post(context: &mut Context<'_>, author: AccountId, room: ConversationId, body: &str) -> Outcome<Reply> {
    text::check_body(body)?;
    let conversation = context.require(Key::Conversation(room))?;
    let message = Message { author, body, reply_to: None, attached: Vec::new() };
    put(context, Place { id: room, conversation, membership: None }, message)
}

/// What is sent.
struct Message<'a> {
    author: AccountId,
    body: &'a str,
    reply_to: Option<EventId>,
    attached: Vec<(Attached, AttachmentRecord)>,
}

fn put(context: &mut Context<'_>, place: Place, message: Message<'_>) -> Outcome<Reply> {
    let Place { id, mut conversation, membership } = place;
    let Message { author, body, reply_to, attached } = message;
    let event = EventId::from(context.take_place());
    let (number, author_number) = conversation.count_message(author, event);
    let mentions = mentions::of(context, id, body)?;
    mentions::change(context, &Mentioning { conversation: id, message: event, number, author }, &[], &mentions)?;
    let time_ms = context.time_ms();
    let attachments = attachment::attach(context, author, attached, id, event)?;
    let message = EventBody::MessageSent {
        author,
        body: body.to_owned(),
        number,
        author_number,
        deleted: false,
        edited: None,
        reply_to,
        mentions,
        attachments,
    };
    context.put(Key::Message(id, event), &EventRecord { time_ms, body: message });
    context.put(Key::Conversation(id), &conversation);
    if let Some(mut membership) = membership {
        membership.move_marker(Marker { message: event, number, own: 0 });
        context.put(Key::Membership(author, id), &membership);
    }
    context.wake(Scope::Conversation(id), event.position(), conversation.audience());
    Ok(Reply::MessageSent { conversation: id, event, time_ms })
}

/// Where a message goes.
struct Place {
    id: ConversationId,
    conversation: ConversationRecord,
    /// The author's, in a room that it is in.
    membership: Option<MembershipRecord>,
}

fn place(context: &mut Context<'_>, author: AccountId, to: &Recipient, reply_to: Option<EventId>) -> Outcome<Place> {
    let (id, conversation) = match to {
        Recipient::User(name) => {
            let peer = named(context, name)?;
            match (context.get::<DirectRecord>(direct_key(author, peer))?, reply_to) {
                (Some(direct), _) => (direct.conversation, context.require(Key::Conversation(direct.conversation))?),
                (None, None) => {
                    require_reader(context, peer)?;
                    open_direct(context, author, peer)
                }
                (None, Some(message)) => return Err(Rejection::UnknownMessage(message).into()),
            }
        }
        Recipient::Room(name) => {
            let id = room::named(context, name)?;
            (id, context.require(Key::Conversation(id))?)
        }
        Recipient::Conversation(id) => {
            let conversation = context.get::<ConversationRecord>(Key::Conversation(*id))?;
            let conversation = conversation.ok_or(Rejection::UnknownConversation)?;
            if matches!(conversation.kind, ConversationKind::Direct { .. }) {
                require_peer(context, author, &conversation)?;
            }
            (*id, conversation)
        }
    };
    let membership = match conversation.kind {
        ConversationKind::Direct { .. } => None,
        ConversationKind::Room => Some(room::require_in(context, author, id, to)?),
    };
    Ok(Place { id, conversation, membership })
}

/// The live account of that name.
fn named(context: &Context<'_>, name: &str) -> Outcome<AccountId> {
    let unknown = || Rejection::UnknownUser(text::quoted_name(name));
    text::check_name(name).map_err(|_| unknown())?;
    match context.get::<NameRecord>(Key::Name(&text::fold_name(name)))? {
        Some(NameRecord { account, deleted: false, .. }) => Ok(account),
        _ => Err(unknown().into()),
    }
}

/// In a direct conversation writes who is in it, while there is somebody to read it.
fn require_peer(context: &Context<'_>, author: AccountId, conversation: &ConversationRecord) -> Outcome<()> {
    let peer = conversation.peer_of(author).ok_or(Rejection::UnknownConversation)?;
    let account: AccountRecord = context.require(Key::Account(peer))?;
    if account.deleted {
        return Err(Rejection::Forbidden("the other account was deleted: nobody would read this".to_owned()).into());
    }
    Ok(())
}

/// Nothing logs in a webhook's account.
fn require_reader(context: &Context<'_>, peer: AccountId) -> Outcome<()> {
    if context.get::<WebhookRecord>(Key::Webhook(peer))?.is_some() {
        return Err(
            Rejection::Forbidden("that is a webhook, which only posts: nobody would read this".to_owned()).into()
        );
    }
    Ok(())
}

fn open_direct(context: &mut Context<'_>, author: AccountId, peer: AccountId) -> (ConversationId, ConversationRecord) {
    let opened = context.take_place();
    let id = ConversationId::from(opened);
    let conversation = ConversationRecord::direct(author, peer);
    context.put(direct_key(author, peer), &DirectRecord { conversation: id });
    for member in [author, peer] {
        context.put(Key::Membership(member, id), &MembershipRecord::since(opened));
    }
    (id, conversation)
}

fn direct_key(one: AccountId, other: AccountId) -> Key<'static> {
    Key::Direct(one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use crate::{
        ConversationId, EventId, Operation, Recipient, Rejection, Reply,
        apply::Audience,
        query::{self, Page},
        world::{World, created, refused, say, send_in, send_to, sent, text},
    };

    #[test]
    fn a_first_message_opens_the_conversation_and_both_see_it() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("Ann"), world.register("Bob"));
        let (conversation, event) = world.send(&mut ann, "bOB", "hello");
        assert_eq!(world.applied.happened.len(), 1);
        assert_eq!(world.applied.happened[0].audience, Audience::Accounts(vec![ann.account, bob.account]));
        assert_eq!(world.applied.happened[0].position, event.position());
        assert_eq!(sent(&world.write(&mut bob, send_to("ann", "hi"))).0, conversation);
        for reader in [ann.account, bob.account] {
            assert_eq!(world.texts(reader, conversation, Page::Before(None), 10), ["hello", "hi"]);
            let info = query::conversation(&world.store, reader, conversation).unwrap().unwrap();
            assert_eq!((info.unread, info.messages), (1, 2));
            assert_eq!(info.last.as_ref().map(text), Some("hi".to_owned()));
            assert_eq!(query::conversation_of_message(&world.store, reader, event).unwrap(), Some(conversation));
        }
    }

    #[test]
    fn a_message_writes_its_event_the_counters_and_the_window() {
        let mut world = World::new();
        let (mut ann, _bob) = (world.register("ann"), world.register("bob"));
        world.send(&mut ann, "bob", "one");
        world.send(&mut ann, "bob", "two");
        assert_eq!(world.written().len(), 3);
    }

    #[test]
    fn a_message_to_a_room_costs_the_same_whatever_its_members() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let create = Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public: true };
        let room = created(&world.write(&mut ann, create)).0;
        for number in 0..20 {
            let mut other = world.register(&format!("other{number}"));
            world.write(&mut other, Operation::JoinRoom { room: Recipient::Room("tea".to_owned()) });
        }
        sent(&world.write(&mut ann, say("#Tea", "one")));
        // The message, the counters, the author's marker, the window.
        assert_eq!(world.written().len(), 4);
        assert_eq!(world.applied.happened[0].audience, Audience::Members);
        sent(&world.write(&mut ann, send_in(room, "two")));
        assert_eq!(world.unread(ann.account, room), 0);
        let other = query::account_by_name(&world.store, "other7").unwrap().unwrap().account;
        assert_eq!(world.unread(other, room), 2);
    }

    #[test]
    fn notes_to_self_are_never_unread() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let (conversation, _) = world.send(&mut ann, "ann", "milk");
        world.send(&mut ann, "ann", "bread");
        assert_eq!(world.unread(ann.account, conversation), 0);
        assert_eq!(world.applied.happened[0].audience, Audience::Accounts(vec![ann.account]));
        assert_eq!(world.texts(ann.account, conversation, Page::Before(None), 10), ["milk", "bread"]);
    }

    #[test]
    fn strangers_unknown_people_and_bad_bodies_are_refused() {
        let mut world = World::new();
        let (mut ann, mut eve) = (world.register("ann"), world.register("eve"));
        let (conversation, _) = world.send(&mut ann, "ann", "mine");
        let mut refuse = |operation| refused(&world.write(&mut eve, operation));
        assert_eq!(refuse(send_in(conversation, "x")), Rejection::UnknownConversation);
        assert_eq!(refuse(send_in(ConversationId(u64::MAX), "x")), Rejection::UnknownConversation);
        assert_eq!(refuse(send_to("nobody", "x")), Rejection::UnknownUser("nobody".to_owned()));
        assert_eq!(refuse(send_to(&"y".repeat(1 << 20), "x")), Rejection::UnknownUser("y".repeat(32)));
        assert!(matches!(refuse(send_to("ann", " ")), Rejection::Invalid(_)));
        assert!(matches!(refuse(send_to("ann", &"x".repeat(16385))), Rejection::Invalid(_)));
        assert_eq!(query::conversation_of_message(&world.store, eve.account, EventId(u64::MAX)).unwrap(), None);
        let unseen = query::history(&world.store, eve.account, conversation, Page::Before(None), 1).unwrap();
        assert_eq!(unseen, Err(Rejection::UnknownConversation));
    }

    #[test]
    fn a_deleted_account_cannot_be_written_to() {
        let mut world = World::new();
        let (mut ann, bob) = (world.register("ann"), world.register("bob"));
        let (conversation, _) = world.send(&mut ann, "bob", "hello");
        world.run(&crate::Command::DeleteAccount { session: bob.token, credential_version: 1 });
        let mut refuse = |operation| refused(&world.write(&mut ann, operation));
        assert_eq!(refuse(send_to("bob", "x")), Rejection::UnknownUser("bob".to_owned()));
        assert!(matches!(refuse(send_in(conversation, "x")), Rejection::Forbidden(_)));
        assert_eq!(world.texts(ann.account, conversation, Page::Before(None), 10), ["hello"]);
        assert!(matches!(world.write(&mut ann, send_to("ann", "still here")), Reply::MessageSent { .. }));
    }
}
