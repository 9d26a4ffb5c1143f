//! Where passwords come from: a file, the environment, or a prompt without echo. Never the command line, which other
//! users of the machine can see.

use std::{
    env, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::Failure;

/// Longer than any password the cluster takes, so that a wrong file is noticed.
const MOST_BYTES: u64 = 4096;

/// One password's sources.
pub struct Source<'a> {
    /// First choice.
    pub file: Option<&'a PathBuf>,
    /// Second choice: the name of a variable.
    pub variable: &'a str,
    /// Third choice: what to ask.
    pub prompt: &'a str,
    /// Ask twice, because a mistake would not be noticed.
    pub twice: bool,
}

impl Source<'_> {
    /// The password.
    pub fn read(&self) -> Result<String, Failure> {
        if let Some(path) = self.file {
            return from_file(path);
        }
        match env::var(self.variable) {
            Ok(password) => return Ok(password),
            Err(env::VarError::NotUnicode(_)) => return Err(Failure::usage(format!("{} is not text", self.variable))),
            Err(env::VarError::NotPresent) => {}
        }
        let password = self.ask(self.prompt)?;
        if self.twice && self.ask("The same again: ")? != password {
            return Err(Failure::usage("the two passwords differ: try again"));
        }
        Ok(password)
    }

    fn ask(&self, prompt: &str) -> Result<String, Failure> {
        rpassword::prompt_password(prompt).map_err(|error| {
            let variable = self.variable;
            Failure::usage(format!("cannot ask for the password ({error}): set {variable} or give a password file"))
        })
    }
}

/// The first line of a file, or of standard input for `-`.
fn from_file(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().take(MOST_BYTES).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::file(path, &error))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(Failure::usage(format!("{} holds no password", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_first_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        for (content, expected) in [("secret word\n", "secret word"), ("a\r\nb", "a"), ("plain", "plain")] {
            fs::write(&path, content).unwrap();
            assert_eq!(from_file(&path).unwrap(), expected);
        }
        fs::write(&path, "\nsecond").unwrap();
        assert_eq!(from_file(&path).unwrap_err().exit_code(), 2);
        assert_eq!(from_file(&directory.path().join("none")).unwrap_err().exit_code(), 2);
    }
}
