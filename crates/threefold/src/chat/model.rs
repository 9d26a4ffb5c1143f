//! What the screen shows: plain values, which only `update` changes and only `view` draws.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use chrono::{DateTime, FixedOffset, Offset as _, TimeZone as _, Utc};
use threefold_client::{
    To,
    chat::{self, Message},
};

pub use super::exchange::{Effect, Event, KeptAs, Left, News, NotSent, Unsent, Write};
use super::{
    conversation::Conversation,
    editor::{Editor, History},
    exchange::typed_with,
    overlay::Overlay,
    people::People,
    request::Again,
    theme::Theme,
};

/// A conversation on this screen; one that nobody has written in yet has no other name.
pub type Handle = u32;
/// A message of ours that is not acknowledged yet.
pub type Local = u64;
/// A question to the cluster or the disk. Its answer has the same number; one that nobody waits for any more is not taken.
pub type Request = u64;

/// How the cluster is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Connecting,
    Connected(String),
    /// With the reason.
    Lost(String),
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Pending {
    pub local: Local,
    pub handle: Handle,
    pub body: String,
    pub reply_to: u64,
    pub files: Vec<PathBuf>,
    /// Those of its files that are at the cluster.
    pub uploaded: Vec<u64>,
    pub time_ms: u64,
    pub state: PendingState,
    /// It is on disk under this number, and goes out whatever becomes of this chat.
    pub kept_as: Option<u64>,
    /// It is on disk as this draft, until its files are uploaded: the next chat lists it then.
    pub draft: Option<u64>,
    /// What is kept there already, and this takes the place of as soon as it is kept itself.
    pub again: Option<KeptAs>,
    /// It was given up, and was in sight since.
    pub was_seen: bool,
    /// The event that seems to be this message: it came before the answer, and is shown in its place.
    pub seen_as: Option<u64>,
    /// The newest message that was there when it was written; the greatest number there is, if that was not known.
    pub after: u64,
}

impl Pending {
    /// To be sent there; what else it is, `send_again` says.
    pub fn new(handle: Handle, body: String, reply_to: u64, files: Vec<PathBuf>) -> Self {
        Self {
            local: 0,
            handle,
            body,
            reply_to,
            files,
            uploaded: Vec::new(),
            time_ms: 0,
            state: PendingState::Waiting,
            kept_as: None,
            draft: None,
            again: None,
            was_seen: false,
            seen_as: None,
            after: 0,
        }
    }

    /// How many files it has: those here, or, where it is written again, those at the cluster.
    pub fn file_count(&self) -> usize {
        self.files.len().max(self.uploaded.len())
    }

    /// Not all of its files are at the cluster: until then, it is nowhere but here.
    pub fn needs_upload(&self) -> bool {
        self.uploaded.len() < self.files.len()
    }

    /// It may have been sent, or not, and ends with this chat.
    pub fn is_unkept(&self) -> bool {
        self.kept_as.is_none() && self.draft.is_none() && self.seen_as.is_none() && !self.needs_upload()
    }

    /// What one types to say it.
    pub fn as_typed(&self) -> String {
        typed_with(&self.files, &self.body)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingState {
    Waiting,
    /// So many bytes of so many.
    Uploading(u64, u64),
    /// It is not there, for this reason.
    Failed(String),
    /// Nobody knows whether it is there, for this reason.
    Unknown(String),
}

impl PendingState {
    /// Nothing more is done about it by itself.
    pub fn is_given_up(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Unknown(_))
    }
}

/// Another text for a message, on its way, or refused.
#[derive(Clone, Debug)]
pub struct PendingEdit {
    pub message: u64,
    pub body: String,
    /// It is on disk under this number, and goes out whatever becomes of this chat; refused, it is there until it is given up.
    pub kept_as: Option<u64>,
    /// It came to nothing, or nobody knows.
    pub failed: Option<NotSent>,
}

impl PendingEdit {
    /// It is the one of these words, and waits.
    pub fn is_waiting(&self, message: u64, body: &str) -> bool {
        self.failed.is_none() && self.message == message && self.body == body
    }
}

/// What the line one types will be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Composing {
    #[default]
    Message,
    Reply(u64),
    Edit(u64),
    React(u64),
    /// The message that an earlier chat left there.
    Again(KeptAs),
}

/// Somebody who types.
#[derive(Clone, Debug)]
pub struct Typist {
    pub conversation: u64,
    pub account: u64,
    pub name: String,
    pub until_ms: u64,
}

/// A word for a while.
#[derive(Clone, Debug)]
pub struct Flash {
    pub text: String,
    pub is_error: bool,
    pub since_ms: u64,
    pub until_ms: u64,
}

/// Whose hours are shown.
#[derive(Clone, Copy, Debug)]
pub enum Zone {
    Local,
    #[cfg(test)]
    Utc,
}

