//! The task behind a writer: keeps a stream to some server while there is something to write, and moves the
//! outbox's writes and answers over it. Where the outbox is kept on disk, its changes are written before anything is said or sent that
//! rests on them.

use std::{
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use threefold_proto::chat::{ErrorCode, ServerFrame, client_frame, server_frame::Frame};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    Acceptance, Counters, DiskOutbox, Failed, LinkState, Note, Submission,
    drafts::Drafts,
    outbox::{Answered, Outbox},
    pace::Pace,
};
use crate::{
    Client, Error,
    addresses::display,
    backoff::Backoff,
    route::Route,
    stream::{self, Stream},
    verdict::Verdict,
};

/// A stream with nothing to write is closed after this long.
const IDLE: Duration = Duration::from_secs(30);
/// Changes that may wait until they are on disk do so no longer: a program that is killed while it rests has nothing to ask for again.
const REST: Duration = Duration::from_secs(1);
/// So often "later" without any progress, and the server is left for another.
const LATERS: u32 = 3;

/// Where a task tells how it is doing.
pub(super) struct Told {
    pub(super) state: watch::Sender<LinkState>,
    /// How many, and the oldest. None once nothing will be sent any more.
    pub(super) waiting: Option<(watch::Sender<usize>, watch::Sender<Option<u64>>)>,
    pub(super) failed: watch::Sender<Vec<Failed>>,
    /// Why nothing will be sent any more: the session is over, or the disk failed. Every write is answered with this then.
    pub(super) over: Arc<OnceLock<Error>>,
    pub(super) counters: Arc<Counters>,
}

pub(super) struct Task {
    client: Client,
    submissions: mpsc::Receiver<Submission>,
    notes: mpsc::Receiver<Note>,
    /// Some writer is left that may submit.
    open: bool,
    outbox: Outbox,
    /// Where the outbox is kept; none while it is being written, and where it ends with the process.
    disk: Option<DiskOutbox>,
    drafts: Drafts,
    /// Since when something waits that may wait a while until it is on disk.
    unsaved: Option<Instant>,
    /// Who is told that what they said is on disk, once it is.
    accepted: Vec<oneshot::Sender<()>>,
    route: Route,
    /// Names the question for the next instance, so that repeating it leaves no unused ones.
    nonce: u64,
    /// Under way: that question.
    instance: Option<BoxFuture<'static, Result<u64, Error>>>,
    /// Why it failed the last time.
    hindrance: Option<Error>,
    /// Between two of them.
    pauses: Backoff,
    told: Told,
    /// The last stream failed, so that opening the next one is a reconnect.
    failed: bool,
}

impl Task {
    pub(super) fn new(
        client: Client,
        (submissions, notes): (mpsc::Receiver<Submission>, mpsc::Receiver<Note>),
        outbox: Outbox,
        disk: Option<DiskOutbox>,
        told: Told,
    ) -> Self {
        Self {
            nonce: client.pool.servers.nonce(),
            client,
            submissions,
            notes,
            open: true,
            outbox,
            drafts: disk.as_ref().map(Drafts::of).unwrap_or_default(),
            disk,
            unsaved: None,
            accepted: Vec::new(),
            route: Route::default(),
            instance: None,
            hindrance: None,
            pauses: Backoff::default(),
            told,
            failed: false,
        }
    }

    pub(super) async fn run(mut self) {
        while self.wait_for_work().await {
            let Err((server, verdict)) = self.connect_and_serve().await else {
                self.told.state.send_replace(LinkState::Idle);
                continue;
            };
            self.failed = true;
            self.outbox.stream_lost();
            match verdict {
                Verdict::Refused { code: code @ ErrorCode::SessionInvalid, message, .. } => {
                    self.end(Error::Refused { code, message });
                }
                verdict => {
                    self.told.state.send_replace(LinkState::Connecting(verdict.message().to_owned()));
                    let wait = self.route.failed(&self.client.pool.servers, &server, verdict);
                    self.meanwhile(tokio::time::sleep(wait)).await;
                }
            }
        }
        self.save().await;
    }

    /// Returns true when there is something to write, false when there never will be.
    async fn wait_for_work(&mut self) -> bool {
        loop {
            self.save().await;
            if !self.open && self.outbox.next_deadline().is_none() {
                return false;
            }
            if !self.outbox.is_empty() {
                return true;
            }
            self.attend().await;
        }
    }

    /// Ends well when there has been nothing to write for a while.
    async fn connect_and_serve(&mut self) -> Result<(), (String, Verdict)> {
        let client = self.client.clone();
        let mut route = std::mem::take(&mut self.route);
        let opened = self.meanwhile(stream::open(&client, &mut route, None)).await;
        self.route = route;
        let stream = opened?;
        let server = stream.server.clone();
        if self.failed {
            count(&self.told.counters.reconnects);
        }
        self.told.state.send_replace(LinkState::Connected(display(&server).to_owned()));
        self.serve(stream).await.map_err(|verdict| {
            if matches!(verdict, Verdict::Unavailable { broken: true, .. }) {
                self.client.pool.forget(&server);
            }
            (server, verdict)
        })
    }

