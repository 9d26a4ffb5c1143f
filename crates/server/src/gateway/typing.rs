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
        // Whoever says it all the time, of whatever place, asks the state for nothing.
        if !self.door().begins_typing(account) {
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use threefold_core::{Command, TokenHash};
    use tokio::time::{Instant, advance};

    use super::*;
    use crate::gateway::testing::Solo;

    #[tokio::test(start_paused = true)]
    async fn whoever_types_all_the_time_costs_no_reads() {
        let solo = Solo::new();
        let token_hash = TokenHash::of(b"ann");
        let (name, password_hash, device) = ("ann".to_owned(), "hash".to_owned(), "laptop".to_owned());
        solo.apply(&Command::Register { name, password_hash, token_hash, device });
        let gateway = solo.gateway();
        let caller = gateway.authenticate(token_hash, Instant::now() + Duration::from_secs(10)).await.unwrap();
        let before = solo.reads();
        for number in 0..1000 {
            let typing = chat::Typing { r#in: Some(chat::Recipient { to: Some(to(number)) }) };
            gateway.tell_typing(&caller, typing).unwrap();
        }
        let once = solo.reads() - before;
        assert!((5..=20).contains(&once), "{once}");
        advance(Duration::from_secs(1)).await;
        gateway.tell_typing(&caller, chat::Typing { r#in: Some(chat::Recipient { to: Some(to(1)) }) }).unwrap();
        assert!(solo.reads() - before > once);
    }

    fn to(number: u64) -> chat::recipient::To {
        chat::recipient::To::Conversation(number)
    }
}
