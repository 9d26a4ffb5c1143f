//! The loop: events go in, effects go out, the screen is drawn.

use std::{
    collections::BTreeMap,
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::process::Signal;
use threefold::tui::{keys::Keys, terminal};
use threefold_client::{
    Client, Cursor, Failed, Incoming, Subscription, Writer,
    chat::{WhoAmIReply, write::Operation},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};

use super::{
    ChatArgs, kept, leaving,
    model::{Effect, Event, KeptAs, Model, News, Zone},
    terminal::Screen,
    theme::Theme,
    update::{self, update},
    view::{title, view},
    worker::Worker,
};
use crate::commands::{Failure, context::Context};

/// Between two ticks: what was read is told so often, at most.
const TICK: Duration = Duration::from_secs(1);
/// Between two drawings at least: what comes in a flood is drawn together.
const FRAME: Duration = Duration::from_millis(20);
/// News on their way to the screen.
const NEWS: usize = 256;
/// Events taken in between two drawings, at most, so that a flood does not keep the screen from being drawn.
const AT_ONCE: usize = 1_000;
/// No answer from any server for so long is worth a word.
const PATIENCE: Duration = Duration::from_secs(1);
/// A cluster that does not answer is asked again after this time.
const AGAIN: Duration = Duration::from_secs(1);
/// At the end, the last markers are given so long to be taken.
const FAREWELL: Duration = Duration::from_secs(2);

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Chats until the user, the session or a signal ends it.
pub async fn run(context: &Context, args: &ChatArgs, theme: Theme) -> Result<(), Failure> {
    let session = context.session()?;
    let mut signals = Signals::listen()?;
    let mut model = Model::new(session.account, &session.name, theme, Zone::Local, now_ms());
    (model.mouse, model.bell) = (!args.no_mouse, args.bell);
    let (sender, mut news) = mpsc::channel(NEWS);
    let mut kept = kept::open(context)?;
    kept.tell(&sender);
    let beginning = Beginning::ask(&context.client, args.invisible, sender.clone());
    let worker = Worker::start(context.client.clone(), &kept.writer, kept.is_on_disk, sender);
    if let Some(name) = &args.name {
        update::go_to(&mut model, name);
    }
    let failed = |error: std::io::Error| Failure::usage(format!("cannot use the terminal: {error}"));
    let screen = Screen::take(model.mouse).map_err(failed)?;
    model.size = screen.terminal.size().map(|size| (size.width, size.height)).map_err(failed)?;
    let effects = update(&mut model, Event::Tick(now_ms()));
    let keys = Keys::read().map_err(failed)?;
    let (strikes, told) = (Strikes { writer: kept.writer, under_way: JoinSet::new() }, BTreeMap::new());
    let mut keeper =
        Keeper { model, screen, keys, worker, subscription: None, strikes, told, is_over: false, refused: None };
    keeper.carry_out(effects).map_err(failed)?;
    keeper.keep(beginning, &mut news, &mut signals).await.map_err(failed)?;
    let Keeper { mut model, screen, keys, worker, refused, mut strikes, .. } = keeper;
    drop(screen);
    drop(keys);
    // In time or not, what was told until then counts.
    let _ = tokio::time::timeout(FAREWELL, settle(&mut model, &worker, &mut news, &mut strikes)).await;
    while let Ok(told) = news.try_recv() {
        strikes.take(update(&mut model, Event::News(Box::new(told))));
    }
    // What stays on disk though another has its place would be sent twice.
    let _ = tokio::time::timeout(FAREWELL, strikes.settle()).await;
    match refused {
        Some(refused) => Err(leaving::refused(&model, refused)),
        None => leaving::outcome(&model),
    }
}

/// Waits for the answers to what is on its way, and takes them in.
async fn settle(model: &mut Model, worker: &Worker, news: &mut mpsc::Receiver<News>, strikes: &mut Strikes) {
    loop {
        tokio::select! {
            biased;
            Some(told) = news.recv() => strikes.take(update(model, Event::News(Box::new(told)))),
            () = worker.settle() => return,
        }
    }
}

/// Strikes from the disk what need not be kept any more.
struct Strikes {
    writer: Writer,
    under_way: JoinSet<()>,
}

impl Strikes {
    fn strike(&mut self, told: Vec<Failed>) {
        while self.under_way.try_join_next().is_some() {}
        if told.is_empty() {
            return;
        }
        let writer = self.writer.clone();
        self.under_way.spawn(async move { writer.told(&told).await });
    }

    fn forget(&mut self, kept_as: KeptAs) {
        let number = match kept_as {
            KeptAs::Write(number) => number,
            KeptAs::Draft(draft) => {
                let writer = self.writer.clone();
                self.under_way.spawn(async move { writer.forget_draft(draft).await });
                return;
            }
        };
        let failed = self.writer.failed().borrow().iter().filter(|one| one.number() == number).cloned().collect();
        self.strike(failed);
    }

    /// Of effects that nobody carries out any more, those that are for the disk.
    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Forget(kept_as) = effect {
                self.forget(kept_as);
            }
        }
    }

    /// Until all of it is on disk. May be dropped while it waits.
    async fn settle(&mut self) {
        while self.under_way.join_next().await.is_some() {}
    }
}

