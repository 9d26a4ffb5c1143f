//! `up` on a terminal: the cluster as a small live table.
//!
//! What is seen is one value (`Table`): the looks at the cluster, what processes do and keys go in, `view` draws it. Pure, and so tested
//! without a terminal, without a cluster and without a clock. `live.rs`, beside this, brings it together with the terminal.
//!
//! Promises: no row is longer than the terminal is wide, whatever a server says; what is known of the process (it is dead) counts more than
//! what another server has last heard of it. Left out: any data of its own. What it shows is in the answer that `threefold status` prints.

mod keys;
#[cfg(test)]
mod tests;
mod view;

use std::{collections::VecDeque, time::Instant};

use crossterm::event::KeyCode;
pub(super) use keys::Wish;
use threefold_client::chat::{ClusterStatus, ServerStatus};
pub(super) use view::view;

use super::{
    report::{self, Event},
    watch::leader_of,
};
use crate::tui::{figures::term, text::one_line, theme::Theme};

/// What happened is remembered so far back: more than any screen has rows.
const REMEMBERED: usize = 200;
/// So many entries behind is more than being on the way.
const BEHIND: u64 = 50;
/// A server that runs for less time than this and does not answer is starting.
const STARTING_MS: u64 = 10_000;
/// A remark about a key stays for so many looks.
const REMARK_LOOKS: u32 = 12;

/// What `up` knows of a server's process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Process {
    /// None of this `up`: it was started by hand, or on another machine.
    #[default]
    NotOurs,
    /// It runs.
    Running {
        pid: u32,
        /// Of the machine's memory, where the system tells.
        memory_bytes: Option<u64>,
        for_ms: u64,
    },
    /// It has ended.
    Dead,
}

/// How good or bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Lead,
    Warning,
    Bad,
}

/// One server.
#[derive(Clone, Debug)]
struct Server {
    name: String,
    address: String,
    process: Process,
    /// The process that has ended last: what others have heard of that one is old.
    dead_pid: Option<u32>,
    /// As a server tells of it.
    status: Option<ServerStatus>,
    /// Where it was when it began to catch up.
    behind_since: Option<u64>,
}

impl Server {
    fn new(name: String, address: String) -> Self {
        Self { name, address, process: Process::NotOurs, dead_pid: None, status: None, behind_since: None }
    }

    /// What it says, if it is up.
    fn up(&self) -> Option<&ServerStatus> {
        self.status.as_ref().filter(|status| status.role != "down" && Some(status.pid) != self.dead_pid)
    }

