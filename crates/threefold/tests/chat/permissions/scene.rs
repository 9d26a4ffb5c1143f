//! The people who ask, and what they ask about, made anew wherever a question may have changed it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    files,
    questions::Question,
    ways::{Asker, Told, Way},
};
use crate::{
    bots::say,
    harness::{Cluster, until},
};

const PASSWORD: &str = "correct horse";
/// Who registers. `administrator` is the first account of the cluster; `somebody` is whom things are done to.
const PEOPLE: [&str; 11] = [
    "administrator",
    "owner",
    "moderator",
    "author",
    "member",
    "invited",
    "outsider",
    "person",
    "somebody",
    "former",
    "removed",
];

/// Everybody and everything.
pub struct Scene {
    runtime: Runtime,
    cluster: Cluster,
    askers: BTreeMap<String, Asker>,
    /// Names given so far.
    names: u64,
    /// A room, by its name, with a message of the author's; its webhook, where one was asked for.
    pub room: String,
    /// The conversation that a question is about, a message in it, and what is attached to that.
    pub conversation: u64,
    pub message: u64,
    pub attachment: u64,
    /// A message there of the one who asks, where whoever was in the room asks.
    pub own_message: u64,
    own_messages: BTreeMap<&'static str, u64>,
    /// An upload of somebody else that no message has; and one that a question is about, with whose it is.
    pub foreign_upload: u64,
    pub upload: u64,
    uploader: String,
    pub webhook: u64,
    /// What it posted.
    pub posted: u64,
    /// A bot of the one who asks, if they may have one; one of somebody else.
    pub own_bot: String,
    pub foreign_bot: String,
    /// Sessions: an own one that is not used here, and one of somebody else.
    pub own_session: u64,
    pub foreign_session: u64,
    /// What logs the one who asks in.
    pub secret: String,
    /// How far the cluster was with the last thing done.
    position: u64,
    /// The table that all this was made ready for; none where it may not be what it was.
    ready: Option<Setting>,
}

/// What the questions of a table are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    Private,
    Public,
    /// A private room that some have left.
    Left,
    Direct,
}

impl Scene {
    pub fn new() -> Self {
        let limits = ["--registration-rate", "1000000", "--write-rate", "1000000", "--login-rate", "1000000"];
        let mut scene = Self {
            runtime: Runtime::new().unwrap(),
            cluster: Cluster::start(&limits),
            askers: BTreeMap::new(),
            names: 0,
            room: String::new(),
            conversation: 0,
            message: 0,
            attachment: 0,
            own_message: 0,
            own_messages: BTreeMap::new(),
            foreign_upload: 0,
            upload: 0,
            uploader: String::new(),
            webhook: 0,
            posted: 0,
            own_bot: String::new(),
            foreign_bot: "foreign-bot".to_owned(),
            own_session: 0,
            foreign_session: 0,
            secret: PASSWORD.to_owned(),
            position: 0,
            ready: None,
        };
        for (place, name) in PEOPLE.into_iter().enumerate() {
            let asker = scene.stranger(place).log_in(name, PASSWORD, true);
            scene.askers.insert(name.to_owned(), asker);
        }
        let nobody = scene.stranger(1);
        scene.askers.insert("nobody".to_owned(), nobody);
        let token = "5a5b".repeat(16);
        scene.done("person", "create_bot", json!({"create": {"name": "bot", "token": token}}));
        let bot = scene.stranger(2).log_in("bot", &token, false);
        scene.askers.insert("bot".to_owned(), bot);
        scene.done("somebody", "create_bot", json!({"create": {"name": scene.foreign_bot, "token": token}}));
        scene.foreign_upload = scene.uploaded("somebody");
        scene.foreign_session = scene.done("somebody", "who_am_i", json!({}))["session"].as_u64().unwrap();
        scene
    }

    fn stranger(&self, place: usize) -> Asker {
        Asker::nobody(&self.runtime, &self.cluster, place)
    }

