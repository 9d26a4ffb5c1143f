//! `Administer`: what administrators do to accounts. Every act that changes something is recorded.
//!
//! Nobody locks themselves out: an administrator does not disable, delete or revoke the own account (its owner may still
//! delete it like any other), nor reset its password: that would end the very session whose retry must be answered as the
//! first try was. An act that finds things as it wants them is done, and recorded no second time.

use super::{Context, Outcome, bot, delete_account, session};
use crate::{
    command::AdministratorAction,
    event::EventBody,
    ids::AccountId,
    key::Key,
    record::{AccountRecord, Administered, AdministrationRecord, NameRecord},
    reply::{Rejection, Reply},
    store::StoreError,
    text,
};

pub(super) fn administer(
    context: &mut Context<'_>,
    by: AccountId,
    name: &str,
    action: &AdministratorAction,
    by_configuration: bool,
) -> Outcome<Reply> {
    let administrator: AccountRecord = context.require(Key::Account(by))?;
    if (!administrator.administrator && !by_configuration) || administrator.bot.is_some() {
        return Err(Rejection::NotAdministrator.into());
    }
    let unknown = || Rejection::UnknownUser(text::quoted_name(name));
    text::check_name(name).map_err(|_| unknown())?;
    let folded = text::fold_name(name);
    let NameRecord { account: id, deleted, .. } = context.get::<NameRecord>(Key::Name(&folded))?.ok_or_else(unknown)?;
    let done = if *action == AdministratorAction::FreeName {
        free_name(context, &folded, deleted)?
    } else {
        if deleted {
            return Err(unknown().into());
        }
        act(context, by, id, action)?
    };
    if let Some((what, name)) = done {
        let record = AdministrationRecord { at_ms: context.time_ms(), by, account: id, name, what, by_configuration };
        let position = context.take_place();
        context.put(Key::Administration(position), &record);
    }
    Ok(Reply::Done)
}

fn free_name(context: &mut Context<'_>, folded: &str, deleted: bool) -> Outcome<Option<(Administered, String)>> {
    if !deleted {
        let what = "the name belongs to an account: it can be freed once that is deleted".to_owned();
        return Err(Rejection::Forbidden(what).into());
    }
    context.delete(Key::Name(folded));
    Ok(Some((Administered::NameFreed, folded.to_owned())))
}

/// What was done, and to whom by name; nothing where things are already as wanted.
fn act(
    context: &mut Context<'_>,
    by: AccountId,
    id: AccountId,
    action: &AdministratorAction,
) -> Outcome<Option<(Administered, String)>> {
    use AdministratorAction::{Delete, Disable, Enable, FreeName, Grant, ResetPassword, Revoke};
    if by == id && matches!(action, Disable | Delete | Revoke) {
        let what = "administrators do not do that to themselves: another one must".to_owned();
        return Err(Rejection::Forbidden(what).into());
    }
    if by == id && matches!(action, ResetPassword { .. }) {
        let what = "administrators change their own password as everybody does, with the old one".to_owned();
        return Err(Rejection::Forbidden(what).into());
    }
    let mut account: AccountRecord = context.require(Key::Account(id))?;
    if account.bot.is_some() && matches!(action, ResetPassword { .. } | Grant) {
        let what = "a bot has no password and is no administrator: its owner gives it another token".to_owned();
        return Err(Rejection::Forbidden(what).into());
    }
    let name = account.name.clone();
    let what = match action {
        Disable if account.disabled_at_ms.is_some() => return Ok(None),
        Disable => {
            account.disabled_at_ms = Some(context.time_ms());
            bot::shut_out(context, id)?;
            for owned in bot::owned_by(context, id)? {
                bot::shut_out(context, owned)?;
            }
            Administered::Disabled
        }
        Enable if account.disabled_at_ms.is_none() => return Ok(None),
        Enable => {
            account.disabled_at_ms = None;
            Administered::Enabled
        }
        ResetPassword { password_hash } => {
            text::check_password_hash(password_hash)?;
            account.password_hash.clone_from(password_hash);
            account.credential_version += 1;
            end_sessions(context, id)?;
            context.tell_account(id, EventBody::PasswordReset { by });
            Administered::PasswordReset
        }
        Grant if account.administrator => return Ok(None),
        Grant => {
            account.administrator = true;
            Administered::Granted
        }
        Revoke if !account.administrator => return Ok(None),
        Revoke => {
            account.administrator = false;
            Administered::Revoked
        }
        Delete => {
            delete_account::erase(context, id, account)?;
            return Ok(Some((Administered::Deleted, name)));
        }
        // A name is freed before anybody looks for its account.
        FreeName => return Ok(None),
    };
    context.put(Key::Account(id), &account);
    Ok(Some((what, name)))
}

