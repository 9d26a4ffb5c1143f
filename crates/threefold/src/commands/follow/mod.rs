//! `follow`: prints messages as they arrive, through any failover.
//!
//! Promises: every event after the start once and in order. The place is remembered after the output is flushed: on
//! standard output a kill may repeat the last lines, with `--output` nothing is repeated, whatever happens. A file has events of one history,
//! the one that is written down beside it (`place`). `--once` ends behind everything that was acknowledged to anybody before it began,
//! not where the server that it happens to ask is.

mod interruption;
mod place;
mod sink;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use futures::future::{BoxFuture, FutureExt as _};
use interruption::Interruption;
use place::Place;
use sink::Sink;
use threefold_client::{
    Cursor, Incoming, Session, Subscription, Writer,
    chat::{ErrorCode, event::Body},
};
use tokio::time::Instant;

use super::{
    ClientOptions, Failure,
    context::{Context, merge},
    output::{escape, json_line},
    render::Line,
};

/// The place is written to the session file so often: a file system write, not one for each message.
const SAVE_EVERY: Duration = Duration::from_millis(200);
/// The cluster is told what was delivered so often: each time is an entry in its log.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// At the end, the cluster is told once more, and given so long to take it.
const LAST_MARK: Duration = Duration::from_secs(1);
/// At the end, a reader of the output is given so long to take what is being written.
const LAST_WRITE: Duration = Duration::from_millis(500);
/// `--once` asks for so long how far all is, before it begins without knowing it: while nobody leads, what is there is shown all the same.
const ALL_IS_KNOWN: Duration = Duration::from_millis(500);
/// A server that has told all it has, and is behind that, is asked again so long after its last word: whom nothing concerns any more, it does
/// not tell how far it is.
const BEHIND: Duration = Duration::from_millis(50);
/// Lines of one write, at most.
const BATCH: usize = 256;

/// Of `follow`.
#[derive(Args, Debug)]
pub struct FollowArgs {
    /// Start after this event (0: from the beginning)
    ///
    /// Default: where the last `follow` of this login stopped; at first, what was not yet delivered to the account.
    /// With --output it counts only while FILE is empty.
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    /// Append to FILE and go on after its last line (with --json)
    ///
    /// Each event is in FILE exactly once, in order, even if this process is killed at any moment and started again.
    #[arg(long, value_name = "FILE", requires = "json")]
    output: Option<PathBuf>,
    /// End when everything there is was printed
    #[arg(long)]
    once: bool,
    /// Do not appear as online
    #[arg(long)]
    invisible: bool,
}

/// Follows.
pub async fn follow(args: FollowArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let session = context.session()?;
    let (sink, cursor, own_place) = start(&args, session).await?;
    let client = context.client.clone();
    let mut asking: Option<Asking> = args.once.then(|| async move { client.consistent_position().await }.boxed());
    let mut target = None;
    if let Some(asked) = &mut asking
        && let Ok(known) = tokio::time::timeout(ALL_IS_KNOWN, asked).await
    {
        (target, asking) = (Some(known?), None);
    }
    let follower = Follower {
        subscription: context.client.subscribe(cursor.clone(), args.invisible)?,
        writer: context.client.writer()?,
        own_place,
        patience: args.once.then_some(options.timeout),
        sink,
        account: session.account,
        printed: cursor.after,
        recovery_id: cursor.recovery_id,
        context,
        invisible: args.invisible,
        at: String::new(),
        asking,
        target,
        caught_up: 0,
        has_told_all: false,
        delivered: 0,
        marked: 0,
        unsaved: false,
        interruption: Interruption::watch()?,
    };
    follower.run().await
}

/// Where to write, and from where on.
async fn start(args: &FollowArgs, session: &Session) -> Result<(Sink, Cursor, Option<OwnPlace>), Failure> {
    let Some(path) = &args.output else {
        let start = session.start();
        let cursor = Cursor { after: args.after.unwrap_or(start.after), ..start };
        return Ok((Sink::Stdout(tokio::io::stdout()), cursor, None));
    };
    let (sink, last) = Sink::file(path).await?;
    // Not the place in the session file, which belongs to standard output: started again, this must lead to the same.
    let after = last.or(args.after).unwrap_or(session.delivered_up_to);
    let place = Place::beside(path);
    // What stands beside an empty file is of one that is gone. A file without it is of an earlier version.
    let written = if last.is_some() { place.read()? } else { None };
    let recovery_id = written.clone().unwrap_or_else(|| session.recovery_id.clone());
    let own_place = OwnPlace { place, written, file: path.clone(), is_begun: last.is_some() };
    Ok((sink, Cursor { after, recovery_id }, Some(own_place)))
}

/// A file as the output is its own cursor, in the history that stands beside it.
struct OwnPlace {
    place: Place,
    /// The history that the file belongs to, as far as that stands beside it.
    written: Option<Vec<u8>>,
    file: PathBuf,
    /// There were lines in it.
    is_begun: bool,
}

