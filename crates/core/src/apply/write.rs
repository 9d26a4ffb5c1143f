//! `Write` and `NamedWrite`: a numbered operation, run once and in order however often it arrives; a named one also by
//! whichever session of its account it arrives again.
//!
//! What the session or its window refuses is not remembered and uses up no number. What the operation itself
//! refuses is an outcome like any other. That a name was used before is an outcome too, for the number; the name keeps its own.

use super::{Context, Outcome, operate, session, settle};
use crate::{
    command::Operation,
    ids::{AccountId, RequestId, RequestName, TokenHash},
    key::Key,
    record::{NamedRequestsRecord, Recall, WindowRecord},
    reply::{Rejection, Reply},
};

pub(super) fn write(
    context: &mut Context<'_>,
    token: &TokenHash,
    request: RequestId,
    operation: &Operation,
    answered: u64,
    name: Option<RequestName>,
) -> Outcome<Reply> {
    let session = session::require_live(context, token)?;
    let key = Key::Window(session.session, request.instance);
    let mut window = context.get::<WindowRecord>(key)?.ok_or(Rejection::UnknownInstance)?;
    match window.recall(request.number, operation)? {
        Recall::Ran(reply) => Ok(reply),
        Recall::Refused(rejection) => Err(rejection.into()),
        Recall::Due => {
            let outcome = match name {
                None => operate(context, session.account, operation),
                Some(name) => once(context, session.account, name, operation, |context, operation| {
                    operate(context, session.account, operation)
                }),
            };
            let reply = settle(outcome)?;
            window.remember(operation, &reply, context.position(), answered)?;
            context.put(key, &window);
            Ok(reply)
        }
    }
}

