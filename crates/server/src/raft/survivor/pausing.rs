//! A change of the voters is made under plain Raft: survivor mode pauses for it, and begins again by itself.
//!
//! While it is paused nothing new can be lost: the pause is a configuration like any other, announced to the other servers before
//! it is written, and one that is plain forbids going on alone.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use openraft::{ChangeMembers, raft::Precondition};
use tokio::time::timeout;

use super::configuration::with_standing;
use crate::raft::{Engine, EngineError};

/// A pause that is not agreed on within this is given up, and what it was for.
const PATIENCE: Duration = Duration::from_secs(10);

/// While this is held, this leader does not let survivor mode begin.
pub struct Pause(Arc<AtomicUsize>);

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Engine {
    /// Empties the in-sync set, so that plain Raft decides until the pause is dropped. For leaders only.
    ///
    /// # Errors
    /// When this server does not lead, or another change is under way.
    pub(in crate::raft) async fn pause_survivor_mode(&self) -> Result<Pause, EngineError> {
        self.pauses.fetch_add(1, Ordering::SeqCst);
        let pause = Pause(self.pauses.clone());
        let newest = self.configurations().newest();
        if newest.rule.in_sync.is_empty() {
            return Ok(pause);
        }
        let nodes = with_standing(
            newest.stored.membership(),
            &BTreeMap::new(),
            &newest.rule.voters.target(),
            &newest.rule.chosen,
        );
        let based_on = Precondition::LastMembershipLogId { last_membership_log_id: *newest.stored.log_id() };
        let raft = self.raft();
        let change = raft.change_membership_if(ChangeMembers::SetNodes(nodes), false, [based_on]);
        match timeout(PATIENCE, change).await {
            Ok(Ok(_)) => Ok(pause),
            Ok(Err(error)) => Err(EngineError(format!("cannot pause survivor mode: {error}"))),
            Err(_) => Err(EngineError("cannot pause survivor mode: no majority agreed in time".to_owned())),
        }
    }
}
