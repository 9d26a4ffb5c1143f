//! What a script shows of replies, events and conversations: in names, never in ids.

use threefold_core::{
    AccountId, Attached, AttachmentId, Event, EventBody, EventId, Position, Reply, Role, Scope, SessionId,
    apply::Audience,
    query::{ConversationInfo, InvitationInfo, MemberInfo, ReactionInfo, RoomInfo, Shown},
};

use super::Stage;

impl Stage {
    /// The reply, then who is told of what, or that nothing was written.
    pub(super) fn describe_outcome(&self, reply: &Reply) -> String {
        let mut lines = vec![match reply {
            Reply::SessionOpened { instance, name, delivered_up_to, .. } => {
                let delivered = self.describe_position(Position(*delivered_up_to));
                format!("logged in as {name}, instance {instance}, delivered up to {delivered}")
            }
            Reply::InstanceOpened { instance } => format!("instance {instance}"),
            Reply::MessageSent { event, .. } => format!("sent {}", self.message_label(*event)),
            Reply::Done => "done".to_owned(),
            Reply::UploadReached { attachment, received } => {
                format!("{} is at {received} bytes", self.file_label(*attachment))
            }
            Reply::AttachmentFinished(attached) => format!("finished {}", self.describe_file(attached)),
            Reply::RoomCreated { .. } => "made a room".to_owned(),
            Reply::BotCreated { account } => format!("made the bot {}", self.person(*account)),
            Reply::WebhookCreated { webhook, .. } => format!("made the webhook {}", self.person(*webhook)),
            Reply::Rejected(rejection) => format!("refused: {rejection}"),
        }];
        for happened in &self.world.applied.happened {
            let audience = match &happened.audience {
                Audience::Accounts(accounts) => {
                    accounts.iter().map(|account| self.person(*account)).collect::<Vec<_>>().join(" and ")
                }
                Audience::Members => "the members".to_owned(),
                Audience::MembersWith(account) => format!("the members, now with {}", self.person(*account)),
                Audience::MembersWithout(account) => format!("the members, then without {}", self.person(*account)),
            };
            let place = match happened.scope {
                Scope::Conversation(_) => "in the conversation",
                Scope::Mailbox(_) => "in the mailbox",
            };
            lines.push(format!("  {place}, for {audience}"));
        }
        if self.world.written().is_empty() {
            lines.push("  wrote nothing".to_owned());
        }
        lines.join("\n")
    }

    pub(super) fn describe_event(&self, event: &Event) -> String {
        match &event.body {
            EventBody::MessageSent { author, body, deleted, edited, reply_to, mentions, attachments, .. } => {
                let text = if *deleted { "(deleted)".to_owned() } else { format!("{body:?}") };
                let edited = if edited.is_some() { " (edited)" } else { "" };
                let answers = reply_to.map(|to| format!(" to {}", self.message_label(to))).unwrap_or_default();
                let names = self.mentions(mentions);
                let files: String =
                    attachments.iter().flatten().map(|file| format!(" with {}", self.describe_file(file))).collect();
                format!(
                    "{} {}{answers}: {text}{edited}{names}{files}",
                    self.message_label(event.id),
                    self.person(*author)
                )
            }
            EventBody::MessageEdited { by, message, body, mentions } => {
                let names = self.mentions(mentions);
                format!("{} edited {}: {body:?}{names}", self.person(*by), self.message_label(*message))
            }
            EventBody::ReactionChanged { account, message, emoji, added, count } => {
                let what = if *added { "reacted to" } else { "took back from" };
                format!("{} {what} {}: {emoji}, now {count}", self.person(*account), self.message_label(*message))
            }
            EventBody::PeerRead { by, up_to, .. } => {
                format!("{} has read up to {}", self.person(*by), self.message_label(*up_to))
            }
            EventBody::MessagesDeleted { by, messages } => {
                format!("{} deleted {} for everyone", self.person(*by), self.message_labels(messages))
            }
            EventBody::ReadMarkerMoved { up_to, unread, .. } => {
                format!("read up to {}, {unread} unread", self.message_label(*up_to))
            }
            EventBody::MessagesHidden { messages, .. } => format!("deleted {} for me", self.message_labels(messages)),
            EventBody::SessionOpened { device, .. } => format!("session opened: {device}"),
            EventBody::SessionEnded { session } => format!("session ended: {}", self.device_label(*session)),
            EventBody::PasswordChanged { by } => {
                format!("password changed by {}: other sessions ended", self.device_label(*by))
            }
            EventBody::PasswordReset { by } => {
                format!("password reset by the administrator {}: every session ended", self.person(*by))
            }
            EventBody::RoomOpened { by, name, topic, public } => {
                format!("{} made the {} room #{name}: {topic:?}", self.person(*by), visibility(*public))
            }
            EventBody::MemberJoined { account, invited_by: None } => format!("{} joined", self.person(*account)),
            EventBody::MemberJoined { account, invited_by: Some(by) } => {
                format!("{} joined, invited by {}", self.person(*account), self.person(*by))
            }
            EventBody::MemberLeft { account } => format!("{} left", self.person(*account)),
            EventBody::MemberRemoved { account, by } => {
                format!("{} was removed by {}", self.person(*account), self.person(*by))
            }
            EventBody::RoleChanged { account, role, by } => {
                let by = by.map_or("nobody", |by| self.person(by));
                format!("{} is {} now, by {by}", self.person(*account), role_name(*role))
            }
            EventBody::RoomChanged { by, name, topic, public } => {
                let name = name.as_ref().map(|name| format!("name #{name}"));
                let topic = topic.as_ref().map(|topic| format!("topic {topic:?}"));
                let public = public.map(|public| visibility(public).to_owned());
                let changes: Vec<_> = [name, topic, public].into_iter().flatten().collect();
                format!("{} changed the room: {}", self.person(*by), changes.join(", "))
            }
            EventBody::Invited { room, by, .. } => format!("invited to #{room} by {}", self.person(*by)),
            EventBody::InvitationEnded { .. } => "an invitation ended".to_owned(),
        }
    }

