//! What the fake's servers agree on: accounts, sessions, instances with remembered replies, and one log of events.

use std::collections::{BTreeMap, BTreeSet};

use threefold_proto::chat::{
    self, Done, Error, ErrorCode, Event, Message, MessageEdited, MessageSent, MessagesDeleted, ReadMarkerMoved,
    Recipient, RequestId, Write, event::Body, recipient::To, write::Operation, write_result::Result as Answer,
};

/// Places in an entry.
const PLACES: u64 = 4096;

#[derive(Clone, Debug)]
pub struct Account {
    pub id: u64,
    pub name: String,
    pub password: String,
    pub delivered_up_to: u64,
}

#[derive(Clone, Debug)]
pub struct SessionEntry {
    pub id: u64,
    pub account: u64,
    pub device: String,
    pub first_instance: u64,
}

#[derive(Clone, Debug, Default)]
struct Instance {
    session: u64,
    answered: Vec<(Operation, Answer)>,
    /// The client has had the answers to so many.
    forgotten: u64,
}

/// The state. Fields are open for tests to look at and to break; a clone is what a backup is.
#[derive(Clone, Debug)]
pub struct State {
    pub accounts: Vec<Account>,
    pub sessions: BTreeMap<Vec<u8>, SessionEntry>,
    instances: BTreeMap<u64, Instance>,
    nonces: BTreeMap<u64, u64>,
    /// Each with the accounts that may see it.
    pub events: Vec<(BTreeSet<u64>, Event)>,
    /// Conversations: their two accounts.
    pub conversations: BTreeMap<u64, [u64; 2]>,
    /// (account, conversation) to the last message read.
    pub read: BTreeMap<(u64, u64), u64>,
    pub recovery_id: Vec<u8>,
    index: u64,
    /// Accounts with a subscription, with how many.
    pub online: BTreeMap<u64, usize>,
    /// Calls of OpenInstance.
    pub instances_opened: u64,
    /// Cursors of all subscriptions so far.
    pub subscriptions: Vec<u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            sessions: BTreeMap::new(),
            instances: BTreeMap::new(),
            nonces: BTreeMap::new(),
            events: Vec::new(),
            conversations: BTreeMap::new(),
            read: BTreeMap::new(),
            recovery_id: vec![1],
            index: 0,
            online: BTreeMap::new(),
            instances_opened: 0,
            subscriptions: Vec::new(),
        }
    }
}

pub(super) fn refusal(code: ErrorCode, message: &str) -> Error {
    Error { code: code.into(), message: message.to_owned(), expected: 0, retry_after_ms: 0 }
}

impl State {
    /// The end of the log.
    pub fn position(&self) -> u64 {
        self.index * PLACES + PLACES - 1
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.index += 1;
        self.index * PLACES
    }

    /// Forgets all instances, as if newer ones had pushed them out.
    pub fn evict_instances(&mut self) {
        self.instances.clear();
        self.nonces.clear();
    }

