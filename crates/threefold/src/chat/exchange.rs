//! What the model is told, and what it wants done: values, so that any sequence of them can be tried.

use std::path::PathBuf;

use threefold_client::{
    Failed, Page, RoomChanges, To,
    chat::{self, Message, Role},
};

use super::{
    model::{Handle, Local, Request},
    text::as_typed,
};

/// What the outside tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// The terminal, or whoever sits before it.
    Terminal(crossterm::event::Event),
    /// Time goes on, milliseconds since 1970.
    Tick(u64),
    /// The cluster, or the disk.
    News(Box<News>),
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The account's conversations.
    LoadAll(Request),
    /// A page of one.
    LoadHistory {
        request: Request,
        handle: Handle,
        of: To,
        page: Page,
    },
    /// Messages that others answer.
    LoadQuoted {
        conversation: u64,
        messages: Vec<u64>,
    },
    /// Who is online.
    LoadOnline,
    /// Who is in a room.
    LoadMembers {
        request: Request,
        handle: Handle,
        of: To,
    },
    /// A message, with files that are to be uploaded first: the first ones were already, as these attachments.
    Send {
        local: Local,
        to: To,
        body: String,
        reply_to: u64,
        files: Vec<PathBuf>,
        uploaded: Vec<u64>,
    },
    /// What is kept on disk there need not be any more.
    Forget(KeptAs),
    /// Another write, with what to say when it is done (empty: nothing).
    Write {
        what: Write,
        done: String,
    },
    /// Say that this account types there.
    Typing(To),
    Search {
        request: Request,
        query: String,
        with: Option<To>,
        before: u64,
    },
    ListRooms {
        request: Request,
        pattern: String,
    },
    ListUsers {
        request: Request,
        pattern: String,
    },
    /// Who is called so, for completion: part of a name, or its beginning and `*`.
    FindPeople {
        request: Request,
        pattern: String,
    },
    ListInvitations,
    Status(Request),
    /// What people are shown beside this account's name.
    ShowName,
    /// Who reacted to a message.
    LoadReactions {
        request: Request,
        message: u64,
    },
    /// Gives the terminal a text to paste elsewhere.
    Copy(String),
    /// Save what is attached to a message.
    Save {
        message: Message,
        directory: PathBuf,
    },
    /// Looks which files there are, for a word that stands there.
    CompletePath {
        request: Request,
        start: usize,
        prefix: String,
    },
    Bell,
    Redraw,
    Mouse(bool),
    Suspend,
    Quit,
}

impl Effect {
    /// It is for the terminal, and asks nothing of the cluster.
    pub fn is_of_the_terminal(&self) -> bool {
        matches!(self, Self::Copy(_) | Self::Bell | Self::Redraw | Self::Mouse(_) | Self::Suspend | Self::Quit)
    }
}

/// A write other than a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Edit { message: u64, body: String },
    React { message: u64, emoji: String, add: bool },
    Delete { conversation: u64, message: u64, everyone: bool },
    MarkRead { conversation: u64, up_to: u64 },
    MarkDelivered(u64),
    CreateRoom { name: String, topic: String, public: bool },
    JoinRoom(To),
    LeaveRoom(To),
    Invite { room: To, user: String },
    Remove { room: To, user: String },
    SetRole { room: To, user: String, role: Role },
    ChangeRoom { room: To, changes: RoomChanges },
    Decline(To),
    DisplayName(String),
}

