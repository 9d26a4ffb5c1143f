//! Somebody with a page that outlives its servers: whatever is asked is asked at whichever server lives, a write again
//! under its number, and events go on at the cursor.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};

use super::{Cluster, Page, person::PASSWORD, until};

/// Calls that can be told how far the answer must be.
const BY_POSITION: [&str; 11] = [
    "history",
    "search_messages",
    "list_conversations",
    "list_reactions",
    "get_messages",
    "get_room",
    "list_rooms",
    "list_members",
    "list_invitations",
    "list_bots",
    "list_webhooks",
];

/// Writes, and where in their requests it stands what is to be done.
const WRITES: [(&str, &str); 20] = [
    ("send_message", "send"),
    ("mark_read", "mark"),
    ("delete_messages", "delete"),
    ("edit_message", "edit"),
    ("react", "react"),
    ("set_display_name", "set"),
    ("administer", "administer"),
    ("create_room", "create"),
    ("join_room", "join"),
    ("leave_room", "leave"),
    ("invite_to_room", "invite"),
    ("remove_from_room", "remove"),
    ("set_role", "set"),
    ("change_room", "change"),
    ("decline_invitation", "decline"),
    ("create_bot", "create"),
    ("set_bot_token", "set"),
    ("delete_bot", "delete"),
    ("create_webhook", "create"),
    ("delete_webhook", "delete"),
];

/// People with pages who tell each other what they have seen: nobody is shown less than what anybody's write was answered with.
#[derive(Clone, Debug)]
pub struct Visitors {
    servers: Vec<String>,
    position: Arc<AtomicU64>,
}

impl Visitors {
    pub fn of(cluster: &Cluster) -> Self {
        let servers = cluster.servers.iter().map(|server| server.client.clone()).collect();
        Self { servers, position: Arc::default() }
    }

    /// Somebody new, whose first server is the one at this place.
    pub fn register(&self, place: usize, name: &str) -> Visitor {
        self.try_register(place, name).unwrap()
    }

    /// The same.
    ///
    /// # Errors
    /// As the cluster refuses.
    pub fn try_register(&self, place: usize, name: &str) -> Result<Visitor, Value> {
        self.enter("register", place, name, PASSWORD, "page")
    }

    /// Another device of somebody.
    ///
    /// # Errors
    /// As the cluster refuses.
    pub fn log_in(&self, place: usize, name: &str, password: &str, device: &str) -> Result<Visitor, Value> {
        self.enter("login", place, name, password, device)
    }

    fn enter(&self, call: &str, place: usize, name: &str, password: &str, device: &str) -> Result<Visitor, Value> {
        let mut servers = self.servers.clone();
        servers.rotate_left(place % self.servers.len());
        let token: String = (0..64).map(|_| char::from_digit(rand::random_range(0..16), 16).unwrap()).collect();
        let with = json!({"name": name, "password": password, "token": token, "device": device});
        let (page, reply) = until("a session", || {
            let answer = Page::open(&servers[0]).and_then(|mut page| Ok((page.call(call, with.clone())?, page)));
            match answer {
                Ok((Ok(reply), page)) => Some(Ok((page, reply))),
                Ok((Err(error), _)) if !is_passing(&error) => Some(Err(error)),
                _ => {
                    servers.rotate_left(1);
                    None
                }
            }
        })?;
        Ok(Visitor {
            token,
            session: reply["session"].as_u64().unwrap(),
            instance: reply["instance"].as_u64().unwrap(),
            lost: 0,
            number: 0,
            servers,
            page: Some(page),
            position: self.position.clone(),
            subscription: None,
            waiting: VecDeque::new(),
        })
    }
}

/// Whether the same may be answered otherwise in a moment, or elsewhere.
fn is_passing(error: &Value) -> bool {
    error["code"] == "unavailable" || error["code"] == "overloaded"
}

/// Where somebody who follows is.
#[derive(Clone, Debug, Default)]
struct Place {
    cursor: u64,
    recovery_id: String,
}

/// Somebody with a page.
pub struct Visitor {
    pub token: String,
    pub session: u64,
    pub instance: u64,
    /// Connections that ended.
    pub lost: usize,
    number: u64,
    /// The addresses to try, the present one first.
    servers: Vec<String>,
    page: Option<Page>,
    position: Arc<AtomicU64>,
    subscription: Option<Place>,
    /// Events that came while another was waited for.
    waiting: VecDeque<Value>,
}

impl Visitor {
    /// The server it is at, or tries next.
    pub fn server(&self) -> &str {
        &self.servers[0]
    }

    /// The connection there is, or one to whichever server lives, taken up where the last one was lost.
    ///
    /// # Errors
    /// When the session is over.
    pub fn page(&mut self) -> Result<&mut Page, Value> {
        if self.page.is_none() {
            let page = until("a server to go on with", || {
                let resumed = self.resume();
                if resumed.is_none() {
                    self.servers.rotate_left(1);
                }
                resumed
            })?;
            self.page = Some(page);
        }
        Ok(self.page.as_mut().unwrap())
    }

