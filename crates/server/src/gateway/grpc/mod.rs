//! gRPC: the services of `chat.proto` over a [`Gateway`], with health and reflection.
//!
//! A thin layer: it finds the caller in the metadata, the deadline in the headers, and turns refusals
//! into statuses. No operation is decided here.

mod chat;
mod cluster;
mod converse;
pub(super) mod deadline;

use axum::Router;
use threefold_core::Rejection;
use threefold_proto::{
    FILE_DESCRIPTOR_SET,
    chat::{chat_server::ChatServer, cluster_server::ClusterServer},
    convert::{Refusal, Token, status_of},
};
use tokio::time::Instant;
use tonic::{Request, Response, Status, service::Routes};
use tonic_health::server::HealthReporter;

use super::{Caller, Gateway, door::Door, told};

/// The largest message taken: four of the largest writes that are passed on, so that what is refused is
/// refused with words, and small enough that many at once do no harm.
const REQUEST_BYTES: usize = 256 * 1024;

/// The services, over a gateway.
struct Service<D> {
    gateway: Gateway<D>,
}

impl<D: Door> Service<D> {
    /// The caller, what it asks, and until when.
    async fn admit<T>(&self, request: Request<T>) -> Result<(Caller, T, Instant), Status> {
        let deadline = deadline::of(request.metadata());
        let caller = self.caller(&request, deadline).await?;
        Ok((caller, request.into_inner(), deadline))
    }

    async fn caller<T>(&self, request: &Request<T>, deadline: Instant) -> Result<Caller, Status> {
        let value = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = value.and_then(Token::from_authorization);
        let token = token.ok_or_else(|| refused(&Refusal::Rejected(Rejection::SessionInvalid)))?;
        self.gateway.authenticate(token.hash(), deadline).await.map_err(|refusal| refused(&refusal))
    }
}

fn refused(refusal: &Refusal) -> Status {
    status_of(&told(refusal))
}

fn answer<T>(outcome: Result<T, Refusal>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(|refusal| refused(&refusal))
}

/// All gRPC services of the client port.
///
/// # Errors
/// When the protocol's own descriptors do not parse.
pub(super) fn routes<D: Door>(
    gateway: &Gateway<D>,
) -> Result<(Router, HealthReporter), tonic_reflection::server::Error> {
    let service = || Service { gateway: gateway.clone() };
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = || {
        // What servers speak with each other is not for clients.
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("threefold.chat.v1.Chat")
            .with_service_name("threefold.chat.v1.Cluster")
            .with_service_name("grpc.health.v1.Health")
    };
    let routes = Routes::new(ChatServer::new(service()).max_decoding_message_size(REQUEST_BYTES))
        .add_service(ClusterServer::new(service()).max_decoding_message_size(REQUEST_BYTES))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok((converse::before(gateway, routes.prepare().into_axum_router()), reporter))
}
