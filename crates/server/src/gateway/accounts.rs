//! Accounts and sessions.
//!
//! Passwords are verified here, before a command is proposed; the command names the credential it was verified
//! against, so that a change in between refuses it. What is verified against is never stale: these operations
//! first catch up with everything acknowledged anywhere.

use std::net::IpAddr;

use threefold_core::{
    AccountId, Command, Rejection, Reply, SessionId,
    query::{self, AccountInfo},
    text,
};
use threefold_proto::{
    chat,
    convert::{self, Names, Refusal, Token},
};
use tokio::time::Instant;

use super::{Caller, Gateway, door::Door, password, unavailable, unexpected_reply};
use crate::node::limits::Key;

/// Who is online, where nobody says how many to list: what clients get that know of no pages.
const ONLINE_UNASKED: usize = 5_000;
/// What there is too much of where passwords are guessed.
const FAILED_LOGINS: &str = "too many failed log-ins";

impl<D: Door> Gateway<D> {
    /// Creates an account and a first session.
    pub(super) async fn register(
        &self,
        request: chat::RegisterRequest,
        from: IpAddr,
        deadline: Instant,
    ) -> Result<chat::SessionReply, Refusal> {
        let token = Token::from_bytes(&request.token)?;
        // The state machine checks again; here it saves a hash.
        text::check_name(&request.name)?;
        text::check_device(&request.device)?;
        self.take(&[Key::registrations(from)], "too many registrations from this address", deadline).await?;
        let password_hash = self.passwords().hash(request.password, deadline).await?;
        let (name, device) = (request.name, request.device);
        let command = Command::Register { name, password_hash, token_hash: token.hash(), device };
        let (reply, position) = self.submit(command, deadline).await?;
        convert::session_reply(reply, position, self.door().client_addresses())
    }

    /// Opens a session. An unknown name, a wrong password and a password changed meanwhile are one answer.
    pub(super) async fn log_in(
        &self,
        request: chat::LoginRequest,
        from: IpAddr,
        deadline: Instant,
    ) -> Result<chat::SessionReply, Refusal> {
        let token = Token::from_bytes(&request.token)?;
        text::check_device(&request.device)?;
        // Taken before it is known whether the log-in fails: who guesses at several servers at once gains nothing.
        // What looks like a bot's token is not counted for the name from everywhere: it cannot be guessed, and who tries shuts out nobody.
        let is_token = Token::from_hexadecimal(&request.password).is_some();
        let anywhere = (!is_token).then(|| Key::failed_logins(&request.name));
        let here = Key::failed_logins_at(&request.name, Some(from));
        let keys: Vec<Key> = [here, Key::failed_logins_from(from)].into_iter().chain(anywhere).collect();
        self.take(&keys, FAILED_LOGINS, deadline).await?;
        let verified = async {
            self.wait_consistent(deadline).await?;
            let account = self.door().read(|store| query::account_by_name(store, &request.name));
            self.verify(account, request.password, deadline).await
        };
        let account = self.unless_guessed(keys, verified.await)?;
        let command = Command::LogIn {
            account: account.account,
            credential_version: account.credential_version,
            token_hash: token.hash(),
            device: request.device,
        };
        let (reply, position) = self.submit(command, deadline).await?;
        convert::session_reply(reply, position, self.door().client_addresses())
    }

    /// Takes one of each of these buckets.
    async fn take(&self, keys: &[Key], what: &'static str, deadline: Instant) -> Result<(), Refusal> {
        if keys.is_empty() {
            return Ok(());
        }
        let taken = self.door().take(keys, deadline).await.map_err(unavailable)?;
        taken.map_err(|wait| Refusal::RateLimited { what, retry_after_ms: super::millis(wait) })
    }

    /// Puts back what was taken for nothing, without anybody waiting for it.
    fn give_back(&self, keys: Vec<Key>) {
        let door = self.door().clone();
        tokio::spawn(async move { door.give_back(keys).await });
    }

    /// Puts back what was taken for a guess, unless it was a wrong one: whoever meets a server that cannot tell is not shut out for it.
    fn unless_guessed<T>(&self, keys: Vec<Key>, verified: Result<T, Refusal>) -> Result<T, Refusal> {
        if !matches!(verified, Err(Refusal::Rejected(Rejection::WrongCredential))) {
            self.give_back(keys);
        }
        verified
    }

