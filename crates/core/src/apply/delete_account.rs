//! `DeleteAccount`: the account, its sessions and what only it could see go; what others received stays.
//!
//! Its name stays taken; that of a bot its owner may give to another one. The mailbox, memberships and hidden runs may be many: they are out of reach at once,
//! and removed a few with each following entry (see `cleanup`); so it leaves its rooms.
//!
//! Beside the name and the emptied account one record stays for ever: the ended session that asked for the deletion,
//! so that the same command again is known to have been carried out, however late it comes.

use super::{Audience, Context, Outcome, attachment, bot, session};
use crate::{
    event::Scope,
    ids::{AccountId, TokenHash},
    key::Key,
    record::{AccountRecord, CleanupRecord, NameRecord, SessionRecord},
    reply::{Rejection, Reply},
    store::StoreError,
    text,
};

pub(super) fn delete_account(context: &mut Context<'_>, token: &TokenHash, credential_version: u64) -> Outcome<Reply> {
    if deleted_before(context, token)? {
        return Ok(Reply::Done);
    }
    let own = session::require_live(context, token)?;
    let id = own.account;
    let account: AccountRecord = context.require(Key::Account(id))?;
    if account.bot.is_some() {
        return Err(Rejection::NotForBots.into());
    }
    if account.credential_version != credential_version {
        return Err(Rejection::WrongCredential.into());
    }
    erase(context, id, account)?;
    let (device, instances) = (String::new(), 0);
    context.put(Key::Session(*token), &SessionRecord { device, instances, ended: true, ..own });
    Ok(Reply::Done)
}

/// Deletes an account that is there: its name stays taken, its sessions are forgotten, the rest is removed by and by.
pub(super) fn erase(context: &mut Context<'_>, id: AccountId, mut account: AccountRecord) -> Result<(), StoreError> {
    for (token, session) in session::all_of(context, id)? {
        session::forget(context, token, &session)?;
    }
    account.posted_for = bot::maker_of(context, id, &account)?;
    bot::forget_account(context, id, &account)?;
    let folded = text::fold_name(&account.name);
    let kept_for = account.bot.map(|bot| bot.owner);
    context.put(Key::Name(&folded), &NameRecord { account: id, deleted: true, kept_for });
    account.name.clear();
    account.password_hash.clear();
    account.credential_version += 1;
    account.administrator = false;
    account.disabled_at_ms = None;
    account.display_name = None;
    account.bot = None;
    account.bots_full_at_ms = None;
    account.deleted = true;
    context.put(Key::Account(id), &account);
    context.delete(Key::Seen(id));
    context.delete(Key::NamedRequests(id));
    attachment::forget_account(context, id)?;
    context.put(Key::Cleanup(id), &CleanupRecord {});
    context.meta.cleanups += 1;
    // Nothing is left to read, but whoever follows must find out that its session is gone.
    context.wake(Scope::Mailbox(id), context.position(), Audience::Accounts(vec![id]));
    Ok(())
}

