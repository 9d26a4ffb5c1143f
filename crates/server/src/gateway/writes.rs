//! Numbered writes: completing them from the state, and what that means for retries.
//!
//! The state machine recognises a retry by its request id and a hash of its content, so what is filled in here
//! must be the same in a retry. The conversation of a message never changes. The conversation with a
//! person does not either, but where the first try found one, a retry may find that person's name
//! gone, and the other way round; and a room's name may have become another one's. So a write that names a person or a room
//! is *open*: a "same id, other content" refusal of it means that the first try was answered, and the client is told "done". Where the first try was
//! refused that is wrong but harmless: it asked to mark something read in a conversation that did not
//! exist yet.
//!
//! What cannot be completed (no such person) is passed on with conversation zero, which nobody is in:
//! the state machine refuses it and so uses its number up.

use std::time::Duration;

use threefold_core::{
    AdministratorAction, Command, ConversationId, EventId, Operation, Position, Rejection, Reply, RequestId, query,
};
use threefold_proto::convert::{self, Place, Refusal};
use tokio::time::{Instant, sleep_until};

use super::{Caller, Gateway, door::Door, password, unavailable};

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
    /// The conversation was sought by this message of it.
    SoughtBy(EventId),
}

impl Kind {
    /// The reply as the client is told it.
    pub fn settle(self, reply: Reply) -> Reply {
        match (self, reply) {
            (Self::Open, Reply::Rejected(Rejection::RequestMismatch)) => Reply::Done,
            // Where the message was not found, nobody asked about a conversation.
            (Self::SoughtBy(message), Reply::Rejected(Rejection::UnknownConversation)) => {
                Reply::Rejected(Rejection::UnknownMessage(message))
            }
            (_, reply) => reply,
        }
    }
}

impl<D: Door> Gateway<D> {
    /// Completes a write. Numbers up to `answered` were answered to its sender. `before` ends when all earlier writes of
    /// the same sender are answered: what is not there may be made by one of them, or be at another server already.
    pub(super) async fn complete(
        &self,
        caller: &Caller,
        request: RequestId,
        answered: Option<u64>,
        operation: convert::Operation,
        before: impl Future<Output = ()>,
        deadline: Instant,
    ) -> Result<Completed, Refusal> {
        let (operation, kind) = self.resolve(caller, operation, before, deadline).await?;
        let command = Command::Write { session: caller.token, request, operation, answered };
        Ok(Completed { command, kind })
    }

    /// What the state machine is to be asked for. `before` is as in [`Gateway::complete`].
    pub(super) async fn resolve(
        &self,
        caller: &Caller,
        operation: convert::Operation,
        before: impl Future<Output = ()>,
        deadline: Instant,
    ) -> Result<(Operation, Kind), Refusal> {
        Ok(match operation {
            convert::Operation::Complete(operation) => (operation, Kind::Plain),
            convert::Operation::MarkRead { place, up_to } => {
                let find = || self.conversation_at(caller, &place);
                let conversation = self.find(find, before, deadline).await?;
                (Operation::MarkRead { conversation, up_to }, Kind::Open)
            }
            convert::Operation::DeleteMessages { messages, scope } => {
                let find = || self.conversation_of(caller, &messages);
                let conversation = self.find(find, before, deadline).await?;
                let kind = messages.first().map_or(Kind::Plain, |first| Kind::SoughtBy(*first));
                (Operation::DeleteMessages { conversation, messages, scope }, kind)
            }
            convert::Operation::Administer { name, action } => {
                let by_configuration = self.is_configured(caller);
                let (action, kind) = match action {
                    convert::Administer::Complete(action) => (action, Kind::Plain),
                    // Hashes are salted: a retry's is another one.
                    convert::Administer::ResetPassword(password) => (
                        AdministratorAction::ResetPassword {
                            password_hash: self.given(caller, password, deadline).await?,
                        },
                        Kind::Open,
                    ),
                };
                (Operation::Administer { name, action, by_configuration }, kind)
            }
            convert::Operation::EditMessage { message, body } => {
                let conversation = self.find(|| self.conversation_of(caller, &[message]), before, deadline).await?;
                (convert::edit_of(conversation, message, body), Kind::SoughtBy(message))
            }
            convert::Operation::React { message, emoji, add } => {
                let conversation = self.find(|| self.conversation_of(caller, &[message]), before, deadline).await?;
                (Operation::React { conversation, message, emoji, add }, Kind::SoughtBy(message))
            }
        })
    }

    /// The hash of a password that an administrator gives somebody. One beyond its bounds has none, and neither has that of
    /// somebody who is no administrator: hashing is for those who log in. The state machine refuses that, and so uses its number up.
    async fn given(&self, caller: &Caller, password: String, deadline: Instant) -> Result<String, Refusal> {
        if password::check_new(&password).is_err() {
            return Ok(String::new());
        }
        if !self.administers(caller) {
            // It may be one since a moment ago.
            self.wait_consistent(deadline).await?;
            if !self.administers(caller) {
                return Ok(String::new());
            }
        }
        self.passwords().hash(password, deadline).await
    }

