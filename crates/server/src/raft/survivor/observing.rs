//! Watches the cluster's condition, as this server sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use openraft::{Instant as _, ServerState, async_runtime::WatchReceiver as _};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::condition::{Condition, View, Word};
use crate::raft::Engine;

/// The condition is looked at this often.
const LOOK: Duration = Duration::from_millis(100);
/// A leader that was not heard of for so long does not lead: longer than an election takes, so that people are not told
/// of what passes by itself.
const SILENCE: Duration = Duration::from_millis(1500);

impl Engine {
    /// The condition as it is now; changes are seen.
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Watches for ever.
    pub(in crate::raft) async fn observe(self: Arc<Self>) {
        let mut led_at = None;
        let mut reached = (0, Instant::now());
        let (mut changes, mut leader) = (self.configurations().changes(), self.leader());
        let mut retired = self.retired();
        loop {
            if self.is_led() {
                led_at = Some(Instant::now());
            }
            if let Some(visible) = self.configurations().rules().first() {
                self.survivor.deaths.visible(visible.log_id);
            }
            let overview = self.overview();
            // What stands in the log is shown soon, or something is in its way.
            if overview.visible_index != reached.0 || overview.last_index <= overview.visible_index {
                reached = (overview.visible_index, Instant::now());
            }
            let is_late = reached.1.elapsed() > SILENCE;
            let condition = match retired.borrow_and_update().clone() {
                Some(detail) => Condition { word: Word::Removed, detail },
                None => self.judge(led_at.is_some_and(|at| at.elapsed() < SILENCE), is_late),
            };
            self.condition.send_if_modified(|known| {
                let is_new = *known != condition;
                if is_new && known.word != condition.word {
                    tracing::info!(detail = %condition.detail, "the cluster is {}", condition.word.word());
                }
                *known = condition;
                is_new
            });
            tokio::select! {
                biased;
                () = sleep(LOOK) => {}
                _ = changes.changed() => {}
                _ = leader.changed() => {}
                _ = retired.changed() => {}
            }
        }
    }

    /// Somebody leads, and this server is in touch with the leader, or leads and is in touch with a majority.
    pub(super) fn is_led(&self) -> bool {
        let metrics = self.raft().metrics().borrow_watched().clone();
        if metrics.state == ServerState::Leader {
            let is_sole = metrics.membership_config.membership().voter_ids().count() == 1;
            return is_sole || metrics.last_quorum_acked.is_some_and(|at| at.elapsed() < SILENCE);
        }
        metrics.current_leader.is_some() && self.leader_silence().is_some_and(|silence| silence < SILENCE)
    }

    fn judge(&self, is_led: bool, is_late: bool) -> Condition {
        let newest = self.configurations().newest();
        let names = newest.stored.membership().nodes().map(|(id, member)| (*id, member.name.clone()));
        let names = names.collect::<BTreeMap<_, _>>();
        let (reachable, indirect) = (self.survivor.deaths.reached(), self.survivor.deaths.indirect());
        let behind = self.survivor.behind();
        let deaths = &self.survivor.deaths;
        let is_dead = |id: &u64| deaths.latest(*id).is_some_and(|run| deaths.is_dead(run));
        let dead = names.keys().copied().filter(is_dead).collect();
        let view = View {
            own: self.survivor.own,
            newest: &newest.rule,
            names: &names,
            is_led,
            holding_up: if is_late { behind } else { BTreeSet::new() },
            reachable: &reachable,
            dead: &dead,
            indirect: &indirect,
            deaf: &self.survivor.deaf(&newest.rule.in_sync),
            blocked: self.survivor.may_force().err(),
        };
        view.judge()
    }
}

/// Before anything is known.
pub(in crate::raft) fn unknown() -> Condition {
    Condition { word: Word::Frozen, detail: "starting".to_owned() }
}
