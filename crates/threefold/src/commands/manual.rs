//! `completions` and `man`: what shells and readers are told of the commands, made from the commands themselves.

use std::{fs, io, path::PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use super::Failure;

/// Of `completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

/// Of `man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Where to write the pages, one for each command
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Prints what makes a shell complete commands and options.
pub fn completions(args: &CompletionsArgs, mut program: Command) -> Result<(), Failure> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, name, &mut script);
    Ok(io::Write::write_all(&mut io::stdout().lock(), &script)?)
}

/// Writes a page for the program and one for each command.
pub fn man(args: &ManArgs, program: Command) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::file(&args.directory, &error);
    fs::create_dir_all(&args.directory).map_err(failed)?;
    clap_mangen::generate_to(program, &args.directory).map_err(failed)?;
    println!("wrote the pages to {0}: read one with `man -l {0}/threefold.1`", args.directory.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, fs, path::Path};

    use clap::{Command, CommandFactory as _, error::ErrorKind};

    /// The commands that do something, by all their words.
    fn leaves(command: &Command, before: &str, all: &mut Vec<String>) {
        for one in command.get_subcommands().filter(|one| one.get_name() != "help" && !one.is_hide_set()) {
            let name = format!("{before}{}", one.get_name());
            if one.has_subcommands() {
                leaves(one, &format!("{name} "), all);
            } else {
                all.push(name);
            }
        }
    }

    #[test]
    fn every_command_has_its_row_and_no_row_is_of_a_command_that_is_gone() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
        let document = fs::read_to_string(path).unwrap();
        let (_, rows) = document.split_once("| command |").unwrap();
        let rows = rows.lines().skip(2).map_while(|line| line.strip_prefix("| ")?.split_once(" | "));
        let named: Vec<&str> = rows.flat_map(|(first, _)| first.split('`').skip(1).step_by(2)).collect();
        let mut commands = Vec::new();
        leaves(&crate::Cli::command(), "", &mut commands);
        let is_of = |row: &str, command: &str| {
            row.strip_prefix(command).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        for command in &commands {
            assert!(named.iter().any(|row| is_of(row, command)), "{command} has no row");
        }
        for row in named {
            assert!(commands.iter().any(|command| is_of(row, command)), "{row} is no command");
        }
    }

    /// What is named in the middle of a sentence may lack what it needs, but must be there: the command, and each option.
    #[test]
    fn every_command_within_a_sentence_is_one() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let documents = ["README.md", "docs/guide.md", "docs/commands.md", "docs/replication.md", "docs/protocols.md"];
        for document in documents.into_iter().chain(["docs/cluster-page.md", "docs/permissions.md"]) {
            let text = fs::read_to_string(root.join(document)).unwrap();
            let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
            for span in spans.filter(|span| span.starts_with("threefold ") && *span != "threefold help COMMAND") {
                let command = span.split(['<', '>', '|']).next().unwrap_or_default();
                let words = command.split_whitespace().map(|word| OsString::from(word.trim_matches('\'')));
                let parsed = super::super::spoken::<crate::Cli>(words);
                let is_one = parsed.as_ref().map_or_else(
                    |error| !error.use_stderr() || error.kind() == ErrorKind::MissingRequiredArgument,
                    |_| true,
                );
                assert!(is_one, "{document}: {span}: {}", parsed.err().unwrap());
            }
        }
    }
}
