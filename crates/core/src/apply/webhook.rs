//! Webhooks: `CreateWebhook`, `DeleteWebhook` and `PostWebhook`. A webhook writes into one room for whoever shows its token, in the name of an
//! account of its own, which is a bot of the one who made it.
//!
//! That account is not in the room: it reads nothing, inherits nothing, and does not keep a room that everybody has left. With the
//! room, with its maker's account, when its maker is removed from the room, and by the word of its maker or of the room's moderators it
//! goes. Who leaves by himself leaves his webhooks there.

use super::{Context, Outcome, bot, delete_account, room, send_message, settle};
use crate::{
    bounds::WEBHOOKS_PER_ROOM,
    command::{Operation, Recipient, Role},
    ids::{AccountId, ConversationId, RequestName, TokenHash},
    key::{Key, Range, last_id},
    record::{AccountRecord, MembershipRecord, NamedRequestsRecord, Recall, RoomRecord, WebhookRecord},
    reply::{Rejection, Reply},
    scan,
    store::StoreError,
};

pub(super) fn create_webhook(
    context: &mut Context<'_>,
    by: AccountId,
    room: &Recipient,
    name: &str,
    token: TokenHash,
) -> Outcome<Reply> {
    let (id, _, role) = room::find_own(context, by, room)?;
    room::require_role(role, Role::Moderator, "make webhooks")?;
    bot::require_person(context, by)?;
    if of_room(context, id)?.len() >= WEBHOOKS_PER_ROOM {
        let what = format!("the room has {WEBHOOKS_PER_ROOM} webhooks, and cannot have more: delete one first");
        return Err(Rejection::LimitReached(what).into());
    }
    let webhook = bot::create(context, by, name, None)?;
    bot::add_webhook(context, webhook, WebhookRecord { room: id, token });
    Ok(Reply::WebhookCreated { webhook, conversation: id })
}

pub(super) fn delete_webhook(context: &mut Context<'_>, by: AccountId, webhook: AccountId) -> Outcome<Reply> {
    let record = context.get::<WebhookRecord>(Key::Webhook(webhook))?.ok_or(Rejection::UnknownWebhook)?;
    let account: AccountRecord = context.require(Key::Account(webhook))?;
    if account.bot.is_none_or(|bot| bot.owner != by) {
        // To others than its room's members there is none.
        let membership = context.get::<MembershipRecord>(Key::Membership(by, record.room))?;
        if !membership.is_some_and(|membership| membership.is_in_room()) {
            return Err(Rejection::UnknownWebhook.into());
        }
        let role = context.require::<RoomRecord>(Key::Room(record.room))?.role_of(by);
        room::require_role(role, Role::Moderator, "delete webhooks")?;
    }
    delete_account::erase(context, webhook, account)?;
    Ok(Reply::Done)
}

/// The room ends.
pub(super) fn delete_all(context: &mut Context<'_>, room: ConversationId) -> Result<(), StoreError> {
    for webhook in of_room(context, room)? {
        let account = context.require(Key::Account(webhook))?;
        delete_account::erase(context, webhook, account)?;
    }
    Ok(())
}

fn of_room(context: &Context<'_>, room: ConversationId) -> Result<Vec<AccountId>, StoreError> {
    let keys = scan::keys(context.store, &Range::room_webhooks(room), WEBHOOKS_PER_ROOM)?;
    keys.iter().map(|key| last_id(key).map(AccountId)).collect()
}

/// Those that an account has made in a room go: it was removed.
pub(super) fn delete_made_by(
    context: &mut Context<'_>,
    maker: AccountId,
    room: ConversationId,
) -> Result<(), StoreError> {
    for webhook in of_room(context, room)? {
        let account: AccountRecord = context.require(Key::Account(webhook))?;
        if account.bot.is_some_and(|bot| bot.owner == maker) {
            delete_account::erase(context, webhook, account)?;
        }
    }
    Ok(())
}

/// What came to a webhook.
pub(super) struct Post<'a> {
    pub(super) token: &'a TokenHash,
    pub(super) name: RequestName,
    pub(super) body: &'a str,
    pub(super) after: Option<u64>,
}

