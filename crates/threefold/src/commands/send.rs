//! `send`: one message from the arguments or from a pipe, or one a line; with files, if any are to go with it.

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use clap::Args;
use serde::Serialize;
use threefold_client::{DiskOutbox, Error, Fingerprint, LinkState, MESSAGE_BYTES, Receipt, Writer, chat::MessageSent};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines, Stdin},
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
    let (writer, before) = match &args.outbox {
        Some(path) => {
            let outbox = DiskOutbox::open(path, context.session()?)?;
            let before = Before::of(&outbox);
            (context.client.writer_with(outbox)?, Some(before))
        }
        None => (context.client.writer()?, None),
    };
    let _telling = context.tell_when_frozen();
    let to = args.name.as_str();
    let result = if args.lines {
        let input = BufReader::new(tokio::io::stdin()).lines();
        let lined = Lined {
            // What waits is sent as long as some clone is there.
            writer: writer.clone(),
            to,
            output: context.output,
            input,
            before,
            waiting: VecDeque::new(),
            failure: None,
            unprinted: Unprinted::default(),
        };
        let lined = lined.run().await;
        let answered = match args.outbox {
            Some(_) => all_answered(&writer, options.timeout, context.output).await,
            None => Ok(()),
        };
        match (lined, answered) {
            (Err(lined), Err(answered)) => Err(weightier(lined, answered, context.output)),
            (lined, answered) => lined.and(answered),
        }
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

/// What earlier runs took into an outbox: the first lines of the input, which are passed over.
struct Before {
    taken: u64,
    /// What they were, where that is known.
    expected: Option<Fingerprint>,
    /// The lines passed over so far.
    passed: u64,
    found: Fingerprint,
}

impl Before {
    fn of(outbox: &DiskOutbox) -> Self {
        let expected = outbox.fingerprint().cloned();
        Self { taken: outbox.accepted(), expected, passed: 0, found: Fingerprint::new() }
    }

    fn is_passed(&self) -> bool {
        self.passed >= self.taken
    }

    /// Passes over a line. With the last one it is known whether they are the lines that were taken.
    fn pass(&mut self, to: &str, line: String, output: Output) -> Result<(), Failure> {
        self.found.add_message(to, line)?;
        self.passed += 1;
        if !self.is_passed() {
            return Ok(());
        }
        if self.expected.as_ref().is_some_and(|expected| *expected != self.found) {
            return Err(self.is_another(to, &format!("are not the first {} of this input", self.taken)));
        }
        if !output.is_json() {
            eprintln!("threefold: went on behind {} taken before", lines(self.taken));
        }
        Ok(())
    }

    /// The input is at its end. Without any line it only asks for what is kept to be sent.
    fn end(&self, to: &str) -> Result<(), Failure> {
        if self.passed == 0 || self.is_passed() {
            return Ok(());
        }
        Err(self.is_another(to, &format!("are more than the {} of this input", self.passed)))
    }

    fn is_another(&self, to: &str, why: &str) -> Failure {
        Failure::usage(format!(
            "nothing of this input was sent: the {} that the outbox took before {why}, or were not for {to}; give it the same input and recipient \
             again, or name another file",
            lines(self.taken)
        ))
    }
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

/// `--lines` under way: reading and acknowledging at the same time, so that it can be used as a conversation.
struct Lined<'a> {
    writer: Writer,
    to: &'a str,
    output: Output,
    input: Lines<BufReader<Stdin>>,
    /// Of an outbox.
    before: Option<Before>,
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
                        Ok(Some(line)) => more = self.take(line).await,
                        Ok(None) => {
                            more = false;
                            if let Some(Err(failure)) = self.before.as_ref().map(|before| before.end(self.to)) {
                                self.fail(failure);
                            }
                        }
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
                        Err(error) => self.fail(error.into()),
                    }
                }
            }
        }
        self.failure.map_or(self.unprinted.end(), Err)
    }

    /// A line of the input. Whether those after it may be sent: an outbox counts lines, so what it did not take, none behind it may overtake.
    async fn take(&mut self, line: String) -> bool {
        // What no outbox takes was not taken then either.
        let may_be_taken = line.len() <= MESSAGE_BYTES;
        if let Some(before) = self.before.as_mut().filter(|before| may_be_taken && !before.is_passed()) {
            let passed = before.pass(self.to, line, self.output);
            let goes_on = passed.is_ok();
            if let Err(failure) = passed {
                self.fail(failure);
            }
            return goes_on;
        }
        match self.writer.send(self.to, line).await {
            Ok(receipt) => {
                self.waiting.push_back(receipt);
                true
            }
            Err(error) => {
                self.fail(error.into());
                self.before.is_none() || !may_be_taken
            }
        }
    }

    /// The first failure decides how the command ends. Where it may be run again, one that the next run cannot tell goes before.
    fn fail(&mut self, failure: Failure) {
        self.failure = Some(match self.failure.take() {
            Some(first) if self.before.is_some() => weightier(first, failure, self.output),
            first => first_of(first, failure, self.output),
        });
    }
}

/// Waits for the answers to what earlier runs have left, and to what this one no longer waits for. What came to nothing is told, line by line.
async fn all_answered(writer: &Writer, patience: Duration, output: Output) -> Result<(), Failure> {
    let settled = timeout(patience, writer.settled()).await;
    let failed = writer.failed().borrow().clone();
    for failed in &failed {
        let text = failed.text().unwrap_or_default();
        let why = &failed.error;
        Failure::for_good(why, format!("a line kept from before was not sent: {why}: {text}")).print(output.is_json());
    }
    if matches!(settled, Ok(Ok(()))) {
        // Else the command ends as one that is to be run again, and it is that run that says how it all ended.
        writer.told(&failed).await;
    }
    let left = *writer.waiting().borrow();
    let kept = || format!("{} not acknowledged yet: they are kept", are(left));
    match settled {
        Ok(Err(error)) => return Err(Failure::from(error).after(&kept())),
        Err(_) if left > 0 => {
            let why = match &*writer.state().borrow() {
                LinkState::Connecting(why) => format!(" ({why})"),
                LinkState::Idle | LinkState::Connected(_) => String::new(),
            };
            return Err(Failure::unavailable(format!("{}, run the command again{why}", kept())));
        }
        Ok(Ok(())) | Err(_) => {}
    }
    match failed.first() {
        Some(first) => {
            let count = lines(failed.len() as u64);
            Err(Failure::for_good(&first.error, format!("{count} that were kept came to nothing, as told above")))
        }
        None => Ok(()),
    }
}

fn are(count: usize) -> String {
    format!("{} {}", lines(count as u64), if count == 1 { "is" } else { "are" })
}

/// How the command ends where two things failed: what failed for good counts more than what the same again may do. The other is reported on the way.
fn weightier(first: Failure, second: Failure, output: Output) -> Failure {
    let (told, kept) =
        if first.is_unavailable() && !second.is_unavailable() { (first, second) } else { (second, first) };
    told.print(output.is_json());
    kept
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