    /// The account, if there is one and the password is its own.
    async fn verify(
        &self,
        account: Option<AccountInfo>,
        password: String,
        deadline: Instant,
    ) -> Result<AccountInfo, Refusal> {
        let token = account.as_ref().and_then(|account| account.bot).and_then(|bot| bot.token);
        if let (Some(account), Some(token)) = (&account, token) {
            // A bot's token is as good as random: there is nothing to be guessed, and so no costly hash.
            if Token::from_hexadecimal(&password).is_some_and(|shown| shown.hash() == token) {
                return Ok(account.clone());
            }
        }
        // A deleted account has no hash, nor has a bot; it is verified against nobody's, like an unknown name, and takes as long.
        let account = account.filter(|account| !account.password_hash.is_empty());
        let hash = account.as_ref().map(|account| account.password_hash.clone());
        let verified = self.passwords().verify(password, hash, deadline).await?;
        account.filter(|_| verified).ok_or(Refusal::Rejected(Rejection::WrongCredential))
    }

    async fn verify_caller(
        &self,
        caller: &Caller,
        password: String,
        deadline: Instant,
    ) -> Result<AccountInfo, Refusal> {
        self.wait_consistent(deadline).await?;
        let account = self.door().read(|store| query::account(store, caller.session.account));
        // Whoever has found a session must not find the password with it.
        let name = account.as_ref().and_then(|account| account.name.as_deref());
        // Counted apart from log-ins, with which others could keep the one from changing it.
        let keys: Vec<Key> = name.map(|name| Key::failed_logins_at(name, None)).into_iter().collect();
        self.take(&keys, FAILED_LOGINS, deadline).await?;
        self.unless_guessed(keys, self.verify(account, password, deadline).await)
    }

    /// Ends the caller's session.
    pub(super) async fn log_out(&self, caller: &Caller, deadline: Instant) -> Result<chat::LogoutReply, Refusal> {
        self.submit_plain(Command::EndSession { session: caller.token, target: None }, deadline).await?;
        Ok(chat::LogoutReply {})
    }

    /// Says who the caller is, and where this server is, if asked so behind everything that was acknowledged.
    pub(super) async fn who_am_i_now(
        &self,
        caller: &Caller,
        request: chat::WhoAmIRequest,
        deadline: Instant,
    ) -> Result<chat::WhoAmIReply, Refusal> {
        if request.consistent {
            self.wait_consistent(deadline).await?;
        }
        self.who_am_i(caller)
    }

    /// Says who the caller is.
    pub(super) fn who_am_i(&self, caller: &Caller) -> Result<chat::WhoAmIReply, Refusal> {
        let session = &caller.session;
        let account = self.door().read(|store| query::account(store, session.account));
        let account = account.ok_or(Refusal::Rejected(Rejection::SessionInvalid))?;
        Ok(chat::WhoAmIReply {
            account: session.account.0,
            session: session.session.0,
            name: account.name.unwrap_or_default(),
            device: session.device.clone(),
            administrator: account.administrator,
            expires_at_ms: session.expires_at_ms,
            delivered_up_to: account.delivered_up_to.0,
            servers: self.door().client_addresses(),
            position: self.door().position().0,
            display_name: account.display_name,
            bot: account.bot.is_some(),
        })
    }

    /// Deletes the caller's account.
    pub(super) async fn delete_account(
        &self,
        caller: &Caller,
        request: chat::DeleteAccountRequest,
        deadline: Instant,
    ) -> Result<chat::DeleteAccountReply, Refusal> {
        let account = self.verify_caller(caller, request.password, deadline).await?;
        let credential_version = account.credential_version;
        self.submit_plain(Command::DeleteAccount { session: caller.token, credential_version }, deadline).await?;
        Ok(chat::DeleteAccountReply {})
    }

    /// Changes the caller's password.
    pub(super) async fn change_password(
        &self,
        caller: &Caller,
        request: chat::ChangePasswordRequest,
        deadline: Instant,
    ) -> Result<chat::ChangePasswordReply, Refusal> {
        password::check_new(&request.new_password)?;
        let account = self.verify_caller(caller, request.old_password, deadline).await?;
        let command = Command::ChangePassword {
            session: caller.token,
            credential_version: account.credential_version,
            password_hash: self.passwords().hash(request.new_password, deadline).await?,
        };
        self.submit_plain(command, deadline).await?;
        Ok(chat::ChangePasswordReply {})
    }

    /// The sessions of the caller's account.
    pub(super) fn list_sessions(&self, caller: &Caller) -> chat::ListSessionsReply {
        let sessions = self.door().read(|store| query::sessions(store, caller.session.account));
        let sessions = sessions.into_iter().map(|session| chat::Session {
            session: session.session.0,
            device: session.device,
            opened_at_ms: session.opened_at_ms,
            expires_at_ms: session.expires_at_ms,
            current: session.session == caller.session.session,
        });
        chat::ListSessionsReply { sessions: sessions.collect() }
    }

