//! Pages that talk over WebSocket while the servers that they are connected to are killed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use crate::harness::{Cluster, Page, until};

/// Messages before the kill, and in all.
const BEFORE: u64 = 60;
const ALL: u64 = 150;
/// Unanswered at most: below the 64 that an instance may have.
const IN_FLIGHT: u64 = 20;

/// What a page keeps, whatever becomes of its connections.
pub(super) struct Somebody {
    token: String,
    pub(super) instance: u64,
    /// The addresses to try, the present one first.
    servers: Vec<String>,
    page: Option<Page>,
    cursor: u64,
    recovery_id: String,
}

impl Somebody {
    pub(super) fn new(cluster: &Cluster, place: usize, name: &str) -> Self {
        let mut servers: Vec<String> = cluster.servers.iter().map(|server| server.client.clone()).collect();
        servers.rotate_left(place);
        let mut page = Page::open(&servers[0]).unwrap();
        let (token, reply) = page.register(name);
        let instance = reply["instance"].as_u64().unwrap();
        Self { token, instance, servers, page: Some(page), cursor: 0, recovery_id: String::new() }
    }

    /// A connection to whichever server there is, taken up where the last one was lost.
    pub(super) fn page(&mut self) -> &mut Page {
        if self.page.is_none() {
            let page = until("a server to go on with", || {
                let page = self.resume().ok();
                if page.is_none() {
                    self.servers.rotate_left(1);
                }
                page
            });
            self.page = Some(page);
        }
        self.page.as_mut().unwrap()
    }

    fn resume(&self) -> Result<Page, Error> {
        let mut page = Page::open(&self.servers[0])?;
        page.call("resume", json!({"token": self.token}))?.map_err(|_| Error::ConnectionClosed)?;
        page.say(&json!({"subscribe": {"after": self.cursor, "recovery_id": self.recovery_id}}))?;
        Ok(page)
    }

    /// The next frame; none where the connection was lost.
    pub(super) fn hear(&mut self) -> Option<Value> {
        let heard = self.page().hear();
        // A server that must send its clients elsewhere says so first.
        let heard = heard.ok().filter(|frame| !frame["error"].is_object());
        if heard.is_none() {
            self.page = None;
        }
        let frame = heard?;
        if let Some(id) = frame["subscribed"]["recovery_id"].as_str() {
            self.recovery_id = id.to_owned();
        }
        let position = frame["event"]["id"].as_u64().or(frame["caught_up"]["position"].as_u64());
        self.cursor = self.cursor.max(position.unwrap_or(0));
        Some(frame)
    }
}

fn write(instance: u64, number: u64, answered: u64) -> Value {
    let send = json!({"to": {"user": "bob"}, "body": format!("ann {number}")});
    json!({"write": {"request": {"instance": instance, "number": number}, "operation": {"send": send}, "answered": answered}})
}

/// Sends everything, again where no answer came; gives the ids in the order of the numbers.
fn send_all(cluster: &mut Cluster, ann: &mut Somebody) -> Vec<u64> {
    let (mut ids, mut asked, mut killed) = (Vec::new(), 0, false);
    while (ids.len() as u64) < ALL {
        let answered = ids.len() as u64;
        if answered >= BEFORE && !killed {
            killed = true;
            cluster.kill(&[0]);
        }
        let instance = ann.instance;
        let page = ann.page();
        let up_to = (answered + IN_FLIGHT).min(ALL);
        let said =
            (asked.max(answered) + 1..=up_to).try_for_each(|number| page.say(&write(instance, number, answered)));
        asked = up_to;
        let heard = if said.is_ok() { ann.hear() } else { None };
        let Some(frame) = heard else {
            // Nothing is known of what was not answered: all of it is said again, with the same numbers.
            (ann.page, asked) = (None, answered);
            continue;
        };
        let Some(result) = frame.get("result") else { continue };
        let error = &result["result"]["error"];
        if error.is_object() {
            assert!(["unavailable", "out_of_order"].contains(&error["code"].as_str().unwrap()), "{result}");
            (ann.page, asked) = (None, answered);
            continue;
        }
        assert_eq!(result["request"]["number"].as_u64(), Some(answered + 1), "results come in the order of the writes");
        ids.push(result["result"]["sent"]["id"].as_u64().unwrap());
    }
    ids
}

#[test]
fn a_page_resumes_at_another_server_with_nothing_lost_and_nothing_twice() {
    let mut cluster = Cluster::start(&[]);
    // Both are at the server that will be killed.
    let mut ann = Somebody::new(&cluster, 0, "ann");
    let mut bob = Somebody::new(&cluster, 0, "bob");
    bob.page().say(&json!({"subscribe": {}})).unwrap();
    let sent = send_all(&mut cluster, &mut ann);
    assert_eq!(sent.iter().collect::<BTreeSet<_>>().len() as u64, ALL);
    let (mut heard, mut last) = (Vec::new(), 0);
    while (heard.len() as u64) < ALL {
        let Some(frame) = bob.hear() else { continue };
        let Some(event) = frame.get("event") else { continue };
        let id = event["id"].as_u64().unwrap();
        assert!(id > last, "in order, and once");
        last = id;
        if event["body"]["message"].is_object() {
            heard.push(id);
            assert_eq!(event["body"]["message"]["body"], format!("ann {}", heard.len()));
        }
    }
    assert_eq!(heard, sent);
    let history = bob.page().call("history", json!({"in": {"user": "ann"}, "limit": 200, "consistent": true}));
    assert_eq!(history.unwrap().unwrap()["messages"].as_array().unwrap().len() as u64, ALL);

    // A server that is stopped in order says so.
    let place = cluster.servers.iter().position(|server| server.client == bob.servers[0]).unwrap();
    cluster.servers[place].stop();
    let ended = bob.page().ended();
    assert_eq!(u16::from(ended.code), 1012, "{}", ended.reason);
}

#[test]
fn pages_of_other_places_are_refused_unless_they_are_listed() {
    let cluster = Cluster::start(&["--allowed-origin", "https://chat.example"]);
    let address = &cluster.servers[1].client;
    let ask = |origin: &str| {
        use std::io::{BufRead as _, BufReader, Write as _};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nhost: {address}\r\norigin: {origin}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    };
    assert!(ask("https://evil.example").starts_with("HTTP/1.1 403"));
    assert!(ask("https://chat.example").starts_with("HTTP/1.1 101"));
    assert!(ask(&format!("http://{address}")).starts_with("HTTP/1.1 101"));
}
