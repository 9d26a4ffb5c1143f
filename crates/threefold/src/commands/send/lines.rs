//! `send --lines`: each line of standard input as a message, read and acknowledged at the same time, so that it can be used as a conversation.
//!
//! With an outbox the file knows what came to nothing, in this run or an earlier one; receipts only tell what was a success. How the command ends then: with what
//! the next run could not mend; else that lines are kept; else that some came to nothing, which stays in the file until a run has said so at its end.

use std::{collections::VecDeque, time::Duration};

use threefold_client::{Error, Failed, LinkState, MESSAGE_BYTES, Receipt, Writer, chat::MessageSent};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines, Stdin},
    sync::watch,
    time::timeout,
};

use super::{
    first_of,
    kept::{Before, Nothing, lines},
    print,
};
use crate::commands::{
    Failure,
    output::{Output, Unprinted},
};

/// Messages on their way at a time: what the cluster remembers replies for.
const IN_FLIGHT: usize = 64;

/// Of an outbox.
struct Kept {
    before: Before,
    nothing: Nothing,
}

/// `--lines` under way.
pub(super) struct Lined<'a> {
    writer: Writer,
    to: &'a str,
    output: Output,
    input: Lines<BufReader<Stdin>>,
    /// Lines read so far.
    read: u64,
    kept: Option<Kept>,
    waiting: VecDeque<Receipt<MessageSent>>,
    failure: Option<Failure>,
    /// Who no longer reads the answers wants the lines to be sent all the same.
    unprinted: Unprinted,
}

impl<'a> Lined<'a> {
    /// Lines for somebody, behind those that an outbox took before.
    pub(super) fn new(writer: Writer, to: &'a str, output: Output, before: Option<Before>) -> Self {
        Self {
            writer,
            to,
            output,
            input: BufReader::new(tokio::io::stdin()).lines(),
            read: 0,
            kept: before.map(|before| Kept { before, nothing: Nothing::default() }),
            waiting: VecDeque::new(),
            failure: None,
            unprinted: Unprinted::default(),
        }
    }

    /// Sends them all. At the end of the input an outbox has so long to be done with what it keeps.
    pub(super) async fn run(mut self, patience: Duration) -> Result<(), Failure> {
        let mut failed = self.writer.failed();
        // What is there from before.
        failed.mark_changed();
        let mut more = true;
        while more || !self.waiting.is_empty() {
            tokio::select! {
                biased;
                Ok(()) = failed.changed() => self.tell_failed().await,
                line = self.input.next_line(), if more && self.waiting.len() < IN_FLIGHT => {
                    match line {
                        Ok(Some(line)) => {
                            self.read += 1;
                            more = line.is_empty() || self.take(line, &mut failed).await;
                        }
                        Ok(None) => {
                            more = false;
                            if let Some(Err(failure)) = self.kept.as_ref().map(|kept| kept.before.end(self.to)) {
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
                        // The outbox has it, or goes on with it.
                        Err(_) if self.kept.is_some() => {}
                        Err(error) => self.fail(error.into()),
                    }
                }
            }
        }
        if self.kept.is_some() {
            return self.end(patience).await;
        }
        self.failure.map_or(self.unprinted.end(), Err)
    }

    /// A line of the input. Whether those after it may be sent: an outbox counts lines, so what it did not take, none behind it may overtake.
    async fn take(&mut self, line: String, failed: &mut watch::Receiver<Vec<Failed>>) -> bool {
        let bytes = line.len();
        if let Some(kept) = &mut self.kept {
            // What no outbox takes was not taken before either.
            if bytes > MESSAGE_BYTES {
                let error = Error::Usage(format!("it has {bytes} bytes; at most {MESSAGE_BYTES} are allowed"));
                kept.nothing.overlong(self.read, &error, self.output);
                return true;
            }
            if !kept.before.is_passed() {
                let passed = kept.before.pass(self.to, line, self.output);
                let goes_on = passed.is_ok();
                if let Err(failure) = passed {
                    self.fail(failure);
                }
                return goes_on;
            }
        }
        let (writer, to) = (self.writer.clone(), self.to);
        let sending = async move { writer.send(to, line).await };
        tokio::pin!(sending);
        let taken = loop {
            tokio::select! {
                biased;
                // What failed takes the places of those to be sent, until it is told.
                Ok(()) = failed.changed() => self.tell_failed().await,
                taken = &mut sending => break taken,
            }
        };
        match taken {
            Ok(receipt) => {
                self.waiting.push_back(receipt);
                true
            }
            Err(error) => {
                self.fail(error.into());
                self.kept.is_none()
            }
        }
    }

    /// The first failure decides how the command ends.
    fn fail(&mut self, failure: Failure) {
        self.failure = Some(first_of(self.failure.take(), failure, self.output));
    }

    /// Tells what came to nothing by now.
    async fn tell_failed(&mut self) {
        let failed = self.writer.failed().borrow().clone();
        if let Some(Kept { before, nothing }) = &mut self.kept {
            nothing.tell(&failed, before, &self.writer, self.output).await;
        }
    }

    /// Waits for the answers to what earlier runs have left, and to what this one no longer waits for.
    async fn end(mut self, patience: Duration) -> Result<(), Failure> {
        let writer = self.writer.clone();
        let mut failed = writer.failed();
        let settled = timeout(patience, async {
            let settled = writer.settled();
            tokio::pin!(settled);
            loop {
                tokio::select! {
                    biased;
                    Ok(()) = failed.changed() => self.tell_failed().await,
                    settled = &mut settled => break settled,
                }
            }
        });
        let settled = settled.await;
        self.tell_failed().await;
        let kept = kept(&writer, settled.map_err(drop));
        let nothing = self.kept.as_ref().and_then(|kept| kept.nothing.end());
        let (for_good, once_more): (Vec<_>, Vec<_>) =
            self.failure.into_iter().chain(kept).partition(|failure| !failure.is_unavailable());
        let mut all = for_good.into_iter().chain(once_more);
        let Some(heaviest) = all.next() else {
            let Some(nothing) = nothing else { return self.unprinted.end() };
            // All of it was told, and the command says so in its end.
            let failed = writer.failed().borrow().clone();
            writer.told(&failed).await;
            return Err(nothing);
        };
        // What came to nothing, the run tells that ends with it.
        all.for_each(|other| other.print(self.output.is_json()));
        Err(heaviest)
    }
}

/// That lines are kept which were not acknowledged, and why.
fn kept(writer: &Writer, settled: Result<Result<(), Error>, ()>) -> Option<Failure> {
    let left = *writer.waiting().borrow();
    let are = if left == 1 { "is" } else { "are" };
    let kept = format!("{} {are} not acknowledged yet: they are kept", lines(left as u64));
    match settled {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Failure::from(error).after(&kept)),
        Err(()) if left == 0 => None,
        Err(()) => {
            let why = match &*writer.state().borrow() {
                LinkState::Connecting(why) => format!(" ({why})"),
                LinkState::Idle | LinkState::Connected(_) => String::new(),
            };
            Some(Failure::unavailable(format!("{kept}, run the command again{why}")))
        }
    }
}

/// The answer to the oldest, without taking it off the queue; for ever if there is none.
async fn front(waiting: &mut VecDeque<Receipt<MessageSent>>) -> Result<MessageSent, Error> {
    match waiting.front_mut() {
        Some(receipt) => receipt.await,
        None => std::future::pending().await,
    }
}
