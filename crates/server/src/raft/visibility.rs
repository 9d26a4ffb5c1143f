//! The gate: how far anything may be applied, acknowledged or shown.
//!
//! Everything that makes data visible passes here, and only here. Where plain Raft is in force, what is committed is
//! visible. In survivor mode the leader raises the visible log id, once an entry is also on every in-sync disk, and tells the followers.
//! A gate belongs to one Raft instance, compares log ids, never bare indexes, and closes for good with it.

use std::sync::{Arc, OnceLock};

use tokio::sync::{RwLock, RwLockReadGuard, watch};

use super::{survivor::configurations::Configurations, types::RaftLogId};

/// The gate.
#[derive(Debug)]
pub struct Visibility {
    visible: watch::Sender<Option<RaftLogId>>,
    configurations: Arc<Configurations>,
    /// Whether it is closed. Held for reading by whoever has passed, so that closing waits for them.
    is_closed: RwLock<bool>,
    closing: watch::Sender<bool>,
    /// Why the state machine behind it has failed, if it has.
    failure: OnceLock<String>,
}

/// The gate was closed for good: its Raft instance has ended.
#[derive(Debug, thiserror::Error)]
#[error("the Raft instance this entry belongs to has ended")]
pub struct Closed;

/// While this is held, the gate does not close.
pub struct Pass<'a> {
    _open: RwLockReadGuard<'a, bool>,
}

impl Visibility {
    /// Nothing is visible beyond `visible` but where plain Raft is in force.
    pub fn new(configurations: Arc<Configurations>, visible: Option<RaftLogId>) -> Self {
        let (visible, closing) = (watch::Sender::new(visible), watch::Sender::new(false));
        Self { visible, configurations, is_closed: RwLock::new(false), closing, failure: OnceLock::new() }
    }

    /// Everything up to `log_id` may be shown. Never goes back. It is a fact for ever, whoever leads.
    pub fn raise(&self, log_id: RaftLogId) {
        self.visible.send_if_modified(|visible| {
            let is_later = *visible < Some(log_id);
            if is_later {
                *visible = Some(log_id);
            }
            is_later
        });
    }

    /// What was raised; changes are seen.
    pub fn raised(&self) -> watch::Receiver<Option<RaftLogId>> {
        self.visible.subscribe()
    }

    /// The state machine has failed, and takes nothing more. Raft itself may end with no more than that nobody answers.
    pub fn fail(&self, why: &std::io::Error) {
        let _ = self.failure.set(why.to_string());
    }

    /// Why it has failed first, if it has.
    pub fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }

    /// Whether an entry, known to be committed, may be shown.
    pub fn is_visible(&self, committed: RaftLogId) -> bool {
        *self.visible.borrow() >= Some(committed) || self.configurations.is_plain_at(committed.index)
    }

    /// The visible log id, given what is committed.
    pub fn visible(&self, committed: Option<RaftLogId>) -> Option<RaftLogId> {
        match committed {
            Some(committed) if !self.is_visible(committed) => *self.visible.borrow(),
            _ => committed,
        }
    }

    /// Everything up to `log_id` was applied: configurations before it no longer matter.
    pub fn applied(&self, log_id: RaftLogId) {
        self.raise(log_id);
        self.configurations.visible(log_id);
    }

    /// Waits until `committed`, the log id of a committed entry, is visible. The gate then stays open until the pass is
    /// dropped.
    ///
    /// # Errors
    /// When the gate is closed first.
    pub async fn pass(&self, committed: RaftLogId) -> Result<Pass<'_>, Closed> {
        let mut visible = self.visible.subscribe();
        let mut changes = self.configurations.changes();
        let mut closing = self.closing.subscribe();
        while !self.is_visible(committed) {
            let changed = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return Err(Closed),
                changed = visible.changed() => changed,
                changed = changes.changed() => changed,
            };
            changed.map_err(|_| Closed)?;
        }
        self.enter().await
    }

    /// Passes without an entry to wait for.
    ///
    /// # Errors
    /// When the gate is closed.
    pub async fn enter(&self) -> Result<Pass<'_>, Closed> {
        let open = self.is_closed.read().await;
        if *open { Err(Closed) } else { Ok(Pass { _open: open }) }
    }

    /// Whoever waits here waits in vain from now on: a Raft that is to end must not wait for them.
    pub fn stop_waiting(&self) {
        self.closing.send_replace(true);
    }

    /// Closes the gate for good, once those who have passed are done. Nothing is applied after this returns.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        *self.is_closed.write().await = true;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use futures::FutureExt as _;
    use openraft::StoredMembership;

    use super::*;
    use crate::raft::types::{CommittedLeader, Member, RaftMembership, Standing};

    fn id(term: u64, index: u64) -> RaftLogId {
        RaftLogId::new(CommittedLeader::new(term), index)
    }

    fn gate(survivor_mode: bool) -> Visibility {
        let standing = Standing { in_sync: 1, survivor_mode, ..Standing::default() };
        let node = |id: u64| (id, Member { standing, ..Member::at(format!("server-{id}"), "", "") });
        let nodes = (1..=3).map(node).collect::<BTreeMap<_, _>>();
        let membership = RaftMembership::new(vec![BTreeSet::from([1, 2, 3])], nodes).unwrap();
        let stored = StoredMembership::new(Some(id(1, 1)), membership);
        Visibility::new(Arc::new(Configurations::new(stored, [])), None)
    }

    #[tokio::test]
    async fn a_gated_entry_waits_for_its_log_id_not_for_its_index() {
        let gate = gate(true);
        gate.raise(id(1, 9));
        assert!(gate.pass(id(1, 9)).await.is_ok());
        // The same index of a later term is another entry.
        let mut waiting = Box::pin(gate.pass(id(2, 9)));
        assert!(futures::poll!(&mut waiting).is_pending());
        gate.raise(id(2, 8));
        assert!(futures::poll!(&mut waiting).is_pending());
        gate.raise(id(2, 9));
        assert!(waiting.await.is_ok());
        gate.raise(id(1, 50));
        assert_eq!(gate.visible(Some(id(3, 1))), Some(id(2, 9)), "never goes back");
    }

    #[tokio::test]
    async fn plain_raft_shows_what_is_committed() {
        let gate = gate(false);
        assert!(gate.pass(id(4, 40)).await.is_ok());
        assert_eq!(gate.visible(Some(id(4, 40))), Some(id(4, 40)));
    }

    #[tokio::test]
    async fn a_closed_gate_lets_nobody_pass_and_waits_for_those_who_have() {
        let gate = gate(true);
        gate.raise(id(1, 9));
        let pass = gate.pass(id(1, 9)).await.ok();
        let mut waiting = Box::pin(gate.pass(id(1, 10)));
        assert!(futures::poll!(&mut waiting).is_pending());
        let mut closing = Box::pin(gate.close());
        assert!(futures::poll!(&mut closing).is_pending(), "somebody is still applying");
        assert!(waiting.await.is_err());
        drop(pass);
        closing.await;
        gate.raise(id(1, 11));
        assert!(matches!(gate.pass(id(1, 9)).now_or_never(), Some(Err(Closed))));
    }
}
