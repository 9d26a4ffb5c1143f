//! Bots: accounts that belong to another account; and webhooks, each with such an account of its own.

use minicbor::{Decode, Encode};

use super::Record;
use crate::ids::{AccountId, ConversationId, TokenHash};

/// What makes an account a bot; part of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Bot {
    /// Whose it is.
    #[n(0)]
    pub(crate) owner: AccountId,
    /// Of what logs it in; none: nothing does.
    #[n(1)]
    pub(crate) token: Option<TokenHash>,
}

/// A bot in the list of its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OwnedBotRecord {}

impl Record for OwnedBotRecord {
    const NAME: &'static str = "owner's bot";
}

/// A webhook. Its name is its account's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct WebhookRecord {
    /// Where it posts.
    #[n(0)]
    pub(crate) room: ConversationId,
    /// Of what must be shown to post.
    #[n(1)]
    pub(crate) token: TokenHash,
}

impl Record for WebhookRecord {
    const NAME: &'static str = "webhook";
}

/// A webhook in the list of its room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RoomWebhookRecord {}

impl Record for RoomWebhookRecord {
    const NAME: &'static str = "room's webhook";
}