    /// A name that nothing has.
    pub fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    /// A name that the next thing made may have.
    pub fn next_name(&self) -> String {
        format!("n{}-{}", self.names, rand::random_range(0..u32::MAX))
    }

    pub fn ask(&mut self, who: &str, way: Way, question: &Question) -> Told {
        let asker = self.askers.get_mut(who).unwrap();
        let told = asker.ask(&self.runtime, way, question.call, &question.with, question.is_write);
        if question.is_write && told.is_ok() {
            self.ready = None;
        }
        told
    }

    /// Does what must succeed. A read is none of a write's.
    fn done(&mut self, who: &str, call: &'static str, with: Value) -> Value {
        let is_write = !matches!(call, "who_am_i" | "list_sessions" | "list_invitations");
        let question = Question { call, with, is_write };
        let told = self.ask(who, Way::WebSocket, &question).unwrap_or_else(|code| panic!("{who}: {call}: {code}"));
        let reached = told["position"].as_u64().or(told["sent"]["id"].as_u64()).or(told["created"]["id"].as_u64());
        self.position = self.position.max(reached.unwrap_or(0));
        told
    }

    /// A file that somebody has sent up: its number.
    fn uploaded(&mut self, who: &str) -> u64 {
        let question = Question { call: files::UPLOAD, with: json!({"name": "picture.png"}), is_write: false };
        let told = self.ask(who, Way::Http, &question);
        told.unwrap_or_else(|code| panic!("{who}: an upload: {code}"))["id"].as_u64().unwrap()
    }

    /// Makes ready what a question is about.
    pub fn prepare(&mut self, table: &str, what: &str, who: &str) {
        self.secret = PASSWORD.to_owned();
        let setting = match table {
            "room" | "message" => Setting::Private,
            "public" => Setting::Public,
            "left" => Setting::Left,
            "direct" => Setting::Direct,
            _ => return self.prepare_account(what, who),
        };
        if self.ready != Some(setting) {
            match setting {
                Setting::Direct => self.send_what_is_asked_about(json!({"user": "member"})),
                Setting::Private | Setting::Public | Setting::Left => self.furnish(setting),
            }
            self.ready = Some(setting);
            self.settle();
        }
        self.own_message = self.own_messages.get(who).copied().unwrap_or(self.message);
        let is_of_webhook = matches!(what, "list_webhooks" | "delete_webhook") || what.contains("(a webhook's");
        if is_of_webhook && self.webhook == 0 {
            let token = "7b7c".repeat(16);
            let create = json!({"room": {"room": self.room}, "name": self.next_name(), "token": token});
            let made = self.done("owner", "create_webhook", json!({"create": create}));
            self.webhook = made["created"]["webhook"].as_u64().unwrap();
            let url = format!("http://{}/hooks/{}/{token}", self.cluster.servers[0].client, self.webhook);
            let posted = until("a post", || say(&url, &json!({"text": "a build"})).filter(|it| it.status == 200));
            self.posted = posted.body["id"].as_u64().unwrap();
            self.position = self.position.max(self.posted);
            self.ready = Some(setting);
            self.settle();
        }
    }

    /// A room with everybody in their places, and a message.
    fn furnish(&mut self, setting: Setting) {
        self.room = self.name();
        self.webhook = 0;
        let room = json!({"room": self.room});
        let is_public = setting == Setting::Public;
        self.done("owner", "create_room", json!({"create": {"name": self.room, "public": is_public}}));
        let invited: &[&str] = match setting {
            Setting::Private => &["moderator", "author", "member", "somebody", "invited"],
            Setting::Left => &["author", "former", "removed"],
            Setting::Public | Setting::Direct => &[],
        };
        for who in invited {
            self.done("owner", "invite_to_room", json!({"invite": {"room": room, "user": who}}));
        }
        let joined: &[&str] = match setting {
            Setting::Private => &["moderator", "author", "member", "somebody"],
            Setting::Left => &["author", "former", "removed"],
            Setting::Public | Setting::Direct => &["author", "member"],
        };
        for who in joined {
            self.done(who, "join_room", json!({"join": {"room": room}}));
        }
        if setting == Setting::Private {
            self.done("owner", "set_role", json!({"set": {"room": room, "user": "moderator", "role": "moderator"}}));
        }
        self.send_what_is_asked_about(room.clone());
        self.own_messages.clear();
        if setting == Setting::Left {
            for who in ["former", "removed"] {
                let sent = self.done(who, "send_message", json!({"send": {"to": room, "body": "words of mine"}}));
                self.own_messages.insert(who, sent["sent"]["id"].as_u64().unwrap());
            }
            self.done("former", "leave_room", json!({"leave": {"room": room}}));
            self.done("owner", "remove_from_room", json!({"remove": {"room": room, "user": "removed"}}));
        }
    }

