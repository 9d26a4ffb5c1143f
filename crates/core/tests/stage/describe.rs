//! What a script shows of replies, events and conversations: in names, never in ids.

use threefold_core::{
    AccountId, Event, EventBody, EventId, Position, Reply, Scope, SessionId, query::ConversationInfo,
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
            Reply::Rejected(rejection) => format!("refused: {rejection}"),
        }];
        for happened in &self.world.applied.happened {
            let audience: Vec<_> = happened.audience.iter().map(|account| self.person(*account)).collect();
            let place = match happened.scope {
                Scope::Conversation(_) => "in the conversation",
                Scope::Mailbox(_) => "in the mailbox",
            };
            lines.push(format!("  {place}, for {}", audience.join(" and ")));
        }
        if self.world.written().is_empty() {
            lines.push("  wrote nothing".to_owned());
        }
        lines.join("\n")
    }

    pub(super) fn describe_event(&self, event: &Event) -> String {
        match &event.body {
            EventBody::MessageSent { author, body, deleted, .. } => {
                let text = if *deleted { "(deleted)".to_owned() } else { format!("{body:?}") };
                format!("{} {}: {text}", self.message_label(event.id), self.person(*author))
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
        }
    }

    pub(super) fn describe_conversation(&self, conversation: &ConversationInfo) -> String {
        let ConversationInfo { peer, unread, messages, read_up_to, last, .. } = conversation;
        let last = last.as_ref().map_or("nothing".to_owned(), |event| self.describe_event(event));
        let read = self.describe_position(*read_up_to);
        format!("with {}: {unread} unread of {messages}, read up to {read}, last {last}", self.person(*peer))
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

    fn person(&self, account: AccountId) -> &str {
        self.people.get(&account).map_or("somebody", String::as_str)
    }

    fn device_label(&self, session: SessionId) -> &str {
        let found = self.devices.iter().find(|(_, device)| device.session == session);
        found.map_or("a forgotten device", |(label, _)| label)
    }
}
