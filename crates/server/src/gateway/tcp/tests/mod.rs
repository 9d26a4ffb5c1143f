//! The port over a server in memory: real sockets, the real state machine.

mod abuse;
mod conversation;

use std::{net::SocketAddr, sync::mpsc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::gateway::{Gateway, testing::Solo};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
const PASSWORD: &str = "correct horse";

/// The port of a server.
async fn open(gateway: &Gateway<Solo>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(super::serve(listener, gateway.clone(), std::future::pending()));
    address
}

/// As long as this is there, a paused clock stands still until a test moves it: by itself it would jump to the next timer whenever nothing can go on, also where bytes are
/// only on their way through the kernel. Were it forgotten, the test would fail after a while instead of waiting for ever.
struct Still {
    _held: mpsc::Sender<()>,
}

fn stand_still() -> Still {
    let (held, forgotten) = mpsc::channel();
    // The clock does not move by itself while such a task runs.
    tokio::task::spawn_blocking(move || forgotten.recv_timeout(3 * PATIENCE));
    Still { _held: held }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it takes too long")
}

/// Somebody who speaks JSON.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) }
    }

    /// Connected and logged in; with what `waiting` messages come at once.
    async fn user(address: SocketAddr, cmd: &str, name: &str) -> Self {
        let mut client = Self::connect(address).await;
        let reply = client.ask(json!({ "cmd": cmd, "src": name, "body": PASSWORD })).await;
        assert_eq!(reply["body"], format!("logged in as {name}"), "{reply}");
        client
    }

    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.get_mut().write_all(bytes.as_ref())).await.unwrap();
    }

    async fn say(&mut self, request: Value) {
        self.write(format!("{request}\n")).await;
    }

    /// The next line; none at the end.
    async fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        soon(self.stream.read_line(&mut line)).await.unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// Says it, and gives the next line.
    async fn ask(&mut self, request: Value) -> Value {
        self.say(request).await;
        self.hear().await.expect("an answer")
    }

    /// What is refused: its code.
    async fn refused(&mut self, request: Value) -> String {
        let reply = self.ask(request).await;
        assert_eq!(reply["error"], true, "{reply}");
        reply["code"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    async fn send(&mut self, to: &str, body: &str) -> u64 {
        let reply = self.ask(json!({ "cmd": "send", "to": to, "body": body })).await;
        reply["id"].as_u64().unwrap_or_else(|| panic!("{reply}"))
    }

    /// The next line is a message: by whom, and its text.
    async fn message(&mut self) -> (String, String) {
        let line = self.hear().await.expect("a message");
        assert_eq!(line["cmd"], "message", "{line}");
        (line["src"].as_str().unwrap().to_owned(), line["body"].as_str().unwrap().to_owned())
    }

    /// Nothing is on its way: the answer to a question is the next line.
    async fn hears_nothing(&mut self) {
        let reply = self.ask(json!({ "cmd": "help" })).await;
        assert_eq!(reply["cmd"], "help", "{reply}");
    }

    /// Everything until the other side closes.
    async fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A connection that is reset has ended too.
        let _ = soon(self.stream.read_to_end(&mut rest)).await;
        rest
    }
}

fn said(author: &str, body: &str) -> (String, String) {
    (author.to_owned(), body.to_owned())
}
