//! Which rooms there are, who is in one, and who is invited.

use clap::Args;
use serde::Serialize;
use threefold_client::chat::Room;

use super::{MembersArgs, WhichArgs, bare, called};
use crate::commands::{
    ClientOptions, Failure,
    context::Context,
    output::{More, escape, table, time},
    render::{name, role_name, room_name},
};

/// Of `rooms`.
#[derive(Args, Debug)]
pub struct RoomsArgs {
    /// Part of a name, or a pattern such as `a*z`; all if absent
    #[arg(default_value = "")]
    pattern: String,
    /// Continue after this name
    #[arg(long, value_name = "NAME", default_value = "")]
    after: String,
    /// How many at most, up to 200
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

#[derive(Serialize)]
struct Shown<'a> {
    conversation: u64,
    room: &'a str,
    topic: &'a str,
    public: bool,
    members: u64,
    /// Absent: not in it.
    #[serde(skip_serializing_if = "str::is_empty")]
    role: &'static str,
    invited: bool,
    created_at_ms: u64,
}

impl<'a> Shown<'a> {
    fn of(room: &'a Room) -> Self {
        Self {
            conversation: room.conversation,
            room: &room.name,
            topic: &room.topic,
            public: room.public,
            members: room.members,
            role: role_name(room.role()),
            invited: room.invited,
            created_at_ms: room.created_at_ms,
        }
    }

    fn row(&self) -> Vec<String> {
        let mut remarks = vec![if self.public { "public" } else { "private" }];
        if self.invited {
            remarks.push("you are invited");
        }
        remarks.push(self.role);
        remarks.retain(|remark| !remark.is_empty());
        let members = format!("{} member{}", self.members, if self.members == 1 { "" } else { "s" });
        vec![room_name(self.room), members, remarks.join(", "), escape(self.topic)]
    }
}

/// Lists rooms by name.
pub async fn rooms(args: RoomsArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let page = context.client.rooms(bare(&args.pattern), args.limit, bare(&args.after)).await?;
    let mut rows = Vec::new();
    for room in &page.rooms {
        let shown = Shown::of(room);
        if context.output.is_json() {
            context.output.result(&shown, String::new)?;
        }
        rows.push(shown.row());
    }
    context.output.remark(&table(&rows))?;
    match page.rooms.last() {
        None => context.output.remark("there is no such room")?,
        Some(last) if page.more => context.output.more(More::after(&last.name))?,
        Some(_) => {}
    }
    context.remember().await
}

/// Shows a room.
pub async fn show(args: WhichArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let room = context.client.room(called(&args.room)).await?;
    let shown = Shown::of(&room);
    let human = || table(&[[shown.row(), vec![format!("since {}", time(room.created_at_ms))]].concat()]);
    context.output.result(&shown, human)?;
    context.remember().await
}

#[derive(Serialize)]
struct Member<'a> {
    account: u64,
    name: &'a str,
    role: &'static str,
    joined_at_ms: u64,
    /// Absent: nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_by: Option<&'a str>,
    online: bool,
}

/// Lists the members of a room.
pub async fn members(args: MembersArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let page = context.client.members(called(&args.room), args.limit, args.after).await?;
    let mut rows = Vec::new();
    for member in &page.members {
        let shown = Member {
            account: member.account,
            name: &member.name,
            role: role_name(member.role()),
            joined_at_ms: member.joined_at_ms,
            invited_by: member.invited_by.as_ref().map(|by| by.name.as_str()),
            online: member.online,
        };
        if context.output.is_json() {
            context.output.result(&shown, String::new)?;
        }
        let online = if member.online { "online" } else { "" };
        let since = format!("since {}", time(member.joined_at_ms));
        rows.push(vec![name(&member.name), shown.role.to_owned(), since, online.to_owned()]);
    }
    context.output.remark(&table(&rows))?;
    if let Some(last) = page.members.last().filter(|_| page.more) {
        context.output.more(More::after(last.account))?;
    }
    context.remember().await
}

#[derive(Serialize)]
struct Invitation<'a> {
    conversation: u64,
    room: &'a str,
    topic: &'a str,
    members: u64,
    by: &'a str,
    at_ms: u64,
}

/// Lists the rooms one is invited to.
pub async fn invitations(options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let open = context.client.invitations().await?;
    let mut rows = Vec::new();
    for invitation in &open {
        let by = invitation.by.as_ref().map_or("", |by| &by.name);
        if context.output.is_json() {
            let value = Invitation {
                conversation: invitation.conversation,
                room: &invitation.room_name,
                topic: &invitation.topic,
                members: invitation.members,
                by,
                at_ms: invitation.at_ms,
            };
            context.output.result(&value, String::new)?;
        }
        let (room, when) = (room_name(&invitation.room_name), time(invitation.at_ms));
        rows.push(vec![room, format!("by {}", name(by)), when, escape(&invitation.topic)]);
    }
    context.output.remark(if rows.is_empty() { "no invitations" } else { "" })?;
    context.output.remark(&table(&rows))?;
    context.remember().await
}
