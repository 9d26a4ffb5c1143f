//! The one call of the Chat service whose answers are not written by the service that is generated: what many are told is encoded
//! once for all of them.

use std::convert::Infallible;

use axum::{Router, extract::Request as HttpRequest};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::BoxStream};
use threefold_proto::{
    chat::{ClientFrame, chat_server},
    convert::Refusal,
};
use tonic::{
    Request, Response, Status, Streaming,
    server::{Grpc, StreamingService},
};

use super::{REQUEST_BYTES, Service, refused};
use crate::gateway::{
    Gateway,
    door::Door,
    stream::{Told, ToldCodec},
};

/// The call.
struct Converse<D>(Gateway<D>);

impl<D: Door> StreamingService<ClientFrame> for Converse<D> {
    type Response = Told;
    type ResponseStream = BoxStream<'static, Result<Told, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<ClientFrame>>) -> Self::Future {
        let service = Service { gateway: self.0.clone() };
        async move {
            // A stream has no deadline of its own: the header's holds for letting it in.
            let (caller, incoming, _) = service.admit(request).await?;
            let incoming = incoming.map(|frame| frame.map_err(|status| Refusal::invalid(status.message()))).boxed();
            let outgoing = service.gateway.converse(caller, incoming).map_err(|refusal| refused(&refusal))?;
            Ok(Response::new(outgoing.map(|frame| frame.map_err(|refusal| refused(&refusal))).boxed()))
        }
        .boxed()
    }
}

/// Takes the call before the services get to see it.
pub(super) fn before<D: Door>(gateway: &Gateway<D>, services: Router) -> Router {
    let gateway = gateway.clone();
    let call = tower::service_fn(move |request: HttpRequest| {
        let converse = Converse(gateway.clone());
        async move {
            let mut grpc = Grpc::new(ToldCodec).apply_max_message_size_config(Some(REQUEST_BYTES), None);
            Ok::<_, Infallible>(grpc.streaming(converse, request).await)
        }
    });
    services.route_service(&format!("/{}/Converse", chat_server::SERVICE_NAME), call)
}
