//! `Register`: a new account and its first session.

use super::{Context, Outcome, session};
use crate::{
    ids::{AccountId, Position, TokenHash},
    key::{Key, Range},
    record::{AccountRecord, NameRecord},
    reply::{Rejection, Reply},
    scan, text,
};

pub(super) fn register(
    context: &mut Context<'_>,
    name: &str,
    password_hash: &str,
    token: TokenHash,
    device: &str,
) -> Outcome<Reply> {
    let folded = text::fold_name(name);
    if let Some(reply) = session::opened_before(context, token, |_, account| text::fold_name(&account.name) == folded)?
    {
        return Ok(reply);
    }
    text::check_name(name)?;
    text::check_password_hash(password_hash)?;
    text::check_device(device)?;
    if context.get::<NameRecord>(Key::Name(&folded))?.is_some() {
        return Err(Rejection::NameTaken.into());
    }
    let first_ever = scan::keys(context.store, &Range::accounts(), 1)?.is_empty();
    let id = AccountId::from(context.take_place());
    let account = AccountRecord {
        name: name.to_owned(),
        password_hash: password_hash.to_owned(),
        credential_version: 1,
        administrator: first_ever,
        registered_at_ms: context.time_ms(),
        delivered_up_to: Position::default(),
        deleted: false,
        disabled_at_ms: None,
        display_name: None,
        rooms: None,
        bot: None,
        bots_full_at_ms: None,
        posted_for: None,
    };
    context.put(Key::Account(id), &account);
    context.put(Key::Name(&folded), &NameRecord { account: id, deleted: false, kept_for: None });
    Ok(session::open(context, id, &account, token, device)?)
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, Rejection, Reply, query,
        world::{Device, World, refused},
    };

    fn register(name: &str, token: crate::TokenHash) -> Command {
        Command::Register {
            name: name.to_owned(),
            password_hash: "h".to_owned(),
            token_hash: token,
            device: "d".to_owned(),
        }
    }

    #[test]
    fn the_first_account_ever_administers() {
        let mut world = World::new();
        assert!(!query::any_account(&world.store).unwrap());
        let (ann, bob) = (world.register("ann"), world.register("bob"));
        let account = |device: &Device| query::account(&world.store, device.account).unwrap().unwrap();
        assert!(account(&ann).administrator && !account(&bob).administrator);
        assert_eq!(account(&ann).name.as_deref(), Some("ann"));
        world.run(&Command::DeleteAccount { session: ann.token, credential_version: 1 });
        world.run(&Command::DeleteAccount { session: bob.token, credential_version: 1 });
        assert!(query::any_account(&world.store).unwrap(), "there was one");
        let eve = world.register("eve");
        assert!(!query::account(&world.store, eve.account).unwrap().unwrap().administrator);
    }

    #[test]
    fn a_name_is_unique_ignoring_case_and_a_retry_is_not_another() {
        let mut world = World::new();
        let (command, _) = world.register_command("Ann");
        let first = world.run(&command);
        assert_eq!(world.run(&command), first);
        assert!(world.written().is_empty());
        let token = world.fresh_token();
        assert_eq!(refused(&world.run(&register("aNN", token))), Rejection::NameTaken);
        assert!(world.written().is_empty());
        assert_eq!(query::account_by_name(&world.store, "ANN").unwrap().unwrap().name.as_deref(), Some("Ann"));
    }

    #[test]
    fn a_token_is_used_once() {
        let mut world = World::new();
        let ann = world.register("ann");
        assert!(matches!(refused(&world.run(&register("bob", ann.token))), Rejection::Invalid(_)));
        world.run(&Command::EndSession { session: ann.token, target: None });
        assert_eq!(refused(&world.run(&register("ann", ann.token))), Rejection::SessionInvalid);
    }

    #[test]
    fn bad_names_hashes_and_devices_are_refused() {
        let mut world = World::new();
        for (name, hash, device) in
            [("", "h", "d"), ("a b", "h", "d"), ("ann", "", "d"), ("ann", &"h".repeat(513), "d"), ("ann", "h", "")]
        {
            let token_hash = world.fresh_token();
            let [name, password_hash, device] = [name, hash, device].map(str::to_owned);
            let reply = world.run(&Command::Register { name, password_hash, token_hash, device });
            assert!(matches!(reply, Reply::Rejected(Rejection::Invalid(_))), "{reply:?}");
        }
        assert!(world.written().is_empty());
    }
}
