//! The chat TCP port, by JSON lines and by the binary framing.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{News, ROOM, Seen, Voice};
use crate::harness::{Frame, Frames, Lines, until};

/// The addresses of the servers, the present one first.
struct Addresses(Vec<String>);

impl Addresses {
    fn new(addresses: &[String], place: usize) -> Self {
        let mut addresses = addresses.to_vec();
        addresses.rotate_left(place);
        Self(addresses)
    }

    /// A connection to whichever server lets somebody in.
    fn connect<T>(&mut self, enter: impl Fn(&str) -> Option<T>) -> T {
        until("a server to go on with", || {
            let entered = enter(&self.0[0]);
            if entered.is_none() {
                self.0.rotate_left(1);
            }
            entered
        })
    }
}

pub struct Liner {
    addresses: Addresses,
    lines: Lines,
}

/// Registered and in the room, first at the server of this place.
pub fn join_lines(addresses: &[String], place: usize) -> Liner {
    let mut addresses = Addresses::new(addresses, place);
    let mut lines = addresses.connect(|address| Lines::try_user(address, "create", "lena"));
    let joined = lines.ask(&json!({"cmd": "join", "to": ROOM}));
    assert_eq!(joined["body"], "done", "{joined}");
    Liner { addresses, lines }
}

impl Voice for Liner {
    const AHEAD: usize = 5;

    fn say(&mut self, number: usize, _answered: usize, text: &str) -> bool {
        let request = format!("request {number}");
        self.lines.say(&json!({"cmd": "send", "to": ROOM, "body": text, "request": request})).is_ok()
    }

    fn hear(&mut self) -> News {
        let Some(line) = self.lines.hear() else { return News::Lost };
        match line["cmd"].as_str().unwrap() {
            "message" => News::Message(seen(&line)),
            "send" if line["error"] == false => News::Acknowledged(line["id"].as_u64().unwrap()),
            "send" => {
                assert_eq!(line["code"], "UNAVAILABLE", "{line}");
                News::Lost
            }
            _ => News::Lost,
        }
    }

    fn reconnect(&mut self, _unanswered: &str) -> Option<u64> {
        // What was not answered is said again, under the same request.
        self.lines = self.addresses.connect(|address| Lines::try_user(address, "login", "lena"));
        None
    }

    fn history(&mut self) -> Vec<Seen> {
        let page = self.lines.ask(&json!({"cmd": "history", "to": ROOM, "body": "200"}));
        page["messages"].as_array().unwrap().iter().map(seen).collect()
    }

    fn events(&self) -> Option<&[Value]> {
        None
    }

    fn lost(&self) -> usize {
        0
    }
}

fn seen(line: &Value) -> Seen {
    let text = |field: &str| line[field].as_str().unwrap().to_owned();
    Seen { id: line["id"].as_u64(), author: text("src"), body: text("body") }
}

pub struct Framer {
    addresses: Addresses,
    frames: Frames,
    /// What was delivered while something else was waited for.
    waiting: VecDeque<Frame>,
}

/// The same in the binary framing.
pub fn join_frames(addresses: &[String], place: usize) -> Framer {
    let mut addresses = Addresses::new(addresses, place);
    let mut frames = addresses.connect(|address| Frames::try_user(address, "create", "benno"));
    assert_eq!(frames.ask("join", ROOM, ""), Frame::new("join", "", ROOM, "done"));
    Framer { addresses, frames, waiting: VecDeque::new() }
}

impl Framer {
    /// The room as lines of `ID TIME AUTHOR: TEXT`. None where the connection was lost.
    fn look(&mut self) -> Option<Vec<Seen>> {
        self.frames.say(&Frame::new("history", "", ROOM, "200")).ok()?;
        let page = loop {
            let frame = self.frames.hear()?;
            match frame.cmd.as_str() {
                "history" => break frame,
                "message" => self.waiting.push_back(frame),
                _ => return None,
            }
        };
        assert!(!page.error, "{page:?}");
        let line = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let (id, _) = (words.next()?.parse().ok()?, words.next()?);
            let (author, body) = words.next()?.split_once(": ")?;
            Some(Seen { id: Some(id), author: author.to_owned(), body: body.to_owned() })
        };
        Some(page.body.lines().map(|text| line(text).unwrap_or_else(|| panic!("{text}"))).collect())
    }
}

impl Voice for Framer {
    // There is no `request` in this framing: what was not answered is looked up.
    const AHEAD: usize = 1;

    fn say(&mut self, _number: usize, _answered: usize, text: &str) -> bool {
        self.frames.say(&Frame::new("send", "", ROOM, text)).is_ok()
    }

    fn hear(&mut self) -> News {
        let Some(frame) = self.waiting.pop_front().or_else(|| self.frames.hear()) else { return News::Lost };
        match frame.cmd.as_str() {
            "message" => News::Message(Seen { id: None, author: frame.src, body: frame.body }),
            "send" if !frame.error => News::Acknowledged(frame.body.parse().unwrap()),
            _ => News::Lost,
        }
    }

    fn reconnect(&mut self, unanswered: &str) -> Option<u64> {
        // A log-in is in the log behind everything that was there before, so the room shows all of it.
        let room = until("the room", || {
            self.frames = self.addresses.connect(|address| Frames::try_user(address, "login", "benno"));
            self.look()
        });
        room.into_iter().find(|seen| seen.body == unanswered)?.id
    }

    fn history(&mut self) -> Vec<Seen> {
        self.look().unwrap()
    }

    fn events(&self) -> Option<&[Value]> {
        None
    }

    fn lost(&self) -> usize {
        0
    }
}