/// Finds out where the cluster is now: what comes after is told, what was before is read. Until a server answers, the screen is there without.
struct Beginning {
    begun: oneshot::Receiver<Result<(WhoAmIReply, Subscription), Failure>>,
    /// It was told.
    is_over: bool,
}

impl Beginning {
    /// Asks until somebody answers. Why nobody does is told meanwhile.
    fn ask(client: &Client, invisible: bool, news: mpsc::Sender<News>) -> Self {
        let (told, begun) = oneshot::channel();
        let client = client.clone();
        tokio::spawn(async move {
            let result = answered(&client, &news).await.and_then(|me| {
                let cursor = Cursor { after: me.position, recovery_id: Vec::new() };
                Ok((me, client.subscribe(cursor, invisible)?))
            });
            // Else nobody waits for it any more.
            drop(told.send(result));
        });
        Self { begun, is_over: false }
    }

    /// The first answer. May be dropped while it waits; to be asked only until it was given.
    async fn next(&mut self) -> Result<(WhoAmIReply, Subscription), Failure> {
        let begun = (&mut self.begun).await;
        self.is_over = true;
        begun.unwrap_or_else(|_| Err(Failure::usage("the chat did not begin")))
    }
}

/// Who this is, as soon as a server says so, or refuses to.
async fn answered(client: &Client, news: &mpsc::Sender<News>) -> Result<WhoAmIReply, Failure> {
    loop {
        let mut me = std::pin::pin!(client.who_am_i());
        let answer = tokio::select! {
            biased;
            answer = &mut me => answer,
            () = sleep(PATIENCE) => {
                drop(news.send(News::Reconnecting("no answer so far".to_owned())).await);
                me.await
            }
        };
        match answer.map_err(Failure::from) {
            Err(failure) if failure.is_unavailable() => {
                drop(news.send(News::Reconnecting(failure.message().to_owned())).await);
                sleep(AGAIN).await;
            }
            answer => return answer,
        }
    }
}

struct Keeper {
    model: Model,
    screen: Screen,
    /// Behind the screen: see there.
    keys: Keys,
    worker: Worker,
    /// None as long as no server has answered.
    subscription: Option<Subscription>,
    strikes: Strikes,
    /// What is kept until it has been seen, by its number.
    told: BTreeMap<u64, Failed>,
    is_over: bool,
    /// Why the chat cannot begin.
    refused: Option<Failure>,
}

impl Keeper {
    async fn keep(
        &mut self,
        mut beginning: Beginning,
        news: &mut mpsc::Receiver<News>,
        signals: &mut Signals,
    ) -> std::io::Result<()> {
        // Somebody else may stop this process, too: the terminal is given back first.
        let mut stops = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draw_at: Option<Instant> = Some(Instant::now());
        let mut taken = 0;
        let mut is_told = true;
        while !self.is_over {
            let event = tokio::select! {
                biased;
                () = signals.next() => {
                    update::mark(&mut self.model);
                    let effects = std::mem::take(&mut self.model.effects);
                    self.carry_out(effects)?;
                    return Ok(());
                }
                _ = stops.recv() => {
                    self.carry_out(vec![Effect::Suspend])?;
                    draw_at = Some(Instant::now());
                    continue;
                }
                () = sleep_until(draw_at.unwrap_or_else(Instant::now)), if draw_at.is_some() => {
                    let model = &self.model;
                    self.screen.terminal.draw(|frame| view(frame, model))?;
                    self.screen.set_title(&title(model))?;
                    (draw_at, taken) = (None, 0);
                    self.strike_what_was_seen();
                    continue;
                }
                input = self.keys.next() => match input {
                    Some(input) => Event::Terminal(input?),
                    // The terminal is gone.
                    None => return Ok(()),
                },
                Some(news) = news.recv() => {
                    if let News::KeptNoLonger(told) = &news {
                        self.told.extend(told.iter().map(|one| (one.number(), one.clone())));
                    }
                    Event::News(Box::new(news))
                }
                begun = beginning.next(), if !beginning.is_over => match begun {
                    Ok((me, subscription)) => {
                        self.subscription = Some(subscription);
                        Event::News(Box::new(News::Begun(Box::new(me))))
                    }
                    Err(refused) => {
                        self.refused = Some(refused);
                        return Ok(());
                    }
                },
                incoming = next_of(&mut self.subscription), if is_told => match incoming {
                    Some(incoming) => Event::News(Box::new(told(incoming))),
                    None => {
                        is_told = false;
                        continue;
                    }
                },
                _ = ticks.tick() => Event::Tick(now_ms()),
            };
            if let Event::Terminal(_) = &event {
                self.model.now_ms = now_ms();
            }
            #[cfg(debug_assertions)]
            panic_if_wanted(&event);
            let effects = update(&mut self.model, event);
            self.carry_out(effects)?;
            taken += 1;
            let due = if taken >= AT_ONCE { Instant::now() } else { Instant::now() + FRAME };
            draw_at = Some(draw_at.map_or(due, |at| at.min(due)));
        }
        Ok(())
    }