    /// Looks here, and once more when this server has caught up.
    async fn find(
        &self,
        find: impl Fn() -> Option<ConversationId>,
        before: impl Future<Output = ()>,
        deadline: Instant,
    ) -> Result<ConversationId, Refusal> {
        if let Some(conversation) = find() {
            return Ok(conversation);
        }
        before.await;
        self.wait_consistent(deadline).await?;
        Ok(find().unwrap_or(NO_CONVERSATION))
    }

    pub(super) fn conversation_at(&self, caller: &Caller, place: &Place) -> Option<ConversationId> {
        let reader = caller.session.account;
        match place {
            Place::Conversation(conversation) => Some(*conversation),
            Place::With(name) => {
                self.door().read(|store| query::direct_conversation(store, reader, name)).ok().flatten()
            }
            Place::Room(name) => self.door().read(|store| query::room_conversation(store, reader, name)).ok(),
        }
    }

    fn conversation_of(&self, caller: &Caller, messages: &[EventId]) -> Option<ConversationId> {
        let first = *messages.first()?;
        self.door().read(|store| query::conversation_of_message(store, caller.session.account, first))
    }

    /// Counts what costs a place in the log, and is not called a write, among what the caller's account may write. Waits while that is
    /// too much: who comes back after an election, with much to say, needs an instance first.
    pub(super) async fn pace(&self, caller: &Caller, deadline: Instant) -> Result<(), Refusal> {
        while let Err(wait) = self.door().count_write(caller.counted_as) {
            let until = Instant::now() + wait;
            if until > deadline {
                return Err(too_much(wait));
            }
            sleep_until(until).await;
        }
        Ok(())
    }

    /// One write by itself: completed, submitted and answered. It says nothing of those before.
    pub(super) async fn write(
        &self,
        caller: &Caller,
        request: RequestId,
        operation: convert::Operation,
        deadline: Instant,
    ) -> Result<(Reply, Position), Refusal> {
        self.door().count_write(caller.counted_as).map_err(too_much)?;
        let completed = self.complete(caller, request, None, operation, async {}, deadline).await?;
        let committed = self.door().submit(&completed.command, deadline).await.map_err(unavailable)?;
        Ok((completed.kind.settle(committed.reply), committed.position))
    }
}

fn too_much(wait: Duration) -> Refusal {
    Refusal::RateLimited { what: "too many writes of this account", retry_after_ms: super::millis(wait) }
}

#[cfg(test)]
mod tests {
    use threefold_core::TokenHash;

    use super::*;
    use crate::gateway::testing::Solo;

    /// Or else anybody could keep those who log in waiting.
    #[tokio::test]
    async fn only_an_administrators_password_for_somebody_is_hashed() {
        let solo = Solo::new();
        let gateway = solo.gateway();
        let deadline = Instant::now() + Duration::from_secs(10);
        for (name, is_hashed) in [("root", true), ("bob", false)] {
            let token_hash = TokenHash::of(name.as_bytes());
            let (name, password_hash, device) = (name.to_owned(), "hash".to_owned(), "laptop".to_owned());
            solo.apply(&Command::Register { name, password_hash, token_hash, device });
            let caller = gateway.authenticate(token_hash, deadline).await.unwrap();
            let given = gateway.given(&caller, "correct horse".to_owned(), deadline).await.unwrap();
            assert_eq!(given.is_empty(), !is_hashed);
        }
    }

    #[test]
    fn a_message_that_is_nowhere_is_what_is_unknown() {
        let unknown = || Reply::Rejected(Rejection::UnknownConversation);
        let sought = Kind::SoughtBy(EventId(5));
        assert_eq!(sought.settle(unknown()), Reply::Rejected(Rejection::UnknownMessage(EventId(5))));
        assert_eq!(sought.settle(Reply::Done), Reply::Done);
        assert_eq!(Kind::Plain.settle(unknown()), unknown());
    }

    #[test]
    fn only_an_open_write_may_differ_in_a_retry() {
        let mismatch = || Reply::Rejected(Rejection::RequestMismatch);
        assert_eq!(Kind::Open.settle(mismatch()), Reply::Done);
        assert_eq!(Kind::Plain.settle(mismatch()), mismatch());
        let unknown = || Reply::Rejected(Rejection::UnknownMessage(EventId(5)));
        assert_eq!(Kind::Open.settle(unknown()), unknown());
        assert_eq!(
            Kind::Open.settle(Reply::Rejected(Rejection::SessionInvalid)),
            Reply::Rejected(Rejection::SessionInvalid)
        );
    }
}
