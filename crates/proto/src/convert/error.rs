//! Refusals on the wire: the domain's rejections and the server's own refusals become a
//! [`chat::Error`], and that travels in the details of a gRPC status and back.

use prost::Message as _;
use threefold_core::Rejection;
use tonic::{Code, Status};

use crate::chat::{self, ErrorCode};

/// Words kept of a refusal, in bytes: they travel in HTTP/2 headers, which peers bound (commonly at
/// 8 KiB, and both as text and inside the details), and they may quote what a client sent.
const WORDS_BYTES: usize = 512;

/// What a server refuses by itself, before or instead of the state machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is known of the outcome; retry with the same request id.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Too much at once; retry later.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// Over a limit of rates; after that time it will do.
    #[error("{what}: try again in {}", in_words(*.retry_after_ms))]
    RateLimited {
        /// What there was too much of.
        what: &'static str,
        /// How long to wait.
        retry_after_ms: u64,
    },
    /// The cursor belongs to another history of the cluster.
    #[error("the cursor is of another history of this cluster: start over from zero")]
    CursorInvalid,
    /// Nothing can be searched for so.
    #[error("{0}")]
    NotSearchable(String),
    /// The server has a fault; the words are for its operator.
    #[error("internal error: {0}")]
    Internal(String),
    /// As the state machine would have refused, or did.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl Refusal {
    /// A text or number beyond its bounds.
    pub fn invalid(words: impl Into<String>) -> Self {
        Self::Rejected(Rejection::Invalid(words.into()))
    }

    /// Nothing is known of the outcome.
    pub fn unavailable(words: impl Into<String>) -> Self {
        Self::Unavailable(words.into())
    }
}

/// A refusal as clients hear of it.
#[must_use]
pub fn error_of(refusal: &Refusal) -> chat::Error {
    let retry_after_ms = match refusal {
        Refusal::RateLimited { retry_after_ms, .. } => *retry_after_ms,
        _ => 0,
    };
    let (code, expected) = match refusal {
        Refusal::RateLimited { .. } => (ErrorCode::RateLimited, 0),
        Refusal::Unavailable(_) => (ErrorCode::Unavailable, 0),
        Refusal::Overloaded(_) => (ErrorCode::Overloaded, 0),
        Refusal::CursorInvalid => (ErrorCode::CursorInvalid, 0),
        Refusal::NotSearchable(_) => (ErrorCode::SearchInvalid, 0),
        Refusal::Internal(_) => (ErrorCode::Internal, 0),
        Refusal::Rejected(rejection) => match rejection {
            Rejection::SessionInvalid => (ErrorCode::SessionInvalid, 0),
            Rejection::NameTaken => (ErrorCode::NameTaken, 0),
            Rejection::Invalid(_) => (ErrorCode::Invalid, 0),
            Rejection::UnknownUser(_) => (ErrorCode::UnknownUser, 0),
            Rejection::UnknownConversation => (ErrorCode::UnknownConversation, 0),
            Rejection::UnknownMessage(_) => (ErrorCode::UnknownMessage, 0),
            Rejection::Forbidden(_) => (ErrorCode::Forbidden, 0),
            Rejection::WrongCredential => (ErrorCode::WrongCredential, 0),
            Rejection::OutOfOrder { expected } => (ErrorCode::OutOfOrder, *expected),
            Rejection::RequestMismatch => (ErrorCode::RequestMismatch, 0),
            Rejection::ReplyForgotten => (ErrorCode::ReplyForgotten, 0),
            Rejection::UnknownInstance => (ErrorCode::UnknownInstance, 0),
            Rejection::UnknownSession(_) => (ErrorCode::UnknownSession, 0),
            Rejection::AccountDisabled => (ErrorCode::AccountDisabled, 0),
            Rejection::NotAdministrator => (ErrorCode::NotAdministrator, 0),
            Rejection::MessageDeleted(_) => (ErrorCode::MessageDeleted, 0),
            Rejection::TooManyReactions(_) => (ErrorCode::TooManyReactions, 0),
            Rejection::AttachmentTooLarge { .. } => (ErrorCode::AttachmentTooLarge, 0),
            Rejection::QuotaExceeded { .. } => (ErrorCode::QuotaExceeded, 0),
            Rejection::UnknownAttachment(_) => (ErrorCode::UnknownAttachment, 0),
            Rejection::UploadOutOfPlace { expected } => (ErrorCode::UploadOutOfPlace, *expected),
            Rejection::UnknownBot(_) => (ErrorCode::UnknownBot, 0),
            Rejection::UnknownWebhook => (ErrorCode::UnknownWebhook, 0),
            Rejection::NotForBots => (ErrorCode::NotForBots, 0),
            Rejection::UnknownRoom(_) => (ErrorCode::UnknownRoom, 0),
            Rejection::RoomNameTaken(_) => (ErrorCode::RoomNameTaken, 0),
            Rejection::NotInRoom(_) => (ErrorCode::NotInRoom, 0),
            Rejection::NotInvited(_) => (ErrorCode::NotInvited, 0),
            Rejection::LimitReached(_) => (ErrorCode::LimitReached, 0),
        },
    };
    chat::Error { code: code.into(), message: bounded(refusal.to_string()), expected, retry_after_ms }
}