impl Zone {
    /// A moment as a clock on the wall shows it.
    pub fn at(self, time_ms: u64) -> DateTime<FixedOffset> {
        let ms = i64::try_from(time_ms).unwrap_or(0);
        let utc = Utc.timestamp_millis_opt(ms).single().unwrap_or_default();
        match self {
            Self::Local => utc.with_timezone(&utc.with_timezone(&chrono::Local).offset().fix()),
            #[cfg(test)]
            Self::Utc => utc.fixed_offset(),
        }
    }
}

/// Words that complete what is being typed.
#[derive(Clone, Debug)]
pub struct Completion {
    /// Where the word stands.
    pub start: usize,
    pub choices: Vec<String>,
    pub index: usize,
}

/// What was asked for, to complete this text with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completing {
    pub request: Request,
    pub text: String,
    pub cursor: usize,
}

/// A conversation with somebody whom nobody here has seen, and who may not be there at all.
#[derive(Clone, Copy, Debug)]
pub struct Doubt {
    pub request: Request,
    pub handle: Handle,
    /// What was open before.
    pub before: Option<Handle>,
}

/// For which direct messages and mentions the terminal is rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Bell {
    /// None
    Never,
    /// Those in conversations that are not looked at
    Away,
    /// All
    Always,
}

/// Everything on the screen.
#[derive(Debug)]
pub struct Model {
    pub account: u64,
    pub name: String,
    pub size: (u16, u16),
    pub now_ms: u64,
    pub zone: Zone,
    pub theme: Theme,
    pub link: Link,
    pub condition: chat::Condition,
    /// It is known from where on everything is told: what is read from then on has no hole before it. Until then, nothing is read.
    pub has_begun: bool,
    /// The conversations were read.
    pub is_loaded: bool,
    /// The list of them that is on its way.
    pub list_asked: Option<Request>,
    /// They are to be read.
    pub list_wanted: bool,
    pub list_again: Again,
    pub conversations: BTreeMap<Handle, Conversation>,
    pub open: Option<Handle>,
    pub editor: Editor,
    pub history: History,
    pub composing: Composing,
    pub completion: Option<Completion>,
    /// Paths or names are to complete it.
    pub completing: Option<Completing>,
    /// What the cluster was asked for, of names: each once.
    pub patterns_asked: BTreeSet<String>,
    pub doubt: Option<Doubt>,
    pub overlay: Option<Overlay>,
    pub flash: Option<Flash>,
    pub outbox: Vec<Pending>,
    /// Edits that are not acknowledged.
    pub edits: Vec<PendingEdit>,
    /// What earlier chats left on disk, and goes out first.
    pub left: Vec<String>,
    /// Names in lower case.
    pub online: BTreeSet<String>,
    /// Who was seen: for completion, and for what they are called.
    pub people: People,
    pub invitations: Vec<chat::Invitation>,
    pub typists: Vec<Typist>,
    /// When it was last told that this account types.
    pub told_typing_ms: u64,
    /// What answered messages say, where they are not among those loaded.
    /// None: it is not there any more.
    pub quoted: BTreeMap<u64, Option<Message>>,
    /// Those that changed while they were asked for: the answer may be of before.
    pub quotes_changed: BTreeSet<u64>,
    /// Those that were asked for.
    pub asked: BTreeSet<u64>,
    pub quotes_again: Again,
    /// A room that was joined, and is to be shown once the event of it is here.
    pub arriving: Option<To>,
    /// The terminal is the one that is looked at; one that never tells counts as such.
    pub focused: bool,
    pub bell: Bell,
    /// When it was rung last.
    pub rang_ms: u64,
    pub mouse: bool,
    /// What earlier chats left and could not send, and edits of this one that came to nothing.
    pub unsent: Vec<Unsent>,
    /// How many conversations the list begins after.
    pub list_from: usize,
    pub delivered: u64,
    pub marked_delivered: u64,
    pub looked_online_ms: u64,
    /// Why nothing more can come, if so.
    pub over: Option<String>,
    pub next_handle: Handle,
    pub next_local: Local,
    pub next_request: Request,
    /// What is to be done; taken by whoever called `update`.
    pub effects: Vec<Effect>,
}

/// How long a word stands.
const FLASH_MS: u64 = 6_000;
/// Whoever types on after so long has seen it.
const FLASH_SEEN_MS: u64 = 2_000;

impl Model {
    pub fn new(account: u64, name: &str, theme: Theme, zone: Zone, now_ms: u64) -> Self {
        Self {
            account,
            name: name.to_owned(),
            size: (80, 24),
            now_ms,
            zone,
            theme,
            link: Link::Connecting,
            condition: chat::Condition::default(),
            has_begun: false,
            is_loaded: false,
            list_asked: None,
            list_wanted: true,
            list_again: Again::default(),
            conversations: BTreeMap::new(),
            open: None,
            editor: Editor::default(),
            history: History::default(),
            composing: Composing::Message,
            completion: None,
            completing: None,
            patterns_asked: BTreeSet::new(),
            doubt: None,
            overlay: None,
            flash: None,
            outbox: Vec::new(),
            edits: Vec::new(),
            left: Vec::new(),
            online: BTreeSet::new(),
            people: People::default(),
            invitations: Vec::new(),
            typists: Vec::new(),
            told_typing_ms: 0,
            quoted: BTreeMap::new(),
            quotes_changed: BTreeSet::new(),
            asked: BTreeSet::new(),
            quotes_again: Again::default(),
            arriving: None,
            focused: true,
            bell: Bell::Away,
            rang_ms: 0,
            mouse: true,
            unsent: Vec::new(),
            list_from: 0,
            delivered: 0,
            marked_delivered: 0,
            looked_online_ms: 0,
            over: None,
            next_handle: 1,
            next_local: 1,
            next_request: 1,
            effects: Vec::new(),
        }
    }

