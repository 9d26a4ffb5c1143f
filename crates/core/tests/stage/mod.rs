//! The language of the golden scripts.
//!
//! A line is `device: command arguments`. A device is a person (`alice`), or a further device of one
//! (`alice/phone`). Messages are called m1, m2, ... in the order in which they are first sent.
//!
//! Changes: `register`, `login`, `logout`, `end-session DEVICE`, `delete-account`, `change-password`, `renew`,
//! `open-instance nonce=N`, `send PERSON TEXT`, `reply PERSON TEXT` (by conversation id), `read PERSON MESSAGE`,
//! `delete PERSON MESSAGE... for=me|everyone`, `edit PERSON MESSAGE TEXT`, `react PERSON MESSAGE EMOJI [add=false]`,
//! `delivered MESSAGE`, and `retry`: the device's last change once more. A numbered one takes `number=N` and
//! `instance=N` to break the count, and `name=TEXT` to be a named one; `send` and `reply` take `to=MESSAGE` to answer one.
//! Files are called f1, f2, ... in the order in which they are first begun: `begin NAME BYTES nonce=N [quota=N]`,
//! `put FILE at=OFFSET`, `finish FILE [wrong=true]`, `discard FILE`, and `send ... with="FILE,FILE"`.
//! Rooms: `create-room NAME [topic=TEXT] [private=true]`, `join ROOM`, `leave ROOM`, `say ROOM TEXT`, `invite ROOM PERSON`,
//! `remove ROOM PERSON`, `role ROOM PERSON member|moderator|owner`, `change ROOM [name=] [topic=] [public=]`, `decline ROOM`;
//! elsewhere a room takes the place of a person as `"#room"`.
//! Reading: `history PERSON [before=M] [after=M] [around=M] [at=MS] [limit=N]` (`at` counts from the start), `show PERSON
//! MESSAGE...`, `reactions PERSON MESSAGE [emoji=E] [limit=N]`, `files PERSON MESSAGE`, `usage`, `conversations`, `unread`,
//! `sync` (what is new since this device's last one), `sessions`, `whoami`, `rooms [PATTERN]`, `members ROOM`, `invitations`;
//! without a device: `search PATTERN [after=NAME] [limit=N]`.
//! The world: `advance days=N` or `ms=N`, `rewind ms=N`, and `failover`: another server takes over, from the log alone.

mod describe;
mod files;
mod rooms;

use std::{collections::BTreeMap, error::Error};

use goldenscript::{ArgumentConsumer, Command as Line, Runner};
use threefold_core::{
    AccountId, AttachmentId, Command, ConversationId, DeleteScope, EventId, Operation, Position, Reply,
    query::{self, Page},
};

use crate::world::{Device, World, named, send_in, send_to};

type Said = Result<String, Box<dyn Error>>;

/// One script's world, with the names its lines use.
pub struct Stage {
    world: World,
    devices: BTreeMap<String, Device>,
    last: BTreeMap<String, Command>,
    cursors: BTreeMap<String, Position>,
    people: BTreeMap<AccountId, String>,
    messages: Vec<EventId>,
    /// With their sizes.
    files: Vec<(AttachmentId, u64)>,
    /// The rooms there were, by the names they had when they were made.
    rooms: BTreeMap<String, ConversationId>,
}

impl Stage {
    pub fn new() -> Self {
        Self {
            world: World::new(),
            devices: BTreeMap::new(),
            last: BTreeMap::new(),
            cursors: BTreeMap::new(),
            people: BTreeMap::new(),
            messages: Vec::new(),
            files: Vec::new(),
            rooms: BTreeMap::new(),
        }
    }

    /// The log alone gives the same state again; the script goes on with that one.
    pub fn fail_over(&mut self) {
        let mut other = World::new();
        for entry in &self.world.log {
            other.apply_entry(entry.clone());
        }
        assert_eq!(other.store, self.world.store, "a replica that replays the log has another state");
        self.world.store = other.store;
    }

    fn device(&self, label: &str) -> Result<&Device, Box<dyn Error>> {
        self.devices.get(label).ok_or_else(|| format!("no device {label}").into())
    }

