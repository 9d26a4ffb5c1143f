//! Events and conversations as clients see them. The domain knows people by id; clients are shown
//! names, so every conversion here asks a [`Names`].

use threefold_core::{AccountId, ConversationId, Event, EventBody, EventId, Scope, query::ConversationInfo};

use crate::chat;

/// Knows names, for one reader.
pub trait Names {
    /// The account's name; empty once it is deleted.
    fn account(&mut self, account: AccountId) -> String;
    /// What people are shown beside it; may be empty.
    fn display_name(&mut self, account: AccountId) -> String;
    /// The name of the other person of a direct conversation of the reader; empty once deleted, and
    /// where there is no such person.
    fn peer(&mut self, conversation: ConversationId) -> String;
}

/// An event as the reader hears of it.
#[must_use]
pub fn event(event: Event, names: &mut impl Names) -> chat::Event {
    let Event { id, time_ms, scope, body } = event;
    let body = match body {
        EventBody::MessageSent { author, body, number, author_number: _, deleted } => {
            chat::event::Body::Message(sent(Sent { id, time_ms, scope, author, body, number, deleted }, names))
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
    };
    chat::Event { id: id.0, time_ms, body: Some(body) }
}

/// The message an event is; none for any other event.
#[must_use]
pub fn message(event: Event, names: &mut impl Names) -> Option<chat::Message> {
    let Event { id, time_ms, scope, body } = event;
    match body {
        EventBody::MessageSent { author, body, number, author_number: _, deleted } => {
            Some(sent(Sent { id, time_ms, scope, author, body, number, deleted }, names))
        }
        EventBody::MessagesDeleted { .. }
        | EventBody::ReadMarkerMoved { .. }
        | EventBody::MessagesHidden { .. }
        | EventBody::SessionOpened { .. }
        | EventBody::SessionEnded { .. }
        | EventBody::PasswordChanged { .. }
        | EventBody::PasswordReset { .. } => None,
    }
}

/// A conversation as the reader sees it.
#[must_use]
pub fn conversation(info: ConversationInfo, names: &mut impl Names) -> chat::Conversation {
    chat::Conversation {
        conversation: info.conversation.0,
        peer_name: names.account(info.peer),
        unread: info.unread,
        read_up_to: info.read_up_to.0,
        messages: info.messages,
        last: info.last.and_then(|last| message(last, names)),
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
}

fn sent(sent: Sent, names: &mut impl Names) -> chat::Message {
    let peer_name = match sent.scope {
        Scope::Conversation(conversation) => names.peer(conversation),
        Scope::Mailbox(_) => String::new(),
    };
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
    }
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
    use threefold_core::{Position, SessionId};

    use super::*;

    struct Known;

    impl Names for Known {
        fn account(&mut self, account: AccountId) -> String {
            if account.0 == 404 { String::new() } else { format!("user{account}") }
        }
        fn display_name(&mut self, account: AccountId) -> String {
            if account.0 == 404 { String::new() } else { format!("User {account}") }
        }
        fn peer(&mut self, conversation: ConversationId) -> String {
            format!("peer{conversation}")
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
            },
        }
    }

    #[test]
    fn every_event_survives_the_wire() {
        let mailbox = Scope::Mailbox(AccountId(1));
        let bodies = vec![
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
    fn a_deleted_author_has_no_name() {
        assert_eq!(super::message(said(404, "hello"), &mut Known).unwrap().author_name, "");
    }

    #[test]
    fn a_conversation_shows_its_last_message() {
        let info = ConversationInfo {
            conversation: ConversationId(3),
            peer: AccountId(2),
            unread: 1,
            read_up_to: Position(0),
            messages: 2,
            last: Some(said(2, "hi")),
        };
        let wire = conversation(info, &mut Known);
        assert_eq!(wire.peer_name, "user2");
        assert_eq!(wire.last.unwrap().body, "hi");
    }
}
