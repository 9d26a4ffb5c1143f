//! `ManageBot`: accounts that belong to an account. A bot does what an account does, except what makes one its own master: it owns no
//! bots, administers nothing, and neither changes what logs it in nor deletes itself. That is its owner's.
//!
//! A bot is out while its owner is disabled, and goes with it. Work is bounded by how many bots one account has.

use super::{Audience, Context, Outcome, delete_account, session};
use crate::{
    bounds::{BOT_PAUSE_MS, BOTS_AT_A_STRETCH, BOTS_PER_ACCOUNT},
    command::BotAction,
    event::Scope,
    ids::{AccountId, Position, TokenHash},
    key::{Key, Range, last_id},
    record::{AccountRecord, Bot, NameRecord, OwnedBotRecord, RoomWebhookRecord, WebhookRecord},
    reply::{Rejection, Reply},
    scan,
    store::StoreError,
    text,
};

pub(super) fn manage_bot(
    context: &mut Context<'_>,
    owner: AccountId,
    name: &str,
    action: &BotAction,
) -> Outcome<Reply> {
    require_person(context, owner)?;
    match action {
        BotAction::Create { token } => {
            let account = create(context, owner, name, Some(*token))?;
            return Ok(Reply::BotCreated { account });
        }
        BotAction::SetToken { token } => {
            let (id, mut account, bot) = owned(context, owner, name)?;
            if let Some(webhook) = context.get::<WebhookRecord>(Key::Webhook(id))? {
                // It posts with it, and logs in with nothing.
                let what = "a webhook always has a token: delete it instead".to_owned();
                let token = token.ok_or(Rejection::Forbidden(what))?;
                context.put(Key::Webhook(id), &WebhookRecord { token, ..webhook });
                return Ok(Reply::Done);
            }
            account.bot = Some(Bot { token: *token, ..bot });
            // A log-in that was checked against the old one is refused.
            account.credential_version += 1;
            context.put(Key::Account(id), &account);
            shut_out(context, id)?;
        }
        BotAction::Delete => {
            let (id, account, _) = owned(context, owner, name)?;
            delete_account::erase(context, id, account)?;
        }
    }
    Ok(Reply::Done)
}

/// What only people may do.
pub(super) fn require_person(context: &Context<'_>, account: AccountId) -> Outcome<()> {
    match context.require::<AccountRecord>(Key::Account(account))?.bot {
        Some(_) => Err(Rejection::NotForBots.into()),
        None => Ok(()),
    }
}

/// Makes the account of a bot or of a webhook.
pub(super) fn create(
    context: &mut Context<'_>,
    owner: AccountId,
    name: &str,
    token: Option<TokenHash>,
) -> Outcome<AccountId> {
    text::check_name(name)?;
    let folded = text::fold_name(name);
    // What a deleted bot was called nobody else is, but its owner may have replaced it.
    let is_free = |name: NameRecord| name.deleted && name.kept_for == Some(owner);
    if !context.get::<NameRecord>(Key::Name(&folded))?.is_none_or(is_free) {
        return Err(Rejection::NameTaken.into());
    }
    if owned_by(context, owner)?.len() >= BOTS_PER_ACCOUNT {
        let what = format!("you have {BOTS_PER_ACCOUNT} bots and webhooks, and cannot have more: delete one first");
        return Err(Rejection::LimitReached(what).into());
    }
    count(context, owner)?;
    let id = AccountId::from(context.take_place());
    let account = AccountRecord {
        name: name.to_owned(),
        // No password is its own.
        password_hash: String::new(),
        credential_version: 1,
        administrator: false,
        registered_at_ms: context.time_ms(),
        delivered_up_to: Position::default(),
        deleted: false,
        disabled_at_ms: None,
        display_name: None,
        rooms: None,
        bot: Some(Bot { owner, token }),
        bots_full_at_ms: None,
        posted_for: None,
    };
    context.put(Key::Account(id), &account);
    context.put(Key::Name(&folded), &NameRecord { account: id, deleted: false, kept_for: None });
    context.put(Key::OwnedBot(owner, id), &OwnedBotRecord {});
    Ok(id)
}

