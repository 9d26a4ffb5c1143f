//! `apply`: the one function that changes the state.
//!
//! It promises to be deterministic, to do a bounded amount of work for each command whatever the state
//! holds, and not to panic on any command that decodes. A rejection changes nothing (but is remembered, where
//! the command has a request id). It trusts no size or id inside a command: gateways check as well, but a
//! replica must not depend on that.
//!
//! What deleted accounts leave behind is removed bit by bit behind the commands of each entry (see `cleanup`).
//!
//! Left out on purpose: verifying passwords, making tokens, reading clocks. Commands bring the results along.

use crate::{
    bounds::{CLEANUP_PLACES, COMMANDS_PER_ENTRY, PLACES_PER_COMMAND},
    command::{Command, Operation},
    entry::Unpacked,
    ids::{AccountId, Position},
    key::Key,
    record,
    reply::{Rejection, Reply},
    store::{StoreError, Write},
};

mod administer;
mod attachment;
mod audience;
mod begin_attachment;
mod bot;
mod change_password;
mod cleanup;
mod context;
mod delete_account;
mod delete_messages;
mod discard_attachment;
mod edit_message;
mod end_session;
mod expire_attachments;
mod finish_attachment;
mod log_in;
mod mark_delivered;
mod mark_read;
mod mark_seen;
mod mentions;
mod open_instance;
mod put_chunk;
mod react;
mod register;
mod renew_session;
mod room;
mod send_message;
mod session;
mod set_display_name;
mod target;
mod webhook;
mod write;

pub use audience::{Audience, Happened};
use context::Context;

/// What an entry did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// One a command, in order.
    pub replies: Vec<Reply>,
    /// New events, in order. The deletion of an account stands here too, as its mailbox, though nothing is left
    /// there to read: those who follow it must look at their session again.
    pub happened: Vec<Happened>,
}

