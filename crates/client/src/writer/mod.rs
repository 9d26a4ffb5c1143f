//! The outbox: writes go in, each is carried out exactly once and in order, through any failover.
//!
//! Promises: writes of one writer take effect in the order they were accepted, each once, however often
//! connections and servers fail, as long as the process lives, and with a [`DiskOutbox`] beyond that. A write that was given up before it was first sent
//! ([`Error::Unavailable`]) will never take effect. One that was sent but not answered in time
//! ([`Error::OutcomeUnknown`]) may have taken effect or may still do so: it stays in the outbox and is repeated in
//! the background, because the writes after it cannot go before it.
//!
//! With a [`DiskOutbox`] a write is on disk when it is accepted, and none is given up: what was not answered in time is
//! [`Error::OutcomeUnknown`], and stays. What came to nothing ([`Writer::failed`]) is on disk, too, and told to each later process, until one says that
//! somebody was told. Left out: telling a later process that an earlier one's writes were a success, but for there being none left to wait for.

mod bots;
mod change;
mod disk;
mod drafts;
mod fingerprint;
mod outbox;
mod pace;
mod rooms;
mod task;
mod to;

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

pub use change::Failed;
pub use disk::{DiskOutbox, Left, LeftBehind};
pub use fingerprint::Fingerprint;
use outbox::{Outbox, Outcome, Reply};
pub use rooms::RoomChanges;
use threefold_core::{bounds, text};
use threefold_proto::chat::{
    Administer, DeleteMessages, EditMessage, MarkDelivered, MarkRead, MessageSent, React, SendMessage, SetDisplayName,
    administer, write::Operation,
};
pub use to::To;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{Client, Error};

/// Writes accepted from callers and not yet looked at by the task: one window's worth.
const QUEUE: usize = 64;

/// What the writer's stream is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// There was nothing to send for a while.
    Idle,
    /// Writes are waiting for a server; the words say what went wrong with the last one.
    Connecting(String),
    /// Writes go to this server.
    Connected(String),
}

/// What a writer has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Writes sent for the first time.
    pub sent: u64,
    /// Writes answered with success.
    pub acknowledged: u64,
    /// Writes answered with a refusal.
    pub refused: u64,
    /// Repetitions of writes.
    pub retried: u64,
    /// Streams opened after the first.
    pub reconnects: u64,
}

/// The counters behind [`Statistics`].
#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    refused: AtomicU64,
    retried: AtomicU64,
    reconnects: AtomicU64,
}

/// A write on its way from a caller to the task.
struct Submission {
    operation: Operation,
    deadline: Instant,
    reply: Reply,
    /// The draft in whose place it stands.
    draft: Option<u64>,
    /// Where it is said that it is on disk; none where it is not kept there.
    acceptance: Option<Acceptance>,
}

/// What is written down beside the writes. Whoever says it is told in turn once it is on disk.
enum Note {
    /// Somebody was told of these failed writes.
    Told(Vec<u64>, oneshot::Sender<()>),
    /// A draft: the number it gets, none where there is no room; and that it is on disk.
    Keep(Vec<u8>, oneshot::Sender<Option<u64>>, oneshot::Sender<()>),
    /// Nobody needs this draft any more.
    Forget(u64, oneshot::Sender<()>),
}

/// Says to a caller how far its write is.
struct Acceptance {
    /// It has this place in the outbox. If the caller is told no more, it is not taken.
    taken: oneshot::Sender<u64>,
    /// It is on disk.
    saved: oneshot::Sender<()>,
}

/// The outbox of one account in this process. Cheap to clone; clones share one order. When all are dropped, what
/// was accepted is still carried out, within its deadlines, while the process lives.
#[derive(Clone, Debug)]
pub struct Writer {
    submissions: mpsc::Sender<Submission>,
    counters: Arc<Counters>,
    state: watch::Receiver<LinkState>,
    waiting: watch::Receiver<usize>,
    oldest: watch::Receiver<Option<u64>>,
    failed: watch::Receiver<Vec<Failed>>,
    notes: mpsc::Sender<Note>,
    /// Why nothing is sent any more.
    over: Arc<OnceLock<Error>>,
    /// What is accepted is on disk.
    is_kept: bool,
    /// How long a write is waited for.
    timeout: Duration,
}

