//! Questions: people, conversations, history, the cluster itself.

use threefold_proto::chat::{
    Account, Bot, ClusterStatus, GetMessagesRequest, GetRoomRequest, HistoryReply, HistoryRequest, Invitation,
    ListAdministrationReply, ListAdministrationRequest, ListBotsRequest, ListConversationsReply,
    ListConversationsRequest, ListInvitationsRequest, ListMembersReply, ListMembersRequest, ListOnlineReply,
    ListOnlineRequest, ListReactionsReply, ListReactionsRequest, ListRoomsReply, ListRoomsRequest, ListWebhooksRequest,
    Message, ReactedBy, Room, SearchAccountsReply, SearchAccountsRequest, SearchMessagesReply, SearchMessagesRequest,
    StatusRequest, Webhook, cluster_client::ClusterClient, history_request::From,
};

use super::Client;
use crate::{Error, To, addresses::normalise};

/// Which messages of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The newest before this message (zero: the newest of all).
    Before(u64),
    /// The oldest after this message (zero: from the beginning).
    After(u64),
    /// This message, with about as many before it as after it.
    Around(u64),
    /// The oldest of this time or later, milliseconds since 1970.
    At(u64),
}

/// What is searched for in messages.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Words that must all occur; with `*` at its end a word stands for all that begin so.
    pub query: String,
    /// Only there.
    pub with: Option<To>,
    /// Only messages of this person.
    pub from: Option<String>,
    /// Only messages older than this one (zero: from the newest on).
    pub before: u64,
    /// At most so many, up to 50 (zero: 20).
    pub limit: u32,
}

/// Asked for at once where all are wanted: the most that a server gives.
const ONLINE_PAGE: u32 = 200;

