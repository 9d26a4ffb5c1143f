//! Events and conversations as clients see them. The domain knows people by id; clients are shown
//! names, so every conversion here asks a [`Names`].

use threefold_core::{
    AccountId, Attached, ConversationId, Edited, Event, EventBody, EventId, Scope,
    query::{ConversationInfo, ReactedBy, Shown},
};

use super::room;
use crate::chat;

/// Knows names, for one reader.
pub trait Names {
    /// The account's name; empty once it is deleted.
    fn account(&mut self, account: AccountId) -> String;
    /// What people are shown beside it; may be empty.
    fn display_name(&mut self, account: AccountId) -> String;
    /// What a conversation of the reader is called.
    fn place(&mut self, conversation: ConversationId) -> PlaceName;
}

/// What a conversation is called, as its reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceName {
    /// By the other person's name; empty once deleted, and where there is no such person.
    Peer(String),
    /// By the room's name, without `#`.
    Room(String),
}

/// An event as the reader hears of it.
#[must_use]
pub fn event(event: Event, names: &mut impl Names) -> chat::Event {
    let Event { id, time_ms, scope, body } = event;
    let body = match body {
        EventBody::MessageSent {
            author,
            body,
            number,
            author_number: _,
            deleted,
            edited,
            reply_to,
            mentions,
            attachments,
        } => {
            let sent =
                Sent { id, time_ms, scope, author, body, number, deleted, edited, reply_to, mentions, attachments };
            chat::event::Body::Message(self::sent(sent, names))
        }
        EventBody::MessagesDeleted { by, messages } => chat::event::Body::MessagesDeleted(chat::MessagesDeleted {
            conversation: conversation_of(scope),
            by: by.0,
            messages: numbers(messages),
        }),
        EventBody::ReadMarkerMoved { conversation, up_to, unread } => {
            chat::event::Body::ReadMarkerMoved(chat::ReadMarkerMoved {
                conversation: conversation.0,
                up_to: up_to.0,
                unread,
            })
        }
        EventBody::MessagesHidden { conversation, messages } => {
            chat::event::Body::MessagesHidden(chat::MessagesHidden {
                conversation: conversation.0,
                messages: numbers(messages),
            })
        }
        EventBody::SessionOpened { session, device } => {
            chat::event::Body::SessionOpened(chat::SessionOpened { session: session.0, device })
        }
        EventBody::SessionEnded { session } => {
            chat::event::Body::SessionEnded(chat::SessionEnded { session: session.0 })
        }
        EventBody::PasswordChanged { by } => chat::event::Body::PasswordChanged(chat::PasswordChanged { by: by.0 }),
        EventBody::PasswordReset { by } => chat::event::Body::PasswordReset(chat::PasswordReset { by: by.0 }),
        EventBody::MessageEdited { by, message, body, mentions } => {
            let (peer_name, room_name) = place_name(scope, names);
            chat::event::Body::MessageEdited(chat::MessageEdited {
                conversation: conversation_of(scope),
                message: message.0,
                by: by.0,
                by_name: names.account(by),
                body,
                mentions: self::mentions(mentions, names),
                peer_name,
                room_name,
            })
        }
        EventBody::ReactionChanged { account, message, emoji, added, count } => {
            let (peer_name, room_name) = place_name(scope, names);
            chat::event::Body::ReactionChanged(chat::ReactionChanged {
                conversation: conversation_of(scope),
                message: message.0,
                account: account.0,
                name: names.account(account),
                emoji,
                added,
                count,
                peer_name,
                room_name,
            })
        }
        EventBody::PeerRead { conversation, by, up_to } => {
            chat::event::Body::PeerRead(chat::PeerRead { conversation: conversation.0, by: by.0, up_to: up_to.0 })
        }
        EventBody::RoomOpened { .. }
        | EventBody::MemberJoined { .. }
        | EventBody::MemberLeft { .. }
        | EventBody::MemberRemoved { .. }
        | EventBody::RoleChanged { .. }
        | EventBody::RoomChanged { .. }
        | EventBody::Invited { .. }
        | EventBody::InvitationEnded { .. } => {
            return chat::Event { id: id.0, time_ms, body: room::event(scope, body, names) };
        }
    };
    chat::Event { id: id.0, time_ms, body: Some(body) }
}

