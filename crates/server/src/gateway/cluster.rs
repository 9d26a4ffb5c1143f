//! What this server knows of the cluster.

use std::time::Duration;

use threefold_proto::chat;

use super::{Gateway, door::Door};

/// How long another server may take to tell its part; a dead one must not hold the answer up.
const SERVER_PATIENCE: Duration = Duration::from_millis(500);

impl<D: Door> Gateway<D> {
    /// The state of the cluster, or this server's own part of it.
    pub(super) async fn status(&self, request: &chat::StatusRequest) -> chat::ClusterStatus {
        let door = self.door();
        if !request.local {
            return door.status(SERVER_PATIENCE).await;
        }
        chat::ClusterStatus {
            servers: vec![door.local_status()],
            recovery_id: door.recovery_id().into(),
            ..chat::ClusterStatus::default()
        }
    }
}
