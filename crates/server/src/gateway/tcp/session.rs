//! Who is logged in on a connection: the session, its place in everything it may see, and the numbers of its writes.
//!
//! A session of this port is its connection's: it is called [`DEVICE`], and ends with the connection. Its writes are
//! numbered here, so that the state machine runs each once and in order however often the servers pass it on.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use threefold_core::{
    Command, EventId, Operation, Position, Rejection, Reply, RequestId, RequestName, TokenHash, query,
};
use threefold_proto::{
    chat,
    convert::{Refusal, Token},
};
use tokio::time::Instant;

use super::delivery::Read;
use crate::{
    ambient,
    gateway::{Caller, Gateway, door::Door, grpc::deadline::DEFAULT_PATIENCE},
    node::{Committed, Unavailable},
};

/// What a session of this port is called.
pub(super) const DEVICE: &str = "tcp";
/// Sessions of this port that an account may have: half of all it may have, so that connections whose server died never
/// push out a phone. The oldest end for a further one.
pub(super) const SESSIONS: usize = threefold_core::bounds::SESSIONS_PER_ACCOUNT / 2;
/// Attempts to end a session whose connection is over: with the patience of each, a minute and more.
const ENDINGS: usize = 6;
/// Between two looks whether a session is still good: not every end is an event (it may expire).
const CHECK: Duration = Duration::from_secs(30);
/// Between two marks of what was delivered: a flood of messages costs one write more a second.
const MARK_PAUSE: Duration = Duration::from_secs(1);
/// Before the next attempt to mark, where the servers cannot do it.
const MARK_POSTPONED: Duration = Duration::from_secs(10);

/// The numbers of a session's writes.
struct Numbers {
    instance: u64,
    last: u64,
    /// Those without an answer.
    open: BTreeSet<u64>,
}

impl Numbers {
    fn new(instance: u64) -> Self {
        Self { instance, last: 0, open: BTreeSet::new() }
    }

    /// Up to here the answers have come.
    fn answered(&self) -> Option<u64> {
        let answered = self.open.first().map_or(self.last, |open| open - 1);
        (answered > 0).then_some(answered)
    }
}

/// A session on a connection.
pub(super) struct Session<D: Door> {
    pub caller: Caller,
    pub name: String,
    pub follower: D::Follower,
    _present: D::Present,
    /// None: the outcome of a write is not known, so that nobody knows which number is due.
    numbers: Option<Numbers>,
    /// What this connection has seen acknowledged.
    pub seen: Position,
    /// What was read elsewhere before this session began.
    pub read: Read,
    delivered: Delivered,
    check_at: Instant,
}

/// How far messages were delivered, and how far the state knows.
struct Delivered {
    up_to: Position,
    is_marked: bool,
    marked_at: Option<Instant>,
}

impl<D: Door> Session<D> {
    /// Makes an account, or logs in.
    pub async fn open(
        gateway: &Gateway<D>,
        from: IpAddr,
        (name, password): (String, String),
        is_new: bool,
    ) -> Result<Self, Refusal> {
        let deadline = Instant::now() + DEFAULT_PATIENCE;
        let token = ambient::random().map_err(|error| Refusal::Internal(format!("no randomness: {error}")))?;
        let (token, device) = (Token::new(token), DEVICE.to_owned());
        let token_bytes = token.as_bytes().to_vec().into();
        let opened = if is_new {
            let request = chat::RegisterRequest { name, password, token: token_bytes, device };
            gateway.register(request, from, deadline).await?
        } else {
            let request = chat::LoginRequest { name, password, token: token_bytes, device };
            gateway.log_in(request, from, deadline).await?
        };
        let entered = Self::enter(gateway, token.hash(), opened, deadline).await;
        if entered.is_err() {
            end(gateway, token.hash());
        }
        entered
    }

    async fn enter(
        gateway: &Gateway<D>,
        token: TokenHash,
        opened: chat::SessionReply,
        deadline: Instant,
    ) -> Result<Self, Refusal> {
        let seen = Position(opened.position);
        gateway.wait_for(seen, deadline).await?;
        let caller = gateway.authenticate(token, deadline).await?;
        let after = Position(opened.delivered_up_to);
        Ok(Self {
            follower: gateway.door().follow(caller.session.account, after),
            _present: gateway.door().arrive(caller.session.account),
            caller,
            name: opened.name,
            numbers: Some(Numbers::new(opened.instance)),
            seen,
            read: Read::before(seen),
            delivered: Delivered { up_to: after, is_marked: true, marked_at: None },
            check_at: Instant::now() + CHECK,
        })
    }

    /// The account's other sessions of this port that are too many.
    pub fn surplus(&self, gateway: &Gateway<D>) -> Vec<Command> {
        let sessions = gateway.door().read(|store| query::sessions(store, self.caller.session.account));
        let own = self.caller.session.session;
        let mut others: Vec<_> =
            sessions.into_iter().filter(|other| other.device == DEVICE && other.session != own).collect();
        others.sort_by_key(|other| other.session);
        let surplus = (others.len() + 1).saturating_sub(SESSIONS);
        let end =
            |other: query::SessionInfo| Command::EndSession { session: self.caller.token, target: Some(other.session) };
        others.into_iter().take(surplus).map(end).collect()
    }

