//! One conversation, with as much of it as was read, and the place in it that is looked at.

use std::collections::BTreeMap;

use threefold_client::{
    Page, To,
    chat::{self, Message, Role},
};

use super::{editor::Editor, model::Composing, request::Again};

/// Messages kept of one conversation; others are read again when wanted.
const KEPT: usize = 1_000;
/// The same where somebody reads further up: what they look at is kept, with so much around it.
const KEPT_AROUND: usize = 2 * KEPT;

/// With whom, or where.
#[derive(Clone, Debug)]
pub enum Kind {
    /// With a person; an empty name: deleted.
    Direct(String),
    Room(chat::Room),
}

/// A page that is on its way. The answer to any other request is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub request: u64,
    pub page: Page,
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
    /// A page was read, so that what is here has no holes; or nobody can have written yet.
    pub is_read: bool,
    /// The page that is on its way.
    pub asked: Option<Asked>,
    /// When a page may be asked for again, after some could not be had.
    pub again: Again,
    pub has_older: bool,
    pub has_newer: bool,
    pub bottom: Bottom,
    pub selected: Option<u64>,
    /// What stands behind this one was unread when the conversation was opened.
    pub divider: Option<u64>,
    /// To be marked as read soon.
    pub mark_due: Option<u64>,
    /// What is being written here, and what it will be, while another conversation is open.
    pub draft: (Editor, Composing),
    pub members: Vec<chat::Member>,
    /// They are known, or were asked for with this request.
    pub members_asked: Option<u64>,
    pub members_again: Again,
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
            is_read: false,
            asked: None,
            again: Again::default(),
            has_older: false,
            has_newer: false,
            bottom: Bottom::Newest,
            selected: None,
            divider: None,
            mark_due: None,
            draft: (Editor::default(), Composing::Message),
            members: Vec::new(),
            members_asked: None,
            members_again: Again::default(),
        }
    }

    /// Forgets what was read, so that it is read from the end again.
    pub fn restart(&mut self) {
        self.items.clear();
        (self.has_older, self.has_newer, self.is_read) = (false, false, false);
        self.asked = None;
    }

    /// Its number is known now. One that was opened by name may have a history all the same, which is still to be read: nobody but the
    /// cluster knows.
    pub fn becomes(&mut self, id: u64) {
        if self.id != Some(id) {
            self.id = Some(id);
            self.restart();
        }
    }

    /// As the cluster lists it.
    pub fn take(&mut self, listed: &chat::Conversation) {
        self.becomes(listed.conversation);
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

    /// Takes the page in that was asked for.
    pub fn load(&mut self, page: Page, reply: chat::HistoryReply) {
        let is_end = reply.messages.is_empty();
        match page {
            Page::Before(0) => {
                // What came by itself while the page was on its way may be later than the page.
                let last = reply.messages.last().map_or(0, |last| last.id);
                self.items.retain(|id, _| *id > last);
                (self.has_older, self.has_newer) = (reply.older, reply.newer);
                self.bottom = Bottom::Newest;
            }
            Page::Around(wanted) => {
                self.items.clear();
                (self.has_older, self.has_newer) = (reply.older, reply.newer);
                self.selected = reply.messages.iter().map(|message| message.id).find(|id| *id == wanted);
                self.bottom = self.selected.map_or(Bottom::Newest, |item| Bottom::At { item, hidden: 0 });
            }
            Page::Before(_) => self.has_older = reply.older && !is_end,
            Page::After(_) | Page::At(_) => self.has_newer = reply.newer && !is_end,
        }
        (self.is_read, self.asked, self.again) = (true, None, Again::default());
        for message in reply.messages {
            self.was_told(message.id);
            self.active_ms = self.active_ms.max(message.time_ms);
            self.items.insert(message.id, Item::Message(message));
        }
        self.trim();
    }

    /// Whether what comes now belongs behind what is here: nothing is missing in between, or the page that is on its way brings it.
    pub fn is_open_ended(&self) -> bool {
        let is_coming = matches!(self.asked, Some(Asked { page: Page::Before(0), .. }));
        !self.has_newer && (self.is_read || is_coming)
    }

    /// Puts something where it belongs, unless that is before all that was read.
    pub fn put(&mut self, id: u64, item: Item) {
        if self.has_older && self.items.keys().next().is_some_and(|first| id < *first) {
            return;
        }
        self.items.insert(id, item);
        self.trim();
    }

    /// Forgets what is more than is kept: the oldest, or, where somebody reads further up, the newest.
    fn trim(&mut self) {
        let looked_at = match self.bottom {
            Bottom::Newest => None,
            Bottom::At { item, .. } => Some(item),
        };
        let kept = if looked_at.is_none() { KEPT } else { KEPT_AROUND };
        while self.items.len() > kept {
            if looked_at.is_some_and(|item| self.last() > Some(item)) {
                self.items.pop_last();
                self.has_newer = true;
            } else {
                self.items.pop_first();
                self.has_older = true;
            }
        }
    }

    /// The last one here.
    pub fn last(&self) -> Option<u64> {
        self.items.keys().next_back().copied()
    }

    pub fn is_loading(&self) -> bool {
        self.asked.is_some() || (!self.is_read && self.id.is_some())
    }

    /// What was said last is in sight, if one looks: nothing is missing before it.
    pub fn is_seen_to_the_end(&self) -> bool {
        self.is_read && self.is_at_bottom()
    }

    pub fn is_at_bottom(&self) -> bool {
        self.bottom == Bottom::Newest && !self.has_newer
    }
}
