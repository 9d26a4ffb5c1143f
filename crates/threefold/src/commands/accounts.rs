//! `register login logout whoami delete-account passwd sessions display-name`: the account and its devices.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use threefold_client::{DiskOutbox, Left, Session, parse_servers};

use super::{
    ClientOptions, Failure,
    confirm::Confirmation,
    context::Context,
    output::{Unprinted, escape, table, time},
    password::Source,
};
use crate::chat::unsent_in;

const PASSWORD_VARIABLE: &str = "THREEFOLD_PASSWORD";
const NEW_PASSWORD_VARIABLE: &str = "THREEFOLD_NEW_PASSWORD";

/// Of `register` and `login`.
#[derive(Args, Debug)]
pub struct LoginArgs {
    /// The account's name: 1 to 32 letters, digits, `_`, `.` or `-`
    name: String,
    /// Read the password from the first line of this file (`-`: standard input)
    ///
    /// Default: the variable THREEFOLD_PASSWORD, else a prompt.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// What to call this device in the list of sessions
    #[arg(long, env = "THREEFOLD_DEVICE", default_value = "command line")]
    device: String,
    /// Though the session file holds the login of another account: that one is forgotten here, not logged out
    #[arg(long)]
    force: bool,
}

/// Of `logout`.
#[derive(Args, Debug)]
pub struct LogoutArgs {
    /// Though `threefold chat` keeps messages that were never sent: they are thrown away
    #[arg(long)]
    force: bool,
}

/// Of `delete-account`.
#[derive(Args, Debug)]
pub struct DeleteAccountArgs {
    /// Read the password from the first line of this file (`-`: standard input)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Of `passwd`.
#[derive(Args, Debug)]
pub struct PasswdArgs {
    /// Read the old password from this file; default: THREEFOLD_PASSWORD, else a prompt
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read the new password from this file; default: THREEFOLD_NEW_PASSWORD, else a prompt
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

/// Of `sessions`.
#[derive(Args, Debug)]
pub struct SessionsArgs {
    /// Log this device out
    #[arg(long, value_name = "SESSION", conflicts_with = "end_others")]
    end: Option<u64>,
    /// Log all devices out but this one
    #[arg(long)]
    end_others: bool,
}

/// Of `display-name`.
#[derive(Args, Debug)]
pub struct DisplayNameArgs {
    /// The name, at most 128 bytes; empty: none any more
    display_name: String,
}

#[derive(Serialize)]
struct LoggedIn<'a> {
    name: &'a str,
    account: u64,
    session: u64,
    expires_at_ms: u64,
    servers: &'a [String],
}

fn password(file: Option<&PathBuf>, prompt: &str, twice: bool) -> Result<String, Failure> {
    Source { file, variable: PASSWORD_VARIABLE, prompt, twice }.read()
}

fn opened(context: &Context, session: &Session, human: &str) -> Result<(), Failure> {
    context.file.store(session)?;
    let Session { name, account, session: id, expires_at_ms, servers, .. } = session;
    let value = LoggedIn { name, account: *account, session: *id, expires_at_ms: *expires_at_ms, servers };
    Ok(context.output.result(&value, || format!("{human} {name}"))?)
}

/// None of the servers that are named is one that a login knows.
fn are_all_unknown(named: &[String], known: &[String]) -> bool {
    let known: Vec<String> = known.iter().map(|server| at(server)).collect();
    !known.is_empty() && !named.iter().any(|server| known.contains(&at(server)))
}

/// Where a server is, by one name for this machine.
fn at(server: &str) -> String {
    let authority = server.split_once("://").map_or(server, |(_, authority)| authority).to_ascii_lowercase();
    match authority.rsplit_once(':') {
        Some(("localhost" | "[::1]", port)) => format!("127.0.0.1:{port}"),
        _ => authority,
    }
}

impl LoginArgs {
    /// A login of the same account takes the place of the one before; another account's is not lost by a slip. The same name is another account's where it is
    /// to be registered, and perhaps in another cluster: where servers are named, and none of those that the login knows.
    fn spare_another(&self, context: &Context, options: &ClientOptions, is_new: bool) -> Result<(), Failure> {
        let named = options.servers.as_deref().and_then(|servers| parse_servers(servers).ok());
        let is_elsewhere = |session: &Session| {
            let known = parse_servers(&session.servers.join(",")).unwrap_or_default();
            named.as_ref().is_some_and(|named| are_all_unknown(named, &known))
        };
        let is_another =
            |session: &&Session| is_new || !session.name.eq_ignore_ascii_case(&self.name) || is_elsewhere(session);
        let another = context.session().ok().filter(is_another);
        let Some(session) = another.filter(|_| !self.force) else { return Ok(()) };
        // Perhaps of another cluster, perhaps the same ones by other names.
        let place = if is_elsewhere(session) { ", which does not know the servers that are named" } else { "" };
        let (name, file) = (&session.name, context.file.path().display());
        Err(Failure::usage(format!(
            "{file} holds the login of {name}{place}: run `threefold logout` first, keep this one elsewhere with --session FILE, or say --force"
        )))
    }
}

/// Creates an account and logs in.
pub async fn register(args: LoginArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::anonymous(&options)?;
    args.spare_another(&context, &options, true)?;
    let password = password(args.password_file.as_ref(), "New password: ", true)?;
    let session = context.client.register(&args.name, &password, &args.device).await?;
    opened(&context, &session, "registered and logged in as")
}

/// Logs in.
pub async fn login(args: LoginArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::anonymous(&options)?;
    args.spare_another(&context, &options, false)?;
    let password = password(args.password_file.as_ref(), "Password: ", false)?;
    let session = context.client.log_in(&args.name, &password, &args.device).await?;
    opened(&context, &session, "logged in as")
}

#[derive(Serialize)]
struct LoggedOut<'a> {
    logged_out: &'a str,
}

