//! Every event of an account after a cursor, exactly once and in order, through any failover.
//!
//! Promises: [`Incoming::Event`]s come with growing ids, none twice, none left out, across all reconnects. The
//! program's own cursor is the id of the last event (or the position of the last [`Incoming::CaughtUp`]) it has
//! dealt with; beginning again from there continues exactly.
//!
//! Left out: a buffer. A program that does not read slows the server down, not the other way round.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use threefold_proto::chat::{
    self, Condition, ErrorCode, Event, Recipient, ServerFrame, Subscribe, TypingNotice, client_frame,
    server_frame::Frame,
};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    Client, Cursor, Error, To,
    addresses::display,
    route::Route,
    stream::{self, PING_AFTER, SILENCE, Stream},
    verdict::Verdict,
};

/// Events read from the stream and not yet by the program: enough to keep both busy, at most 4 MiB of text.
const QUEUE: usize = 256;

/// Notices of typing that wait for the stream: one device's person types in one place.
const TYPING: usize = 4;
/// How long it is shown that somebody types; who goes on typing says so every few seconds.
pub const TYPING_SHOWN: Duration = Duration::from_secs(6);

/// What a subscription tells.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// Events come from this server now.
    Connected {
        /// Its address.
        server: String,
        /// The history the events belong to: store it with the cursor.
        recovery_id: Vec<u8>,
        /// How far the server is; what is older comes without delay.
        position: u64,
    },
    /// Events pause while another server is sought. Nothing to do but, perhaps, to tell.
    Reconnecting {
        /// What happened.
        why: String,
    },
    /// Something happened.
    Event(Box<Event>),
    /// Everything up to here was told.
    CaughtUp {
        /// A position to begin again from.
        position: u64,
    },
    /// The cluster's condition is another one now: see [`Client::condition`].
    Condition(Condition),
    /// Somebody types, to be shown for [`TYPING_SHOWN`] or until a message of theirs comes there. It is out of date where a message of theirs
    /// with an id above its position is known.
    Typing(TypingNotice),
    /// The cluster's history was replaced (restored from a backup): drop what was received; events start over.
    Resynchronise,
    /// The session is over, or the server refuses for good. Nothing follows.
    Ended(Error),
}

/// The receiving end. Dropping it ends the subscription. It is a [`futures::Stream`], too, for whoever combines it with others; that ends
/// behind [`Incoming::Ended`].
#[derive(Debug)]
pub struct Subscription {
    incoming: mpsc::Receiver<Incoming>,
    typing: Typing,
}

/// Says that this account types, over a subscription's stream. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Typing {
    sender: mpsc::Sender<Recipient>,
}

impl Typing {
    /// Says that this account types there: to be called every few seconds while it does. Servers pass on one a second. Nothing of it is
    /// kept: while the stream is broken, or the subscription has ended, it is dropped.
    ///
    /// # Errors
    /// For a name of nobody, as in sending a message.
    pub fn tell(&self, place: impl Into<To>) -> Result<(), Error> {
        let place = place.into().into_recipient()?;
        let _ = self.sender.try_send(place);
        Ok(())
    }
}

impl Subscription {
    /// The next thing to know; none after [`Incoming::Ended`]. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    /// The next thing to know, if it is here already.
    pub fn try_next(&mut self) -> Option<Incoming> {
        self.incoming.try_recv().ok()
    }

    /// For saying that this account types.
    #[must_use]
    pub fn typing(&self) -> Typing {
        self.typing.clone()
    }
}

impl futures::Stream for Subscription {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Incoming>> {
        self.incoming.poll_recv(context)
    }
}

/// Starts the task behind a subscription.
pub(crate) fn start(client: Client, cursor: Cursor, invisible: bool) -> Subscription {
    let (sender, incoming) = mpsc::channel(QUEUE);
    let (typing, typed) = mpsc::channel(TYPING);
    tokio::spawn(Task { client, cursor, invisible, sender, typed, route: Route::default() }.run());
    Subscription { incoming, typing: Typing { sender: typing } }
}

struct Task {
    client: Client,
    /// Everything up to here is in the program's queue.
    cursor: Cursor,
    invisible: bool,
    sender: mpsc::Sender<Incoming>,
    /// Where this account types.
    typed: mpsc::Receiver<Recipient>,
    route: Route,
}

/// Why a stream ended.
enum End {
    /// The program dropped its end.
    Dropped,
    Failed(Verdict),
}

impl From<Verdict> for End {
    fn from(verdict: Verdict) -> Self {
        Self::Failed(verdict)
    }
}

impl Task {
    async fn run(mut self) {
        let program = self.sender.clone();
        tokio::select! {
            biased;
            () = program.closed() => {}
            () = self.keep_connected() => {}
        }
    }