/// The message an event is; none for any other event.
#[must_use]
pub fn message(event: Event, names: &mut impl Names) -> Option<chat::Message> {
    let Event { id, time_ms, scope, body } = event;
    match body {
        EventBody::MessageSent {
            author,
            body,
            number,
            author_number: _,
            deleted,
            edited,
            reply_to,
            mentions,
            attachments,
        } => {
            let sent =
                Sent { id, time_ms, scope, author, body, number, deleted, edited, reply_to, mentions, attachments };
            Some(self::sent(sent, names))
        }
        EventBody::MessagesDeleted { .. }
        | EventBody::ReadMarkerMoved { .. }
        | EventBody::MessagesHidden { .. }
        | EventBody::SessionOpened { .. }
        | EventBody::SessionEnded { .. }
        | EventBody::PasswordChanged { .. }
        | EventBody::PasswordReset { .. }
        | EventBody::MessageEdited { .. }
        | EventBody::ReactionChanged { .. }
        | EventBody::PeerRead { .. }
        | EventBody::RoomOpened { .. }
        | EventBody::MemberJoined { .. }
        | EventBody::MemberLeft { .. }
        | EventBody::MemberRemoved { .. }
        | EventBody::RoleChanged { .. }
        | EventBody::RoomChanged { .. }
        | EventBody::Invited { .. }
        | EventBody::InvitationEnded { .. } => None,
    }
}

/// A message with what belongs to it; none for any other event.
#[must_use]
pub fn shown(shown: Shown, names: &mut impl Names) -> Option<chat::Message> {
    let reactions = shown.reactions.into_iter();
    let reactions = reactions.map(|of| chat::Reaction { emoji: of.emoji, count: of.count, own: of.own }).collect();
    Some(chat::Message { reactions, ..message(shown.event, names)? })
}

/// Who reacted with what.
#[must_use]
pub fn reacted_by(by: ReactedBy, names: &mut impl Names) -> chat::ReactedBy {
    chat::ReactedBy { emoji: by.emoji, account: by.account.0, name: names.account(by.account) }
}

/// A conversation as the reader sees it.
#[must_use]
pub fn conversation(info: ConversationInfo, names: &mut impl Names) -> chat::Conversation {
    chat::Conversation {
        conversation: info.conversation.0,
        peer_name: info.peer.map(|peer| names.account(peer)).unwrap_or_default(),
        unread: info.unread,
        read_up_to: info.read_up_to.0,
        messages: info.messages,
        last: info.last.and_then(|last| message(last, names)),
        unread_mentions: info.unread_mentions,
        peer_read_up_to: info.peer_read_up_to.0,
        room: info.room.map(room::room),
    }
}

struct Sent {
    id: EventId,
    time_ms: u64,
    scope: Scope,
    author: AccountId,
    body: String,
    number: u64,
    deleted: bool,
    edited: Option<Edited>,
    reply_to: Option<EventId>,
    mentions: Vec<AccountId>,
    attachments: Option<Vec<Attached>>,
}

fn sent(sent: Sent, names: &mut impl Names) -> chat::Message {
    let (peer_name, room_name) = place_name(sent.scope, names);
    chat::Message {
        id: sent.id.0,
        time_ms: sent.time_ms,
        conversation: conversation_of(sent.scope),
        author: sent.author.0,
        author_name: names.account(sent.author),
        author_display_name: names.display_name(sent.author),
        body: sent.body,
        number: sent.number,
        deleted: sent.deleted,
        peer_name,
        room_name,
        edited_at_ms: sent.edited.map_or(0, |edited| edited.at_ms),
        reply_to: sent.reply_to.map_or(0, |message| message.0),
        mentions: mentions(sent.mentions, names),
        reactions: Vec::new(),
        attachments: sent.attachments.into_iter().flatten().map(attachment).collect(),
    }
}

