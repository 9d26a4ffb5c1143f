//! Keeps the servers of one cluster: starts them, notices what happens to them, stops them.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use futures::future::{join_all, select_all};
use threefold_client::{Client, Options, chat::ClusterStatus};
use tokio::time::{Instant, sleep_until};

use super::{
    control::{Control, Deed, Order, Refusal},
    layout::{ClusterFile, Layout, ServerPlan},
    live::{self, Live},
    process::{self, ServerProcess},
    report::{self, Event},
    table::Wish,
    watch::{Change, Watch, formed, leader_of, settled},
};
use crate::{
    exit::Failure,
    serve::Signals,
    tui::{
        signals::{TerminalSignal, TerminalSignals},
        terminal,
    },
};

/// Between two looks at the cluster: quick to a person, nothing to a server.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// A look that gets no answer in this time is given up.
const LOOK_PATIENCE: Duration = Duration::from_millis(1500);
/// A cluster that is not complete after this says what it waits for, and again after each further one.
const FORMATION_PATIENCE: Duration = Duration::from_secs(10);
/// A server has this long to stop in order.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Before the first restart of a server; doubled for each that follows soon.
const RESTART_MIN: Duration = Duration::from_millis(500);
/// The longest wait before a restart: a server that cannot start is not worth more.
const RESTART_MAX: Duration = Duration::from_secs(15);
/// A server that ran this long has proven itself, and its wait begins anew.
const PROVEN_AFTER: Duration = Duration::from_secs(30);

/// How it is said what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// A line each.
    Lines,
    /// A JSON object a line.
    Json,
    /// Nothing is said: the terminal takes nothing, and whoever wrote to it would wait for it.
    Silence,
    /// On a live table; before it is there and after it has gone, a line each.
    Table,
}

/// One server and what became of it.
pub(super) struct Slot {
    pub(super) plan: ServerPlan,
    pub(super) process: Option<ServerProcess>,
    pub(super) started: Instant,
    /// The wait before its next restart.
    wait: Duration,
    restart_at: Option<Instant>,
}

/// The servers and the eyes on them.
pub(super) struct Supervisor {
    executable: PathBuf,
    layout: Layout,
    cluster: ClusterFile,
    slots: Vec<Slot>,
    control: Control,
    restart: bool,
    voice: Voice,
    /// The table, while it is there.
    live: Option<Live>,
    client: Client,
    watch: Watch,
    /// When the cluster was seen complete; until then, when the next word about it is due.
    complete: Result<(), Instant>,
    /// The cluster goes on although it is not complete; the words say what it lacked when that was last told.
    goes_on: Option<String>,
    /// Some server has answered, or was killed at somebody's wish before it could.
    could_start: bool,
}

impl Supervisor {
    pub(super) fn new(
        executable: PathBuf,
        layout: Layout,
        cluster: ClusterFile,
        plans: Vec<ServerPlan>,
        control: Control,
        restart: bool,
        voice: Voice,
    ) -> Result<Self, Failure> {
        let servers = plans.iter().map(|plan| format!("http://{}", plan.client)).collect();
        let options = Options { timeout: LOOK_PATIENCE, attempt_timeout: LOOK_PATIENCE, ..Options::new(servers) };
        let client = Client::new(options).map_err(|error| Failure::Refused(error.to_string()))?;
        let now = Instant::now();
        let slot = |plan| Slot { plan, process: None, started: now, wait: RESTART_MIN, restart_at: None };
        Ok(Self {
            executable,
            layout,
            cluster,
            slots: plans.into_iter().map(slot).collect(),
            control,
            restart,
            voice,
            live: None,
            client,
            watch: Watch::default(),
            complete: Err(now + FORMATION_PATIENCE),
            goes_on: None,
            could_start: false,
        })
    }

