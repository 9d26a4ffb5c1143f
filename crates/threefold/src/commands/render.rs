//! Messages and events in words, and as JSON objects.

mod rooms;

use rooms::RoomLine;
pub use rooms::{role_name, room_name};
use serde::Serialize;
use threefold_client::chat::{Attachment, Event, Mention, Message, Reaction, event::Body};

use super::output::{bytes, escape, indent, time};

/// A file attached to a message, as a JSON object.
#[derive(Debug, Serialize)]
pub struct Attached<'a> {
    pub id: u64,
    pub name: &'a str,
    pub content_type: &'a str,
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
}

impl<'a> Attached<'a> {
    pub fn of(attachment: &'a Attachment) -> Self {
        let sha256 = attachment.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let Attachment { attachment: id, name, content_type, bytes, .. } = attachment;
        Self { id: *id, name, content_type, bytes: *bytes, sha256 }
    }
}

/// Of a message that is answered, so much is repeated.
const QUOTE_CHARS: usize = 40;

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
        /// The other person of a direct conversation, whoever wrote; empty in a room.
        peer: &'a str,
        /// The room, without `#`; absent in a direct conversation.
        #[serde(skip_serializing_if = "str::is_empty")]
        room: &'a str,
        /// Written by this account.
        own: bool,
        /// The how-manieth of its conversation.
        number: u64,
        body: &'a str,
        deleted: bool,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Attached<'a>>,
        /// When the text was last edited.
        #[serde(skip_serializing_if = "Option::is_none")]
        edited_at_ms: Option<u64>,
        /// The message that this one answers.
        #[serde(skip_serializing_if = "Option::is_none")]
        reply_to: Option<u64>,
        /// The names of those whom the text mentions.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<&'a str>,
        /// The text mentions this account.
        #[serde(skip)]
        mentions_own: bool,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        reactions: Vec<Reacted<'a>>,
    },
    /// A message has another text.
    Edited {
        id: u64,
        time_ms: u64,
        conversation: u64,
        message: u64,
        from: &'a str,
        peer: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        room: &'a str,
        own: bool,
        body: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<&'a str>,
        #[serde(skip)]
        mentions_own: bool,
    },
    /// Somebody reacted to a message, or took it back.
    Reaction {
        id: u64,
        time_ms: u64,
        conversation: u64,
        message: u64,
        from: &'a str,
        peer: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        room: &'a str,
        own: bool,
        emoji: &'a str,
        added: bool,
        /// How many then reacted with it.
        count: u64,
    },
    /// The other person of a direct conversation has read.
    PeerRead {
        id: u64,
        time_ms: u64,
        conversation: u64,
        by: u64,
        up_to: u64,
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
    /// Something that happened in a room, or to an invitation.
    #[serde(untagged)]
    Room(RoomLine<'a>),
}

/// How often a message was reacted to with something.
#[derive(Debug, Serialize)]
pub struct Reacted<'a> {
    emoji: &'a str,
    count: u64,
    /// By this account too.
    own: bool,
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
            room: &message.room_name,
            own: message.author == account,
            number: message.number,
            body: &message.body,
            deleted: message.deleted,
            edited_at_ms: Some(message.edited_at_ms).filter(|time_ms| *time_ms > 0),
            reply_to: Some(message.reply_to).filter(|id| *id > 0),
            mentions: names(&message.mentions),
            mentions_own: names_account(&message.mentions, account),
            reactions: message.reactions.iter().map(Reacted::of).collect(),
            attachments: message.attachments.iter().map(Attached::of).collect(),
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
            Some(Body::MessageEdited(edited)) => Self::Edited {
                id,
                time_ms,
                conversation: edited.conversation,
                message: edited.message,
                from: &edited.by_name,
                peer: &edited.peer_name,
                room: &edited.room_name,
                own: edited.by == account,
                body: &edited.body,
                mentions: names(&edited.mentions),
                mentions_own: names_account(&edited.mentions, account),
            },
            Some(Body::ReactionChanged(changed)) => Self::Reaction {
                id,
                time_ms,
                conversation: changed.conversation,
                message: changed.message,
                from: &changed.name,
                peer: &changed.peer_name,
                room: &changed.room_name,
                own: changed.account == account,
                emoji: &changed.emoji,
                added: changed.added,
                count: changed.count,
            },
            Some(Body::PeerRead(read)) => {
                Self::PeerRead { id, time_ms, conversation: read.conversation, by: read.by, up_to: read.up_to }
            }
            Some(
                Body::RoomOpened(_)
                | Body::MemberJoined(_)
                | Body::MemberLeft(_)
                | Body::MemberRemoved(_)
                | Body::RoleChanged(_)
                | Body::RoomChanged(_)
                | Body::Invited(_)
                | Body::InvitationEnded(_),
            )
            | None => RoomLine::event(event).map_or(Self::Unknown { id, time_ms }, Self::Room),
        }
    }

    /// For people; none for what does not concern them.
    pub fn human(&self) -> Option<String> {
        match self {
            Self::Message { reply_to, .. } => self.human_message(reply_to.map(|id| id.to_string()).as_deref()),
            Self::Edited { time_ms, message, from, peer, room, own, body, mentions_own, .. } => {
                let remarks = remarks(*mentions_own, None);
                let parties = parties(from, peer, room, *own);
                Some(format!("[{}] {parties}{remarks}: edited {message}: {}", time(*time_ms), indent(body)))
            }
            Self::Reaction { time_ms, message, from, peer, room, own, emoji, added, .. } => {
                let (what, emoji) = (if *added { "reacted to" } else { "took back from" }, escape(emoji));
                Some(format!("[{}] {}: {what} {message}: {emoji}", time(*time_ms), parties(from, peer, room, *own)))
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
            Self::Room(line) => Some(line.human()),
            Self::Read { .. }
            | Self::Hidden { .. }
            | Self::SessionEnded { .. }
            | Self::PeerRead { .. }
            | Self::Unknown { .. } => None,
        }
    }

    /// A message for people, with the words that stand for the one it answers; none for anything else.
    pub fn human_message(&self, answered: Option<&str>) -> Option<String> {
        let Self::Message { time_ms, from, peer, room, own, body, deleted, edited_at_ms, mentions_own, .. } = self
        else {
            return None;
        };
        let Self::Message { attachments, reactions, .. } = self else { return None };
        let text = if *deleted { "(deleted)".to_owned() } else { indent(body) };
        let edited = if edited_at_ms.is_some() { " (edited)" } else { "" };
        let remarks = remarks(*mentions_own, answered);
        let mut line = format!("[{}] {}{remarks}: {text}{edited}", time(*time_ms), parties(from, peer, room, *own));
        for attached in attachments {
            line.push_str(if body.is_empty() { "" } else { "\n    " });
            let name = escape(attached.name).replace('\n', " ");
            line.push_str(&format!("[{name}, {}]", bytes(attached.bytes)));
        }
        if !reactions.is_empty() {
            let shown: Vec<String> = reactions.iter().map(Reacted::human).collect();
            line.push_str("\n    ");
            line.push_str(&shown.join("  "));
        }
        Some(line)
    }
}