fn end_sessions(context: &mut Context<'_>, id: AccountId) -> Result<(), StoreError> {
    for (token, session) in session::all_of(context, id)? {
        if !session.ended {
            session::end(context, token, session)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        AdministratorAction::{self, Delete, Disable, Enable, FreeName, Grant, ResetPassword, Revoke},
        Command, Operation, Position, Rejection, Reply,
        apply::Audience,
        query::{self, Administered, AdministrationInfo, Paged},
        world::{Device, World, refused},
    };

    fn administer(world: &mut World, by: &mut Device, name: &str, action: AdministratorAction) -> Reply {
        let (name, by_configuration) = (name.to_owned(), false);
        world.write(by, Operation::Administer { name, action, by_configuration })
    }

    /// As somebody sees it whom a configuration entitles.
    fn seen(world: &World, before: Option<Position>, limit: usize) -> Paged<AdministrationInfo> {
        let anybody = query::account_by_name(&world.store, "root").unwrap().unwrap().account;
        query::administration(&world.store, anybody, true, before, limit).unwrap().unwrap()
    }

    /// What was recorded, newest first.
    fn recorded(world: &World) -> Vec<(Administered, String)> {
        let page = seen(world, None, 50);
        page.items.into_iter().map(|act| (act.what, act.name)).collect()
    }

    fn try_log_in(world: &mut World, device: &Device, credential_version: u64) -> Reply {
        let token_hash = world.fresh_token();
        let device_name = "again".to_owned();
        world.run(&Command::LogIn { account: device.account, credential_version, token_hash, device: device_name })
    }

    #[test]
    fn disabled_accounts_are_out_until_they_are_enabled() {
        let mut world = World::new();
        let (mut root, bob) = (world.register("root"), world.register("Bob"));
        assert_eq!(administer(&mut world, &mut root, "bob", Disable), Reply::Done);
        assert_eq!(world.applied.happened[0].audience, Audience::Accounts(vec![bob.account]));
        assert_eq!(query::session(&world.store, &bob.token).unwrap(), None);
        assert_eq!(refused(&try_log_in(&mut world, &bob, 1)), Rejection::AccountDisabled);
        assert_eq!(administer(&mut world, &mut root, "BOB", Disable), Reply::Done);
        assert!(query::account(&world.store, bob.account).unwrap().unwrap().disabled);
        assert_eq!(administer(&mut world, &mut root, "bob", Enable), Reply::Done);
        assert!(matches!(try_log_in(&mut world, &bob, 1), Reply::SessionOpened { .. }));
        let acts = [(Administered::Enabled, "Bob".to_owned()), (Administered::Disabled, "Bob".to_owned())];
        assert_eq!(recorded(&world), acts);
    }

    #[test]
    fn a_reset_password_ends_every_session() {
        let mut world = World::new();
        let (mut root, bob) = (world.register("root"), world.register("bob"));
        let reset = ResetPassword { password_hash: "given".to_owned() };
        assert_eq!(administer(&mut world, &mut root, "bob", reset), Reply::Done);
        assert_eq!(query::session(&world.store, &bob.token).unwrap(), None);
        assert_eq!(query::account(&world.store, bob.account).unwrap().unwrap().password_hash, "given");
        assert_eq!(refused(&try_log_in(&mut world, &bob, 1)), Rejection::WrongCredential);
        assert!(matches!(try_log_in(&mut world, &bob, 2), Reply::SessionOpened { .. }));
        let unusable = ResetPassword { password_hash: String::new() };
        assert!(matches!(refused(&administer(&mut world, &mut root, "bob", unusable)), Rejection::Invalid(_)));
    }

    #[test]
    fn a_deleted_accounts_name_can_be_freed() {
        let mut world = World::new();
        let (mut root, bob) = (world.register("root"), world.register("bob"));
        assert!(matches!(refused(&administer(&mut world, &mut root, "bob", FreeName)), Rejection::Forbidden(_)));
        assert_eq!(administer(&mut world, &mut root, "bob", Delete), Reply::Done);
        assert_eq!(query::session(&world.store, &bob.token).unwrap(), None);
        let gone = refused(&administer(&mut world, &mut root, "bob", Disable));
        assert_eq!(gone, Rejection::UnknownUser("bob".to_owned()));
        let (again, token) = world.register_command("bob");
        assert_eq!(refused(&world.run(&again)), Rejection::NameTaken);
        assert_eq!(administer(&mut world, &mut root, "bob", FreeName), Reply::Done);
        let second = Device::from_reply(&world.run(&again), token);
        assert_ne!(second.account, bob.account);
        let acts = [(Administered::NameFreed, "bob".to_owned()), (Administered::Deleted, "bob".to_owned())];
        assert_eq!(recorded(&world), acts);
    }

    #[test]
    fn only_administrators_and_never_themselves() {
        let mut world = World::new();
        let (mut root, mut bob) = (world.register("root"), world.register("bob"));
        assert_eq!(refused(&administer(&mut world, &mut bob, "root", Disable)), Rejection::NotAdministrator);
        let reset = ResetPassword { password_hash: "given".to_owned() };
        for action in [Disable, Delete, Revoke, reset] {
            assert!(matches!(refused(&administer(&mut world, &mut root, "root", action)), Rejection::Forbidden(_)));
        }
        assert_eq!(administer(&mut world, &mut root, "bob", Grant), Reply::Done);
        assert!(query::administration(&world.store, bob.account, false, None, 9).unwrap().is_ok());
        assert_eq!(administer(&mut world, &mut bob, "root", Revoke), Reply::Done);
        assert_eq!(refused(&administer(&mut world, &mut root, "bob", Disable)), Rejection::NotAdministrator);
        let by_configuration = Operation::Administer { name: "bob".to_owned(), action: Revoke, by_configuration: true };
        assert_eq!(world.write(&mut root, by_configuration), Reply::Done);
        assert_eq!(recorded(&world).len(), 3);
        assert_eq!(refused(&administer(&mut world, &mut bob, "x y", Grant)), Rejection::NotAdministrator);
        let first = seen(&world, None, 1);
        assert!(first.more && first.items[0].by_configuration);
        let rest = seen(&world, Some(first.items[0].position), 9);
        assert_eq!((rest.items.len(), rest.more), (2, false));
        assert!(seen(&world, Some(Position(0)), 9).items.is_empty());
        let by_right = query::administration(&world.store, root.account, false, None, 9).unwrap();
        assert_eq!(by_right, Err(Rejection::NotAdministrator));
    }
}
