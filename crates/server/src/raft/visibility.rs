//! The visible log id: how far anything may be applied, acknowledged or shown.
//!
//! Everything that makes data visible waits here, and only here. In plain Raft what is committed is
//! visible. Survivor mode will raise the visible log id itself, once an entry is also on every in-sync disk.
//! A gate belongs to one Raft instance and compares log ids, never bare indexes.

use tokio::sync::watch;

use super::types::RaftLogId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visible {
    /// What is committed is visible.
    Committed,
    /// Up to here. (None: nothing.)
    UpTo(Option<RaftLogId>),
}

/// The gate.
#[derive(Debug)]
pub struct Visibility {
    visible: watch::Sender<Visible>,
}

/// The gate was closed for good: its Raft instance has ended.
#[derive(Debug, thiserror::Error)]
#[error("the Raft instance this entry belongs to has ended")]
pub struct Closed;

impl Visibility {
    /// Plain Raft: committed is visible.
    pub fn plain() -> Self {
        Self { visible: watch::Sender::new(Visible::Committed) }
    }

    /// Nothing is visible until it is said to be.
    pub fn gated() -> Self {
        Self { visible: watch::Sender::new(Visible::UpTo(None)) }
    }

    /// Everything up to `log_id` may be shown. Never goes back.
    pub fn raise(&self, log_id: RaftLogId) {
        self.visible.send_if_modified(|visible| match visible {
            Visible::UpTo(current) if *current < Some(log_id) => {
                *current = Some(log_id);
                true
            }
            Visible::UpTo(_) | Visible::Committed => false,
        });
    }

    /// The visible log id, given what is committed.
    pub fn visible(&self, committed: Option<RaftLogId>) -> Option<RaftLogId> {
        match *self.visible.borrow() {
            Visible::Committed => committed,
            Visible::UpTo(log_id) => log_id.min(committed),
        }
    }

    /// Waits until `log_id` is visible.
    ///
    /// # Errors
    /// When the gate is closed first.
    pub async fn wait(&self, log_id: RaftLogId) -> Result<(), Closed> {
        self.visible
            .subscribe()
            .wait_for(|visible| match visible {
                Visible::Committed => true,
                Visible::UpTo(current) => *current >= Some(log_id),
            })
            .await
            .map(|_| ())
            .map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(term: u64, index: u64) -> RaftLogId {
        RaftLogId::new(crate::raft::types::CommittedLeader::new(term), index)
    }

    #[tokio::test]
    async fn a_gated_entry_waits_for_its_log_id_not_for_its_index() {
        let gate = Visibility::gated();
        gate.raise(id(1, 9));
        assert!(gate.wait(id(1, 9)).await.is_ok());
        // The same index of a later term is another entry.
        let mut waiting = Box::pin(gate.wait(id(2, 9)));
        assert!(futures::poll!(&mut waiting).is_pending());
        gate.raise(id(2, 8));
        assert!(futures::poll!(&mut waiting).is_pending());
        gate.raise(id(2, 9));
        assert!(waiting.await.is_ok());
        gate.raise(id(1, 50));
        assert_eq!(gate.visible(Some(id(3, 1))), Some(id(2, 9)), "never goes back");
    }
}
