//! `admin`: what administrators do to accounts.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use threefold_client::chat::{
    self, Administered, Administration, DeleteForGood, Disable, Enable, FreeName, Grant, ResetPassword, Revoke,
    administer::Action,
};

use super::{
    ClientOptions, Failure,
    confirm::Confirmation,
    context::Context,
    output::{More, escape, table, time},
    password::Source,
};

const NEW_PASSWORD_VARIABLE: &str = "THREEFOLD_NEW_PASSWORD";

/// Of `admin`.
#[derive(Args, Debug)]
pub struct AdminArgs {
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand, Debug)]
enum Act {
    /// End an account's sessions, and let it not log in
    Disable(Whom),
    /// Let a disabled account log in again
    Enable(Whom),
    /// Give an account another password, and end its sessions
    ResetPassword(ResetArgs),
    /// Delete an account for ever; its name stays taken
    Delete(DeleteArgs),
    /// Let the name of a deleted account be taken again
    FreeName(Whom),
    /// Make an account an administrator
    Grant(Whom),
    /// Make an account an administrator no longer
    Revoke(Whom),
    /// Show what administrators did, newest first
    Log(LogArgs),
}

#[derive(Args, Debug)]
struct Whom {
    /// The account's name
    name: String,
}

#[derive(Args, Debug)]
struct DeleteArgs {
    /// The account's name
    name: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Args, Debug)]
struct ResetArgs {
    /// The account's name
    name: String,
    /// Read the new password from the first line of this file (`-`: standard input)
    ///
    /// Default: the variable THREEFOLD_NEW_PASSWORD, else a prompt.
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct LogArgs {
    /// How many at most, up to 200
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Continue before this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    before: u64,
}

#[derive(Serialize)]
struct Done<'a> {
    name: &'a str,
    done: &'static str,
}

#[derive(Serialize)]
struct Shown<'a> {
    position: u64,
    time_ms: u64,
    by: &'a str,
    name: &'a str,
    account: u64,
    done: &'static str,
    by_configuration: bool,
}

/// Does something to an account, or shows what was done.
pub async fn administer(args: AdminArgs, options: ClientOptions) -> Result<(), Failure> {
    let (name, action, done) = match args.act {
        Act::Disable(Whom { name }) => (name, Action::Disable(Disable {}), Administered::Disabled),
        Act::Enable(Whom { name }) => (name, Action::Enable(Enable {}), Administered::Enabled),
        Act::ResetPassword(reset) => {
            let prompt = format!("New password of {}: ", escape(&reset.name));
            let file = reset.new_password_file.as_ref();
            let source = Source { file, variable: NEW_PASSWORD_VARIABLE, prompt: &prompt, twice: true };
            let new_password = source.read()?;
            (reset.name, Action::ResetPassword(ResetPassword { new_password }), Administered::PasswordReset)
        }
        Act::Delete(DeleteArgs { name, confirmation }) => {
            confirmation.of("Deleting an account", &name)?;
            (name, Action::Delete(DeleteForGood {}), Administered::Deleted)
        }
        Act::FreeName(Whom { name }) => (name, Action::FreeName(FreeName {}), Administered::NameFreed),
        Act::Grant(Whom { name }) => (name, Action::Grant(Grant {}), Administered::Granted),
        Act::Revoke(Whom { name }) => (name, Action::Revoke(Revoke {}), Administered::Revoked),
        Act::Log(args) => return log(&args, &options).await,
    };
    let context = Context::logged_in(&options)?;
    context.client.writer()?.administer(&name, action).await?.await?;
    let done = word(done);
    context.output.result(&Done { name: &name, done }, || format!("{}: {done}", escape(&name)))?;
    context.remember().await
}

async fn log(args: &LogArgs, options: &ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(options)?;
    let page = context.client.administration(args.limit, args.before).await?;
    let mut rows = Vec::new();
    for act in &page.acts {
        let done = word(act.what());
        let Administration { position, time_ms, by_name, account, name, by_configuration, .. } = act;
        if context.output.is_json() {
            let (position, time_ms, account, by_configuration) = (*position, *time_ms, *account, *by_configuration);
            let value = Shown { position, time_ms, by: by_name, name, account, done, by_configuration };
            context.output.result(&value, String::new)?;
        }
        let by = if by_name.is_empty() { "(deleted user)".to_owned() } else { escape(by_name) };
        let how = if *by_configuration { "by configuration" } else { "" };
        rows.push(vec![time(*time_ms), by, done.to_owned(), escape(name), how.to_owned()]);
    }
    context.output.remark(&table(&rows))?;
    match page.acts.last() {
        None => context.output.remark("no administrator has done anything")?,
        Some(last) if page.more => context.output.more(More::before(last.position))?,
        Some(_) => {}
    }
    context.remember().await
}

fn word(what: Administered) -> &'static str {
    match what {
        chat::Administered::Unspecified => "something that this program does not know",
        chat::Administered::Disabled => "disabled",
        chat::Administered::Enabled => "enabled",
        chat::Administered::PasswordReset => "password reset",
        chat::Administered::Deleted => "deleted",
        chat::Administered::NameFreed => "name freed",
        chat::Administered::Granted => "administrator now",
        chat::Administered::Revoked => "no administrator any more",
    }
}
