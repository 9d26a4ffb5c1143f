//! The client half of the command line: one command, one file (or a few short ones that belong together).
//!
//! Promises to scripts: exit code 0 done, 1 refused, 2 usage, 3 unavailable, 4 a failure here; with `--json` one object a line on
//! standard output, and errors as an object on standard error; secrets only from a prompt, a file or the environment.

mod accounts;
mod administer;
pub mod backup;
mod bots;
mod confirm;
pub mod context;
mod conversations;
mod edit;
mod export;
mod failure;
pub mod files;
mod follow;
pub mod manual;
mod messages;
pub mod operate;
pub mod output;
mod password;
mod people;
mod react;
pub mod recover;
pub mod render;
pub mod restore;
mod rooms;
mod search;
mod send;
mod session_file;
mod status;
mod when;

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
pub use failure::Failure;

use crate::chat;

/// How long to wait, at the end, for output that a reader does not take.
const FAREWELL: Duration = Duration::from_millis(100);

/// What every client command takes.
#[derive(Args, Clone, Debug)]
pub struct ClientOptions {
    /// Print JSON, one object a line
    #[arg(long, global = true, help_heading = "Connection and output")]
    pub json: bool,
    /// Servers to begin with, such as 127.0.0.1:7400,7401,7402
    ///
    /// Default: those remembered in the session file, else 127.0.0.1:7400,7401,7402. Further ones are learned.
    #[arg(
        long,
        global = true,
        env = "THREEFOLD_SERVERS",
        value_name = "A,B,C",
        help_heading = "Connection and output"
    )]
    pub servers: Option<String>,
    /// Where the login is kept [default: threefold/session.json in the user's configuration directory]
    #[arg(long, global = true, env = "THREEFOLD_SESSION", value_name = "FILE", help_heading = "Connection and output")]
    pub session: Option<PathBuf>,
    /// How long to go on trying
    #[arg(
        long,
        global = true,
        env = "THREEFOLD_TIMEOUT",
        value_name = "SECONDS",
        default_value = "10",
        value_parser = parse_seconds,
        help_heading = "Connection and output"
    )]
    pub timeout: Duration,
    /// The authority that signed the certificates of https servers, a PEM file
    #[arg(long, global = true, env = "THREEFOLD_CA", value_name = "FILE", help_heading = "Connection and output")]
    pub ca: Option<PathBuf>,
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds, such as 10 or 0.5".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() && seconds <= 86400.0 => Ok(duration),
        _ => Err("more than zero and at most a day".to_owned()),
    }
}

/// A command's own arguments with those of every client command.
#[derive(Args, Debug)]
pub struct With<A: Args> {
    #[command(flatten)]
    args: A,
    #[command(flatten)]
    options: ClientOptions,
}

/// No arguments of its own.
#[derive(Args, Debug)]
pub struct Nothing {}

/// Everything a client can ask of a cluster.
#[derive(Subcommand, Debug)]
pub enum ClientCommand {
    /// Create an account and log in
    Register(With<accounts::LoginArgs>),
    /// Log in on this device
    Login(With<accounts::LoginArgs>),
    /// Log out on this device
    Logout(With<accounts::LogoutArgs>),
    /// Say who is logged in here
    Whoami(With<Nothing>),
    /// Delete the account for ever
    DeleteAccount(With<accounts::DeleteAccountArgs>),
    /// Change the password, which logs out all other devices
    Passwd(With<accounts::PasswdArgs>),
    /// List the devices logged in, or log some out
    Sessions(With<accounts::SessionsArgs>),
    /// Send a message
    Send(With<send::SendArgs>),
    /// Show messages exchanged with somebody
    Messages(With<messages::MessagesArgs>),
    /// Search messages by their words
    Search(With<search::SearchArgs>),
    /// Save the files attached to a message
    Download(With<files::DownloadArgs>),
    /// List your conversations, the newest first
    Conversations(With<Nothing>),
    /// List conversations with unread messages
    Unread(With<Nothing>),
    /// Mark messages as read
    Read(With<messages::ReadArgs>),
    /// Delete messages
    DeleteMessage(With<messages::DeleteArgs>),
    /// Choose what people are shown beside your name
    DisplayName(With<accounts::DisplayNameArgs>),
    /// Do something to an account, as an administrator
    Admin(With<administer::AdminArgs>),
    /// Make bots, and what is done with them
    Bot(bots::BotArgs),
    /// Let programs post into a room
    Webhook(bots::webhooks::WebhookArgs),
    /// Change the text of a message of yours
    Edit(With<edit::EditArgs>),
    /// React to a message, or show who did
    React(With<react::ReactArgs>),
    /// List rooms: yours, and the public ones
    Rooms(With<rooms::RoomsArgs>),
    /// Make a room, and all that is done with one
    Room(rooms::RoomArgs),
    /// Leave a room
    Leave(With<rooms::WhichArgs>),
    /// List the rooms you are invited to
    Invitations(With<Nothing>),
    /// List accounts by name
    Users(With<people::UsersArgs>),
    /// List who is online
    Online(With<Nothing>),
    /// Chat, on the whole terminal
    Chat(With<chat::ChatArgs>),
    /// Print messages as they arrive
    Follow(With<follow::FollowArgs>),
    /// Write everything of yours to a file, as JSON lines
    Export(With<export::ExportArgs>),
    /// Show the cluster's servers
    Status(With<Nothing>),
}