    /// A message of the author's, with a file and a reaction.
    fn send_what_is_asked_about(&mut self, to: Value) {
        self.attachment = self.uploaded("author");
        let with = json!({"send": {"to": to, "body": "a message", "attachments": [self.attachment]}});
        let sent = self.done("author", "send_message", with);
        self.message = sent["sent"]["id"].as_u64().unwrap();
        self.conversation = sent["sent"]["conversation"].as_u64().unwrap();
        self.done("author", "react", json!({"react": {"message": self.message, "emoji": "🎉"}}));
    }

    /// Waits until each server knows what was made: whoever is asked there is told of it.
    fn settle(&mut self) {
        for who in &PEOPLE[..3] {
            let with = json!({"position": self.position});
            self.done(who, "list_invitations", with);
        }
    }

    /// Whether the upload that was asked about is gone: then its owner cannot send it any more.
    pub fn is_discarded(&mut self) -> bool {
        let with = json!({"send": {"to": {"user": "somebody"}, "attachments": [self.upload]}});
        let question = Question { call: "send_message", with, is_write: true };
        match self.ask(&self.uploader.clone(), Way::WebSocket, &question) {
            Ok(_) => false,
            Err(code) if code == "UNKNOWN_ATTACHMENT" => true,
            Err(code) => panic!("{code}"),
        }
    }

    fn prepare_account(&mut self, what: &str, who: &str) {
        self.own_bot = "none".to_owned();
        if matches!(who, "person" | "administrator") && what.contains("(one's own)") && what.contains("bot") {
            self.own_bot = self.name();
            self.done(who, "create_bot", json!({"create": {"name": self.own_bot, "token": "6c6d".repeat(16)}}));
        }
        if what.starts_with("discard_attachment") {
            let is_own = !what.contains("(another's)") && who != "nobody";
            self.uploader = if is_own { who } else { "somebody" }.to_owned();
            self.upload = self.uploaded(&self.uploader.clone());
        }
        let secret = if who == "bot" { "5a5b".repeat(16) } else { PASSWORD.to_owned() };
        if what == "end_session (one's own)" && who != "nobody" {
            // A further one, that nothing here depends on.
            let _ = self.stranger(0).log_in(who, &secret, false);
            let sessions = self.done(who, "list_sessions", json!({}));
            let last =
                sessions["sessions"].as_array().unwrap().iter().rfind(|session| session["current"] != true).unwrap();
            self.own_session = last["session"].as_u64().unwrap();
        }
        if what == "delete_account" && who != "nobody" && who != "bot" {
            // Somebody else in their place, who may as well go.
            let name = self.name();
            let asker = self.stranger(0).log_in(&name, PASSWORD, true);
            if who == "administrator" {
                let grant = json!({"administer": {"name": name, "action": {"grant": {}}}});
                self.done("administrator", "administer", grant);
            }
            self.askers.insert(format!("{who} who goes"), asker);
        }
        self.secret = secret;
    }

    /// Who asks in the place of somebody, where the question is their end.
    pub fn standing_in(&self, who: &str, what: &str) -> String {
        match what == "delete_account" && self.askers.contains_key(&format!("{who} who goes")) {
            true => format!("{who} who goes"),
            false => who.to_owned(),
        }
    }
}
