//! The client port: one listener for gRPC, WebSocket, plain HTTP and the page.
//!
//! Promises: connections, streams and headers are bounded; a peer that died without a word is noticed
//! within [`KEEP_ALIVE_INTERVAL`] and [`KEEP_ALIVE_TIMEOUT`]; whatever bytes arrive on a connection
//! disturb that connection only; a shutdown ends streams with a reason and waits for the rest a little.

use std::{
    io,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{self, StatusCode, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::get,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use threefold_proto::chat::chat_server::ChatServer;
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tonic::Status;
use tower::Service;

use super::{
    Gateway, attachments, control, cors,
    crowd::Crowd,
    door::Door,
    grpc, hooks, page,
    websocket::{self, Entrance, Origins, Place},
};
use crate::net::{ClientListener, ClientSocket, Ends, gathered::Gathered};

/// Connections at once: at some 50 KiB each, 1 GiB; and a common limit of open files is 65,536.
const CONNECTIONS: usize = 20_000;
/// Calls and streams of one connection at once: a client process needs one stream and some calls.
const STREAMS_PER_CONNECTION: u32 = 256;
/// Header bytes of one request: a token and what libraries add.
const HEADER_BYTES: u32 = 16 * 1024;
/// Between two pings. With the timeout: how long a vanished client is shown as online.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a ping may go unanswered.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a new connection may say nothing, or be in the middle of an HTTP/1 request's headers.
const FIRST_WORD_TIMEOUT: Duration = Duration::from_secs(10);
/// New connections that are let in at once, and how long each counts as new. When another server dies, all its clients come within an
/// instant; let in all together they would hold up those who are talking here for seconds. At this pace (1,600 a second) they wait for
/// each other instead, and a client that comes alone waits for nobody.
const ARRIVALS: usize = 8;
/// See [`ARRIVALS`].
const ARRIVAL: Duration = Duration::from_millis(5);
/// How long a connection of HTTP/2 may come to no call at all: whoever answers pings would keep its place for ever.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(150);
/// How long connections may take to finish once the server stops.
const FAREWELL: Duration = Duration::from_secs(3);
/// After a failed accept: no descriptors left, most likely; trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves clients on `listener` until `shutdown`, then lets them finish. Pages of `origins` may connect.
///
/// # Errors
/// When the services cannot be set up. A failed connection is no error of the server.
pub async fn serve<D: Door>(
    listener: impl ClientListener,
    gateway: Gateway<D>,
    origins: Origins,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_crowd(listener, gateway, origins, Crowd::new("client", CONNECTIONS), shutdown).await
}

async fn serve_crowd<D: Door>(
    mut listener: impl ClientListener,
    gateway: Gateway<D>,
    origins: Origins,
    crowd: Crowd,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (routes, health) = grpc::routes(&gateway).map_err(io::Error::other)?;
    let router = router(routes, Entrance { gateway: gateway.clone(), origins: Arc::new(origins) });
    health.set_service_status(service_name(), tonic_health::ServingStatus::Serving).await;
    let arrivals = Arc::new(Semaphore::new(ARRIVALS));
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, ends)) => admit(socket, ends, &crowd, &arrivals, &router, &gateway),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    health.set_service_status(service_name(), tonic_health::ServingStatus::NotServing).await;
    gateway.close();
    // Every connection holds a place: all are free when all have ended.
    let _ = timeout(FAREWELL, crowd.gone()).await;
    Ok(())
}

fn service_name() -> &'static str {
    <ChatServer<()> as tonic::server::NamedService>::NAME
}

fn admit<D: Door>(
    socket: impl ClientSocket,
    ends: Ends,
    crowd: &Crowd,
    arrivals: &Arc<Semaphore>,
    router: &Router,
    gateway: &Gateway<D>,
) {
    // Closed at once rather than left waiting: the client then goes to another server.
    let Some(place) = crowd.admit(ends) else { return };
    let (gateway, arrivals, called) = (gateway.clone(), arrivals.clone(), Arc::default());
    let address = ClientAddress(ends.remote.ip());
    let service = Located { router: router.clone(), address, place: Arc::new(place), called };
    tokio::spawn(async move {
        if let Err(error) = converse(socket, service, &arrivals, &gateway, FIRST_CALL_TIMEOUT).await {
            tracing::debug!(error, "a connection failed");
        }
    });
}

/// Where a request comes from, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientAddress(pub IpAddr);

/// The router for one connection: each request is told where it comes from, and which place it takes.
#[derive(Clone)]
struct Located {
    router: Router,
    address: ClientAddress,
    /// Who takes the connection over by an upgrade takes over its place as well.
    place: Place,
    /// There was a request.
    called: Arc<AtomicBool>,
}