    /// The conversation that is open.
    pub fn current(&self) -> Option<&Conversation> {
        self.conversations.get(&self.open?)
    }

    pub fn current_mut(&mut self) -> Option<&mut Conversation> {
        self.conversations.get_mut(&self.open?)
    }

    /// In the order they are listed: where something happened last stands first.
    pub fn listed(&self) -> Vec<Handle> {
        let mut all: Vec<(&Handle, &Conversation)> = self.conversations.iter().filter(|(_, one)| one.is_in()).collect();
        all.sort_by(|(a, one), (b, other)| other.active_ms.cmp(&one.active_ms).then(a.cmp(b)));
        all.into_iter().map(|(handle, _)| *handle).collect()
    }

    /// The conversation of that number.
    pub fn handle_of(&self, conversation: u64) -> Option<Handle> {
        self.conversations.iter().find(|(_, one)| one.id == Some(conversation)).map(|(handle, _)| *handle)
    }

    /// The conversation with this title: a name, or a room's with `#` before it.
    pub fn handle_called(&self, title: &str) -> Option<Handle> {
        let title = title.to_lowercase();
        self.conversations.iter().find(|(_, one)| one.title().to_lowercase() == title).map(|(handle, _)| *handle)
    }

    pub fn add(&mut self, conversation: Conversation) -> Handle {
        let handle = self.next_handle;
        self.next_handle += 1;
        self.conversations.insert(handle, conversation);
        handle
    }

    pub fn is_online(&self, name: &str) -> bool {
        self.online.contains(&name.to_lowercase())
    }

    /// Says something for a while.
    pub fn say(&mut self, text: impl Into<String>) {
        self.flash_for(text.into(), false, FLASH_MS);
    }

    /// Says for a while what went wrong.
    pub fn complain(&mut self, text: impl Into<String>) {
        self.flash_for(text.into(), true, 2 * FLASH_MS);
    }

    fn flash_for(&mut self, text: String, is_error: bool, shown_ms: u64) {
        let since_ms = self.now_ms;
        self.flash = Some(Flash { text, is_error, since_ms, until_ms: since_ms + shown_ms });
    }

    /// Somebody goes on: what was said long enough to be read gives the row back, which explains what is typed now.
    pub fn goes_on(&mut self) {
        let now_ms = self.now_ms;
        self.flash.take_if(|flash| flash.since_ms + FLASH_SEEN_MS <= now_ms);
    }

    /// A number for the next question.
    pub fn request(&mut self) -> Request {
        let request = self.next_request;
        self.next_request += 1;
        request
    }

    /// Nothing is being written, so that another conversation may be shown without anybody's doing.
    pub fn is_idle(&self) -> bool {
        self.overlay.is_none() && self.editor.is_empty() && self.composing == Composing::Message
    }

    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub fn write(&mut self, what: Write, done: impl Into<String>) {
        if let Write::Edit { message, body } = &what {
            self.edits.push(PendingEdit { message: *message, body: body.clone(), kept_as: None, failed: None });
        }
        self.effects.push(Effect::Write { what, done: done.into() });
    }

    /// A message among all that are here, and where it is.
    pub fn message(&self, id: u64) -> Option<(Handle, &Message)> {
        let mut all = self.conversations.iter();
        all.find_map(|(handle, one)| one.message(id).map(|message| (*handle, message)))
    }

    /// What waits or has failed in a conversation, and is not seen as an event already.
    pub fn pending(&self, handle: Handle) -> impl DoubleEndedIterator<Item = &Pending> {
        self.outbox.iter().filter(move |pending| pending.handle == handle && pending.seen_as.is_none())
    }

    /// Messages that wait for the cluster.
    pub fn waiting(&self) -> usize {
        self.outbox.iter().filter(|pending| !pending.state.is_given_up()).count()
    }

    /// Edits that do.
    pub fn waiting_edits(&self) -> impl Iterator<Item = &PendingEdit> {
        self.edits.iter().filter(|edit| edit.failed.is_none())
    }

    /// Unread messages anywhere.
    pub fn unread(&self) -> u64 {
        self.conversations.values().filter(|one| one.is_in()).map(|one| one.unread).sum()
    }

    /// Unread messages elsewhere.
    pub fn unread_elsewhere(&self) -> (u64, u64) {
        let others = self.conversations.iter().filter(|(handle, one)| Some(**handle) != self.open && one.is_in());
        others.fold((0, 0), |(unread, mentions), (_, one)| (unread + one.unread, mentions + one.mentions))
    }
}
