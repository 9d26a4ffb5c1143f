//! JSON over WebSocket: the page's and anybody's way in who has no gRPC at hand.
//!
//! A client sends calls, `{"id": 1, "call": "history", "with": {...}}`, answered by `{"id": 1, "reply": {...}}` or `{"id": 1, "error": {...}}`
//! as each is ready, and the frames of the stream, `{"subscribe": {...}}`, `{"write": {...}}`, `{"ping": {...}}`; it is sent `{"event": {...}}`,
//! `{"result": {...}}` and so on. The messages' schema is that of [`threefold_proto::json`]; `docs/protocols.md` has all of it, with examples.
//!
//! Promises: what arrives disturbs its own connection only; a frame that makes no sense is answered with what is wrong, and the tenth is
//! the last; a silent peer is noticed within twice [`PING_INTERVAL`]; one that does not read costs at most what the stream's line and
//! the kernel hold, and is let go; every end has a close code and a reason. Left out: any operation of its own, binary frames,
//! compression (a dictionary for every connection would cost more than all the rest of it).

mod calls;
mod connection;
#[cfg(test)]
mod documented;
mod ending;
mod frame;
pub(super) mod origin;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};

use self::connection::Connection;
pub(crate) use self::frame::understood;
pub use self::origin::Origins;
use super::{Gateway, crowd::Seat, door::Door, http::ClientAddress};

/// The largest frame taken, as for gRPC: what is refused should be refused with words.
const FRAME_BYTES: usize = 256 * 1024;
/// Between two pings. With two of them without a sign of life: how long a vanished client is shown as online.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Kept by every connection for reading. Most are idle; several frames fit, and a long message is read in some more parts.
const READ_BUFFER_BYTES: usize = 1024;
/// So much is written to the socket at once: it fills packets.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// The place that a connection takes among those of the port, for as long as it is kept.
pub(super) type Place = Arc<Seat>;

/// What the way in needs to know.
pub(super) struct Entrance<D> {
    pub gateway: Gateway<D>,
    pub origins: Arc<Origins>,
}

impl<D> Clone for Entrance<D> {
    fn clone(&self) -> Self {
        Self { gateway: self.gateway.clone(), origins: Arc::clone(&self.origins) }
    }
}

/// `GET /ws`: lets a client in, if it may come from where it comes from.
pub(super) async fn connect<D: Door>(
    State(Entrance { gateway, origins }): State<Entrance<D>>,
    Extension(place): Extension<Place>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if let Err(why) = origins.check(&headers, &gateway.door().client_addresses()) {
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    upgrade
        .max_frame_size(FRAME_BYTES)
        .max_message_size(FRAME_BYTES)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .on_upgrade(move |socket| {
            // Made here: what a future is given, and then moves into its place, takes room twice.
            let mut connection = Box::new(Connection::new(gateway, socket, from));
            async move {
                connection.run().await;
                drop(place);
            }
        })
}
