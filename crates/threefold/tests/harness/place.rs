//! Where a process runs: on this machine as it is, or behind another command such as one that enters a namespace.

use std::process::Command;

/// A command's beginning: a program with a full path and its arguments, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(Vec<String>);

impl Place {
    /// Behind this command.
    pub fn behind(words: &[&str]) -> Self {
        Self::default().then(words)
    }

    /// The same place, behind a further command.
    pub fn then(&self, words: &[&str]) -> Self {
        Self(self.0.iter().map(String::as_str).chain(words.iter().copied()).map(str::to_owned).collect())
    }

    /// A command that runs this program here.
    pub fn command(&self, program: &str) -> Command {
        let mut words = self.0.iter().map(String::as_str).chain([program]);
        let mut command = Command::new(words.next().unwrap_or(program));
        command.args(words);
        command
    }
}