    /// Once the screen was drawn: what came to nothing, and was in sight or is told elsewhere, need not be kept any more.
    fn strike_what_was_seen(&mut self) {
        update::drawn(&mut self.model);
        self.strikes.take(std::mem::take(&mut self.model.effects));
        let model = &self.model;
        let stays =
            |one: &Failed| matches!(one.operation, Operation::Send(_)) && update::is_unseen(model, one.number());
        let (told, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.told).into_iter().partition(|(_, one)| !stays(one));
        self.told = kept;
        if !told.is_empty() {
            self.strikes.strike(told.into_values().collect());
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> std::io::Result<()> {
        for effect in effects {
            match effect {
                Effect::Quit => self.is_over = true,
                Effect::Forget(kept_as) => self.strikes.forget(kept_as),
                Effect::Bell => {
                    let mut stdout = std::io::stdout();
                    stdout.write_all(b"\x07")?;
                    stdout.flush()?;
                }
                Effect::Copy(text) => self.screen.copy(&text)?,
                // Of a conversation that was opened with a name that cannot be one, nobody needs to hear.
                Effect::Typing(to) => {
                    if let Some(subscription) = &self.subscription {
                        drop(subscription.typing().tell(to));
                    }
                }
                Effect::Redraw => self.screen.redraw()?,
                Effect::Mouse(on) => self.screen.set_mouse(on)?,
                Effect::Suspend if !terminal::may_stop() => self.model.complain(terminal::NO_SHELL),
                Effect::Suspend => {
                    self.screen.suspend()?;
                    self.model.size = self.screen.terminal.size().map(|size| (size.width, size.height))?;
                }
                other => self.worker.carry_out(other),
            }
        }
        Ok(())
    }
}

/// A test sees what a panic leaves behind: the variable says where F12 makes one. No release has it.
#[cfg(debug_assertions)]
#[allow(clippy::panic, reason = "that is what it is for")]
fn panic_if_wanted(event: &Event) {
    use crossterm::event::{Event as Input, KeyCode};
    let is_wanted = matches!(event, Event::Terminal(Input::Key(key)) if key.code == KeyCode::F(12));
    match std::env::var("THREEFOLD_TEST_PANIC").as_deref() {
        Ok("loop") if is_wanted => panic!("a test wants it"),
        Ok("task") if is_wanted => drop(tokio::spawn(async { panic!("a test wants it") })),
        Ok("thread") if is_wanted => drop(std::thread::spawn(|| panic!("a test wants it"))),
        _ => {}
    }
}

/// What comes next; nothing before there is a subscription.
async fn next_of(subscription: &mut Option<Subscription>) -> Option<Incoming> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

fn told(incoming: Incoming) -> News {
    match incoming {
        Incoming::Connected { server, .. } => News::Connected(server),
        Incoming::Reconnecting { why } => News::Reconnecting(why),
        Incoming::Event(event) => News::Event(event),
        Incoming::CaughtUp { .. } => News::CaughtUp,
        Incoming::Typing(notice) => News::Typing(notice),
        Incoming::Condition(condition) => News::Condition(condition),
        Incoming::Resynchronise => News::Resynchronised,
        Incoming::Ended(error) => News::Ended(Failure::from(error).message().to_owned()),
    }
}

/// Whoever started us wishes us to end.
struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::usage(format!("cannot watch for signals: {error}"));
        let watch = |kind| signal(kind).map_err(failed);
        Ok(Self([watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?, watch(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use threefold_client::{DiskOutbox, LeftBehind, fake::FakeCluster};

    use super::*;

    #[tokio::test]
    async fn what_is_given_up_at_the_very_end_is_struck_from_the_disk() {
        let cluster = FakeCluster::in_memory(1);
        let session = cluster.client().register("alice", "correct horse", "chat").await.unwrap();
        let client = cluster.client().with_session(session.clone()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let writer = client.writer_with(DiskOutbox::open(&path, &session).unwrap()).unwrap();
        for text in ["one", "two"] {
            writer.send("nobody", text).await.unwrap().await.unwrap_err();
        }
        let failed = writer.failed().wait_for(|failed| failed.len() == 2).await.unwrap().clone();
        let mut strikes = Strikes { writer, under_way: JoinSet::new() };
        strikes.take(vec![Effect::Bell, Effect::Forget(KeptAs::Write(failed[0].number()))]);
        strikes.settle().await;
        // As the next chat finds it.
        let copy = directory.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        let left = DiskOutbox::left(&copy).unwrap().unwrap();
        assert_eq!(left.writes.iter().map(LeftBehind::text).collect::<Vec<_>>(), [Some("two")]);
    }
}