    pub fn account_named(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name.eq_ignore_ascii_case(name))
    }

    pub fn name_of(&self, id: u64) -> String {
        self.accounts.iter().find(|account| account.id == id).map(|account| account.name.clone()).unwrap_or_default()
    }

    /// The bodies of all messages, oldest first.
    pub fn bodies(&self) -> Vec<String> {
        self.messages().map(|message| message.body.clone()).collect()
    }

    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.events.iter().filter_map(|(_, event)| match &event.body {
            Some(Body::Message(message)) => Some(message),
            _ => None,
        })
    }

    pub(super) fn open_session(&mut self, account: u64, token: &[u8], device: &str) -> SessionEntry {
        let id = self.next_id();
        let first_instance = self.new_instance(id);
        let session = SessionEntry { id, account, device: device.to_owned(), first_instance };
        self.sessions.insert(token.to_vec(), session.clone());
        session
    }

    fn new_instance(&mut self, session: u64) -> u64 {
        self.instances_opened += 1;
        let id = self.instances_opened;
        self.instances.insert(id, Instance { session, ..Instance::default() });
        id
    }

    pub(super) fn instance_for(&mut self, session: u64, nonce: u64) -> u64 {
        if let Some(known) = self.nonces.get(&nonce) {
            return *known;
        }
        let id = self.new_instance(session);
        self.nonces.insert(nonce, id);
        id
    }

    /// Carries out a write once, in order.
    pub(super) fn write(&mut self, session: &SessionEntry, write: &Write) -> Answer {
        let (Some(RequestId { instance, number }), Some(operation)) = (write.request, write.operation.clone()) else {
            return Answer::Error(refusal(ErrorCode::Invalid, "incomplete"));
        };
        let Some(known) = self.instances.get(&instance).filter(|known| known.session == session.id) else {
            return Answer::Error(refusal(ErrorCode::UnknownInstance, "unknown instance"));
        };
        let expected = known.answered.len() as u64 + 1;
        if number > expected {
            let error = refusal(ErrorCode::OutOfOrder, "out of order");
            return Answer::Error(Error { expected, ..error });
        }
        if number <= known.forgotten {
            return Answer::Error(refusal(ErrorCode::ReplyForgotten, "forgotten"));
        }
        if let Some((before, answer)) = known.answered.get(usize::try_from(number - 1).unwrap_or(usize::MAX)) {
            let same = *before == operation;
            return if same { answer.clone() } else { Answer::Error(refusal(ErrorCode::RequestMismatch, "mismatch")) };
        }
        let answer = self.run(session.account, &operation).unwrap_or_else(Answer::Error);
        if let Some(known) = self.instances.get_mut(&instance) {
            known.answered.push((operation, answer.clone()));
            known.forgotten = known.forgotten.max(write.answered.min(number - 1));
        }
        answer
    }

    /// The replies that clients may still ask for, as far as they have said.
    #[must_use]
    pub fn replies_kept(&self) -> u64 {
        self.instances.values().map(|instance| instance.answered.len() as u64 - instance.forgotten).sum()
    }

    fn run(&mut self, account: u64, operation: &Operation) -> Result<Answer, Error> {
        match operation {
            Operation::Send(send) => self.send(account, send),
            Operation::MarkRead(mark) => self.mark_read(account, mark),
            Operation::Delete(delete) => {
                self.delete(account, delete)?;
                Ok(Answer::Done(Done { position: self.position() }))
            }
            Operation::MarkDelivered(mark) => {
                self.next_id();
                if let Some(account) = self.accounts.iter_mut().find(|known| known.id == account) {
                    account.delivered_up_to = account.delivered_up_to.max(mark.up_to);
                }
                Ok(Answer::Done(Done { position: self.position() }))
            }
            Operation::SetDisplayName(_) | Operation::Administer(_) => {
                Err(refusal(ErrorCode::Invalid, "the fake cluster does not do that"))
            }
            Operation::Edit(edit) => self.edit(account, edit),
            Operation::React(_) => Err(refusal(ErrorCode::Internal, "the fake knows no reactions")),
            Operation::CreateRoom(_)
            | Operation::JoinRoom(_)
            | Operation::LeaveRoom(_)
            | Operation::InviteToRoom(_)
            | Operation::RemoveFromRoom(_)
            | Operation::SetRole(_)
            | Operation::ChangeRoom(_)
            | Operation::DeclineInvitation(_) => Err(refusal(ErrorCode::Internal, "the fake has no rooms")),
            Operation::CreateBot(_)
            | Operation::SetBotToken(_)
            | Operation::DeleteBot(_)
            | Operation::CreateWebhook(_)
            | Operation::DeleteWebhook(_) => Err(refusal(ErrorCode::Internal, "the fake has no bots")),
        }
    }

    fn edit(&mut self, by: u64, edit: &chat::EditMessage) -> Result<Answer, Error> {
        let message = self.messages().find(|message| message.id == edit.message);
        let message = message.ok_or_else(|| refusal(ErrorCode::UnknownMessage, "no such message"))?;
        if message.author != by {
            return Err(refusal(ErrorCode::Forbidden, "not yours"));
        }
        let conversation = message.conversation;
        let (id, by_name) = (self.next_id(), self.name_of(by));
        for (_, event) in &mut self.events {
            if let Some(Body::Message(message)) = &mut event.body
                && message.id == edit.message
            {
                message.body.clone_from(&edit.body);
                message.edited_at_ms = id;
            }
        }
        let members = self.conversations.get(&conversation).copied().unwrap_or_default();
        let body = edit.body.clone();
        let edited = MessageEdited { conversation, message: edit.message, by, by_name, body, ..Default::default() };
        self.events.push((members.into(), Event { id, time_ms: id, body: Some(Body::MessageEdited(edited)) }));
        Ok(Answer::Done(Done { position: self.position() }))
    }

    fn send(&mut self, author: u64, send: &chat::SendMessage) -> Result<Answer, Error> {
        let id = self.next_id();
        let conversation = match self.find(author, send.to.as_ref()) {
            Ok(conversation) => conversation,
            Err(error) => {
                let peer = match send.to.as_ref().and_then(|to| to.to.as_ref()) {
                    Some(To::User(name)) => self.account_named(name).map(|account| account.id),
                    _ => None,
                };
                self.conversations.insert(id, [author, peer.ok_or(error)?]);
                id
            }
        };
        let members = self.conversations.get(&conversation).copied().unwrap_or_default();
        let number = self.messages().filter(|message| message.conversation == conversation).count() as u64 + 1;
        let author_name = self.name_of(author);
        let message = Message {
            id,
            time_ms: id,
            conversation,
            author,
            author_name,
            body: send.body.clone(),
            number,
            reply_to: send.reply_to,
            ..Message::default()
        };
        let event = Event { id, time_ms: id, body: Some(Body::Message(message)) };
        self.events.push((members.into(), event));
        Ok(Answer::Sent(MessageSent { conversation, id, time_ms: id }))
    }

    fn mark_read(&mut self, account: u64, mark: &chat::MarkRead) -> Result<Answer, Error> {
        let conversation = self.find(account, mark.r#in.as_ref())?;
        let newest =
            self.messages().filter(|message| message.conversation == conversation).map(|message| message.id).max();
        let up_to = if mark.up_to == 0 { newest.unwrap_or_default() } else { mark.up_to };
        self.read.insert((account, conversation), up_to);
        let id = self.next_id();
        let moved = ReadMarkerMoved { conversation, up_to, unread: self.unread(account, conversation) };
        let event = Event { id, time_ms: id, body: Some(Body::ReadMarkerMoved(moved)) };
        self.events.push(([account].into(), event));
        Ok(Answer::Done(Done { position: self.position() }))
    }

    fn delete(&mut self, by: u64, delete: &chat::DeleteMessages) -> Result<(), Error> {
        let unknown = || refusal(ErrorCode::UnknownMessage, "no such message");
        for id in &delete.messages {
            let message = self.messages().find(|message| message.id == *id).ok_or_else(unknown)?;
            if delete.for_everyone && message.author != by {
                return Err(refusal(ErrorCode::Forbidden, "not yours"));
            }
        }
        let first = self.messages().find(|message| message.id == delete.messages[0]).ok_or_else(unknown)?;
        let conversation = first.conversation;
        let members = self.conversations.get(&conversation).copied().unwrap_or_default();
        for (_, event) in &mut self.events {
            if let Some(Body::Message(message)) = &mut event.body
                && delete.messages.contains(&message.id)
            {
                message.body.clear();
                message.deleted = true;
            }
        }
        let id = self.next_id();
        let deleted = MessagesDeleted { conversation, by, messages: delete.messages.clone() };
        self.events.push((members.into(), Event { id, time_ms: id, body: Some(Body::MessagesDeleted(deleted)) }));
        Ok(())
    }

    /// The conversation meant, of this account.
    pub(super) fn find(&self, account: u64, place: Option<&Recipient>) -> Result<u64, Error> {
        let unknown = refusal(ErrorCode::UnknownConversation, "no such conversation");
        match place.and_then(|place| place.to.as_ref()) {
            Some(To::Conversation(id)) => {
                let members = self.conversations.get(id).ok_or_else(|| unknown.clone())?;
                if members.contains(&account) { Ok(*id) } else { Err(unknown) }
            }
            Some(To::User(name)) => {
                let peer = self
                    .account_named(name)
                    .ok_or_else(|| refusal(ErrorCode::UnknownUser, &format!("no such user: {name}")))?
                    .id;
                let same = |members: &[u64; 2]| *members == [account, peer] || *members == [peer, account];
                self.conversations.iter().find(|(_, members)| same(members)).map(|(id, _)| *id).ok_or(unknown)
            }
            Some(To::Room(name)) => Err(refusal(ErrorCode::UnknownRoom, &format!("no such room: #{name}"))),
            None => Err(refusal(ErrorCode::Invalid, "no recipient")),
        }
    }

    pub(super) fn unread(&self, account: u64, conversation: u64) -> u64 {
        let read = self.read.get(&(account, conversation)).copied().unwrap_or_default();
        let unread =
            |message: &&Message| message.conversation == conversation && message.id > read && message.author != account;
        self.messages().filter(unread).count() as u64
    }

    /// A message as this account sees it.
    pub(super) fn seen_by(&self, account: u64, message: &Message) -> Message {
        let members = self.conversations.get(&message.conversation).copied().unwrap_or_default();
        let peer = members.into_iter().find(|member| *member != account).unwrap_or(account);
        Message { peer_name: self.name_of(peer), ..message.clone() }
    }
}
