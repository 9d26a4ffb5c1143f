//! One client's connection: calls beside each other, one stream, and a sign of life now and then.
//!
//! A single task. What it waits for is chosen in [`Connection::next`]; while it writes, it reads nothing, so a client that does not
//! read is not read either.

use std::{
    future::pending,
    net::IpAddr,
    pin::{Pin, pin},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::ws::{Message, WebSocket, close_code},
};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use threefold_core::Rejection;
use threefold_proto::{chat, convert::Refusal};
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    PING_INTERVAL,
    calls::{self, Answer, Effect},
    ending::Ending,
    frame::{self, Incoming, Nonsense},
};
use crate::gateway::{
    Caller, Gateway,
    door::Door,
    grpc::deadline::DEFAULT_PATIENCE,
    stream::{Frames, Told},
};

/// Calls of one connection in flight: a page has a handful, and each costs a future.
const CALLS: usize = 32;
/// Frames without sense, or without a session, that are answered: a client under construction needs some, a broken one is endless.
const NONSENSE: u32 = 10;
/// How long a client may take nothing. Below a minute, after which load balancers cut the connection too.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may go on without a call and without a session: pings alone keep no place for anybody. Browsers let a page that
/// nobody looks at act once a minute: one such call may be late.
pub(super) const STRANGERS_PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 3 } else { STRANGERS_PATIENCE_S });
/// The same in seconds, and what is said when it ends.
pub(super) const STRANGERS_PATIENCE_S: u64 = 150;
pub(super) const STRANGERS_END: &str = "nobody has logged in, and nothing was asked for 150 seconds";
/// Frames that leave together, if they are there together.
const BURST: usize = 64;
/// How long the last words may take to leave: a slow client may have begun to read again.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(5);
/// How long calls in flight may take to be answered before them: a moment, for the server may be stopping.
const LAST_ANSWERS: Duration = Duration::from_millis(200);
/// How long the client may take to say that it has heard them. If the socket closed at once, it might not hear them.
const FAREWELL: Duration = Duration::from_secs(1);

/// One client's connection.
pub(super) struct Connection<D> {
    gateway: Gateway<D>,
    socket: WebSocket,
    /// Where it comes from, for the limits of those who have no account yet.
    from: IpAddr,
    /// Whose it is, since a call has shown a session.
    caller: Option<Caller>,
    calls: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// A call is about to show one; what comes behind it may need it.
    binding: bool,
    stream: Option<Stream>,
    nonsense: u32,
    /// There was a sign of life since the last ping.
    heard: bool,
    /// While nobody has shown a session.
    patience_ends: Instant,
}

/// The connection's one stream.
struct Stream {
    to: mpsc::Sender<Box<chat::ClientFrame>>,
    from: Frames,
    /// The stream has no room for it yet. Nothing more is read meanwhile.
    held: Option<Box<chat::ClientFrame>>,
}

struct Answered {
    id: u64,
    binds: bool,
    outcome: Result<Answer, Refusal>,
}

/// What may happen next.
enum Step {
    Tick,
    Stopping,
    /// Nobody has shown a session, and nothing is asked.
    Idle,
    Answered(Answered),
    /// The stream has said something, or the last.
    Said(Option<Result<Told, Refusal>>),
    /// The stream has taken what was held for it.
    Taken,
    Heard(Option<Result<Message, axum::Error>>),
}

impl<D: Door> Connection<D> {
    /// A new one, without a session.
    pub fn new(gateway: Gateway<D>, socket: WebSocket, from: IpAddr) -> Self {
        Self {
            gateway,
            socket,
            from,
            caller: None,
            calls: FuturesUnordered::new(),
            binding: false,
            stream: None,
            nonsense: 0,
            heard: true,
            patience_ends: Instant::now() + STRANGERS_PATIENCE,
        }
    }

    /// Serves it until either side ends it.
    pub async fn run(&mut self) {
        let ending = self.serve().await;
        // Its account is not online any more, whether it hears the last words or not.
        self.stream = None;
        Box::pin(self.leave(&ending)).await;
        tracing::debug!(?ending, "a WebSocket connection ended");
    }

    async fn leave(&mut self, ending: &Ending) {
        if timeout(LAST_WORDS_PATIENCE, self.part(ending)).await.is_ok() {
            let _ = timeout(FAREWELL, async { while let Some(Ok(_)) = self.socket.next().await {} }).await;
        }
    }

