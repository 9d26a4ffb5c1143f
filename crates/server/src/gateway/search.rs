//! Search in messages.

use std::ops::Range;

use threefold_core::{
    AccountId, ConversationId, EventId, Position,
    query::{self, Shown},
};
use threefold_proto::{
    chat,
    convert::{self, Place, Refusal},
};
use tokio::time::Instant;

use super::{Caller, Gateway, door::Door};
use crate::search::{Found, Question, Wanted};

/// Searches carried out at once, of each account and its bots one; the others wait for their turns. Each may take a processor for some tens of
/// milliseconds, and what people write must not wait for it.
pub(super) const SEARCHES: usize = 2;

/// Where and by whom, once the names are known.
struct Scope {
    conversation: Option<ConversationId>,
    author: Option<AccountId>,
}

impl<D: Door> Gateway<D> {
    /// Messages that say certain words.
    pub(super) async fn search_messages(
        &self,
        caller: &Caller,
        request: chat::SearchMessagesRequest,
        deadline: Instant,
    ) -> Result<chat::SearchMessagesReply, Refusal> {
        let reader = caller.session.account;
        let question = Question::parse(&request.query).map_err(|error| Refusal::NotSearchable(error.0))?;
        let limit = convert::search_limit(request.limit)?;
        let place = request.r#in.map(|recipient| Place::try_from(Some(recipient))).transpose()?;
        self.wait_for(Position(request.position), deadline).await?;
        let Some(Scope { conversation, author }) = self.scope(caller, place, &request.from)? else {
            return Ok(chat::SearchMessagesReply { complete: true, ..Default::default() });
        };
        let before = (request.before != 0).then_some(EventId(request.before));
        let wanted = Wanted { reader, question, conversation, author, before, limit };
        let door = self.door().clone();
        let found = self.shared.searches.work(caller.counted_as, deadline, move || door.search(&wanted)).await?;
        Ok(self.shown(caller, found))
    }

    /// Resolves names; none where a conversation is meant that does not exist yet.
    fn scope(&self, caller: &Caller, place: Option<Place>, from: &str) -> Result<Option<Scope>, Refusal> {
        let reader = caller.session.account;
        let scope = self.door().read(|store| {
            let author = match from {
                "" => None,
                name => match query::account_named(store, name)? {
                    Ok(account) => Some(account),
                    Err(rejection) => return Ok(Err(rejection)),
                },
            };
            let conversation = match place {
                None => None,
                Some(Place::Conversation(conversation)) => match query::conversation(store, reader, conversation)? {
                    Ok(_) => Some(conversation),
                    Err(rejection) => return Ok(Err(rejection)),
                },
                Some(Place::With(name)) => match query::direct_conversation(store, reader, &name)? {
                    Ok(Some(conversation)) => Some(conversation),
                    Ok(None) => return Ok(Ok(None)),
                    Err(rejection) => return Ok(Err(rejection)),
                },
                Some(Place::Room(name)) => match query::room_conversation(store, reader, &name)? {
                    Ok(conversation) => Some(conversation),
                    Err(rejection) => return Ok(Err(rejection)),
                },
            };
            Ok(Ok(Some(Scope { conversation, author })))
        });
        Ok(scope?)
    }

    /// What was found, with names.
    fn shown(&self, caller: &Caller, found: Found) -> chat::SearchMessagesReply {
        let Found { hits, more_before, complete, indexed_up_to, damaged: _ } = found;
        let reader = caller.session.account;
        let shown = self.door().read(|store| hits.into_iter().map(|hit| hit.shown(store, reader)).collect());
        let shown: Vec<(Shown, Vec<Range<usize>>)> = shown;
        let mut names = self.directory().of(self.door(), reader);
        let mut show = |(shown, marks): (Shown, Vec<Range<usize>>)| {
            let marks = marks.into_iter().map(|mark| chat::Mark { start: mark.start as u32, end: mark.end as u32 });
            Some(chat::FoundMessage { message: Some(convert::shown(shown, &mut names)?), marks: marks.collect() })
        };
        chat::SearchMessagesReply {
            found: shown.into_iter().filter_map(&mut show).collect(),
            more_before: more_before.map_or(0, |message| message.0),
            complete,
            indexed_up_to: indexed_up_to.0,
        }
    }
}
