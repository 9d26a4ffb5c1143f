//! `react`: a reaction to a message is added or taken back; without one, who reacted with what.

use clap::Args;
use serde::Serialize;
use threefold_client::chat::ReactedBy;

use super::{
    ClientOptions, Failure,
    context::Context,
    output::{escape, table},
    render::name,
};

/// The most entries of one page.
const PAGE: u32 = 200;

/// Of `react`.
#[derive(Args, Debug)]
pub struct ReactArgs {
    /// To which message, as `messages` shows it
    id: u64,
    /// With what, such as 👍; shows who reacted with what if absent
    emoji: Option<String>,
    /// Take it back
    #[arg(long, requires = "emoji")]
    remove: bool,
}

#[derive(Serialize)]
struct Reacted<'a> {
    message: u64,
    emoji: &'a str,
    added: bool,
    position: u64,
}

#[derive(Serialize)]
struct By<'a> {
    message: u64,
    emoji: &'a str,
    account: u64,
    /// Empty once the account is deleted.
    name: &'a str,
}

/// Reacts, or lists who did.
pub async fn react(args: ReactArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let Some(emoji) = &args.emoji else {
        list(&context, args.id).await?;
        return context.remember().await;
    };
    let writer = context.client.writer()?;
    let _telling = context.tell_when_frozen();
    let position = writer.react(args.id, emoji.as_str(), !args.remove).await?.await?;
    let value = Reacted { message: args.id, emoji, added: !args.remove, position };
    let human = || match args.remove {
        false => format!("reacted to {} with {}", args.id, escape(emoji)),
        true => format!("took {} back from {}", escape(emoji), args.id),
    };
    context.output.result(&value, human)?;
    context.remember().await
}

async fn list(context: &Context, message: u64) -> Result<(), Failure> {
    let mut all: Vec<ReactedBy> = Vec::new();
    loop {
        let page = context.client.reactions(message, "", PAGE, all.last()).await?;
        let end = !page.more || page.reactions.is_empty();
        all.extend(page.reactions);
        if end {
            break;
        }
    }
    for by in all.iter().filter(|_| context.output.is_json()) {
        let value = By { message, emoji: &by.emoji, account: by.account, name: &by.name };
        context.output.result(&value, String::new)?;
    }
    let rows: Vec<_> = all.iter().map(|by| vec![escape(&by.emoji), name(&by.name)]).collect();
    context.output.remark(if rows.is_empty() { "nobody has reacted" } else { "" })?;
    Ok(context.output.remark(&table(&rows))?)
}
