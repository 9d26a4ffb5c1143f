//! The chat TCP port: JSON lines and the binary framing, for programs that know neither HTTP nor protobuf, and for
//! people with `nc`. The protocol is told in `docs/protocols.md`, its frames in [`threefold_proto::framing`].
//!
//! One task a connection ([`connection`]): it reads what the client asks, answers in the order of the questions, and
//! delivers in between. Promises: connections are bounded, and what each may have in flight; who sends more is read
//! no faster than it is answered; who does not read costs one page of messages and is let go after a while; whoever has not
//! logged in is let go after a minute; whatever bytes arrive on a connection disturb that connection only. An idle
//! connection holds no buffers.
//!
//! A connection has one session, which ends with it. Where the server dies, nobody ends its sessions; so a log-in here ends
//! the oldest of an account's sessions of this port beyond [`session::SESSIONS`].
//!
//! Left out: TLS. The port belongs on one machine or on a trusted network.

mod accounts;
mod commands;
mod connection;
mod delivery;
mod outlet;
mod reads;
mod session;
#[cfg(test)]
mod tests;
mod text;
mod writes;

use std::{io, pin::pin, time::Duration};

use tokio::time::{sleep, timeout};

use self::connection::Connection;
use super::{Gateway, crowd::Crowd, door::Door};
use crate::net::{ClientListener, ClientSocket, Ends};

/// Connections at once: half of those of the client port. At worst, each in the middle of the longest line, they hold
/// 650 MiB.
const CONNECTIONS: usize = 10_000;
/// How long connections may take to finish once the server stops.
const FAREWELL: Duration = Duration::from_secs(3);
/// After a failed accept: no descriptors left, most likely; trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the port on `listener` until `shutdown`, then lets connections say why they end.
///
/// # Errors
/// None: a failed connection is no error of the server. (The type is that of the other services.)
pub async fn serve<D: Door>(
    listener: impl ClientListener,
    gateway: Gateway<D>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_crowd(listener, gateway, Crowd::new("chat", CONNECTIONS), shutdown).await
}

async fn serve_crowd<D: Door>(
    mut listener: impl ClientListener,
    gateway: Gateway<D>,
    crowd: Crowd,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, ends)) => admit(socket, ends, &crowd, &gateway),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection on the chat port");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    gateway.close();
    // Every connection holds a place: all are free when all have ended.
    let _ = timeout(FAREWELL, crowd.gone()).await;
    Ok(())
}

fn admit<D: Door>(socket: impl ClientSocket, ends: Ends, crowd: &Crowd, gateway: &Gateway<D>) {
    // Closed at once rather than left waiting: the client then goes to another server.
    let Some(place) = crowd.admit(ends) else { return };
    let connection = Box::new(Connection::new(gateway.clone(), socket, ends.remote.ip()));
    tokio::spawn(async move {
        connection.run().await;
        drop(place);
    });
}
