//! `history`, `unread`, `list`, `search` and `status`.

use threefold_core::{Position, Rejection, bounds, query};
use threefold_proto::{
    chat::{self, history_request::From},
    convert::Refusal,
    framing::{self, Details, Request, listed},
};

use super::{
    connection::{Connection, Echo, Ending},
    text,
    writes::{deadline, place},
};
use crate::{
    gateway::{Caller, Gateway, door::Door},
    net::ClientSocket,
};

/// Messages shown where no number is named: a screen.
const SHOWN: u32 = 20;
/// Behind a list that is cut.
const MORE: &str = "...";

/// Who asks.
struct Asker<D> {
    gateway: Gateway<D>,
    caller: Caller,
    name: String,
    seen: Position,
}

impl<D: Door, S: ClientSocket> Connection<D, S> {
    fn asker(&self) -> Result<Asker<D>, Refusal> {
        let session = self.session.as_ref().ok_or(Refusal::Rejected(Rejection::SessionInvalid))?;
        let (caller, name, seen) = (session.caller.clone(), session.name.clone(), session.seen);
        Ok(Asker { gateway: self.gateway.clone(), caller, name, seen })
    }

    async fn tell(&mut self, echo: Echo, found: Result<(String, Details), Refusal>) -> Result<(), Ending> {
        let reply = match found {
            Ok((body, details)) => echo.reply(body, details),
            Err(refusal) => echo.refusal(&refusal),
        };
        self.respond(reply).await
    }

    /// The newest messages of a conversation, or those before one of them.
    pub(super) async fn history(&mut self, echo: Echo, request: Request) -> Result<(), Ending> {
        let found = match self.asker() {
            Ok(asker) => asker.history(request).await,
            Err(refusal) => Err(refusal),
        };
        self.tell(echo, found).await
    }

    /// Conversations with unread messages.
    pub(super) async fn unread(&mut self, echo: Echo) -> Result<(), Ending> {
        let found = match self.asker() {
            Ok(asker) => asker.unread().await,
            Err(refusal) => Err(refusal),
        };
        self.tell(echo, found).await
    }

    /// Who is online.
    pub(super) async fn list(&mut self, echo: Echo, request: Request) -> Result<(), Ending> {
        let found = match self.asker() {
            Ok(asker) => asker.list(&request.to).await,
            Err(refusal) => Err(refusal),
        };
        self.tell(echo, found).await
    }

    /// People by a part of their names.
    pub(super) async fn search(&mut self, echo: Echo, request: Request) -> Result<(), Ending> {
        let search =
            chat::SearchAccountsRequest { pattern: request.body, limit: bounds::PAGE as u32, after: request.to };
        let found = match self.asker() {
            Ok(asker) => asker.search(search).await,
            Err(refusal) => Err(refusal),
        };
        self.tell(echo, found).await
    }

    /// The cluster.
    pub(super) async fn status(&mut self, echo: Echo) -> Result<(), Ending> {
        let status = self.gateway.status(&chat::StatusRequest::default()).await;
        let state = match status.detail.is_empty() {
            true => status.state.clone(),
            false => format!("{}: {}", status.state, status.detail),
        };
        let servers: Vec<_> = status.servers.into_iter().map(server).collect();
        let line = |server: &framing::Server| format!("{} {} {}", server.name, server.role, server.chat_address);
        let lines = std::iter::once(state).chain(servers.iter().map(|server| line(server).trim_end().to_owned()));
        let body = body(lines.collect(), false);
        self.tell(echo, Ok((body, Details::Status { state: status.state, servers }))).await
    }
}

impl<D: Door> Asker<D> {
    async fn history(&self, request: Request) -> Result<(String, Details), Refusal> {
        let (limit, before) = page(&request.body)?;
        let history = chat::HistoryRequest {
            r#in: place(request.to)?,
            limit,
            from: Some(From::Before(before)),
            position: self.seen.0,
            consistent: false,
        };
        let found = self.gateway.history(&self.caller, history, deadline()).await?;
        let own = self.caller.session.account.0;
        let mut messages: Vec<_> =
            found.messages.into_iter().map(|message| text::message(message, own, &self.name)).collect();
        let mut lines: Vec<String> = messages.iter().map(framing::Message::line).collect();
        // The newest are what was asked for; the next page brings the others.
        let cut = lines.len() - listed(lines.iter().rev());
        messages.drain(..cut);
        lines.drain(..cut);
        Ok((lines.join("\n"), Details::History { messages, more: found.more || cut > 0 }))
    }

