//! The Cluster service: open to everybody who reaches the port, like the health check.

use std::time::Duration;

use threefold_proto::chat::{self, cluster_server::Cluster};
use tonic::{Request, Response, Status, async_trait};

use super::Service;
use crate::gateway::door::Door;

/// How long another server may take to tell its part; a dead one must not hold the answer up.
const SERVER_PATIENCE: Duration = Duration::from_millis(500);

#[async_trait]
impl<D: Door> Cluster for Service<D> {
    async fn status(&self, request: Request<chat::StatusRequest>) -> Result<Response<chat::ClusterStatus>, Status> {
        let door = self.gateway.door();
        if !request.into_inner().local {
            return Ok(Response::new(door.status(SERVER_PATIENCE).await));
        }
        Ok(Response::new(chat::ClusterStatus {
            servers: vec![door.local_status()],
            recovery_id: door.recovery_id().into(),
            ..chat::ClusterStatus::default()
        }))
    }
}