fn mentions(accounts: Vec<AccountId>, names: &mut impl Names) -> Vec<chat::Mention> {
    let mention = |account: AccountId| chat::Mention { account: account.0, name: names.account(account) };
    accounts.into_iter().map(mention).collect()
}

/// The names of the other person and of the room, as far as there is one.
fn place_name(scope: Scope, names: &mut impl Names) -> (String, String) {
    match scope {
        Scope::Conversation(conversation) => match names.place(conversation) {
            PlaceName::Peer(peer) => (peer, String::new()),
            PlaceName::Room(room) => (String::new(), room),
        },
        Scope::Mailbox(_) => (String::new(), String::new()),
    }
}

/// A file attached to a message.
#[must_use]
pub fn attachment(attached: Attached) -> chat::Attachment {
    let Attached { attachment, name, content_type, bytes, sha256 } = attached;
    let sha256 = sha256.0.to_vec().into();
    chat::Attachment { attachment: attachment.0, name, content_type, bytes, sha256 }
}

/// Zero for what lies in a mailbox: no conversation has that id.
fn conversation_of(scope: Scope) -> u64 {
    match scope {
        Scope::Conversation(conversation) => conversation.0,
        Scope::Mailbox(_) => 0,
    }
}

fn numbers(events: Vec<EventId>) -> Vec<u64> {
    events.into_iter().map(|event| event.0).collect()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use threefold_core::{Position, Role, SessionId, query::ReactionInfo};

    use super::*;

    struct Known;

    impl Names for Known {
        fn account(&mut self, account: AccountId) -> String {
            if account.0 == 404 { String::new() } else { format!("user{account}") }
        }
        fn display_name(&mut self, account: AccountId) -> String {
            if account.0 == 404 { String::new() } else { format!("User {account}") }
        }
        fn place(&mut self, conversation: ConversationId) -> PlaceName {
            match conversation.0 {
                7 => PlaceName::Room("tea".into()),
                _ => PlaceName::Peer(format!("peer{conversation}")),
            }
        }
    }

    fn said(author: u64, body: &str) -> Event {
        Event {
            id: EventId(8192),
            time_ms: 5,
            scope: Scope::Conversation(ConversationId(3)),
            body: EventBody::MessageSent {
                author: AccountId(author),
                body: body.into(),
                number: 2,
                author_number: 1,
                deleted: false,
                edited: Some(Edited { at_ms: 6, notice: EventId(8200) }),
                reply_to: Some(EventId(8191)),
                mentions: vec![AccountId(2), AccountId(404)],
                attachments: None,
            },
        }
    }

    #[test]
    fn every_event_survives_the_wire() {
        let mailbox = Scope::Mailbox(AccountId(1));
        let (account, by, tea) = (AccountId(2), AccountId(1), Scope::Conversation(ConversationId(7)));
        let (name, topic) = ("tea".to_owned(), "leaves".to_owned());
        let bodies = vec![
            (tea, EventBody::RoomOpened { by, name: name.clone(), topic: topic.clone(), public: true }),
            (tea, EventBody::MemberJoined { account, invited_by: Some(by) }),
            (tea, EventBody::MemberLeft { account }),
            (tea, EventBody::MemberRemoved { account, by }),
            (tea, EventBody::RoleChanged { account, role: Role::Moderator, by: None }),
            (tea, EventBody::RoomChanged { by, name: None, topic: Some(topic), public: Some(false) }),
            (mailbox, EventBody::Invited { conversation: ConversationId(7), room: name, by }),
            (mailbox, EventBody::InvitationEnded { conversation: ConversationId(7) }),
            (said(1, "hello").scope, said(1, "hello").body),
            (
                Scope::Conversation(ConversationId(3)),
                EventBody::MessagesDeleted { by: AccountId(1), messages: vec![EventId(7), EventId(8)] },
            ),
            (mailbox, EventBody::ReadMarkerMoved { conversation: ConversationId(3), up_to: EventId(7), unread: 2 }),
            (mailbox, EventBody::MessagesHidden { conversation: ConversationId(3), messages: vec![EventId(7)] }),
            (mailbox, EventBody::SessionOpened { session: SessionId(5), device: "phone".into() }),
            (mailbox, EventBody::SessionEnded { session: SessionId(5) }),
            (mailbox, EventBody::PasswordChanged { by: SessionId(5) }),
            (mailbox, EventBody::PasswordReset { by: AccountId(5) }),
            (
                Scope::Conversation(ConversationId(3)),
                EventBody::MessageEdited {
                    by: AccountId(1),
                    message: EventId(7),
                    body: "x".into(),
                    mentions: vec![AccountId(2)],
                },
            ),
            (
                Scope::Conversation(ConversationId(3)),
                EventBody::ReactionChanged {
                    account: AccountId(1),
                    message: EventId(7),
                    emoji: "👍".into(),
                    added: true,
                    count: 2,
                },
            ),
            (mailbox, EventBody::PeerRead { conversation: ConversationId(3), by: AccountId(2), up_to: EventId(7) }),
        ];
        for (scope, body) in bodies {
            let wire = event(Event { id: EventId(4096), time_ms: 1, scope, body }, &mut Known);
            assert!(wire.body.is_some());
            assert_eq!(chat::Event::decode(wire.encode_to_vec().as_slice()), Ok(wire));
        }
    }

    #[test]
    fn a_message_bears_names() {
        let message = message(said(1, "hello"), &mut Known).unwrap();
        assert_eq!((message.author_name.as_str(), message.peer_name.as_str()), ("user1", "peer3"));
        assert_eq!(message.author_display_name, "User 1");
        assert_eq!((message.id, message.conversation, message.number), (8192, 3, 2));
    }

    #[test]
    fn a_message_bears_what_belongs_to_it() {
        let reactions = vec![ReactionInfo { emoji: "👍".into(), count: 2, own: true }];
        let message = shown(Shown { event: said(1, "hello"), reactions }, &mut Known).unwrap();
        assert_eq!((message.edited_at_ms, message.reply_to), (6, 8191));
        let names: Vec<_> = message.mentions.iter().map(|mention| mention.name.as_str()).collect();
        assert_eq!(names, ["user2", ""]);
        assert_eq!(message.reactions, [chat::Reaction { emoji: "👍".into(), count: 2, own: true }]);
    }

    #[test]
    fn a_message_of_a_room_bears_its_name() {
        let said = Event { scope: Scope::Conversation(ConversationId(7)), ..said(1, "hello") };
        let message = message(said, &mut Known).unwrap();
        assert_eq!((message.room_name.as_str(), message.peer_name.as_str()), ("tea", ""));
    }

    #[test]
    fn a_deleted_author_has_no_name() {
        assert_eq!(super::message(said(404, "hello"), &mut Known).unwrap().author_name, "");
    }

    #[test]
    fn a_conversation_shows_its_last_message() {
        let info = ConversationInfo {
            conversation: ConversationId(3),
            peer: Some(AccountId(2)),
            room: None,
            unread: 1,
            unread_mentions: 1,
            read_up_to: Position(0),
            peer_read_up_to: Position(8192),
            messages: 2,
            last: Some(said(2, "hi")),
        };
        let wire = conversation(info, &mut Known);
        assert_eq!((wire.peer_name.as_str(), wire.unread_mentions, wire.peer_read_up_to), ("user2", 1, 8192));
        assert_eq!(wire.last.unwrap().body, "hi");
    }
}
