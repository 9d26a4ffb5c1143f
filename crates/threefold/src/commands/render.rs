//! Messages and events in words, and as JSON objects.

use serde::Serialize;
use threefold_client::chat::{Event, Message, event::Body};

use super::output::{escape, indent, time};

/// A message or another event, as a JSON object. The field `type` tells which; `id` is the event's id in all of them.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line<'a> {
    /// Somebody wrote something.
    Message {
        id: u64,
        time_ms: u64,
        conversation: u64,
        /// The author's name; empty once the account is deleted.
        from: &'a str,
        /// The other person of a direct conversation, whoever wrote.
        peer: &'a str,
        /// Written by this account.
        own: bool,
        /// The how-manieth of its conversation.
        number: u64,
        body: &'a str,
        deleted: bool,
    },
    /// Messages were deleted for everyone.
    Deleted {
        id: u64,
        time_ms: u64,
        conversation: u64,
        by: u64,
        messages: &'a [u64],
    },
    /// This account read up to here, on some device.
    Read {
        id: u64,
        time_ms: u64,
        conversation: u64,
        up_to: u64,
        unread: u64,
    },
    /// Messages were deleted for this account.
    Hidden {
        id: u64,
        time_ms: u64,
        conversation: u64,
        messages: &'a [u64],
    },
    /// A device logged in.
    SessionOpened {
        id: u64,
        time_ms: u64,
        session: u64,
        device: &'a str,
    },
    /// A device was logged out.
    SessionEnded {
        id: u64,
        time_ms: u64,
        session: u64,
    },
    /// The account's password was changed, which ended its other sessions.
    PasswordChanged {
        id: u64,
        time_ms: u64,
    },
    PasswordReset {
        id: u64,
        time_ms: u64,
    },
    /// Something a newer server tells.
    Unknown {
        id: u64,
        time_ms: u64,
    },
}

impl<'a> Line<'a> {
    /// Of a message, as `account` sees it.
    pub fn message(message: &'a Message, account: u64) -> Self {
        Self::Message {
            id: message.id,
            time_ms: message.time_ms,
            conversation: message.conversation,
            from: &message.author_name,
            peer: &message.peer_name,
            own: message.author == account,
            number: message.number,
            body: &message.body,
            deleted: message.deleted,
        }
    }

    /// Of any event, as `account` sees it.
    pub fn event(event: &'a Event, account: u64) -> Self {
        let Event { id, time_ms, ref body } = *event;
        match body {
            Some(Body::Message(message)) => Self::message(message, account),
            Some(Body::MessagesDeleted(deleted)) => Self::Deleted {
                id,
                time_ms,
                conversation: deleted.conversation,
                by: deleted.by,
                messages: &deleted.messages,
            },
            Some(Body::ReadMarkerMoved(moved)) => {
                Self::Read { id, time_ms, conversation: moved.conversation, up_to: moved.up_to, unread: moved.unread }
            }
            Some(Body::MessagesHidden(hidden)) => {
                Self::Hidden { id, time_ms, conversation: hidden.conversation, messages: &hidden.messages }
            }
            Some(Body::SessionOpened(opened)) => {
                Self::SessionOpened { id, time_ms, session: opened.session, device: &opened.device }
            }
            Some(Body::SessionEnded(ended)) => Self::SessionEnded { id, time_ms, session: ended.session },
            Some(Body::PasswordChanged(_)) => Self::PasswordChanged { id, time_ms },
            Some(Body::PasswordReset(_)) => Self::PasswordReset { id, time_ms },
            None => Self::Unknown { id, time_ms },
        }
    }

    /// For people; none for what does not concern them.
    pub fn human(&self) -> Option<String> {
        match self {
            Self::Message { time_ms, from, peer, own, body, deleted, .. } => {
                let text = if *deleted { "(deleted)".to_owned() } else { indent(body) };
                let (author, reader) =
                    if *own { ("you".to_owned(), name(peer)) } else { (name(from), "you".to_owned()) };
                Some(format!("[{}] {author} → {reader}: {text}", time(*time_ms)))
            }
            Self::Deleted { time_ms, messages, .. } => {
                let ids: Vec<String> = messages.iter().map(u64::to_string).collect();
                Some(format!("[{}] deleted for everyone: {}", time(*time_ms), ids.join(", ")))
            }
            Self::SessionOpened { time_ms, device, .. } => {
                Some(format!("[{}] logged in on another device: {}", time(*time_ms), escape(device)))
            }
            Self::PasswordChanged { time_ms, .. } => Some(format!("[{}] the password was changed", time(*time_ms))),
            Self::PasswordReset { time_ms, .. } => {
                Some(format!("[{}] an administrator gave the account another password", time(*time_ms)))
            }
            Self::Read { .. } | Self::Hidden { .. } | Self::SessionEnded { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// A name for people.
pub fn name(name: &str) -> String {
    if name.is_empty() { "(deleted user)".to_owned() } else { escape(name) }
}

#[cfg(test)]
mod tests {
    use threefold_client::chat::MessagesDeleted;

    use super::*;

    fn message() -> Message {
        Message {
            id: 8192,
            time_ms: 1,
            conversation: 4096,
            author: 7,
            author_name: "alice".to_owned(),
            body: "two\nlines \u{1b}[2J".to_owned(),
            number: 3,
            deleted: false,
            peer_name: "alice".to_owned(),
            author_display_name: String::new(),
        }
    }

    #[test]
    fn programs_get_the_text_as_it_is() {
        let event = Event { id: 8192, time_ms: 1, body: Some(Body::Message(message())) };
        let json = serde_json::to_string(&Line::event(&event, 9)).unwrap();
        assert_eq!(
            json,
            "{\"type\":\"message\",\"id\":8192,\"time_ms\":1,\"conversation\":4096,\"from\":\"alice\",\"peer\":\"alice\",\
             \"own\":false,\"number\":3,\"body\":\"two\\nlines \\u001b[2J\",\"deleted\":false}"
        );
    }

    #[test]
    fn people_get_it_made_safe() {
        let theirs = Line::message(&message(), 9).human().unwrap();
        assert!(theirs.ends_with("] alice → you: two\n    lines \\u{1b}[2J"), "{theirs}");
        let mut own = message();
        own.peer_name = "bob".to_owned();
        let text = Line::message(&own, 7).human().unwrap();
        assert!(text.contains("] you → bob: two"), "{text}");
        own.deleted = true;
        own.peer_name.clear();
        assert!(Line::message(&own, 7).human().unwrap().ends_with("] you → (deleted user): (deleted)"));
    }

    #[test]
    fn every_event_has_its_id_in_json() {
        let deleted = Body::MessagesDeleted(MessagesDeleted { conversation: 1, by: 2, messages: vec![3, 4] });
        let event = Event { id: 5, time_ms: 6, body: Some(deleted) };
        let expected = "{\"type\":\"deleted\",\"id\":5,\"time_ms\":6,\"conversation\":1,\"by\":2,\"messages\":[3,4]}";
        assert_eq!(serde_json::to_string(&Line::event(&event, 0)).unwrap(), expected);
        let event = Event { id: 5, time_ms: 6, body: None };
        assert_eq!(
            serde_json::to_string(&Line::event(&event, 0)).unwrap(),
            "{\"type\":\"unknown\",\"id\":5,\"time_ms\":6}"
        );
    }
}