impl Write {
    /// Told by the screen itself, and told twice as good as once.
    pub fn is_marker(&self) -> bool {
        matches!(self, Self::MarkRead { .. } | Self::MarkDelivered(_))
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub enum News {
    /// Who this is, and that a server answers: what comes from here on is told, and what was before may be read.
    Begun(Box<chat::WhoAmIReply>),
    Connected(String),
    Reconnecting(String),
    Condition(chat::Condition),
    Event(Box<chat::Event>),
    CaughtUp,
    Typing(chat::TypingNotice),
    /// The cluster's history was replaced: everything is to be read again.
    Resynchronised,
    /// Nothing more will come.
    Ended(String),
    Conversations {
        request: Request,
        result: Result<Vec<chat::Conversation>, String>,
    },
    Invitations(Vec<chat::Invitation>),
    Online(Vec<chat::Account>),
    Members {
        request: Request,
        handle: Handle,
        result: Result<chat::ListMembersReply, String>,
    },
    History {
        request: Request,
        handle: Handle,
        reply: Result<chat::HistoryReply, String>,
    },
    /// Of the messages asked for, those that are there.
    Quoted {
        asked: Vec<u64>,
        result: Result<Vec<Message>, String>,
    },
    /// So many bytes of its files are at the cluster.
    Uploading {
        local: Local,
        done: u64,
        total: u64,
    },
    /// The next one of its files is at the cluster, as this attachment.
    Uploaded {
        local: Local,
        attachment: u64,
    },
    /// It is on disk as this draft, until its files are uploaded.
    Drafted {
        local: Local,
        draft: u64,
    },
    /// It is on disk, under this number of the outbox.
    Taken {
        local: Local,
        number: Option<u64>,
    },
    Sent {
        local: Local,
        result: Result<chat::MessageSent, NotSent>,
    },
    Written {
        what: Write,
        done: String,
        result: Result<(), NotSent>,
    },
    Found {
        request: Request,
        result: Result<chat::SearchMessagesReply, String>,
    },
    Rooms {
        request: Request,
        pattern: String,
        result: Result<chat::ListRoomsReply, String>,
    },
    Users {
        request: Request,
        pattern: String,
        result: Result<chat::SearchAccountsReply, String>,
    },
    /// Who is called so; `request` asked.
    People {
        request: Request,
        pattern: String,
        result: Result<chat::SearchAccountsReply, String>,
    },
    Reactions {
        request: Request,
        result: Result<chat::ListReactionsReply, String>,
    },
    Status {
        request: Request,
        result: Result<chat::ClusterStatus, String>,
    },
    /// What people are shown beside this account's name.
    Named(Result<String, String>),
    Saved(Result<Vec<PathBuf>, String>),
    /// What earlier chats left, and what waits on disk to be sent: all of it; nothing, once it is answered.
    Left(Vec<String>),
    /// What earlier chats left came to nothing: it is kept until somebody says what is to become of it.
    Unsent(Vec<Unsent>),
    /// Edits of this chat came to nothing: kept in the same way.
    EditsFailed(Vec<Unsent>),
    /// An edit of this chat is on disk, under this number of the outbox.
    EditTaken {
        message: u64,
        body: String,
        number: Option<u64>,
    },
    /// These failed in this chat, which shows it: once that has been seen, they need not be kept.
    KeptNoLonger(Vec<Failed>),
    /// What is written from now on is not kept: why.
    NotKept(String),
    /// Something that nobody asked for, and everybody should know.
    Remark(String),
    Paths {
        request: Request,
        start: usize,
        choices: Vec<String>,
    },
}

/// Where on disk something is kept until it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptAs {
    /// A write of the outbox, by its number there.
    Write(u64),
    /// A draft of it: a message whose files are not uploaded.
    Draft(u64),
}

/// What was written in an earlier chat, or an edit of this one, and is not known to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    pub kept_as: KeptAs,
    /// What was to be done with it.
    pub what: Left,
    /// Why it was not, or that nobody knows.
    pub why: String,
    /// What was typed.
    pub text: Option<String>,
}

impl Unsent {
    /// Files that it has: at the cluster, or here.
    pub fn file_count(&self) -> usize {
        match &self.what {
            Left::Message { attachments, files, .. } => attachments.len().max(files.len()),
            Left::Edit | Left::Other(_) => 0,
        }
    }

    /// What one types to say it; empty where it says nothing.
    pub fn as_typed(&self) -> String {
        let text = self.text.as_deref().unwrap_or_default();
        match &self.what {
            Left::Message { files, .. } => typed_with(files, text),
            Left::Edit | Left::Other(_) => as_typed(text),
        }
    }
}

/// What it was to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// A message, with what it needs to be written again: its files at the cluster, or, where they are not there yet, here.
    Message { to: Option<To>, reply_to: u64, attachments: Vec<u64>, files: Vec<PathBuf> },
    /// Another text of a message.
    Edit,
    /// Something else, in words.
    Other(&'static str),
}

/// Why a message has no acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// It is not there, and will not be.
    Refused(String),
    /// The same; its files, which had been uploaded, are gone.
    FilesGone(String),
    /// It may be there, or still come.
    Unknown(String),
}

impl NotSent {
    pub fn why(&self) -> &str {
        match self {
            Self::Refused(why) | Self::FilesGone(why) | Self::Unknown(why) => why,
        }
    }
}

/// What one types to send files with a text.
pub fn typed_with(files: &[PathBuf], text: &str) -> String {
    match files {
        [] => as_typed(text),
        [file, ..] => format!("/attach \"{}\" {text}", file.display()),
    }
}
