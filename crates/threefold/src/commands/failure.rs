//! Why a command failed: an exit code for scripts, and one sentence for people that says what to do next.

use std::{io, process::ExitCode};

use serde::Serialize;
use threefold::exit;
use threefold_client::{Error, chat::ErrorCode};

/// The cluster decided against it.
const REFUSED: u8 = 1;
/// The command makes no sense as given.
const USAGE: u8 = 2;
/// No server could do it in time; try again.
const UNAVAILABLE: u8 = 3;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    exit_code: u8,
    code: &'static str,
    message: String,
    /// The reader of our output went away: nobody wants to hear of it.
    quiet: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
}

impl Failure {
    /// The command makes no sense as given.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit_code: USAGE, code: "USAGE", message: message.into(), quiet: false }
    }

    /// There is no session here.
    pub fn not_logged_in() -> Self {
        Self {
            exit_code: REFUSED,
            code: ErrorCode::SessionInvalid.as_str_name(),
            message: "not logged in here: run `threefold login NAME` (or `register NAME`) first".to_owned(),
            quiet: false,
        }
    }

    /// A file could not be read or written.
    pub fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Self::usage(format!("{}: {error}", path.display()))
    }

    /// Something asked for was refused, with the words.
    pub fn refused(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { exit_code: REFUSED, code: code.as_str_name(), message: message.into(), quiet: false }
    }

    /// The cluster refused an operator's order, with the words.
    pub fn declined(message: impl Into<String>) -> Self {
        Self { exit_code: REFUSED, code: "REFUSED", message: message.into(), quiet: false }
    }

    /// Nobody could do it in time.
    pub fn unavailable(message: impl Into<String>) -> Self {
        let code = ErrorCode::Unavailable.as_str_name();
        Self { exit_code: UNAVAILABLE, code, message: message.into(), quiet: false }
    }

    /// Prints it on standard error.
    #[must_use]
    pub fn report(&self, json: bool) -> ExitCode {
        if self.quiet {
            return ExitCode::SUCCESS;
        }
        self.print(json);
        ExitCode::from(self.exit_code)
    }

    /// Prints it on standard error, for commands that go on.
    pub fn print(&self, json: bool) {
        let report = Report { error: Body { code: self.code, message: &self.message } };
        match serde_json::to_string(&report) {
            Ok(line) if json => eprintln!("{line}"),
            _ => eprintln!("threefold: {}", super::output::escape(&self.message)),
        }
    }

    /// Another time it may do.
    pub fn is_unavailable(&self) -> bool {
        self.exit_code == UNAVAILABLE
    }

    /// Why, in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to tell scripts.
    #[cfg(test)]
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit_code, next) = match &error {
            Error::Refused { code, .. } => (REFUSED, after_refusal(*code)),
            Error::Unavailable { .. } => (UNAVAILABLE, "; try again, or check `threefold status` and `--servers`"),
            Error::OutcomeUnknown(_) => {
                (UNAVAILABLE, "; it may still take effect: look with `threefold messages` before trying again")
            }
            Error::Usage(_) => (USAGE, ""),
            Error::Protocol(_) => (REFUSED, "; is this a Threefold server of the same version?"),
        };
        Self { exit_code, code: error.code_name(), message: format!("{error}{next}"), quiet: false }
    }
}

/// What to do after a refusal that is not clear by itself.
fn after_refusal(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::SessionInvalid => "; run `threefold login NAME`",
        ErrorCode::NameTaken => "; choose another, or run `threefold login` if it is yours",
        ErrorCode::UnknownUser => "; look for names with `threefold users`",
        ErrorCode::UnknownConversation => "; see yours with `threefold unread`",
        ErrorCode::UnknownMessage | ErrorCode::UnknownAttachment => "; see ids with `threefold messages NAME`",
        ErrorCode::UnknownSession => "; see them with `threefold sessions`",
        ErrorCode::UnknownBot => "; see them with `threefold bot list`",
        ErrorCode::UnknownRoom => "; look for rooms with `threefold rooms`",
        ErrorCode::RoomNameTaken => "; choose another",
        ErrorCode::NotInvited => "; a moderator or an owner of it can invite you",
        ErrorCode::Overloaded => "; try again in a while",
        ErrorCode::Internal => "; the server's log says more",
        ErrorCode::Unspecified
        | ErrorCode::Unavailable
        | ErrorCode::Invalid
        | ErrorCode::SearchInvalid
        | ErrorCode::Forbidden
        | ErrorCode::WrongCredential
        | ErrorCode::OutOfOrder
        | ErrorCode::RequestMismatch
        | ErrorCode::ReplyForgotten
        | ErrorCode::UnknownInstance
        | ErrorCode::CursorInvalid
        | ErrorCode::RateLimited
        | ErrorCode::AccountDisabled
        | ErrorCode::AttachmentTooLarge
        | ErrorCode::QuotaExceeded
        | ErrorCode::UploadOutOfPlace
        | ErrorCode::NotAdministrator
        | ErrorCode::NotForBots
        | ErrorCode::UnknownWebhook
        | ErrorCode::MessageDeleted
        | ErrorCode::TooManyReactions
        | ErrorCode::NotInRoom
        | ErrorCode::LimitReached => "",
    }
}

/// What the parts behind the servers' commands say.
impl From<exit::Failure> for Failure {
    fn from(failure: exit::Failure) -> Self {
        match failure {
            exit::Failure::Refused(message) => Self::declined(message),
            exit::Failure::Usage(message) => Self::usage(message),
            exit::Failure::Unavailable(message) => Self::unavailable(message),
        }
    }
}

/// Output could not be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        Self { quiet, ..Self::usage(format!("cannot write the output: {error}")) }
    }
}
