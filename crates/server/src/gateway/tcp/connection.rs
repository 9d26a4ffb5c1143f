//! One connection: one task that reads, answers and delivers.
//!
//! Answers leave in the order of the questions, deliveries in between. Messages are put in line without waiting for the
//! answers of those before; everything else waits for them, and so sees what was done. The next question is read when
//! there is room for it: a client that floods the server waits for it.

use std::{collections::VecDeque, future::pending, io, net::IpAddr, time::Duration};

use futures::future::BoxFuture;
use threefold_core::{Rejection, Reply as Outcome, RequestId};
use threefold_proto::{
    convert::{Refusal, error_of},
    framing::{Decoder, Details, Framing, Input, Reply, Request},
};
use tokio::time::{Instant, sleep_until};

use super::{
    commands::{self, Command},
    outlet::Outlet,
    session::{self, Session},
};
use crate::{
    gateway::{
        Gateway,
        door::{Door, Follow as _},
        writes::Kind,
    },
    net::ClientSocket,
    node::{Committed, Followed, Unavailable},
};

/// Answers that a connection waits for at once: as many as an instance's window keeps.
const IN_FLIGHT: usize = threefold_core::bounds::REPLIES_PER_INSTANCE as usize;
/// How long new numbers for a mark are waited for.
const MARK_PATIENCE: Duration = Duration::from_secs(1);
/// How long a connection may go on without a command and without anybody logged in.
const STRANGERS_PATIENCE: Duration = Duration::from_secs(60);

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// The client has said everything and heard everything.
    Finished,
    /// The client hears this last.
    Closing(Refusal),
    /// Nobody hears anything.
    Broken,
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "a connection of the chat port failed");
        Self::Broken
    }
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::Closing(refusal)
    }
}

/// What an answer repeats of its question.
#[derive(Clone, Debug, Default)]
pub(super) struct Echo {
    pub cmd: String,
    pub src: String,
    pub to: String,
}

impl Echo {
    /// The answer.
    pub fn reply(self, body: String, details: Details) -> Reply {
        let Self { cmd, src, to } = self;
        Reply { cmd, src, to, body, error: false, details }
    }

    /// The answer to what is refused.
    pub fn refusal(self, refusal: &Refusal) -> Reply {
        if let Refusal::Internal(words) = refusal {
            tracing::error!(words, "a request failed by this server's fault");
        }
        let error = error_of(refusal);
        let (code, retry_after_ms) = (error.code().as_str_name(), error.retry_after_ms);
        Reply { error: true, ..self.reply(error.message, Details::Refused { code, retry_after_ms }) }
    }
}

/// An answer that is to come.
pub(super) enum Answer {
    /// It is here, behind others that are not.
    Ready(Reply),
    /// Of a write.
    Write { echo: Echo, kind: Kind, committing: Committing },
}

/// A write that was put in line.
pub(super) struct Committing {
    pub request: RequestId,
    pub outcome: BoxFuture<'static, Result<Committed, Unavailable>>,
}

/// What happens next on a connection.
enum Turn {
    Due,
    Answered(Option<Result<Committed, Unavailable>>),
    Marked(Result<Committed, Unavailable>),
    Readable(io::Result<()>),
    Followed(Followed),
}

/// A connection.
pub(super) struct Connection<D: Door, S> {
    pub gateway: Gateway<D>,
    pub outlet: Outlet<S>,
    /// JSON until the client has said anything.
    pub framing: Framing,
    pub session: Option<Session<D>>,
    pub pending: VecDeque<Answer>,
    /// A mark of what was delivered, of whose answer the client does not hear.
    pub marking: Option<Committing>,
    /// Where the client is, for the limits of those who have no account yet.
    pub from: IpAddr,
    decoder: Decoder,
    /// A question that waits for the answers of those before.
    held: Option<Request>,
    is_heard_out: bool,
    /// The account writes more than it may: the next write waits so long, and with it what comes behind.
    paced_until: Option<Instant>,
    /// While nobody is logged in.
    patience_ends: Instant,
}