    fn account(&self, name: &str) -> Result<AccountId, Box<dyn Error>> {
        let known = self.people.iter().find(|(_, person)| *person == name);
        known.map(|(account, _)| *account).ok_or_else(|| format!("no person {name}").into())
    }

    fn conversation(&self, label: &str, peer: &str) -> Result<ConversationId, Box<dyn Error>> {
        if let Some(room) = peer.strip_prefix('#') {
            return self.rooms.get(room).copied().ok_or_else(|| format!("no room {room} was made").into());
        }
        let (reader, peer) = (self.device(label)?.account, self.account(peer)?);
        // By a look through the list, so that it works with people who are deleted.
        let all = query::conversations(&self.world.store, reader, false, None, 200)?.items;
        let found = all.iter().find(|conversation| conversation.peer == Some(peer));
        // A conversation of others, where there is one: strangers try theirs.
        let others = || {
            let all = query::conversations(&self.world.store, peer, false, None, 1).ok()?.items;
            all.first().map(|conversation| conversation.conversation)
        };
        found.map(|found| found.conversation).or_else(others).ok_or_else(|| "no conversation".into())
    }

    fn message(&self, label: &str) -> Result<EventId, Box<dyn Error>> {
        let number: usize = label.strip_prefix('m').ok_or("messages are called m1, m2, ...")?.parse()?;
        let known = number.checked_sub(1).and_then(|index| self.messages.get(index));
        // A message that was never sent has an id too.
        Ok(known.copied().unwrap_or(EventId(number as u64)))
    }

    /// Applies a command of a device and tells what came of it.
    fn submit(&mut self, label: &str, command: Command) -> String {
        let reply = self.world.run(&command);
        let token = match &command {
            Command::Register { token_hash, .. } | Command::LogIn { token_hash, .. } => Some(*token_hash),
            _ => None,
        };
        match (&reply, token) {
            (Reply::SessionOpened { account, name, .. }, Some(token)) => {
                let person = label.split('/').next().unwrap_or(name);
                self.people.entry(*account).or_insert_with(|| person.to_owned());
                self.devices.entry(label.to_owned()).or_insert_with(|| Device::from_reply(&reply, token));
            }
            (Reply::UploadReached { attachment, .. }, _) if !self.files.iter().any(|(id, _)| id == attachment) => {
                if let Command::BeginAttachment { bytes, .. } = &command {
                    self.files.push((*attachment, *bytes));
                }
            }
            (Reply::MessageSent { event, .. }, _) if !self.messages.contains(event) => self.messages.push(*event),
            _ => {}
        }
        self.last.insert(label.to_owned(), command);
        self.describe_outcome(&reply)
    }

    /// A numbered write, as this device's next one unless the line says otherwise.
    fn write(&mut self, label: &str, args: &mut ArgumentConsumer<'_>, operation: Operation) -> Said {
        let (number, instance) = (args.lookup_parse("number")?, args.lookup_parse("instance")?);
        let name = args.lookup("name").map(|argument| argument.value.clone());
        args.reject_rest()?;
        let device = self.devices.get_mut(label).ok_or("no such device")?;
        let command = match (number, instance) {
            (None, None) => device.next(operation),
            (number, instance) => {
                let other = Device { instance: instance.unwrap_or(device.instance), ..device.clone() };
                other.request(number.unwrap_or(device.number + 1), operation)
            }
        };
        let command = match name {
            Some(name) => named(command, &name),
            None => command,
        };
        Ok(self.submit(label, command))
    }

    fn change(&mut self, label: &str, line: &Line, args: &mut ArgumentConsumer<'_>) -> Option<Said> {
        Some(match line.name.as_str() {
            "register" => self.register(label, args),
            "login" => self.log_in(label),
            "logout" => self
                .session(label)
                .map(|(session, _)| Command::EndSession { session, target: None })
                .map(|c| self.submit(label, c)),
            "end-session" => self.end_session(label, args),
            "delete-account" => self
                .session(label)
                .map(|(session, credential_version)| Command::DeleteAccount { session, credential_version })
                .map(|command| self.submit(label, command)),
            "change-password" => self.change_password(label, args),
            "renew" => {
                self.session(label).map(|(session, _)| Command::RenewSession { session }).map(|c| self.submit(label, c))
            }
            "open-instance" => self.open_instance(label, args),
            "send" | "reply" => self.send(label, line.name == "reply", args),
            "read" => self.mark_read(label, args),
            "delete" => self.delete(label, args),
            "edit" => self.edit(label, args),
            "react" => self.react(label, args),
            "delivered" => self.delivered(label, args),
            "begin" | "put" | "finish" | "discard" => self.upload(label, &line.name, args),
            "retry" => {
                self.last.get(label).cloned().ok_or_else(|| "nothing to retry".into()).map(|c| self.submit(label, c))
            }
            _ => return self.change_room(label, line, args),
        })
    }