/// Whether the token's session is the one that deleted its account: all others of the account are gone.
fn deleted_before(context: &Context<'_>, token: &TokenHash) -> Outcome<bool> {
    let Some(session) = context.get::<SessionRecord>(Key::Session(*token))? else {
        return Ok(false);
    };
    Ok(context.require::<AccountRecord>(Key::Account(session.account))?.deleted)
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, EventBody, Operation, Position, Recipient, Rejection, Reply, Role, Scope,
        bounds::{CLEANUP_RECORDS, CLEANUP_ROOMS},
        query::{self, Page},
        world::{World, created, refused},
    };

    #[test]
    fn everything_that_was_only_its_own_goes() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let phone = world.log_in(ann.account, "phone");
        let (conversation, _) = world.send(&mut ann, "bob", "remember me");
        world.send(&mut bob, "ann", "never read");
        let command = Command::DeleteAccount { session: ann.token, credential_version: 1 };
        assert_eq!(world.run(&command), Reply::Done);
        assert_eq!(world.applied.happened[0].scope, Scope::Mailbox(ann.account));
        assert_eq!(query::session(&world.store, &ann.token).unwrap(), None);
        assert_eq!(query::session(&world.store, &phone.token).unwrap(), None);
        assert!(world.everything(ann.account).is_empty());
        let account = query::account(&world.store, ann.account).unwrap().unwrap();
        assert_eq!((account.name, account.password_hash), (None, String::new()));
        assert_eq!(world.texts(bob.account, conversation, Page::Before(None), 9), ["remember me", "never read"]);
    }

    #[test]
    fn a_retry_is_done_even_after_the_cleanup_and_other_sessions_are_nobodys() {
        let mut world = World::new();
        let (ann, mut bob) = (world.register("ann"), world.register("bob"));
        let phone = world.log_in(ann.account, "phone");
        let command = Command::DeleteAccount { session: ann.token, credential_version: 1 };
        assert_eq!(world.run(&command), Reply::Done);
        world.send(&mut bob, "bob", "meanwhile");
        assert_eq!(world.run(&command), Reply::Done);
        assert!(world.written().is_empty() && world.applied.happened.is_empty());
        let on_phone = Command::DeleteAccount { session: phone.token, credential_version: 1 };
        assert_eq!(refused(&world.run(&on_phone)), Rejection::SessionInvalid);
        // The session that stays opens nothing.
        let renew = Command::RenewSession { session: ann.token };
        assert_eq!(refused(&world.run(&renew)), Rejection::SessionInvalid);
        let log_in = Command::LogIn {
            account: ann.account,
            credential_version: 1,
            token_hash: ann.token,
            device: "again".to_owned(),
        };
        assert_eq!(refused(&world.run(&log_in)), Rejection::SessionInvalid);
        assert!(query::sessions(&world.store, ann.account).unwrap().is_empty());
    }

    #[test]
    fn the_name_stays_taken_but_is_nobody() {
        let mut world = World::new();
        let ann = world.register("Ann");
        world.run(&Command::DeleteAccount { session: ann.token, credential_version: 1 });
        assert_eq!(query::account_by_name(&world.store, "ann").unwrap(), None);
        assert!(query::search_accounts(&world.store, "", None, 10).unwrap().items.is_empty());
        let (again, token_hash) = world.register_command("ann");
        assert_eq!(refused(&world.run(&again)), Rejection::NameTaken);
        let log_in =
            Command::LogIn { account: ann.account, credential_version: 2, token_hash, device: "phone".to_owned() };
        assert_eq!(refused(&world.run(&log_in)), Rejection::WrongCredential);
    }

    #[test]
    fn the_password_must_be_the_one_that_was_checked() {
        let mut world = World::new();
        let ann = world.register("ann");
        let reply = world.run(&Command::DeleteAccount { session: ann.token, credential_version: 0 });
        assert_eq!(refused(&reply), Rejection::WrongCredential);
        assert!(query::session(&world.store, &ann.token).unwrap().is_some());
    }

    #[test]
    fn it_leaves_its_rooms_a_few_with_each_entry() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let rooms = 2 * CLEANUP_ROOMS + 1;
        for number in 0..rooms {
            let name = format!("r{number}");
            let create = Operation::CreateRoom { name: name.clone(), topic: String::new(), public: true };
            created(&world.write(&mut ann, create));
            world.write(&mut bob, Operation::JoinRoom { room: Recipient::Room(name) });
        }
        let heir = bob.account;
        let owned = |world: &World| {
            let found = query::rooms(&world.store, heir, "", None, 200).unwrap().items;
            found.iter().filter(|room| room.role == Some(Role::Owner) && room.members == 1).count()
        };
        world.run(&Command::DeleteAccount { session: ann.token, credential_version: 1 });
        // That the account is gone, and for each room that it left and who is owner now.
        assert_eq!(world.applied.happened.len(), 1 + 2 * CLEANUP_ROOMS);
        assert_eq!(owned(&world), CLEANUP_ROOMS);
        for left in [2 * CLEANUP_ROOMS, rooms] {
            world.send(&mut bob, "bob", "meanwhile");
            assert_eq!(owned(&world), left);
        }
        let left = world.everything(bob.account);
        let left = left.iter().filter(|event| event.body == EventBody::MemberLeft { account: ann.account });
        assert_eq!(left.count(), rooms);
        let of_ann = |key: &&Vec<u8>| key[0] == 0x09 && key[1..9] == ann.account.0.to_be_bytes();
        assert_eq!(world.store.entries.keys().filter(of_ann).count(), 0);
    }

    #[test]
    fn a_large_account_goes_bit_by_bit_and_wholly() {
        let mut world = World::new();
        let (mut bob, ann) = (world.register("bob"), world.register("ann"));
        for _ in 0..CLEANUP_RECORDS {
            let phone = world.log_in(ann.account, "phone");
            world.run(&Command::EndSession { session: phone.token, target: None });
        }
        let of_ann = |world: &World| {
            let mine =
                |key: &&Vec<u8>| matches!(key[0], 0x09 | 0x0c..=0x0e) && key[1..9] == ann.account.0.to_be_bytes();
            world.store.entries.keys().filter(mine).count()
        };
        assert_eq!(of_ann(&world), 2 * CLEANUP_RECORDS + 1);
        world.run(&Command::DeleteAccount { session: ann.token, credential_version: 1 });
        assert_eq!(of_ann(&world), CLEANUP_RECORDS + 2);
        for _ in 0..2 {
            world.send(&mut bob, "bob", "meanwhile");
        }
        assert_eq!(of_ann(&world), 0);
        assert!(world.catch_up(bob.account, Position(0), 100).events.len() > 2);
    }
}
