//! `SetDisplayName`: what people are shown beside the account's name.

use super::{Context, Outcome};
use crate::{ids::AccountId, key::Key, record::AccountRecord, reply::Reply, text};

pub(super) fn set_display_name(context: &mut Context<'_>, id: AccountId, display_name: &str) -> Outcome<Reply> {
    text::check_display_name(display_name)?;
    let mut account: AccountRecord = context.require(Key::Account(id))?;
    let display_name = (!display_name.is_empty()).then(|| display_name.to_owned());
    if account.display_name != display_name {
        account.display_name = display_name;
        context.put(Key::Account(id), &account);
    }
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests {
    use crate::{
        Operation, Rejection, Reply, query,
        world::{World, refused},
    };

    #[test]
    fn it_can_be_set_changed_and_taken_away() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let account = ann.account;
        let shown = |world: &World| query::account(&world.store, account).unwrap().unwrap().display_name;
        for (chosen, expected) in [("Ann Ö.", "Ann Ö."), ("安", "安"), ("", "")] {
            let set = ann.next(Operation::SetDisplayName { display_name: chosen.to_owned() });
            assert_eq!(world.run(&set), Reply::Done);
            assert_eq!(shown(&world), expected);
        }
        let set = ann.next(Operation::SetDisplayName { display_name: "a\nb".to_owned() });
        assert!(matches!(refused(&world.run(&set)), Rejection::Invalid(_)));
    }
}