/// Sends what came to a webhook, once under its name. A retry hears what the first try did, whatever has become of the maker since.
pub(super) fn post_webhook(context: &mut Context<'_>, webhook: AccountId, post: &Post<'_>) -> Outcome<Reply> {
    let record = context.get::<WebhookRecord>(Key::Webhook(webhook))?;
    let record = record.filter(|record| record.token == *post.token).ok_or(Rejection::UnknownWebhook)?;
    let (to, body) = (Recipient::Conversation(record.room), post.body.to_owned());
    let operation = Operation::SendMessage { to, body, reply_to: None, attachments: None };
    let key = Key::NamedRequests(webhook);
    let mut named = context.get::<NamedRequestsRecord>(key)?.unwrap_or_default();
    match named.recall(post.name, &operation)? {
        Recall::Ran(reply) => return Ok(reply),
        Recall::Refused(rejection) => return Err(rejection.into()),
        Recall::Due if post.after.is_some_and(|counted| !named.would_know(counted)) => {
            return Err(Rejection::ReplyForgotten.into());
        }
        Recall::Due => {}
    }
    // Not remembered: the same request may be posted once the account is enabled again.
    let account: AccountRecord = context.require(Key::Account(webhook))?;
    if bot::is_disabled(context, &account)? {
        return Err(Rejection::AccountDisabled.into());
    }
    let reply = settle(send_message::post(context, webhook, record.room, post.body))?;
    named.count();
    named.remember(post.name, &operation, &reply)?;
    context.put(key, &named);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use crate::{
        AccountId, AdministratorAction, Command, ConversationId, DeleteScope, Operation, Recipient, Rejection, Reply,
        RequestName, Role, TokenHash,
        bounds::{NAMED_REQUESTS, WEBHOOKS_PER_ROOM},
        command::BotAction,
        query::{self, Page},
        world::{Device, World, created, refused, send_in, send_to, sent},
    };

    fn tea() -> Recipient {
        Recipient::Room("tea".to_owned())
    }

    fn make(world: &mut World, by: &mut Device, name: &str, token: TokenHash) -> Reply {
        world.write(by, Operation::CreateWebhook { room: tea(), name: name.to_owned(), token })
    }

    fn post(webhook: AccountId, token: TokenHash, name: &str, body: &str) -> Command {
        let name = RequestName::of(name);
        Command::PostWebhook { webhook, token, name, body: body.to_owned(), after: None }
    }

    /// Ann owns a room that bob is in, and it has a webhook.
    fn scene() -> (World, [Device; 3], ConversationId, AccountId, TokenHash) {
        let mut world = World::new();
        let [mut ann, mut bob, eve] = ["ann", "bob", "eve"].map(|name| world.register(name));
        let create = Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public: true };
        let room = created(&world.write(&mut ann, create)).0;
        world.write(&mut bob, Operation::JoinRoom { room: tea() });
        let token = world.fresh_token();
        let Reply::WebhookCreated { webhook, conversation } = make(&mut world, &mut ann, "ci", token) else {
            panic!("refused")
        };
        assert_eq!(conversation, room);
        (world, [ann, bob, eve], room, webhook, token)
    }

    #[test]
    fn it_posts_into_its_room_once_under_a_name() {
        let (mut world, [ann, bob, _], room, webhook, token) = scene();
        let first = world.run(&post(webhook, token, "build 7", "passed, @bob"));
        assert_eq!(sent(&first).0, room);
        assert_eq!(world.run(&post(webhook, token, "build 7", "passed, @bob")), first);
        assert!(world.written().is_empty() && world.applied.happened.is_empty());
        let other = world.run(&post(webhook, token, "build 7", "failed"));
        assert_eq!(refused(&other), Rejection::RequestMismatch);
        sent(&world.run(&post(webhook, token, "build 8", "passed")));
        for reader in [&ann, &bob] {
            assert_eq!(world.texts(reader.account, room, Page::Before(None), 9), ["passed, @bob", "passed"]);
        }
        let info = query::conversation(&world.store, bob.account, room).unwrap().unwrap();
        assert_eq!((info.unread, info.unread_mentions), (2, 1));
        let members = query::members(&world.store, ann.account, &tea(), None, 9).unwrap().unwrap();
        assert_eq!(members.items.len(), 2, "it is not in the room");
        let author = query::account_by_name(&world.store, "CI").unwrap().unwrap();
        assert_eq!((author.account, author.bot.unwrap().owner), (webhook, ann.account));
    }

    #[test]
    fn only_with_its_token_and_only_what_is_a_message() {
        let (mut world, [ann, bob, _], room, webhook, token) = scene();
        let wrong = world.fresh_token();
        for (webhook, token) in [(webhook, wrong), (ann.account, token), (AccountId(5), token)] {
            assert_eq!(refused(&world.run(&post(webhook, token, "a", "x"))), Rejection::UnknownWebhook);
        }
        for body in ["", " ", &"x".repeat(16385)] {
            assert!(matches!(refused(&world.run(&post(webhook, token, body, body))), Rejection::Invalid(_)));
        }
        assert!(world.texts(bob.account, room, Page::Before(None), 9).is_empty());
        let token_hash = world.fresh_token();
        let device = "x".to_owned();
        let log_in = Command::LogIn { account: webhook, credential_version: 1, token_hash, device };
        assert_eq!(refused(&world.run(&log_in)), Rejection::WrongCredential, "nothing logs it in");
    }

    #[test]
    fn moderators_and_owners_make_see_and_delete_them() {
        let (mut world, [mut ann, mut bob, mut eve], room, webhook, token) = scene();
        let fresh = world.fresh_token();
        assert!(matches!(refused(&make(&mut world, &mut bob, "b", fresh)), Rejection::Forbidden(_)));
        assert!(matches!(refused(&make(&mut world, &mut eve, "e", fresh)), Rejection::NotInRoom(_)));
        let listed = |world: &World, by: &Device| query::webhooks(&world.store, by.account, &tea()).unwrap();
        assert!(matches!(listed(&world, &bob), Err(Rejection::Forbidden(_))));
        assert!(matches!(listed(&world, &eve), Err(Rejection::NotInRoom(_))));
        let seen = listed(&world, &ann).unwrap();
        assert_eq!((seen.len(), seen[0].webhook, seen[0].name.as_str()), (1, webhook, "ci"));
        let delete = Operation::DeleteWebhook { webhook };
        assert!(matches!(refused(&world.write(&mut bob, delete.clone())), Rejection::Forbidden(_)));
        assert_eq!(refused(&world.write(&mut eve, delete.clone())), Rejection::UnknownWebhook);
        let set = Operation::SetRole { room: tea(), user: "bob".to_owned(), role: Role::Moderator };
        world.write(&mut ann, set);
        assert_eq!(listed(&world, &bob).unwrap()[0].by, ann.account);
        assert_eq!(world.write(&mut bob, delete.clone()), Reply::Done);
        assert_eq!(refused(&world.write(&mut bob, delete)), Rejection::UnknownWebhook);
        assert_eq!(refused(&world.run(&post(webhook, token, "a", "x"))), Rejection::UnknownWebhook);
        assert!(query::bots(&world.store, ann.account).unwrap().is_empty());
        assert!(matches!(make(&mut world, &mut bob, "b", fresh), Reply::WebhookCreated { .. }));
        let left = query::webhooks(&world.store, ann.account, &Recipient::Conversation(room)).unwrap().unwrap();
        assert_eq!(left.len(), 1);
    }

    /// As servers do that have not heard what became of theirs. The last is known, the one before all that are known is not: to tell
    /// whether it was carried out it brings along how many there were when it came.
    #[test]
    fn what_goes_again_is_not_carried_out_once_it_may_have_been_forgotten() {
        let (mut world, [_, bob, _], room, webhook, token) = scene();
        let counts = |world: &World| query::webhook_counts(&world.store, webhook, &token).unwrap().unwrap();
        let numbered = |number: u64, after: u64| {
            let name = RequestName(number);
            Command::PostWebhook { webhook, token, name, body: number.to_string(), after: Some(after) }
        };
        // As many as may be on their way at once, all of which came before any was carried out: all again, in any order.
        let burst: Vec<Command> = (0..NAMED_REQUESTS).map(|number| numbered(number, 0)).collect();
        let first: Vec<Reply> = burst.iter().map(|post| world.run(post)).collect();
        assert_eq!(counts(&world), NAMED_REQUESTS);
        let again: Vec<Reply> = burst.iter().rev().map(|post| world.run(post)).collect();
        assert!(again.iter().rev().eq(&first));
        // One more, and the first of them is forgotten. It is refused, and so is another one that could have been.
        sent(&world.run(&numbered(64, counts(&world))));
        assert_eq!(refused(&world.run(&burst[0])), Rejection::ReplyForgotten);
        assert_eq!(world.run(&burst[1]), first[1]);
        assert_eq!(refused(&world.run(&numbered(65, 0))), Rejection::ReplyForgotten);
        sent(&world.run(&numbered(65, 1)));
        assert_eq!(counts(&world), NAMED_REQUESTS + 2);
        assert_eq!(world.texts(bob.account, room, Page::Before(None), 200).len() as u64, NAMED_REQUESTS + 2);
    }

    #[test]
    fn a_retry_hears_of_the_first_try_also_once_the_maker_is_disabled() {
        let (mut world, [mut ann, mut bob, _], _, _, _) = scene();
        let set = Operation::SetRole { room: tea(), user: "bob".to_owned(), role: Role::Moderator };
        world.write(&mut ann, set);
        let token = world.fresh_token();
        let Reply::WebhookCreated { webhook, .. } = make(&mut world, &mut bob, "b", token) else { panic!() };
        let first = world.run(&post(webhook, token, "a", "x"));
        sent(&first);
        let mut administer = |world: &mut World, action| {
            let name = "bob".to_owned();
            world.write(&mut ann, Operation::Administer { name, action, by_configuration: true })
        };
        assert_eq!(administer(&mut world, AdministratorAction::Disable), Reply::Done);
        assert_eq!(world.run(&post(webhook, token, "a", "x")), first);
        assert_eq!(refused(&world.run(&post(webhook, token, "b", "y"))), Rejection::AccountDisabled);
        let wrong = world.fresh_token();
        assert_eq!(refused(&world.run(&post(webhook, wrong, "a", "x"))), Rejection::UnknownWebhook);
        // That it was disabled is not the outcome of the request.
        assert_eq!(administer(&mut world, AdministratorAction::Enable), Reply::Done);
        sent(&world.run(&post(webhook, token, "b", "y")));
    }

    #[test]
    fn whoever_is_removed_writes_no_more_by_it_and_whoever_leaves_does() {
        let (mut world, [mut ann, mut bob, _], _, webhook, token) = scene();
        let set = Operation::SetRole { room: tea(), user: "bob".to_owned(), role: Role::Moderator };
        world.write(&mut ann, set.clone());
        let mut of_bob = Vec::new();
        for name in ["b", "c"] {
            let token = world.fresh_token();
            let Reply::WebhookCreated { webhook, .. } = make(&mut world, &mut bob, name, token) else { panic!() };
            of_bob.push((webhook, token));
        }
        world.write(&mut bob, Operation::LeaveRoom { room: tea() });
        sent(&world.run(&post(of_bob[0].0, of_bob[0].1, "a", "left")));
        world.write(&mut bob, Operation::JoinRoom { room: tea() });
        world.write(&mut ann, set);
        let remove = Operation::RemoveFromRoom { room: tea(), user: "bob".to_owned() };
        assert_eq!(world.write(&mut ann, remove), Reply::Done);
        for (webhook, token) in of_bob {
            assert_eq!(refused(&world.run(&post(webhook, token, "b", "x"))), Rejection::UnknownWebhook);
        }
        sent(&world.run(&post(webhook, token, "b", "another's")));
    }

    #[test]
    fn what_it_posted_its_maker_and_the_rooms_moderators_take_back_also_once_it_is_gone() {
        let (mut world, [mut ann, mut bob, mut eve], room, ..) = scene();
        world.write(&mut eve, Operation::JoinRoom { room: tea() });
        let role = |user: &str, role| Operation::SetRole { room: tea(), user: user.to_owned(), role };
        world.write(&mut ann, role("bob", Role::Moderator));
        let token = world.fresh_token();
        let Reply::WebhookCreated { webhook, .. } = make(&mut world, &mut bob, "b", token) else { panic!() };
        let mut said =
            ["one", "two @eve", "three", "four"].map(|body| sent(&world.run(&post(webhook, token, body, body))).1);
        said.reverse();
        let everyone = DeleteScope::Everyone;
        let of_ann = sent(&world.write(&mut ann, send_in(room, "mine"))).1;
        assert!(matches!(refused(&world.delete(&mut eve, room, &said[..1], everyone)), Rejection::Forbidden(_)));
        assert_eq!(world.delete(&mut ann, room, &said[..1], everyone), Reply::Done);
        let both = [said[1], of_ann];
        assert!(matches!(refused(&world.delete(&mut bob, room, &both, everyone)), Rejection::Forbidden(_)));
        // Its maker is a member like any by now.
        world.write(&mut ann, role("bob", Role::Member));
        assert_eq!(world.delete(&mut bob, room, &said[1..2], everyone), Reply::Done);
        assert_eq!(world.write(&mut ann, Operation::DeleteWebhook { webhook }), Reply::Done);
        assert_eq!(world.delete(&mut ann, room, &said[2..3], everyone), Reply::Done);
        assert!(matches!(refused(&world.delete(&mut eve, room, &said[3..], everyone)), Rejection::Forbidden(_)));
        assert_eq!(world.delete(&mut bob, room, &said[3..], everyone), Reply::Done);
        let left: Vec<String> = world.texts(eve.account, room, Page::Before(None), 9);
        assert_eq!(left, ["(deleted)", "(deleted)", "(deleted)", "(deleted)", "mine"]);
        let info = query::conversation(&world.store, eve.account, room).unwrap().unwrap();
        assert_eq!(info.unread_mentions, 0);
    }

    #[test]
    fn nobody_writes_to_it() {
        let (mut world, [mut ann, ..], ..) = scene();
        assert!(matches!(refused(&world.write(&mut ann, send_to("ci", "hello?"))), Rejection::Forbidden(_)));
    }

    #[test]
    fn its_maker_deletes_it_as_a_bot_also_from_outside_and_gives_it_another_token() {
        let (mut world, [mut ann, mut bob, _], _, webhook, old) = scene();
        let token = world.fresh_token();
        let set = |token| {
            let action = BotAction::SetToken { token };
            Operation::ManageBot { name: "ci".to_owned(), action }
        };
        assert!(matches!(refused(&world.write(&mut bob, set(Some(token)))), Rejection::UnknownBot(_)));
        assert!(matches!(refused(&world.write(&mut ann, set(None))), Rejection::Forbidden(_)));
        let first = world.run(&post(webhook, old, "z", "by the old one"));
        assert_eq!(world.write(&mut ann, set(Some(token))), Reply::Done);
        assert_eq!(refused(&world.run(&post(webhook, old, "z", "by the old one"))), Rejection::UnknownWebhook);
        assert_eq!(world.run(&post(webhook, token, "z", "by the old one")), first, "its names stay");
        let account = query::account(&world.store, webhook).unwrap().unwrap();
        assert_eq!(account.bot.unwrap().token, None, "nothing logs it in");
        world.write(&mut ann, Operation::LeaveRoom { room: tea() });
        sent(&world.run(&post(webhook, token, "a", "still here")));
        let delete = Operation::ManageBot { name: "ci".to_owned(), action: BotAction::Delete };
        assert_eq!(world.write(&mut ann, delete), Reply::Done);
        assert_eq!(refused(&world.run(&post(webhook, token, "b", "x"))), Rejection::UnknownWebhook);
    }

    #[test]
    fn it_goes_with_its_room_and_is_out_with_its_maker() {
        let (mut world, [mut ann, mut bob, _], _, webhook, token) = scene();
        let administer = |action| {
            let name = "bob".to_owned();
            Operation::Administer { name, action, by_configuration: true }
        };
        let set = Operation::SetRole { room: tea(), user: "bob".to_owned(), role: Role::Owner };
        world.write(&mut ann, set);
        let fresh = world.fresh_token();
        let Reply::WebhookCreated { webhook: of_bob, .. } = make(&mut world, &mut bob, "b", fresh) else { panic!() };
        assert_eq!(world.write(&mut ann, administer(AdministratorAction::Disable)), Reply::Done);
        assert_eq!(refused(&world.run(&post(of_bob, fresh, "a", "x"))), Rejection::AccountDisabled);
        assert_eq!(world.write(&mut ann, administer(AdministratorAction::Delete)), Reply::Done);
        assert_eq!(refused(&world.run(&post(of_bob, fresh, "a", "x"))), Rejection::UnknownWebhook);
        sent(&world.run(&post(webhook, token, "a", "x")));
        world.write(&mut ann, Operation::LeaveRoom { room: tea() });
        assert_eq!(refused(&world.run(&post(webhook, token, "b", "x"))), Rejection::UnknownWebhook);
        assert_eq!(query::account_by_name(&world.store, "ci").unwrap(), None);
        assert!(world.store.entries.keys().all(|key| !matches!(key[0], 0x1d..=0x1f)));
    }

    #[test]
    fn a_room_has_few() {
        let (mut world, [mut ann, ..], ..) = scene();
        for number in 1..WEBHOOKS_PER_ROOM {
            let token = world.fresh_token();
            assert!(matches!(make(&mut world, &mut ann, &format!("w{number}"), token), Reply::WebhookCreated { .. }));
        }
        let token = world.fresh_token();
        assert!(matches!(refused(&make(&mut world, &mut ann, "more", token)), Rejection::LimitReached(_)));
    }
}
