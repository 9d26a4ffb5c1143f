//! The question before something that cannot be undone: asked on a terminal, answered with `--yes` by scripts.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use super::Failure;

/// Of commands that ask.
#[derive(Args, Debug)]
pub struct Confirmation {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Confirmation {
    /// Goes on only if somebody means it: whoever types this name.
    pub fn of(&self, what: &str, name: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::usage(format!("{what} cannot be undone, and there is nobody to ask: --yes does it")));
        }
        let mut prompt = io::stderr();
        write!(prompt, "{what} cannot be undone. If it is meant, type the name ({name}): ")?;
        prompt.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        if line.trim() == name { Ok(()) } else { Err(Failure::declined("nothing was changed")) }
    }
}