/// Counts a bot that is made: what deleted ones leave behind stays for ever, so not any number is made. By the state's clock, for
/// the limits of registrations are those of addresses, and whoever has an account may write from any.
fn count(context: &mut Context<'_>, owner: AccountId) -> Outcome<()> {
    let now_ms = context.time_ms();
    let mut account: AccountRecord = context.require(Key::Account(owner))?;
    let full_at_ms = account.bots_full_at_ms.unwrap_or_default().max(now_ms) + BOT_PAUSE_MS;
    let too_early_ms = (full_at_ms - now_ms).saturating_sub(BOTS_AT_A_STRETCH * BOT_PAUSE_MS);
    if too_early_ms > 0 {
        let minutes = too_early_ms.div_ceil(60_000);
        let what = format!("you have made many bots and webhooks: you can make another one in {minutes} minutes");
        return Err(Rejection::LimitReached(what).into());
    }
    account.bots_full_at_ms = Some(full_at_ms);
    context.put(Key::Account(owner), &account);
    Ok(())
}

/// Who made the webhook that an account is, or was until it was deleted.
pub(super) fn maker_of(
    context: &Context<'_>,
    id: AccountId,
    account: &AccountRecord,
) -> Result<Option<AccountId>, StoreError> {
    let Some(bot) = account.bot else { return Ok(account.posted_for) };
    Ok(context.get::<WebhookRecord>(Key::Webhook(id))?.map(|_| bot.owner))
}

/// The bots and webhooks of an account, oldest first.
pub(super) fn owned_by(context: &Context<'_>, owner: AccountId) -> Result<Vec<AccountId>, StoreError> {
    let keys = scan::keys(context.store, &Range::owned_bots(owner), BOTS_PER_ACCOUNT)?;
    keys.iter().map(|key| last_id(key).map(AccountId)).collect()
}

/// A bot of that owner by its name; anything else is no bot to them.
fn owned(context: &Context<'_>, owner: AccountId, name: &str) -> Outcome<(AccountId, AccountRecord, Bot)> {
    let unknown = || Rejection::UnknownBot(text::quoted_name(name));
    text::check_name(name).map_err(|_| unknown())?;
    let Some(NameRecord { account: id, deleted: false, .. }) = context.get(Key::Name(&text::fold_name(name)))? else {
        return Err(unknown().into());
    };
    let account: AccountRecord = context.require(Key::Account(id))?;
    match account.bot.filter(|bot| bot.owner == owner) {
        Some(bot) => Ok((id, account, bot)),
        None => Err(unknown().into()),
    }
}

/// Whether the account may not act: itself or its owner is disabled.
pub(super) fn is_disabled(context: &Context<'_>, account: &AccountRecord) -> Result<bool, StoreError> {
    let owner = account.bot.map(|bot| context.require::<AccountRecord>(Key::Account(bot.owner))).transpose()?;
    Ok(account.disabled_at_ms.is_some() || owner.is_some_and(|owner| owner.disabled_at_ms.is_some()))
}

/// Ends all sessions of an account. Nothing is told, but whoever follows must find out that its session is gone.
pub(super) fn shut_out(context: &mut Context<'_>, id: AccountId) -> Result<(), StoreError> {
    for (token, session) in session::all_of(context, id)? {
        if !session.ended {
            session::end(context, token, session)?;
        }
    }
    context.wake(Scope::Mailbox(id), context.position(), Audience::Accounts(vec![id]));
    Ok(())
}

/// An account goes: so do the bots that are its own, or, where it is one, what stands of it elsewhere.
pub(super) fn forget_account(
    context: &mut Context<'_>,
    id: AccountId,
    account: &AccountRecord,
) -> Result<(), StoreError> {
    let Some(bot) = account.bot else {
        for owned in owned_by(context, id)? {
            let account = context.require(Key::Account(owned))?;
            delete_account::erase(context, owned, account)?;
        }
        return Ok(());
    };
    context.delete(Key::OwnedBot(bot.owner, id));
    if let Some(webhook) = context.get::<WebhookRecord>(Key::Webhook(id))? {
        context.delete(Key::Webhook(id));
        context.delete(Key::RoomWebhook(webhook.room, id));
    }
    Ok(())
}