/// Starts the task behind a writer.
pub(crate) fn start(client: Client, disk: Option<DiskOutbox>) -> Result<Writer, Error> {
    let outbox = match &disk {
        Some(disk) => Outbox::kept(disk.kept()?, disk.accepted(), disk.instance(), Instant::now()),
        None => Outbox::default(),
    };
    let is_kept = disk.is_some();
    let (submissions, receiver) = mpsc::channel(QUEUE);
    let (state_sender, state) = watch::channel(LinkState::Idle);
    let (waiting_sender, waiting) = watch::channel(outbox.waiting());
    let (oldest_sender, oldest) = watch::channel(outbox.oldest());
    let (failed_sender, failed) = watch::channel(outbox.failed().to_vec());
    let (notes, noted) = mpsc::channel(1);
    let (counters, over) = (Arc::<Counters>::default(), Arc::<OnceLock<Error>>::default());
    let told = task::Told {
        state: state_sender,
        waiting: Some((waiting_sender, oldest_sender)),
        failed: failed_sender,
        over: Arc::clone(&over),
        counters: Arc::clone(&counters),
    };
    tokio::spawn(task::Task::new(client.clone(), (receiver, noted), outbox, disk, told).run());
    let timeout = client.pool.options.timeout;
    Ok(Writer { submissions, counters, state, waiting, oldest, failed, notes, over, is_kept, timeout })
}

impl Writer {
    /// The same outbox, for writes that are waited for so long: a program that stays open rather keeps what was written, and
    /// shows it as not sent yet, than gives it up.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// Accepts a message; it now has its place in the order of this writer. The receipt resolves once it is
    /// acknowledged (durable and visible), refused, or its deadline has passed. Waits while the outbox is full.
    ///
    /// # Errors
    /// [`Error::Usage`] for a text beyond its bounds, [`Error::Unavailable`] if the outbox stays full.
    pub async fn send(&self, to: impl Into<To>, body: impl Into<String>) -> Result<Receipt<MessageSent>, Error> {
        self.send_with(to, body, 0, Vec::new()).await
    }

    /// The same, as an answer to a message of the same conversation (zero: to none).
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn reply(
        &self,
        to: impl Into<To>,
        body: impl Into<String>,
        reply_to: u64,
    ) -> Result<Receipt<MessageSent>, Error> {
        self.send_with(to, body, reply_to, Vec::new()).await
    }

