//! Which server, and of which cluster, a message of Raft is for.
//!
//! Every such message names the node id it is meant for and the history its sender belongs to. At an address may be, by
//! now, a server with another directory; and a server may hold another cluster's history. Neither may answer: a vote or an
//! acknowledgement in another's name would break Raft.

use std::sync::Arc;

use threefold_core::store::Read;
use tokio::sync::watch;
use tonic::{Request, Status, metadata::MetadataValue};

use super::{
    machine,
    roll::{self, Word},
};
use crate::storage::StateStore;

/// Names the node id that a message is for.
const TARGET_HEADER: &str = "threefold-node";
/// Names the sender's cluster by its recovery id; empty while it has none.
const CLUSTER_HEADER: &str = "threefold-cluster-bin";

/// This server's own id and history.
pub struct Cluster {
    id: u64,
    state: Arc<dyn StateStore>,
    /// Why this server is not a member any more.
    retired: watch::Sender<Option<String>>,
}

impl Cluster {
    /// Of the server with this node id and state.
    pub fn new(id: u64, state: Arc<dyn StateStore>) -> Self {
        Self { id, state, retired: watch::Sender::new(None) }
    }

    /// The recovery id of the history this server holds; empty for none yet.
    pub fn recovery_id(&self) -> Vec<u8> {
        let store: &dyn Read = &*self.state;
        machine::recovery_id(store).unwrap_or_else(|error| crate::node::stop(&error)).unwrap_or_default()
    }

    /// See [`super::Engine::retire`].
    pub(super) fn retire(&self, why: Option<String>) {
        self.retired.send_if_modified(|known| {
            let changed = *known != why;
            *known = why;
            changed
        });
    }

    /// See [`super::Engine::retired`].
    pub(super) fn retired(&self) -> watch::Receiver<Option<String>> {
        self.retired.subscribe()
    }

    /// Whether a recovery has put this server's history in the place of the one with this recovery id.
    pub fn has_replaced(&self, theirs: &[u8]) -> bool {
        let store: &dyn Read = &*self.state;
        machine::has_replaced(store, theirs).unwrap_or_else(|error| crate::node::stop(&error))
    }

    /// What an operator has last said of the server called `name`, if anything was ever said.
    pub(super) fn word_on(&self, name: &str) -> Option<Word> {
        roll::read(&*self.state, name).unwrap_or_else(|error| crate::node::stop(&error))
    }

    /// Whether an operator has invited the server called `name`, as far as this server has heard.
    pub fn invites(&self, name: &str) -> bool {
        matches!(self.word_on(name), Some(Word::Invited { .. }))
    }

    /// Whether an operator has removed the server called `name`, as far as this server has heard.
    pub fn has_removed(&self, name: &str) -> bool {
        self.word_on(name) == Some(Word::Removed)
    }

    /// A message for the server `target` and no other.
    pub fn address<T>(&self, target: u64, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert(TARGET_HEADER, target.into());
        metadata.insert_bin(CLUSTER_HEADER, MetadataValue::from_bytes(&self.recovery_id()));
        request
    }

    /// Takes a message that is for this server.
    ///
    /// # Errors
    /// When it is meant for another server, or comes from another cluster.
    pub fn accept<T>(&self, request: Request<T>) -> Result<T, Status> {
        let target = request.metadata().get(TARGET_HEADER).and_then(|target| target.to_str().ok());
        if target.and_then(|target| target.parse::<u64>().ok()) != Some(self.id) {
            return Err(Status::failed_precondition("meant for another server: this directory has another node id"));
        }
        let theirs = request.metadata().get_bin(CLUSTER_HEADER).and_then(|id| id.to_bytes().ok()).unwrap_or_default();
        if !self.may_share_history(&theirs) {
            return Err(Status::failed_precondition("from another cluster: its recovery id is not this server's"));
        }
        Ok(request.into_inner())
    }

    /// Whether a server with this recovery id can belong to the same cluster: the same, or one of the two has none yet.
    pub fn may_share_history(&self, theirs: &[u8]) -> bool {
        let ours = self.recovery_id();
        ours.is_empty() || theirs.is_empty() || ours == theirs
    }
}

#[cfg(test)]
mod tests {
    use threefold_core::store::Changes;

    use super::*;
    use crate::storage::memory::MemoryState;

    fn cluster(id: u64, recovery_id: Option<u8>) -> Cluster {
        let state = MemoryState::default();
        if let Some(byte) = recovery_id {
            let change = (machine::KEY_RECOVERY_ID.to_vec(), Some(vec![byte; 16]));
            state.commit(Changes::from([change])).unwrap();
        }
        Cluster::new(id, Arc::new(state))
    }

    #[test]
    fn a_message_reaches_only_the_server_and_the_cluster_it_is_for() {
        let sender = cluster(1, Some(7));
        assert!(cluster(2, Some(7)).accept(sender.address(2, ())).is_ok());
        assert!(cluster(2, None).accept(sender.address(2, ())).is_ok(), "a newcomer");
        assert!(cluster(3, Some(7)).accept(sender.address(2, ())).is_err(), "another server at the address");
        assert!(cluster(2, Some(8)).accept(sender.address(2, ())).is_err(), "another cluster");
        assert!(cluster(2, Some(7)).accept(Request::new(())).is_err(), "no address at all");
    }
}
