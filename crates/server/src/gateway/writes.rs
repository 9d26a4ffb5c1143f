//! Numbered writes: completing them from the state, and what that means for retries.
//!
//! The state machine recognises a retry by its request id and a hash of its content. What a client left
//! open (a person's conversation, "all there is") is filled in here, and a retry may be filled in
//! differently: there are newer messages now, or the person's name is gone. Such a write is *open*, and
//! a "same id, other content" refusal of it means that the first try was answered: markers only move
//! forward and the client does not care to which message exactly, so it is told "done". Where the
//! first try was refused the client is told "done" as well, wrongly but harmlessly: it asked to
//! mark something read in a conversation that it could not name. The conversation of a message id never
//! changes, so deletions are never open.
//!
//! What cannot be completed (no such person) is passed on with conversation zero, which nobody is in:
//! the state machine refuses it and so uses its number up.

use threefold_core::{Command, ConversationId, EventId, Operation, Position, Rejection, Reply, RequestId, query};
use threefold_proto::convert::{self, Place, Refusal};
use tokio::time::Instant;

use super::{Caller, Gateway, door::Door, unavailable};

/// Nobody is in it: ids start at the log's first entry.
const NO_CONVERSATION: ConversationId = ConversationId(0);

/// A write that can be submitted.
pub(super) struct Completed {
    pub command: Command,
    pub kind: Kind,
}

/// How to read the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it is.
    Plain,
    /// A retry may have other content than the first try.
    Open,
}

impl Kind {
    /// The reply as the client is told it.
    pub fn settle(self, reply: Reply) -> Reply {
        match (self, reply) {
            (Self::Open, Reply::Rejected(Rejection::RequestMismatch)) => Reply::Done,
            // Nothing to mark in a conversation whose messages are all gone for this reader.
            (Self::Open, Reply::Rejected(Rejection::UnknownMessage(EventId(0)))) => Reply::Done,
            (_, reply) => reply,
        }
    }
}

impl<D: Door> Gateway<D> {
    /// Completes a write. `before` ends when all earlier writes of the same sender are answered: an
    /// open one means "everything before me", so it waits for them, and for this server to have caught
    /// up.
    pub(super) async fn complete(
        &self,
        caller: &Caller,
        request: RequestId,
        operation: convert::Operation,
        before: impl Future<Output = ()>,
        deadline: Instant,
    ) -> Result<Completed, Refusal> {
        let (operation, kind) = match operation {
            convert::Operation::Complete(operation) => (operation, Kind::Plain),
            convert::Operation::MarkRead { place, up_to } => {
                before.await;
                self.wait_consistent(deadline).await?;
                (self.open_marker(caller, place, up_to), Kind::Open)
            }
            convert::Operation::DeleteMessages { messages, scope } => {
                let mut conversation = self.conversation_of(caller, &messages);
                if conversation.is_none() {
                    before.await;
                    self.wait_consistent(deadline).await?;
                    conversation = self.conversation_of(caller, &messages);
                }
                let conversation = conversation.unwrap_or(NO_CONVERSATION);
                (Operation::DeleteMessages { conversation, messages, scope }, Kind::Plain)
            }
        };
        let command = Command::Write { session: caller.token, request, operation };
        Ok(Completed { command, kind })
    }

    /// A marker's conversation and message, as far as there are any.
    fn open_marker(&self, caller: &Caller, place: Place, up_to: Option<EventId>) -> Operation {
        let reader = caller.session.account;
        self.door().read(|store| {
            let conversation = match place {
                Place::Conversation(conversation) => conversation,
                Place::With(name) => {
                    let direct = query::direct_conversation(store, reader, &name)?;
                    direct.ok().flatten().unwrap_or(NO_CONVERSATION)
                }
            };
            let up_to = match up_to {
                Some(up_to) => up_to,
                None => match query::conversation(store, reader, conversation)? {
                    Ok(info) => info.last.map_or(EventId(info.read_up_to.0), |last| last.id),
                    Err(_) => EventId(0),
                },
            };
            Ok(Operation::MarkRead { conversation, up_to })
        })
    }

    fn conversation_of(&self, caller: &Caller, messages: &[EventId]) -> Option<ConversationId> {
        let first = *messages.first()?;
        self.door().read(|store| query::conversation_of_message(store, caller.session.account, first))
    }

    /// One write by itself: completed, submitted and answered.
    pub(super) async fn write(
        &self,
        caller: &Caller,
        request: RequestId,
        operation: convert::Operation,
        deadline: Instant,
    ) -> Result<(Reply, Position), Refusal> {
        let completed = self.complete(caller, request, operation, async {}, deadline).await?;
        let committed = self.door().submit(&completed.command, deadline).await.map_err(unavailable)?;
        Ok((completed.kind.settle(committed.reply), committed.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_open_write_may_differ_in_a_retry() {
        let mismatch = || Reply::Rejected(Rejection::RequestMismatch);
        assert_eq!(Kind::Open.settle(mismatch()), Reply::Done);
        assert_eq!(Kind::Plain.settle(mismatch()), mismatch());
        let nothing = || Reply::Rejected(Rejection::UnknownMessage(EventId(0)));
        assert_eq!(Kind::Open.settle(nothing()), Reply::Done);
        assert_eq!(Kind::Plain.settle(nothing()), nothing());
        let unknown = || Reply::Rejected(Rejection::UnknownMessage(EventId(5)));
        assert_eq!(Kind::Open.settle(unknown()), unknown());
        assert_eq!(
            Kind::Open.settle(Reply::Rejected(Rejection::SessionInvalid)),
            Reply::Rejected(Rejection::SessionInvalid)
        );
    }
}