    fn session(&self, label: &str) -> Result<(threefold_core::TokenHash, u64), Box<dyn Error>> {
        let device = self.device(label)?;
        let account = query::account(&self.world.store, device.account)?.ok_or("no account")?;
        Ok((device.token, account.credential_version))
    }

    fn register(&mut self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let name = args.next_pos().map_or(label, |argument| &argument.value);
        let (command, _) = self.world.register_command(name);
        Ok(self.submit(label, command))
    }

    fn log_in(&mut self, label: &str) -> Said {
        let (person, device) = label.split_once('/').unwrap_or((label, "another"));
        let account = self.account(person)?;
        let credential_version = query::account(&self.world.store, account)?.ok_or("no account")?.credential_version;
        let token_hash = self.world.fresh_token();
        // A fresh log-in takes the place of the device's old session.
        self.devices.remove(label);
        let device = device.to_owned();
        Ok(self.submit(label, Command::LogIn { account, credential_version, token_hash, device }))
    }

    fn end_session(&mut self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let target = self.device(&args.next_pos().ok_or("which device?")?.value)?.session;
        let session = self.device(label)?.token;
        Ok(self.submit(label, Command::EndSession { session, target: Some(target) }))
    }

    fn change_password(&mut self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let (session, current) = self.session(label)?;
        let credential_version = args.lookup_parse("version")?.unwrap_or(current);
        let password_hash = format!("another hash after {current}");
        Ok(self.submit(label, Command::ChangePassword { session, credential_version, password_hash }))
    }

    fn open_instance(&mut self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let nonce = args.lookup_parse("nonce")?.ok_or("which nonce?")?;
        let session = self.device(label)?.token;
        Ok(self.submit(label, Command::OpenInstance { session, nonce }))
    }

    fn send(&mut self, label: &str, by_conversation: bool, args: &mut ArgumentConsumer<'_>) -> Said {
        let to = args.next_pos().ok_or("to whom?")?.value.clone();
        let text = args.next_pos().ok_or("what?")?.value.clone();
        let repeat: usize = args.lookup_parse("times")?.unwrap_or(1);
        let mut operation =
            if by_conversation { send_in(self.conversation(label, &to)?, &text) } else { send_to(&to, &text) };
        if let (Operation::SendMessage { reply_to, .. }, Some(answered)) = (&mut operation, args.lookup("to")) {
            *reply_to = Some(self.message(&answered.value)?);
        }
        if let (Some(files), Operation::SendMessage { attachments, .. }) = (args.lookup("with"), &mut operation) {
            *attachments = Some(files.value.split(',').map(|file| self.file(file).0).collect());
        }
        let mut said = self.write(label, args, operation.clone())?;
        for _ in 1..repeat {
            said = self.write(label, args, operation.clone())?;
        }
        Ok(said)
    }

    fn mark_read(&mut self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let conversation = self.conversation(label, &args.next_pos().ok_or("where?")?.value)?;
        let up_to = self.message(&args.next_pos().ok_or("up to which message?")?.value)?;
        self.write(label, args, Operation::MarkRead { conversation, up_to })
    }

    fn delete(&mut self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let conversation = self.conversation(label, &args.next_pos().ok_or("where?")?.value)?;
        let scope = match args.lookup("for").map(|argument| argument.value.as_str()) {
            Some("me") => DeleteScope::Me,
            Some("everyone") => DeleteScope::Everyone,
            _ => return Err("for=me or for=everyone?".into()),
        };
        let messages =
            args.rest_pos().iter().map(|argument| self.message(&argument.value)).collect::<Result<_, _>>()?;
        self.write(label, args, Operation::DeleteMessages { conversation, messages, scope })
    }

