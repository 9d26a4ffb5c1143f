//! The Cluster service: open to everybody who reaches the port, like the health check.

use threefold_proto::chat::{self, cluster_server::Cluster};
use tonic::{Request, Response, Status, async_trait};

use super::Service;
use crate::gateway::door::Door;

#[async_trait]
impl<D: Door> Cluster for Service<D> {
    async fn status(&self, request: Request<chat::StatusRequest>) -> Result<Response<chat::ClusterStatus>, Status> {
        Ok(Response::new(self.gateway.status(request.get_ref()).await))
    }
}
