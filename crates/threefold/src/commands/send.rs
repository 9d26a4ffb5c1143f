//! `send`: one message from the arguments or from a pipe, or one a line; with files, if any are to go with it.

mod kept;
mod lines;

use std::path::PathBuf;

use clap::Args;
use kept::{Before, tell_left};
use lines::Lined;
use serde::Serialize;
use threefold_client::{DiskOutbox, Error, chat::MessageSent};
use tokio::io::AsyncReadExt as _;

use super::{ClientOptions, Failure, context::Context, files, output::Output};

/// More than a message may have, so that a text beyond its bounds is told as such and a huge pipe is not read in.
const MOST_BYTES: u64 = 1024 * 1024;

/// Of `send`.
#[derive(Args, Debug)]
pub struct SendArgs {
    /// To whom, or into which room ('#room')
    name: String,
    /// The text; standard input if absent or `-`
    #[arg(allow_negative_numbers = true)]
    text: Vec<String>,
    /// Send each line of standard input as a message
    #[arg(long, conflicts_with = "text")]
    lines: bool,
    /// Keep lines in this file from when they are read until they are acknowledged: whatever ends the command, give it the same input and file
    /// again, and it goes on behind the last line it took
    #[arg(long, value_name = "FILE", requires = "lines")]
    outbox: Option<PathBuf>,
    /// As an answer to this message of the same conversation
    #[arg(long, value_name = "ID", conflicts_with = "lines")]
    reply_to: Option<u64>,
    /// Send this file with it; may be repeated. Then there need be no text
    #[arg(long, value_name = "FILE", conflicts_with = "lines")]
    attach: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Sent<'a> {
    id: u64,
    conversation: u64,
    time_ms: u64,
    to: &'a str,
}

/// Sends.
pub async fn send(args: SendArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let (writer, before) = match &args.outbox {
        Some(path) => {
            let session = context.session()?;
            let outbox = DiskOutbox::open(path, session).inspect_err(|_| tell_left(path, session, context.output))?;
            let before = Before::of(&outbox);
            (context.client.writer_with(outbox)?, Some(before))
        }
        None => (context.client.writer()?, None),
    };
    let _telling = context.tell_when_frozen();
    let to = args.name.as_str();
    let result = if args.lines {
        Lined::new(writer, to, context.output, before).run(options.timeout).await
    } else {
        let body = if args.attach.is_empty() || !args.text.is_empty() { body(args.text).await? } else { String::new() };
        let attachments = files::upload(&context, &args.attach).await?;
        let sent = writer.send_with(to, body, args.reply_to.unwrap_or(0), attachments).await?.await?;
        print(context.output, to, &sent)
    };
    context.remember().await?;
    result
}

fn print(output: Output, to: &str, sent: &MessageSent) -> Result<(), Failure> {
    let value = Sent { id: sent.id, conversation: sent.conversation, time_ms: sent.time_ms, to };
    Ok(output.result(&value, || format!("sent {}", sent.id))?)
}

/// The text of the arguments, or all of standard input without its last line feed.
pub async fn body(text: Vec<String>) -> Result<String, Failure> {
    if !(text.is_empty() || text == ["-"]) {
        return Ok(text.join(" "));
    }
    let mut bytes = Vec::new();
    let read = tokio::io::stdin().take(MOST_BYTES).read_to_end(&mut bytes).await;
    read.map_err(|error| Failure::usage(format!("cannot read the message: {error}")))?;
    let mut text = String::from_utf8(bytes).map_err(|_| Failure::usage("the message is not text in UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// One of several failed: the first decides how the command ends, the others are reported on the way.
pub fn keep_first(first: Option<Failure>, error: Error, output: Output) -> Option<Failure> {
    Some(first_of(first, Failure::from(error), output))
}

fn first_of(first: Option<Failure>, failure: Failure, output: Output) -> Failure {
    match first {
        None => failure,
        Some(first) => {
            failure.print(output.is_json());
            first
        }
    }
}
