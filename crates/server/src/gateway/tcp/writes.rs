//! `send`, `read`, `delete_messages`, `join` and `leave`.

use threefold_core::{EventId, Rejection, Reply as Outcome, RequestName, bounds, text as rules};
use threefold_proto::{
    chat::{self, recipient::To},
    convert::{self, Refusal},
    framing::{Details, Reply, Request},
};
use tokio::time::Instant;

use super::{
    commands::Command,
    connection::{Answer, Committing, Connection, Echo, Ending},
    text,
};
use crate::{
    gateway::{door::Door, grpc::deadline::DEFAULT_PATIENCE, writes::Kind},
    net::ClientSocket,
    node::{Committed, Unavailable},
};

/// Whom messages are deleted for, where it is not only for oneself.
const EVERYONE: &str = "everyone";

/// When to give up on a command that arrived now.
pub(super) fn deadline() -> Instant {
    Instant::now() + DEFAULT_PATIENCE
}

impl<D: Door, S: ClientSocket> Connection<D, S> {
    /// Puts a write in line.
    pub(super) async fn write(&mut self, command: Command, echo: Echo, request: Request) -> Result<(), Ending> {
        match self.begin(command, &echo, request).await {
            Ok(answer) => {
                self.pending.push_back(answer);
                Ok(())
            }
            Err(refusal) => self.respond(echo.refusal(&refusal)).await,
        }
    }

    async fn begin(&mut self, command: Command, echo: &Echo, request: Request) -> Result<Answer, Refusal> {
        let name = request.request.as_deref().map(request_name).transpose()?;
        let operation = operation(command, request)?;
        let invalid = Refusal::Rejected(Rejection::SessionInvalid);
        let Some(session) = &mut self.session else { return Err(invalid) };
        // Whatever must be looked up waits for the answers before it, so there is nothing to wait for here.
        let (operation, kind) = self.gateway.resolve(&session.caller, operation, async {}, deadline()).await?;
        if !session.is_numbered() {
            session.number_anew(&self.gateway, deadline()).await?;
        }
        let (request, write) = session.write(operation, name).ok_or(invalid)?;
        match self.gateway.door().enqueue(&write, deadline()).await {
            Ok(outcome) => {
                let committing = Committing { request, outcome: Box::pin(outcome) };
                Ok(Answer::Write { echo: echo.clone(), kind, committing })
            }
            Err(error) => {
                session.lost();
                Err(unavailable(&error))
            }
        }
    }
}

/// The name of a request, within its bound.
fn request_name(name: &str) -> Result<RequestName, Refusal> {
    if name.len() > bounds::REQUEST_NAME_BYTES {
        let (bound, bytes) = (bounds::REQUEST_NAME_BYTES, name.len());
        return Err(Refusal::invalid(format!("`request` has at most {bound} bytes, not {bytes}")));
    }
    Ok(RequestName::of(name))
}

