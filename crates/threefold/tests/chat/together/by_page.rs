//! JSON over WebSocket.

use serde_json::{Value, json};

use super::{News, ROOM, Seen, Voice};
use crate::harness::{Cluster, Visitor, Visitors};

/// The first numbers of the instance are used before the talk.
const USED: usize = 1;

pub struct Reader {
    visitor: Visitor,
    events: Vec<Value>,
}

impl Reader {
    /// Registered and in the room, first at the server of this place.
    pub fn join(cluster: &Cluster, place: usize) -> Self {
        let mut visitor = Visitors::of(cluster).register(place, "wilma");
        visitor.done("join_room", json!({"room": {"room": ROOM}}));
        visitor.follow();
        Self { visitor, events: Vec::new() }
    }
}

impl Voice for Reader {
    const AHEAD: usize = 5;

    fn say(&mut self, number: usize, answered: usize, text: &str) -> bool {
        let request = json!({"instance": self.visitor.instance, "number": number + USED + 1});
        let send = json!({"send": {"to": {"room": ROOM}, "body": text}});
        self.visitor.say(&json!({"write": {"request": request, "operation": send, "answered": answered + USED}}))
    }

    fn hear(&mut self) -> News {
        let Some(frame) = self.visitor.hear() else { return News::Lost };
        if let Some(id) = frame["result"]["result"]["sent"]["id"].as_u64() {
            return News::Acknowledged(id);
        }
        if let Some(code) = frame["result"]["result"]["error"]["code"].as_str() {
            assert!(["unavailable", "out_of_order", "overloaded"].contains(&code), "{frame}");
            self.visitor.leave();
            return News::Lost;
        }
        let Some(event) = frame.get("event") else { return News::Other };
        remember(&mut self.events, event.clone());
        if event["body"]["message"].is_object() { News::Message(seen(&event["body"]["message"])) } else { News::Other }
    }

    fn reconnect(&mut self, _unanswered: &str) -> Option<u64> {
        // The visitor does, and what was not answered is said again under its number.
        None
    }

    fn history(&mut self) -> Vec<Seen> {
        let with = json!({"in": {"room": ROOM}, "limit": 200, "consistent": true});
        let page = self.visitor.done("history", with);
        page["messages"].as_array().unwrap().iter().map(seen).collect()
    }

    fn events(&self) -> Option<&[Value]> {
        Some(&self.events)
    }

    fn lost(&self) -> usize {
        self.visitor.lost
    }
}

/// Keeps an event of the room from when all were in it; one that is not newer than the last is heard twice.
pub fn remember(events: &mut Vec<Value>, event: Value) {
    let is_of_the_room = event["body"].as_object().unwrap().values().next().is_some_and(|body| {
        let name = body["room_name"].as_str().or(body["room"]["name"].as_str());
        name == Some(&ROOM[1..])
    });
    // The last one to come in is heard of by all others and by itself.
    let starts = event["body"]["member_joined"]["member"]["name"] == "benno";
    if is_of_the_room && (starts || !events.is_empty()) {
        let last = events.last().map(|last| last["id"].as_u64());
        assert!(last < Some(event["id"].as_u64()), "twice, or out of order: {event}");
        events.push(event);
    }
}

fn seen(message: &Value) -> Seen {
    let text = |field: &str| message[field].as_str().unwrap().to_owned();
    Seen { id: message["id"].as_u64(), author: text("author_name"), body: text("body") }
}
