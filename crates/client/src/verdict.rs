//! What a failed call means: try again elsewhere, or give up. The one place that reads gRPC statuses.

use prost::Message as _;
use threefold_proto::chat::{self, ErrorCode};
use tonic::{Code, Status};

use crate::Error;

/// What a failed call says.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Nothing is known of the outcome; another server, or the same one later, may do better.
    Unavailable {
        cause: String,
        /// The connection itself failed, so it is no longer worth keeping.
        broken: bool,
    },
    /// The server has too much to do; it did nothing.
    Overloaded(String),
    /// Final.
    Refused {
        code: ErrorCode,
        message: String,
        /// Of OUT_OF_ORDER: the number that is due.
        expected: u64,
    },
}

impl Verdict {
    /// Reads a gRPC status.
    pub(crate) fn of(status: &Status) -> Self {
        match chat::Error::decode(status.details()) {
            Ok(error) if error.code != ErrorCode::Unspecified as i32 => Self::of_error(&error),
            _ => Self::of_bare(status),
        }
    }

    /// Reads the protocol's own error.
    pub(crate) fn of_error(error: &chat::Error) -> Self {
        let message = error.message.clone();
        match error.code() {
            ErrorCode::Unavailable => Self::Unavailable { cause: message, broken: false },
            ErrorCode::Overloaded => Self::Overloaded(message),
            code => Self::Refused { code, message, expected: error.expected },
        }
    }

    /// A status without details: from the transport, a proxy, or a server without our error type.
    fn of_bare(status: &Status) -> Self {
        let message = describe(status);
        let refused = |code| Self::Refused { code, message: message.clone(), expected: 0 };
        match status.code() {
            Code::Unauthenticated => refused(ErrorCode::SessionInvalid),
            Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition => refused(ErrorCode::Invalid),
            Code::PermissionDenied => refused(ErrorCode::Forbidden),
            Code::NotFound => refused(ErrorCode::UnknownMessage),
            Code::AlreadyExists => refused(ErrorCode::NameTaken),
            Code::Unimplemented | Code::DataLoss => refused(ErrorCode::Internal),
            Code::ResourceExhausted => Self::Overloaded(message),
            // The transport reports a broken connection under any of these.
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::Aborted
            | Code::Ok => Self::Unavailable { cause: message, broken: true },
        }
    }

    /// The error to report when nothing more can be tried; `tried` names the servers asked.
    pub(crate) fn into_error(self, tried: Vec<String>) -> Error {
        match self {
            Self::Unavailable { cause, .. } => Error::Unavailable { cause, tried },
            Self::Overloaded(message) => Error::Refused { code: ErrorCode::Overloaded, message },
            Self::Refused { code, message, .. } => Error::Refused { code, message },
        }
    }

    /// In words.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Unavailable { cause, .. } => cause,
            Self::Overloaded(message) | Self::Refused { message, .. } => message,
        }
    }
}

/// The innermost cause says most ("Connection refused"), the status itself least ("transport error").
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    if text.is_empty() { error.to_string() } else { text }
}
