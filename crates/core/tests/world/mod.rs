//! A small world for tests: one state in memory, people who register, and their devices.
//!
//! Each command is an entry of its own, unless a test packs entries itself. Devices number their requests as a
//! client would.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod uploads;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use threefold_core::{
    AccountId, Command, ConversationId, DeleteScope, EventId, MentionRule, Operation, Position, Recipient, Rejection,
    Reply, RequestId, RequestName, SessionId, TokenHash,
    apply::{Applied, Audience, Happened},
    entry::{encode_command, pack, pack_under, unpack},
    event::{Event, EventBody, Scope},
    query::{self, CatchUp, Page, Shown},
    store::{Changes, MemoryStore, Overlay},
};

/// The state, the log's length, and the leader's clock.
#[derive(Clone, Default)]
pub struct World {
    pub store: MemoryStore,
    pub log_index: u64,
    pub time_ms: u64,
    /// What the last entry changed.
    pub changes: Changes,
    pub applied: Applied,
    /// Whom that concerned, one list for each thing that happened.
    pub woken: Vec<Vec<AccountId>>,
    /// Every entry so far.
    pub log: Vec<Bytes>,
    /// Who is in which room, as those who are to be woken are kept: from what entries say of their audience.
    pub rooms: BTreeMap<ConversationId, BTreeSet<AccountId>>,
    tokens: u64,
}

/// A logged-in device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub account: AccountId,
    pub session: SessionId,
    pub token: TokenHash,
    pub instance: u64,
    /// The number of the last request.
    pub number: u64,
}

impl World {
    pub fn new() -> Self {
        Self { time_ms: 1_000_000, ..Self::default() }
    }

    /// Applies one entry, going through its encoding as a server would.
    pub fn apply(&mut self, commands: &[Command]) -> Vec<Reply> {
        let encoded: Vec<_> = commands.iter().map(encode_command).collect();
        self.apply_entry(pack(self.time_ms, encoded.iter()))
    }

    /// Applies a command as an entry of before, whose mentions are read by an older rule.
    pub fn run_under(&mut self, rule: MentionRule, command: &Command) -> Reply {
        self.apply_entry(pack_under(rule, self.time_ms, [encode_command(command)].iter())).remove(0)
    }

    /// Applies one entry as the next of the log.
    pub fn apply_entry(&mut self, packed: Bytes) -> Vec<Reply> {
        let entry = unpack(&packed).expect("an entry just packed");
        self.log.push(packed);
        self.log_index += 1;
        let mut overlay = Overlay::new(&self.store);
        self.applied = threefold_core::apply(&mut overlay, self.log_index, &entry).expect("a sound store");
        self.changes = overlay.into_changes();
        self.woken = self.applied.happened.clone().iter().map(|happened| self.audience(happened)).collect();
        for (key, value) in self.changes.clone() {
            match value {
                Some(value) => self.store.entries.insert(key, value),
                None => self.store.entries.remove(&key),
            };
        }
        self.applied.replies.clone()
    }

    /// Who is woken by something, the members of rooms one by one.
    fn audience(&mut self, happened: &Happened) -> Vec<AccountId> {
        let Scope::Conversation(room) = happened.scope else {
            return match &happened.audience {
                Audience::Accounts(accounts) => accounts.clone(),
                other => panic!("{other:?} of a mailbox"),
            };
        };
        let members = self.rooms.entry(room).or_default();
        match &happened.audience {
            Audience::Accounts(accounts) => accounts.clone(),
            Audience::Members => members.iter().copied().collect(),
            Audience::MembersWith(account) => {
                members.insert(*account);
                members.iter().copied().collect()
            }
            Audience::MembersWithout(account) => {
                let all = members.iter().copied().collect();
                members.remove(account);
                all
            }
        }
    }

    pub fn run(&mut self, command: &Command) -> Reply {
        self.apply(std::slice::from_ref(command)).remove(0)
    }

