//! What is done with bots and webhooks goes through the outbox like messages.

use threefold_proto::chat::{
    BotCreated, CreateBot, CreateWebhook, DeleteBot, DeleteWebhook, SetBotToken, WebhookCreated, write::Operation,
};

use super::{Outcome, Receipt, To, Writer, position};
use crate::{Error, Token};

impl Writer {
    /// Makes a bot, which this token logs in: written in hexadecimal it is the bot's password. Nobody can be asked for it later.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn create_bot(&self, name: impl Into<String>, token: &Token) -> Result<Receipt<BotCreated>, Error> {
        let create = CreateBot { name: name.into(), token: token.as_bytes().to_vec().into() };
        self.submit(Operation::CreateBot(create), |outcome| match outcome {
            Outcome::BotCreated(created) => Some(created),
            _ => None,
        })
        .await
    }

    /// Gives a bot another token, or none; ends its sessions.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn set_bot_token(&self, name: impl Into<String>, token: Option<&Token>) -> Result<Receipt<u64>, Error> {
        let token = token.map(|token| token.as_bytes().to_vec()).unwrap_or_default().into();
        self.submit(Operation::SetBotToken(SetBotToken { name: name.into(), token }), position).await
    }

    /// Deletes a bot.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn delete_bot(&self, name: impl Into<String>) -> Result<Receipt<u64>, Error> {
        self.submit(Operation::DeleteBot(DeleteBot { name: name.into() }), position).await
    }

    /// Makes a webhook of a room: whoever posts to `/hooks/WEBHOOK/TOKEN` of any server, the token in hexadecimal, writes there.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn create_webhook(
        &self,
        room: impl Into<To>,
        name: impl Into<String>,
        token: &Token,
    ) -> Result<Receipt<WebhookCreated>, Error> {
        let room = Some(room.into().into_recipient()?);
        let create = CreateWebhook { room, name: name.into(), token: token.as_bytes().to_vec().into() };
        self.submit(Operation::CreateWebhook(create), |outcome| match outcome {
            Outcome::WebhookCreated(created) => Some(created),
            _ => None,
        })
        .await
    }

    /// Deletes a webhook.
    ///
    /// # Errors
    /// As for [`Writer::send`].
    pub async fn delete_webhook(&self, webhook: u64) -> Result<Receipt<u64>, Error> {
        self.submit(Operation::DeleteWebhook(DeleteWebhook { webhook }), position).await
    }
}
