//! `messages read delete-message`: conversations as they are stored.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::Serialize;
use threefold_client::{
    Page,
    chat::{HistoryReply, Message},
};

use super::{
    ClientOptions, Failure,
    context::Context,
    output::{Unprinted, escape},
    render::{Line, quote},
    when,
};

/// The most entries of one page.
const PAGE: u32 = 200;
/// The most messages asked for by their ids at once.
const BY_ID: usize = 100;
/// What stands for an answered message that cannot be shown.
const GONE: &str = "a message that is not there any more";

/// Of `messages`.
#[derive(Args, Debug)]
pub struct MessagesArgs {
    /// With whom, or in which room ('#room')
    name: String,
    /// How many
    #[arg(default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// The newest before this message
    #[arg(long, value_name = "ID", conflicts_with = "after")]
    before: Option<u64>,
    /// The oldest after this message (0: from the beginning)
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    /// This message, with about as many before it as after it
    #[arg(long, value_name = "ID", conflicts_with_all = ["before", "after"])]
    around: Option<u64>,
    /// The oldest of this time or later, such as 12:30, 2026-05-17 or "2026-05-17 12:30"
    #[arg(long, value_name = "TIME", value_parser = when::parse, conflicts_with_all = ["before", "after", "around"])]
    from: Option<u64>,
    /// Fail rather than leave out anything that anybody sent before now, at any server
    ///
    /// Without it this is so where a leader answers within a second; else what the server has is shown.
    #[arg(long)]
    consistent: bool,
}

/// Of `read`.
#[derive(Args, Debug)]
pub struct ReadArgs {
    /// With whom, or in which room ('#room')
    name: String,
    /// The last message read; all if absent
    #[arg(long, value_name = "ID", default_value_t = 0, hide_default_value = true)]
    up_to: u64,
}

/// Of `delete-message`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    /// Which, as `messages` shows them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<u64>,
    /// For everyone, not only for you: your own messages only
    #[arg(long)]
    everyone: bool,
}

/// Shows messages, oldest first. Changes nothing.
pub async fn messages(args: MessagesArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let account = context.session()?.account;
    if !args.consistent {
        context.catch_up().await;
    }
    let messages = match (args.after, args.around, args.from) {
        (Some(after), _, _) => forward(&context, &args, Page::After(after)).await?,
        (None, Some(around), _) => around_one(&context, &args, around).await?,
        (None, None, Some(time_ms)) => forward(&context, &args, Page::At(time_ms)).await?,
        (None, None, None) => backward(&context, &args).await?,
    };
    let quotes = quotes(&context, &messages).await?;
    for message in &messages {
        let line = Line::message(message, account);
        let answered = (message.reply_to != 0).then(|| quotes.get(&message.reply_to).map_or(GONE, String::as_str));
        let human = || line.human_message(answered).map(|text| format!("{} {text}", message.id)).unwrap_or_default();
        context.output.result(&line, human)?;
    }
    if messages.is_empty() {
        context.output.remark(&format!("no messages {}", place(&args.name)))?;
    }
    context.remember().await
}

async fn page(context: &Context, args: &MessagesArgs, page: Page, left: u32) -> Result<HistoryReply, Failure> {
    let (client, with, limit) = (&context.client, args.name.as_str(), left.min(PAGE));
    Ok(if args.consistent {
        client.consistent_history(with, page, limit).await?
    } else {
        client.history(with, page, limit).await?
    })
}

/// What the messages that others answer say, by their ids; for people only.
async fn quotes(context: &Context, messages: &[Message]) -> Result<BTreeMap<u64, String>, Failure> {
    let mut quotes = BTreeMap::new();
    let answered: BTreeSet<u64> = messages.iter().map(|message| message.reply_to).filter(|id| *id != 0).collect();
    let Some(first) = messages.first().filter(|_| !context.output.is_json()) else { return Ok(quotes) };
    quotes.extend(messages.iter().filter(|message| answered.contains(&message.id)).map(|one| (one.id, quote(one))));
    let missing: Vec<u64> = answered.into_iter().filter(|id| !quotes.contains_key(id)).collect();
    for ids in missing.chunks(BY_ID) {
        let found = context.client.messages(first.conversation, ids.to_vec()).await?;
        quotes.extend(found.iter().map(|one| (one.id, quote(one))));
    }
    Ok(quotes)
}

