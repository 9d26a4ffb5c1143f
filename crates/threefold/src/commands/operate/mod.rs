//! Operators' commands: who is a member of the cluster, and who leads it.
//!
//! They speak to the peer port of any server, with a certificate of the cluster's own authority: whoever can read a
//! server's key may run the cluster, and nobody else. Each may be given twice; the second time nothing changes.

pub mod target;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use target::Target;
use threefold::{
    settings::Address,
    tui::{progress::Progress, text::one_line},
};
use threefold_server::{
    peer::operator::{AdminMember, Answer, NotDone, Operator},
    raft::Order,
};
use tokio::time::{Instant, sleep};

use super::{
    Failure,
    output::{Output, escape, table},
};

/// What a removal that came to nothing was about.
const ABOUT_SERVERS: &str = "this is about servers (`threefold room remove ROOM NAME` takes somebody out of a room)";

/// Between two looks whether a server has come in.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What an operator can ask of a cluster.
#[derive(Subcommand, Debug)]
pub enum OperatorCommand {
    /// Let a further server into the cluster (with '#room': go into that room)
    Join(With<JoinArgs>),
    /// Take a server out of the cluster (people out of a room: `room remove`)
    Remove(With<RemoveArgs>),
    /// Put a new server in the place of another
    Replace(With<ReplaceArgs>),
    /// Let another server lead
    TransferLeader(With<TransferArgs>),
    /// Switch survivor mode on or off
    SurvivorMode(With<SurvivorArgs>),
}

/// A command's own arguments with those of every operator's command.
#[derive(Args, Debug)]
pub struct With<A: Args> {
    #[command(flatten)]
    args: A,
    #[command(flatten)]
    options: Options,
}

/// What every operator's command takes.
#[derive(Args, Debug)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// Print JSON, one object a line
    #[arg(long, help_heading = "Connection and output")]
    json: bool,
    /// How long to go on trying
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "60",
        value_parser = super::parse_seconds,
        help_heading = "Connection and output"
    )]
    timeout: Duration,
}

/// The options of `threefold join`.
#[derive(Args, Debug)]
#[command(
    after_help = "Then start the server: `threefold serve` with a certificate for NAME, this address as its peer \
                        address, and some servers of the cluster as its peers. It becomes a member once it has caught up.\n\n\
                        To join a room: `threefold join '#room'`."
)]
pub struct JoinArgs {
    /// The new server's name
    name: String,
    /// Where it listens for servers
    #[arg(value_name = "HOST:PORT")]
    peer_address: Address,
    /// Wait until it is a member with a vote
    #[arg(long)]
    wait: bool,
}

/// The options of `threefold remove`.
#[derive(Args, Debug)]
#[command(
    after_help = "Refused where the servers that remain would be without a majority that is up. A removed server does \
                        not come back by itself, also not with an empty directory: `threefold join` lets it in again.\n\n\
                        To take somebody out of a room: `threefold room remove ROOM NAME`."
)]
pub struct RemoveArgs {
    /// The server's name
    name: String,
}

/// The options of `threefold replace`.
#[derive(Args, Debug)]
#[command(
    after_help = "Then start NEW as after `threefold join`: once it has caught up, it gets the vote of OLD in a single \
                        change, and OLD is removed."
)]
pub struct ReplaceArgs {
    /// The server that leaves
    old: String,
    /// The new server's name
    new: String,
    /// Where the new server listens for servers
    #[arg(value_name = "HOST:PORT")]
    peer_address: Address,
    /// Wait until it is a member with a vote
    #[arg(long)]
    wait: bool,
}

/// The options of `threefold transfer-leader`.
#[derive(Args, Debug)]
pub struct TransferArgs {
    /// The server that shall lead [default: the one with the longest log]
    name: Option<String>,
}

