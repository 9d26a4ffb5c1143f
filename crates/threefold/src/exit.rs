//! How a command ends: the exit codes that scripts can rely on.

use std::process::ExitCode;

/// The table of exit codes, for `--help`.
pub const HELP: &str = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 unavailable (try again), 4 a disk or an output here failed.";

/// Why a command did not succeed: one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was refused, or failed for good.
    #[error("{0}")]
    Refused(String),
    /// The command line, the environment or a configuration file asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// No server could do it now.
    #[error("{0}")]
    Unavailable(String),
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unavailable(_) => 3,
        }
    }
}

/// Says why, if there is something to say, and gives the exit code.
pub fn code(result: Result<(), Failure>) -> ExitCode {
    ExitCode::from(status(result))
}

/// As [`code`], as a number.
pub fn status(result: Result<(), Failure>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("threefold: {failure}");
            failure.code()
        }
    }
}
