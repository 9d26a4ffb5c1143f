//! Replies, and what is delivered: the five fields, with what JSON tells beside them.

use serde::Serialize;

/// Text of a list in one reply: with the other fields it fits a binary body, and what waits for a slow reader stays
/// small. Who wants more asks for the next page.
pub const LISTED_BYTES: usize = 60_000;

/// What a client is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The command that is answered; `message` for one that is delivered; `closing` before the connection is closed.
    pub cmd: String,
    /// As in the request; of a message, its author.
    pub src: String,
    /// As in the request; of a message, the user or room it went to.
    pub to: String,
    /// For people: what was done, what is wrong, or a list, one item a line.
    pub body: String,
    /// The request was refused.
    pub error: bool,
    /// For programs.
    pub details: Details,
}

/// What JSON tells beside the five fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Details {
    /// Nothing.
    #[default]
    Nothing,
    /// A refusal.
    Refused {
        /// Which: the names of gRPC's `ErrorCode`.
        code: &'static str,
        /// When to try again; zero: nothing says when.
        #[serde(skip_serializing_if = "is_zero")]
        retry_after_ms: u64,
    },
    /// Somebody is logged in.
    LoggedIn {
        /// The account's id.
        account: u64,
    },
    /// A message, sent or delivered.
    Message {
        /// Its id.
        id: u64,
        /// When, as RFC 3339 says.
        time: String,
    },
    /// A page of messages, oldest first.
    History {
        /// The page.
        messages: Vec<Message>,
        /// There are older ones.
        more: bool,
    },
    /// Conversations with unread messages.
    Unread {
        /// Which.
        conversations: Vec<Conversation>,
        /// There are more.
        more: bool,
    },
    /// People.
    Users {
        /// Their names.
        users: Vec<String>,
        /// There are more.
        more: bool,
    },
    /// The cluster.
    Status {
        /// Its state in one word or two.
        state: String,
        /// Its servers.
        servers: Vec<Server>,
    },
}

/// A message in a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Its id.
    pub id: u64,
    /// When, as RFC 3339 says.
    pub time: String,
    /// By whom.
    pub src: String,
    /// The user or room it went to.
    pub to: String,
    /// The text; empty once deleted.
    pub body: String,
    /// Only a tombstone is left.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// A conversation with unread messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conversation {
    /// The other person, or the room.
    pub with: String,
    /// How many.
    pub unread: u64,
}

/// A server of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// "leader", "follower", "learner", "candidate", "down".
    pub role: String,
    /// Its chat TCP port; empty where it has none.
    pub chat_address: String,
}

impl Message {
    /// The message in a list of lines. Line ends within the text are written `\n` and `\r`, and `\` as `\\`.
    #[must_use]
    pub fn line(&self) -> String {
        let text = if self.deleted { "(deleted)".to_owned() } else { escape(&self.body) };
        format!("{} {} {}: {text}", self.id, self.time, self.src)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

/// How many of the lines fit [`LISTED_BYTES`].
#[must_use]
pub fn listed<'a>(lines: impl Iterator<Item = &'a String>) -> usize {
    let mut bytes = 0;
    let fits = |line: &&String| {
        bytes += line.len() + 1;
        bytes <= LISTED_BYTES
    };
    lines.take_while(fits).count()
}