    fn is_dead(&self) -> bool {
        self.process == Process::Dead && self.up().is_none()
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
struct Happening {
    at: String,
    tone: Tone,
    words: String,
}

/// What is seen.
#[derive(Clone, Debug)]
pub(super) struct Table {
    theme: Theme,
    /// The time of day.
    clock: String,
    data_dir: String,
    page: String,
    /// How to reach the cluster from the command line, beyond the command.
    servers_option: String,
    servers: Vec<Server>,
    /// In words, with the reason; none where no server answers.
    state: Option<(String, String)>,
    /// All servers were up once, or are not waited for any more.
    is_formed: bool,
    /// The newest first.
    happened: VecDeque<Happening>,
    chosen: usize,
    /// The key that was pressed last, and when.
    last_key: Option<(KeyCode, Instant)>,
    /// About the last key, and for how many more looks.
    remark: Option<(String, u32)>,
}

impl Table {
    /// Of these servers (name, client address), which are kept in this directory.
    pub(super) fn new(theme: Theme, data_dir: &str, servers: impl Iterator<Item = (String, String)>) -> Self {
        let servers: Vec<Server> = servers.map(|(name, address)| Server::new(name, address)).collect();
        let first = servers.first().map(|server| server.address.as_str()).unwrap_or_default();
        let usual = first.ends_with(&format!(":{}", super::DEFAULT_PORT));
        Self {
            theme,
            clock: String::new(),
            data_dir: one_line(data_dir),
            page: format!("http://{first}/"),
            // The others are learned from it.
            servers_option: if usual { String::new() } else { format!(" --servers {first}") },
            servers,
            state: None,
            is_formed: false,
            happened: VecDeque::new(),
            chosen: 0,
            last_key: None,
            remark: None,
        }
    }

    /// What time it is.
    pub(super) fn set_clock(&mut self, clock: String) {
        self.clock = clock;
    }

    /// What became of the processes of `up`'s servers, in their order.
    pub(super) fn observe(&mut self, processes: impl IntoIterator<Item = Process>) {
        for (server, process) in self.servers.iter_mut().zip(processes) {
            match (&server.process, &process) {
                (Process::Running { pid, .. }, Process::Dead) => server.dead_pid = Some(*pid),
                (_, Process::Running { .. }) => server.dead_pid = None,
                _ => {}
            }
            server.process = process;
        }
    }

    /// Takes one look at the cluster; none where no server answered.
    pub(super) fn look(&mut self, status: Option<&ClusterStatus>) {
        self.remark = self.remark.take().and_then(|(words, left)| Some((words, left.checked_sub(1)?)));
        let Some(status) = status else {
            self.state = None;
            self.servers.iter_mut().for_each(|server| server.status = None);
            return;
        };
        self.tell_changes(status);
        self.state = Some((one_line(&status.state), one_line(&status.detail)));
        for server in &mut self.servers {
            server.status = None;
        }
        for seen in &status.servers {
            let known = self.servers.iter_mut().find(|server| server.name == seen.name);
            let server = match known {
                Some(server) => server,
                None => {
                    let address = one_line(&seen.client_address);
                    self.servers.push(Server::new(seen.name.clone(), address));
                    let Some(new) = self.servers.last_mut() else { continue };
                    new
                }
            };
            server.status = Some(seen.clone());
        }
        let (committed, survivor_mode) = (self.committed(), self.has_survivor_mode());
        for server in &mut self.servers {
            let applied = server.up().filter(|up| is_behind(up, committed, survivor_mode)).map(|up| up.applied_index);
            server.behind_since = applied.map(|applied| server.behind_since.unwrap_or(applied).min(applied));
        }
    }

    /// The changes that only the cluster knows, and that are no events of `up`.
    fn tell_changes(&mut self, now: &ClusterStatus) {
        let mut told = Vec::new();
        // That survivor mode begins, or pauses, the state says for all of them.
        let was_kept = self.has_survivor_mode() && now.servers.iter().any(|seen| seen.in_sync);
        for seen in now.servers.iter().filter(|seen| was_kept && seen.role != "down") {
            let Some(before) = self.servers.iter().find(|server| server.name == seen.name).and_then(Server::up) else {
                continue;
            };
            let name = one_line(&seen.name);
            match (before.in_sync, seen.in_sync) {
                (false, true) => told.push((Tone::Good, format!("{name} is in sync"))),
                (true, false) => told.push((Tone::Warning, format!("{name} is not in sync any more"))),
                _ => {}
            }
        }
        // While the cluster is formed, that it is not complete is no news.
        let before = self.state.as_ref().map(|(state, _)| state.as_str());
        if self.is_formed && before != Some(now.state.as_str()) {
            let detail = if now.detail.is_empty() { String::new() } else { format!(": {}", now.detail) };
            told.push((tone_of(&now.state), one_line(&format!("the cluster is {}{detail}", now.state))));
        }
        for (tone, words) in told {
            self.happened(tone, words);
        }
    }

    /// Something happened that `up` tells, too, where it prints lines.
    pub(super) fn tell(&mut self, event: &Event) {
        let tone = match event {
            // What the state in words says already, with more of it.
            Event::Unavailable { .. } | Event::Available if self.state.is_some() => return,
            Event::Starting { .. } | Event::Stopping | Event::Stopped => Tone::Plain,
            Event::Waiting { .. } | Event::Silent { .. } | Event::Restarted { .. } => Tone::Warning,
            Event::Died { .. } | Event::Unavailable { .. } => Tone::Bad,
            Event::Returned { .. } | Event::Available => Tone::Good,
            Event::Leads { .. } => Tone::Lead,
            Event::Started { .. } => {
                self.is_formed = true;
                Tone::Good
            }
        };
        let words = match event {
            Event::Started { servers, .. } => format!("the cluster is complete: {} servers", servers.len()),
            Event::Leads { server } => {
                let in_term =
                    self.servers.iter().find(|one| one.name == *server).and_then(Server::up).map(|up| up.term);
                format!(
                    "{server} leads now{}",
                    in_term.map_or(String::new(), |in_term| format!(", in term {}", term(in_term)))
                )
            }
            other => report::in_words(other).lines().next().unwrap_or_default().to_owned(),
        };
        self.happened(tone, one_line(&words));
    }

    /// Not all servers are part of the cluster, and it goes on without them: from now on its condition is told as it is.
    pub(super) fn goes_on(&mut self) {
        self.is_formed = true;
    }

    fn happened(&mut self, tone: Tone, words: String) {
        self.happened.push_front(Happening { at: self.clock.clone(), tone, words });
        self.happened.truncate(REMEMBERED);
    }

    /// Says something about a key that was pressed.
    pub(super) fn remark(&mut self, words: &str) {
        self.remark = Some((one_line(words), REMARK_LOOKS));
    }

    /// What was told, the oldest first.
    pub(super) fn told(&self) -> impl Iterator<Item = &str> {
        self.happened.iter().rev().map(|happening| happening.words.as_str())
    }

    /// The furthest that the log is known to be committed.
    fn committed(&self) -> u64 {
        self.servers.iter().filter_map(Server::up).map(|up| up.committed_index).max().unwrap_or(0)
    }

    /// Whether the last of three may go on alone; then each server is in sync, or is not.
    fn has_survivor_mode(&self) -> bool {
        self.servers.iter().filter_map(|server| server.status.as_ref()).any(|status| status.in_sync)
    }

    /// Who leads, by its place.
    fn leader(&self) -> Option<usize> {
        let up = self.servers.iter().filter_map(Server::up).cloned().collect();
        let leader = leader_of(&ClusterStatus { servers: up, ..ClusterStatus::default() })?.name.clone();
        self.servers.iter().position(|server| server.name == leader)
    }

    /// What a server is at the moment, in a word.
    fn standing(&self, server: &Server) -> (&'static str, Tone) {
        let Some(up) = server.up() else {
            return match &server.process {
                Process::Dead => ("dead", Tone::Bad),
                Process::Running { for_ms, .. } if *for_ms < STARTING_MS => ("starting", Tone::Warning),
                Process::Running { .. } => ("silent", Tone::Bad),
                Process::NotOurs => ("down", Tone::Bad),
            };
        };
        let alone = self.state.as_ref().is_some_and(|(state, _)| state == "sole survivor");
        match up.role.as_str() {
            "leader" if alone => ("sole survivor", Tone::Warning),
            "leader" => ("leader", Tone::Lead),
            "candidate" => ("candidate", Tone::Warning),
            _ if up.role == "learner" || !up.voter => ("joining", Tone::Warning),
            _ if is_behind(up, self.committed(), self.has_survivor_mode()) => ("catching up", Tone::Warning),
            _ => ("follower", Tone::Good),
        }
    }

    /// How the cluster is doing: a word, the reason, and how bad that is.
    fn condition(&self) -> (String, String, Tone) {
        let dead = self.servers.iter().all(Server::is_dead);
        match &self.state {
            _ if !self.is_formed => {
                let why = self.state.as_ref().map_or("no server answers yet", |(_, detail)| detail.as_str());
                ("starting".to_owned(), why.to_owned(), Tone::Warning)
            }
            None if dead => {
                ("down".to_owned(), "no server runs; nothing is lost: press a to start them all".to_owned(), Tone::Bad)
            }
            None => ("unavailable".to_owned(), "no server answers".to_owned(), Tone::Bad),
            Some((state, detail)) => (state.clone(), detail.clone(), tone_of(state)),
        }
    }
}

/// Whether a server has to catch up with the others.
fn is_behind(up: &ServerStatus, committed: u64, survivor_mode: bool) -> bool {
    up.role != "leader"
        && up.role != "candidate"
        && (lag(up, committed) > BEHIND || !up.voter || (survivor_mode && !up.in_sync))
}

/// How many log entries a server has still to apply.
fn lag(up: &ServerStatus, committed: u64) -> u64 {
    committed.saturating_sub(up.applied_index)
}

fn tone_of(state: &str) -> Tone {
    match state {
        "normal" => Tone::Good,
        "degraded" | "sole survivor" => Tone::Warning,
        _ => Tone::Bad,
    }
}