    /// The same with attachments, as [`Client::upload`] gave them their numbers; then the text may be empty.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn send_with(
        &self,
        to: impl Into<To>,
        body: impl Into<String>,
        reply_to: u64,
        attachments: Vec<u64>,
    ) -> Result<Receipt<MessageSent>, Error> {
        self.submit_message(None, to.into(), body.into(), reply_to, attachments).await
    }

    async fn submit_message(
        &self,
        draft: Option<u64>,
        to: To,
        body: String,
        reply_to: u64,
        attachments: Vec<u64>,
    ) -> Result<Receipt<MessageSent>, Error> {
        let body = if attachments.is_empty() || !body.is_empty() { sendable(body)? } else { body };
        let to = Some(to.into_recipient()?);
        let sent = |outcome| match outcome {
            Outcome::Sent(sent) => Some(sent),
            _ => None,
        };
        self.submit_for(draft, Operation::Send(SendMessage { to, body, reply_to, attachments }), sent).await
    }

    /// Gives one's own message another text.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn edit(&self, message: u64, body: impl Into<String>) -> Result<Receipt<u64>, Error> {
        let body = sendable(body.into())?;
        self.submit(Operation::Edit(EditMessage { conversation: 0, message, body }), position).await
    }

    /// Adds a reaction to a message, or takes it back.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn react(&self, message: u64, emoji: impl Into<String>, add: bool) -> Result<Receipt<u64>, Error> {
        let emoji = emoji.into();
        if let Err(rejection) = text::check_emoji(&emoji) {
            return Err(Error::Usage(rejection.to_string()));
        }
        self.submit(Operation::React(React { conversation: 0, message, emoji, remove: !add }), position).await
    }

    /// Moves the read marker of a conversation forward (`up_to` zero: to all there is).
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn mark_read(&self, conversation: impl Into<To>, up_to: u64) -> Result<Receipt<u64>, Error> {
        let place = Some(conversation.into().into_recipient()?);
        self.submit(Operation::MarkRead(MarkRead { r#in: place, up_to }), position).await
    }

    /// Deletes messages of one conversation (zero: wherever the first message is): all of them or none.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn delete(
        &self,
        conversation: u64,
        messages: Vec<u64>,
        for_everyone: bool,
    ) -> Result<Receipt<u64>, Error> {
        if messages.is_empty() || messages.len() > bounds::DELETE_IDS {
            return Err(Error::Usage(format!("delete 1 to {} messages at a time", bounds::DELETE_IDS)));
        }
        self.submit(Operation::Delete(DeleteMessages { conversation, messages, for_everyone }), position).await
    }

    /// Says that everything up to here was delivered: where a device without a cursor will start.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn mark_delivered(&self, up_to: u64) -> Result<Receipt<u64>, Error> {
        self.submit(Operation::MarkDelivered(MarkDelivered { up_to }), position).await
    }

    /// Chooses what people are shown beside the account's name; empty: nothing.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn set_display_name(&self, display_name: impl Into<String>) -> Result<Receipt<u64>, Error> {
        self.submit(Operation::SetDisplayName(SetDisplayName { display_name: display_name.into() }), position).await
    }

    /// Does something to the account of that name, as an administrator.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn administer(&self, name: impl Into<String>, action: administer::Action) -> Result<Receipt<u64>, Error> {
        let administer = Administer { name: name.into(), action: Some(action) };
        self.submit(Operation::Administer(administer), position).await
    }

    /// What this writer has done so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            sent: self.counters.sent.load(Ordering::Relaxed),
            acknowledged: self.counters.acknowledged.load(Ordering::Relaxed),
            refused: self.counters.refused.load(Ordering::Relaxed),
            retried: self.counters.retried.load(Ordering::Relaxed),
            reconnects: self.counters.reconnects.load(Ordering::Relaxed),
        }
    }

    /// What the writer's stream is doing, to watch.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// How many writes wait for their answer, those of earlier runs included, to watch: at zero everything was answered. It is closed, at whatever it was then,
    /// when nothing will be sent any more: when the session is over, the disk failed, or all clones of the writer were dropped. [`Writer::settled`] tells
    /// these apart.
    #[must_use]
    pub fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.clone()
    }

    /// The number of the oldest write that waits for its answer, those of earlier runs included, to watch: what has a lower one was answered. None: nothing
    /// waits. It is closed as [`Writer::waiting`] is.
    #[must_use]
    pub fn oldest(&self) -> watch::Receiver<Option<u64>> {
        self.oldest.clone()
    }

    /// Why nothing is taken any more; none while it is.
    #[must_use]
    pub fn over(&self) -> Option<Error> {
        self.over.get().cloned()
    }

    /// Waits until everything was answered, what earlier runs have left included. How it was answered, receipts tell, and [`Writer::failed`].
    ///
    /// # Errors
    /// Why nothing is sent any more although something waits: the session is over, or the disk failed ([`Error::Local`]). A [`DiskOutbox`] still has it.
    pub async fn settled(&self) -> Result<(), Error> {
        // The task behind it goes on as long as this writer is here, or says why it does not.
        match self.waiting.clone().wait_for(|waiting| *waiting == 0).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.over.get().cloned().unwrap_or_else(stopped)),
        }
    }

    /// Writes of a [`DiskOutbox`] that came to nothing, in this process or an earlier one, to watch; whether or not a receipt has told of it. They stay in the
    /// file, where they take the place of others, and are told again to the next process, until [`Writer::told`]. When nothing waits any more, all are there.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<Vec<Failed>> {
        self.failed.clone()
    }

    /// Whoever wrote these knows now that they came to nothing. Returns when that is on disk.
    pub async fn told(&self, failed: &[Failed]) {
        let (done, is_done) = oneshot::channel();
        let keys = failed.iter().map(|failed| failed.key).collect();
        if self.notes.send(Note::Told(keys, done)).await.is_ok() {
            // Where the disk failed, they are told again.
            let _ = is_done.await;
        }
    }

    async fn submit<T>(&self, operation: Operation, read: fn(Outcome) -> Option<T>) -> Result<Receipt<T>, Error> {
        self.submit_for(None, operation, read).await
    }

    async fn submit_for<T>(
        &self,
        draft: Option<u64>,
        operation: Operation,
        read: fn(Outcome) -> Option<T>,
    ) -> Result<Receipt<T>, Error> {
        let deadline = Instant::now() + self.timeout;
        let (reply, answer) = oneshot::channel();
        let (taken, mut is_taken) = oneshot::channel();
        let (saved, is_saved) = oneshot::channel();
        let acceptance = self.is_kept.then_some(Acceptance { taken, saved });
        let sending = self.submissions.send(Submission { operation, deadline, reply, draft, acceptance });
        match tokio::time::timeout_at(deadline, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(stopped()),
            Err(_) => return Err(full()),
        }
        let mut receipt = Receipt { answer, read, number: None, result: PhantomData };
        if !self.is_kept {
            return Ok(receipt);
        }
        receipt.number = match tokio::time::timeout_at(deadline, &mut is_taken).await {
            Ok(number) => number.ok(),
            Err(_) => {
                // From here on it is not taken any more; if it was in this very moment, that counts.
                is_taken.close();
                Some(is_taken.try_recv().map_err(|_| full())?)
            }
        };
        match is_saved.await {
            Ok(()) => Ok(receipt),
            // The answer says why: the session is over, or the disk failed.
            Err(_) => Err(receipt.await.err().unwrap_or_else(stopped)),
        }
    }
}