impl<D: Door, S: ClientSocket> Connection<D, S> {
    pub fn new(gateway: Gateway<D>, socket: S, from: IpAddr) -> Self {
        Self {
            gateway,
            from,
            outlet: Outlet::new(socket),
            framing: Framing::Json,
            session: None,
            pending: VecDeque::new(),
            marking: None,
            decoder: Decoder::new(),
            held: None,
            is_heard_out: false,
            paced_until: None,
            patience_ends: Instant::now() + STRANGERS_PATIENCE,
        }
    }

    /// Serves it until either side ends it. (In its box: what a future is given, and then keeps, takes room twice.)
    pub async fn run(mut self: Box<Self>) {
        let gateway = self.gateway.clone();
        let ending = tokio::select! {
            biased;
            ending = self.converse() => ending,
            () = gateway.closed() => Ending::Closing(Refusal::unavailable("this server is stopping")),
            why = gateway.retired() => Ending::Closing(Refusal::unavailable(why)),
        };
        // Apart, so that the task of a connection that goes on is no larger for it.
        Box::pin(self.end(ending)).await;
    }

    async fn end(mut self: Box<Self>, ending: Ending) {
        if let Some(mut session) = self.session.take() {
            // What a broken connection has lost is not marked as delivered.
            let mark = session.mark(true).filter(|_| !matches!(ending, Ending::Broken));
            if let Some((_, command)) = mark.and_then(|mark| session.write(mark, None)) {
                // In line before the session's end; its answer is of no interest.
                let _ = self.gateway.door().enqueue(&command, Instant::now() + STRANGERS_PATIENCE).await;
            }
            session::end(&self.gateway, session.caller.token);
        }
        let closing = || Echo { cmd: "closing".to_owned(), ..Echo::default() };
        match ending {
            Ending::Broken => {}
            Ending::Finished => self.outlet.close(self.framing, None).await,
            Ending::Closing(refusal) => self.outlet.close(self.framing, Some(closing().refusal(&refusal))).await,
        }
    }

