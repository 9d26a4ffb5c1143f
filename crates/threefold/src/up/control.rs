//! The control endpoint of `up`: how the cluster's page has servers killed and started, so that anybody can watch.
//!
//! It is there beside `up` only, on loopback only, at a port of the system's choice, and obeys who shows the token of this run. The servers
//! learn both from their environment, and tell them to a page of theirs that a browser on this machine shows (`gateway/control.rs` of the
//! server). Promises: nothing else that a browser shows can use it. The token comes in a header, which no form and no other site can send; `Host`
//! must be this endpoint's own address, so no name that was made to point here helps; `Origin` must be a page of this cluster. It
//! does to the servers of this run what a person at the terminal could, and nothing besides.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::post,
};
use threefold_client::Token;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::exit::Failure;

/// Orders waiting: a person clicks one after the other.
const ORDERS_WAITING: usize = 8;
/// The supervisor obeys at once, unless it is stopping.
const ORDER_PATIENCE: Duration = Duration::from_secs(5);

/// What is to be done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// SIGKILL: no chance to say goodbye.
    Kill,
    /// Start its process again.
    Start,
}

/// Why an order was not obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such server.
    Unknown,
    /// It is not as it would have to be; or the system refused.
    Conflict(String),
}

/// An order, and where to say what came of it.
#[derive(Debug)]
pub(super) struct Order {
    pub server: String,
    pub deed: Deed,
    pub done: oneshot::Sender<Result<(), Refusal>>,
}

/// The endpoint; it ends with this.
#[derive(Debug)]
pub(super) struct Control {
    address: SocketAddr,
    token: String,
    orders: mpsc::Receiver<Order>,
    serving: JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What requests are checked against, and where they go.
#[derive(Debug)]
struct Gate {
    host: String,
    authorization: String,
    pages: Vec<String>,
    orders: mpsc::Sender<Order>,
}

impl Control {
    /// Opens it, for the pages given out at these ports of this machine.
    ///
    /// # Errors
    /// When the system gives no port, or no randomness.
    pub(super) async fn open(page_ports: impl Iterator<Item = u16>) -> Result<Self, Failure> {
        let failed =
            |error: &dyn std::fmt::Display| Failure::Refused(format!("cannot open the control endpoint: {error}"));
        let token = Token::generate().map_err(|error| failed(&error))?.to_hex();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let (sender, orders) = mpsc::channel(ORDERS_WAITING);
        let names = ["127.0.0.1", "localhost", "[::1]"];
        let gate = Gate {
            host: address.to_string(),
            authorization: format!("Bearer {token}"),
            pages: page_ports.flat_map(|port| names.map(|name| format!("http://{name}:{port}"))).collect(),
            orders: sender,
        };
        let router = router(Arc::new(gate));
        let serving = tokio::spawn(async move {
            // It ends by itself only if the listener cannot be used; the cluster runs on without.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, token, orders, serving })
    }

    /// What servers are told, in their environment: the address and the token.
    pub(super) fn told(&self) -> String {
        format!("{},{}", self.address, self.token)
    }

    /// The next order. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Order {
        match self.orders.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }
}

fn router(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/servers/{name}/kill", post(kill))
        .route("/servers/{name}/start", post(start))
        .layer(middleware::from_fn_with_state(gate.clone(), admit))
        .with_state(gate)
}

async fn kill(State(gate): State<Arc<Gate>>, Path(name): Path<String>) -> Response {
    order(&gate, name, Deed::Kill).await
}

async fn start(State(gate): State<Arc<Gate>>, Path(name): Path<String>) -> Response {
    order(&gate, name, Deed::Start).await
}

async fn order(gate: &Gate, server: String, deed: Deed) -> Response {
    let (done, outcome) = oneshot::channel();
    let obeyed = async {
        gate.orders.send(Order { server, deed, done }).await.ok()?;
        outcome.await.ok()
    };
    match timeout(ORDER_PATIENCE, obeyed).await.ok().flatten() {
        Some(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Some(Err(Refusal::Unknown)) => (StatusCode::NOT_FOUND, "there is no such server\n").into_response(),
        Some(Err(Refusal::Conflict(why))) => (StatusCode::CONFLICT, why).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "`threefold up` is stopping\n").into_response(),
    }
}

/// Lets in whom it is for, and lets the page read the answer.
async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let Some(page) = gate.page(headers) else {
        return (StatusCode::FORBIDDEN, "this is for the cluster's own page\n").into_response();
    };
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else if gate.knows_token(headers) {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, "this needs the token of this run\n").into_response()
    };
    let said: [(HeaderName, HeaderValue); 4] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, page),
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    response.headers_mut().extend(said);
    response
}

