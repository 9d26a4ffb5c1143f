//! The loop: events go in, effects go out, the screen is drawn.

use std::{
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::process::Signal;
use threefold::tui::{keys::Keys, terminal};
use threefold_client::{Cursor, Failed, Incoming, Subscription, Typing, Writer};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    ChatArgs, kept,
    model::{Effect, Event, Model, News, Pending, PendingState, Zone},
    terminal::Screen,
    theme::Theme,
    update::{self, update},
    view::view,
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
    model.mouse = !args.no_mouse;
    // Where the cluster is now: what comes after is told, what was before is read.
    let me = tokio::select! {
        biased;
        () = signals.next() => return Ok(()),
        me = context.client.who_am_i() => me?,
    };
    model.account = me.account;
    let cursor = Cursor { after: me.position, recovery_id: Vec::new() };
    let mut subscription = context.client.subscribe(cursor, args.invisible)?;
    let (sender, mut news) = mpsc::channel(NEWS);
    let mut kept = kept::open(context)?;
    model.is_kept = kept.is_on_disk;
    kept.tell(&sender);
    let worker = Worker::start(context.client.clone(), &kept.writer, sender);
    worker.carry_out(Effect::ListInvitations);
    worker.carry_out(Effect::LoadOnline);
    if let Some(name) = &args.name {
        update::go_to(&mut model, name);
    }
    let failed = |error: std::io::Error| Failure::usage(format!("cannot use the terminal: {error}"));
    let screen = Screen::take(model.mouse).map_err(failed)?;
    model.size = screen.terminal.size().map(|size| (size.width, size.height)).map_err(failed)?;
    let effects = update(&mut model, Event::Tick(now_ms()));
    let keys = Keys::read().map_err(failed)?;
    let typing = subscription.typing();
    let mut keeper =
        Keeper { model, screen, keys, worker, typing, writer: kept.writer, told: Vec::new(), is_over: false };
    keeper.carry_out(effects).map_err(failed)?;
    keeper.keep(&mut subscription, &mut news, &mut signals).await.map_err(failed)?;
    let Keeper { mut model, screen, keys, worker, .. } = keeper;
    drop(screen);
    drop(keys);
    // In time or not, what was told until then counts.
    let _ = tokio::time::timeout(FAREWELL, settle(&mut model, &worker, &mut news)).await;
    while let Ok(told) = news.try_recv() {
        update(&mut model, Event::News(Box::new(told)));
    }
    outcome(&model)
}

/// Waits for the answers to what is on its way, and takes them in.
async fn settle(model: &mut Model, worker: &Worker, news: &mut mpsc::Receiver<News>) {
    loop {
        tokio::select! {
            biased;
            Some(told) = news.recv() => drop(update(model, Event::News(Box::new(told)))),
            () = worker.settle() => return,
        }
    }
}

/// What is to be said at the end, when nobody sees the screen any more.
pub fn outcome(model: &Model) -> Result<(), Failure> {
    if let Some(why) = &model.over {
        return Err(Failure::declined(why.clone()));
    }
    let refused: Vec<&String> = model
        .outbox
        .iter()
        .filter_map(|pending| match &pending.state {
            PendingState::Failed(why) => Some(why),
            PendingState::Waiting | PendingState::Uploading(..) | PendingState::Unknown(_) => None,
        })
        .collect();
    let is_waiting = |pending: &&Pending| matches!(pending.state, PendingState::Waiting);
    let waiting = model.outbox.iter().filter(is_waiting).count();
    match (model.outbox.len() - refused.len(), &refused[..]) {
        (left, _) if model.is_kept && left > 0 && left == waiting => Err(Failure::unavailable(format!(
            "{} not acknowledged: {} kept, and the next `threefold chat` of this login sends {}",
            if left == 1 { "a message was".to_owned() } else { format!("{left} messages were") },
            if left == 1 { "it is" } else { "they are" },
            if left == 1 { "it" } else { "them" },
        ))),
        (0, []) => Ok(()),
        (0, [why]) => Err(Failure::declined(format!("a message was not sent: {why}"))),
        (0, [.., why]) => Err(Failure::declined(format!("{} messages were not sent: {why}", refused.len()))),
        (1, _) => Err(Failure::unavailable(
            "a message was not acknowledged: see with `threefold messages` whether it was sent",
        )),
        (more, _) => Err(Failure::unavailable(format!(
            "{more} messages were not acknowledged: see with `threefold messages` which were sent"
        ))),
    }
}

struct Keeper {
    model: Model,
    screen: Screen,
    /// Behind the screen: see there.
    keys: Keys,
    worker: Worker,
    typing: Typing,
    writer: Writer,
    /// What is kept until this has been drawn.
    told: Vec<Failed>,
    is_over: bool,
}

impl Keeper {
    async fn keep(
        &mut self,
        subscription: &mut Subscription,
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
                    (draw_at, taken) = (None, 0);
                    if !self.told.is_empty() {
                        let (writer, told) = (self.writer.clone(), std::mem::take(&mut self.told));
                        tokio::spawn(async move { writer.told(&told).await });
                    }
                    continue;
                }
                input = self.keys.next() => match input {
                    Some(input) => Event::Terminal(input?),
                    // The terminal is gone.
                    None => return Ok(()),
                },
                Some(news) = news.recv() => {
                    if let News::KeptNoLonger(told) = &news {
                        self.told.extend(told.iter().cloned());
                    }
                    Event::News(Box::new(news))
                }
                incoming = subscription.next(), if is_told => match incoming {
                    Some(incoming) => Event::News(Box::new(told(incoming))),
                    None => {
                        is_told = false;
                        continue;
                    }
                },
                _ = ticks.tick() => Event::Tick(now_ms()),
            };
            if let Event::Terminal(_) = event {
                self.model.now_ms = now_ms();
            }
            let effects = update(&mut self.model, event);
            self.carry_out(effects)?;
            taken += 1;
            let due = if taken >= AT_ONCE { Instant::now() } else { Instant::now() + FRAME };
            draw_at = Some(draw_at.map_or(due, |at| at.min(due)));
        }
        Ok(())
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> std::io::Result<()> {
        for effect in effects {
            match effect {
                Effect::Quit => self.is_over = true,
                Effect::Forget(number) => {
                    let writer = self.writer.clone();
                    let failed: Vec<Failed> =
                        writer.failed().borrow().iter().filter(|one| one.number() == number).cloned().collect();
                    tokio::spawn(async move { writer.told(&failed).await });
                }
                Effect::Bell => {
                    let mut stdout = std::io::stdout();
                    stdout.write_all(b"\x07")?;
                    stdout.flush()?;
                }
                // Of a conversation that was opened with a name that cannot be one, nobody needs to hear.
                Effect::Typing(to) => drop(self.typing.tell(to)),
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
