//! The stored formats of bots and webhooks.

use super::*;
use crate::{
    command::BotAction,
    record::{Bot, OwnedBotRecord, RoomWebhookRecord, WebhookRecord},
};

const WEBHOOK: AccountId = AccountId(28672);

fn account(token: Option<TokenHash>) -> AccountRecord {
    AccountRecord {
        name: "echo".to_owned(),
        password_hash: String::new(),
        credential_version: 1,
        administrator: false,
        registered_at_ms: 1_700_000_000_000,
        delivered_up_to: Position(0),
        deleted: false,
        disabled_at_ms: None,
        display_name: None,
        rooms: None,
        bot: Some(Bot { owner: AccountId(4096), token }),
        bots_full_at_ms: None,
        posted_for: None,
    }
}

pub(super) fn samples() -> Vec<Sample> {
    let key = |name, key: Key<'_>| Sample { name, bytes: key.bytes(), again: key.bytes() };
    let manage = |name, action| write(name, Operation::ManageBot { name: "echo".to_owned(), action });
    let (room, name) = (Recipient::Room("tea".to_owned()), "ci".to_owned());
    let post = |after| Command::PostWebhook {
        webhook: WEBHOOK,
        token: TOKEN,
        name: RequestName::of("a"),
        body: "hello".to_owned(),
        after,
    };
    let mut named = NamedRequestsRecord::default();
    named.count();
    named.remember(RequestName::of("a"), &Operation::MarkDelivered { up_to: EventId(1) }, &Reply::Done).unwrap();
    vec![
        key("key: owner's bot", Key::OwnedBot(AccountId(1), AccountId(6))),
        key("key: webhook", Key::Webhook(AccountId(6))),
        key("key: room's webhook", Key::RoomWebhook(ConversationId(2), AccountId(6))),
        record("account of a bot", account(Some(TOKEN))),
        record("account of a webhook", account(None)),
        record(
            "account with bots",
            AccountRecord { bots_full_at_ms: Some(1_700_000_900_000), bot: None, ..account(None) },
        ),
        record(
            "account of a deleted webhook",
            AccountRecord { posted_for: Some(AccountId(4096)), bot: None, deleted: true, ..account(None) },
        ),
        record(
            "name of a deleted bot",
            NameRecord { account: AccountId(24576), deleted: true, kept_for: Some(AccountId(4096)) },
        ),
        record("named requests of a webhook", named),
        record("owner's bot", OwnedBotRecord {}),
        record("webhook", WebhookRecord { room: ConversationId(12288), token: TOKEN }),
        record("room's webhook", RoomWebhookRecord {}),
        manage("create bot", BotAction::Create { token: TOKEN }),
        manage("set bot's token", BotAction::SetToken { token: Some(TOKEN) }),
        manage("revoke bot's token", BotAction::SetToken { token: None }),
        manage("delete bot", BotAction::Delete),
        write("create webhook", Operation::CreateWebhook { room, name, token: TOKEN }),
        write("delete webhook", Operation::DeleteWebhook { webhook: WEBHOOK }),
        command("post to webhook", post(None)),
        command("post to webhook, counted", post(Some(70))),
        reply("bot created", Reply::BotCreated { account: AccountId(24576) }),
        reply("webhook created", Reply::WebhookCreated { webhook: WEBHOOK, conversation: ConversationId(12288) }),
        reply("unknown bot", Reply::Rejected(Rejection::UnknownBot("x".to_owned()))),
        reply("unknown webhook", Reply::Rejected(Rejection::UnknownWebhook)),
        reply("not for bots", Reply::Rejected(Rejection::NotForBots)),
    ]
}

pub(super) fn decode_all(bytes: &[u8]) {
    let _ = decode::<OwnedBotRecord>(bytes);
    let _ = decode::<WebhookRecord>(bytes);
    let _ = decode::<RoomWebhookRecord>(bytes);
}
