//! What this server has heard over death streams: who runs, who has died, and what the dead announced.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use threefold_rules::{Configuration, Incarnation, LogId, Will};
use tokio::{sync::watch, time::Instant};

use crate::storage::directory::Lineage;

/// A stream that has been silent for longer does not count as standing. It may still prove a death.
const SILENCE: Duration = Duration::from_millis(1500);
/// Incarnations remembered of one directory; the wills of older ones can hardly matter any more.
const REMEMBERED: usize = 16;

/// What is known of one incarnation.
#[derive(Debug, Default)]
struct Heard {
    /// Every configuration it announced, over whichever of its streams.
    will: Will,
    /// The number of its newest stream here.
    stream: u64,
    /// That stream's state.
    state: Stream,
    /// Proven: its process is dead.
    is_dead: bool,
    /// The number that its process drew at its start; zero: it has not said.
    process: u64,
}

/// The newest stream of an incarnation.
#[derive(Debug, Default)]
enum Stream {
    /// It ended in a way that proves nothing.
    #[default]
    Lost,
    /// It stands.
    Open {
        /// Nothing stands between the two ends.
        is_direct: bool,
        /// When its sender last said that it stands. None: not yet.
        heard_at: Option<Instant>,
        /// The servers whose streams stand at its sender.
        reports: BTreeSet<Incarnation>,
    },
    /// It ended as the kernel of a dead process ends it. The second sign is still missing.
    Ended,
}

/// A stream that this server receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId {
    incarnation: Incarnation,
    number: u64,
}

/// The registry.
#[derive(Debug)]
pub struct Deaths {
    heard: Mutex<BTreeMap<Incarnation, Heard>>,
    changes: watch::Sender<()>,
}

impl Default for Deaths {
    fn default() -> Self {
        Self { heard: Mutex::default(), changes: watch::Sender::new(()) }
    }
}

impl Deaths {
    fn heard(&self) -> MutexGuard<'_, BTreeMap<Incarnation, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// A stream begins. It takes the place of any other of the same incarnation, whose end then proves nothing.
    /// `process`: the number that its process drew at its start, or zero.
    pub fn begin(&self, incarnation: Incarnation, process: u64, is_direct: bool, will: Will) -> StreamId {
        let number = {
            let mut heard = self.heard();
            let one = heard.entry(incarnation).or_default();
            one.process = process;
            one.stream += 1;
            one.state = Stream::Open { is_direct, heard_at: None, reports: BTreeSet::new() };
            will.into_iter().for_each(|configuration| add(&mut one.will, configuration));
            let number = one.stream;
            forget(&mut heard, incarnation.directory);
            number
        };
        self.changes.send_replace(());
        StreamId { incarnation, number }
    }

    fn with_open(&self, stream: StreamId, change: impl FnOnce(&mut Heard)) {
        {
            let mut heard = self.heard();
            let Some(one) = heard.get_mut(&stream.incarnation).filter(|one| one.stream == stream.number) else {
                return;
            };
            change(one);
        }
        self.changes.send_replace(());
    }

    /// The sender announced a configuration.
    pub fn announced(&self, stream: StreamId, configuration: Configuration) {
        self.with_open(stream, |one| add(&mut one.will, configuration));
    }

    /// The sender lives, and these have streams standing there.
    pub fn alive(&self, stream: StreamId, from: BTreeSet<Incarnation>) {
        self.with_open(stream, |one| {
            if let Stream::Open { heard_at, reports, .. } = &mut one.state {
                *heard_at = Some(Instant::now());
                *reports = from;
            }
        });
    }

    /// A stream has ended; whether as a dead process's kernel ends it.
    pub fn ended(&self, stream: StreamId, is_clean: bool) {
        self.with_open(stream, |one| {
            let is_direct = matches!(one.state, Stream::Open { is_direct: true, .. });
            one.state = if is_clean && is_direct { Stream::Ended } else { Stream::Lost };
        });
    }

