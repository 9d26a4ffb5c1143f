//! What stands over the conversation for a while: help, search, lists, questions.

use threefold_client::chat::FoundMessage;

use super::{
    editor::Editor,
    model::{Effect, Handle, KeptAs, Request},
};

/// One of them.
#[derive(Debug)]
pub enum Overlay {
    /// Keys and commands, from this row on.
    Help {
        from: usize,
    },
    /// Where to go, among all that match.
    Switcher {
        filter: Editor,
        index: usize,
    },
    Search(SearchView),
    List(List),
    /// Yes or no.
    Question {
        text: String,
        answer: Answer,
    },
}

/// What a yes does.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Do(Box<Effect>),
    Quit,
}

/// Messages that say something.
#[derive(Debug)]
pub struct SearchView {
    /// Whose answer is shown.
    pub request: Request,
    pub query: String,
    /// Only in this conversation.
    pub within: Option<Handle>,
    pub found: Vec<FoundMessage>,
    pub index: usize,
    pub is_loading: bool,
    /// There may be more before this id.
    pub more_before: u64,
    pub is_complete: bool,
    pub error: Option<String>,
}

/// Rows to look at, or to choose from.
#[derive(Debug)]
pub struct List {
    /// Whose answer fills it.
    pub request: Request,
    pub title: String,
    pub rows: Vec<Row>,
    pub index: usize,
    pub is_loading: bool,
    /// What stands below, or instead of nothing.
    pub remark: String,
}

/// One of them.
#[derive(Debug)]
pub struct Row {
    pub label: String,
    pub detail: String,
    pub choice: Choice,
}

/// What choosing it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    Nothing,
    /// Opens the conversation with this person, or the room (with `#`), which is joined if need be.
    Open(String),
    /// The number of a room one is invited to.
    Join(u64),
    /// Takes up what was not sent.
    TakeUp(KeptAs),
}

impl List {
    pub fn loading(request: Request, title: impl Into<String>) -> Self {
        Self { request, title: title.into(), rows: Vec::new(), index: 0, is_loading: true, remark: String::new() }
    }
}