impl<B> Service<http::Request<B>> for Located
where
    Router: Service<http::Request<B>>,
{
    type Response = <Router as Service<http::Request<B>>>::Response;
    type Error = <Router as Service<http::Request<B>>>::Error;
    type Future = <Router as Service<http::Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<http::Request<B>>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        self.called.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(self.address);
        request.extensions_mut().insert(Arc::clone(&self.place));
        self.router.call(request)
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn converse<D: Door>(
    mut socket: impl ClientSocket,
    service: Located,
    arrivals: &Semaphore,
    gateway: &Gateway<D>,
    first_call: Duration,
) -> Result<(), BoxError> {
    // The protocol is told by the first bytes, for which the HTTP library would wait for ever.
    timeout(FIRST_WORD_TIMEOUT, socket.first_word()).await??;
    let arrival = tokio::select! {
        biased;
        () = gateway.closed() => return Ok(()),
        arrival = arrivals.acquire() => arrival?,
    };
    let builder = protocols();
    let called = Arc::clone(&service.called);
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(Gathered::recognising(socket)), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = sleep(ARRIVAL) => drop(arrival),
    }
    let silent = async {
        sleep(first_call).await;
        if called.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = gateway.closed() => {}
        () = silent => {}
    }
    connection.as_mut().graceful_shutdown();
    timeout(FAREWELL, connection).await?
}

fn protocols() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(FIRST_WORD_TIMEOUT)
        .max_buf_size(2 * HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .max_header_list_size(HEADER_BYTES);
    builder
}

fn router<D: Door>(grpc: Router, entrance: Entrance<D>) -> Router {
    let gateway = entrance.gateway.clone();
    let socket = Router::new().route("/ws", get(websocket::connect::<D>)).with_state(entrance.clone());
    let plain = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready::<D>))
        .route("/up", get(control::tell::<D>))
        .with_state(gateway.clone());
    let shared = middleware::from_fn_with_state(entrance, cors::share::<D>);
    let attachments = attachments::http::routes(gateway.clone()).layer(shared);
    let hooks = hooks::routes(gateway.clone());
    let all = grpc.reset_fallback();
    let all = all.merge(plain).merge(socket).merge(attachments).merge(hooks);
    all.fallback(move |request| async move { page_or_nothing(&gateway, request) })
}

/// Ready: there is a leader, so writes will be taken.
async fn ready<D: Door>(State(gateway): State<Gateway<D>>) -> (StatusCode, &'static str) {
    match gateway.door().local_status().leader {
        0 => (StatusCode::SERVICE_UNAVAILABLE, "no leader\n"),
        _ => (StatusCode::OK, "ok\n"),
    }
}

/// What none of the services knows: a file of the page, or nothing.
fn page_or_nothing<D: Door>(gateway: &Gateway<D>, request: Request) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return Status::unimplemented("no such service or call").into_http();
    }
    let (head, _) = request.into_parts();
    page::answer(gateway, &head).unwrap_or_else(|| (StatusCode::NOT_FOUND, "not found\n").into_response())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };
    use tonic::transport::Endpoint;

    use super::*;
    use crate::gateway::testing::{Foreign, Solo};

    #[tokio::test]
    async fn who_never_calls_is_let_go_though_pings_are_answered() {
        let gateway = Solo::new().gateway();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let (routes, _health) = grpc::routes(&gateway).unwrap();
        let (arrivals, crowd) = (Semaphore::new(1), Crowd::new("test", 1));
        let served = async {
            let (socket, remote) = listener.accept().await.unwrap();
            let place = Arc::new(crowd.admit(Ends { local: address, remote }).unwrap());
            let service =
                Located { router: routes, address: ClientAddress(remote.ip()), place, called: Arc::default() };
            converse(socket, service, &arrivals, &gateway, Duration::from_millis(100)).await
        };
        let silent = async {
            let _channel = endpoint.connect().await.unwrap();
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            biased;
            ended = timeout(Duration::from_secs(60), served) => ended.expect("it is let go"),
            () = silent => return,
        };
        assert!(ended.is_ok(), "in order: {ended:?}");
    }

    #[tokio::test]
    async fn one_address_has_half_of_the_places() {
        let listener = Foreign::listen(&[1, 1, 1, 2]).await;
        let (address, crowd) = (listener.address(), Crowd::new("test", 4));
        let gateway = Solo::new().gateway();
        tokio::spawn(serve_crowd(listener, gateway, Origins::default(), crowd, std::future::pending()));
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let mut heard = [0; 12];
            let answered = async {
                client.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await?;
                client.read_exact(&mut heard).await
            };
            let answered = timeout(Duration::from_secs(60), answered).await.expect("answered or closed");
            assert_eq!(answered.is_ok(), number != 2, "{number}: {answered:?}");
            assert_eq!(&heard, if number == 2 { &[0; 12] } else { b"HTTP/1.1 200" });
        }
    }
}