/// A page around a message, and further ones on that side of it where there are fewer: pages are bounded in bytes too.
async fn around_one(context: &Context, args: &MessagesArgs, around: u64) -> Result<Vec<Message>, Failure> {
    let HistoryReply { mut messages, mut older, mut newer, .. } =
        page(context, args, Page::Around(around), args.count).await?;
    while let Some(left) = left(args.count, messages.len()) {
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else { break };
        let before = messages.partition_point(|message| message.id < around);
        let behind = messages.len() - before;
        if older && (before < behind || !newer) {
            // No more than the other side may still have.
            let half = if newer { left.div_ceil(2) } else { left };
            let mut page = page(context, args, Page::Before(first.id), half).await?;
            older = page.more && !page.messages.is_empty();
            page.messages.append(&mut messages);
            messages = page.messages;
        } else if newer {
            let half = if older { left.div_ceil(2) } else { left };
            let page = page(context, args, Page::After(last.id), half).await?;
            newer = page.more && !page.messages.is_empty();
            messages.extend(page.messages);
        } else {
            break;
        }
    }
    Ok(messages)
}

/// Page after page towards the end.
async fn forward(context: &Context, args: &MessagesArgs, mut from: Page) -> Result<Vec<Message>, Failure> {
    let mut messages: Vec<Message> = Vec::new();
    while let Some(left) = left(args.count, messages.len()) {
        let page = page(context, args, from, left).await?;
        let Some(last) = page.messages.last() else { break };
        from = Page::After(last.id);
        messages.extend(page.messages);
        if !page.more {
            break;
        }
    }
    Ok(messages)
}

/// Page after page towards the beginning.
async fn backward(context: &Context, args: &MessagesArgs) -> Result<Vec<Message>, Failure> {
    let mut before = args.before.unwrap_or(0);
    let mut pages: Vec<Vec<Message>> = Vec::new();
    while let Some(left) = left(args.count, pages.iter().map(Vec::len).sum()) {
        let page = page(context, args, Page::Before(before), left).await?;
        let Some(first) = page.messages.first() else { break };
        before = first.id;
        pages.push(page.messages);
        if !page.more {
            break;
        }
    }
    Ok(pages.into_iter().rev().flatten().collect())
}

fn left(wanted: u32, have: usize) -> Option<u32> {
    wanted.checked_sub(u32::try_from(have).ok()?).filter(|left| *left > 0)
}

/// Where messages are, in words.
fn place(name: &str) -> String {
    let preposition = if name.starts_with('#') { "in" } else { "with" };
    format!("{preposition} {}", escape(name))
}

#[derive(Serialize)]
struct MarkedRead<'a> {
    peer: &'a str,
    up_to: Option<u64>,
    position: u64,
}

/// Moves the read marker forward.
pub async fn read(args: ReadArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let writer = context.client.writer()?;
    let position = writer.mark_read(args.name.as_str(), args.up_to).await?.await?;
    let up_to = Some(args.up_to).filter(|up_to| *up_to > 0);
    let human = || match up_to {
        Some(up_to) => format!("messages {} are marked as read up to {up_to}", place(&args.name)),
        None => format!("all messages {} are marked as read", place(&args.name)),
    };
    context.output.result(&MarkedRead { peer: &args.name, up_to, position }, human)?;
    context.remember().await
}

#[derive(Serialize)]
struct DeletedMessage {
    deleted: u64,
    everyone: bool,
}

/// Deletes messages, each by itself, because they may be of several conversations.
pub async fn delete(args: DeleteArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let writer = context.client.writer()?;
    let (mut failure, mut unprinted) = (None, Unprinted::default());
    // A window at a time goes out before the first answer is awaited.
    for ids in args.ids.chunks(64) {
        let mut receipts = Vec::new();
        for id in ids {
            receipts.push((*id, writer.delete(0, vec![*id], args.everyone).await?));
        }
        for (id, receipt) in receipts {
            match receipt.await {
                Ok(_) => {
                    let value = DeletedMessage { deleted: id, everyone: args.everyone };
                    unprinted.keep(context.output.result(&value, || format!("deleted {id}")));
                }
                Err(error) => failure = super::send::keep_first(failure, error, context.output),
            }
        }
    }
    context.remember().await?;
    failure.map_or(unprinted.end(), Err)
}
