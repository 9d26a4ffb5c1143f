//! Random scenarios: steps in small numbers, resolved against what has happened so far.
//!
//! Few people, few devices and small numbers, so that commands meet: names taken, retries, gaps, deletions of
//! what was deleted, people who are gone.

use std::collections::BTreeMap;

use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{TestCaseError, TestCaseResult},
};
use threefold_core::{
    AccountId, AdministratorAction, AttachmentId, BotAction, Command, ContentHash, ConversationId, DeleteScope,
    EventId, Operation, Recipient, Rejection, Reply, RequestId, RequestName, Role, SessionId, TokenHash,
    bounds::DEFAULT_QUOTA_BYTES, content::Digest, query,
};

use crate::world::World;

const NAMES: [&str; 4] = ["ann", "bob", "CY", "dora"];
const ROOMS: [&str; 2] = ["tea", "Den"];

/// One step, in small numbers that are resolved against what has happened so far.
#[derive(Clone, Debug)]
pub enum Step {
    Register {
        name: usize,
    },
    LogIn {
        person: usize,
    },
    EndSession {
        device: usize,
        target: Option<usize>,
    },
    DeleteAccount {
        device: usize,
    },
    ChangePassword {
        device: usize,
    },
    Renew {
        device: usize,
    },
    OpenInstance {
        device: usize,
        nonce: u64,
    },
    Write {
        device: usize,
        instance: u64,
        skew: i64,
        answered: Option<u64>,
        name: Option<u64>,
        what: What,
    },
    Retry {
        back: usize,
    },
    Post {
        webhook: usize,
        name: u64,
    },
    /// The next command of an upload: it is begun, put there, finished.
    Upload {
        device: usize,
    },
    Wait {
        ms: u64,
    },
}