/// A new webhook of a room, whose account was just made.
pub(super) fn add_webhook(context: &mut Context<'_>, account: AccountId, webhook: WebhookRecord) {
    context.put(Key::Webhook(account), &webhook);
    context.put(Key::RoomWebhook(webhook.room, account), &RoomWebhookRecord {});
}

#[cfg(test)]
mod tests {
    use crate::{
        AccountId, AdministratorAction, Command, Operation, Rejection, Reply, TokenHash,
        bounds::{BOT_PAUSE_MS, BOTS_AT_A_STRETCH, BOTS_PER_ACCOUNT, SESSIONS_PER_BOT},
        command::BotAction,
        query,
        world::{Device, World, refused, send_to, sent},
    };

    fn manage(world: &mut World, by: &mut Device, name: &str, action: BotAction) -> Reply {
        world.write(by, Operation::ManageBot { name: name.to_owned(), action })
    }

    fn create(world: &mut World, by: &mut Device, name: &str) -> AccountId {
        let token = world.fresh_token();
        match manage(world, by, name, BotAction::Create { token }) {
            Reply::BotCreated { account } => account,
            other => panic!("{other:?}"),
        }
    }

    fn token_of(world: &World, bot: AccountId) -> Option<TokenHash> {
        query::account(&world.store, bot).unwrap().unwrap().bot.unwrap().token
    }

    fn administer(world: &mut World, by: &mut Device, name: &str, action: AdministratorAction) -> Reply {
        world.write(by, Operation::Administer { name: name.to_owned(), action, by_configuration: true })
    }

    fn try_log_in(world: &mut World, account: AccountId, credential_version: u64) -> Reply {
        let token_hash = world.fresh_token();
        world.run(&Command::LogIn { account, credential_version, token_hash, device: "host".to_owned() })
    }

