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