/// The options of `threefold survivor-mode`.
#[derive(Args, Debug)]
#[command(
    after_help = "In survivor mode the last of three servers goes on by itself when the processes of the two others \
                        have died. It takes part only while exactly three servers vote."
)]
pub struct SurvivorArgs {
    /// On or off
    switch: Switch,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl OperatorCommand {
    /// Whether JSON is wanted.
    pub fn json(&self) -> bool {
        self.options().json
    }

    fn options(&self) -> &Options {
        match self {
            Self::Join(with) => &with.options,
            Self::Remove(with) => &with.options,
            Self::Replace(with) => &with.options,
            Self::TransferLeader(with) => &with.options,
            Self::SurvivorMode(with) => &with.options,
        }
    }

    fn order(&self) -> Order {
        match self {
            Self::Join(With { args, .. }) => Order::Invite {
                name: args.name.clone(),
                peer_address: args.peer_address.to_string(),
                in_place_of: None,
            },
            Self::Remove(With { args, .. }) => Order::Remove { name: args.name.clone() },
            Self::Replace(With { args, .. }) => Order::Invite {
                name: args.new.clone(),
                peer_address: args.peer_address.to_string(),
                in_place_of: Some(args.old.clone()),
            },
            Self::TransferLeader(With { args, .. }) => Order::TransferLeader { to: args.name.clone() },
            Self::SurvivorMode(With { args, .. }) => Order::SurvivorMode { on: matches!(args.switch, Switch::On) },
        }
    }

    /// Who must have become a member, and who must have left, before the command ends.
    fn awaited(&self) -> Option<(&str, Option<&str>)> {
        match self {
            Self::Join(With { args, .. }) if args.wait => Some((&args.name, None)),
            Self::Replace(With { args, .. }) if args.wait => Some((&args.new, Some(&args.old))),
            Self::Join(_) | Self::Replace(_) | Self::Remove(_) | Self::TransferLeader(_) | Self::SurvivorMode(_) => {
                None
            }
        }
    }
}

/// Carries out an operator's command.
pub async fn run(command: OperatorCommand) -> Result<(), Failure> {
    let is_removal = matches!(command, OperatorCommand::Remove(_));
    carry_out(command).await.map_err(|failure| {
        // Whoever meant a room would look for the fault in the cluster.
        if is_removal && !failure.is_unavailable() { failure.after(ABOUT_SERVERS) } else { failure }
    })
}

async fn carry_out(command: OperatorCommand) -> Result<(), Failure> {
    let options = command.options();
    let operator = options.target.operator()?;
    let give_up = Instant::now() + options.timeout;
    let mut answer = operator.order(&command.order(), options.timeout).await?;
    if let Some((name, gone)) = command.awaited() {
        answer = until_member(&operator, name, gone, give_up).await?;
    }
    Output::new(options.json).result(&Report::from(&answer), || human(&answer))?;
    Ok(())
}

async fn until_member(
    operator: &Operator,
    name: &str,
    gone: Option<&str>,
    give_up: Instant,
) -> Result<Answer, Failure> {
    let begun = Instant::now();
    let mut shown: Option<(bool, Progress)> = None;
    loop {
        let left = give_up.saturating_duration_since(Instant::now());
        let answer = operator.order(&Order::Look, left).await?;
        let there = answer.members.iter().find(|member| member.name == name);
        let is_in = there.is_some_and(|member| member.voter);
        let is_gone = !answer.members.iter().any(|member| Some(member.name.as_str()) == gone);
        if is_in && is_gone {
            return Ok(Answer { detail: format!("{name} is a member"), ..answer });
        }
        if Instant::now() + LOOK_AGAIN >= give_up {
            let said = format!("{name} may join, but is not a member yet; does it run? Its log says what it waits for");
            return Err(Failure::unavailable(said));
        }
        // How much it has still to be sent nobody tells an operator: the bar is of the time there is.
        let is_there = there.is_some();
        if shown.as_ref().is_none_or(|(was_there, _)| *was_there != is_there) {
            let words = if is_there { "catches up" } else { "is waited for" };
            let total = (give_up - begun).as_secs();
            shown = Some((is_there, Progress::new(format!("{} {words}", one_line(name)), total, seconds)));
        }
        if let Some((_, progress)) = &mut shown {
            progress.at(begun.elapsed().as_secs());
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn seconds(count: u64) -> String {
    format!("{count} s")
}

impl From<NotDone> for Failure {
    fn from(error: NotDone) -> Self {
        match error {
            NotDone::Refused(why) => Self::declined(why),
            NotDone::Unavailable(why) => {
                Self::unavailable(format!("{why}; try again, or see what the servers' logs say"))
            }
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    detail: &'a str,
    survivor_mode: bool,
    members: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    id: u64,
    name: &'a str,
    peer_address: &'a str,
    client_address: &'a str,
    voter: bool,
    leader: bool,
}

impl<'a> From<&'a Answer> for Report<'a> {
    fn from(answer: &'a Answer) -> Self {
        let member = |member: &'a AdminMember| Member {
            id: member.id,
            name: &member.name,
            peer_address: &member.peer_address,
            client_address: &member.client_address,
            voter: member.voter,
            leader: member.leader,
        };
        let members = answer.members.iter().map(member).collect();
        Self { detail: &answer.detail, survivor_mode: answer.survivor_mode, members }
    }
}

fn human(answer: &Answer) -> String {
    let mut rows = vec![["NAME", "SERVERS AT", "CLIENTS AT", "ROLE"].map(str::to_owned).to_vec()];
    rows.extend(answer.members.iter().map(|member| {
        let role = match (member.leader, member.voter) {
            (true, _) => "leader",
            (false, true) => "voter",
            (false, false) => "catching up",
        };
        vec![escape(&member.name), escape(&member.peer_address), escape(&member.client_address), role.to_owned()]
    }));
    format!("{}\n\n{}.", table(&rows), escape(&answer.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_a_sentence() {
        let member = |name: &str, voter, leader| AdminMember {
            id: 1,
            name: name.to_owned(),
            peer_address: "host:7500".to_owned(),
            client_address: "host:7400".to_owned(),
            voter,
            leader,
        };
        let members = vec![member("a", true, true), member("b", true, false), member("c", false, false)];
        let answer = Answer { detail: "d may join".to_owned(), members, survivor_mode: false };
        assert_eq!(
            human(&answer),
            "NAME  SERVERS AT  CLIENTS AT  ROLE\n\
             a     host:7500   host:7400   leader\n\
             b     host:7500   host:7400   voter\n\
             c     host:7500   host:7400   catching up\n\n\
             d may join."
        );
    }
}