    /// In the order in which accounts were made, so that nobody is missed between two pages; `after` is the last name of the page before.
    async fn list(&self, after: &str) -> Result<(String, Details), Refusal> {
        let after = match after {
            "" => 0,
            // Deleted since, perhaps: the place in the order is the same.
            name => self.gateway.door().read(|store| query::bearer_of_name(store, name))?.0,
        };
        let found =
            self.gateway.list_online(&self.caller, chat::ListOnlineRequest { after, limit: 0 }, deadline()).await?;
        Ok(users(found.accounts, found.more))
    }

    async fn search(&self, search: chat::SearchAccountsRequest) -> Result<(String, Details), Refusal> {
        let found = self.gateway.search_accounts(&self.caller, search, deadline()).await?;
        Ok(users(found.accounts, found.more))
    }

    async fn unread(&self) -> Result<(String, Details), Refusal> {
        let request = chat::ListConversationsRequest {
            unread_only: true,
            limit: bounds::PAGE as u32,
            after: 0,
            position: self.seen.0,
        };
        let found = self.gateway.list_conversations(&self.caller, request, deadline()).await?;
        let conversations = found.conversations.into_iter().map(|conversation| framing::Conversation {
            with: conversation.room.map_or_else(|| text::name(conversation.peer_name), |room| text::room(&room.name)),
            unread: conversation.unread,
        });
        let conversations: Vec<_> = conversations.collect();
        let lines = conversations.iter().map(|conversation| format!("{} {}", conversation.with, conversation.unread));
        Ok((body(lines.collect(), found.more), Details::Unread { conversations, more: found.more }))
    }
}

fn server(server: chat::ServerStatus) -> framing::Server {
    framing::Server { name: server.name, role: server.role, chat_address: server.chat_address }
}

fn users(accounts: Vec<chat::Account>, more: bool) -> (String, Details) {
    let mut users: Vec<String> = accounts.into_iter().map(|account| account.name).collect();
    let fitting = listed(users.iter());
    let more = more || fitting < users.len();
    users.truncate(fitting);
    (body(users.clone(), more), Details::Users { users, more })
}

fn body(mut lines: Vec<String>, more: bool) -> String {
    lines.extend(more.then(|| MORE.to_owned()));
    lines.join("\n")
}

/// How many messages, and before which one.
fn page(body: &str) -> Result<(u32, u64), Refusal> {
    let wrong =
        || Refusal::invalid("`body` is how many messages to show, or that and the id of the one to show them before");
    let mut words = body.split_ascii_whitespace();
    let count = words.next().map_or(Ok(SHOWN), str::parse).map_err(|_| wrong())?;
    let before = words.next().map_or(Ok(0), str::parse).map_err(|_| wrong())?;
    if count == 0 || words.next().is_some() {
        return Err(wrong());
    }
    Ok((count, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_a_count_and_perhaps_an_id() {
        assert_eq!(page(""), Ok((SHOWN, 0)));
        assert_eq!(page("5"), Ok((5, 0)));
        assert_eq!(page(" 5 8192\n"), Ok((5, 8192)));
        for wrong in ["0", "-1", "x", "5 x", "5 6 7", "4294967296"] {
            assert!(page(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_that_does_not_fit_says_so() {
        let account = |number| chat::Account { name: format!("{number:032}"), ..chat::Account::default() };
        let (body, details) = users((0..5000).map(account).collect(), false);
        let Details::Users { users, more } = details else { panic!("{details:?}") };
        assert!(more && body.ends_with("\n...") && body.lines().count() == users.len() + 1);
        assert!(body.len() <= framing::LISTED_BYTES + 4);
    }
}