    async fn keep_connected(&mut self) {
        loop {
            let subscribe = client_frame::Frame::Subscribe(Subscribe {
                after: self.cursor.after,
                recovery_id: self.cursor.recovery_id.clone().into(),
                invisible: self.invisible,
            });
            let (server, end) = match stream::open(&self.client, &mut self.route, Some(subscribe)).await {
                Ok(stream) => (stream.server.clone(), self.read(stream).await),
                Err((server, verdict)) => (server, End::Failed(verdict)),
            };
            match end {
                End::Dropped => return,
                End::Failed(Verdict::Refused { code: ErrorCode::CursorInvalid, .. }) => {
                    self.client.forget_position();
                    self.cursor = Cursor::default();
                    if !self.tell(Incoming::Resynchronise).await {
                        return;
                    }
                }
                End::Failed(verdict @ Verdict::Refused { .. }) => {
                    self.tell(Incoming::Ended(verdict.into_error(Vec::new()))).await;
                    return;
                }
                End::Failed(verdict) => {
                    if !self.failed(&server, verdict).await {
                        return;
                    }
                }
            }
        }
    }

    /// Tells the program, and waits for the time before the next try.
    async fn failed(&mut self, server: &str, verdict: Verdict) -> bool {
        if matches!(verdict, Verdict::Unavailable { broken: true, .. }) {
            self.client.pool.forget(server);
        }
        let why = format!("{}: {}", display(server), verdict.message());
        let wait = self.route.failed(&self.client.pool.servers, server, verdict);
        let told = self.tell(Incoming::Reconnecting { why }).await;
        tokio::time::sleep(wait).await;
        told
    }

    /// Reads one stream to its end.
    async fn read(&mut self, mut stream: Stream) -> End {
        let mut pinged = false;
        let mut heard = Instant::now();
        // A caught-up notice without progress is worth telling once a stream: the program may wait for it.
        let mut told_caught_up = false;
        // What was typed while there was no stream is over.
        while self.typed.try_recv().is_ok() {}
        loop {
            let silence: Duration = if pinged { SILENCE } else { PING_AFTER };
            tokio::select! {
                biased;
                frame = stream.inbound.message() => {
                    pinged = false;
                    let taken = match frame {
                        Ok(Some(frame)) => self.take(frame, &stream.server, &mut told_caught_up).await,
                        Ok(None) => Err(unavailable("the server closed the stream", false)),
                        Err(status) => Err(Verdict::of(&status).into()),
                    };
                    if let Err(end) = taken {
                        return end;
                    }
                    // From now: while the program was slow to take this in, nobody listened.
                    heard = Instant::now();
                }
                // The subscription keeps a sender as long as this task runs.
                Some(place) = self.typed.recv() => {
                    let typing = chat::Typing { r#in: Some(place) };
                    // A stream that takes nothing more is found out by its silence.
                    stream.put(client_frame::Frame::Typing(typing));
                }
                () = tokio::time::sleep_until(heard + silence) => {
                    if pinged || !stream.ping() {
                        return unavailable("the server went silent", true);
                    }
                    pinged = true;
                }
            }
        }
    }

    async fn take(&mut self, frame: ServerFrame, server: &str, told_caught_up: &mut bool) -> Result<(), End> {
        let incoming = match frame.frame {
            Some(Frame::Subscribed(subscribed)) => {
                self.client.pool.servers.learn(server, &subscribed.servers);
                self.cursor.recovery_id = subscribed.recovery_id.to_vec();
                Incoming::Connected {
                    server: display(server).to_owned(),
                    recovery_id: self.cursor.recovery_id.clone(),
                    position: subscribed.position,
                }
            }
            Some(Frame::Event(event)) => {
                self.route.worked(&self.client.pool.servers, server);
                if event.id <= self.cursor.after {
                    return Ok(());
                }
                self.advance(event.id);
                Incoming::Event(Box::new(event))
            }
            Some(Frame::CaughtUp(caught_up)) => {
                self.route.worked(&self.client.pool.servers, server);
                let told = std::mem::replace(told_caught_up, true);
                if told && caught_up.position <= self.cursor.after {
                    return Ok(());
                }
                self.advance(caught_up.position);
                Incoming::CaughtUp { position: self.cursor.after }
            }
            Some(Frame::Condition(condition)) => {
                self.client.pool.note_condition(condition.clone());
                Incoming::Condition(condition)
            }
            Some(Frame::Typing(typing)) => Incoming::Typing(typing),
            Some(Frame::Result(_) | Frame::Pong(_)) | None => return Ok(()),
        };
        if self.tell(incoming).await { Ok(()) } else { Err(End::Dropped) }
    }

    fn advance(&mut self, position: u64) {
        self.cursor.after = self.cursor.after.max(position);
        self.client.saw(position);
    }

    /// False if the program dropped its end.
    async fn tell(&self, incoming: Incoming) -> bool {
        self.sender.send(incoming).await.is_ok()
    }
}

fn unavailable(cause: &str, broken: bool) -> End {
    End::Failed(Verdict::Unavailable { cause: cause.to_owned(), broken })
}
