//! What happens in rooms, in words and as JSON objects.

use serde::Serialize;
use threefold_client::chat::{Event, Person, Role, RoomName, event::Body};

use super::name;
use crate::commands::output::{escape, time};

/// Somebody, in JSON.
#[derive(Debug, Serialize)]
pub struct Somebody<'a> {
    account: u64,
    /// Empty once the account is deleted.
    name: &'a str,
}

/// Something that happened in a room, or to an invitation; `room` is its name without `#`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RoomLine<'a> {
    /// A room was made.
    RoomOpened {
        id: u64,
        time_ms: u64,
        conversation: u64,
        room: &'a str,
        by: Somebody<'a>,
        topic: &'a str,
        public: bool,
    },
    /// Somebody became a member.
    MemberJoined {
        id: u64,
        time_ms: u64,
        conversation: u64,
        room: &'a str,
        member: Somebody<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        invited_by: Option<Somebody<'a>>,
    },
    /// A member left.
    MemberLeft { id: u64, time_ms: u64, conversation: u64, room: &'a str, member: Somebody<'a> },
    /// A member was removed.
    MemberRemoved { id: u64, time_ms: u64, conversation: u64, room: &'a str, member: Somebody<'a>, by: Somebody<'a> },
    /// A member has another role.
    RoleChanged {
        id: u64,
        time_ms: u64,
        conversation: u64,
        room: &'a str,
        member: Somebody<'a>,
        role: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<Somebody<'a>>,
    },
    /// The room itself changed: what is absent stayed.
    RoomChanged {
        id: u64,
        time_ms: u64,
        conversation: u64,
        room: &'a str,
        by: Somebody<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        public: Option<bool>,
    },
    /// This account may join a room.
    Invited { id: u64, time_ms: u64, conversation: u64, room: &'a str, by: Somebody<'a> },
    /// An invitation was taken up, turned down or taken back.
    InvitationEnded { id: u64, time_ms: u64, conversation: u64 },
}

impl<'a> RoomLine<'a> {
    /// Of an event; none for any other.
    pub fn event(event: &'a Event) -> Option<Self> {
        let Event { id, time_ms, ref body } = *event;
        let place = |room: &'a Option<RoomName>| room.as_ref().map_or((0, ""), |room| (room.conversation, &room.name));
        Some(match body.as_ref()? {
            Body::RoomOpened(opened) => {
                let (conversation, room) = place(&opened.room);
                let (by, topic, public) = (somebody(opened.by.as_ref()), &opened.topic, opened.public);
                Self::RoomOpened { id, time_ms, conversation, room, by, topic, public }
            }
            Body::MemberJoined(joined) => {
                let (conversation, room) = place(&joined.room);
                let invited_by = joined.invited_by.as_ref().map(|by| somebody(Some(by)));
                let member = somebody(joined.member.as_ref());
                Self::MemberJoined { id, time_ms, conversation, room, member, invited_by }
            }
            Body::MemberLeft(left) => {
                let (conversation, room) = place(&left.room);
                Self::MemberLeft { id, time_ms, conversation, room, member: somebody(left.member.as_ref()) }
            }
            Body::MemberRemoved(removed) => {
                let (conversation, room) = place(&removed.room);
                let (member, by) = (somebody(removed.member.as_ref()), somebody(removed.by.as_ref()));
                Self::MemberRemoved { id, time_ms, conversation, room, member, by }
            }
            Body::RoleChanged(changed) => {
                let (conversation, room) = place(&changed.room);
                let (member, role) = (somebody(changed.member.as_ref()), role_name(changed.role()));
                let by = changed.by.as_ref().map(|by| somebody(Some(by)));
                Self::RoleChanged { id, time_ms, conversation, room, member, role, by }
            }
            Body::RoomChanged(changed) => {
                let (conversation, room) = place(&changed.room);
                let (name, topic) = (changed.name.as_deref(), changed.topic.as_deref());
                let (by, public) = (somebody(changed.by.as_ref()), changed.public);
                Self::RoomChanged { id, time_ms, conversation, room, by, name, topic, public }
            }
            Body::Invited(invited) => {
                let (conversation, room) = place(&invited.room);
                Self::Invited { id, time_ms, conversation, room, by: somebody(invited.by.as_ref()) }
            }
            Body::InvitationEnded(ended) => Self::InvitationEnded { id, time_ms, conversation: ended.conversation },
            Body::Message(_)
            | Body::MessagesDeleted(_)
            | Body::ReadMarkerMoved(_)
            | Body::MessagesHidden(_)
            | Body::SessionOpened(_)
            | Body::SessionEnded(_)
            | Body::PasswordChanged(_)
            | Body::PasswordReset(_)
            | Body::MessageEdited(_)
            | Body::ReactionChanged(_)
            | Body::PeerRead(_) => return None,
        })
    }