/// A wait as people say it, rounded up.
fn in_words(ms: u64) -> String {
    match ms.div_ceil(1000) {
        0 | 1 => "a second".to_owned(),
        seconds @ 2..=119 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

fn bounded(mut words: String) -> String {
    if words.len() > WORDS_BYTES {
        words.truncate(words.floor_char_boundary(WORDS_BYTES));
        words.push('…');
    }
    words
}

/// The gRPC code of an error.
#[must_use]
pub fn code_of(code: ErrorCode) -> Code {
    match code {
        ErrorCode::Unspecified => Code::Unknown,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::SessionInvalid | ErrorCode::WrongCredential => Code::Unauthenticated,
        ErrorCode::NameTaken | ErrorCode::RoomNameTaken => Code::AlreadyExists,
        ErrorCode::Invalid | ErrorCode::AttachmentTooLarge | ErrorCode::SearchInvalid => Code::InvalidArgument,
        ErrorCode::UnknownUser
        | ErrorCode::UnknownConversation
        | ErrorCode::UnknownMessage
        | ErrorCode::UnknownSession
        | ErrorCode::UnknownAttachment
        | ErrorCode::UnknownBot
        | ErrorCode::UnknownWebhook
        | ErrorCode::UnknownRoom => Code::NotFound,
        ErrorCode::Forbidden
        | ErrorCode::AccountDisabled
        | ErrorCode::NotAdministrator
        | ErrorCode::NotForBots
        | ErrorCode::NotInRoom
        | ErrorCode::NotInvited => Code::PermissionDenied,
        // Not Aborted, which invites a plain retry: these need the client to do something first.
        ErrorCode::OutOfOrder
        | ErrorCode::RequestMismatch
        | ErrorCode::ReplyForgotten
        | ErrorCode::UnknownInstance
        | ErrorCode::CursorInvalid
        | ErrorCode::LimitReached
        | ErrorCode::MessageDeleted
        | ErrorCode::TooManyReactions
        | ErrorCode::UploadOutOfPlace => Code::FailedPrecondition,
        ErrorCode::Overloaded | ErrorCode::RateLimited | ErrorCode::QuotaExceeded => Code::ResourceExhausted,
        ErrorCode::Internal => Code::Internal,
    }
}

/// The status that ends a failed call: code and words for any gRPC client, the error itself in the
/// details for ours.
#[must_use]
pub fn status_of(error: &chat::Error) -> Status {
    Status::with_details(code_of(error.code()), error.message.clone(), error.encode_to_vec().into())
}

/// What a failed call means, at the client. A status without details comes not from a Threefold server but from the
/// transport, a proxy or the gRPC library; wherever that leaves the outcome open it is UNAVAILABLE.
#[must_use]
pub fn error_of_status(status: &Status) -> chat::Error {
    if let Ok(error) = chat::Error::decode(status.details())
        && error.code() != ErrorCode::Unspecified
    {
        return error;
    }
    let code = match status.code() {
        // Also the codes that gRPC libraries make of a connection that broke in mid-call.
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => ErrorCode::Unavailable,
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented | Code::FailedPrecondition => ErrorCode::Invalid,
        Code::NotFound | Code::AlreadyExists | Code::PermissionDenied => ErrorCode::Forbidden,
        Code::Unauthenticated => ErrorCode::SessionInvalid,
        Code::ResourceExhausted => ErrorCode::Overloaded,
    };
    chat::Error { code: code.into(), message: status.message().to_owned(), expected: 0, retry_after_ms: 0 }
}

#[cfg(test)]
mod tests {
    use threefold_core::{AttachmentId, EventId, SessionId};

    use super::*;

    fn every_refusal() -> Vec<(Refusal, ErrorCode)> {
        let rejected = Refusal::Rejected;
        vec![
            (Refusal::unavailable("no leader"), ErrorCode::Unavailable),
            (Refusal::Overloaded("log-ins".into()), ErrorCode::Overloaded),
            (Refusal::CursorInvalid, ErrorCode::CursorInvalid),
            (Refusal::NotSearchable("no word".into()), ErrorCode::SearchInvalid),
            (Refusal::Internal("hash".into()), ErrorCode::Internal),
            (rejected(Rejection::SessionInvalid), ErrorCode::SessionInvalid),
            (rejected(Rejection::NameTaken), ErrorCode::NameTaken),
            (rejected(Rejection::Invalid("too long".into())), ErrorCode::Invalid),
            (rejected(Rejection::UnknownUser("ann".into())), ErrorCode::UnknownUser),
            (rejected(Rejection::UnknownConversation), ErrorCode::UnknownConversation),
            (rejected(Rejection::UnknownMessage(EventId(9))), ErrorCode::UnknownMessage),
            (rejected(Rejection::Forbidden("not yours".into())), ErrorCode::Forbidden),
            (rejected(Rejection::WrongCredential), ErrorCode::WrongCredential),
            (rejected(Rejection::OutOfOrder { expected: 7 }), ErrorCode::OutOfOrder),
            (rejected(Rejection::RequestMismatch), ErrorCode::RequestMismatch),
            (rejected(Rejection::ReplyForgotten), ErrorCode::ReplyForgotten),
            (rejected(Rejection::UnknownInstance), ErrorCode::UnknownInstance),
            (rejected(Rejection::UnknownSession(SessionId(4))), ErrorCode::UnknownSession),
            (rejected(Rejection::MessageDeleted(EventId(9))), ErrorCode::MessageDeleted),
            (rejected(Rejection::TooManyReactions(20)), ErrorCode::TooManyReactions),
            (rejected(Rejection::AttachmentTooLarge { limit_bytes: 1 }), ErrorCode::AttachmentTooLarge),
            (rejected(Rejection::QuotaExceeded { used_bytes: 1, quota_bytes: 2 }), ErrorCode::QuotaExceeded),
            (rejected(Rejection::UnknownAttachment(AttachmentId(4))), ErrorCode::UnknownAttachment),
            (rejected(Rejection::UploadOutOfPlace { expected: 7 }), ErrorCode::UploadOutOfPlace),
            (rejected(Rejection::UnknownBot("echo".into())), ErrorCode::UnknownBot),
            (rejected(Rejection::UnknownWebhook), ErrorCode::UnknownWebhook),
            (rejected(Rejection::NotForBots), ErrorCode::NotForBots),
            (rejected(Rejection::UnknownRoom("tea".into())), ErrorCode::UnknownRoom),
            (rejected(Rejection::RoomNameTaken("tea".into())), ErrorCode::RoomNameTaken),
            (rejected(Rejection::NotInRoom("not in #tea".into())), ErrorCode::NotInRoom),
            (rejected(Rejection::NotInvited("tea".into())), ErrorCode::NotInvited),
            (rejected(Rejection::LimitReached("members".into())), ErrorCode::LimitReached),
        ]
    }

    #[test]
    fn every_refusal_survives_a_status() {
        for (refusal, code) in every_refusal() {
            let error = error_of(&refusal);
            assert_eq!(error.code(), code);
            let status = status_of(&error);
            assert_ne!(status.code(), Code::Ok, "{refusal}");
            assert_eq!(error_of_status(&status), error);
        }
        assert_eq!(error_of(&Refusal::Rejected(Rejection::OutOfOrder { expected: 7 })).expected, 7);
    }

    #[test]
    fn a_status_of_the_transport_leaves_the_outcome_open() {
        for code in [Code::Unknown, Code::Internal, Code::Cancelled, Code::DeadlineExceeded, Code::Unavailable] {
            assert_eq!(error_of_status(&Status::new(code, "h2")).code(), ErrorCode::Unavailable, "{code:?}");
        }
        assert_eq!(error_of_status(&Status::out_of_range("message too large")).code(), ErrorCode::Invalid);
    }

    #[test]
    fn garbage_in_the_details_is_passed_over() {
        for garbage in [&b"\xff\xff\xff"[..], b"\x08", b"\x08\xff\x01", b""] {
            let status = Status::with_details(Code::ResourceExhausted, "", garbage.to_vec().into());
            assert_eq!(error_of_status(&status).code(), ErrorCode::Overloaded);
        }
    }

    #[test]
    fn words_are_bounded_at_a_character() {
        let error = error_of(&Refusal::invalid("é".repeat(10_000)));
        assert!(error.message.len() <= WORDS_BYTES + 3);
        assert!(error.message.ends_with("é…"));
    }
}
