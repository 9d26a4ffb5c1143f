//! What can go wrong, told apart by what the caller should do about it.

use threefold_proto::chat::ErrorCode;

/// Why an operation did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The cluster decided against it and changed nothing. Repeating it as it is will not help.
    #[error("{message}")]
    Refused {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        message: String,
    },
    /// No server could carry it out in time. It was not carried out, or is harmless to repeat.
    #[error("no server answered in time: {cause} (tried {})", list(.tried))]
    Unavailable {
        /// The last thing that went wrong.
        cause: String,
        /// The servers asked, in the order of the first question to each.
        tried: Vec<String>,
    },
    /// It was sent, but no answer came in time: it may have been carried out, or may still be.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(String),
    /// The caller asked for something that cannot be sent: a malformed address, a text beyond its bounds.
    #[error("{0}")]
    Usage(String),
    /// Something on this machine failed: a full disk.
    #[error("{0}")]
    Local(String),
    /// The other side does not speak this protocol.
    #[error("the server's answer makes no sense: {0}")]
    Protocol(String),
}

impl Error {
    /// A short name for programs: the protocol's error code, or what kind of error it is.
    #[must_use]
    pub fn code_name(&self) -> &'static str {
        match self {
            Self::Refused { code, .. } => code.as_str_name(),
            Self::Unavailable { .. } => "UNAVAILABLE",
            Self::OutcomeUnknown(_) => "OUTCOME_UNKNOWN",
            Self::Usage(_) => "USAGE",
            Self::Local(_) => "LOCAL",
            Self::Protocol(_) => "PROTOCOL",
        }
    }

    /// Whether the cluster refused with this code.
    #[must_use]
    pub fn is_refusal(&self, expected: ErrorCode) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == expected)
    }
}

fn list(servers: &[String]) -> String {
    if servers.is_empty() { "no server".to_owned() } else { servers.join(", ") }
}