/// Why a command did not go through.
enum Failure {
    /// It was refused; nothing was changed.
    Rejected(Rejection),
    /// The state cannot be read: the server stops.
    Store(StoreError),
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What one step of a command gives.
type Outcome<T> = Result<T, Failure>;

/// A command's reply, a rejection being one.
fn settle(outcome: Outcome<Reply>) -> Result<Reply, StoreError> {
    match outcome {
        Ok(reply) => Ok(reply),
        Err(Failure::Rejected(rejection)) => Ok(Reply::Rejected(rejection)),
        Err(Failure::Store(error)) => Err(error),
    }
}

/// Applies the entry at `log_index`. Deterministic: the same state and entry give the same changes,
/// replies and events on every server.
///
/// # Errors
/// Only when the store fails or is corrupt. Nothing may be committed then, and the server must stop.
pub fn apply(store: &mut impl Write, log_index: u64, entry: &Unpacked) -> Result<Applied, StoreError> {
    if entry.commands.len() > COMMANDS_PER_ENTRY {
        let what = format!("entry {log_index} has {} commands, at most {COMMANDS_PER_ENTRY} fit", entry.commands.len());
        return Err(StoreError::Corrupt(what));
    }
    let before = record::meta(store)?;
    let mut meta = before.clone();
    // Leaders' clocks may disagree; the state's own never goes back.
    meta.clock_ms = meta.clock_ms.max(entry.time_ms);
    let mut applied = Applied::default();
    for (place, command) in (0..).step_by(PLACES_PER_COMMAND as usize).zip(&entry.commands) {
        let first = Position::new(log_index, place);
        let mut context = Context::new(store, first, PLACES_PER_COMMAND, &mut meta, &mut applied.happened);
        context.mentions = entry.mentions;
        applied.replies.push(settle(run(&mut context, command))?);
    }
    let behind = Position::new(log_index, COMMANDS_PER_ENTRY as u64 * PLACES_PER_COMMAND);
    cleanup::step(&mut Context::new(store, behind, CLEANUP_PLACES, &mut meta, &mut applied.happened))?;
    expire_attachments::step(store, &mut meta)?;
    if meta != before {
        store.put(Key::Meta.bytes(), record::encode(&meta));
    }
    Ok(applied)
}

fn run(context: &mut Context<'_>, command: &Command) -> Outcome<Reply> {
    match command {
        Command::Register { name, password_hash, token_hash, device } => {
            register::register(context, name, password_hash, *token_hash, device)
        }
        Command::LogIn { account, credential_version, token_hash, device } => {
            log_in::log_in(context, *account, *credential_version, *token_hash, device)
        }
        Command::EndSession { session, target } => end_session::end_session(context, session, *target),
        Command::DeleteAccount { session, credential_version } => {
            delete_account::delete_account(context, session, *credential_version)
        }
        Command::OpenInstance { session, nonce } => open_instance::open_instance(context, session, *nonce),
        Command::Write { session, request, operation, answered } => {
            write::write(context, session, *request, operation, answered.unwrap_or(0), None)
        }
        Command::NamedWrite { session, request, operation, answered, name } => {
            write::write(context, session, *request, operation, answered.unwrap_or(0), Some(*name))
        }
        Command::RenewSession { session } => renew_session::renew_session(context, session),
        Command::ChangePassword { session, credential_version, password_hash } => {
            change_password::change_password(context, session, *credential_version, password_hash)
        }
        Command::MarkSeen { accounts } => mark_seen::mark_seen(context, accounts),
        Command::BeginAttachment { session, nonce, name, content_type, bytes, quota_bytes } => {
            let file = begin_attachment::File { nonce: *nonce, name, content_type, bytes: *bytes };
            begin_attachment::begin_attachment(context, session, &file, *quota_bytes)
        }
        Command::PutChunk { session, attachment, offset, hash, content } => {
            put_chunk::put_chunk(context, session, *attachment, *offset, *hash, content)
        }
        Command::FinishAttachment { session, attachment, sha256, chain, content_type } => {
            let seen =
                finish_attachment::Seen { sha256: *sha256, chain: *chain, content_type: content_type.as_deref() };
            finish_attachment::finish_attachment(context, session, *attachment, &seen)
        }
        Command::DiscardAttachment { session, attachment } => {
            discard_attachment::discard_attachment(context, session, *attachment)
        }
        Command::PostWebhook { webhook, token, name, body, after } => {
            let post = webhook::Post { token, name: *name, body, after: *after };
            webhook::post_webhook(context, *webhook, &post)
        }
    }
}

/// A numbered write, once its number is due.
fn operate(context: &mut Context<'_>, account: AccountId, operation: &Operation) -> Outcome<Reply> {
    match operation {
        Operation::SendMessage { to, body, reply_to, attachments } => {
            let attachments = attachments.as_deref().unwrap_or_default();
            send_message::send_message(context, account, to, body, *reply_to, attachments)
        }
        Operation::MarkRead { conversation, up_to } => mark_read::mark_read(context, account, *conversation, *up_to),
        Operation::DeleteMessages { conversation, messages, scope } => {
            delete_messages::delete_messages(context, account, *conversation, messages, *scope)
        }
        Operation::MarkDelivered { up_to } => mark_delivered::mark_delivered(context, account, *up_to),
        Operation::SetDisplayName { display_name } => {
            set_display_name::set_display_name(context, account, display_name)
        }
        Operation::Administer { name, action, by_configuration } => {
            administer::administer(context, account, name, action, *by_configuration)
        }
        Operation::ManageBot { name, action } => bot::manage_bot(context, account, name, action),
        Operation::CreateWebhook { room, name, token } => webhook::create_webhook(context, account, room, name, *token),
        Operation::DeleteWebhook { webhook } => webhook::delete_webhook(context, account, *webhook),
        Operation::EditMessage { conversation, message, body } => {
            edit_message::edit_message(context, account, *conversation, *message, body)
        }
        Operation::RemoveText { conversation, message } => {
            edit_message::remove_text(context, account, *conversation, *message)
        }
        Operation::React { conversation, message, emoji, add } => {
            react::react(context, account, *conversation, *message, emoji, *add)
        }
        Operation::CreateRoom { name, topic, public } => room::create_room(context, account, name, topic, *public),
        Operation::JoinRoom { room } => room::join_room(context, account, room),
        Operation::LeaveRoom { room } => room::leave_room(context, account, room),
        Operation::InviteToRoom { room, user } => room::invite_to_room(context, account, room, user),
        Operation::RemoveFromRoom { room, user } => room::remove_from_room(context, account, room, user),
        Operation::SetRole { room, user, role } => room::set_role(context, account, room, user, *role),
        Operation::ChangeRoom { room, name, topic, public } => {
            let changes = room::Changes { name: name.as_deref(), topic: topic.as_deref(), public: *public };
            room::change_room(context, account, room, changes)
        }
        Operation::DeclineInvitation { room } => room::decline_invitation(context, account, room),
    }
}