    /// For people.
    pub fn human(&self) -> String {
        let (when, what) = match self {
            Self::RoomOpened { time_ms, room, by, topic, public, .. } => {
                let topic = if topic.is_empty() { String::new() } else { format!(": {}", escape(topic)) };
                (
                    time_ms,
                    format!("{} {} made this {} room{topic}", room_name(room), name(by.name), visibility(*public)),
                )
            }
            Self::MemberJoined { time_ms, room, member, invited_by, .. } => {
                let invited = invited_by.as_ref().map(|by| format!(", invited by {}", name(by.name)));
                (time_ms, format!("{} {} joined{}", room_name(room), name(member.name), invited.unwrap_or_default()))
            }
            Self::MemberLeft { time_ms, room, member, .. } => {
                (time_ms, format!("{} {} left", room_name(room), name(member.name)))
            }
            Self::MemberRemoved { time_ms, room, member, by, .. } => {
                (time_ms, format!("{} {} was removed by {}", room_name(room), name(member.name), name(by.name)))
            }
            Self::RoleChanged { time_ms, room, member, role, by, .. } => {
                let by = by.as_ref().map(|by| format!(", says {}", name(by.name))).unwrap_or_default();
                (time_ms, format!("{} {} is {role} now{by}", room_name(room), name(member.name)))
            }
            Self::RoomChanged { time_ms, room, by, name: renamed, topic, public, .. } => {
                let renamed = renamed.map(|renamed| format!("it is called {} now", room_name(renamed)));
                let topic = topic.map(|topic| format!("the topic is: {}", escape(topic)));
                let public = public.map(|public| format!("it is {} now", visibility(public)));
                let changes: Vec<String> = [renamed, public, topic].into_iter().flatten().collect();
                (time_ms, format!("{} {}: {}", room_name(room), name(by.name), changes.join("; ")))
            }
            Self::Invited { time_ms, room, by, .. } => {
                (time_ms, format!("{} invites you to {}", name(by.name), room_name(room)))
            }
            Self::InvitationEnded { time_ms, .. } => (time_ms, "an invitation to a room is over".to_owned()),
        };
        format!("[{}] {what}", time(*when))
    }
}

fn somebody(person: Option<&Person>) -> Somebody<'_> {
    person.map_or(Somebody { account: 0, name: "" }, |person| Somebody { account: person.account, name: &person.name })
}

fn visibility(public: bool) -> &'static str {
    if public { "public" } else { "private" }
}

/// A room's name for people.
pub fn room_name(name: &str) -> String {
    format!("#{}", escape(name))
}

/// A role in a word; empty for one who has none.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Unspecified => "",
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Owner => "owner",
    }
}

#[cfg(test)]
mod tests {
    use threefold_client::chat::{MemberJoined, RoomChanged};

    use super::*;

    fn tea() -> Option<RoomName> {
        Some(RoomName { conversation: 7, name: "tea".to_owned() })
    }

    fn person(name: &str) -> Option<Person> {
        Some(Person { account: 1, name: name.to_owned() })
    }

    #[test]
    fn a_join_in_words_and_for_programs() {
        let joined = MemberJoined { room: tea(), member: person("bob"), invited_by: person("ann") };
        let event = Event { id: 5, time_ms: 6, body: Some(Body::MemberJoined(joined)) };
        let line = RoomLine::event(&event).unwrap();
        assert!(line.human().ends_with("] #tea bob joined, invited by ann"), "{}", line.human());
        assert_eq!(
            serde_json::to_string(&super::super::Line::event(&event, 9)).unwrap(),
            "{\"type\":\"member_joined\",\"id\":5,\"time_ms\":6,\"conversation\":7,\"room\":\"tea\",\
             \"member\":{\"account\":1,\"name\":\"bob\"},\"invited_by\":{\"account\":1,\"name\":\"ann\"}}"
        );
    }

    #[test]
    fn what_changed_is_told_made_safe() {
        let topic = Some("tea\u{1b}[2J".to_owned());
        let changed = RoomChanged { room: tea(), by: person(""), name: None, topic, public: Some(false) };
        let event = Event { id: 5, time_ms: 6, body: Some(Body::RoomChanged(changed)) };
        let text = RoomLine::event(&event).unwrap().human();
        assert!(text.ends_with("] #tea (deleted user): it is private now; the topic is: tea\\u{1b}[2J"), "{text}");
    }
}
