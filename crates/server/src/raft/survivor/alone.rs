//! Rule 7, carried out: a server that may go on alone begins a new epoch as the only voter.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use openraft::{EntryPayload, RaftLogReader as _, Vote, storage::RaftLogStorage as _};
use threefold_rules::{forced_configuration, next_epoch};
use tokio::time::{Instant, sleep};

use super::configuration::{rule_log_id, with_standing};
use crate::{
    ambient,
    raft::{
        Engine, EngineError,
        log::Log,
        types::{CommittedLeader, RaftEntry, RaftLogId, RaftMembership},
    },
};

/// A refusal is looked at again this often even when nothing was heard.
const LOOK: Duration = Duration::from_millis(100);
/// A server that is the only one in sync, as after a cold start, needs nobody's death to be allowed to go on alone. It does so only when it has been out
/// of touch with the others for so long: else a whole cluster that starts again would be one server for a while, for no reason.
const OUT_OF_TOUCH: Duration = Duration::from_secs(1);

impl Engine {
    /// Goes on alone whenever that is allowed. Runs for ever.
    pub async fn survive(self: Arc<Self>) {
        let mut deaths = self.survivor.deaths.changes();
        let mut out_of_touch: Option<Instant> = None;
        loop {
            let newest = self.configurations().newest().rule;
            let others_are_dead = newest.in_sync.len() > 1;
            out_of_touch = if self.is_led() { None } else { out_of_touch.or_else(|| Some(Instant::now())) };
            let is_needed = others_are_dead || out_of_touch.is_some_and(|since| since.elapsed() >= OUT_OF_TOUCH);
            if self.survivor.may_force().is_ok()
                && is_needed
                && let Err(error) = self.go_on_alone(others_are_dead).await
            {
                // Half a force is none: the log has no new configuration, or it has and the next start finds it.
                tracing::error!(%error, "cannot go on alone: the server stops");
                ambient::abort().await;
            }
            tokio::select! {
                biased;
                () = sleep(LOOK) => {}
                changed = deaths.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Ends Raft, writes the forced configuration in a new epoch, and starts Raft on it.
    async fn go_on_alone(&self, others_are_dead: bool) -> Result<(), EngineError> {
        let began = Instant::now();
        let swap = self.stop_instance().await;
        // What was heard or received since may forbid it.
        let forced = match self.survivor.may_force() {
            Ok(()) => Some(self.force().await),
            Err(_) => None,
        };
        // Raft must run again in any case.
        self.start_instance(swap).await?;
        let Some(forced) = forced else { return Ok(()) };
        forced?;
        if let Err(error) = self.raft().trigger().elect(false).await {
            tracing::debug!(%error, "the election begins by itself");
        }
        let why = match others_are_dead {
            true => "the other servers in sync are dead",
            false => "only this server is in sync, and it is out of touch with the others",
        };
        tracing::warn!(elapsed = ?began.elapsed(), "{why}: going on alone");
        Ok(())
    }

    async fn force(&self) -> Result<(), EngineError> {
        let failed = |error: std::io::Error| EngineError(format!("cannot write the forced configuration: {error}"));
        let mut log = Log::new(self.parts.log.clone(), self.survivor.log_watch.clone());
        let vote = log.read_vote().await.map_err(failed)?.map_or(0, |vote| vote.leader_id.term);
        let last = log.get_log_state().await.map_err(failed)?.last_log_id;
        let newest = self.configurations().newest();
        let term = vote.max(last.map_or(0, |last| last.leader_id.term));
        let term = next_epoch(term).ok_or_else(|| EngineError("the terms are used up".to_owned()))?;
        let log_id = RaftLogId::new(CommittedLeader::new(term), last.map_or(0, |last| last.index + 1));
        let forced = forced_configuration(self.survivor.own, &newest.rule, rule_log_id(log_id));
        let nodes = with_standing(newest.stored.membership(), &forced.in_sync, &forced.voters.target(), &forced.chosen);
        let membership = RaftMembership::new(vec![BTreeSet::from([self.id])], nodes)
            .map_err(|error| EngineError(error.to_string()))?;
        log.save_vote(&Vote::new(term, self.id)).await.map_err(failed)?;
        log.append_durably(RaftEntry { log_id, payload: EntryPayload::Membership(membership) }).await.map_err(failed)
    }
}