    /// Waits for `future` and goes on accepting and expiring writes.
    async fn meanwhile<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return output,
                () = self.attend() => self.save().await,
            }
        }
    }

    /// Waits for one of the things that happen with or without a stream, and deals with it. May be dropped while
    /// it waits.
    async fn attend(&mut self) {
        if self.instance.is_none() && self.outbox.wants_instance() {
            let client = self.client.clone();
            let nonce = self.nonce;
            // Some refusals come fast.
            let wait = match &self.hindrance {
                Some(_) => self.pauses.next(client.pool.servers.luck()),
                None => Duration::ZERO,
            };
            self.instance = Some(Box::pin(async move {
                tokio::time::sleep(wait).await;
                client.open_instance(nonce).await
            }));
        }
        let deadline = self.outbox.next_deadline();
        let may_save = self.disk.is_some() && self.outbox.may_save();
        self.unsaved = may_save.then(|| self.unsaved.unwrap_or_else(Instant::now));
        tokio::select! {
            biased;
            submission = self.submissions.recv(), if self.open && self.outbox.has_room() => match submission {
                Some(submission) => {
                    self.accept(submission);
                    // What waits besides is written to disk with it.
                    while self.outbox.has_room() && let Ok(submission) = self.submissions.try_recv() {
                        self.accept(submission);
                    }
                }
                None => self.open = false,
            },
            result = wait_for(&mut self.instance) => {
                self.instance = None;
                self.instance_opened(result);
            }
            Some(note) = self.notes.recv() => self.take_note(note),
            () = sleep_until(self.unsaved.map(|since| since + REST)) => self.outbox.hurry(),
            () = sleep_until(deadline) => {
                let why = self.hindrance.clone().unwrap_or_else(|| self.route.error());
                self.outbox.expire(Instant::now(), &why);
            }
        }
    }

    fn accept(&mut self, submission: Submission) {
        let Submission { operation, deadline, reply, draft, acceptance } = submission;
        if let Some(error) = self.told.over.get() {
            // A caller who no longer waits does not want to know.
            drop(reply.send(Err(error.clone())));
            return;
        }
        if let Some(Acceptance { taken, saved }) = acceptance {
            if taken.send(self.outbox.next_key()).is_err() {
                // It was given up while it waited for its place, and must never take effect.
                return;
            }
            self.accepted.push(saved);
        }
        self.outbox.push(operation, deadline, reply);
        // On disk with it, or not at all.
        if let Some(change) = draft.and_then(|draft| self.drafts.forget(draft)) {
            self.outbox.note(|| change);
        }
    }

    fn take_note(&mut self, note: Note) {
        match note {
            Note::Told(keys, done) => {
                self.outbox.told(&keys);
                self.accepted.push(done);
            }
            // Without a disk nothing is kept: whoever waits finds nobody there.
            Note::Keep(..) if self.disk.is_none() => {}
            Note::Keep(content, taken, saved) => {
                let kept = self.drafts.keep(content);
                let number = kept.as_ref().map(|(number, _)| *number);
                if let Some((_, change)) = kept {
                    self.outbox.note(|| change);
                }
                // Who asked may have gone: a later run finds it.
                let _ = taken.send(number);
                self.accepted.push(saved);
            }
            Note::Forget(draft, done) => {
                if let Some(change) = self.drafts.forget(draft) {
                    self.outbox.note(|| change);
                }
                self.accepted.push(done);
            }
        }
    }

    /// Writes to disk what has to be there, if the outbox is kept, and says so.
    async fn save(&mut self) {
        if self.outbox.must_save()
            && let Some(mut disk) = self.disk.take()
        {
            let changes = self.outbox.take_unsaved();
            let saving = tokio::task::spawn_blocking(move || disk.save(&changes).map(|()| disk));
            let saved = saving.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            match saved {
                Ok(disk) => self.disk = Some(disk),
                Err(error) => {
                    self.accepted.clear();
                    self.end(Error::Local(format!("the outbox on disk cannot be written: {error}")));
                }
            }
        }
        let keys = |failed: &[Failed]| failed.iter().map(|failed| failed.key).collect::<Vec<_>>();
        self.told.failed.send_if_modified(|told| {
            let is_other = keys(told) != keys(self.outbox.failed());
            if is_other {
                *told = self.outbox.failed().to_vec();
            }
            is_other
        });
        // Before those go on who wait for it: what they have handed over counts.
        if let Some((told, told_oldest)) = &self.told.waiting {
            let (waiting, oldest) = (self.outbox.waiting(), self.outbox.oldest());
            told_oldest.send_if_modified(|told| std::mem::replace(told, oldest) != oldest);
            told.send_if_modified(|told| std::mem::replace(told, waiting) != waiting);
        }
        for saved in self.accepted.drain(..) {
            // A caller who no longer waits does not want to know.
            let _ = saved.send(());
        }
    }

    fn instance_opened(&mut self, result: Result<u64, Error>) {
        let error = match result {
            Ok(instance) => {
                self.nonce = self.client.pool.servers.nonce();
                self.hindrance = None;
                self.pauses.reset();
                return self.outbox.set_instance(instance);
            }
            Err(error) => error,
        };
        if error.is_refusal(ErrorCode::SessionInvalid) {
            return self.end(error);
        }
        // Asked for again while there are writes without a number; their deadlines decide.
        if !may_pass(&error) {
            self.outbox.refuse_unnamed(&error);
        }
        self.hindrance = Some(error);
    }

    /// What waits is given up by this process; that it waits stays told, for what is on disk still does.
    fn end(&mut self, error: Error) {
        self.outbox.fail_all(&error);
        // The first reason counts; and it is there before anybody is told that nothing more will come.
        let _ = self.told.over.set(error);
        self.told.waiting = None;
    }

    /// Writes over one stream until it fails, or there has been nothing to write for a while.
    async fn serve(&mut self, mut stream: Stream) -> Result<(), Verdict> {
        let mut pace = Pace::new();
        loop {
            self.pump(&stream, &mut pace).await?;
            if self.told.over.get().is_some() || (!self.open && self.outbox.next_deadline().is_none()) {
                return Ok(());
            }
            let waiting = self.outbox.in_flight() > 0;
            let idle = self.outbox.is_empty().then_some(pace.idle + IDLE);
            tokio::select! {
                biased;
                frame = stream.inbound.message() => match frame {
                    Ok(Some(frame)) => self.take(frame, &stream.server, &mut pace)?,
                    Ok(None) => return Err(unavailable("the server closed the stream", false)),
                    Err(status) => return Err(Verdict::of(&status)),
                },
                () = self.attend() => {}
                () = sleep_until(pace.next_check()), if waiting => pace.check(&stream)?,
                () = sleep_until(pace.resume), if pace.resume.is_some() && !waiting => pace.resume = None,
                () = sleep_until(idle), if idle.is_some() => return Ok(()),
            }
        }
    }

    /// Puts on the stream what may go now, once it is on disk under its name.
    async fn pump(&mut self, stream: &Stream, pace: &mut Pace) -> Result<(), Verdict> {
        let mut none_before = self.outbox.in_flight() == 0;
        let may_go = pace.resume.is_none() && self.told.over.get().is_none();
        let due: Vec<_> = std::iter::from_fn(|| if may_go { self.outbox.transmit() } else { None }).collect();
        self.save().await;
        if self.told.over.get().is_some() {
            return Ok(());
        }
        for transmission in due {
            count(if transmission.again { &self.told.counters.retried } else { &self.told.counters.sent });
            if std::mem::take(&mut none_before) {
                pace.begin();
            }
            if !stream.put(client_frame::Frame::Write(transmission.write)) {
                return Err(unavailable("the stream takes no more writes", false));
            }
        }
        Ok(())
    }

    fn take(&mut self, frame: ServerFrame, server: &str, pace: &mut Pace) -> Result<(), Verdict> {
        pace.heard = Instant::now();
        pace.pinged = false;
        let result = match frame.frame {
            Some(Frame::Result(result)) => result,
            Some(Frame::Condition(condition)) => {
                self.client.pool.note_condition(condition);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match self.outbox.answered(result) {
            Answered::Acknowledged(position) => {
                count(&self.told.counters.acknowledged);
                self.client.saw(position);
                self.progress(server, pace);
            }
            Answered::Refused => {
                count(&self.told.counters.refused);
                self.progress(server, pace);
            }
            Answered::Before => self.progress(server, pace),
            Answered::Later(verdict) => {
                if pace.pause(self.client.pool.servers.luck()) > LATERS {
                    return Err(verdict);
                }
            }
            Answered::Again => {
                pace.pause(self.client.pool.servers.luck());
            }
            Answered::SessionOver(error) => self.end(error),
            Answered::Nothing => {}
        }
        Ok(())
    }

    fn progress(&mut self, server: &str, pace: &mut Pace) {
        self.failed = false;
        self.route.worked(&self.client.pool.servers, server);
        pace.progress = pace.heard;
        pace.idle = pace.heard;
        pace.laters = 0;
        pace.backoff.reset();
    }
}

/// Whether the same question may be answered with success in a while.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Unavailable { .. } | Error::OutcomeUnknown(_) | Error::Protocol(_) => true,
        Error::Refused { code, .. } => {
            matches!(
                code,
                ErrorCode::Unavailable | ErrorCode::RateLimited | ErrorCode::Overloaded | ErrorCode::Internal
            )
        }
        Error::Usage(_) | Error::Local(_) => false,
    }
}

pub(super) fn unavailable(cause: &str, broken: bool) -> Verdict {
    Verdict::Unavailable { cause: cause.to_owned(), broken }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Sleeps until then; for ever if there is no such time.
async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// Waits for the future that is there; for ever if there is none.
async fn wait_for<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
