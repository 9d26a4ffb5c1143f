//! One conversation, with as much of it as was read, and the place in it that is looked at.

use std::collections::BTreeMap;

use threefold_client::{
    To,
    chat::{self, Message, Role},
};

use super::editor::Editor;

/// Messages kept of one conversation; older ones are read again when wanted.
const KEPT: usize = 1_000;

/// With whom, or where.
#[derive(Clone, Debug)]
pub enum Kind {
    /// With a person; an empty name: deleted.
    Direct(String),
    Room(chat::Room),
}

/// How far the reading is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loading {
    #[default]
    Never,
    /// Asked for, and not here yet.
    Asked,
    Done,
}

/// One thing to show.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are messages")]
pub enum Item {
    Message(Message),
    /// Something that happened in a room.
    Notice {
        time_ms: u64,
        text: String,
    },
}

impl Item {
    pub fn time_ms(&self) -> u64 {
        match self {
            Self::Message(message) => message.time_ms,
            Self::Notice { time_ms, .. } => *time_ms,
        }
    }
}

/// Which row of the conversation stands lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bottom {
    /// The newest, whatever comes.
    #[default]
    Newest,
    /// Of this item, leaving out so many of its rows.
    At { item: u64, hidden: usize },
}

/// What a page of messages is to what is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It takes the place of what was here.
    Fresh,
    Older,
    Newer,
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// None while nobody has written.
    pub id: Option<u64>,
    pub kind: Kind,
    pub unread: u64,
    pub mentions: u64,
    pub read_up_to: u64,
    pub peer_read_up_to: u64,
    /// The newest message there is, whether it is here or not: one's own too, as soon as it is acknowledged.
    pub newest: u64,
    /// The newest one that the cluster told of in order, by a list, a page or an event: nothing before it is still to come.
    pub told: u64,
    /// Up to this one `unread` and `mentions` count. Pages of messages may be ahead of it, and what was sent here.
    pub counted: u64,
    /// When something was said last.
    pub active_ms: u64,
    pub items: BTreeMap<u64, Item>,
    pub loading: Loading,
    pub has_older: bool,
    pub has_newer: bool,
    pub bottom: Bottom,
    pub selected: Option<u64>,
    /// What stands behind this one was unread when the conversation was opened.
    pub divider: Option<u64>,
    /// To be marked as read soon.
    pub mark_due: Option<u64>,
    /// What is being written here, while another conversation is open.
    pub draft: Editor,
    pub members: Vec<chat::Member>,
    pub members_known: bool,
}

impl Conversation {
    pub fn new(kind: Kind) -> Self {
        Self {
            id: None,
            kind,
            unread: 0,
            mentions: 0,
            read_up_to: 0,
            peer_read_up_to: 0,
            newest: 0,
            told: 0,
            counted: 0,
            active_ms: 0,
            items: BTreeMap::new(),
            loading: Loading::Never,
            has_older: false,
            has_newer: false,
            bottom: Bottom::Newest,
            selected: None,
            divider: None,
            mark_due: None,
            draft: Editor::default(),
            members: Vec::new(),
            members_known: false,
        }
    }

    /// As the cluster lists it.
    pub fn take(&mut self, listed: &chat::Conversation) {
        if self.id.is_none() && self.items.is_empty() {
            // Opened by name before the conversations were read: what was said in it is still to be read.
            self.loading = Loading::Never;
        }
        self.id = Some(listed.conversation);
        self.kind = match &listed.room {
            Some(room) => Kind::Room(room.clone()),
            None => Kind::Direct(listed.peer_name.clone()),
        };
        self.unread = listed.unread;
        self.mentions = listed.unread_mentions;
        self.read_up_to = listed.read_up_to;
        self.peer_read_up_to = listed.peer_read_up_to;
        if let Some(last) = &listed.last {
            self.counted = self.counted.max(last.id);
            self.was_told(last.id);
            self.active_ms = self.active_ms.max(last.time_ms);
        } else if let Some(room) = &listed.room {
            self.active_ms = self.active_ms.max(room.created_at_ms);
        }
    }

