//! `conversations unread`: which conversations there are, the newest first, and what is unread in them.

use serde::Serialize;
use threefold_client::chat::Conversation;

use super::{
    ClientOptions, Failure,
    context::Context,
    output::{table, time},
    render::{Line, name, room_name},
};

/// The most conversations of one page.
const PAGE: u32 = 200;

#[derive(Serialize)]
struct Shown<'a> {
    conversation: u64,
    peer: &'a str,
    /// The room, without `#`; absent in a direct conversation.
    #[serde(skip_serializing_if = "str::is_empty")]
    room: &'a str,
    unread: u64,
    /// Those of them that mention this account.
    unread_mentions: u64,
    read_up_to: u64,
    /// How far the other one has read.
    peer_read_up_to: u64,
    messages: u64,
    /// Null where no message is to be seen.
    last: Option<Line<'a>>,
}

/// Lists all conversations, those with the newest messages first.
pub async fn conversations(options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let mut all = list(&context, false).await?;
    all.sort_by_key(|one| std::cmp::Reverse(one.last.as_ref().map_or(0, |last| last.id)));
    let mut rows = Vec::new();
    for one in &all {
        tell(&context, one)?;
        let unread = if one.unread > 0 { format!("{} unread", one.unread) } else { String::new() };
        let last = one.last.as_ref().map_or(String::new(), |last| time(last.time_ms));
        rows.push(vec![place(one), last, unread, mentions(one)]);
    }
    context.output.remark(if rows.is_empty() {
        "no conversations yet: begin one with `threefold send NAME`"
    } else {
        ""
    })?;
    context.output.remark(&table(&rows))?;
    context.remember().await
}

/// Lists conversations with unread messages.
pub async fn unread(options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let mut rows = Vec::new();
    for one in &list(&context, true).await? {
        tell(&context, one)?;
        rows.push(vec![one.unread.to_string(), place(one), mentions(one)]);
    }
    context.output.remark(if rows.is_empty() { "nothing unread" } else { "" })?;
    context.output.remark(&table(&rows))?;
    context.remember().await
}

/// Page after page to the end.
async fn list(context: &Context, only_unread: bool) -> Result<Vec<Conversation>, Failure> {
    context.catch_up().await;
    let mut all: Vec<Conversation> = Vec::new();
    loop {
        let after = all.last().map_or(0, |last| last.conversation);
        let page = context.client.conversations(only_unread, PAGE, after).await?;
        let is_last = !page.more || page.conversations.is_empty();
        all.extend(page.conversations);
        if is_last {
            return Ok(all);
        }
    }
}

/// The object for programs.
fn tell(context: &Context, one: &Conversation) -> Result<(), Failure> {
    if !context.output.is_json() {
        return Ok(());
    }
    let account = context.session()?.account;
    let value = Shown {
        conversation: one.conversation,
        peer: &one.peer_name,
        room: one.room.as_ref().map_or("", |room| &room.name),
        unread: one.unread,
        unread_mentions: one.unread_mentions,
        read_up_to: one.read_up_to,
        peer_read_up_to: one.peer_read_up_to,
        messages: one.messages,
        last: one.last.as_ref().map(|last| Line::message(last, account)),
    };
    Ok(context.output.result(&value, String::new)?)
}

/// With whom, or in which room.
fn place(one: &Conversation) -> String {
    one.room.as_ref().map_or_else(|| name(&one.peer_name), |room| room_name(&room.name))
}

fn mentions(one: &Conversation) -> String {
    match one.unread_mentions {
        0 => String::new(),
        1 => "one mentions you".to_owned(),
        more => format!("{more} mention you"),
    }
}
