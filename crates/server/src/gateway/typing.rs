//! That somebody types: a notice for those who are in the conversation, and nothing that is kept.

use threefold_core::query::{self, Watching};
use threefold_proto::{
    chat,
    convert::{Place, Refusal},
};

use super::{Caller, Gateway, door::Door};
use crate::node::typing::Notice;

impl<D: Door> Gateway<D> {
    /// Tells those in a conversation that the caller types there. Nobody is told where the caller is not in it, where there is none
    /// yet, or where there is nobody else; and the caller is told nothing of it, for it happens all the time.
    ///
    /// # Errors
    /// For a place that makes no sense.
    pub(super) fn tell_typing(&self, caller: &Caller, typing: chat::Typing) -> Result<(), Refusal> {
        let place = Place::try_from(typing.r#in)?;
        let account = caller.session.account;
        let Some(conversation) = self.conversation_at(caller, &place) else { return Ok(()) };
        let reader = match self.door().read(|store| query::watching(store, account, conversation)) {
            Ok(Watching::Peer(peer)) if peer != account => Some(peer),
            Ok(Watching::Members) => None,
            Ok(Watching::Peer(_) | Watching::Nobody) | Err(_) => return Ok(()),
        };
        self.door().tell_typing(Notice { conversation, account, reader, position: self.door().position() });
        Ok(())
    }
}