    /// Starts all servers and keeps them until a signal.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        // What may fail does so before there are servers, and before the terminal is taken.
        let mut terminal = if self.voice == Voice::Table {
            let failed = |error| Failure::Refused(format!("cannot listen for signals: {error}"));
            TerminalSignals::listen().map_err(failed)?
        } else {
            TerminalSignals::default()
        };
        let data_dir = self.slots.first().and_then(|slot| slot.plan.data.parent()).unwrap_or(Path::new("."));
        let data_dir = data_dir.display().to_string();
        self.say(&Event::Starting { servers: self.slots.len(), data_dir: data_dir.clone() });
        for place in 0..self.slots.len() {
            self.start(place)?;
        }
        if self.voice == Voice::Table {
            // A terminal that cannot be used gets lines.
            self.live = Live::take(&data_dir, &self.slots).ok();
        }
        let result = self.keep(&mut signals, &mut terminal).await;
        self.leave_table(result.is_err());
        self.stop().await;
        result
    }

    async fn keep(&mut self, signals: &mut Signals, terminal: &mut TerminalSignals) -> Result<(), Failure> {
        let mut look = Box::pin(look(self.client.clone(), Instant::now()));
        loop {
            self.draw();
            let restart_at = self.slots.iter().filter_map(|slot| slot.restart_at).min();
            // That a server has died is told before what followed from it.
            let next_look = tokio::select! {
                biased;
                _ = signals.next() => return Ok(()),
                signal = terminal.next() => match signal {
                    TerminalSignal::HangUp => return Ok(()),
                    TerminalSignal::HangUpIgnored => {
                        self.leave_table(false);
                        continue;
                    }
                    TerminalSignal::Stop => {
                        self.suspend();
                        continue;
                    }
                    TerminalSignal::GoesOn => {
                        self.on_terminal(Live::goes_on);
                        continue;
                    }
                },
                (place, status) = any_end(&mut self.slots) => {
                    self.died(place, status)?;
                    Instant::now()
                }
                () = sleep_until(restart_at.unwrap_or_else(Instant::now)), if restart_at.is_some() => {
                    self.start_due();
                    Instant::now()
                }
                order = self.control.next() => {
                    self.obey(order);
                    Instant::now()
                }
                (began, status) = &mut look => {
                    self.look(status.as_ref())?;
                    began + LOOK_EVERY
                }
                wish = live::wish(&mut self.live) => match wish {
                    Some(Wish::Quit) => return Ok(()),
                    Some(wish) => {
                        self.grant(wish);
                        Instant::now()
                    }
                    None => continue,
                },
            };
            // A look that began before something happened knows nothing of it, and would tell what is no longer so.
            look = Box::pin(self::look(self.client.clone(), next_look));
        }
    }

    fn start(&mut self, place: usize) -> Result<(), Failure> {
        // The first server founds the cluster, but only as long as nobody ever has: a first server that comes back
        // with an empty directory must ask the others for its place.
        let bootstrap = place == 0 && !self.cluster.bootstrapped;
        let slot = &mut self.slots[place];
        slot.started = Instant::now();
        let process = ServerProcess::start(&self.executable, &slot.plan, bootstrap)
            .map_err(|error| Failure::Refused(format!("cannot start {}: {error}", slot.plan.name)))?;
        slot.process = Some(process);
        slot.restart_at = None;
        Ok(())
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for place in 0..self.slots.len() {
            if self.slots[place].restart_at.is_none_or(|at| at > now) {
                continue;
            }
            match self.start(place) {
                Ok(()) => self.restarted(place),
                Err(why) => {
                    self.slots[place].restart_at = Some(now + RESTART_MAX);
                    self.say(&Event::Waiting { detail: why.to_string() });
                }
            }
        }
    }

    fn restarted(&mut self, place: usize) {
        let slot = &self.slots[place];
        let pid = slot.process.as_ref().and_then(ServerProcess::id).unwrap_or_default();
        let server = slot.plan.name.clone();
        self.say(&Event::Restarted { server, pid });
    }

    /// Does what somebody at the table wants.
    fn grant(&mut self, wish: Wish) {
        let (names, deed) = match wish {
            Wish::Kill(name) => (vec![name], Deed::Kill),
            Wish::Start(names) => (names, Deed::Start),
            Wish::Redraw => {
                return self.on_terminal(|live| {
                    live.redraw();
                    Ok(())
                });
            }
            Wish::Suspend => return self.suspend(),
            Wish::Quit => return,
        };
        for name in names {
            let outcome = match self.slots.iter().position(|slot| slot.plan.name == name) {
                Some(place) => self.carry_out(place, deed),
                None => Err(format!("{name} is not run by this `threefold up`")),
            };
            if let (Err(why), Some(live)) = (outcome, &mut self.live) {
                live.table().remark(&why);
            }
        }
    }

    fn draw(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        self.on_terminal(|live| live.draw(&slots));
        self.slots = slots;
    }

    /// A terminal that is gone is no reason to take the cluster down: what happens from then on is told in lines.
    fn on_terminal(&mut self, act: impl FnOnce(&mut Live) -> std::io::Result<()>) {
        if self.live.as_mut().is_some_and(|live| act(live).is_err()) {
            self.leave_table(false);
        }
    }

    /// Stops this process until it is to go on, with the terminal given back meanwhile.
    fn suspend(&mut self) {
        match self.live {
            Some(_) => self.on_terminal(Live::suspend),
            // What cannot be stopped goes on.
            None => drop(terminal::stop_job()),
        }
    }

    /// Gives the terminal back. Where the cluster ends by a failure, what was told on it is told again in lines.
    fn leave_table(&mut self, is_failure: bool) {
        match self.live.take().map(Live::leave) {
            Some(Some(told)) if is_failure => report::again(&told),
            Some(None) => self.voice = Voice::Silence,
            Some(Some(_)) | None => {}
        }
    }

    /// Does what the page asks for.
    fn obey(&mut self, order: Order) {
        let outcome = match self.slots.iter().position(|slot| slot.plan.name == order.server) {
            Some(place) => self.carry_out(place, order.deed).map_err(Refusal::Conflict),
            None => Err(Refusal::Unknown),
        };
        // Who asked may have gone.
        let _ = order.done.send(outcome);
    }

    fn carry_out(&mut self, place: usize, deed: Deed) -> Result<(), String> {
        let name = self.slots[place].plan.name.clone();
        match (deed, &mut self.slots[place].process) {
            // Its end is noticed like any other.
            (Deed::Kill, Some(process)) => {
                self.could_start = true;
                process.strike().map_err(|error| format!("cannot kill {name}: {error}"))
            }
            (Deed::Kill, None) => {
                Err(format!("{name} is not run by this `threefold up`: it is dead, or was started by hand"))
            }
            (Deed::Start, Some(_)) => Err(format!("{name} runs")),
            (Deed::Start, None) => {
                self.start(place).map_err(|why| why.to_string())?;
                self.restarted(place);
                Ok(())
            }
        }
    }

    /// A server's process has ended.
    fn died(&mut self, place: usize, status: std::io::Result<ExitStatus>) -> Result<(), Failure> {
        let now = Instant::now();
        let slot = &mut self.slots[place];
        slot.process = None;
        if self.restart {
            if now.duration_since(slot.started) >= PROVEN_AFTER {
                slot.wait = RESTART_MIN;
            }
            slot.restart_at = Some(now + slot.wait);
            slot.wait = (slot.wait * 2).min(RESTART_MAX);
        }
        let by_itself = status.as_ref().is_ok_and(|status| status.code().is_some());
        let event = Event::Died {
            server: slot.plan.name.clone(),
            ending: status.map_or_else(|error| error.to_string(), process::ending),
            said: by_itself.then(|| process::last_words(&slot.plan.log)).flatten(),
            command: (!self.restart)
                .then(|| format!("{} serve --config {}", shown(&self.executable), shown(&slot.plan.config))),
        };
        self.watch.died(&self.slots[place].plan.name);
        self.say(&event);
        let none_left = self.slots.iter().all(|slot| slot.process.is_none() && slot.restart_at.is_none());
        if none_left && self.complete.is_err() && !self.could_start {
            let logs = self.slots[place].plan.log.parent().unwrap_or(Path::new(".")).display().to_string();
            return Err(Failure::Refused(format!("no server could start; their logs are in {logs}")));
        }
        Ok(())
    }

    /// Takes a look at the cluster; none where no server answered.
    fn look(&mut self, status: Option<&ClusterStatus>) -> Result<(), Failure> {
        if !self.cluster.bootstrapped && status.and_then(leader_of).is_some() {
            self.cluster.bootstrapped = true;
            self.layout.save(&self.cluster)?;
        }
        if let Some(live) = &mut self.live {
            live.table().look(status);
        }
        self.could_start |= status.is_some();
        let changes = self.watch.look(status);
        if self.complete.is_ok() || self.goes_on.is_some() {
            for change in changes {
                self.say(&event(change));
            }
        }
        let Err(word_due) = self.complete else { return Ok(()) };
        let now = Instant::now();
        match status {
            // Who hears that it has started may kill a server at once. What keeps it from settling is told after a while, and waited for no longer.
            Some(status) if formed(status, self.slots.len()) && (settled(status) || now >= word_due) => {
                if !settled(status) {
                    self.say(&Event::Waiting { detail: status.detail.clone() });
                }
                self.complete = Ok(());
                let page = self.slots.first().map_or(String::new(), |slot| format!("http://{}/", slot.plan.client));
                self.say(&Event::Started { servers: report::rows(status), page });
            }
            _ if now >= word_due => {
                self.complete = Err(now + FORMATION_PATIENCE);
                let detail = status.map_or("no server answers yet", |status| status.detail.as_str()).to_owned();
                self.still_waiting(detail, status.and_then(leader_of).map(|leader| leader.name.clone()));
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    /// The cluster is not complete after a while. Where somebody leads, it goes on all the same (a server may have been removed from it), and what
    /// happens from then on is told; what it lacks is told again when that is something else.
    fn still_waiting(&mut self, detail: String, leader: Option<String>) {
        if self.goes_on.as_ref() == Some(&detail) {
            return;
        }
        self.say(&Event::Waiting { detail: detail.clone() });
        let Some(server) = leader else { return };
        if self.goes_on.replace(detail).is_none() {
            self.say(&Event::Leads { server });
            if let Some(live) = &mut self.live {
                live.table().goes_on();
            }
        }
    }

    async fn stop(&mut self) {
        self.say(&Event::Stopping);
        let running = self.slots.iter_mut().filter_map(|slot| slot.process.as_mut());
        for result in join_all(running.map(|process| process.stop(STOP_PATIENCE))).await {
            if let Err(error) = result {
                self.say(&Event::Waiting { detail: format!("a server could not be stopped: {error}") });
            }
        }
        self.say(&Event::Stopped);
    }

    fn say(&mut self, event: &Event) {
        match &mut self.live {
            Some(live) => live.tell(event),
            None if self.voice == Voice::Silence => {}
            None => report::report(event, self.voice == Voice::Json),
        }
    }
}

/// The next server that ends; never, if none runs. May be dropped while it waits.
async fn any_end(slots: &mut [Slot]) -> (usize, std::io::Result<ExitStatus>) {
    let ends = slots.iter_mut().enumerate().filter_map(|(place, slot)| {
        let process = slot.process.as_mut()?;
        Some(Box::pin(async move { (place, process.wait().await) }))
    });
    let ends: Vec<_> = ends.collect();
    if ends.is_empty() {
        return std::future::pending().await;
    }
    select_all(ends).await.0
}

/// One look at the cluster, not before that time: when it began, and what was seen.
async fn look(client: Client, due: Instant) -> (Instant, Option<ClusterStatus>) {
    sleep_until(due).await;
    (Instant::now(), client.status().await.ok())
}

fn event(change: Change) -> Event {
    match change {
        Change::Leads(server) => Event::Leads { server },
        Change::Returned(server) => Event::Returned { server },
        Change::Silent(server) => Event::Silent { server },
        Change::Stuck(detail) => Event::Unavailable { detail },
        Change::Unstuck => Event::Available,
    }
}

/// A path as one can type it into a shell.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '/' | '.' | '-' | '_' | '+' | ',');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests;