/// What `chat` keeps beside this login; nobody has it open meanwhile.
fn kept(context: &Context, session: &Session) -> Result<Option<Left>, threefold_client::Error> {
    Ok(DiskOutbox::left(context.file.outbox())?.filter(|left| left.is_of(session)))
}

/// It can never be sent any more, and holds what somebody wrote.
fn remove_kept(context: &Context, kept: Option<Left>) -> Result<(), Failure> {
    let Some(kept) = kept else { return Ok(()) };
    kept.remove().map_err(|error| Failure::file(&context.file.outbox(), &error))
}

/// Logs out, unless words would be lost with it that were never sent.
pub async fn logout(args: LogoutArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let session = context.session()?;
    let mut kept = match kept(&context, session) {
        // A chat that runs has it open, or it is damaged: it stays where it is.
        Err(error) if !args.force => {
            return Err(Failure::declined(format!(
                "nobody can say whether `threefold chat` keeps something that was never sent: {error}; quit that chat first, or say --force"
            )));
        }
        kept => kept.unwrap_or_default(),
    };
    let unsent = kept.as_ref().map_or(0, unsent_in);
    if unsent > 0 && !args.force && is_over(&context).await {
        // No chat of this login can send it any more: the next login's sets it aside.
        kept = None;
    } else if unsent > 0 && !args.force {
        let things = if unsent == 1 { "something that was".to_owned() } else { format!("{unsent} things that were") };
        return Err(Failure::declined(format!(
            "`threefold chat` keeps {things} never sent, or perhaps not: run it to send or to see them (/unsent), or say --force, which throws them away"
        )));
    }
    match context.client.log_out().await {
        // Over already: all the same.
        Err(error) if error.is_refusal(threefold_client::chat::ErrorCode::SessionInvalid) => {}
        result => result?,
    }
    context.file.remove(session)?;
    remove_kept(&context, kept)?;
    Ok(context.output.result(&LoggedOut { logged_out: &session.name }, || format!("logged out {}", session.name))?)
}

/// Whether the session has ended, somewhere else or by its age.
async fn is_over(context: &Context) -> bool {
    let said = context.client.who_am_i().await;
    said.is_err_and(|error| error.is_refusal(threefold_client::chat::ErrorCode::SessionInvalid))
}

#[derive(Serialize)]
struct Who<'a> {
    name: &'a str,
    account: u64,
    session: u64,
    device: &'a str,
    administrator: bool,
    expires_at_ms: u64,
    delivered_up_to: u64,
    servers: &'a [String],
    display_name: &'a str,
}

/// Says who is logged in here.
pub async fn whoami(options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let who = context.client.who_am_i().await?;
    context.remember().await?;
    let value = Who {
        name: &who.name,
        account: who.account,
        session: who.session,
        device: &who.device,
        administrator: who.administrator,
        expires_at_ms: who.expires_at_ms,
        delivered_up_to: who.delivered_up_to,
        servers: &who.servers,
        display_name: &who.display_name,
    };
    Ok(context.output.result(&value, || both_names(&who.name, &who.display_name))?)
}