impl Gate {
    /// Which page of the cluster asks; none: something else does.
    fn page(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let only = |name: HeaderName| {
            let mut values = headers.get_all(name).iter();
            values.next().filter(|_| values.next().is_none())
        };
        only(header::HOST).filter(|host| host.as_bytes() == self.host.as_bytes())?;
        let origin = only(header::ORIGIN)?;
        self.pages.iter().any(|page| page.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    fn knows_token(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(header::AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
        let expected = self.authorization.as_bytes();
        // In a time that does not tell how much of it was right.
        let differences = said.iter().zip(expected).fold(0, |differences, (a, b)| differences | (a ^ b));
        said.len() == expected.len() && differences == 0
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    const PAGE: &str = "http://127.0.0.1:7400";

    /// The status that a request gets.
    async fn ask(control: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut socket = TcpStream::connect(control).await.unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(Duration::from_secs(20), socket.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer.to_ascii_lowercase()
    }

    #[tokio::test]
    async fn the_page_is_obeyed() {
        let mut control = Control::open([7400, 7401].into_iter()).await.unwrap();
        let (address, bearer) = (control.address, format!("Bearer {}", control.token));
        assert_eq!(control.told(), format!("{address},{}", control.token));
        let supervisor = tokio::spawn(async move {
            for expected in [("server-1", Deed::Kill, Ok(())), ("server-9", Deed::Start, Err(Refusal::Unknown))] {
                let order = control.next().await;
                assert_eq!((&*order.server, order.deed), (expected.0, expected.1));
                order.done.send(expected.2).unwrap();
            }
        });
        let host = address.to_string();
        let headers = [("host", &*host), ("origin", PAGE), ("authorization", &*bearer)];
        let killed = ask(address, "POST", "/servers/server-1/kill", &headers).await;
        assert!(killed.starts_with("http/1.1 204") && killed.contains(&format!("allow-origin: {PAGE}")), "{killed}");
        let unknown = ask(address, "POST", "/servers/server-9/start", &headers).await;
        assert!(unknown.starts_with("http/1.1 404"), "{unknown}");
        supervisor.await.unwrap();
    }

    #[tokio::test]
    async fn nobody_else_is() {
        let mut control = Control::open([7400].into_iter()).await.unwrap();
        let (address, bearer) = (control.address, format!("Bearer {}", control.token));
        let (host, wrong) = (address.to_string(), format!("Bearer {}", "0".repeat(64)));
        let named = format!("localhost:{}", address.port());
        let host = ("host", &*host);
        let token = ("authorization", &*bearer);
        let origin = ("origin", PAGE);
        let cases: [(&[(&str, &str)], &str); 8] = [
            (&[host, origin], "401"),
            (&[host, origin, ("authorization", &wrong)], "401"),
            (&[host, origin, ("authorization", &bearer[..20])], "401"),
            (&[host, token], "403"),
            (&[host, token, ("origin", "http://evil.example")], "403"),
            (&[host, token, ("origin", "http://127.0.0.1:7401")], "403"),
            (&[host, token, origin, ("origin", "http://evil.example")], "403"),
            (&[("host", &named), token, origin], "403"),
        ];
        for (headers, status) in cases {
            let answer = ask(address, "POST", "/servers/server-1/kill", headers).await;
            assert!(answer.starts_with(&format!("http/1.1 {status}")), "{headers:?}: {answer}");
        }
        // A browser asks first whether a page may say its token; of other pages it hears nothing, and does not send it.
        let first = ask(address, "OPTIONS", "/servers/server-1/kill", &[host, origin]).await;
        assert!(first.starts_with("http/1.1 204") && first.contains("allow-headers: authorization"), "{first}");
        let first = ask(address, "OPTIONS", "/servers/server-1/kill", &[host, ("origin", "http://evil.example")]).await;
        assert!(!first.contains("access-control"), "{first}");
        let read = ask(address, "GET", "/servers/server-1/kill", &[host, origin, token]).await;
        assert!(read.starts_with("http/1.1 405"), "{read}");
        assert!(control.orders.try_recv().is_err(), "nothing was ordered");
    }
}