/// Runs what the account has not asked for under that name before.
fn once(
    context: &mut Context<'_>,
    account: AccountId,
    name: RequestName,
    operation: &Operation,
    run: impl FnOnce(&mut Context<'_>, &Operation) -> Outcome<Reply>,
) -> Outcome<Reply> {
    let key = Key::NamedRequests(account);
    let mut named = context.get::<NamedRequestsRecord>(key)?.unwrap_or_default();
    match named.recall(name, operation)? {
        Recall::Ran(reply) => Ok(reply),
        Recall::Refused(rejection) => Err(rejection.into()),
        Recall::Due => {
            let reply = settle(run(context, operation))?;
            named.remember(name, operation, &reply)?;
            context.put(key, &named);
            Ok(reply)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, Rejection, Reply,
        bounds::NAMED_REQUESTS,
        world::{World, named, refused, send_to, sent, with_answered},
    };

    #[test]
    fn a_name_is_recognised_by_another_session_of_its_account_and_by_no_other_account() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let first = world.run(&named(ann.next(send_to("bob", "hello")), "greeting"));
        sent(&first);
        let mut phone = world.log_in(ann.account, "phone");
        let again = named(phone.next(send_to("bob", "hello")), "greeting");
        assert_eq!(world.run(&again), first);
        assert!(world.applied.happened.is_empty());
        // Only the number is new, and it too is run once.
        assert_eq!(world.written().len(), 1);
        assert_eq!(world.run(&again), first);
        assert!(world.written().is_empty());
        let other = world.run(&named(bob.next(send_to("ann", "hello")), "greeting"));
        assert_ne!(sent(&other).1, sent(&first).1);
        sent(&world.write(&mut phone, send_to("bob", "hello")));
    }

    #[test]
    fn a_name_with_other_content_is_refused_and_the_next_number_is_due() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        sent(&world.run(&named(ann.next(send_to("ann", "one")), "a")));
        let other = named(ann.next(send_to("ann", "two")), "a");
        assert_eq!(refused(&world.run(&other)), Rejection::RequestMismatch);
        assert_eq!(refused(&world.run(&other)), Rejection::RequestMismatch);
        sent(&world.run(&named(ann.next(send_to("ann", "two")), "b")));
    }

    #[test]
    fn a_refusal_is_remembered_by_its_name() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let unknown = Rejection::UnknownUser("bob".to_owned());
        assert_eq!(refused(&world.run(&named(ann.next(send_to("bob", "hello")), "a"))), unknown);
        world.register("bob");
        assert_eq!(refused(&world.run(&named(ann.next(send_to("bob", "hello")), "a"))), unknown);
        sent(&world.run(&named(ann.next(send_to("bob", "hello")), "b")));
    }

    #[test]
    fn the_last_names_are_remembered_and_their_record_goes_with_the_account() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let mut first = Vec::new();
        for number in 0..=NAMED_REQUESTS {
            first.push(world.run(&named(ann.next(send_to("ann", "x")), &number.to_string())));
        }
        for number in (1..=NAMED_REQUESTS).rev() {
            let again = world.run(&named(ann.next(send_to("ann", "x")), &number.to_string()));
            assert_eq!(again, first[number as usize]);
        }
        assert_ne!(world.run(&named(ann.next(send_to("ann", "x")), "0")), first[0]);
        let names = |world: &World| world.store.entries.keys().filter(|key| key[0] == 0x16).count();
        assert_eq!(names(&world), 1);
        world.run(&Command::DeleteAccount { session: ann.token, credential_version: 1 });
        assert_eq!(names(&world), 0);
    }

    #[test]
    fn a_retry_gets_the_first_reply_and_writes_nothing() {
        let mut world = World::new();
        let (mut ann, _bob) = (world.register("ann"), world.register("bob"));
        let command = ann.next(send_to("bob", "hello"));
        let first = world.run(&command);
        sent(&first);
        world.time_ms += 1;
        assert_eq!(world.run(&command), first);
        assert_eq!(world.written(), Vec::<Vec<u8>>::new());
        assert!(world.applied.happened.is_empty());
    }

    #[test]
    fn a_refused_operation_uses_up_its_number_and_is_remembered() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let command = ann.next(send_to("bob", "hello"));
        assert_eq!(refused(&world.run(&command)), Rejection::UnknownUser("bob".to_owned()));
        world.register("bob");
        assert_eq!(refused(&world.run(&command)), Rejection::UnknownUser("bob".to_owned()));
        sent(&world.write(&mut ann, send_to("bob", "hello")));
    }

    #[test]
    fn what_the_window_refuses_uses_up_no_number() {
        let mut world = World::new();
        let ann = world.register("ann");
        let early = world.run(&ann.request(2, send_to("ann", "two")));
        assert_eq!(refused(&early), Rejection::OutOfOrder { expected: 1 });
        sent(&world.run(&ann.request(1, send_to("ann", "one"))));
        sent(&world.run(&ann.request(2, send_to("ann", "two"))));
        let other = world.run(&ann.request(2, send_to("ann", "three")));
        assert_eq!(refused(&other), Rejection::RequestMismatch);
        assert_eq!(world.written(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_reply_is_forgotten_once_the_client_says_that_it_has_it() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let first = ann.next(send_to("ann", "one"));
        let reply = world.run(&first);
        let second = with_answered(ann.next(send_to("ann", "two")), 0);
        sent(&world.run(&second));
        assert_eq!(world.run(&first), reply);
        let third = with_answered(ann.next(send_to("ann", "three")), 1);
        let reply = world.run(&third);
        assert_eq!(refused(&world.run(&first)), Rejection::ReplyForgotten);
        sent(&world.run(&second));
        // A retry says more than the first try, and is the same request.
        assert_eq!(world.run(&with_answered(third, 2)), reply);
        assert_eq!(world.written(), Vec::<Vec<u8>>::new());
        sent(&world.run(&second));
    }

    #[test]
    fn unknown_sessions_and_instances_are_refused() {
        let mut world = World::new();
        let ann = world.register("ann");
        let mut stranger = ann.clone();
        stranger.instance = 2;
        assert_eq!(refused(&world.run(&stranger.request(1, send_to("ann", "x")))), Rejection::UnknownInstance);
        stranger.token = world.fresh_token();
        assert_eq!(refused(&world.run(&stranger.request(1, send_to("ann", "x")))), Rejection::SessionInvalid);
        world.time_ms += crate::bounds::SESSION_MS;
        assert_eq!(refused(&world.run(&ann.request(1, send_to("ann", "x")))), Rejection::SessionInvalid);
    }

    #[test]
    fn many_commands_of_one_entry_see_each_other() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let commands: Vec<Command> = (0..1000).map(|n| ann.next(send_to("ann", &format!("{n}")))).collect();
        let replies = world.apply(&commands);
        let events: Vec<_> = replies.iter().map(|reply| sent(reply).1).collect();
        assert!(events.is_sorted_by(|one, other| one < other));
        assert!(matches!(replies[0], Reply::MessageSent { .. }));
        assert_eq!(world.everything(ann.account).len(), 1001);
    }
}