#[derive(Clone, Debug)]
pub enum What {
    Send { name: usize, body: &'static str },
    Reply { message: usize },
    Read { message: usize, off: i64 },
    Delete { messages: Vec<usize>, everyone: bool },
    Delivered { message: usize },
    Edit { message: usize, body: usize },
    RemoveText { message: usize },
    React { message: usize, emoji: usize, add: bool },
    DisplayName { name: &'static str },
    Administer { name: usize, action: AdministratorAction },
    Room { room: usize, person: usize, what: InRoom },
    Bot { name: usize, action: BotAction },
    Webhook { room: usize, name: usize },
    DeleteWebhook { webhook: usize },
}

/// What posts to every webhook, and logs in every bot.
const TOKEN: TokenHash = TokenHash([9; 32]);

fn bot_action() -> impl Strategy<Value = BotAction> {
    use BotAction::{Create, Delete, SetToken};
    select(vec![
        Create { token: TOKEN },
        Create { token: TOKEN },
        SetToken { token: Some(TOKEN) },
        SetToken { token: None },
        Delete,
    ])
}

fn action() -> impl Strategy<Value = AdministratorAction> {
    use AdministratorAction::{Delete, Disable, Enable, FreeName, Grant, ResetPassword, Revoke};
    let reset = || ResetPassword { password_hash: "given".to_owned() };
    select(vec![Disable, Enable, Enable, reset(), Delete, FreeName, FreeName, Grant, Revoke])
}

/// What is edited into messages; each text a word that stands nowhere else.
pub const EDITS: [&str; 5] = ["quince", "medlar @ann", "sloe @bob @dora", "damson @CY @ann.", ""];
const EMOJI: [&str; 3] = ["👍", "🎉", "+1"];

#[derive(Clone, Debug)]
pub enum InRoom {
    Create { public: bool },
    Join,
    Leave,
    Say,
    Invite,
    Remove,
    Decline,
    Role { role: Role },
    Publish { public: bool },
    Rename { to: usize },
}

fn in_room() -> impl Strategy<Value = InRoom> {
    prop_oneof![
        3 => any::<bool>().prop_map(|public| InRoom::Create { public }),
        6 => Just(InRoom::Join),
        3 => Just(InRoom::Leave),
        8 => Just(InRoom::Say),
        4 => Just(InRoom::Invite),
        2 => Just(InRoom::Remove),
        1 => Just(InRoom::Decline),
        2 => select(vec![Role::Member, Role::Moderator, Role::Owner]).prop_map(|role| InRoom::Role { role }),
        1 => any::<bool>().prop_map(|public| InRoom::Publish { public }),
        1 => (0..ROOMS.len()).prop_map(|to| InRoom::Rename { to }),
    ]
}

fn room_operation(room: usize, person: usize, what: &InRoom) -> Operation {
    let (name, room) = (ROOMS[room].to_owned(), Recipient::Room(ROOMS[room].to_owned()));
    let (user, topic) = (NAMES[person].to_owned(), None);
    match what {
        InRoom::Create { public } => Operation::CreateRoom { name, topic: String::new(), public: *public },
        InRoom::Join => Operation::JoinRoom { room },
        InRoom::Leave => Operation::LeaveRoom { room },
        InRoom::Say => {
            Operation::SendMessage { to: room, body: "to all, @ann".to_owned(), reply_to: None, attachments: None }
        }
        InRoom::Invite => Operation::InviteToRoom { room, user },
        InRoom::Remove => Operation::RemoveFromRoom { room, user },
        InRoom::Decline => Operation::DeclineInvitation { room },
        InRoom::Role { role } => Operation::SetRole { room, user, role: *role },
        InRoom::Publish { public } => Operation::ChangeRoom { room, name: None, topic, public: Some(*public) },
        InRoom::Rename { to } => Operation::ChangeRoom { room, name: Some(ROOMS[*to].to_owned()), topic, public: None },
    }
}

fn what() -> impl Strategy<Value = What> {
    let message = 0usize..10;
    prop_oneof![
        6 => (0..NAMES.len(), select(vec!["x", "hello", "tea?", "@bob @ann", ""])).prop_map(|(name, body)| What::Send { name, body }),
        4 => message.clone().prop_map(|message| What::Reply { message }),
        3 => (message.clone(), -1i64..2).prop_map(|(message, off)| What::Read { message, off }),
        3 => (vec(0usize..8, 1..4), any::<bool>())
            .prop_map(|(messages, everyone)| What::Delete { messages, everyone }),
        1 => select(vec!["Ann Ö.", "", " "]).prop_map(|name| What::DisplayName { name }),
        1 => (0..NAMES.len(), action()).prop_map(|(name, action)| What::Administer { name, action }),
        1 => message.clone().prop_map(|message| What::Delivered { message }),
        3 => (message.clone(), 0..EDITS.len()).prop_map(|(message, body)| What::Edit { message, body }),
        3 => (0usize..2).prop_map(|message| What::RemoveText { message }),
        3 => (message, 0..EMOJI.len(), any::<bool>())
            .prop_map(|(message, emoji, add)| What::React { message, emoji, add }),
        8 => (0..ROOMS.len(), 0..NAMES.len(), in_room())
            .prop_map(|(room, person, what)| What::Room { room, person, what }),
        1 => (0..NAMES.len(), bot_action()).prop_map(|(name, action)| What::Bot { name, action }),
        1 => (0..ROOMS.len(), 0..NAMES.len()).prop_map(|(room, name)| What::Webhook { room, name }),
        1 => (0usize..3).prop_map(|webhook| What::DeleteWebhook { webhook }),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    let device = 0usize..5;
    let instance = prop_oneof![9 => Just(1u64), 1 => 2u64..4];
    let skew = prop_oneof![12 => Just(0i64), 1 => -2i64..3];
    let answered = proptest::option::of(0u64..4);
    let name = proptest::option::weighted(0.2, 0u64..8);
    prop_oneof![
        2 => (0..NAMES.len()).prop_map(|name| Step::Register { name }),
        3 => (0usize..4).prop_map(|person| Step::LogIn { person }),
        2 => (device.clone(), proptest::option::of(device.clone()))
            .prop_map(|(device, target)| Step::EndSession { device, target }),
        1 => device.clone().prop_map(|device| Step::DeleteAccount { device }),
        1 => device.clone().prop_map(|device| Step::ChangePassword { device }),
        2 => device.clone().prop_map(|device| Step::Renew { device }),
        2 => (device.clone(), 0u64..3).prop_map(|(device, nonce)| Step::OpenInstance { device, nonce }),
        100 => (device, instance, skew, answered, name, what()).prop_map(|(device, instance, skew, answered, name, what)| {
            Step::Write { device, instance, skew, answered, name, what }
        }),
        6 => (0usize..8).prop_map(|back| Step::Retry { back }),
        3 => (0usize..3, 0u64..6).prop_map(|(webhook, name)| Step::Post { webhook, name }),
        12 => (0usize..5).prop_map(|device| Step::Upload { device }),
        2 => (0u64..20 * 24 * 60 * 60 * 1000).prop_map(|ms| Step::Wait { ms }),
    ]
}

/// What is in every file.
const CONTENT: &[u8] = b"words";

/// An upload on its way.
struct Upload {
    session: TokenHash,
    nonce: u64,
    attachment: Option<AttachmentId>,
    is_there: bool,
}

impl Upload {
    /// What is due.
    fn command(&self) -> Command {
        let Self { session, nonce, .. } = *self;
        let (sha256, chain) = {
            let mut digest = Digest::default();
            digest.chunk(CONTENT);
            digest.finish()
        };
        match self.attachment {
            None => {
                let (name, content_type) = ("words.txt".to_owned(), "text/plain".to_owned());
                let (bytes, quota_bytes) = (CONTENT.len() as u64, DEFAULT_QUOTA_BYTES);
                Command::BeginAttachment { session, nonce, name, content_type, bytes, quota_bytes }
            }
            Some(attachment) if !self.is_there => {
                let (hash, content) = (ContentHash::of(CONTENT), CONTENT.to_vec());
                Command::PutChunk { session, attachment, offset: 0, hash, content }
            }
            Some(attachment) => Command::FinishAttachment { session, attachment, sha256, chain, content_type: None },
        }
    }
}

/// What the steps' small numbers stand for.
#[derive(Default)]
pub struct Cast {
    pub people: Vec<AccountId>,
    devices: Vec<TokenHash>,
    sessions: Vec<SessionId>,
    numbers: BTreeMap<(TokenHash, u64), u64>,
    pub messages: Vec<(ConversationId, EventId)>,
    webhooks: Vec<AccountId>,
    upload: Option<Upload>,
    /// Files that may be attached, and whose they are.
    files: Vec<(AccountId, AttachmentId)>,
    /// Messages that have some, by whom and where.
    with_files: Vec<(AccountId, ConversationId, EventId)>,
    commands: Vec<Command>,
}

impl Cast {
    /// Mostly one that is logged in: the others are all refused alike.
    fn device(&self, world: &World, index: usize) -> TokenHash {
        let live = self.devices.iter().filter(|token| query::session(&world.store, token).unwrap().is_some());
        let latest = self.devices.last().copied().unwrap_or(TokenHash::of(b"nobody's"));
        live.copied().nth(index).unwrap_or(latest)
    }

    /// Counted from the latest, so that commands meet; of a conversation the device is in, while there are enough.
    fn message(&self, world: &World, session: TokenHash, index: usize) -> (ConversationId, EventId) {
        let account = query::session(&world.store, &session).unwrap().map(|session| session.account);
        let own = |conversation| {
            account.is_some_and(|account| query::conversation(&world.store, account, conversation).unwrap().is_ok())
        };
        let mut known = self.messages.iter().rev().filter(|(conversation, _)| own(*conversation));
        known.nth(index).or(self.messages.last()).copied().unwrap_or((ConversationId(1), EventId(1)))
    }

    fn operation(&self, world: &World, session: TokenHash, what: &What) -> Operation {
        match what {
            What::Send { name, body } => {
                let to = Recipient::User(NAMES[*name].to_owned());
                let author = query::session(&world.store, &session).unwrap().map(|session| session.account);
                let own = self.files.iter().find(|(owner, _)| Some(*owner) == author);
                let attachments = own.map(|(_, attachment)| vec![*attachment]);
                Operation::SendMessage { to, body: (*body).to_owned(), reply_to: None, attachments }
            }
            What::Reply { message } => {
                let (conversation, event) = self.message(world, session, *message);
                let to = Recipient::Conversation(conversation);
                // An answer to the message, or just to the conversation.
                let reply_to = (*message % 2 == 0).then_some(event);
                Operation::SendMessage { to, body: "re".to_owned(), reply_to, attachments: None }
            }
            What::Read { message, off } => {
                let (conversation, event) = self.message(world, session, *message);
                Operation::MarkRead { conversation, up_to: EventId(event.0.saturating_add_signed(*off)) }
            }
            What::Delete { messages, everyone } => Operation::DeleteMessages {
                conversation: self.message(world, session, messages.first().copied().unwrap_or_default()).0,
                messages: messages.iter().map(|message| self.message(world, session, *message).1).collect(),
                scope: if *everyone { DeleteScope::Everyone } else { DeleteScope::Me },
            },
            What::Delivered { message } => Operation::MarkDelivered { up_to: self.message(world, session, *message).1 },
            What::DisplayName { name } => Operation::SetDisplayName { display_name: (*name).to_owned() },
            What::Administer { name, action } => {
                let (name, action) = (NAMES[*name].to_owned(), action.clone());
                Operation::Administer { name, action, by_configuration: false }
            }
            What::Edit { message, body } => {
                let (conversation, message) = self.message(world, session, *message);
                match EDITS[*body] {
                    "" => Operation::RemoveText { conversation, message },
                    body => Operation::EditMessage { conversation, message, body: body.to_owned() },
                }
            }
            What::RemoveText { message } => {
                let account = query::session(&world.store, &session).unwrap().map(|session| session.account);
                let own = self.with_files.iter().rev().filter(|(author, ..)| Some(*author) == account);
                let own = own.map(|(_, conversation, message)| (*conversation, *message)).nth(*message);
                let (conversation, message) = own.unwrap_or_else(|| self.message(world, session, *message));
                Operation::RemoveText { conversation, message }
            }
            What::React { message, emoji, add } => {
                let (conversation, message) = self.message(world, session, *message);
                Operation::React { conversation, message, emoji: EMOJI[*emoji].to_owned(), add: *add }
            }
            What::Room { room, person, what } => room_operation(*room, *person, what),
            What::Bot { name, action } => Operation::ManageBot { name: NAMES[*name].to_owned(), action: *action },
            What::Webhook { room, name } => {
                let (room, name) = (Recipient::Room(ROOMS[*room].to_owned()), NAMES[*name].to_owned());
                Operation::CreateWebhook { room, name, token: TOKEN }
            }
            What::DeleteWebhook { webhook } => Operation::DeleteWebhook { webhook: self.webhook(*webhook) },
        }
    }

    fn webhook(&self, index: usize) -> AccountId {
        self.webhooks.iter().rev().nth(index).copied().unwrap_or(AccountId(7))
    }

    fn command(&mut self, world: &mut World, step: &Step) -> Option<Command> {
        let device = "device".to_owned();
        let version = |account| query::account(&world.store, account).unwrap().map_or(0, |it| it.credential_version);
        Some(match step {
            Step::Register { name } => world.register_command(NAMES[*name]).0,
            Step::LogIn { person } => {
                let account = self.people.get(*person).copied().unwrap_or(AccountId(3));
                let credential_version = version(account);
                Command::LogIn { account, credential_version, token_hash: world.fresh_token(), device }
            }
            Step::EndSession { device, target } => {
                let target = target.map(|target| self.sessions.get(target).copied().unwrap_or(SessionId(5)));
                Command::EndSession { session: self.device(world, *device), target }
            }
            Step::DeleteAccount { device } => {
                Command::DeleteAccount { session: self.device(world, *device), credential_version: 1 }
            }
            Step::ChangePassword { device } => Command::ChangePassword {
                session: self.device(world, *device),
                credential_version: 1,
                password_hash: format!("hash {}", world.log_index),
            },
            Step::Renew { device } => Command::RenewSession { session: self.device(world, *device) },
            Step::OpenInstance { device, nonce } => {
                Command::OpenInstance { session: self.device(world, *device), nonce: *nonce }
            }
            Step::Write { device, instance, skew, answered, name, what } => {
                let session = self.device(world, *device);
                let last = self.numbers.get(&(session, *instance)).copied().unwrap_or_default();
                let number = (last + 1).saturating_add_signed(*skew);
                let request = RequestId { instance: *instance, number };
                let operation = self.operation(world, session, what);
                // So many before its own, or nonsense.
                let answered = answered.map(|back| (number + 1).saturating_sub(back));
                match name {
                    None => Command::Write { session, request, operation, answered },
                    Some(name) => {
                        Command::NamedWrite { session, request, operation, answered, name: RequestName(*name) }
                    }
                }
            }
            Step::Post { webhook, name } => {
                let (webhook, name) = (self.webhook(*webhook), RequestName(*name));
                Command::PostWebhook { webhook, token: TOKEN, name, body: "posted, @ann".to_owned(), after: None }
            }
            Step::Upload { device } => {
                let (session, nonce) = (self.device(world, *device), world.log_index);
                let begun = || Upload { session, nonce, attachment: None, is_there: false };
                self.upload.get_or_insert_with(begun).command()
            }
            Step::Retry { back } => self.commands.iter().rev().nth(*back)?.clone(),
            Step::Wait { ms } => {
                world.time_ms += ms;
                return None;
            }
        })
    }

    fn learn(&mut self, world: &World, command: &Command, reply: &Reply) {
        self.learn_of_files(world, command, reply);
        match (command, reply) {
            (
                Command::Register { token_hash, .. } | Command::LogIn { token_hash, .. },
                Reply::SessionOpened { account, session, .. },
            ) => {
                self.people.push(*account);
                self.devices.push(*token_hash);
                self.sessions.push(*session);
            }
            (Command::Write { session, request, .. } | Command::NamedWrite { session, request, .. }, reply) => {
                let named = matches!(command, Command::NamedWrite { .. });
                let window_refused = matches!(
                    reply,
                    Reply::Rejected(
                        Rejection::SessionInvalid
                            | Rejection::UnknownInstance
                            | Rejection::OutOfOrder { .. }
                            | Rejection::ReplyForgotten
                    )
                ) || (!named && matches!(reply, Reply::Rejected(Rejection::RequestMismatch)));
                if !window_refused {
                    let last = self.numbers.entry((*session, request.instance)).or_default();
                    *last = request.number.max(*last);
                }
            }
            _ => {}
        }
        match reply {
            Reply::MessageSent { conversation, event, .. } if !self.messages.contains(&(*conversation, *event)) => {
                self.messages.push((*conversation, *event));
            }
            Reply::BotCreated { account } => self.people.push(*account),
            Reply::WebhookCreated { webhook, .. } => self.webhooks.push(*webhook),
            _ => {}
        }
        self.commands.push(command.clone());
    }
}

impl Cast {
    fn learn_of_files(&mut self, world: &World, command: &Command, reply: &Reply) {
        if self.upload.as_ref().is_some_and(|upload| upload.command() == *command) {
            self.upload = match (self.upload.take(), reply) {
                (Some(upload), Reply::UploadReached { attachment, received }) => {
                    let is_there = *received == CONTENT.len() as u64;
                    Some(Upload { attachment: Some(*attachment), is_there, ..upload })
                }
                (Some(upload), Reply::AttachmentFinished(file)) => {
                    let session = query::session(&world.store, &upload.session).unwrap();
                    self.files.extend(session.map(|session| (session.account, file.attachment)));
                    None
                }
                _ => None,
            };
        }
        let (Command::Write { session, operation, .. } | Command::NamedWrite { session, operation, .. }) = command
        else {
            return;
        };
        let Operation::SendMessage { attachments: Some(sent), .. } = operation else { return };
        self.files.retain(|(_, file)| !sent.contains(file));
        let author = query::session(&world.store, session).unwrap();
        if let (Some(author), Reply::MessageSent { conversation, event, .. }) = (author, reply) {
            self.with_files.push((author.account, *conversation, *event));
        }
    }
}

/// Plays the steps; what is checked after each is up to `check`.
pub fn play(
    steps: &[Step],
    mut check: impl FnMut(&mut World, &Command, &Reply) -> TestCaseResult,
) -> Result<(World, Cast), TestCaseError> {
    let (mut world, mut cast) = (World::new(), Cast::default());
    for name in 0..3 {
        if let Some(command) = cast.command(&mut world, &Step::Register { name }) {
            let reply = world.run(&command);
            cast.learn(&world, &command, &reply);
        }
    }
    for step in steps {
        if let Some(command) = cast.command(&mut world, step) {
            let reply = world.run(&command);
            check(&mut world, &command, &reply)?;
            cast.learn(&world, &command, &reply);
        }
    }
    Ok((world, cast))
}