impl Client {
    /// Accounts whose name matches `pattern` (part of a name, or with `*`; empty: everybody), after the name `after`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search_accounts(&self, pattern: &str, limit: u32, after: &str) -> Result<SearchAccountsReply, Error> {
        self.require_identity()?;
        let request = SearchAccountsRequest { pattern: pattern.to_owned(), limit, after: after.to_owned() };
        Ok(self.call(request, |mut chat, request| async move { chat.search_accounts(request).await }).await?)
    }

    /// A page of the accounts connected right now, anywhere in the cluster, in the order of their ids, after the account `after`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn online_page(&self, limit: u32, after: u64) -> Result<ListOnlineReply, Error> {
        self.require_identity()?;
        let request = ListOnlineRequest { limit, after };
        Ok(self.call(request, |mut chat, request| async move { chat.list_online(request).await }).await?)
    }

    /// All accounts connected right now, anywhere in the cluster: asked for page by page, so that who comes or goes meanwhile may be in it or not,
    /// and nobody is in it twice.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn online(&self) -> Result<Vec<Account>, Error> {
        let mut all: Vec<Account> = Vec::new();
        loop {
            let after = all.last().map_or(0, |account| account.account);
            let page = self.online_page(ONLINE_PAGE, after).await?;
            // A server that knows of no pages gives everything at once, from the beginning.
            all.extend(page.accounts.into_iter().filter(|account| account.account > after));
            if !page.more || all.last().is_none_or(|last| last.account == after) {
                return Ok(all);
            }
        }
    }

    /// A page of a conversation, oldest first. Shows everything this client has seen or written.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn history(&self, of: impl Into<To>, page: Page, limit: u32) -> Result<HistoryReply, Error> {
        self.read_history(of.into(), page, limit, false).await
    }

    /// The same, and shows everything that was acknowledged to anybody before this call. Needs a leader.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn consistent_history(&self, of: impl Into<To>, page: Page, limit: u32) -> Result<HistoryReply, Error> {
        self.read_history(of.into(), page, limit, true).await
    }

    async fn read_history(&self, of: To, page: Page, limit: u32, consistent: bool) -> Result<HistoryReply, Error> {
        self.require_identity()?;
        let from = match page {
            Page::Before(id) => From::Before(id),
            Page::After(id) => From::After(id),
            Page::Around(id) => From::Around(id),
            Page::At(time_ms) => From::AtMs(time_ms),
        };
        let r#in = Some(of.into_recipient()?);
        let request = HistoryRequest { r#in, limit, from: Some(from), position: self.position(), consistent };
        let reply = self.call(request, |mut chat, request| async move { chat.history(request).await }).await?;
        self.saw(reply.messages.last().map_or(0, |message| message.id));
        Ok(reply)
    }

    /// Single messages of one conversation, such as those that others answer: at most 100. Those that are not there, or
    /// may not be seen, are left out. `conversation` zero: wherever the first one is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn messages(&self, conversation: u64, messages: Vec<u64>) -> Result<Vec<Message>, Error> {
        self.require_identity()?;
        let request = GetMessagesRequest { conversation, messages, position: self.position() };
        let call = self.call(request, |mut chat, request| async move { chat.get_messages(request).await });
        Ok(call.await?.messages)
    }

    /// Who reacted to a message, with this emoji or (empty) with any, after the last one of the page before.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn reactions(
        &self,
        message: u64,
        emoji: &str,
        limit: u32,
        after: Option<&ReactedBy>,
    ) -> Result<ListReactionsReply, Error> {
        self.require_identity()?;
        let after = after.cloned().unwrap_or_default();
        let request = ListReactionsRequest {
            conversation: 0,
            message,
            emoji: emoji.to_owned(),
            limit,
            after_emoji: after.emoji,
            after_account: after.account,
            position: self.position(),
        };
        Ok(self.call(request, |mut chat, request| async move { chat.list_reactions(request).await }).await?)
    }

    /// Messages that say certain words, newest first. Finds everything this client has seen or written.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search(&self, search: Search) -> Result<SearchMessagesReply, Error> {
        self.require_identity()?;
        let Search { query, with, from, before, limit } = search;
        let r#in = with.map(To::into_recipient).transpose()?;
        let (from, position) = (from.unwrap_or_default(), self.position());
        let request = SearchMessagesRequest { query, r#in, from, before, limit, position };
        let reply = self.call(request, |mut chat, request| async move { chat.search_messages(request).await }).await?;
        let newest = reply.found.first().and_then(|found| found.message.as_ref());
        self.saw(newest.map_or(0, |message| message.id));
        Ok(reply)
    }

    /// This account's conversations with their unread counts, after the conversation `after`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn conversations(
        &self,
        unread_only: bool,
        limit: u32,
        after: u64,
    ) -> Result<ListConversationsReply, Error> {
        self.require_identity()?;
        let request = ListConversationsRequest { unread_only, limit, after, position: self.position() };
        Ok(self.call(request, |mut chat, request| async move { chat.list_conversations(request).await }).await?)
    }

    /// What administrators did before the position `before` (zero: now), newest first; for administrators.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn administration(&self, limit: u32, before: u64) -> Result<ListAdministrationReply, Error> {
        self.require_identity()?;
        let request = ListAdministrationRequest { limit, before };
        Ok(self.call(request, |mut chat, request| async move { chat.list_administration(request).await }).await?)
    }

    /// One room, by name or conversation.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn room(&self, room: impl Into<To>) -> Result<Room, Error> {
        self.require_identity()?;
        let request = GetRoomRequest { room: Some(room.into().into_recipient()?), position: self.position() };
        let reply = self.call(request, |mut chat, request| async move { chat.get_room(request).await }).await?;
        reply.room.ok_or_else(|| Error::Protocol("a reply without a room".to_owned()))
    }

    /// Rooms whose name matches `pattern` (part of a name, or with `*`; empty: all), after the name `after`: those this
    /// account is in, and the public ones.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rooms(&self, pattern: &str, limit: u32, after: &str) -> Result<ListRoomsReply, Error> {
        self.require_identity()?;
        let (pattern, after) = (pattern.to_owned(), after.to_owned());
        let request = ListRoomsRequest { pattern, limit, after, position: self.position() };
        Ok(self.call(request, |mut chat, request| async move { chat.list_rooms(request).await }).await?)
    }

    /// The members of a room this account is in, after the account `after`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn members(&self, room: impl Into<To>, limit: u32, after: u64) -> Result<ListMembersReply, Error> {
        self.require_identity()?;
        let room = Some(room.into().into_recipient()?);
        let request = ListMembersRequest { room, limit, after, position: self.position() };
        Ok(self.call(request, |mut chat, request| async move { chat.list_members(request).await }).await?)
    }

    /// This account's open invitations to rooms.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        self.require_identity()?;
        let request = ListInvitationsRequest { position: self.position() };
        let reply = self.call(request, |mut chat, request| async move { chat.list_invitations(request).await }).await?;
        Ok(reply.invitations)
    }

    /// This account's bots and webhooks, oldest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn bots(&self) -> Result<Vec<Bot>, Error> {
        self.require_identity()?;
        let request = ListBotsRequest { position: self.position() };
        Ok(self.call(request, |mut chat, request| async move { chat.list_bots(request).await }).await?.bots)
    }

    /// The webhooks of a room that this account moderates, oldest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn webhooks(&self, room: impl Into<To>) -> Result<Vec<Webhook>, Error> {
        self.require_identity()?;
        let request = ListWebhooksRequest { room: Some(room.into().into_recipient()?), position: self.position() };
        Ok(self.call(request, |mut chat, request| async move { chat.list_webhooks(request).await }).await?.webhooks)
    }

    /// What some server knows of every server of the cluster. Needs no session.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status(&self) -> Result<ClusterStatus, Error> {
        let call = self.call_any(StatusRequest { local: false }, |channel, request| async move {
            ClusterClient::new(channel).status(request).await
        });
        let status = call.await?;
        let addresses: Vec<String> = status.servers.iter().map(|server| server.client_address.clone()).collect();
        self.pool.servers.learn(&self.scheme(), &addresses);
        Ok(status)
    }

    /// What the server at `address` knows; nobody else is asked.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status_of(&self, address: &str) -> Result<ClusterStatus, Error> {
        let address = normalise(address)?;
        let message = StatusRequest { local: false };
        let budget = self.pool.options.timeout.min(self.pool.options.attempt_timeout);
        let operation = |channel, request| async move { ClusterClient::new(channel).status(request).await };
        let mut unsure = false;
        let result = self.attempt(&address, budget, &message, &operation, &mut unsure).await;
        result.map_err(|verdict| verdict.into_error(vec![address]))
    }
}
