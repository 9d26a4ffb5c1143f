//! Bots and webhooks on the wire.

use prost::Message as _;
use threefold_core::{
    AccountId, BotAction, Operation as Command,
    query::{OwnBot, WebhookInfo},
};

use super::{Names, Operation, Place, Refusal, Token, write::forwardable};
use crate::chat;

impl TryFrom<chat::CreateBot> for Operation {
    type Error = Refusal;

    fn try_from(create: chat::CreateBot) -> Result<Self, Refusal> {
        forwardable(create.encoded_len())?;
        let token = Token::from_bytes(&create.token)?.hash();
        Ok(Self::Complete(Command::ManageBot { name: create.name, action: BotAction::Create { token } }))
    }
}

impl TryFrom<chat::SetBotToken> for Operation {
    type Error = Refusal;

    fn try_from(set: chat::SetBotToken) -> Result<Self, Refusal> {
        forwardable(set.encoded_len())?;
        let token = (!set.token.is_empty()).then(|| Token::from_bytes(&set.token)).transpose()?;
        let action = BotAction::SetToken { token: token.map(|token| token.hash()) };
        Ok(Self::Complete(Command::ManageBot { name: set.name, action }))
    }
}

impl TryFrom<chat::DeleteBot> for Operation {
    type Error = Refusal;

    fn try_from(delete: chat::DeleteBot) -> Result<Self, Refusal> {
        forwardable(delete.encoded_len())?;
        Ok(Self::Complete(Command::ManageBot { name: delete.name, action: BotAction::Delete }))
    }
}

impl TryFrom<chat::CreateWebhook> for Operation {
    type Error = Refusal;

    fn try_from(create: chat::CreateWebhook) -> Result<Self, Refusal> {
        forwardable(create.encoded_len())?;
        let token = Token::from_bytes(&create.token)?.hash();
        let room = Place::try_from(create.room)?.into();
        Ok(Self::Complete(Command::CreateWebhook { room, name: create.name, token }))
    }
}

impl TryFrom<chat::DeleteWebhook> for Operation {
    type Error = Refusal;

    fn try_from(delete: chat::DeleteWebhook) -> Result<Self, Refusal> {
        Ok(Self::Complete(Command::DeleteWebhook { webhook: AccountId(delete.webhook) }))
    }
}

/// A bot as its owner sees it.
#[must_use]
pub fn bot(bot: OwnBot) -> chat::Bot {
    let OwnBot { account, name, has_token, disabled, created_at_ms, webhook_of } = bot;
    let webhook_of = webhook_of.map_or(0, |room| room.0);
    chat::Bot { account: account.0, name, has_token, disabled, created_at_ms, webhook_of }
}

/// A webhook as its room's moderators see it.
pub fn webhook(webhook: WebhookInfo, names: &mut impl Names) -> chat::Webhook {
    let WebhookInfo { webhook, name, by, created_at_ms } = webhook;
    let by = Some(chat::Person { account: by.0, name: names.account(by) });
    chat::Webhook { webhook: webhook.0, name, by, created_at_ms }
}