    async fn converse(&mut self) -> Ending {
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(ending) => return ending,
            }
        }
    }

    async fn step(&mut self) -> Result<(), Ending> {
        while let Some(request) = self.next_request().await? {
            // Apart: what a command needs is not kept while nothing is asked.
            Box::pin(self.start(request)).await?;
        }
        if self.is_heard_out && self.held.is_none() && self.pending.is_empty() {
            Box::pin(self.finish()).await?;
        }
        match self.turn().await {
            Turn::Due => Box::pin(self.attend()).await,
            Turn::Answered(outcome) => Box::pin(self.answer(outcome)).await,
            Turn::Marked(outcome) => {
                self.marked(&outcome);
                Ok(())
            }
            Turn::Followed(followed) => Box::pin(self.deliver(followed)).await,
            Turn::Readable(ready) => {
                ready?;
                Box::pin(self.read()).await
            }
        }
    }

    /// Waits for what happens next. Rare things go before what may be there for ever; so a client that never stops asking
    /// waits for its messages.
    async fn turn(&mut self) -> Turn {
        let due = self.session.as_ref().map_or(self.patience_ends, Session::due);
        let due = self.paced_until.filter(|_| self.held.is_some()).map_or(due, |until| due.min(until));
        let may_read = self.held.is_none() && !self.is_heard_out && self.pending.len() < IN_FLIGHT;
        let Self { outlet, session, pending: answers, marking, .. } = self;
        let answered = async {
            match answers.front_mut() {
                Some(Answer::Ready(_)) => None,
                Some(Answer::Write { committing, .. }) => Some((&mut committing.outcome).await),
                None => pending().await,
            }
        };
        let marked = async {
            match marking {
                Some(committing) => (&mut committing.outcome).await,
                None => pending().await,
            }
        };
        let followed = async {
            match session {
                Some(session) => session.follower.next().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = sleep_until(due) => Turn::Due,
            outcome = marked => Turn::Marked(outcome),
            outcome = answered => Turn::Answered(outcome),
            ready = outlet.socket.first_word(), if may_read => Turn::Readable(ready),
            followed = followed => Turn::Followed(followed),
        }
    }

    async fn read(&mut self) -> Result<(), Ending> {
        let chunk = self.outlet.read().await?;
        if chunk.is_empty() {
            self.is_heard_out = true;
        }
        self.decoder.push(&chunk);
        self.framing = self.decoder.framing().unwrap_or(self.framing);
        Ok(())
    }

    /// The next question that can be dealt with now.
    async fn next_request(&mut self) -> Result<Option<Request>, Ending> {
        while self.held.is_none() && self.pending.len() < IN_FLIGHT {
            let input = match self.decoder.take() {
                Ok(None) if self.is_heard_out => self.decoder.finish(),
                taken => taken,
            };
            match input.map_err(|broken| Refusal::invalid(broken.0))? {
                None => return Ok(None),
                Some(Input::Request(request)) => self.held = Some(request),
                Some(Input::Malformed { cmd, words }) => {
                    let echo = Echo { cmd, ..Echo::default() };
                    self.respond(echo.refusal(&Refusal::invalid(words))).await?;
                }
            }
        }
        Ok(if self.is_time() { self.held.take() } else { None })
    }

    /// Whether the question that is held can be dealt with now.
    fn is_time(&mut self) -> bool {
        let Some(command) = self.held.as_ref().map(|request| Command::named(&request.cmd)) else { return false };
        let is_numbered = self.session.as_ref().is_some_and(Session::is_numbered);
        let in_line = is_numbered && command.is_some_and(Command::is_in_line);
        if !(self.pending.is_empty() || in_line) || self.pending.len() >= IN_FLIGHT {
            return false;
        }
        let Some(session) = self.session.as_ref().filter(|_| command.is_some_and(Command::is_write)) else {
            return true;
        };
        let now = Instant::now();
        if self.paced_until.is_some_and(|until| now < until) {
            return false;
        }
        let counted = self.gateway.door().count_write(session.caller.counted_as);
        self.paced_until = counted.err().map(|wait| now + wait);
        counted.is_ok()
    }

    /// Deals with a question.
    async fn start(&mut self, request: Request) -> Result<(), Ending> {
        self.patience_ends = Instant::now() + STRANGERS_PATIENCE;
        let echo = Echo { cmd: request.cmd.clone(), src: request.src.clone(), to: request.to.clone() };
        match self.admit(&request) {
            Ok(command) => {
                // A write is refused where it is carried out; and of an end the follower may hear later than the client asks.
                if let Some(session) = self.session.as_mut().filter(|_| command.is_read()) {
                    session.check(&self.gateway, true)?;
                }
                self.carry_out(command, echo, request).await
            }
            Err(refusal) => self.respond(echo.refusal(&refusal)).await,
        }
    }

    /// The command, if there is such a one and the client may use it.
    fn admit(&self, request: &Request) -> Result<Command, Refusal> {
        let command = Command::named(&request.cmd)
            .ok_or_else(|| Refusal::invalid("there is no such command: `help` tells which there are"))?;
        if command.is_open() {
            return Ok(command);
        }
        let Some(session) = &self.session else { return Err(Refusal::Rejected(Rejection::SessionInvalid)) };
        if !request.src.is_empty() && !request.src.eq_ignore_ascii_case(&session.name) {
            let words = format!("`src` is somebody else: {} is logged in here", session.name);
            return Err(Refusal::Rejected(Rejection::Forbidden(words)));
        }
        Ok(command)
    }

    async fn carry_out(&mut self, command: Command, echo: Echo, request: Request) -> Result<(), Ending> {
        match command {
            Command::Create => self.log_in(echo, request, true).await,
            Command::Login => self.log_in(echo, request, false).await,
            Command::Logout => self.log_out(echo).await,
            Command::Delete => self.delete_account(echo, request).await,
            Command::Send | Command::Read | Command::DeleteMessages | Command::Join | Command::Leave => {
                self.write(command, echo, request).await
            }
            Command::History => self.history(echo, request).await,
            Command::Unread => self.unread(echo).await,
            Command::List => self.list(echo, request).await,
            Command::Search => self.search(echo, request).await,
            Command::Status => self.status(echo).await,
            Command::Help => self.respond(echo.reply(commands::help(), Details::Nothing)).await,
        }
    }

    /// Answers, behind the answers that are still to come.
    pub(super) async fn respond(&mut self, reply: Reply) -> Result<(), Ending> {
        if self.pending.is_empty() {
            return self.say(&reply).await;
        }
        self.pending.push_back(Answer::Ready(reply));
        Ok(())
    }

    async fn say(&mut self, reply: &Reply) -> Result<(), Ending> {
        let mut frame = Vec::new();
        self.framing.encode(reply, &mut frame);
        Ok(self.outlet.send(&frame).await?)
    }

    /// The oldest answer is here.
    async fn answer(&mut self, outcome: Option<Result<Committed, Unavailable>>) -> Result<(), Ending> {
        let (echo, kind, request, outcome) = match (self.pending.pop_front(), outcome) {
            (Some(Answer::Ready(reply)), _) => return self.say(&reply).await,
            (Some(Answer::Write { echo, kind, committing }), Some(outcome)) => {
                (echo, kind, committing.request, outcome)
            }
            (Some(Answer::Write { .. }) | None, _) => return Ok(()),
        };
        if let Some(session) = &mut self.session {
            session.settled(request, &outcome);
        }
        let over = Outcome::Rejected(Rejection::SessionInvalid);
        let is_over = outcome.as_ref().is_ok_and(|committed| committed.reply == over);
        self.say(&super::writes::reply(echo, kind, outcome)).await?;
        if is_over { Err(Refusal::Rejected(Rejection::SessionInvalid).into()) } else { Ok(()) }
    }

    fn marked(&mut self, outcome: &Result<Committed, Unavailable>) {
        let (Some(session), Some(marking)) = (&mut self.session, self.marking.take()) else { return };
        session.settled(marking.request, outcome);
        if !outcome.as_ref().is_ok_and(|committed| committed.reply == Outcome::Done) {
            session.unmarked();
        }
    }

    /// Does what is due without being asked.
    async fn attend(&mut self) -> Result<(), Ending> {
        let Some(session) = &mut self.session else {
            if Instant::now() < self.patience_ends {
                return Ok(());
            }
            let words = "nobody has logged in here for a while: `create` or `login` come first";
            return Err(Refusal::Rejected(Rejection::Forbidden(words.to_owned())).into());
        };
        session.check(&self.gateway, false)?;
        self.mark(false).await
    }

    /// Tells the state what was delivered, if it is time, or (`at_once`) if there is anything to tell.
    pub(super) async fn mark(&mut self, at_once: bool) -> Result<(), Ending> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let Some(mark) = session.mark(at_once) else { return Ok(()) };
        let can_number_anew = !session.is_numbered() && self.pending.is_empty();
        // Whoever waits here hears nothing meanwhile.
        let until = Instant::now() + MARK_PATIENCE;
        if can_number_anew && session.number_anew(&self.gateway, until).await.is_err() {
            session.postpone_mark();
            return Ok(());
        }
        // One on its way is waited for, and so are the writes before new numbers: the next attempt is a second away.
        let write = if self.marking.is_none() || at_once { session.write(mark, None) } else { None };
        let Some((request, command)) = write else {
            session.unmarked();
            return Ok(());
        };
        match self.gateway.door().enqueue(&command, super::writes::deadline()).await {
            Ok(outcome) => self.marking = Some(Committing { request, outcome: Box::pin(outcome) }),
            Err(_) => {
                session.lost();
                session.postpone_mark();
            }
        }
        Ok(())
    }

    /// Once a client has said everything: it hears what is there for it, and no more.
    async fn finish(&mut self) -> Result<(), Ending> {
        use futures::FutureExt as _;
        while let Some(followed) = self.session.as_mut().and_then(|session| session.follower.next().now_or_never()) {
            self.deliver(followed).await?;
        }
        Err(Ending::Finished)
    }
}