    /// Keys that the last entry wrote, the clock aside.
    pub fn written(&self) -> Vec<Vec<u8>> {
        self.changes.keys().filter(|key| **key != [1]).cloned().collect()
    }

    pub fn fresh_token(&mut self) -> TokenHash {
        self.tokens += 1;
        TokenHash::of(&self.tokens.to_be_bytes())
    }

    pub fn register_command(&mut self, name: &str) -> (Command, TokenHash) {
        let token_hash = self.fresh_token();
        let (password_hash, device) = (format!("hash of {name}"), "first".to_owned());
        (Command::Register { name: name.to_owned(), password_hash, token_hash, device }, token_hash)
    }

    pub fn register(&mut self, name: &str) -> Device {
        let (command, token) = self.register_command(name);
        let reply = self.run(&command);
        Device::from_reply(&reply, token)
    }

    pub fn log_in(&mut self, account: AccountId, device: &str) -> Device {
        let credential_version = query::account(&self.store, account).unwrap().expect("an account").credential_version;
        let token_hash = self.fresh_token();
        let command = Command::LogIn { account, credential_version, token_hash, device: device.to_owned() };
        let reply = self.run(&command);
        Device::from_reply(&reply, token_hash)
    }

    pub fn write(&mut self, device: &mut Device, operation: Operation) -> Reply {
        let command = device.next(operation);
        self.run(&command)
    }

    pub fn send(&mut self, device: &mut Device, to: &str, body: &str) -> (ConversationId, EventId) {
        sent(&self.write(device, send_to(to, body)))
    }

    pub fn mark_read(&mut self, device: &mut Device, conversation: ConversationId, up_to: EventId) -> Reply {
        self.write(device, Operation::MarkRead { conversation, up_to })
    }

    pub fn delete(
        &mut self,
        device: &mut Device,
        conversation: ConversationId,
        messages: &[EventId],
        scope: DeleteScope,
    ) -> Reply {
        self.write(device, Operation::DeleteMessages { conversation, messages: messages.to_vec(), scope })
    }

    pub fn edit(&mut self, device: &mut Device, conversation: ConversationId, message: EventId, body: &str) -> Reply {
        self.write(device, Operation::EditMessage { conversation, message, body: body.to_owned() })
    }

    pub fn react(
        &mut self,
        device: &mut Device,
        conversation: ConversationId,
        message: EventId,
        emoji: &str,
        add: bool,
    ) -> Reply {
        self.write(device, Operation::React { conversation, message, emoji: emoji.to_owned(), add })
    }

    /// A single message as the reader sees it, with what belongs to it.
    pub fn shown(&self, reader: AccountId, conversation: ConversationId, message: EventId) -> Option<Shown> {
        query::messages(&self.store, reader, conversation, &[message]).unwrap().expect("a member").pop()
    }

    /// Whether these words stand anywhere in the state.
    pub fn holds(&self, words: &str) -> bool {
        let (words, entries) = (words.as_bytes(), self.store.entries.iter());
        let mut all = entries.flat_map(|(key, value)| [key, value]);
        all.any(|bytes| bytes.windows(words.len()).any(|window| window == words))
    }

    pub fn position(&self) -> Position {
        Position::end_of(self.log_index)
    }

    pub fn catch_up(&self, reader: AccountId, after: Position, limit: usize) -> CatchUp {
        query::events_after(&self.store, reader, after, self.position(), None, limit).unwrap()
    }

    /// The texts that came to the devices of an account from one conversation.
    pub fn delivered(&self, reader: AccountId, conversation: ConversationId) -> Vec<String> {
        let events =
            self.everything(reader).into_iter().filter(|event| event.scope == Scope::Conversation(conversation));
        events.filter(|event| matches!(event.body, EventBody::MessageSent { .. })).map(|event| text(&event)).collect()
    }