impl<'a> Reacted<'a> {
    fn of(reaction: &'a Reaction) -> Self {
        Self { emoji: &reaction.emoji, count: reaction.count, own: reaction.own }
    }

    fn human(&self) -> String {
        let own = if self.own { " with yours" } else { "" };
        format!("{} {}{own}", escape(self.emoji), self.count)
    }
}

fn names(mentions: &[Mention]) -> Vec<&str> {
    mentions.iter().map(|mention| mention.name.as_str()).collect()
}

fn names_account(mentions: &[Mention], account: u64) -> bool {
    mentions.iter().any(|mention| mention.account == account)
}

/// Who says something to whom, in a direct conversation.
fn parties(from: &str, peer: &str, room: &str, own: bool) -> String {
    match (room, own) {
        ("", true) => format!("you → {}", name(peer)),
        ("", false) => format!("{} → you", name(from)),
        (room, true) => format!("{} you", room_name(room)),
        (room, false) => format!("{} {}", room_name(room), name(from)),
    }
}

/// What else is to be known before the text.
fn remarks(mentions_own: bool, answered: Option<&str>) -> String {
    let mentions = mentions_own.then(|| "mentions you".to_owned());
    let remarks: Vec<String> = mentions.into_iter().chain(answered.map(|to| format!("answers {to}"))).collect();
    if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(", ")) }
}

/// The beginning of a message, on one line, for an answer to it.
pub fn quote(message: &Message) -> String {
    let author = name(&message.author_name);
    if message.deleted {
        return format!("{author}'s deleted message");
    }
    let line = message.body.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut shown: String = line.trim().chars().take(QUOTE_CHARS).collect();
    if shown.len() < message.body.trim().len() {
        shown.push('…');
    }
    format!("{author}: \"{}\"", escape(&shown))
}

/// A name for people.
pub fn name(name: &str) -> String {
    if name.is_empty() { "(deleted user)".to_owned() } else { escape(name) }
}

#[cfg(test)]
mod tests;