    /// Says the last words, behind what is about to be answered: the session of a stream may end before who ended it is told.
    async fn part(&mut self, ending: &Ending) {
        if let Ending::Refused(refusal) = ending {
            let answers = async {
                while let Some(Answered { id, outcome, .. }) = self.calls.next().await {
                    let text = match outcome {
                        Ok(Answer { reply, .. }) => frame::reply(id, &reply),
                        Err(refusal) => frame::error(Some(id), &refusal),
                    };
                    let _ = self.socket.feed(Message::Text(text.into())).await;
                }
            };
            let _ = timeout(LAST_ANSWERS, answers).await;
            let _ = self.socket.feed(Message::Text(frame::error(None, refusal).into())).await;
        }
        if let Some(close) = ending.close_frame() {
            let _ = self.socket.feed(Message::Close(Some(close))).await;
        }
        let _ = self.socket.flush().await;
    }

    async fn serve(&mut self) -> Ending {
        let mut ticks = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let gateway = self.gateway.clone();
        let mut stopping = pin!(gateway.closed());
        loop {
            let step = self.next(&mut ticks, stopping.as_mut()).await;
            // Apart, so that a connection on which nothing happens is no larger for it.
            if let Err(ending) = Box::pin(self.take(step)).await {
                return ending;
            }
        }
    }

    async fn next(&mut self, ticks: &mut Interval, stopping: Pin<&mut impl Future<Output = ()>>) -> Step {
        let is_idle = self.caller.is_none() && self.calls.is_empty();
        let Self { socket, calls, stream, binding, patience_ends, .. } = self;
        let is_held = stream.as_ref().is_some_and(|stream| stream.held.is_some());
        let has_stream = stream.is_some();
        let (said, taken) = match stream {
            Some(Stream { to, from, held }) => {
                let taken = async {
                    let Ok(place) = to.reserve().await else { return pending().await };
                    if let Some(frame) = held.take() {
                        place.send(frame);
                    }
                };
                (from.next().left_future(), taken.left_future())
            }
            None => (pending().right_future(), pending().right_future()),
        };
        tokio::select! {
            biased;
            _ = ticks.tick() => Step::Tick,
            // A stream says it by itself, behind what it has said before.
            () = stopping, if !has_stream => Step::Stopping,
            Some(answered) = calls.next(), if !calls.is_empty() => Step::Answered(answered),
            () = taken, if is_held => Step::Taken,
            said = said, if has_stream => Step::Said(said),
            () = sleep_until(*patience_ends), if is_idle => Step::Idle,
            heard = socket.next(), if !is_held && !*binding => Step::Heard(heard),
        }
    }

    async fn take(&mut self, step: Step) -> Result<(), Ending> {
        match step {
            Step::Tick => self.check().await,
            Step::Stopping => Err(Refusal::unavailable("this server is stopping").into()),
            Step::Idle => Err(Ending::Broken(close_code::POLICY, STRANGERS_END)),
            Step::Answered(answered) => self.settle(answered).await,
            Step::Said(said) => self.pass_on(said).await,
            Step::Taken => Ok(()),
            Step::Heard(heard) => self.hear(heard).await,
        }
    }

    /// Whether the client still lives, and its session.
    async fn check(&mut self) -> Result<(), Ending> {
        // Who is not read cannot be heard.
        let is_deaf = self.binding || self.stream.as_ref().is_some_and(|stream| stream.held.is_some());
        if !self.heard && !is_deaf {
            return Err(Ending::Gone);
        }
        self.heard = false;
        if self.caller.as_ref().is_some_and(|caller| self.gateway.session(&caller.token).is_none()) {
            return Err(Refusal::Rejected(Rejection::SessionInvalid).into());
        }
        self.feed(Message::Ping(Bytes::new())).await?;
        self.flush().await
    }

    async fn hear(&mut self, heard: Option<Result<Message, axum::Error>>) -> Result<(), Ending> {
        let message = match heard {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(Ending::of(error)),
            None => return Err(Ending::Gone),
        };
        self.heard = true;
        match message {
            Message::Text(text) => match frame::read(&text) {
                Ok(Incoming::Call(call)) => self.begin(call).await,
                Ok(Incoming::Frame(frame)) => self.stream(frame).await,
                Err(nonsense) => self.complain(nonsense).await,
            },
            Message::Binary(_) => {
                Err(Ending::Broken(close_code::UNSUPPORTED, "frames are text here; binary ones go to the TCP port"))
            }
            // The library answers pings.
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => Err(Ending::Left),
        }
    }