    /// Waits until a stream is not its incarnation's newest any more: nobody listens to it then.
    pub async fn replaced(&self, stream: StreamId) {
        let mut changes = self.changes();
        while self.heard().get(&stream.incarnation).is_some_and(|one| one.stream == stream.number) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// What is visible here matters in nobody's will any more, nor does what was before.
    pub fn visible(&self, log_id: LogId) {
        for one in self.heard().values_mut() {
            one.will.retain(|configuration| configuration.log_id > log_id);
        }
    }

    /// The incarnations whose streams ended cleanly, and that lack the second sign.
    pub fn suspects(&self) -> Vec<Incarnation> {
        let heard = self.heard();
        let suspects = heard.iter().filter(|(_, one)| matches!(one.state, Stream::Ended) && !one.is_dead);
        suspects.map(|(incarnation, _)| *incarnation).collect()
    }

    /// The second sign was seen: nobody listens any more, or a later incarnation answers. Without the first one it
    /// proves nothing.
    pub fn second_sign(&self, incarnation: Incarnation) {
        {
            let mut heard = self.heard();
            let Some(one) = heard.get_mut(&incarnation).filter(|one| matches!(one.state, Stream::Ended)) else {
                return;
            };
            one.is_dead = true;
        }
        self.changes.send_replace(());
    }

    /// Every incarnation proven dead, with its will.
    pub fn dead(&self) -> BTreeMap<Incarnation, Will> {
        let heard = self.heard();
        heard.iter().filter(|(_, one)| one.is_dead).map(|(incarnation, one)| (*incarnation, one.will.clone())).collect()
    }

    /// Whether an incarnation is proven dead.
    pub fn is_dead(&self, incarnation: Incarnation) -> bool {
        self.heard().get(&incarnation).is_some_and(|one| one.is_dead)
    }

    /// Whether a process that says it is this incarnation cannot have the directory as its latest known run left it: that run is dead, was
    /// succeeded, is another process, or is not the one before. Somebody has put an old copy of the directory back, which lacks what
    /// later runs have promised, or runs two copies.
    pub fn is_outdated(&self, incarnation: Incarnation, lineage: Lineage) -> bool {
        let before = Incarnation { counter: incarnation.counter.saturating_sub(1), ..incarnation };
        let differs = |run, process| {
            let heard = self.heard().get(&run).map_or(0, |one| one.process);
            heard != 0 && process != 0 && heard != process
        };
        differs(incarnation, lineage.process) || differs(before, lineage.previous) || self.is_gone(incarnation)
    }

    /// Whether an incarnation will never act again: it is proven dead, or a later run of its directory was heard, which only one
    /// process uses at a time. (Not a proof: what the dead one announced may be unknown.)
    pub fn is_gone(&self, incarnation: Incarnation) -> bool {
        self.is_dead(incarnation)
            || self.latest(incarnation.directory).is_some_and(|latest| latest.succeeds(incarnation))
    }

    /// The latest incarnation heard of a server.
    pub fn latest(&self, id: u64) -> Option<Incarnation> {
        self.heard().keys().rev().find(|incarnation| incarnation.directory == id).copied()
    }

    /// The incarnations whose streams stand here: directly, and heard of lately.
    pub fn standing(&self) -> BTreeSet<Incarnation> {
        let heard = self.heard();
        heard.iter().filter(|(_, one)| one.stands()).map(|(incarnation, _)| *incarnation).collect()
    }

    /// The servers that were heard lately, over a link of any kind.
    pub fn reached(&self) -> BTreeSet<u64> {
        let heard = self.heard();
        heard.iter().filter(|(_, one)| one.is_heard()).map(|(incarnation, _)| incarnation.directory).collect()
    }

    /// The incarnations whose streams stand at another, by its own account.
    pub fn standing_at(&self, incarnation: Incarnation) -> BTreeSet<Incarnation> {
        match self.heard().get(&incarnation) {
            Some(Heard { state: Stream::Open { reports, .. }, .. }) => reports.clone(),
            _ => BTreeSet::new(),
        }
    }

    /// The servers whose links are not direct: they can give no proof.
    pub fn indirect(&self) -> BTreeSet<u64> {
        let heard = self.heard();
        let indirect = heard.iter().filter(|(_, one)| matches!(one.state, Stream::Open { is_direct: false, .. }));
        indirect.map(|(incarnation, _)| incarnation.directory).collect()
    }
}

impl Heard {
    fn is_heard(&self) -> bool {
        match self.state {
            Stream::Open { heard_at, .. } => heard_at.is_some_and(|heard_at| heard_at.elapsed() < SILENCE),
            Stream::Lost | Stream::Ended => false,
        }
    }

    fn stands(&self) -> bool {
        matches!(self.state, Stream::Open { is_direct: true, .. }) && self.is_heard()
    }
}

/// A log id names one configuration.
fn add(will: &mut Will, configuration: Configuration) {
    if will.iter().all(|known| known.log_id != configuration.log_id) {
        will.push(configuration);
    }
}

fn forget(heard: &mut BTreeMap<Incarnation, Heard>, directory: u64) {
    let of_one = heard.keys().filter(|incarnation| incarnation.directory == directory).copied().collect::<Vec<_>>();
    for old in of_one.iter().rev().skip(REMEMBERED) {
        heard.remove(old);
    }
}

#[cfg(test)]
mod tests {
    use threefold_rules::Voters;

    use super::*;

    fn run(counter: u64) -> Incarnation {
        Incarnation { directory: 7, counter }
    }

    fn configuration(index: u64) -> Configuration {
        Configuration {
            log_id: LogId { term: 1, index },
            voters: Voters::new(BTreeSet::from([7])),
            chosen: BTreeSet::from([7]),
            in_sync: BTreeMap::new(),
            survivor_mode: true,
        }
    }