/// An account's name, and beside it what its owner wants to be shown as.
pub fn both_names(name: &str, display_name: &str) -> String {
    if display_name.is_empty() { escape(name) } else { format!("{} ({})", escape(name), escape(display_name)) }
}

#[derive(Serialize)]
struct Named<'a> {
    display_name: &'a str,
}

/// Chooses what people are shown beside the name.
pub async fn display_name(args: DisplayNameArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    context.client.writer()?.set_display_name(&args.display_name).await?.await?;
    let name = &context.session()?.name;
    let human = || format!("you are shown as {}", both_names(name, &args.display_name));
    context.output.result(&Named { display_name: &args.display_name }, human)?;
    context.remember().await
}

#[derive(Serialize)]
struct Deleted<'a> {
    deleted: &'a str,
}

/// Deletes the account.
pub async fn delete_account(args: DeleteAccountArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let session = context.session()?;
    // Before the password, which may stand in the environment: then nothing else would ask.
    args.confirmation.of("Deleting an account", &session.name)?;
    let prompt = format!("Password of {}: ", session.name);
    let password = password(args.password_file.as_ref(), &prompt, false)?;
    context.client.delete_account(&password).await?;
    context.file.remove(session)?;
    let kept = kept(&context, session).unwrap_or_default();
    let unsent = kept.as_ref().map_or(0, unsent_in);
    if unsent > 0 && !context.output.is_json() {
        eprintln!("threefold: thrown away with it: {unsent} that `threefold chat` kept and never sent");
    }
    remove_kept(&context, kept)?;
    let human = || format!("deleted the account {}", session.name);
    Ok(context.output.result(&Deleted { deleted: &session.name }, human)?)
}

#[derive(Serialize)]
struct Changed {
    password_changed: bool,
}

/// Changes the password.
pub async fn passwd(args: PasswdArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let old = password(args.password_file.as_ref(), "Old password: ", false)?;
    let file = args.new_password_file.as_ref();
    let new = Source { file, variable: NEW_PASSWORD_VARIABLE, prompt: "New password: ", twice: true }.read()?;
    context.client.change_password(&old, &new).await?;
    let human = || "password changed; all other devices are logged out".to_owned();
    Ok(context.output.result(&Changed { password_changed: true }, human)?)
}

#[derive(Serialize)]
struct Device<'a> {
    session: u64,
    device: &'a str,
    opened_at_ms: u64,
    expires_at_ms: u64,
    current: bool,
}

#[derive(Serialize)]
struct Ended {
    ended: u64,
}

/// Lists the account's sessions, or ends some.
pub async fn sessions(args: SessionsArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    if let Some(session) = args.end {
        context.client.end_session(session).await?;
        return ended(&context, session);
    }
    let sessions = context.client.list_sessions().await?;
    if args.end_others {
        let mut unprinted = Unprinted::default();
        for session in sessions.iter().filter(|session| !session.current) {
            context.client.end_session(session.session).await?;
            unprinted.keep(ended(&context, session.session));
        }
        return unprinted.end();
    }
    let mut rows = Vec::new();
    for session in &sessions {
        let current = if session.current { "this device" } else { "" };
        rows.push(vec![
            session.session.to_string(),
            escape(&session.device),
            format!("since {}", time(session.opened_at_ms)),
            current.to_owned(),
        ]);
        if context.output.is_json() {
            let value = Device {
                session: session.session,
                device: &session.device,
                opened_at_ms: session.opened_at_ms,
                expires_at_ms: session.expires_at_ms,
                current: session.current,
            };
            context.output.result(&value, String::new)?;
        }
    }
    Ok(context.output.remark(&table(&rows))?)
}

fn ended(context: &Context, session: u64) -> Result<(), Failure> {
    Ok(context.output.result(&Ended { ended: session }, || format!("ended session {session}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_several_names() {
        let of = |servers: &str| parse_servers(servers).unwrap();
        let known = of("127.0.0.1:7400,7401,chat.example:7400");
        for named in ["localhost:7401", "[::1]:7400", "10.0.0.1:7400,LOCALHOST:7400", "https://Chat.example:7400"] {
            assert!(!are_all_unknown(&of(named), &known), "{named}");
        }
        for named in ["localhost:7402", "[::2]:7400", "localhost.example:7400"] {
            assert!(are_all_unknown(&of(named), &known), "{named}");
        }
        assert!(!are_all_unknown(&of("localhost:7400"), &[]), "a login that knows none says nothing");
    }
}