/// What is asked for, as far as the fields tell.
fn operation(command: Command, request: Request) -> Result<convert::Operation, Refusal> {
    match command {
        Command::Send => {
            // The state machine would refuse it too; here it costs nobody anything.
            rules::check_body(&request.body)?;
            chat::SendMessage { to: place(request.to)?, body: request.body, ..chat::SendMessage::default() }.try_into()
        }
        Command::Read => chat::MarkRead { r#in: place(request.to)?, up_to: 0 }.try_into(),
        Command::DeleteMessages => {
            let for_everyone = match request.to.as_str() {
                "" => false,
                EVERYONE => true,
                _ => return Err(Refusal::invalid("`to` is \"everyone\", or nothing: deletes for you only")),
            };
            let ids = ids(&request.body)?;
            chat::DeleteMessages { conversation: 0, messages: ids, for_everyone }.try_into()
        }
        Command::Join => chat::JoinRoom { room: room(request.to)? }.try_into(),
        Command::Leave => chat::LeaveRoom { room: room(request.to)? }.try_into(),
        Command::Create
        | Command::Login
        | Command::Logout
        | Command::Delete
        | Command::History
        | Command::Unread
        | Command::List
        | Command::Search
        | Command::Status
        | Command::Help => Err(Refusal::Internal(format!("{command:?} is no write"))),
    }
}

/// A user, or a room.
pub(super) fn place(to: String) -> Result<Option<chat::Recipient>, Refusal> {
    if to.is_empty() {
        return Err(Refusal::invalid("`to` is missing: a user's name, or a room's with `#` before it"));
    }
    let to = if to.starts_with('#') { To::Room(to) } else { To::User(to) };
    Ok(Some(chat::Recipient { to: Some(to) }))
}

/// A room, also without its `#`: there is nothing else it could be.
fn room(to: String) -> Result<Option<chat::Recipient>, Refusal> {
    if to.is_empty() {
        return Err(Refusal::invalid("`to` is missing: a room's name"));
    }
    Ok(Some(chat::Recipient { to: Some(To::Room(to)) }))
}

fn ids(body: &str) -> Result<Vec<u64>, Refusal> {
    let wrong = || Refusal::invalid("`body` names the messages by their ids, separated by commas");
    let ids = body.split(',').map(|id| id.trim().parse()).collect::<Result<Vec<u64>, _>>().map_err(|_| wrong())?;
    if ids.len() > bounds::DELETE_IDS {
        return Err(Refusal::invalid(format!("at most {} messages are deleted at once", bounds::DELETE_IDS)));
    }
    Ok(ids)
}

/// A write's answer.
pub(super) fn reply(echo: Echo, kind: Kind, outcome: Result<Committed, Unavailable>) -> Reply {
    let outcome = match outcome {
        Ok(committed) => kind.settle(committed.reply),
        Err(error) => return echo.refusal(&unavailable(&error)),
    };
    match outcome {
        Outcome::MessageSent { conversation: _, event: EventId(id), time_ms } => {
            echo.reply(id.to_string(), Details::Message { id, time: text::time(time_ms) })
        }
        Outcome::Done => echo.reply("done".to_owned(), Details::Nothing),
        // The number is this server's affair.
        Outcome::Rejected(Rejection::OutOfOrder { .. } | Rejection::UnknownInstance | Rejection::ReplyForgotten) => {
            echo.refusal(&Refusal::unavailable("a request before this one was not confirmed, and this one not done"))
        }
        Outcome::Rejected(rejection) => echo.refusal(&rejection.into()),
        Outcome::SessionOpened { .. }
        | Outcome::InstanceOpened { .. }
        | Outcome::RoomCreated { .. }
        | Outcome::UploadReached { .. }
        | Outcome::BotCreated { .. }
        | Outcome::WebhookCreated { .. }
        | Outcome::AttachmentFinished(_) => {
            echo.refusal(&Refusal::Internal("the state machine answered another kind of request".to_owned()))
        }
    }
}

fn unavailable(error: &Unavailable) -> Refusal {
    Refusal::unavailable(format!("{}; it may have been done or not: the same `request` again is safe", error.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(result: Result<impl std::fmt::Debug, Refusal>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn ids_are_separated_by_commas() {
        assert_eq!(ids("1, 2,3"), Ok(vec![1, 2, 3]));
        for wrong in ["", "1,", "a", "-1", "1 2"] {
            assert!(words(ids(wrong)).contains("separated by commas"), "{wrong}");
        }
        assert!(words(ids("1,".repeat(200).trim_end_matches(','))).contains("at most 100"));
    }

    #[test]
    fn a_request_s_name_is_bounded() {
        assert!(request_name(&"x".repeat(64)).is_ok());
        assert!(words(request_name(&"x".repeat(65))).contains("at most 64 bytes, not 65"));
    }

    #[test]
    fn a_number_out_of_order_is_nobodys_mistake_but_the_servers() {
        let committed = |reply| Ok(Committed { position: threefold_core::Position(1), reply });
        let rejected = Outcome::Rejected(Rejection::OutOfOrder { expected: 1 });
        let reply = reply(Echo::default(), Kind::Plain, committed(rejected));
        assert!(reply.error && reply.details == Details::Refused { code: "UNAVAILABLE", retry_after_ms: 0 });
    }
}