    fn edit(&mut self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let conversation = self.conversation(label, &args.next_pos().ok_or("where?")?.value)?;
        let message = self.message(&args.next_pos().ok_or("which message?")?.value)?;
        let body = args.next_pos().ok_or("what?")?.value.clone();
        self.write(label, args, Operation::EditMessage { conversation, message, body })
    }

    fn react(&mut self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let conversation = self.conversation(label, &args.next_pos().ok_or("where?")?.value)?;
        let message = self.message(&args.next_pos().ok_or("to which message?")?.value)?;
        let emoji = args.next_pos().ok_or("with what?")?.value.clone();
        let add = args.lookup_parse("add")?.unwrap_or(true);
        self.write(label, args, Operation::React { conversation, message, emoji, add })
    }

    fn delivered(&mut self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let up_to = self.message(&args.next_pos().ok_or("up to which message?")?.value)?;
        self.write(label, args, Operation::MarkDelivered { up_to })
    }

    fn look(&mut self, label: &str, line: &Line, args: &mut ArgumentConsumer<'_>) -> Option<Said> {
        Some(match line.name.as_str() {
            "history" => self.history(label, args),
            "show" => self.show(label, args),
            "reactions" => self.reactions(label, args),
            "conversations" => self.conversations(label, false),
            "unread" => self.conversations(label, true),
            "sync" => self.sync(label),
            "sessions" => self.sessions(label),
            "files" => self.files(label, args),
            "usage" => self.usage(label),
            "whoami" => self.who_am_i(label),
            "rooms" => self.list_rooms(label, args),
            "members" => self.list_members(label, args),
            "invitations" => self.list_invitations(label),
            _ => return None,
        })
    }

    fn history(&self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let conversation = self.conversation(label, &args.next_pos().ok_or("with whom?")?.value)?;
        let message = |argument: &goldenscript::Argument| self.message(&argument.value);
        let mut page = match (args.lookup("before").map(message), args.lookup("after").map(message)) {
            (Some(before), _) => Page::Before(Some(before?)),
            (None, Some(after)) => Page::After(after?.position()),
            (None, None) => Page::Before(None),
        };
        if let Some(around) = args.lookup("around").map(message) {
            page = Page::Around(around?);
        }
        if let Some(ms) = args.lookup_parse::<u64>("at")? {
            page = Page::At(World::new().time_ms + ms);
        }
        let limit = args.lookup_parse("limit")?.unwrap_or(50);
        let reader = self.device(label)?.account;
        match query::history(&self.world.store, reader, conversation, page, limit)? {
            Ok(found) => {
                let lines = found.items.iter().map(|shown| self.describe_shown(shown));
                let more = match page {
                    Page::Before(_) => found.older,
                    Page::After(_) | Page::At(_) => found.newer,
                    Page::Around(_) => found.older || found.newer,
                };
                Ok(listed(lines.chain(more.then(|| "...".to_owned()))))
            }
            Err(rejection) => Ok(format!("refused: {rejection}")),
        }
    }

    fn show(&self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let conversation = self.conversation(label, &args.next_pos().ok_or("with whom?")?.value)?;
        let rest = args.rest_pos();
        let ids: Vec<_> = rest.iter().map(|argument| self.message(&argument.value)).collect::<Result<_, _>>()?;
        match query::messages(&self.world.store, self.device(label)?.account, conversation, &ids)? {
            Ok(found) => Ok(listed(found.iter().map(|shown| self.describe_shown(shown)))),
            Err(rejection) => Ok(format!("refused: {rejection}")),
        }
    }

