//! `DiscardAttachment`: an upload is taken back before any message has it.

use super::{Context, Failure, Outcome, attachment, session};
use crate::{
    ids::{AttachmentId, TokenHash},
    reply::{Rejection, Reply},
};

pub(super) fn discard_attachment(context: &mut Context<'_>, token: &TokenHash, id: AttachmentId) -> Outcome<Reply> {
    let owner = session::require_live(context, token)?.account;
    match attachment::unsent(context, owner, id) {
        Ok(record) => attachment::take_away(context.store, context.meta, id, &record)?,
        // A retry, or it has expired; whoever names another's learns nothing.
        Err(Failure::Rejected(Rejection::UnknownAttachment(_))) => {}
        Err(failure) => return Err(failure),
    }
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, Reply, query,
        world::{World, sent, uploads},
    };

    #[test]
    fn only_ones_own_that_no_message_has() {
        let mut world = World::new();
        let (mut ann, eve) = (world.register("ann"), world.register("eve"));
        let ids = [world.upload(&ann, 1, "unsent", b"unsent"), world.upload(&ann, 2, "sent", b"sent")];
        sent(&world.write(&mut ann, uploads::send_files("ann", "", &ids[1..])));
        let discard = |session, attachment| Command::DiscardAttachment { session, attachment };
        assert_eq!(world.run(&discard(eve.token, ids[0])), Reply::Done);
        assert_eq!(world.run(&discard(ann.token, ids[1])), Reply::Done);
        assert_eq!(query::usage(&world.store, ann.account).unwrap().bytes, 10);
        assert_eq!(world.run(&discard(ann.token, ids[0])), Reply::Done);
        assert_eq!(world.run(&discard(ann.token, ids[0])), Reply::Done);
        assert_eq!(query::usage(&world.store, ann.account).unwrap().bytes, 4);
        assert_eq!((world.count(0x18), world.count(0x19), world.count(0x1b)), (1, 1, 0));
    }
}
