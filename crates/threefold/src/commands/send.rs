//! `send`: one message from the arguments or from a pipe, or one a line; with files, if any are to go with it.

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use clap::Args;
use serde::Serialize;
use threefold_client::{DiskOutbox, Error, MESSAGE_BYTES, Receipt, Writer, chat::MessageSent};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines, Stdin},
    sync::watch,
    time::timeout,
};

use super::{
    ClientOptions, Failure,
    context::Context,
    files,
    output::{Output, Unprinted},
};

/// Messages of `--lines` on their way at a time: what the cluster remembers replies for.
const IN_FLIGHT: usize = 64;
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
    let (writer, taken) = match &args.outbox {
        Some(path) => {
            let outbox = DiskOutbox::open(path, context.session()?)?;
            let taken = outbox.accepted();
            (context.client.writer_with(outbox)?, taken)
        }
        None => (context.client.writer()?, 0),
    };
    let _telling = context.tell_when_frozen();
    let to = args.name.as_str();
    let result = if args.lines {
        let input = BufReader::new(tokio::io::stdin()).lines();
        let kept = writer.waiting();
        let lined = Lined {
            writer,
            to,
            output: context.output,
            input,
            taken,
            waiting: VecDeque::new(),
            failure: None,
            unprinted: Unprinted::default(),
        };
        lined.run().await.and(all_answered(kept, options.timeout).await)
    } else {
        let body = if args.attach.is_empty() || !args.text.is_empty() { body(args.text).await? } else { String::new() };
        let attachments = files::upload(&context, &args.attach).await?;
        let sent = writer.send_with(to, body, args.reply_to.unwrap_or(0), attachments).await?.await?;
        print(context.output, to, &sent)
    };
    context.remember()?;
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

/// `--lines` under way: reading and acknowledging at the same time, so that it can be used as a conversation.
struct Lined<'a> {
    writer: Writer,
    to: &'a str,
    output: Output,
    input: Lines<BufReader<Stdin>>,
    /// So many lines were taken by earlier runs.
    taken: u64,
    waiting: VecDeque<Receipt<MessageSent>>,
    failure: Option<Failure>,
    /// Who no longer reads the answers wants the lines to be sent all the same.
    unprinted: Unprinted,
}

impl Lined<'_> {
    async fn run(mut self) -> Result<(), Failure> {
        let mut more = true;
        while more || !self.waiting.is_empty() {
            tokio::select! {
                biased;
                line = self.input.next_line(), if more && self.waiting.len() < IN_FLIGHT => {
                    match line {
                        Ok(Some(line)) if line.is_empty() => {}
                        // What no outbox takes was not taken then either.
                        Ok(Some(line)) if self.taken > 0 && line.len() <= MESSAGE_BYTES => self.taken -= 1,
                        Ok(Some(line)) => self.send(line).await,
                        Ok(None) => more = false,
                        Err(error) => {
                            // What was read before is on its way, and is answered.
                            let failure = || Failure::usage(format!("cannot read the messages: {error}"));
                            self.failure.get_or_insert_with(failure);
                            more = false;
                        }
                    }
                }
                result = front(&mut self.waiting) => {
                    self.waiting.pop_front();
                    match result {
                        Ok(sent) => self.unprinted.keep(print(self.output, self.to, &sent)),
                        Err(error) => self.failure = keep_first(self.failure.take(), error, self.output),
                    }
                }
            }
        }
        self.failure.map_or(self.unprinted.end(), Err)
    }

    async fn send(&mut self, line: String) {
        match self.writer.send(self.to, line).await {
            Ok(receipt) => self.waiting.push_back(receipt),
            Err(error) => self.failure = keep_first(self.failure.take(), error, self.output),
        }
    }
}

/// Waits for the answers to what earlier runs have left.
async fn all_answered(mut waiting: watch::Receiver<usize>, patience: Duration) -> Result<(), Failure> {
    // A writer that is gone waits for nothing.
    let answered = timeout(patience, waiting.wait_for(|waiting| *waiting == 0)).await.is_ok();
    let left = *waiting.borrow();
    if answered || left == 0 {
        return Ok(());
    }
    Err(Failure::unavailable(format!("{left} lines are not acknowledged yet: they are kept, run the command again")))
}

/// The answer to the oldest, without taking it off the queue; for ever if there is none.
async fn front(waiting: &mut VecDeque<Receipt<MessageSent>>) -> Result<MessageSent, Error> {
    match waiting.front_mut() {
        Some(receipt) => receipt.await,
        None => std::future::pending().await,
    }
}

/// One of several failed: the first decides how the command ends, the others are reported on the way.
pub fn keep_first(first: Option<Failure>, error: Error, output: Output) -> Option<Failure> {
    let failure = Failure::from(error);
    match first {
        None => Some(failure),
        Some(first) => {
            failure.print(output.is_json());
            Some(first)
        }
    }
}