    /// Ends a session of the caller's account.
    pub(super) async fn end_session(
        &self,
        caller: &Caller,
        request: chat::EndSessionRequest,
        deadline: Instant,
    ) -> Result<chat::EndSessionReply, Refusal> {
        self.pace(caller, deadline).await?;
        let target = Some(SessionId(request.session));
        self.submit_plain(Command::EndSession { session: caller.token, target }, deadline).await?;
        Ok(chat::EndSessionReply {})
    }

    /// Hands out an instance.
    pub(super) async fn open_instance(
        &self,
        caller: &Caller,
        request: chat::OpenInstanceRequest,
        deadline: Instant,
    ) -> Result<chat::OpenInstanceReply, Refusal> {
        self.pace(caller, deadline).await?;
        self.new_instance(caller, request, deadline).await
    }

    /// The same for a write that was counted already.
    pub(super) async fn new_instance(
        &self,
        caller: &Caller,
        request: chat::OpenInstanceRequest,
        deadline: Instant,
    ) -> Result<chat::OpenInstanceReply, Refusal> {
        let command = Command::OpenInstance { session: caller.token, nonce: request.nonce };
        match self.submit(command, deadline).await?.0 {
            Reply::InstanceOpened { instance } => Ok(chat::OpenInstanceReply { instance }),
            Reply::Rejected(rejection) => Err(rejection.into()),
            Reply::SessionOpened { .. }
            | Reply::MessageSent { .. }
            | Reply::RoomCreated { .. }
            | Reply::UploadReached { .. }
            | Reply::AttachmentFinished(_)
            | Reply::BotCreated { .. }
            | Reply::WebhookCreated { .. }
            | Reply::Done => Err(unexpected_reply()),
        }
    }

    /// Accounts by a part of their names.
    pub(super) async fn search_accounts(
        &self,
        caller: &Caller,
        request: chat::SearchAccountsRequest,
        deadline: Instant,
    ) -> Result<chat::SearchAccountsReply, Refusal> {
        let limit = convert::page_limit(request.limit)?;
        let pattern = convert::pattern(request.pattern)?;
        let after = (!request.after.is_empty()).then(|| convert::pattern(request.after)).transpose()?;
        let look = move |gateway: &Self, reader| {
            let page = gateway.door().read(|store| query::search_accounts(store, &pattern, after.as_deref(), limit));
            let online = gateway.door().online();
            let mut names = gateway.directory().of(gateway.door(), reader);
            let accounts = page.items.into_iter().map(|info| {
                let here = online.binary_search(&info.account).is_ok();
                account(info, here, &mut names)
            });
            chat::SearchAccountsReply { accounts: accounts.collect(), more: page.more }
        };
        self.look_up(caller, deadline, look).await
    }

    /// Who is connected, anywhere.
    pub(super) async fn list_online(
        &self,
        caller: &Caller,
        request: chat::ListOnlineRequest,
        deadline: Instant,
    ) -> Result<chat::ListOnlineReply, Refusal> {
        let limit = match request.limit {
            0 => ONLINE_UNASKED,
            asked => convert::page_limit(asked)?,
        };
        let after = AccountId(request.after);
        let look = move |gateway: &Self, reader| {
            let online = gateway.door().online();
            let rest = &online[online.partition_point(|account| *account <= after)..];
            let mut accounts = gateway.door().read(|store| {
                let accounts = rest.iter().filter_map(|id| query::account(store, *id).transpose());
                // Deleted a moment ago and not yet gone: not shown.
                let there = accounts.filter(|info| info.as_ref().map_or(true, |info| info.name.is_some()));
                there.take(limit + 1).collect::<Result<Vec<_>, _>>()
            });
            let more = accounts.len() > limit;
            accounts.truncate(limit);
            let mut names = gateway.directory().of(gateway.door(), reader);
            let accounts = accounts.into_iter().map(|info| account(info, true, &mut names));
            chat::ListOnlineReply { accounts: accounts.collect(), more }
        };
        self.look_up(caller, deadline, look).await
    }
}

fn account(info: AccountInfo, online: bool, names: &mut impl Names) -> chat::Account {
    chat::Account {
        account: info.account.0,
        name: info.name.unwrap_or_default(),
        online,
        registered_at_ms: info.registered_at_ms,
        administrator: info.administrator,
        display_name: info.display_name,
        last_seen_ms: info.last_seen_ms,
        disabled: info.disabled,
        bot: info.bot.is_some(),
        owner_name: info.bot.map(|bot| names.account(bot.owner)).unwrap_or_default(),
    }
}
