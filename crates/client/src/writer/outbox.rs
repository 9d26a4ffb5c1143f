//! The state of the outbox: which writes wait, which are under way, which are due again. Pure: no I/O, no clock, no
//! task; the moves are made by `task.rs`.
//!
//! The rules that keep "exactly once, in order":
//! * A write gets its number when it is first sent, so one given up before leaves no gap.
//! * A number is never given to another write, and a write keeps its number until it is answered.
//! * A write gets a new number (under a new instance) only if it is certain that it never ran under the old one.
//! * After a refusal that says "later" nothing more is sent until all writes under way are answered; then everything
//!   unanswered goes again from the first. So the order at the server is the order here.
//!
//! An outbox that outlives the process tells its storage of each change (`Change`), in order. Three rules more keep the promise through a crash:
//! * What a write is called is on disk before the write is first sent under that name: so whatever was sent goes again under the same name.
//! * That a write came to nothing is on disk before any other says that its number was answered: the cluster forgets the reply then, and what is
//!   forgotten and not known to have failed was a success.
//! * A later process never goes on with the numbers of an earlier one, but takes a new instance for what has no number yet; and it takes all that had a
//!   number as something that may have run.

use std::collections::VecDeque;

use threefold_core::bounds::REPLIES_PER_INSTANCE;
use threefold_proto::chat::{
    BotCreated, ErrorCode, MessageSent, RequestId, RoomCreated, WebhookCreated, Write, WriteResult, write::Operation,
    write_result,
};
use tokio::{sync::oneshot, time::Instant};

use super::change::{Change, Failed, Kept, Why};
use crate::{Error, verdict::Verdict};

/// Writes held here: a full window, and as many that wait for it.
const MOST_ENTRIES: usize = 128;
/// The same where they are kept on disk, for hours without a server: what a person writes in a day.
const MOST_ENTRIES_ON_DISK: usize = 1024;
/// So many answers are told to the storage at the latest; it takes them with other changes otherwise. One that a crash takes away only makes a
/// write be asked for again, under its number.
const ANSWERS_UNSAVED: usize = 32;

/// The success of a write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Of a message.
    Sent(MessageSent),
    /// Of a new room.
    RoomCreated(RoomCreated),
    /// Of a new bot.
    BotCreated(BotCreated),
    /// Of a new webhook.
    WebhookCreated(WebhookCreated),
    /// Of everything else: the position it took effect at.
    Done(u64),
}

pub(crate) type Reply = oneshot::Sender<Result<Outcome, Error>>;

/// What a result meant.
#[derive(Debug)]
pub(crate) enum Answered {
    /// A write succeeded; this is the log position it is visible at.
    Acknowledged(u64),
    /// A write was refused, or its outcome will never be known.
    Refused,
    /// The server cannot now; repeat after a while, perhaps elsewhere.
    Later(Verdict),
    /// Our numbering and the server's differ; repeat at once, with what is due.
    Again,
    /// The session is over: nothing can be written any more.
    SessionOver(Error),
    /// An earlier process had the answer.
    Before,
    /// A repeated answer.
    Nothing,
}

/// A write to put on the stream.
#[derive(Debug)]
pub(crate) struct Transmission {
    pub(crate) write: Write,
    pub(crate) again: bool,
}

#[derive(Debug)]
struct Entry {
    /// Its place in the order of all that were accepted.
    key: u64,
    operation: Operation,
    deadline: Instant,
    /// None once given up by its deadline, or taken.
    reply: Option<Reply>,
    /// Its name, from the first transmission on.
    request: Option<RequestId>,
    /// On the present stream and not answered.
    in_flight: bool,
    /// A transmission of it got no answer: it may have run.
    may_have_run: bool,
    transmitted: bool,
}

impl Entry {
    /// Tells whoever is there to hear it.
    fn resolve(&mut self, result: Result<Outcome, Error>) {
        if let Some(reply) = self.reply.take() {
            drop(reply.send(result));
        }
    }
}

/// The writes of one writer, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    entries: VecDeque<Entry>,
    /// The instance new numbers belong to.
    instance: Option<u64>,
    /// The next number of that instance.
    next_number: u64,
    /// A refusal said "later": nothing is sent until all under way are answered.
    holding: bool,
    /// The key of the write accepted last.
    last_key: u64,
    /// The latest instance that an earlier process used; a new one has a higher number.
    last_instance: u64,
    /// Changes that the storage has not been told yet; none: the outbox ends with the process.
    unsaved: Option<Vec<Change>>,
    /// Answers must be told to the storage now: somebody waits for it.
    is_urgent: bool,
    /// What came to nothing and nobody was told of, where the outbox outlives the process. The storage keeps it until somebody was.
    failed: Vec<Failed>,
}