    /// In pages of the given length, all of them.
    fn reactions(&self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let conversation = self.conversation(label, &args.next_pos().ok_or("with whom?")?.value)?;
        let message = self.message(&args.next_pos().ok_or("to which message?")?.value)?;
        let emoji = args.lookup("emoji").map(|argument| argument.value.clone());
        let (limit, reader) = (args.lookup_parse("limit")?.unwrap_or(50), self.device(label)?.account);
        let mut found: Vec<query::ReactedBy> = Vec::new();
        loop {
            let after = found.last().map(|last| (last.emoji.as_str(), last.account));
            let (store, emoji) = (&self.world.store, emoji.as_deref());
            let page = match query::reactions(store, reader, conversation, message, emoji, after, limit)? {
                Ok(page) => page,
                Err(rejection) => return Ok(format!("refused: {rejection}")),
            };
            found.extend(page.items);
            if !page.more {
                return Ok(listed(found.iter().map(|by| format!("{} {}", by.emoji, self.person(by.account)))));
            }
        }
    }

    fn conversations(&self, label: &str, unread_only: bool) -> Said {
        let reader = self.device(label)?.account;
        let found = query::conversations(&self.world.store, reader, unread_only, None, 200)?.items;
        Ok(listed(found.iter().map(|conversation| self.describe_conversation(conversation))))
    }

    fn sync(&mut self, label: &str) -> Said {
        let reader = self.device(label)?.account;
        let mut lines = Vec::new();
        let mut reached = self.cursors.get(label).copied().unwrap_or_default();
        // In small pages: however it is cut, a device hears the same.
        while reached < self.world.position() {
            let page = self.world.catch_up(reader, reached, 2);
            lines.extend(page.events.iter().map(|event| self.describe_event(event)));
            reached = page.reached;
        }
        self.cursors.insert(label.to_owned(), reached);
        Ok(listed(lines.into_iter()))
    }

    fn sessions(&self, label: &str) -> Said {
        let found = query::sessions(&self.world.store, self.device(label)?.account)?;
        Ok(listed(found.iter().map(|session| session.device.clone())))
    }

    fn who_am_i(&self, label: &str) -> Said {
        let device = self.device(label)?;
        let Some(session) = query::session(&self.world.store, &device.token)? else {
            return Ok("nobody".to_owned());
        };
        let account = query::account(&self.world.store, session.account)?.ok_or("no account")?;
        let role = if account.administrator { ", administrator" } else { "" };
        let delivered = self.describe_position(account.delivered_up_to);
        Ok(format!("{} on {}{role}, delivered up to {delivered}", account.name.unwrap_or_default(), session.device))
    }

    fn search(&self, args: &mut ArgumentConsumer<'_>) -> Said {
        let pattern = args.next_pos().map_or("", |argument| &argument.value);
        let after = args.lookup("after").map(|argument| argument.value.as_str());
        let limit = args.lookup_parse("limit")?.unwrap_or(50);
        let found = query::search_accounts(&self.world.store, pattern, after, limit)?;
        let names = found.items.into_iter().filter_map(|account| account.name);
        let names: Vec<_> = names.chain(found.more.then(|| "...".to_owned())).collect();
        Ok(if names.is_empty() { "nobody".to_owned() } else { names.join(", ") })
    }

    fn turn(&mut self, line: &Line, args: &mut ArgumentConsumer<'_>) -> Option<Said> {
        Some(match line.name.as_str() {
            "search" => self.search(args),
            "advance" => {
                args.lookup_parse("days").and_then(|days| Ok((days, args.lookup_parse("ms")?))).map(|(days, ms)| {
                    self.world.time_ms += days.unwrap_or(0) * 24 * 60 * 60 * 1000 + ms.unwrap_or(0);
                    String::new()
                })
            }
            "rewind" => args.lookup_parse("ms").map(|ms| {
                self.world.time_ms -= ms.unwrap_or(0);
                String::new()
            }),
            "failover" => {
                self.fail_over();
                Ok("another server has the same state".to_owned())
            }
            _ => return None,
        })
    }
}

fn listed(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n") }
}

impl Runner for Stage {
    fn run(&mut self, line: &Line) -> Said {
        let mut args = line.consume_args();
        let unknown = || Err(format!("no such command: {}", line.name).into());
        match line.prefix.clone() {
            None => self.turn(line, &mut args).unwrap_or_else(unknown),
            Some(label) => match self.change(&label, line, &mut args) {
                Some(said) => said,
                None => self.look(&label, line, &mut args).unwrap_or_else(unknown),
            },
        }
    }
}
