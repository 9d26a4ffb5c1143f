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
    AccountId, Command, ConversationId, DeleteScope, EventId, Operation, Recipient, Rejection, Reply, RequestId,
    SessionId, TokenHash, query,
};

use crate::world::World;

const NAMES: [&str; 4] = ["ann", "bob", "CY", "dora"];

/// One step, in small numbers that are resolved against what has happened so far.
#[derive(Clone, Debug)]
pub enum Step {
    Register { name: usize },
    LogIn { person: usize },
    EndSession { device: usize, target: Option<usize> },
    DeleteAccount { device: usize },
    ChangePassword { device: usize },
    Renew { device: usize },
    OpenInstance { device: usize, nonce: u64 },
    Write { device: usize, instance: u64, skew: i64, what: What },
    Retry { back: usize },
    Wait { ms: u64 },
}

#[derive(Clone, Debug)]
pub enum What {
    Send { name: usize, body: &'static str },
    Reply { message: usize },
    Read { message: usize, off: i64 },
    Delete { messages: Vec<usize>, everyone: bool },
    Delivered { message: usize },
}

fn what() -> impl Strategy<Value = What> {
    let message = 0usize..40;
    prop_oneof![
        6 => (0..NAMES.len(), select(vec!["x", "hello", "", "\u{0}"])).prop_map(|(name, body)| What::Send { name, body }),
        4 => message.clone().prop_map(|message| What::Reply { message }),
        3 => (message.clone(), -1i64..2).prop_map(|(message, off)| What::Read { message, off }),
        3 => (vec(message.clone(), 0..4), any::<bool>())
            .prop_map(|(messages, everyone)| What::Delete { messages, everyone }),
        1 => message.prop_map(|message| What::Delivered { message }),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    let device = 0usize..6;
    prop_oneof![
        3 => (0..NAMES.len()).prop_map(|name| Step::Register { name }),
        2 => (0usize..4).prop_map(|person| Step::LogIn { person }),
        1 => (device.clone(), proptest::option::of(device.clone()))
            .prop_map(|(device, target)| Step::EndSession { device, target }),
        1 => device.clone().prop_map(|device| Step::DeleteAccount { device }),
        1 => device.clone().prop_map(|device| Step::ChangePassword { device }),
        1 => device.clone().prop_map(|device| Step::Renew { device }),
        1 => (device.clone(), 0u64..3).prop_map(|(device, nonce)| Step::OpenInstance { device, nonce }),
        30 => (device, 1u64..3, prop_oneof![8 => Just(0i64), 1 => -2i64..3], what())
            .prop_map(|(device, instance, skew, what)| Step::Write { device, instance, skew, what }),
        2 => (0usize..8).prop_map(|back| Step::Retry { back }),
        1 => (0u64..30 * 24 * 60 * 60 * 1000).prop_map(|ms| Step::Wait { ms }),
    ]
}

/// What the steps' small numbers stand for.
#[derive(Default)]
pub struct Cast {
    pub people: Vec<AccountId>,
    devices: Vec<TokenHash>,
    sessions: Vec<SessionId>,
    numbers: BTreeMap<(TokenHash, u64), u64>,
    pub messages: Vec<(ConversationId, EventId)>,
    commands: Vec<Command>,
}

impl Cast {
    fn device(&self, index: usize) -> TokenHash {
        // The latest devices: older ones are mostly gone.
        self.devices.iter().rev().nth(index).copied().unwrap_or(TokenHash::of(b"nobody's"))
    }

    fn message(&self, index: usize) -> (ConversationId, EventId) {
        self.messages.iter().rev().nth(index).copied().unwrap_or((ConversationId(1), EventId(1)))
    }

    fn operation(&self, what: &What) -> Operation {
        match what {
            What::Send { name, body } => {
                Operation::SendMessage { to: Recipient::User(NAMES[*name].to_owned()), body: (*body).to_owned() }
            }
            What::Reply { message } => {
                let to = Recipient::Conversation(self.message(*message).0);
                Operation::SendMessage { to, body: "re".to_owned() }
            }
            What::Read { message, off } => {
                let (conversation, event) = self.message(*message);
                Operation::MarkRead { conversation, up_to: EventId(event.0.saturating_add_signed(*off)) }
            }
            What::Delete { messages, everyone } => Operation::DeleteMessages {
                conversation: self.message(messages.first().copied().unwrap_or_default()).0,
                messages: messages.iter().map(|message| self.message(*message).1).collect(),
                scope: if *everyone { DeleteScope::Everyone } else { DeleteScope::Me },
            },
            What::Delivered { message } => Operation::MarkDelivered { up_to: self.message(*message).1 },
        }
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
                Command::EndSession { session: self.device(*device), target }
            }
            Step::DeleteAccount { device } => {
                Command::DeleteAccount { session: self.device(*device), credential_version: 1 }
            }
            Step::ChangePassword { device } => Command::ChangePassword {
                session: self.device(*device),
                credential_version: 1,
                password_hash: format!("hash {}", world.log_index),
            },
            Step::Renew { device } => Command::RenewSession { session: self.device(*device) },
            Step::OpenInstance { device, nonce } => {
                Command::OpenInstance { session: self.device(*device), nonce: *nonce }
            }
            Step::Write { device, instance, skew, what } => {
                let session = self.device(*device);
                let last = self.numbers.get(&(session, *instance)).copied().unwrap_or_default();
                let number = (last + 1).saturating_add_signed(*skew);
                let request = RequestId { instance: *instance, number };
                Command::Write { session, request, operation: self.operation(what) }
            }
            Step::Retry { back } => self.commands.iter().rev().nth(*back)?.clone(),
            Step::Wait { ms } => {
                world.time_ms += ms;
                return None;
            }
        })
    }

    fn learn(&mut self, command: &Command, reply: &Reply) {
        match (command, reply) {
            (
                Command::Register { token_hash, .. } | Command::LogIn { token_hash, .. },
                Reply::SessionOpened { account, session, .. },
            ) => {
                self.people.push(*account);
                self.devices.push(*token_hash);
                self.sessions.push(*session);
            }
            (Command::Write { session, request, .. }, reply) => {
                let window_refused = matches!(
                    reply,
                    Reply::Rejected(
                        Rejection::SessionInvalid
                            | Rejection::UnknownInstance
                            | Rejection::OutOfOrder { .. }
                            | Rejection::RequestMismatch
                            | Rejection::ReplyForgotten
                    )
                );
                if !window_refused {
                    let last = self.numbers.entry((*session, request.instance)).or_default();
                    *last = request.number.max(*last);
                }
                if let Reply::MessageSent { conversation, event, .. } = reply
                    && !self.messages.contains(&(*conversation, *event))
                {
                    self.messages.push((*conversation, *event));
                }
            }
            _ => {}
        }
        self.commands.push(command.clone());
    }
}

/// Plays the steps; what is checked after each is up to `check`.
pub fn play(
    steps: &[Step],
    mut check: impl FnMut(&mut World, &Command, &Reply) -> TestCaseResult,
) -> Result<(World, Cast), TestCaseError> {
    let (mut world, mut cast) = (World::new(), Cast::default());
    for step in steps {
        if let Some(command) = cast.command(&mut world, step) {
            let reply = world.run(&command);
            check(&mut world, &command, &reply)?;
            cast.learn(&command, &reply);
        }
    }
    Ok((world, cast))
}
