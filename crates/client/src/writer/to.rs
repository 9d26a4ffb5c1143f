//! Whom a write is for.

use threefold_core::bounds;
use threefold_proto::chat::{Recipient, recipient};

use crate::Error;

/// Whom a message goes to, or which conversation is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A person, by name (any case): the direct conversation with them.
    User(String),
    /// A conversation, by id.
    Conversation(u64),
    /// A room, by name (any case), without `#`.
    Room(String),
}

impl From<&str> for To {
    /// A person's name, or a room's with `#` before it.
    fn from(name: &str) -> Self {
        match name.strip_prefix('#') {
            Some(room) => Self::Room(room.to_owned()),
            None => Self::User(name.to_owned()),
        }
    }
}

impl From<u64> for To {
    fn from(conversation: u64) -> Self {
        Self::Conversation(conversation)
    }
}

impl To {
    pub(crate) fn into_recipient(self) -> Result<Recipient, Error> {
        let to = match self {
            Self::User(name) | Self::Room(name) if name.is_empty() || name.chars().count() > bounds::NAME_CHARS => {
                return Err(Error::Usage(format!(
                    "{name:?} is no name: it has 1 to {} characters",
                    bounds::NAME_CHARS
                )));
            }
            Self::User(name) => recipient::To::User(name),
            Self::Room(name) => recipient::To::Room(name),
            Self::Conversation(id) => recipient::To::Conversation(id),
        };
        Ok(Recipient { to: Some(to) })
    }
}