    #[test]
    fn a_death_needs_both_signs_and_a_direct_stream() {
        for (is_direct, is_clean, proven) in
            [(true, true, true), (true, false, false), (false, true, false), (false, false, false)]
        {
            let deaths = Deaths::default();
            let stream = deaths.begin(run(1), 0, is_direct, Vec::new());
            deaths.second_sign(run(1));
            assert!(!deaths.is_dead(run(1)), "the stream stands");
            deaths.ended(stream, is_clean);
            assert!(!deaths.is_dead(run(1)), "it may have been cut");
            assert_eq!(deaths.suspects().len(), usize::from(proven));
            deaths.second_sign(run(1));
            assert_eq!(deaths.is_dead(run(1)), proven);
            assert_eq!(deaths.dead().len(), usize::from(proven));
        }
    }

    #[test]
    fn the_end_of_a_stream_that_was_replaced_proves_nothing() {
        let deaths = Deaths::default();
        let first = deaths.begin(run(1), 0, true, Vec::new());
        let second = deaths.begin(run(1), 0, true, Vec::new());
        deaths.ended(first, true);
        assert!(deaths.suspects().is_empty());
        assert!(deaths.standing().is_empty(), "it has not said so yet");
        deaths.alive(second, BTreeSet::new());
        assert!(deaths.standing().contains(&run(1)));
        deaths.ended(second, true);
        assert_eq!(deaths.suspects(), [run(1)]);
    }

    #[test]
    fn a_will_grows_over_all_streams_of_an_incarnation() {
        let deaths = Deaths::default();
        let first = deaths.begin(run(1), 0, true, vec![configuration(1)]);
        deaths.announced(first, configuration(2));
        deaths.ended(first, false);
        let second = deaths.begin(run(1), 0, true, vec![configuration(2), configuration(3)]);
        deaths.announced(first, configuration(9));
        deaths.ended(second, true);
        deaths.second_sign(run(1));
        let indices = deaths.dead()[&run(1)].iter().map(|one| one.log_id.index).collect::<Vec<_>>();
        assert_eq!(indices, [1, 2, 3], "and nothing of a stream that was replaced");
    }

    #[test]
    fn what_is_visible_is_forgotten_in_wills() {
        let deaths = Deaths::default();
        deaths.begin(run(1), 0, true, vec![configuration(1), configuration(2), configuration(3)]);
        deaths.visible(configuration(2).log_id);
        let stream = deaths.begin(run(1), 0, true, Vec::new());
        deaths.ended(stream, true);
        deaths.second_sign(run(1));
        assert_eq!(deaths.dead()[&run(1)], [configuration(3)]);
    }

    #[test]
    fn an_incarnation_that_was_succeeded_is_gone_but_not_proven_dead() {
        let deaths = Deaths::default();
        deaths.begin(run(1), 0, true, Vec::new());
        assert!(!deaths.is_gone(run(1)));
        deaths.begin(run(2), 0, true, Vec::new());
        assert!(deaths.is_gone(run(1)) && !deaths.is_dead(run(1)) && !deaths.is_gone(run(2)));
    }

    #[test]
    fn a_process_on_an_old_copy_of_a_directory_is_known_as_such() {
        let deaths = Deaths::default();
        let from = |previous, process| Lineage { process, previous };
        assert!(!deaths.is_outdated(run(2), from(76, 77)), "nothing is known");
        let stream = deaths.begin(run(2), 77, true, Vec::new());
        assert!(!deaths.is_outdated(run(2), from(76, 77)), "the same one may dial again");
        assert!(!deaths.is_outdated(run(3), from(77, 78)), "it was started again");
        assert!(!deaths.is_outdated(run(4), from(79, 80)), "it was started twice again");
        assert!(deaths.is_outdated(run(1), from(75, 78)), "a later run was heard");
        assert!(deaths.is_outdated(run(2), from(76, 78)), "the same run of the directory, and another process");
        assert!(deaths.is_outdated(run(3), from(78, 79)), "the one before was another process");
        deaths.ended(stream, true);
        deaths.second_sign(run(2));
        assert!(deaths.is_outdated(run(2), from(76, 77)), "it is dead");
    }

    #[tokio::test]
    async fn a_stream_that_was_replaced_is_told_so() {
        let deaths = Deaths::default();
        let first = deaths.begin(run(1), 0, true, Vec::new());
        let mut replaced = Box::pin(deaths.replaced(first));
        assert!(futures::poll!(&mut replaced).is_pending());
        deaths.begin(run(1), 0, true, Vec::new());
        replaced.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_does_not_stand() {
        let deaths = Deaths::default();
        let stream = deaths.begin(run(2), 0, true, Vec::new());
        deaths.alive(stream, BTreeSet::new());
        assert_eq!(deaths.latest(7), Some(run(2)));
        tokio::time::advance(SILENCE).await;
        assert!(deaths.standing().is_empty());
        deaths.alive(stream, BTreeSet::from([run(1)]));
        assert_eq!(deaths.standing(), BTreeSet::from([run(2)]));
        assert_eq!(deaths.standing_at(run(2)), BTreeSet::from([run(1)]));
    }
}
