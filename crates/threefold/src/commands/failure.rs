//! Why a command failed: an exit code for scripts, and one sentence for people that says what to do next.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use serde::Serialize;
use threefold::exit;
use threefold_client::{Error, chat::ErrorCode};

/// The cluster decided against it.
const REFUSED: u8 = 1;
/// The command makes no sense as given.
const USAGE: u8 = 2;
/// No server could do it in time; try again.
const UNAVAILABLE: u8 = 3;
/// Something here failed: the disk, or whatever takes the output.
const LOCAL: u8 = 4;

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

    /// A file could not be read or written: the wrong one was named, or something here fails.
    pub fn file(path: &std::path::Path, error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let message = format!("{}: {error}", path.display());
        match error.kind() {
            Kind::NotFound
            | Kind::PermissionDenied
            | Kind::AlreadyExists
            | Kind::IsADirectory
            | Kind::NotADirectory
            | Kind::InvalidFilename
            | Kind::InvalidInput
            | Kind::InvalidData => Self::usage(message),
            _ => Self::local(message),
        }
    }

    /// Something here failed, and neither the command nor the cluster is to blame.
    pub fn local(message: impl Into<String>) -> Self {
        Self { exit_code: LOCAL, code: "LOCAL", message: message.into(), quiet: false }
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

    /// It came to nothing, and trying again would change nothing: with these words.
    pub fn for_good(error: &Error, message: impl Into<String>) -> Self {
        Self { exit_code: REFUSED, code: error.code_name(), message: message.into(), quiet: false }
    }

    /// Several things came to nothing, for that reason or others: with these words.
    pub fn nothing(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit_code: REFUSED, code, message: message.into(), quiet: false }
    }

    /// A short name for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The same, with this said before it.
    #[must_use]
    pub fn after(self, words: &str) -> Self {
        Self { message: format!("{words}: {}", self.message), ..self }
    }

    /// The same, with this said behind it.
    #[must_use]
    pub fn and(self, words: &str) -> Self {
        Self { message: format!("{}; {words}", self.message), ..self }
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
        // On a terminal that is gone nobody hears it.
        let _ = match serde_json::to_string(&report) {
            Ok(line) if json => writeln!(io::stderr(), "{line}"),
            _ => writeln!(io::stderr(), "threefold: {}", super::output::escape(&self.message)),
        };
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
            Error::Local(_) => (LOCAL, ""),
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
        ErrorCode::UnknownConversation => "; see yours with `threefold conversations`",
        ErrorCode::UnknownMessage | ErrorCode::UnknownAttachment => "; see ids with `threefold messages NAME`",
        ErrorCode::UnknownSession => "; see them with `threefold sessions`",
        ErrorCode::UnknownBot => "; see them with `threefold bot list`",
        ErrorCode::UnknownRoom => "; look for rooms with `threefold rooms`",
        ErrorCode::RoomNameTaken => "; choose another",
        ErrorCode::NotInvited => "; a moderator or an owner of it can invite you",
        ErrorCode::Overloaded => "; try again in a while",
        ErrorCode::Internal => "; the server's log says more",
        ErrorCode::UnknownWebhook => "; see them with `threefold webhook list ROOM`",
        ErrorCode::CursorInvalid => "; follow again to see everything from the beginning",
        ErrorCode::NotInRoom => {
            "; join it first (`threefold join '#room'`), or see who is in it with `threefold room members ROOM`"
        }
        ErrorCode::QuotaExceeded => "; delete what is not needed any more, or ask an administrator",
        ErrorCode::AccountDisabled => "; an administrator can enable it again",
        ErrorCode::LimitReached => "; take away one that is not needed any more first",
        ErrorCode::NotAdministrator => "; ask one: `threefold users` shows who is",
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
        | ErrorCode::RateLimited
        | ErrorCode::AttachmentTooLarge
        | ErrorCode::UploadOutOfPlace
        | ErrorCode::NotForBots
        | ErrorCode::MessageDeleted
        | ErrorCode::TooManyReactions => "",
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
        Self { quiet, ..Self::local(format!("cannot write the output: {error}")) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_disk_that_fails_is_not_wrong_usage() {
        let exit = |kind| Failure::file(Path::new("x"), &io::Error::from(kind)).exit_code();
        assert_eq!([io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied].map(exit), [USAGE; 2]);
        assert_eq!([io::ErrorKind::StorageFull, io::ErrorKind::Other].map(exit), [LOCAL; 2]);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).exit_code(), LOCAL);
    }

    #[test]
    fn a_refusal_says_what_to_do_next() {
        let codes = [
            ErrorCode::UnknownWebhook,
            ErrorCode::CursorInvalid,
            ErrorCode::NotInRoom,
            ErrorCode::QuotaExceeded,
            ErrorCode::AccountDisabled,
            ErrorCode::LimitReached,
            ErrorCode::NotAdministrator,
        ];
        for code in codes {
            assert!(after_refusal(code).starts_with("; "), "{code:?}");
        }
    }
}