    /// One can write here.
    pub fn is_in(&self) -> bool {
        match &self.kind {
            Kind::Direct(_) => true,
            Kind::Room(room) => room.role() != Role::Unspecified,
        }
    }

    pub fn is_room(&self) -> bool {
        matches!(self.kind, Kind::Room(_))
    }

    /// As it is called: a name, or a room's with `#` before it.
    pub fn title(&self) -> String {
        match &self.kind {
            Kind::Direct(name) if name.is_empty() => "(deleted user)".to_owned(),
            Kind::Direct(name) => name.clone(),
            Kind::Room(room) => format!("#{}", room.name),
        }
    }

    /// The other one of a direct conversation.
    pub fn peer(&self) -> Option<&str> {
        match &self.kind {
            Kind::Direct(name) => Some(name),
            Kind::Room(_) => None,
        }
    }

    pub fn room(&self) -> Option<&chat::Room> {
        match &self.kind {
            Kind::Direct(_) => None,
            Kind::Room(room) => Some(room),
        }
    }

    pub fn room_mut(&mut self) -> Option<&mut chat::Room> {
        match &mut self.kind {
            Kind::Direct(_) => None,
            Kind::Room(room) => Some(room),
        }
    }

    /// Where to write.
    pub fn to(&self) -> To {
        match (self.id, &self.kind) {
            (Some(id), _) => To::Conversation(id),
            (None, Kind::Direct(name)) => To::User(name.clone()),
            (None, Kind::Room(room)) => To::Room(room.name.clone()),
        }
    }

    pub fn message(&self, id: u64) -> Option<&Message> {
        match self.items.get(&id)? {
            Item::Message(message) => Some(message),
            Item::Notice { .. } => None,
        }
    }

    pub fn message_mut(&mut self, id: u64) -> Option<&mut Message> {
        match self.items.get_mut(&id)? {
            Item::Message(message) => Some(message),
            Item::Notice { .. } => None,
        }
    }

    /// Messages from the newest back.
    pub fn messages_back(&self) -> impl Iterator<Item = &Message> {
        self.items.values().rev().filter_map(|item| match item {
            Item::Message(message) => Some(message),
            Item::Notice { .. } => None,
        })
    }

    /// The cluster told of this message, and of all before it.
    pub fn was_told(&mut self, message: u64) {
        self.told = self.told.max(message);
        self.newest = self.newest.max(message);
    }

    /// Takes a page of messages in.
    pub fn load(&mut self, reply: chat::HistoryReply, direction: Direction) {
        let is_end = reply.messages.is_empty();
        match direction {
            Direction::Fresh => {
                self.items.clear();
                (self.has_older, self.has_newer) = (reply.older, reply.newer);
                self.bottom = Bottom::Newest;
            }
            Direction::Older => self.has_older = reply.older && !is_end,
            Direction::Newer => self.has_newer = reply.newer && !is_end,
        }
        self.loading = Loading::Done;
        for message in reply.messages {
            self.was_told(message.id);
            self.active_ms = self.active_ms.max(message.time_ms);
            self.items.insert(message.id, Item::Message(message));
        }
    }

    /// Forgets the oldest of what is more than is kept, unless it is being looked at.
    pub fn trim(&mut self) {
        while self.items.len() > KEPT && self.bottom == Bottom::Newest {
            self.items.pop_first();
            self.has_older = true;
        }
    }

    /// The last one here.
    pub fn last(&self) -> Option<u64> {
        self.items.keys().next_back().copied()
    }

    pub fn is_loading(&self) -> bool {
        self.loading == Loading::Asked || (self.loading == Loading::Never && self.id.is_some())
    }

    pub fn is_at_bottom(&self) -> bool {
        self.bottom == Bottom::Newest && !self.has_newer
    }
}
