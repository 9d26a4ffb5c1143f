//! `rooms room leave invitations`: rooms, what is done with them, and who may join.
//!
//! A room's name may be given with or without its `#`, which a shell takes for a comment unless it is quoted.

mod change;
mod list;

use clap::{Args, Subcommand, ValueEnum};
pub use list::{RoomsArgs, invitations, rooms};
use threefold_client::{To, chat::Role};

use super::{ClientOptions, Failure, With};

/// Of `room`.
#[derive(Args, Debug)]
pub struct RoomArgs {
    #[command(subcommand)]
    command: RoomCommand,
}

/// What is done with rooms.
#[derive(Subcommand, Debug)]
enum RoomCommand {
    /// Make a room, and be its owner
    Create(With<CreateArgs>),
    /// Become a member: of a public room, or of one you are invited to
    Join(With<WhichArgs>),
    /// Be no member any more
    Leave(With<WhichArgs>),
    /// Turn an invitation down
    Decline(With<WhichArgs>),
    /// Show a room
    Show(With<WhichArgs>),
    /// List the members of a room you are in
    Members(With<MembersArgs>),
    /// Let somebody join
    Invite(With<WhomArgs>),
    /// Take a member out, or an invitation back
    Remove(With<WhomArgs>),
    /// Make a member an owner, a moderator, or neither
    Role(With<RoleArgs>),
    /// Say what the room is about
    Topic(With<TopicArgs>),
    /// Give the room another name
    Rename(With<RenameArgs>),
    /// Let anybody find the room and join
    Public(With<WhichArgs>),
    /// Let only those join who are invited
    Private(With<WhichArgs>),
}

/// A room.
#[derive(Args, Debug)]
pub struct WhichArgs {
    /// The room's name
    room: String,
}

/// Of `room create`.
#[derive(Args, Debug)]
struct CreateArgs {
    /// Its name: 1 to 32 letters, digits, `_`, `.` or `-`
    name: String,
    /// What it is about
    #[arg(long, default_value = "")]
    topic: String,
    /// Only who is invited finds it and joins
    #[arg(long)]
    private: bool,
}

/// Of `room members`.
#[derive(Args, Debug)]
struct MembersArgs {
    /// The room's name
    room: String,
    /// Continue after this account, by its number
    #[arg(long, value_name = "ACCOUNT", default_value_t = 0, hide_default_value = true)]
    after: u64,
    /// How many at most, up to 200
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

/// Of `room invite` and `room remove`.
#[derive(Args, Debug)]
struct WhomArgs {
    /// The room's name
    room: String,
    /// Whom
    user: String,
}

/// Of `room role`.
#[derive(Args, Debug)]
struct RoleArgs {
    /// The room's name
    room: String,
    /// Whose role
    user: String,
    /// Which role
    role: RoleName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Member,
    Moderator,
    Owner,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Member => Self::Member,
            RoleName::Moderator => Self::Moderator,
            RoleName::Owner => Self::Owner,
        }
    }
}

/// Of `room topic`.
#[derive(Args, Debug)]
struct TopicArgs {
    /// The room's name
    room: String,
    /// The topic; none takes it away
    topic: Vec<String>,
}

/// Of `room rename`.
#[derive(Args, Debug)]
struct RenameArgs {
    /// The room's name
    room: String,
    /// Its new name
    name: String,
}

impl RoomArgs {
    /// What every client command takes.
    pub fn options(&self) -> &ClientOptions {
        match &self.command {
            RoomCommand::Create(with) => &with.options,
            RoomCommand::Join(with)
            | RoomCommand::Leave(with)
            | RoomCommand::Decline(with)
            | RoomCommand::Show(with)
            | RoomCommand::Public(with)
            | RoomCommand::Private(with) => &with.options,
            RoomCommand::Members(with) => &with.options,
            RoomCommand::Invite(with) | RoomCommand::Remove(with) => &with.options,
            RoomCommand::Role(with) => &with.options,
            RoomCommand::Topic(with) => &with.options,
            RoomCommand::Rename(with) => &with.options,
        }
    }
}

/// Does something with a room.
pub async fn room(args: RoomArgs) -> Result<(), Failure> {
    match args.command {
        RoomCommand::Create(with) => change::create(with.args, with.options).await,
        RoomCommand::Join(with) => change::join(with.args, with.options).await,
        RoomCommand::Leave(with) => change::leave(with.args, with.options).await,
        RoomCommand::Decline(with) => change::decline(with.args, with.options).await,
        RoomCommand::Show(with) => list::show(with.args, with.options).await,
        RoomCommand::Members(with) => list::members(with.args, with.options).await,
        RoomCommand::Invite(with) => change::invite(with.args, with.options).await,
        RoomCommand::Remove(with) => change::remove(with.args, with.options).await,
        RoomCommand::Role(with) => change::role(with.args, with.options).await,
        RoomCommand::Topic(with) => change::topic(with.args, with.options).await,
        RoomCommand::Rename(with) => change::rename(with.args, with.options).await,
        RoomCommand::Public(with) => change::publish(with.args, with.options, true).await,
        RoomCommand::Private(with) => change::publish(with.args, with.options, false).await,
    }
}

/// Leaves a room.
pub async fn leave(args: WhichArgs, options: ClientOptions) -> Result<(), Failure> {
    change::leave(args, options).await
}

/// A room's name without its `#`.
fn bare(name: &str) -> &str {
    name.strip_prefix('#').unwrap_or(name)
}

/// A room by its name.
fn called(name: &str) -> To {
    To::Room(bare(name).to_owned())
}