impl ClientCommand {
    fn options(&self) -> &ClientOptions {
        match self {
            Self::Register(with) | Self::Login(with) => &with.options,
            Self::Logout(with) => &with.options,
            Self::Whoami(with)
            | Self::Conversations(with)
            | Self::Unread(with)
            | Self::Online(with)
            | Self::Status(with)
            | Self::Invitations(with) => &with.options,
            Self::Rooms(with) => &with.options,
            Self::Room(args) => args.options(),
            Self::Bot(args) => args.options(),
            Self::Webhook(args) => args.options(),
            Self::Leave(with) => &with.options,
            Self::DeleteAccount(with) => &with.options,
            Self::Passwd(with) => &with.options,
            Self::Sessions(with) => &with.options,
            Self::Send(with) => &with.options,
            Self::Messages(with) => &with.options,
            Self::Search(with) => &with.options,
            Self::Download(with) => &with.options,
            Self::Read(with) => &with.options,
            Self::DeleteMessage(with) => &with.options,
            Self::DisplayName(with) => &with.options,
            Self::Admin(with) => &with.options,
            Self::Edit(with) => &with.options,
            Self::React(with) => &with.options,
            Self::Users(with) => &with.options,
            Self::Follow(with) => &with.options,
            Self::Export(with) => &with.options,
            Self::Chat(with) => &with.options,
        }
    }
}

/// The command line as it is read: `join ROOM` is short for `room join ROOM`. (An operator's `join` names a server, which does not begin
/// with `#`, and its address. What makes no sense as that, but does as a room's name, is one.)
pub fn spoken<P: Parser>(arguments: impl Iterator<Item = OsString>) -> Result<P, clap::Error> {
    let arguments: Vec<OsString> = arguments.collect();
    let names_room = |argument: &OsString| argument.to_str().is_some_and(|text| text.starts_with('#'));
    if arguments.get(1).is_none_or(|command| command != "join") {
        return P::try_parse_from(arguments);
    }
    let mut of_room = arguments.clone();
    of_room.insert(1, "room".into());
    if arguments.iter().skip(2).any(names_room) {
        return P::try_parse_from(of_room);
    }
    P::try_parse_from(arguments).or_else(|error| {
        let is_help = !error.use_stderr();
        if is_help { Err(error) } else { P::try_parse_from(of_room).map_err(|_| error) }
    })
}

/// Reports a command line that makes no sense (or prints the help that was asked for). Whether JSON is wanted is only
/// guessed, for the command line could not be read.
#[must_use]
pub fn misused(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && env::args_os().any(|argument| argument == "--json") {
        return Failure::usage(in_a_sentence(&error.render().to_string())).report(true);
    }
    error.exit()
}

/// The first paragraph of what clap says, on one line.
fn in_a_sentence(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.trim_start_matches("error: ").split_whitespace().collect();
    words.join(" ")
}

/// Carries out a command and reports its failure.
#[must_use]
pub fn run(command: ClientCommand) -> ExitCode {
    let json = command.options().json;
    carry_out(dispatch(command), json)
}

/// Carries out an operator's command and reports its failure.
#[must_use]
pub fn run_operator(command: operate::OperatorCommand) -> ExitCode {
    let json = command.json();
    carry_out(operate::run(command), json)
}

/// Reports a failure of something that takes no time, for people.
#[must_use]
pub fn ended(result: Result<(), Failure>) -> ExitCode {
    result.map_or_else(|failure| failure.report(false), |()| ExitCode::SUCCESS)
}

/// Recovers a server and reports why it could not.
#[must_use]
pub fn run_recovery(args: recover::RecoverArgs) -> ExitCode {
    let json = args.json;
    carry_out(recover::recover(args), json)
}

