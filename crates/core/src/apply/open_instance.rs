//! `OpenInstance`: a window of its own for a client process.

use super::{Context, Outcome, session};
use crate::{
    bounds::INSTANCES_PER_SESSION,
    ids::TokenHash,
    key::{Key, Range},
    record::{SessionRecord, WindowRecord},
    reply::Reply,
    scan,
};

pub(super) fn open_instance(context: &mut Context<'_>, token: &TokenHash, nonce: u64) -> Outcome<Reply> {
    let session = session::require_live(context, token)?;
    let live = scan::collect::<WindowRecord>(context.store, &Range::windows(session.session), INSTANCES_PER_SESSION)?;
    if let Some((instance, _)) = live.iter().find(|(_, window)| window.nonce == Some(nonce)) {
        return Ok(Reply::InstanceOpened { instance: *instance });
    }
    let least_recent = live.iter().min_by_key(|(instance, window)| (window.last_used, *instance));
    if live.len() >= INSTANCES_PER_SESSION
        && let Some((instance, _)) = least_recent
    {
        context.delete(Key::Window(session.session, *instance));
    }
    // Counted up for ever: the number of an evicted instance never comes back to life.
    let instance = session.instances + 1;
    context.put(Key::Window(session.session, instance), &WindowRecord::new(Some(nonce), context.position()));
    context.put(Key::Session(*token), &SessionRecord { instances: instance, ..session });
    Ok(Reply::InstanceOpened { instance })
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, Rejection, Reply,
        bounds::INSTANCES_PER_SESSION,
        world::{Device, World, refused, send_to, sent},
    };

    fn open(world: &mut World, device: &Device, nonce: u64) -> Device {
        match world.run(&Command::OpenInstance { session: device.token, nonce }) {
            Reply::InstanceOpened { instance } => Device { instance, number: 0, ..device.clone() },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn instances_count_up_and_a_nonce_is_a_retry() {
        let mut world = World::new();
        let ann = world.register("ann");
        assert_eq!(open(&mut world, &ann, 77).instance, 2);
        assert_eq!(open(&mut world, &ann, 78).instance, 3);
        assert_eq!(open(&mut world, &ann, 77).instance, 2);
        assert!(world.written().is_empty());
    }

    #[test]
    fn each_instance_numbers_its_own() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let mut other = open(&mut world, &ann, 1);
        let first = sent(&world.write(&mut ann, send_to("ann", "x")));
        let second = sent(&world.write(&mut other, send_to("ann", "x")));
        assert_ne!(first.1, second.1);
    }

    #[test]
    fn the_least_recently_used_is_evicted_and_never_runs_again() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        let mut instances: Vec<_> =
            (1..INSTANCES_PER_SESSION as u64).map(|nonce| open(&mut world, &ann, nonce)).collect();
        sent(&world.write(&mut ann, send_to("ann", "still used")));
        open(&mut world, &ann, 99);
        let evicted = world.write(&mut instances[0], send_to("ann", "x"));
        assert_eq!(refused(&evicted), Rejection::UnknownInstance);
        sent(&world.write(&mut ann, send_to("ann", "x")));
        sent(&world.write(&mut instances[1], send_to("ann", "x")));
        // Its nonce is a new request now, and gets a new number.
        assert_eq!(open(&mut world, &ann, 1).instance, 18);
    }

    #[test]
    fn without_a_session_there_is_none() {
        let mut world = World::new();
        let token = world.fresh_token();
        let reply = world.run(&Command::OpenInstance { session: token, nonce: 1 });
        assert_eq!(refused(&reply), Rejection::SessionInvalid);
    }
}
