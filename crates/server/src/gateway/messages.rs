//! Messages and conversations: the single calls. Whoever sends much uses a stream.

use threefold_core::{
    AccountId, ConversationId, EventId, Position, Reply, RequestId,
    query::{self, Page},
    store::{Read, StoreError},
};
use threefold_proto::{
    chat,
    convert::{self, Place, Refusal},
};
use tokio::time::Instant;

use super::{Caller, Gateway, door::Door, unexpected_reply};

impl<D: Door> Gateway<D> {
    /// Sends a message.
    pub(super) async fn send_message(
        &self,
        caller: &Caller,
        request: chat::SendMessageRequest,
        deadline: Instant,
    ) -> Result<chat::SendMessageReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let send = request.send.ok_or_else(|| Refusal::invalid("no message"))?;
        match self.write(caller, id, send.try_into()?, deadline).await?.0 {
            Reply::MessageSent { conversation, event, time_ms } => {
                let sent = chat::MessageSent { conversation: conversation.0, id: event.0, time_ms };
                Ok(chat::SendMessageReply { sent: Some(sent) })
            }
            Reply::Rejected(rejection) => Err(rejection.into()),
            Reply::SessionOpened { .. }
            | Reply::InstanceOpened { .. }
            | Reply::RoomCreated { .. }
            | Reply::UploadReached { .. }
            | Reply::AttachmentFinished(_)
            | Reply::BotCreated { .. }
            | Reply::WebhookCreated { .. }
            | Reply::Done => Err(unexpected_reply()),
        }
    }

    /// Moves the caller's marker.
    pub(super) async fn mark_read(
        &self,
        caller: &Caller,
        request: chat::MarkReadRequest,
        deadline: Instant,
    ) -> Result<chat::MarkReadReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let mark = request.mark.ok_or_else(|| Refusal::invalid("no marker"))?;
        let position = self.write_plain(caller, id, mark.try_into()?, deadline).await?;
        Ok(chat::MarkReadReply { position: position.0 })
    }

    /// Deletes messages.
    pub(super) async fn delete_messages(
        &self,
        caller: &Caller,
        request: chat::DeleteMessagesRequest,
        deadline: Instant,
    ) -> Result<chat::DeleteMessagesReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let delete = request.delete.ok_or_else(|| Refusal::invalid("nothing to delete"))?;
        let position = self.write_plain(caller, id, delete.try_into()?, deadline).await?;
        Ok(chat::DeleteMessagesReply { position: position.0 })
    }

    /// Gives a message another text.
    pub(super) async fn edit_message(
        &self,
        caller: &Caller,
        request: chat::EditMessageRequest,
        deadline: Instant,
    ) -> Result<chat::EditMessageReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let edit = request.edit.ok_or_else(|| Refusal::invalid("nothing to edit"))?;
        let position = self.write_plain(caller, id, edit.try_into()?, deadline).await?;
        Ok(chat::EditMessageReply { position: position.0 })
    }

    /// A numbered write whose success says it all.
    pub(super) async fn write_plain(
        &self,
        caller: &Caller,
        request: RequestId,
        operation: convert::Operation,
        deadline: Instant,
    ) -> Result<Position, Refusal> {
        match self.write(caller, request, operation, deadline).await? {
            (Reply::Done, position) => Ok(position),
            (Reply::Rejected(rejection), _) => Err(rejection.into()),
            (
                Reply::SessionOpened { .. }
                | Reply::InstanceOpened { .. }
                | Reply::MessageSent { .. }
                | Reply::RoomCreated { .. }
                | Reply::UploadReached { .. }
                | Reply::AttachmentFinished(_)
                | Reply::BotCreated { .. }
                | Reply::WebhookCreated { .. },
                _,
            ) => Err(unexpected_reply()),
        }
    }

    /// A page of a conversation.
    pub(super) async fn history(
        &self,
        caller: &Caller,
        request: chat::HistoryRequest,
        deadline: Instant,
    ) -> Result<chat::HistoryReply, Refusal> {
        let reader = caller.session.account;
        let limit = convert::page_limit(request.limit)?;
        let page = convert::history_page(request.from);
        let place = Place::try_from(request.r#in)?;
        if request.consistent {
            self.wait_consistent(deadline).await?;
        }
        self.wait_for(Position(request.position), deadline).await?;
        let found = self.door().read(|store| {
            let conversation = match place {
                Place::Conversation(conversation) => conversation,
                Place::With(name) => match query::direct_conversation(store, reader, &name)? {
                    Ok(Some(conversation)) => conversation,
                    Ok(None) => return Ok(Ok(None)),
                    Err(rejection) => return Ok(Err(rejection)),
                },
                Place::Room(name) => match query::room_conversation(store, reader, &name)? {
                    Ok(conversation) => conversation,
                    Err(rejection) => return Ok(Err(rejection)),
                },
            };
            Ok(query::history(store, reader, conversation, page, limit)?.map(Some))
        })?;
        let Some(found) = found else { return Ok(chat::HistoryReply::default()) };
        let mut names = self.directory().of(self.door(), reader);
        let more = match page {
            Page::Before(_) => found.older,
            Page::After(_) | Page::At(_) => found.newer,
            Page::Around(_) => found.older || found.newer,
        };
        let messages = found.items.into_iter().filter_map(|shown| convert::shown(shown, &mut names));
        Ok(chat::HistoryReply { messages: messages.collect(), more, older: found.older, newer: found.newer })
    }

    /// Single messages.
    pub(super) async fn get_messages(
        &self,
        caller: &Caller,
        request: chat::GetMessagesRequest,
        deadline: Instant,
    ) -> Result<chat::GetMessagesReply, Refusal> {
        let reader = caller.session.account;
        let ids = convert::message_ids(request.messages)?;
        self.wait_for(Position(request.position), deadline).await?;
        let found = self.door().read(|store| {
            let Some(first) = ids.first() else { return Ok(Ok(Vec::new())) };
            match place_of(store, reader, request.conversation, *first)? {
                Some(conversation) => query::messages(store, reader, conversation, &ids),
                // What is not there is left out, and so are those that were to be where it is.
                None => Ok(Ok(Vec::new())),
            }
        })?;
        let mut names = self.directory().of(self.door(), reader);
        let messages = found.into_iter().filter_map(|shown| convert::shown(shown, &mut names));
        Ok(chat::GetMessagesReply { messages: messages.collect() })
    }

    /// The caller's conversations.
    pub(super) async fn list_conversations(
        &self,
        caller: &Caller,
        request: chat::ListConversationsRequest,
        deadline: Instant,
    ) -> Result<chat::ListConversationsReply, Refusal> {
        let reader = caller.session.account;
        let limit = convert::page_limit(request.limit)?;
        let after = (request.after != 0).then_some(ConversationId(request.after));
        self.wait_for(Position(request.position), deadline).await?;
        let page = self.door().read(|store| query::conversations(store, reader, request.unread_only, after, limit));
        let mut names = self.directory().of(self.door(), reader);
        let conversations = page.items.into_iter().map(|info| convert::conversation(info, &mut names));
        Ok(chat::ListConversationsReply { conversations: conversations.collect(), more: page.more })
    }
}

/// The conversation meant: the one named, or else (zero) the one that the message is in.
pub(super) fn place_of(
    store: &dyn Read,
    reader: AccountId,
    named: u64,
    message: EventId,
) -> Result<Option<ConversationId>, StoreError> {
    match named {
        0 => query::conversation_of_message(store, reader, message),
        id => Ok(Some(ConversationId(id))),
    }
}