    /// Everything the account may see.
    pub fn everything(&self, reader: AccountId) -> Vec<Event> {
        let (mut events, mut reached) = (Vec::new(), Position(0));
        while reached < self.position() {
            let page = self.catch_up(reader, reached, usize::MAX - 1);
            events.extend(page.events);
            reached = page.reached;
        }
        events
    }

    pub fn unread(&self, reader: AccountId, conversation: ConversationId) -> u64 {
        query::conversation(&self.store, reader, conversation).unwrap().expect("a member").unread
    }

    /// The texts of a page of history, oldest first.
    pub fn texts(&self, reader: AccountId, conversation: ConversationId, page: Page, limit: usize) -> Vec<String> {
        let page = query::history(&self.store, reader, conversation, page, limit).unwrap().expect("a member");
        page.items.iter().map(|shown| text(&shown.event)).collect()
    }
}

impl Device {
    pub fn from_reply(reply: &Reply, token: TokenHash) -> Self {
        match reply {
            Reply::SessionOpened { account, session, instance, .. } => {
                Self { account: *account, session: *session, token, instance: *instance, number: 0 }
            }
            other => panic!("no session: {other:?}"),
        }
    }

    /// The device's next request.
    pub fn next(&mut self, operation: Operation) -> Command {
        self.number += 1;
        self.request(self.number, operation)
    }

    pub fn request(&self, number: u64, operation: Operation) -> Command {
        let request = RequestId { instance: self.instance, number };
        Command::Write { session: self.token, request, operation, answered: None }
    }
}

/// The same write, which says that everything up to that number was answered.
pub fn with_answered(mut write: Command, up_to: u64) -> Command {
    if let Command::Write { answered, .. } = &mut write {
        *answered = Some(up_to);
    }
    write
}

/// The same write, which its client has named.
pub fn named(write: Command, name: &str) -> Command {
    match write {
        Command::Write { session, request, operation, answered } => {
            Command::NamedWrite { session, request, operation, answered, name: RequestName::of(name) }
        }
        other => panic!("only writes have names: {other:?}"),
    }
}

pub fn send_to(name: &str, body: &str) -> Operation {
    Operation::SendMessage {
        to: Recipient::User(name.to_owned()),
        body: body.to_owned(),
        reply_to: None,
        attachments: None,
    }
}

pub fn send_in(conversation: ConversationId, body: &str) -> Operation {
    Operation::SendMessage {
        to: Recipient::Conversation(conversation),
        body: body.to_owned(),
        reply_to: None,
        attachments: None,
    }
}

pub fn reply_in(conversation: ConversationId, message: EventId, body: &str) -> Operation {
    let to = Recipient::Conversation(conversation);
    Operation::SendMessage { to, body: body.to_owned(), reply_to: Some(message), attachments: None }
}

/// To a room, by name.
pub fn say(room: &str, body: &str) -> Operation {
    Operation::SendMessage {
        to: Recipient::Room(room.to_owned()),
        body: body.to_owned(),
        reply_to: None,
        attachments: None,
    }
}

pub fn created(reply: &Reply) -> (ConversationId, EventId) {
    match reply {
        Reply::RoomCreated { conversation, event } => (*conversation, *event),
        other => panic!("no room: {other:?}"),
    }
}

pub fn sent(reply: &Reply) -> (ConversationId, EventId) {
    match reply {
        Reply::MessageSent { conversation, event, .. } => (*conversation, *event),
        other => panic!("not sent: {other:?}"),
    }
}

pub fn refused(reply: &Reply) -> Rejection {
    match reply {
        Reply::Rejected(rejection) => rejection.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

/// What a message says.
pub fn text(event: &Event) -> String {
    match &event.body {
        EventBody::MessageSent { deleted: true, .. } => "(deleted)".to_owned(),
        EventBody::MessageSent { body, .. } => body.clone(),
        other => panic!("no message: {other:?}"),
    }
}
