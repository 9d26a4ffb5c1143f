//! Bots and webhooks: the single calls.

use threefold_core::{Position, Reply, query};
use threefold_proto::{
    chat,
    convert::{self, Place, Refusal},
};
use tokio::time::Instant;

use super::{Caller, Gateway, door::Door, unexpected_reply};

impl<D: Door> Gateway<D> {
    /// Makes a bot of the caller's.
    pub(super) async fn create_bot(
        &self,
        caller: &Caller,
        request: chat::CreateBotRequest,
        deadline: Instant,
    ) -> Result<chat::CreateBotReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let create = request.create.ok_or_else(|| Refusal::invalid("no bot"))?;
        match self.write(caller, id, create.try_into()?, deadline).await?.0 {
            Reply::BotCreated { account } => {
                Ok(chat::CreateBotReply { created: Some(chat::BotCreated { account: account.0 }) })
            }
            Reply::Rejected(rejection) => Err(rejection.into()),
            Reply::SessionOpened { .. }
            | Reply::InstanceOpened { .. }
            | Reply::MessageSent { .. }
            | Reply::RoomCreated { .. }
            | Reply::UploadReached { .. }
            | Reply::AttachmentFinished(_)
            | Reply::WebhookCreated { .. }
            | Reply::Done => Err(unexpected_reply()),
        }
    }

    /// Gives a bot another token, or none.
    pub(super) async fn set_bot_token(
        &self,
        caller: &Caller,
        request: chat::SetBotTokenRequest,
        deadline: Instant,
    ) -> Result<chat::SetBotTokenReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let set = request.set.ok_or_else(|| Refusal::invalid("no bot"))?;
        let position = self.write_plain(caller, id, set.try_into()?, deadline).await?;
        Ok(chat::SetBotTokenReply { position: position.0 })
    }

    /// Deletes a bot.
    pub(super) async fn delete_bot(
        &self,
        caller: &Caller,
        request: chat::DeleteBotRequest,
        deadline: Instant,
    ) -> Result<chat::DeleteBotReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let delete = request.delete.ok_or_else(|| Refusal::invalid("no bot"))?;
        let position = self.write_plain(caller, id, delete.try_into()?, deadline).await?;
        Ok(chat::DeleteBotReply { position: position.0 })
    }

    /// The caller's bots and webhooks.
    pub(super) async fn list_bots(
        &self,
        caller: &Caller,
        request: chat::ListBotsRequest,
        deadline: Instant,
    ) -> Result<chat::ListBotsReply, Refusal> {
        self.wait_for(Position(request.position), deadline).await?;
        let bots = self.door().read(|store| query::bots(store, caller.session.account));
        Ok(chat::ListBotsReply { bots: bots.into_iter().map(convert::bot).collect() })
    }

    /// Makes a webhook of a room.
    pub(super) async fn create_webhook(
        &self,
        caller: &Caller,
        request: chat::CreateWebhookRequest,
        deadline: Instant,
    ) -> Result<chat::CreateWebhookReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let create = request.create.ok_or_else(|| Refusal::invalid("no webhook"))?;
        match self.write(caller, id, create.try_into()?, deadline).await?.0 {
            Reply::WebhookCreated { webhook, conversation } => {
                let created = chat::WebhookCreated { webhook: webhook.0, conversation: conversation.0 };
                Ok(chat::CreateWebhookReply { created: Some(created) })
            }
            Reply::Rejected(rejection) => Err(rejection.into()),
            Reply::SessionOpened { .. }
            | Reply::InstanceOpened { .. }
            | Reply::MessageSent { .. }
            | Reply::RoomCreated { .. }
            | Reply::UploadReached { .. }
            | Reply::AttachmentFinished(_)
            | Reply::BotCreated { .. }
            | Reply::Done => Err(unexpected_reply()),
        }
    }

    /// Deletes a webhook.
    pub(super) async fn delete_webhook(
        &self,
        caller: &Caller,
        request: chat::DeleteWebhookRequest,
        deadline: Instant,
    ) -> Result<chat::DeleteWebhookReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let delete = request.delete.ok_or_else(|| Refusal::invalid("no webhook"))?;
        let position = self.write_plain(caller, id, delete.try_into()?, deadline).await?;
        Ok(chat::DeleteWebhookReply { position: position.0 })
    }

    /// The webhooks of a room.
    pub(super) async fn list_webhooks(
        &self,
        caller: &Caller,
        request: chat::ListWebhooksRequest,
        deadline: Instant,
    ) -> Result<chat::ListWebhooksReply, Refusal> {
        let reader = caller.session.account;
        let room = Place::try_from(request.room)?.into();
        self.wait_for(Position(request.position), deadline).await?;
        let found = self.door().read(|store| query::webhooks(store, reader, &room))?;
        let mut names = self.directory().of(self.door(), reader);
        let webhooks = found.into_iter().map(|webhook| convert::webhook(webhook, &mut names));
        Ok(chat::ListWebhooksReply { webhooks: webhooks.collect() })
    }
}
