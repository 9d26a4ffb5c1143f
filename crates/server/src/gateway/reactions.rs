//! Reactions to messages: the single calls.

use threefold_core::{AccountId, EventId, Position, Rejection, query};
use threefold_proto::{
    chat,
    convert::{self, Refusal},
};
use tokio::time::Instant;

use super::{Caller, Gateway, door::Door, messages::place_of};

impl<D: Door> Gateway<D> {
    /// Adds a reaction, or takes it back.
    pub(super) async fn react(
        &self,
        caller: &Caller,
        request: chat::ReactRequest,
        deadline: Instant,
    ) -> Result<chat::ReactReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let react = request.react.ok_or_else(|| Refusal::invalid("no reaction"))?;
        let position = self.write_plain(caller, id, react.try_into()?, deadline).await?;
        Ok(chat::ReactReply { position: position.0 })
    }

    /// Who reacted to a message with what.
    pub(super) async fn list_reactions(
        &self,
        caller: &Caller,
        request: chat::ListReactionsRequest,
        deadline: Instant,
    ) -> Result<chat::ListReactionsReply, Refusal> {
        let chat::ListReactionsRequest { conversation, message, emoji, limit, after_emoji, after_account, position } =
            request;
        let (reader, message) = (caller.session.account, EventId(message));
        let limit = convert::page_limit(limit)?;
        let only = (!emoji.is_empty()).then_some(emoji.as_str());
        let after = (!after_emoji.is_empty()).then_some((after_emoji.as_str(), AccountId(after_account)));
        self.wait_for(Position(position), deadline).await?;
        let page = self.door().read(|store| match place_of(store, reader, conversation, message)? {
            Some(conversation) => query::reactions(store, reader, conversation, message, only, after, limit),
            None => Ok(Err(Rejection::UnknownMessage(message))),
        })?;
        let mut names = self.directory().of(self.door(), reader);
        let reactions = page.items.into_iter().map(|by| convert::reacted_by(by, &mut names));
        Ok(chat::ListReactionsReply { reactions: reactions.collect(), more: page.more })
    }
}