    /// Whether the next write has a number.
    pub fn is_numbered(&self) -> bool {
        self.numbers.is_some()
    }

    /// Begins to number anew, after a write whose outcome is not known. No other one may be in flight.
    pub async fn number_anew(&mut self, gateway: &Gateway<D>, deadline: Instant) -> Result<(), Refusal> {
        let nonce = ambient::random().map_err(|error| Refusal::Internal(format!("no randomness: {error}")))?;
        let request = chat::OpenInstanceRequest { nonce: u64::from_be_bytes(nonce) };
        let opened = gateway.new_instance(&self.caller, request, deadline).await?;
        self.numbers = Some(Numbers::new(opened.instance));
        Ok(())
    }

    /// The session's next write, and how it is numbered; none while it cannot be.
    pub fn write(&mut self, operation: Operation, name: Option<RequestName>) -> Option<(RequestId, Command)> {
        let numbers = self.numbers.as_mut()?;
        let (session, answered) = (self.caller.token, numbers.answered());
        numbers.last += 1;
        numbers.open.insert(numbers.last);
        let request = RequestId { instance: numbers.instance, number: numbers.last };
        let command = match name {
            None => Command::Write { session, request, operation, answered },
            Some(name) => Command::NamedWrite { session, request, operation, answered, name },
        };
        Some((request, command))
    }

    /// A write was answered, or what became of it is not known.
    pub fn settled(&mut self, request: RequestId, outcome: &Result<Committed, Unavailable>) {
        let Some(numbers) = self.numbers.as_mut().filter(|numbers| numbers.instance == request.instance) else {
            return;
        };
        match outcome {
            // Its number was refused and not used: those of the writes behind it will be too.
            Ok(Committed {
                reply:
                    Reply::Rejected(Rejection::OutOfOrder { .. } | Rejection::UnknownInstance | Rejection::ReplyForgotten),
                ..
            })
            | Err(_) => self.numbers = None,
            Ok(committed) => {
                numbers.open.remove(&request.number);
                self.seen = self.seen.max(committed.position);
            }
        }
    }

    /// A write could not even be put in line.
    pub fn lost(&mut self) {
        self.numbers = None;
    }

    /// Everything up to here was written to the socket.
    pub fn delivered(&mut self, up_to: Position, any: bool) {
        self.delivered.up_to = self.delivered.up_to.max(up_to);
        self.delivered.is_marked &= !any;
        self.read.reached(up_to);
    }

    /// What the state is to be told of deliveries, if it is time or (`at_once`) if there is anything to tell.
    pub fn mark(&mut self, at_once: bool) -> Option<Operation> {
        let due = self.mark_due().is_some_and(|due| at_once || due <= Instant::now());
        due.then(|| {
            self.delivered.is_marked = true;
            self.delivered.marked_at = Some(Instant::now());
            Operation::MarkDelivered { up_to: EventId(self.delivered.up_to.0) }
        })
    }

    /// The mark was not made: another one is due after the usual pause.
    pub fn unmarked(&mut self) {
        self.delivered.is_marked = false;
    }

    /// The mark cannot be made for now.
    pub fn postpone_mark(&mut self) {
        self.delivered.is_marked = false;
        self.delivered.marked_at = Some(Instant::now() + MARK_POSTPONED);
    }

    fn mark_due(&self) -> Option<Instant> {
        let due = self.delivered.marked_at.map_or_else(Instant::now, |at| at + MARK_PAUSE);
        (!self.delivered.is_marked).then_some(due)
    }

    /// When there is something to be done without being asked.
    pub fn due(&self) -> Instant {
        self.mark_due().map_or(self.check_at, |due| due.min(self.check_at))
    }

    /// Looks, if it is time or (`at_once`) in any case, whether the session is still good.
    pub fn check(&mut self, gateway: &Gateway<D>, at_once: bool) -> Result<(), Refusal> {
        if !at_once && Instant::now() < self.check_at {
            return Ok(());
        }
        self.check_at = Instant::now() + CHECK;
        let session = gateway.session(&self.caller.token).ok_or(Refusal::Rejected(Rejection::SessionInvalid))?;
        // A connection may stay open for longer than a session lives.
        gateway.renew(&session, self.caller.token);
        Ok(())
    }
}

/// Ends a session whose connection is over. Nobody waits for it.
pub(super) fn end<D: Door>(gateway: &Gateway<D>, token: TokenHash) {
    let gateway = gateway.clone();
    tokio::spawn(async move {
        let command = Command::EndSession { session: token, target: None };
        for _ in 0..ENDINGS {
            match gateway.door().submit(&command, Instant::now() + DEFAULT_PATIENCE).await {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, "the session of a closed connection not ended yet"),
            }
        }
    });
}
