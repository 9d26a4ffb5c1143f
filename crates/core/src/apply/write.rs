//! `Write`: a numbered operation, run once and in order however often it arrives.
//!
//! What the session or its window refuses is not remembered and uses up no number. What the operation itself
//! refuses is an outcome like any other.

use super::{Context, Outcome, operate, session, settle};
use crate::{
    command::Operation,
    ids::{RequestId, TokenHash},
    key::Key,
    record::{Recall, WindowRecord},
    reply::{Rejection, Reply},
};

pub(super) fn write(
    context: &mut Context<'_>,
    token: &TokenHash,
    request: RequestId,
    operation: &Operation,
    answered: u64,
) -> Outcome<Reply> {
    let session = session::require_live(context, token)?;
    let key = Key::Window(session.session, request.instance);
    let mut window = context.get::<WindowRecord>(key)?.ok_or(Rejection::UnknownInstance)?;
    match window.recall(request.number, operation)? {
        Recall::Ran(reply) => Ok(reply),
        Recall::Refused(rejection) => Err(rejection.into()),
        Recall::Due => {
            let reply = settle(operate(context, session.account, operation))?;
            window.remember(operation, &reply, context.position(), answered)?;
            context.put(key, &window);
            Ok(reply)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, Rejection, Reply,
        world::{World, refused, send_to, sent, with_answered},
    };

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