    async fn begin(&mut self, call: frame::Call) -> Result<(), Ending> {
        let frame::Call { id, name, with } = call;
        self.patience_ends = Instant::now() + STRANGERS_PATIENCE;
        if self.calls.len() >= CALLS {
            let refusal = Refusal::Overloaded(format!("a connection has at most {CALLS} calls in flight"));
            return self.say(frame::error(Some(id), &refusal)).await;
        }
        let binds = self.caller.is_none() && calls::binds(&name);
        self.binding |= binds;
        let (gateway, caller, from) = (self.gateway.clone(), self.caller.clone(), self.from);
        let deadline = Instant::now() + DEFAULT_PATIENCE;
        let answer = async move {
            let outcome = calls::answer(&gateway, caller, from, &name, with, deadline).await;
            Answered { id, binds, outcome }
        };
        self.calls.push(answer.boxed());
        Ok(())
    }

    async fn settle(&mut self, answered: Answered) -> Result<(), Ending> {
        let Answered { id, binds, outcome } = answered;
        self.binding &= !binds;
        let over = || Err(Refusal::Rejected(Rejection::SessionInvalid).into());
        match outcome {
            Ok(Answer { reply, effect }) => {
                self.say(frame::reply(id, &reply)).await?;
                match effect {
                    Effect::None => Ok(()),
                    Effect::Binds(caller) => {
                        self.caller = Some(caller);
                        Ok(())
                    }
                    Effect::Ends => over(),
                }
            }
            Err(refusal) => {
                self.say(frame::error(Some(id), &refusal)).await?;
                let is_over = self.caller.is_some() && refusal == Refusal::Rejected(Rejection::SessionInvalid);
                if is_over { over() } else { Ok(()) }
            }
        }
    }

    /// A frame for the stream, which begins with the first.
    async fn stream(&mut self, frame: chat::ClientFrame) -> Result<(), Ending> {
        let stream = match (&mut self.stream, &self.caller) {
            (Some(stream), _) => stream,
            (None, Some(caller)) => {
                let (to, incoming) = mpsc::channel(1);
                let from = self.gateway.converse(
                    caller.clone(),
                    ReceiverStream::new(incoming).map(|frame: Box<chat::ClientFrame>| Ok(*frame)),
                )?;
                self.stream.insert(Stream { to, from, held: None })
            }
            (None, None) => {
                let refusal = Refusal::Rejected(Rejection::SessionInvalid);
                return self.complain(Nonsense { id: None, refusal }).await;
            }
        };
        match stream.to.try_send(Box::new(frame)) {
            // A stream that has ended says why by itself.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(frame)) => stream.held = Some(frame),
        }
        Ok(())
    }

    /// Passes on what the stream says, and what more it has to say just now.
    async fn pass_on(&mut self, said: Option<Result<Told, Refusal>>) -> Result<(), Ending> {
        let mut said = Some(said);
        let mut burst = 0;
        while let Some(frame) = said.take() {
            // Without a last word it has ended because nobody listens any more, which would be us.
            let frame = frame.ok_or(Ending::Gone)??;
            self.feed(Message::Text(frame.json()?)).await?;
            burst += 1;
            if burst < BURST {
                said = self.stream.as_mut().and_then(|stream| stream.from.next().now_or_never());
            }
        }
        self.flush().await
    }

    async fn complain(&mut self, nonsense: Nonsense) -> Result<(), Ending> {
        self.say(frame::error(nonsense.id, &nonsense.refusal)).await?;
        if nonsense.id.is_none() {
            self.nonsense += 1;
            if self.nonsense >= NONSENSE {
                return Err(Ending::Broken(close_code::POLICY, "too many frames without sense"));
            }
        }
        Ok(())
    }

    async fn say(&mut self, text: String) -> Result<(), Ending> {
        self.feed(Message::Text(text.into())).await?;
        self.flush().await
    }

    async fn feed(&mut self, message: Message) -> Result<(), Ending> {
        left(timeout(PATIENCE, self.socket.feed(message)).await)
    }

    async fn flush(&mut self) -> Result<(), Ending> {
        left(timeout(PATIENCE, self.socket.flush()).await)
    }
}

/// Whether what was written has left.
fn left(written: Result<Result<(), axum::Error>, tokio::time::error::Elapsed>) -> Result<(), Ending> {
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ending::Gone),
        Err(_) => Err(Refusal::Overloaded("the client does not read its connection".into()).into()),
    }
}