    #[test]
    fn a_bot_is_an_account_with_an_owner_and_a_token() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let token = world.fresh_token();
        let command = ann.next(Operation::ManageBot { name: "Echo".to_owned(), action: BotAction::Create { token } });
        let Reply::BotCreated { account: echo } = world.run(&command) else { panic!("refused") };
        assert_eq!(world.run(&command), Reply::BotCreated { account: echo }, "a retry");
        let info = query::account_by_name(&world.store, "echo").unwrap().unwrap();
        assert_eq!((info.account, info.administrator, info.password_hash.as_str()), (echo, false, ""));
        assert_eq!(info.bot.unwrap().owner, ann.account);
        assert_eq!(token_of(&world, echo), Some(token));
        assert!(!world.holds("token"));
        let mut device = world.log_in(echo, "host");
        sent(&world.write(&mut device, send_to("bob", "beep")));
        sent(&world.write(&mut bob, send_to("echo", "hello")));
        let bots = query::bots(&world.store, ann.account).unwrap();
        assert_eq!((bots.len(), bots[0].name.as_str(), bots[0].has_token), (1, "Echo", true));
        assert!(query::bots(&world.store, bob.account).unwrap().is_empty());
        let again = manage(&mut world, &mut bob, "ECHO", BotAction::Create { token });
        assert_eq!(refused(&again), Rejection::NameTaken);
        let bad = manage(&mut world, &mut bob, "e c", BotAction::Create { token });
        assert!(matches!(refused(&bad), Rejection::Invalid(_)));
    }

    #[test]
    fn another_token_shuts_out_and_none_leaves_it_shut() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let echo = create(&mut world, &mut ann, "echo");
        let device = world.log_in(echo, "host");
        let token = Some(world.fresh_token());
        let others = manage(&mut world, &mut bob, "echo", BotAction::SetToken { token });
        assert_eq!(refused(&others), Rejection::UnknownBot("echo".to_owned()));
        assert_eq!(manage(&mut world, &mut ann, "echo", BotAction::SetToken { token }), Reply::Done);
        assert_eq!(world.woken, [vec![echo]]);
        assert_eq!(query::session(&world.store, &device.token).unwrap(), None);
        assert_eq!(token_of(&world, echo), token);
        assert_eq!(refused(&try_log_in(&mut world, echo, 1)), Rejection::WrongCredential);
        assert!(matches!(try_log_in(&mut world, echo, 2), Reply::SessionOpened { .. }));
        assert_eq!(manage(&mut world, &mut ann, "echo", BotAction::SetToken { token: None }), Reply::Done);
        assert_eq!(token_of(&world, echo), None);
        for name in ["ann", "bob", "nobody", "x y"] {
            let reply = manage(&mut world, &mut ann, name, BotAction::Delete);
            assert_eq!(refused(&reply), Rejection::UnknownBot(name.to_owned()));
        }
        assert_eq!(manage(&mut world, &mut ann, "echo", BotAction::Delete), Reply::Done);
        assert!(query::bots(&world.store, ann.account).unwrap().is_empty());
        assert_eq!(query::account_by_name(&world.store, "echo").unwrap(), None);
    }

    #[test]
    fn a_bot_is_nobodys_master_and_not_its_own() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let echo = create(&mut world, &mut ann, "echo");
        let mut bot = world.log_in(echo, "host");
        let token = world.fresh_token();
        let mut refuse = |world: &mut World, action| refused(&manage(world, &mut bot, "other", action));
        for action in [BotAction::Create { token }, BotAction::SetToken { token: None }, BotAction::Delete] {
            assert_eq!(refuse(&mut world, action), Rejection::NotForBots);
        }
        let disable = AdministratorAction::Disable;
        assert_eq!(refused(&administer(&mut world, &mut bot, "ann", disable)), Rejection::NotAdministrator);
        let password_hash = "mine".to_owned();
        let change = Command::ChangePassword { session: bot.token, credential_version: 1, password_hash };
        assert_eq!(refused(&world.run(&change)), Rejection::NotForBots);
        let delete = Command::DeleteAccount { session: bot.token, credential_version: 1 };
        assert_eq!(refused(&world.run(&delete)), Rejection::NotForBots);
        let reset = AdministratorAction::ResetPassword { password_hash: "given".to_owned() };
        for action in [reset, AdministratorAction::Grant] {
            assert!(matches!(refused(&administer(&mut world, &mut ann, "echo", action)), Rejection::Forbidden(_)));
        }
    }

    #[test]
    fn it_is_out_while_its_owner_is_and_goes_with_it() {
        let mut world = World::new();
        let (mut root, mut ann) = (world.register("root"), world.register("ann"));
        let echo = create(&mut world, &mut ann, "echo");
        let device = world.log_in(echo, "host");
        assert_eq!(administer(&mut world, &mut root, "ann", AdministratorAction::Disable), Reply::Done);
        assert_eq!(query::session(&world.store, &device.token).unwrap(), None);
        assert_eq!(world.woken, [vec![ann.account], vec![echo]]);
        assert_eq!(refused(&try_log_in(&mut world, echo, 1)), Rejection::AccountDisabled);
        assert_eq!(administer(&mut world, &mut root, "ann", AdministratorAction::Enable), Reply::Done);
        assert!(matches!(try_log_in(&mut world, echo, 1), Reply::SessionOpened { .. }));
        assert_eq!(administer(&mut world, &mut root, "echo", AdministratorAction::Disable), Reply::Done);
        assert_eq!(refused(&try_log_in(&mut world, echo, 1)), Rejection::AccountDisabled);
        assert_eq!(administer(&mut world, &mut root, "echo", AdministratorAction::Enable), Reply::Done);
        let device = world.log_in(echo, "host");
        assert_eq!(administer(&mut world, &mut root, "ann", AdministratorAction::Delete), Reply::Done);
        assert_eq!(query::session(&world.store, &device.token).unwrap(), None);
        assert_eq!(query::account_by_name(&world.store, "echo").unwrap(), None);
        // What only they could see is removed with the following entries, both accounts' of it.
        for _ in 0..3 {
            world.send(&mut root, "root", "meanwhile");
        }
        let of = |account: AccountId| {
            let mine = move |key: &&Vec<u8>| {
                matches!(key[0], 0x05 | 0x09 | 0x0c..=0x0e | 0x1d) && key[1..9] == account.0.to_be_bytes()
            };
            world.store.entries.keys().filter(mine).count()
        };
        assert_eq!((of(ann.account), of(echo)), (0, 0));
    }

    #[test]
    fn a_deleted_bots_name_is_its_owners_to_give_again_and_nobody_elses() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let first = create(&mut world, &mut ann, "Echo");
        assert_eq!(manage(&mut world, &mut ann, "echo", BotAction::Delete), Reply::Done);
        let token = world.fresh_token();
        let taken = manage(&mut world, &mut bob, "echo", BotAction::Create { token });
        assert_eq!(refused(&taken), Rejection::NameTaken);
        let (register, _) = world.register_command("echo");
        assert_eq!(refused(&world.run(&register)), Rejection::NameTaken);
        let second = create(&mut world, &mut ann, "echo");
        assert_ne!(first, second);
        let named = query::account_by_name(&world.store, "ECHO").unwrap().unwrap();
        assert_eq!((named.account, named.name.as_deref()), (second, Some("echo")));
        assert_eq!(query::account(&world.store, first).unwrap().unwrap().name, None);
        let again = manage(&mut world, &mut ann, "echo", BotAction::Create { token });
        assert_eq!(refused(&again), Rejection::NameTaken);
        // A person's name is not a bot's to have.
        world.run(&Command::DeleteAccount { session: bob.token, credential_version: 1 });
        let after_bob = manage(&mut world, &mut ann, "bob", BotAction::Create { token });
        assert_eq!(refused(&after_bob), Rejection::NameTaken);
    }

    #[test]
    fn who_makes_and_deletes_bots_all_the_time_has_to_wait() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        world.time_ms += 1;
        for _ in 0..BOTS_AT_A_STRETCH {
            create(&mut world, &mut ann, "echo");
            manage(&mut world, &mut ann, "echo", BotAction::Delete);
        }
        let token = world.fresh_token();
        let mut more = |world: &mut World| manage(world, &mut ann, "echo", BotAction::Create { token });
        let what = "you have made many bots and webhooks: you can make another one in 15 minutes";
        assert!(matches!(refused(&more(&mut world)), Rejection::LimitReached(words) if words == what));
        create(&mut world, &mut bob, "other");
        world.time_ms += BOT_PAUSE_MS;
        assert!(matches!(more(&mut world), Reply::BotCreated { .. }));
        assert!(matches!(refused(&more(&mut world)), Rejection::NameTaken));
        world.time_ms += 2 * BOTS_AT_A_STRETCH * BOT_PAUSE_MS;
        assert_eq!(manage(&mut world, &mut bob, "other", BotAction::Delete), Reply::Done);
        create(&mut world, &mut bob, "other");
    }

    #[test]
    fn an_account_has_few_bots_and_a_bot_few_sessions() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        for number in 0..BOTS_PER_ACCOUNT {
            create(&mut world, &mut ann, &format!("bot{number}"));
        }
        let token = world.fresh_token();
        let reply = manage(&mut world, &mut ann, "more", BotAction::Create { token });
        assert!(matches!(refused(&reply), Rejection::LimitReached(_)));
        assert_eq!(manage(&mut world, &mut ann, "bot7", BotAction::Delete), Reply::Done);
        let echo = create(&mut world, &mut ann, "echo");
        let devices: Vec<_> = (0..=SESSIONS_PER_BOT).map(|_| world.log_in(echo, "host")).collect();
        assert_eq!(query::sessions(&world.store, echo).unwrap().len(), SESSIONS_PER_BOT);
        assert_eq!(query::session(&world.store, &devices[0].token).unwrap(), None);
    }
}
