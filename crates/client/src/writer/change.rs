//! What an outbox that outlives the process tells its storage, and is told by it when it comes back.

use threefold_proto::chat::{ErrorCode, RequestId, write::Operation};

use crate::Error;

/// A change of an outbox that outlives the process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// A write was accepted; the key is its place in the order of all that ever were.
    Accepted { key: u64, operation: Operation },
    /// It goes out under this name.
    Named { key: u64, request: RequestId },
    /// It certainly never ran under its name, and has none now.
    Unnamed { key: u64 },
    /// It was a success, or came to nothing and somebody was told.
    Removed { key: u64 },
    /// It came to nothing, and will not be asked for again: the cluster may forget the answer from here on.
    Failed { key: u64, why: Why },
    /// A program keeps this beside the writes, until it can be one.
    Drafted { draft: u64, content: Vec<u8> },
    /// It need not be kept any more.
    Undrafted { draft: u64 },
}

/// Why a write came to nothing, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The protocol's number of the error, and its words.
    Refused(u64, String),
    /// It may have run.
    Unknown(String),
    /// The answer made no sense.
    Protocol(String),
}

impl Why {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Refused { code, message } => {
                Self::Refused(u64::try_from(i32::from(*code)).unwrap_or(0), message.clone())
            }
            Error::OutcomeUnknown(why) => Self::Unknown(why.clone()),
            Error::Protocol(why) => Self::Protocol(why.clone()),
            // No answer is one of these.
            Error::Unavailable { .. } | Error::Usage(_) | Error::Local(_) => Self::Unknown(error.to_string()),
        }
    }

    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Refused(number, message) => {
                // One that a later version wrote has words, too.
                let code = i32::try_from(number).ok().and_then(|number| ErrorCode::try_from(number).ok());
                Error::Refused { code: code.unwrap_or(ErrorCode::Unspecified), message }
            }
            Self::Unknown(why) => Error::OutcomeUnknown(why),
            Self::Protocol(why) => Error::Protocol(why),
        }
    }
}

/// A write that an outbox on disk held and that came to nothing. It is kept until somebody was told ([`crate::Writer::told`]).
#[derive(Clone, Debug)]
pub struct Failed {
    /// Its place in the order of all that were accepted.
    pub(crate) key: u64,
    /// What it was to do.
    pub operation: Operation,
    /// Why it came to nothing, or will never be known to have come to anything ([`Error::OutcomeUnknown`]).
    pub error: Error,
}

impl Failed {
    /// Its place in the order of all writes that the outbox ever accepted; the first has 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.key
    }

    /// What it was to say, where it was a message, or the new text of one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        text(&self.operation)
    }
}

/// What a write is to say, where it is a message, or the new text of one.
pub(super) fn text(operation: &Operation) -> Option<&str> {
    match operation {
        Operation::Send(message) => Some(&message.body),
        Operation::Edit(edit) => Some(&edit.body),
        _ => None,
    }
}

/// A write that an earlier process left.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) key: u64,
    pub(crate) request: Option<RequestId>,
    pub(crate) operation: Operation,
    /// It came to nothing, and nobody was told.
    pub(crate) failed: Option<Why>,
}