impl Outbox {
    /// One that outlives the process: with what earlier ones left, which goes out first, the key of the last write they accepted, and
    /// the latest instance they used.
    pub(crate) fn kept(kept: Vec<Kept>, last_key: u64, last_instance: u64, now: Instant) -> Self {
        let mut outbox = Self { last_key, last_instance, unsaved: Some(Vec::new()), ..Self::default() };
        for Kept { key, request, operation, failed } in kept {
            if let Some(why) = failed {
                outbox.failed.push(Failed { key, operation, error: why.into_error() });
                continue;
            }
            outbox.entries.push_back(Entry {
                key,
                operation,
                deadline: now,
                reply: None,
                request,
                in_flight: false,
                may_have_run: request.is_some(),
                transmitted: request.is_some(),
            });
        }
        outbox
    }

    /// Writes that were not answered.
    pub(crate) fn waiting(&self) -> usize {
        self.entries.len()
    }

    /// The first of them.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.entries.iter().map(|entry| entry.key).min()
    }

    /// The key of the write that is accepted next.
    pub(crate) fn next_key(&self) -> u64 {
        self.last_key + 1
    }

    /// Whether there are changes that must be on disk before anything else is sent or said; or enough of the others.
    pub(crate) fn must_save(&self) -> bool {
        let unsaved = self.unsaved.as_deref().unwrap_or_default();
        let is_answer = |change: &Change| matches!(change, Change::Removed { .. });
        !unsaved.is_empty()
            && (self.is_urgent
                || self.entries.is_empty()
                || unsaved.len() >= ANSWERS_UNSAVED
                || !unsaved.iter().all(is_answer))
    }

    /// Whether there are changes that may wait a while until they are on disk.
    pub(crate) fn may_save(&self) -> bool {
        self.unsaved.as_ref().is_some_and(|unsaved| !unsaved.is_empty())
    }

    /// They have waited long enough.
    pub(crate) fn hurry(&mut self) {
        self.is_urgent = true;
    }

    /// The changes that the storage has not been told yet, in order.
    pub(crate) fn take_unsaved(&mut self) -> Vec<Change> {
        self.is_urgent = false;
        self.unsaved.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What came to nothing and nobody was told of, the oldest first.
    pub(crate) fn failed(&self) -> &[Failed] {
        &self.failed
    }

    /// Somebody was told of these now.
    pub(crate) fn told(&mut self, keys: &[u64]) {
        let (told, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.failed).into_iter().partition(|failed| keys.contains(&failed.key));
        self.failed = left;
        for failed in told {
            self.note(|| Change::Removed { key: failed.key });
            self.is_urgent = true;
        }
    }

    /// A change for the storage.
    pub(super) fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.push(change());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What failed takes room until somebody was told: each of the others may fail, too.
    pub(crate) fn has_room(&self) -> bool {
        let most = if self.unsaved.is_some() { MOST_ENTRIES_ON_DISK } else { MOST_ENTRIES };
        self.entries.len() + self.failed.len() < most
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.entries.iter().filter(|entry| entry.in_flight).count()
    }

    pub(crate) fn push(&mut self, operation: Operation, deadline: Instant, reply: Reply) {
        let key = self.next_key();
        self.last_key = key;
        self.note(|| Change::Accepted { key, operation: operation.clone() });
        self.entries.push_back(Entry {
            key,
            operation,
            deadline,
            reply: Some(reply),
            request: None,
            in_flight: false,
            may_have_run: false,
            transmitted: false,
        });
    }

    /// Whether writes wait that need a new instance for their numbers, and could have them now: a session has few instances, and a new one may push out that
    /// of a write that is still to be asked for.
    pub(crate) fn wants_instance(&self) -> bool {
        self.instance.is_none() && !self.entries.is_empty() && self.entries.iter().all(|entry| entry.request.is_none())
    }

    /// The instance for new numbers. One that an earlier process may have used is not taken: a number would be given to another write.
    pub(crate) fn set_instance(&mut self, instance: u64) {
        if instance <= self.last_instance {
            return;
        }
        self.instance = Some(instance);
        self.next_number = 1;
    }

    /// The next write to put on the stream; it then counts as under way.
    pub(crate) fn transmit(&mut self) -> Option<Transmission> {
        if self.holding {
            if self.entries.iter().any(|entry| entry.in_flight) {
                return None;
            }
            self.holding = false;
        }
        // Those that have a name go first: what became of them decides whether the others get one.
        let due = |entry: &Entry| !entry.in_flight && entry.request.is_some();
        let named = self.entries.iter().position(due);
        let index = named.or_else(|| self.entries.iter().position(|entry| entry.request.is_none()))?;
        if self.entries[index].request.is_none() {
            let request = self.next_request()?;
            self.next_number = request.number + 1;
            self.entries[index].request = Some(request);
            let key = self.entries[index].key;
            self.note(|| Change::Named { key, request });
        }
        let answered = self.answered_before(index);
        let entry = &mut self.entries[index];
        let again = std::mem::replace(&mut entry.transmitted, true);
        entry.in_flight = true;
        let write = Write { request: entry.request, operation: Some(entry.operation.clone()), answered };
        Some(Transmission { write, again })
    }

    /// Up to which number of its instance everything is answered, or was given up as certain not to have run: no number
    /// of it is asked again that is not held here.
    fn answered_before(&self, index: usize) -> u64 {
        let instance = self.entries[index].request.map(|request| request.instance);
        let held = self.entries.iter().filter_map(|entry| entry.request);
        let oldest = held.filter(|request| Some(request.instance) == instance).map(|request| request.number).min();
        oldest.map_or(0, |oldest| oldest.saturating_sub(1))
    }

    /// The name of a further write, if there may be one now: writes of an earlier instance must all be answered first,
    /// and the cluster remembers the replies to so many numbers only.
    fn next_request(&self) -> Option<RequestId> {
        let instance = self.instance?;
        let mut named = self.entries.iter().filter_map(|entry| entry.request);
        let oldest = named.next();
        let window = oldest.is_none_or(|oldest| {
            oldest.instance == instance && self.next_number < oldest.number + REPLIES_PER_INSTANCE
        });
        let same = named.all(|request| request.instance == instance);
        (window && same).then_some(RequestId { instance, number: self.next_number })
    }

    /// Takes in the answer to a write.
    pub(crate) fn answered(&mut self, result: WriteResult) -> Answered {
        let Some(request) = result.request else { return Answered::Nothing };
        let Some(index) = self.entries.iter().position(|entry| entry.in_flight && entry.request == Some(request))
        else {
            return Answered::Nothing;
        };
        self.entries[index].in_flight = false;
        let outcome = match result.result {
            Some(write_result::Result::Sent(sent)) => Outcome::Sent(sent),
            Some(write_result::Result::RoomCreated(created)) => Outcome::RoomCreated(created),
            Some(write_result::Result::BotCreated(created)) => Outcome::BotCreated(created),
            Some(write_result::Result::WebhookCreated(created)) => Outcome::WebhookCreated(created),
            Some(write_result::Result::Done(done)) => Outcome::Done(done.position),
            Some(write_result::Result::Error(error)) => {
                return self.declined(index, request, Verdict::of_error(&error));
            }
            None => return self.finish(index, Err(Error::Protocol("a result without content".to_owned()))),
        };
        self.finish(index, Ok(outcome))
    }

    fn finish(&mut self, index: usize, result: Result<Outcome, Error>) -> Answered {
        let answered = match &result {
            Ok(Outcome::Sent(sent)) => Answered::Acknowledged(sent.id),
            Ok(Outcome::RoomCreated(created)) => Answered::Acknowledged(created.id),
            Ok(Outcome::BotCreated(created)) => Answered::Acknowledged(created.account),
            Ok(Outcome::WebhookCreated(created)) => Answered::Acknowledged(created.webhook),
            Ok(Outcome::Done(position)) => Answered::Acknowledged(*position),
            Err(_) => Answered::Refused,
        };
        if let Some(entry) = self.entries.remove(index) {
            self.leave(entry, result);
        }
        answered
    }

    /// A write is answered. One on disk that came to nothing stays there until somebody was told: a receipt is heard by a process, which may end before
    /// anybody is.
    fn leave(&mut self, mut entry: Entry, result: Result<Outcome, Error>) {
        let error = result.as_ref().err().cloned();
        entry.resolve(result);
        let Entry { key, operation, .. } = entry;
        match error {
            Some(error) if self.unsaved.is_some() => {
                self.note(|| Change::Failed { key, why: Why::of(&error) });
                self.failed.push(Failed { key, operation, error });
            }
            _ => self.note(|| Change::Removed { key }),
        }
    }

    fn declined(&mut self, index: usize, request: RequestId, verdict: Verdict) -> Answered {
        let (code, message, expected) = match verdict {
            Verdict::Unavailable { .. } => {
                self.entries[index].may_have_run = true;
                self.holding = true;
                return Answered::Later(verdict);
            }
            Verdict::Overloaded(_) => {
                self.holding = true;
                return Answered::Later(verdict);
            }
            Verdict::Refused { code, message, expected } => (code, message, expected),
        };
        match code {
            ErrorCode::OutOfOrder => {
                self.holding = true;
                if !self.holds(RequestId { number: expected, ..request }) {
                    // The number that is due was answered long ago, without being used: a gap that nothing of ours
                    // can fill, so that nothing behind it ever runs under this instance.
                    self.entries[index].may_have_run = false;
                    return self.renumber(index, request.instance);
                }
                Answered::Again
            }
            ErrorCode::UnknownInstance if !self.entries[index].may_have_run => {
                self.holding = true;
                self.renumber(index, request.instance)
            }
            ErrorCode::ReplyForgotten if self.unsaved.is_some() && self.entries[index].reply.is_none() => {
                // Carried out: a server forgets a reply when it is told that it came. Of a refusal the disk knows by then; only that of a success it does not
                // know yet.
                self.abandon(request.instance);
                if let Some(Entry { key, .. }) = self.entries.remove(index) {
                    self.note(|| Change::Removed { key });
                }
                Answered::Before
            }
            ErrorCode::UnknownInstance | ErrorCode::ReplyForgotten => {
                self.abandon(request.instance);
                self.finish(index, Err(Error::OutcomeUnknown(format!("the answer was lost ({message})"))))
            }
            ErrorCode::SessionInvalid => {
                // Those behind it cannot have run on this stream: their numbers are not due.
                for entry in &mut self.entries {
                    let is_behind = |name: RequestId| name.instance == request.instance && name.number > request.number;
                    entry.in_flight &= !entry.request.is_some_and(is_behind);
                }
                Answered::SessionOver(Error::Refused { code, message })
            }
            code => self.finish(index, Err(Error::Refused { code, message })),
        }
    }

    fn holds(&self, request: RequestId) -> bool {
        self.entries.iter().any(|entry| entry.request == Some(request))
    }

    fn abandon(&mut self, instance: u64) {
        if self.instance == Some(instance) {
            self.instance = None;
        }
    }

    fn renumber(&mut self, index: usize, instance: u64) -> Answered {
        self.abandon(instance);
        self.entries[index].request = None;
        let key = self.entries[index].key;
        self.note(|| Change::Unnamed { key });
        Answered::Again
    }

    /// The stream is gone: what was under way may have run, or not.
    pub(crate) fn stream_lost(&mut self) {
        self.holding = false;
        for entry in &mut self.entries {
            entry.may_have_run |= std::mem::take(&mut entry.in_flight);
        }
    }

    /// When the next deadline of a waiting caller passes.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.entries.iter().filter(|entry| entry.reply.is_some()).map(|entry| entry.deadline).min()
    }

    /// Tells callers whose deadline has passed. A write that was never sent is dropped; one that was stays, and so does one on disk.
    pub(crate) fn expire(&mut self, now: Instant, unavailable: &Error) {
        let is_kept = self.unsaved.is_some();
        self.entries.retain_mut(|entry| {
            if entry.deadline > now || entry.reply.is_none() {
                return true;
            }
            if is_kept && entry.request.is_none() {
                let why = format!("kept on disk, and sent as soon as a server can be reached ({unavailable})");
                entry.resolve(Err(Error::OutcomeUnknown(why)));
                return true;
            }
            if entry.request.is_none() && !entry.may_have_run {
                entry.resolve(Err(unavailable.clone()));
                return false;
            }
            entry.resolve(Err(Error::OutcomeUnknown(format!("sent, but not answered in time ({unavailable})"))));
            true
        });
    }

    /// The cluster gives this writer no more numbers. What has none, certainly never ran, and is refused. What has one goes on under it; and what is on disk
    /// stays there, because the cluster may think better of it.
    pub(crate) fn refuse_unnamed(&mut self, error: &Error) {
        if self.unsaved.is_some() {
            return;
        }
        self.entries.retain_mut(|entry| {
            let stays = entry.request.is_some();
            if !stays {
                entry.resolve(Err(error.clone()));
            }
            stays
        });
    }

    /// Nothing will be sent any more by this process. What is on disk stays there. A refusal is told only of what certainly changed nothing.
    pub(crate) fn fail_all(&mut self, error: &Error) {
        for mut entry in self.entries.drain(..) {
            let may_have_run = entry.in_flight || entry.may_have_run;
            entry.resolve(Err(match error {
                Error::Refused { .. } if may_have_run => {
                    Error::OutcomeUnknown(format!("sent, and not answered before this: {error}"))
                }
                error => error.clone(),
            }));
        }
    }
}

#[cfg(test)]
mod tests;