impl OwnPlace {
    /// The servers tell in which history they are: written down before the first line of it.
    fn connected(&mut self, recovery_id: &[u8]) -> Result<(), Failure> {
        match &self.written {
            Some(written) if written == recovery_id => Ok(()),
            Some(_) => Err(self.replaced()),
            None => {
                self.place.write(recovery_id)?;
                self.written = Some(recovery_id.to_vec());
                Ok(())
            }
        }
    }

    fn replaced(&self) -> Failure {
        let file = self.file.display();
        let message = format!(
            "the cluster's history was replaced (restored from a backup), and {file} belongs to the one before: follow \
             again with a new file, to have the new one from the beginning"
        );
        Failure::refused(ErrorCode::CursorInvalid, message)
    }
}

/// See [`threefold_client::Client::consistent_position`].
type Asking = BoxFuture<'static, Result<u64, threefold_client::Error>>;

struct Follower {
    context: Context,
    subscription: Subscription,
    writer: Writer,
    sink: Sink,
    own_place: Option<OwnPlace>,
    account: u64,
    /// With `--once`: how long to wait for anything.
    patience: Option<Duration>,
    invisible: bool,
    /// The server that was last told of; empty while another is sought.
    at: String,
    /// With `--once`: how far all is, while that is not known.
    asking: Option<Asking>,
    /// With `--once`: everything up to here is to be printed.
    target: Option<u64>,
    /// How far the server has told everything.
    caught_up: u64,
    /// The server of this subscription has told all it had.
    has_told_all: bool,
    /// Everything up to here is printed and flushed.
    printed: u64,
    recovery_id: Vec<u8>,
    /// The last message printed, and how far the cluster was told.
    delivered: u64,
    marked: u64,
    /// The session file is behind.
    unsaved: bool,
    interruption: Interruption,
}

/// What a batch of news amounts to.
#[derive(Default)]
struct Batch {
    lines: String,
    count: usize,
    printed: u64,
    delivered: u64,
    done: bool,
}

impl Follower {
    async fn run(mut self) -> Result<(), Failure> {
        let result = self.print().await;
        self.save().await?;
        let mut interruption = Interruption::watch()?;
        tokio::select! {
            biased;
            () = interruption.comes() => {}
            () = self.last_mark() => {}
        }
        result
    }

    /// Prints until there is nothing more to come, or the user wishes to end.
    async fn print(&mut self) -> Result<(), Failure> {
        let mut save_at: Option<Instant> = None;
        let mut mark_at: Option<Instant> = None;
        let mut again_at: Option<Instant> = None;
        let mut came_at = Instant::now();
        loop {
            let patience = self.patience.map(|patience| came_at + patience);
            let first = tokio::select! {
                biased;
                () = self.interruption.comes() => return Ok(()),
                () = until(save_at) => {
                    self.save().await?;
                    save_at = None;
                    continue;
                }
                () = until(mark_at) => {
                    self.mark().await;
                    mark_at = None;
                    continue;
                }
                known = all_is_known(&mut self.asking) => {
                    let target = known?;
                    (self.asking, self.target) = (None, Some(target));
                    if self.caught_up >= target {
                        return Ok(());
                    }
                    came_at = Instant::now();
                    again_at = self.has_told_all.then(|| came_at + BEHIND);
                    continue;
                }
                () = until(again_at) => {
                    again_at = None;
                    self.has_told_all = false;
                    let cursor = Cursor { after: self.printed, recovery_id: self.recovery_id.clone() };
                    self.subscription = self.context.client.subscribe(cursor, self.invisible)?;
                    continue;
                }
                incoming = self.subscription.next() => incoming,
                () = until(patience) => return Err(out_of_patience()),
            };
            let Some(first) = first else { return Ok(()) };
            let before = (self.printed, self.caught_up);
            if self.take(first).await? {
                return Ok(());
            }
            let now = Instant::now();
            if before != (self.printed, self.caught_up) {
                came_at = now;
            }
            let is_behind = self.has_told_all && self.target.is_some_and(|target| self.caught_up < target);
            again_at = is_behind.then(|| now + BEHIND);
            if self.unsaved {
                save_at = save_at.or(Some(now + SAVE_EVERY));
            }
            if self.delivered > self.marked {
                mark_at = mark_at.or(Some(now + MARK_EVERY));
            }
        }
    }