    /// A message, and below it what it was reacted to with.
    pub(super) fn describe_shown(&self, shown: &Shown) -> String {
        let mut line = self.describe_event(&shown.event);
        for ReactionInfo { emoji, count, own } in &shown.reactions {
            let own = if *own { " with own" } else { "" };
            line.push_str(&format!(" [{emoji} {count}{own}]"));
        }
        line
    }

    fn mentions(&self, accounts: &[AccountId]) -> String {
        let names: Vec<_> = accounts.iter().map(|account| self.person(*account)).collect();
        if names.is_empty() { String::new() } else { format!(" (for {})", names.join(" and ")) }
    }

    pub(super) fn describe_file(&self, file: &Attached) -> String {
        format!("{} {} ({} bytes)", self.file_label(file.attachment), file.name, file.bytes)
    }

    fn file_label(&self, attachment: AttachmentId) -> String {
        let index = self.files.iter().position(|(known, _)| *known == attachment);
        index.map_or(format!("attachment {attachment}"), |index| format!("f{}", index + 1))
    }

    pub(super) fn describe_conversation(&self, conversation: &ConversationInfo) -> String {
        let ConversationInfo { peer, room, unread, unread_mentions, messages, read_up_to, last, .. } = conversation;
        let last = last.as_ref().map_or("nothing".to_owned(), |event| self.describe_event(event));
        let read = self.describe_position(*read_up_to);
        let mentions = if *unread_mentions > 0 { format!(" ({unread_mentions} mentions)") } else { String::new() };
        let theirs = match conversation.peer_read_up_to {
            Position(0) => String::new(),
            position => format!(" (by the other one {})", self.describe_position(position)),
        };
        let place = match (peer, room) {
            (Some(peer), _) => format!("with {}", self.person(*peer)),
            (None, Some(room)) => format!("in #{}", room.name),
            (None, None) => "nowhere".to_owned(),
        };
        format!("{place}: {unread} unread{mentions} of {messages}, read up to {read}{theirs}, last {last}")
    }

    pub(super) fn describe_room(room: &RoomInfo) -> String {
        let RoomInfo { name, topic, public, members, role, invited, .. } = room;
        let role = role.map_or("not in it", role_name);
        let invited = if *invited { ", invited" } else { "" };
        format!("#{name}: {}, {members} members, {role}{invited}: {topic:?}", visibility(*public))
    }

    pub(super) fn describe_member(&self, member: &MemberInfo) -> String {
        let invited = member.invited_by.map(|by| format!(", invited by {}", self.person(by)));
        format!("{}: {}{}", self.person(member.account), role_name(member.role), invited.unwrap_or_default())
    }

    pub(super) fn describe_invitation(&self, invitation: &InvitationInfo) -> String {
        let InvitationInfo { name, topic, members, by, .. } = invitation;
        format!("to #{name} by {}: {members} members, {topic:?}", self.person(*by))
    }

    pub(super) fn describe_position(&self, position: Position) -> String {
        if position == Position(0) { "nothing".to_owned() } else { self.message_label(EventId(position.0)) }
    }

    fn message_label(&self, event: EventId) -> String {
        let index = self.messages.iter().position(|known| *known == event);
        index.map_or(format!("event {event}"), |index| format!("m{}", index + 1))
    }

    fn message_labels(&self, events: &[EventId]) -> String {
        events.iter().map(|event| self.message_label(*event)).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn person(&self, account: AccountId) -> &str {
        self.people.get(&account).map_or("somebody", String::as_str)
    }

    fn device_label(&self, session: SessionId) -> &str {
        let found = self.devices.iter().find(|(_, device)| device.session == session);
        found.map_or("a forgotten device", |(label, _)| label)
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Owner => "owner",
    }
}

fn visibility(public: bool) -> &'static str {
    if public { "public" } else { "private" }
}