/// The outbox takes no more for now.
fn full() -> Error {
    Error::Unavailable { cause: "earlier writes are still waiting".to_owned(), tried: Vec::new() }
}

/// A text within its bounds; what else it may not hold, the cluster says.
fn sendable(body: String) -> Result<String, Error> {
    if body.is_empty() {
        return Err(Error::Usage("the message is empty".to_owned()));
    }
    if body.len() > bounds::BODY_BYTES {
        let bytes = body.len();
        return Err(Error::Usage(format!("the message has {bytes} bytes; at most {} are allowed", bounds::BODY_BYTES)));
    }
    Ok(body)
}

fn position(outcome: Outcome) -> Option<u64> {
    match outcome {
        Outcome::Done(position) => Some(position),
        _ => None,
    }
}

/// The task ends only with its runtime.
fn stopped() -> Error {
    Error::OutcomeUnknown("the program is shutting down".to_owned())
}

/// A promise of the answer to one write. Dropping it does not undo the write.
#[derive(Debug)]
pub struct Receipt<T> {
    answer: oneshot::Receiver<Result<Outcome, Error>>,
    read: fn(Outcome) -> Option<T>,
    /// Its place in an outbox on disk.
    number: Option<u64>,
    result: PhantomData<fn() -> T>,
}

impl<T> Receipt<T> {
    /// The place of the write in the order of all that its [`DiskOutbox`] ever accepted, as [`Failed::number`] has it; none where it is not kept on disk.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.number
    }
}

impl<T> Future for Receipt<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let read = self.read;
        Pin::new(&mut self.answer).poll(context).map(|answer| match answer {
            Ok(Ok(outcome)) => {
                read(outcome).ok_or_else(|| Error::Protocol("the result of another kind of write".to_owned()))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(stopped()),
        })
    }
}