/// Takes a backup, or looks at one, and reports why it could not.
#[must_use]
pub fn run_backup(args: backup::BackupArgs) -> ExitCode {
    let json = args.json;
    carry_out(backup::backup(args), json)
}

/// Restores a backup and reports why it could not.
#[must_use]
pub fn run_restoration(args: restore::RestoreArgs) -> ExitCode {
    let json = args.json;
    carry_out(restore::restore(args), json)
}

fn carry_out(command: impl Future<Output = Result<(), Failure>>, json: bool) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::usage(format!("cannot start: {error}")).report(json),
    };
    let result = runtime.block_on(command);
    // A reader that takes no output must not keep the program from ending.
    runtime.shutdown_timeout(FAREWELL);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

async fn dispatch(command: ClientCommand) -> Result<(), Failure> {
    match command {
        ClientCommand::Register(with) => accounts::register(with.args, with.options).await,
        ClientCommand::Login(with) => accounts::login(with.args, with.options).await,
        ClientCommand::Logout(with) => accounts::logout(with.args, with.options).await,
        ClientCommand::Whoami(with) => accounts::whoami(with.options).await,
        ClientCommand::DeleteAccount(with) => accounts::delete_account(with.args, with.options).await,
        ClientCommand::Passwd(with) => accounts::passwd(with.args, with.options).await,
        ClientCommand::Sessions(with) => accounts::sessions(with.args, with.options).await,
        ClientCommand::Send(with) => send::send(with.args, with.options).await,
        ClientCommand::Messages(with) => messages::messages(with.args, with.options).await,
        ClientCommand::Search(with) => search::search(with.args, with.options).await,
        ClientCommand::Download(with) => files::download(with.args, with.options).await,
        ClientCommand::Conversations(with) => conversations::conversations(with.options).await,
        ClientCommand::Unread(with) => conversations::unread(with.options).await,
        ClientCommand::Read(with) => messages::read(with.args, with.options).await,
        ClientCommand::DeleteMessage(with) => messages::delete(with.args, with.options).await,
        ClientCommand::DisplayName(with) => accounts::display_name(with.args, with.options).await,
        ClientCommand::Admin(with) => administer::administer(with.args, with.options).await,
        ClientCommand::Bot(args) => bots::bot(args).await,
        ClientCommand::Webhook(args) => bots::webhooks::webhook(args).await,
        ClientCommand::Edit(with) => edit::edit(with.args, with.options).await,
        ClientCommand::React(with) => react::react(with.args, with.options).await,
        ClientCommand::Rooms(with) => rooms::rooms(with.args, with.options).await,
        ClientCommand::Room(args) => rooms::room(args).await,
        ClientCommand::Leave(with) => rooms::leave(with.args, with.options).await,
        ClientCommand::Invitations(with) => rooms::invitations(with.options).await,
        ClientCommand::Users(with) => people::users(with.args, with.options).await,
        ClientCommand::Online(with) => people::online(with.options).await,
        ClientCommand::Chat(with) => chat::chat(with.args, with.options).await,
        ClientCommand::Follow(with) => follow::follow(with.args, with.options).await,
        ClientCommand::Export(with) => export::export(with.args, with.options).await,
        ClientCommand::Status(with) => status::status(with.options).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_joined_with_fewer_words() {
        let spoken = |line: &str| {
            let parsed = spoken::<crate::Cli>(line.split(' ').map(OsString::from)).map(|cli| cli.command);
            match parsed {
                Ok(crate::Command::Client(ClientCommand::Room(_))) => "a room",
                Ok(crate::Command::Operator(_)) => "a server",
                Ok(_) => "something else",
                Err(error) if error.use_stderr() => "wrong",
                Err(_) => "help",
            }
        };
        for room in ["join --json #tea", "join #tea", "join tea", "join tea --json --timeout 3"] {
            assert_eq!(spoken(&format!("threefold {room}")), "a room", "{room}");
        }
        assert_eq!(spoken("threefold join server-4 host:1"), "a server");
        assert_eq!(spoken("threefold join server-4 host:1 --wait"), "a server");
        assert_eq!(spoken("threefold join --help"), "help");
        assert_eq!(spoken("threefold join"), "wrong");
        assert_eq!(spoken("threefold join server-4 host"), "wrong");
        assert_eq!(spoken("threefold send #tea join"), "something else");
    }

    #[test]
    fn misuse_is_told_in_a_sentence() {
        let text = "error: the following required arguments were not provided:\n  <NAME>\n\nUsage: threefold send\n";
        assert_eq!(in_a_sentence(text), "the following required arguments were not provided: <NAME>");
    }
}