    fn resume(&self) -> Option<Result<Page, Value>> {
        let mut page = Page::open(&self.servers[0]).ok()?;
        match page.call("resume", json!({"token": self.token})).ok()? {
            Err(error) if is_passing(&error) => return None,
            Err(error) => return Some(Err(error)),
            Ok(_) => {}
        }
        if let Some(Place { cursor, recovery_id }) = &self.subscription {
            page.say(&json!({"subscribe": {"after": cursor, "recovery_id": recovery_id}})).ok()?;
        }
        Some(Ok(page))
    }

    fn lose(&mut self) {
        if self.page.take().is_some() {
            self.lost += 1;
        }
    }

    /// Ends the connection there is; the next one is to another server.
    pub fn leave(&mut self) {
        self.lose();
        self.servers.rotate_left(1);
    }

    /// Says something on the connection there is; false where it was lost.
    pub fn say(&mut self, frame: &Value) -> bool {
        let said = self.page().is_ok_and(|page| page.say(frame).is_ok());
        if !said {
            self.lose();
        }
        said
    }

    /// The next frame; none where the connection was lost.
    pub fn hear(&mut self) -> Option<Value> {
        let heard = self.page().unwrap().hear();
        // A server that must send its clients elsewhere says so first.
        let Some(frame) = heard.ok().filter(|frame| !frame["error"].is_object()) else {
            self.lose();
            return None;
        };
        if let Some(place) = &mut self.subscription {
            if let Some(id) = frame["subscribed"]["recovery_id"].as_str() {
                place.recovery_id = id.to_owned();
            }
            let position = frame["event"]["id"].as_u64().or(frame["caught_up"]["position"].as_u64());
            place.cursor = place.cursor.max(position.unwrap_or(0));
        }
        Some(frame)
    }

    /// Asks, and again elsewhere while there is no answer.
    ///
    /// # Errors
    /// As the cluster refuses.
    pub fn ask(&mut self, call: &str, mut with: Value) -> Result<Value, Value> {
        if BY_POSITION.contains(&call) && with["position"].is_null() {
            with["position"] = self.position.load(Ordering::Relaxed).into();
        }
        let answer = until(call, || {
            let answer = match self.page() {
                Ok(page) => page.call(call, with.clone()),
                Err(over) => return Some(Err(over)),
            };
            match answer {
                Ok(Err(error)) if is_passing(&error) => {
                    self.leave();
                    None
                }
                Ok(answer) => Some(answer),
                Err(_) => {
                    self.lose();
                    None
                }
            }
        });
        if let Ok(reply) = &answer {
            // An account's number is a place in the log, too.
            let created = &reply["created"];
            let seen =
                [&reply["position"], &reply["sent"]["id"], &created["id"], &created["account"], &created["webhook"]];
            let seen = seen.iter().filter_map(|position| position.as_u64()).max().unwrap_or(0);
            self.position.fetch_max(seen, Ordering::Relaxed);
        }
        answer
    }

    /// Writes, each under a number of its own, which is used up by a refusal too.
    ///
    /// # Errors
    /// As the cluster refuses.
    pub fn write(&mut self, call: &str, what: &Value) -> Result<Value, Value> {
        self.number += 1;
        let (_, field) = WRITES.iter().find(|(write, _)| *write == call).unwrap();
        self.ask(call, json!({"request": {"instance": self.instance, "number": self.number}, *field: what}))
    }

    /// Asks or writes what is done.
    pub fn done(&mut self, call: &str, with: Value) -> Value {
        let is_write = WRITES.iter().any(|(write, _)| *write == call);
        let answer = if is_write { self.write(call, &with) } else { self.ask(call, with) };
        answer.unwrap_or_else(|error| panic!("{call}: {error}"))
    }

    /// Asks or writes what is refused: the code.
    pub fn refused(&mut self, call: &str, with: Value) -> String {
        let is_write = WRITES.iter().any(|(write, _)| *write == call);
        let answer = if is_write { self.write(call, &with) } else { self.ask(call, with) };
        let Err(error) = answer else { panic!("{call} is not refused: {answer:?}") };
        error["code"].as_str().unwrap().to_owned()
    }

    /// Sends a text: the message's id.
    pub fn send(&mut self, to: &str, body: &str) -> u64 {
        self.done("send_message", json!({"to": place(to), "body": body}))["sent"]["id"].as_u64().unwrap()
    }

    /// Begins to follow, from the beginning.
    pub fn follow(&mut self) {
        self.subscription = Some(Place::default());
        let said = self.page().unwrap().say(&json!({"subscribe": {}}));
        if said.is_err() {
            self.lose();
        }
    }

    /// Waits for the next event of this kind; others stay to be waited for.
    pub fn event(&mut self, kind: &str) -> Value {
        assert!(self.subscription.is_some(), "nobody who does not follow hears anything");
        let is_it = |event: &Value| event["body"][kind].is_object();
        if let Some(at) = self.waiting.iter().position(is_it) {
            return self.waiting.remove(at).unwrap()["body"][kind].take();
        }
        until(kind, || {
            let mut event = self.hear()?.get_mut("event")?.take();
            if is_it(&event) {
                return Some(event["body"][kind].take());
            }
            self.waiting.push_back(event);
            None
        })
    }
}

/// A user, or a room by its `#`.
pub fn place(name: &str) -> Value {
    if name.starts_with('#') { json!({"room": name}) } else { json!({"user": name}) }
}