    /// Prints `first` and what else is there already. True if that was all there will be.
    async fn take(&mut self, first: Incoming) -> Result<bool, Failure> {
        let mut batch = Batch::default();
        let mut next = Some(first);
        let mut failure = None;
        while let Some(incoming) = next {
            if let Err(error) = self.add(incoming, &mut batch) {
                failure = Some(error);
                break;
            }
            next = if batch.count < BATCH && !batch.done { self.subscription.try_next() } else { None };
        }
        if !batch.lines.is_empty() {
            let too_late = async {
                self.interruption.comes().await;
                tokio::time::sleep(LAST_WRITE).await;
            };
            tokio::select! {
                biased;
                result = self.sink.write(&batch.lines) => result?,
                () = too_late => return Ok(true),
            }
        }
        if let Some(own) = self.own_place.as_mut().filter(|_| !batch.lines.is_empty()) {
            own.is_begun = true;
        }
        if batch.printed > self.printed {
            self.printed = batch.printed;
            self.unsaved = true;
        }
        self.delivered = self.delivered.max(batch.delivered);
        failure.map_or(Ok(batch.done), Err)
    }

    fn add(&mut self, incoming: Incoming, batch: &mut Batch) -> Result<(), Failure> {
        match incoming {
            Incoming::Event(event) => {
                let line = Line::event(&event, self.account);
                let text = if self.context.output.is_json() { Some(json_line(&line)?) } else { line.human() };
                if let Some(text) = text {
                    batch.lines.push_str(&text);
                    batch.lines.push('\n');
                }
                batch.count += 1;
                batch.printed = event.id;
                if let Some(Body::Message(message)) = &event.body {
                    batch.delivered = message.id;
                }
            }
            Incoming::CaughtUp { position } => {
                batch.printed = batch.printed.max(position);
                self.caught_up = self.caught_up.max(position);
                self.has_told_all = true;
                batch.done = self.patience.is_some() && self.target.is_some_and(|target| position >= target);
            }
            Incoming::Connected { server, recovery_id, .. } => {
                if let Some(own) = &mut self.own_place {
                    own.connected(&recovery_id)?;
                }
                self.unsaved |= self.recovery_id != recovery_id;
                self.recovery_id = recovery_id;
                if self.at != server {
                    self.notice(&format!("following at {server}"));
                    self.at = server;
                }
            }
            Incoming::Reconnecting { why } => {
                self.at.clear();
                self.notice(&format!("reconnecting ({why})"));
            }
            Incoming::Condition(condition) => {
                self.notice(&format!("the cluster is {}: {}", condition.state, condition.detail));
            }
            // For scripts: what is not kept is no news.
            Incoming::Typing(_) => {}
            Incoming::Resynchronise => return Err(self.start_over()),
            Incoming::Ended(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// For people, beside the output.
    fn notice(&self, text: &str) {
        if !self.context.output.is_json() {
            // On a terminal that is gone nobody hears it.
            let _ = writeln!(io::stderr(), "threefold: {}", escape(text));
        }
    }

    /// The cluster's history was replaced, so no place in it means anything any more. The login's place is forgotten if it is one in that history: a file may be of an
    /// earlier one.
    fn start_over(&mut self) -> Failure {
        self.unsaved = false;
        self.delivered = self.marked;
        let forgotten = self.context.session().and_then(|session| {
            self.context.file.update(session, |present| {
                if present.recovery_id == self.recovery_id {
                    present.recovery_id = Vec::new();
                    present.cursor = None;
                    present.delivered_up_to = 0;
                    present.position = 0;
                }
            })
        });
        let message = "the cluster's history was replaced (restored from a backup): follow again to see it from the \
                       beginning";
        let replaced = match &self.own_place {
            Some(own) if own.is_begun => own.replaced(),
            Some(_) | None => Failure::refused(ErrorCode::CursorInvalid, message),
        };
        forgotten.err().unwrap_or(replaced)
    }

    async fn save(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.unsaved) || self.context.is_elsewhere().await {
            return Ok(());
        }
        let now = self.context.client.session();
        self.context.file.update(self.context.session()?, |present| {
            if let Some(now) = &now {
                merge(present, now);
            }
            present.recovery_id.clone_from(&self.recovery_id);
            if self.own_place.is_none() {
                present.cursor = present.cursor.max(Some(self.printed));
            }
        })?;
        Ok(())
    }

    /// Tells the cluster what was delivered. Whether it takes it matters little: the next time tells more.
    async fn mark(&mut self) {
        if self.delivered > self.marked {
            self.marked = self.delivered;
            drop(self.writer.mark_delivered(self.delivered).await);
        }
    }

    async fn last_mark(&mut self) {
        if self.delivered > self.marked
            && let Ok(receipt) = self.writer.mark_delivered(self.delivered).await
        {
            // If it is not taken in time, the next login is shown a little again.
            drop(tokio::time::timeout(LAST_MARK, receipt).await);
        }
    }
}

fn out_of_patience() -> Failure {
    threefold_client::Error::Unavailable { cause: "nothing came in time".to_owned(), tried: Vec::new() }.into()
}

async fn all_is_known(asking: &mut Option<Asking>) -> Result<u64, threefold_client::Error> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// For ever if there is no such time.
async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}
